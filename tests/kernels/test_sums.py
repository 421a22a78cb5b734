"""Sums over any axes, means, variances, and the sums that undo broadcasting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from native_kernels import (
    SIZES,
    TARGETS,
    THREADS,
    assert_agrees,
    computing,
    count_calls,
    layouts,
    needs_native,
    numbers,
    results_of,
    same_bits,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native
from tinygrad_gm.kernels.summation import summed

pytestmark = needs_native
TYPES = [np.float32, np.float64]
SHAPES: list[tuple[tuple[int, ...], list[Any]]] = [
    ((1,), [0, None]),
    ((7, 1, 5), [0, 1, 2, (0, 1), None]),
    ((768, 512), [0, 1, None]),
    ((768, 65), [0, 1]),
    ((4, 9, 5, 3), [0, 1, 2, 3, (0, 2), (1, 3), (0, 2, 3), (3, 0), None]),
    ((8, 28, 28, 16), [(0, 1, 2), (1, 2), 3]),
    ((3, 20_000, 7), [1, (0, 2), (0, 1)]),
    ((5000, 3), [0, 1]),
    ((2, 3000), [0, 1]),
    ((65, 1031), [0, 1]),
]
CASES = [pytest.param(s, axis, id=f"{s}-{axis}") for s, axes in SHAPES for axis in axes]


def terms_of(shape: tuple[int, ...], axis: Any) -> int:
    """How many numbers a sum is of."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return math.prod(shape[a] for a in axes)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_sum(shape: tuple[int, ...], axis: Any, dtype: Any, monkeypatch: Any) -> None:
    calls, x = count_calls(monkeypatch, "sum"), numbers(shape, dtype)
    turned = np.asfortranarray(x)
    for keepdims in (False, True):
        for array in (x, turned):
            terms = terms_of(shape, axis)
            assert_agrees(lambda x, k=keepdims: summed(np, x, axis, k), array, terms=terms)
    assert calls


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_sums_of_positive_numbers_have_a_small_error(
    shape: tuple[int, ...], axis: Any, dtype: Any
) -> None:
    x = np.random.default_rng(3).random(shape).astype(dtype)
    exact = x.astype(np.longdouble).sum(axis)
    for target in TARGETS:
        with computing(target, 2):
            error = abs(summed(np, x, axis).astype(np.longdouble) / exact - 1)
            assert error.max() < 3 * np.finfo(dtype).eps, target


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [*SIZES, 1 << 20])
def test_sum_of_all_numbers(size: int, dtype: Any) -> None:
    assert_agrees(lambda x: summed(np, x), numbers(size, dtype), terms=size)
    x = np.full(size, 1.1, dtype)  # as right as one rounding: the sum of blocks has no error
    exact = math.fsum(x.tolist()) if size < 1 << 17 else float(x[0]) * size
    for target in TARGETS:
        with computing(target, 2):
            assert abs(float(summed(np, x)) - exact) <= 4 * np.spacing(dtype(exact))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_sums_of_many_equal_numbers_keep_their_digits(axis: int, dtype: Any) -> None:
    x = np.full((1 << 21, 3) if axis == 0 else (3, 1 << 21), 0.1, dtype)
    for target in TARGETS:
        with computing(target, 2):
            error = summed(np, x, axis).astype(np.longdouble) / (np.longdouble(x[0, 0]) * (1 << 21))
            assert abs(error - 1).max() < 4 * np.finfo(dtype).eps, target


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, (0, 2), None, (2,), -1, (-1, 1)])
@pytest.mark.parametrize("x", layouts((33, 7, 5), np.float32))
def test_memory_orders(x: np.ndarray, axis: Any, dtype: Any) -> None:
    x = x.astype(dtype, copy=False) if dtype == np.float32 else x.astype(dtype)
    assert_agrees(lambda x: summed(np, x, axis), x, terms=x.size)
    assert_agrees(lambda x: tg.var(tg.asarray(x), axis).numpy(), x, terms=4)


