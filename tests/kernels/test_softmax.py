"""Kernels of rows of scores: softmax, cross entropy, and the weights of attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_kernels import (
    TARGETS,
    assert_agrees,
    computing,
    count_calls,
    layouts,
    needs_native,
    numbers,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native

pytestmark = needs_native
F = tg.nn.functional
SHAPES = [(1, 1), (3, 16), (5, 17), (64, 65), (2, 1009), (1, 40_000), (700, 10), (2, 3, 5, 31)]


def softmax(x: np.ndarray) -> np.ndarray:
    return tg.softmax(tg.asarray(x)).numpy()


def cross_entropy(x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> list[np.ndarray]:
    x = tg.asarray(x).requires_grad_()
    loss = F.cross_entropy(x, tg.asarray(target), reduction=reduction)
    loss.sum().backward()
    return [loss.numpy(), x.grad.numpy()]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "softmax")
    assert_agrees(softmax, numbers(shape, np.float32) * np.float32(9), terms=shape[-1])
    assert calls


@pytest.mark.parametrize("x", layouts((33, 65), np.float32))
def test_softmax_in_other_memory_orders(x: np.ndarray) -> None:
    assert_agrees(softmax, x)


@pytest.mark.sweep
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 1e-40, -0.0, 3e38, -3e38])
@pytest.mark.parametrize("place", [0, 16, 36])
def test_softmax_of_special_values(special: float, place: int) -> None:
    x = numbers((3, 37), np.float32)
    x[1, place], x[2] = special, special
    assert_agrees(softmax, x)


@pytest.mark.sweep
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 2], ids=str)
def test_cross_entropy(
    shape: tuple[int, int], reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, "cross_entropy")
    target = np.random.default_rng(1).integers(0, shape[1], shape[0])
    assert_agrees(lambda x, t: cross_entropy(x, t, reduction), numbers(shape, np.float32), target)
    assert calls


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.uint64])
def test_cross_entropy_of_other_integers_and_strides(dtype: type) -> None:
    target = np.random.default_rng(1).integers(0, 10, 60).astype(dtype)[::2]
    assert_agrees(cross_entropy, numbers((30, 10), np.float32), target)


def attention(q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False) -> list[np.ndarray]:
    q, k, v = (tg.asarray(x).requires_grad_() for x in (q, k, v))
    mask = None if mask is None else tg.asarray(mask)
    out = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
    (
        out * tg.asarray(np.cos(np.arange(out.size)).reshape(out.shape).astype(out.dtype))
    ).sum().backward()
    return [out.numpy(), *(x.grad.numpy() for x in (q, k, v))]


def heads(rows: int, columns: int) -> list[np.ndarray]:
    return [numbers((2, 3, n, 8), np.float32, i) for i, n in enumerate((rows, columns, columns))]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (64, 64), (5, 17), (17, 5), (130, 257)])
def test_attention(rows: int, columns: int, causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [count_calls(monkeypatch, f"attention_weights{end}") for end in ("", "_again")]
    q, k, v = heads(rows, columns)
    assert_agrees(lambda q, k, v: attention(q, k, v, None, causal), q, k, v, terms=columns)
    assert all(calls)


def test_attention_with_masks() -> None:
    q, k, v = heads(20, 33)
    blocks = np.random.default_rng(5).random((20, 33)) < 0.5
    blocks[3] = False  # a row that may attend to nothing
    assert_agrees(lambda q, k, v: attention(q, k, v, blocks), q, k, v, terms=33)
    bias = numbers((3, 20, 33), np.float32, 9)
    assert_agrees(lambda q, k, v, b: attention(q, k, v, b), q, k, v, bias, terms=33)


@pytest.mark.parametrize("target", TARGETS)
def test_the_future_is_not_read(target: str) -> None:
    scores = numbers((2, 40, 40), np.float32)
    after = np.triu(np.ones((40, 40), bool), 1)
    clean = np.where(after, -np.inf, scores).astype(np.float32)
    dirty = np.where(after, np.nan, scores).astype(np.float32)
    with computing(target, 2):
        for x, period in ((clean, 0), (dirty, 40)):
            native.attention_weights(x, *np.empty((2, 2, 40, 1), np.float32), period)
    np.testing.assert_array_equal(dirty, clean)


ROWS = np.ones((4, 5), np.float32)


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("softmax", [ROWS, np.ones((4, 4), "f")], "contiguous arrays of 20"),
        ("softmax", [ROWS.T, ROWS.copy()], "expected contiguous rows"),
        ("softmax", [np.ones((4, 5)), np.ones((4, 5))], "expected float32"),
        ("softmax", [ROWS[:0], ROWS[:0]], "expected contiguous rows"),
        ("cross_entropy", [ROWS, np.full(4, 5), ROWS.copy(), np.ones(4, "f")], "out of range"),
        ("cross_entropy", [ROWS, np.full(4, -1), ROWS.copy(), np.ones(4, "f")], "out of range"),
        ("cross_entropy", [ROWS, np.ones(3, int), ROWS.copy(), np.ones(4, "f")], "of 4 numbers"),
        (
            "cross_entropy",
            [ROWS, np.ones(4), ROWS.copy(), np.ones(4, "f")],
            "expected class numbers in int64",
        ),
        ("attention_weights", [ROWS.copy(), np.ones(4, "f"), np.ones(3, "f"), 0], "of 4 numbers"),
        ("attention_weights_again", [ROWS.copy(), np.ones(5, "f"), 0], "of 4 numbers"),
        ("attention_weights_again", [ROWS.copy(), np.ones(4, "f"), -1], "period"),
    ],
)
def test_a_kernel_refuses_what_it_could_read_outside_of(
    name: str, args: list[Any], error: str
) -> None:
    with pytest.raises((TypeError, ValueError, IndexError), match=error):
        getattr(native, name)(*args)
