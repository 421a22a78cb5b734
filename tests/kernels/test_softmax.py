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


def cross_entropy(x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> list[np.ndarray]:
    x = tg.asarray(x).requires_grad_()
    loss = F.cross_entropy(x, tg.asarray(target), reduction=reduction)
    loss.sum().backward()
    return [loss.numpy(), x.grad.numpy()]


def with_gradient(function: Any, axis: int = -1) -> Any:
    """The result and the gradient of a function of x along an axis, for an upstream gradient."""

    def run(x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
        x = tg.asarray(x).requires_grad_()
        out = function(x, axis)
        out.backward(tg.asarray(g))
        return [out.numpy(), x.grad.numpy()]

    return run


FUNCTIONS = {"softmax": tg.softmax, "log_softmax": tg.log_softmax}
TYPES = [np.float32, np.float64]


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(
    shape: tuple[int, ...], name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [count_calls(monkeypatch, f"{name}{end}") for end in ("", "_backward")]
    x, g = numbers(shape, dtype) * dtype(9), numbers(shape, dtype, 1)
    assert_agrees(with_gradient(FUNCTIONS[name]), x, g, terms=64 * shape[-1])
    assert all(calls)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_channels_of_channels_last_memory_are_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [count_calls(monkeypatch, f"{name}{end}") for end in ("", "_backward")]
    x, g = (numbers((3, 5, 4, 10), np.float32, i).transpose(0, 3, 1, 2) for i in range(2))
    assert_agrees(with_gradient(FUNCTIONS[name], 1), x, g, terms=10)
    for axis in (0, 2, (0, 2), -2):
        assert_agrees(with_gradient(FUNCTIONS[name], axis), x, g, terms=30)
    assert all(len(c) == 3 * len(TARGETS) for c in calls)
    out, gradient = with_gradient(FUNCTIONS[name], 1)(x, g)
    assert out.strides == gradient.strides == x.strides


@pytest.mark.sweep
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("x", layouts((33, 65), np.float32))
def test_other_memory_orders(x: np.ndarray, name: str) -> None:
    g = numbers((33, 65), np.float32, 1)
    assert_agrees(with_gradient(FUNCTIONS[name]), x, g, terms=65)
    assert_agrees(with_gradient(FUNCTIONS[name]), g, x, terms=65)


@pytest.mark.sweep
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 1e-40, -0.0, 3e38, -3e38])
@pytest.mark.parametrize("place", [0, 16, 36])
def test_special_values(special: float, place: int, name: str) -> None:
    for dtype in TYPES:
        x, g = numbers((3, 37), dtype), numbers((3, 37), dtype, 1)
        x[1, place], x[2] = special, special
        assert_agrees(lambda x: FUNCTIONS[name](tg.asarray(x)).numpy(), x)
        if abs(special) < 1:
            assert_agrees(with_gradient(FUNCTIONS[name]), x, g, terms=37)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 2], ids=str)
def test_cross_entropy(
    shape: tuple[int, int], reduction: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [count_calls(monkeypatch, f"cross_entropy{end}") for end in ("", "_backward")]
    target = np.random.default_rng(1).integers(0, shape[1], shape[0])
    assert_agrees(lambda x, t: cross_entropy(x, t, reduction), numbers(shape, dtype), target)
    assert all(calls)


def test_cross_entropy_of_the_channels_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [count_calls(monkeypatch, f"cross_entropy{end}") for end in ("", "_backward")]
    x = numbers((3, 5, 4, 10), np.float32).transpose(0, 3, 1, 2)
    target = np.random.default_rng(1).integers(0, 10, (3, 5, 4))
    for reduction in ("mean", "none"):
        assert_agrees(lambda x, t, r=reduction: cross_entropy(x, t, r), x, target, terms=10)
    assert all(calls)
    assert_agrees(cross_entropy, np.ascontiguousarray(x), target, terms=10)


def test_cross_entropy_of_one_example() -> None:
    assert_agrees(cross_entropy, numbers(7, np.float32), np.array(3), terms=7)


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
    q, k, v = (x.astype(np.float64) for x in heads(rows, columns))  # float32 has its own kernel
    assert_agrees(lambda q, k, v: attention(q, k, v, None, causal), q, k, v, terms=99 * columns)
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
        ("softmax", [np.ones((4, 5)), ROWS.copy()], "arrays of one type"),
        ("log_softmax_backward", [ROWS[:3], ROWS, ROWS.copy()], "contiguous arrays of 20"),
        ("softmax_backward", [ROWS, ROWS, ROWS.T], "contiguous arrays of 20"),
        (
            "cross_entropy_backward",
            [ROWS, np.full(4, 5), None, 1.0, ROWS.copy()],
            "out of range",
        ),
        (
            "cross_entropy_backward",
            [ROWS, np.ones(4, int), np.ones(3, "f"), 1.0, ROWS.copy()],
            "of 4 numbers",
        ),
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