def test_the_result_has_the_memory_order_of_what_is_kept() -> None:
    x = numbers((6, 4, 3, 5), np.float32).transpose(1, 3, 0, 2)
    for axis in (0, 1, (1, 2), (0, 3)):
        with tg.kernels.use("numpy"):
            expected = np.add.reduce(x, axis)
        assert summed(np, x, axis).strides == expected.strides


def test_a_sum_over_all_axes_is_a_number_as_in_numpy() -> None:
    x = numbers((3, 4), np.float32)
    assert type(summed(np, x)) is type(np.add.reduce(x, None)) is np.float32
    assert summed(np, x, None, True).shape == (1, 1)


@pytest.mark.parametrize("axis", [2, -3, (0, 0), (0, -2), "a", 0.5])
def test_wrong_axes_are_refused_by_numpy(axis: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        summed(np, np.ones((2, 3), "f"), axis)
    assert native.sum(np.ones((2, 3), "f"), axis, False) is None


@pytest.mark.sweep
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 1e-42, -0.0, 3e38])
@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("size", [3, 300])
def test_special_values(special: float, axis: Any, size: int) -> None:
    for dtype in TYPES:
        x = numbers((size, 37), dtype)
        x[1, 5] = special
        assert_agrees(lambda x: summed(np, x, axis), x, terms=x.size)
        x[2, 5] = -np.inf
        assert_agrees(lambda x: summed(np, x, axis), x, terms=x.size)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_variance(shape: tuple[int, ...], axis: Any, dtype: Any) -> None:
    x = numbers(shape, dtype)
    for values in (x, x + dtype(1000), np.asfortranarray(x)):
        assert_agrees(lambda x: tg.var(tg.asarray(x), axis).numpy(), values, terms=4)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_the_variance_of_equal_numbers_is_0(axis: Any, dtype: Any) -> None:
    for shape in ((7, 5), (300, 130), (3000, 4)):
        x = np.full(shape, 1.1, dtype)
        for target in TARGETS:
            with computing(target, 1):
                assert not tg.var(tg.asarray(x), axis).numpy().any()


@pytest.mark.parametrize("dtype", TYPES)
def test_gradients_of_what_was_broadcast_are_summed(dtype: Any, monkeypatch: Any) -> None:
    calls = count_calls(monkeypatch, "sum")

    def run(x: np.ndarray, bias: np.ndarray, column: np.ndarray) -> list[np.ndarray]:
        tensors = [tg.asarray(a).requires_grad_() for a in (x, bias, column)]
        out = tensors[0] * tensors[1] + tensors[2]
        (out * out).sum().backward()
        return [t.grad.numpy() for t in tensors]

    shapes = (40, 30, 17), (17,), (40, 1, 1)
    x, bias, column = (numbers(s, dtype, i) for i, s in enumerate(shapes))
    assert_agrees(run, x, bias, column, terms=1200)
    assert calls


@pytest.mark.parametrize("axis", [0, 1, (0, 2), None])
def test_a_view_from_any_number_on_has_the_same_bits(axis: Any) -> None:
    memory = numbers(70 * 41 * 6 + 9, np.float32)
    for threads in THREADS:
        with computing(TARGETS[0], threads):
            first = memory[: 70 * 41 * 6].reshape(70, 41, 6)
            for start in (1, 2, 9):
                moved = np.empty_like(memory)[start : start + first.size].reshape(first.shape)
                moved[...] = first
                ours = results_of(lambda x: summed(np, x, axis), (first,))
                assert same_bits(ours, [np.asarray(summed(np, moved, axis))])


@pytest.mark.parametrize("name", ["sum", "squared_deviations"])
def test_a_kernel_refuses_what_it_does_not_know(name: str) -> None:
    kernel = getattr(native, name)
    with pytest.raises(TypeError, match="too few"):
        kernel(np.ones(3, "f"), None)
    with pytest.raises(TypeError, match="expected float32 or float64"):
        kernel(np.ones(3, int), None, False)
    assert kernel(np.ones((4, 4), "f")[:, ::2], 0, False) is None
    assert kernel(np.broadcast_to(np.ones(3, "f"), (4, 3)), 0, False) is None
    assert kernel(np.ones((0, 3), "f"), 0, False) is None
