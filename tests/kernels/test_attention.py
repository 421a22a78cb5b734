"""Attention, forward and backward, a band of rows of one head at a time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from native_kernels import assert_agrees, count_calls, layouts, needs_native, numbers, with_special

import tinygrad_gm as tg
from tinygrad_gm.kernels import native

pytestmark = needs_native
SIZES = [1, 2, 13, 32, 65]


def attended(*arrays: Any, is_causal: bool = False, scale: float | None = None) -> list[Any]:
    """The result, and the gradients of query, key and value."""
    *factors, g = arrays
    leaves = [tg.tensor(a, requires_grad=True) for a in factors]
    out = tg.scaled_dot_product_attention(*leaves, is_causal=is_causal, scale=scale)
    out.backward(tg.tensor(g))
    return [out.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def heads(*shape: int, keys: int, values: int) -> list[np.ndarray]:
    """Query, key, value and a gradient."""
    *lead, rows, width = shape
    shapes = [shape, (*lead, keys, width), (*lead, keys, values), (*lead, rows, values)]
    return [numbers(each, np.float32, seed) for seed, each in enumerate(shapes)]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [*itertools.product(SIZES, SIZES)])
def test_attention_agrees(rows: int, columns: int, is_causal: bool) -> None:
    arrays = heads(2, 3, rows, 8, keys=columns, values=11)
    assert_agrees(lambda *a: attended(*a, is_causal=is_causal), *arrays, terms=columns + rows)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("length", [200, 700, 6000])
def test_long_sequences_agree(length: int, is_causal: bool) -> None:
    rows = min(length, 700)
    arrays = heads(1, rows, 16, keys=length, values=16)
    assert_agrees(lambda *a: attended(*a, is_causal=is_causal), *arrays, terms=length + rows)


@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4), (2, 1, 3, 1, 2, 1, 5, 4)])
def test_any_number_of_leading_axes_agrees(shape: tuple[int, ...]) -> None:
    assert_agrees(attended, *heads(*shape, keys=7, values=4), terms=12)


def test_leading_axes_that_broadcast_agree() -> None:
    q, k, v, g = heads(2, 3, 9, 4, keys=7, values=4)
    assert_agrees(attended, q, k[:1], v[:, :1], g, terms=16)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("array", layouts((3, 17, 16), np.float32, 5))
def test_arrays_in_every_memory_order_agree(array: np.ndarray, number: int) -> None:
    arrays = heads(3, 17, 16, keys=17, values=16)
    arrays[number] = array
    assert_agrees(lambda *a: attended(*a, is_causal=True), *arrays, terms=34)


def test_heads_stay_where_they_lie_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [count_calls(monkeypatch, name) for name in ("attention", "attention_backward")]
    leaf = tg.tensor(numbers((2, 20, 4, 8), np.float32), requires_grad=True)
    with tg.kernels.use("native"):
        apart = tg.permute_dims(leaf, (0, 2, 1, 3))
        out = tg.permute_dims(tg.scaled_dot_product_attention(apart, apart, apart), (0, 2, 1, 3))
        out.sum().backward()
    assert [len(each) for each in calls] == [1, 1]
    assert out.numpy().flags.c_contiguous


@pytest.mark.parametrize("number", range(3))
def test_nan_and_infinity_go_where_they_go_in_numpy(number: int) -> None:
    arrays = heads(3, 17, 16, keys=17, values=16)
    special = with_special(arrays[number][1])
    special[np.abs(special) == 1e30] = 1  # whose products are infinite in one order only
    arrays[number][1] = special
    assert_agrees(lambda *a: attended(*a)[0], *arrays, terms=34)


def test_a_factor_of_zero_or_less_agrees() -> None:
    for scale in (0.0, -0.7):
        arrays = heads(2, 9, 4, keys=7, values=4)
        assert_agrees(lambda *a, s=scale: attended(*a, scale=s), *arrays, terms=16)


def test_large_queries_do_not_overflow_before_they_are_scaled() -> None:
    q, k, v, g = heads(1, 5, 4, keys=6, values=4)
    assert_agrees(
        lambda *a: attended(*a, scale=1e-20), q * np.float32(1e20), k * 1e19, v, g, terms=11
    )


def test_gradients_that_are_not_wanted_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v, g = heads(2, 9, 4, keys=7, values=4)
    with tg.kernels.use("native"):
        _, *expected = attended(q, k, v, g)
        for wanted in itertools.product([False, True], repeat=3):
            if any(wanted):
                pairs = zip((q, k, v), wanted, strict=True)
                leaves = [tg.tensor(a, requires_grad=w) for a, w in pairs]
                tg.scaled_dot_product_attention(*leaves).backward(tg.tensor(g))
                for leaf, right in zip(leaves, expected, strict=True):
                    if leaf.requires_grad:
                        np.testing.assert_array_equal(leaf.grad.numpy(), right)


def test_a_kernel_switched_off_before_backward_agrees() -> None:
    q, k, v, g = heads(2, 9, 4, keys=9, values=4)
    leaves = [tg.tensor(a, requires_grad=True) for a in (q, k, v)]
    with tg.kernels.use("native"):
        expected = attended(q, k, v, g, is_causal=True)[1:]
        out = tg.scaled_dot_product_attention(*leaves, is_causal=True)
    with tg.kernels.use("numpy"):
        out.backward(tg.tensor(g))
    for leaf, right in zip(leaves, expected, strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", range(5))
def test_the_kernels_refuse_shapes_that_do_not_fit(number: int) -> None:
    q, k, v, g = heads(2, 9, 4, keys=7, values=5)
    arrays = [q, k, v, g, np.empty((2, 9, 1), np.float32)]
    arrays[number] = arrays[number][..., :-1, :].copy()
    if number in (1, 2):  # a shorter key and value would fit each other
        arrays[number] = np.concatenate([arrays[number]] * 2, -2)
    with pytest.raises(ValueError, match="do not fit"):
        native.attention(*arrays, False, 1.0)
    with pytest.raises(ValueError, match="do not fit"):
        native.attention_backward(g, *arrays, False, 1.0, *(np.empty_like(a) for a in (q, k, v)))


def test_the_kernels_refuse_float64() -> None:
    arrays = [a.astype(np.float64) for a in heads(2, 9, 4, keys=7, values=4)]
    with pytest.raises(TypeError, match="expected float32"):
        native.attention(*arrays, np.empty((2, 9, 1)), False, 1.0)
