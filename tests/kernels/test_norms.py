"""The kernels of the norms, forward and backward, along rows and along channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from native_kernels import (
    assert_agrees,
    computing,
    count_calls,
    layouts,
    needs_native,
    numbers,
    results_of,
    same_bits,
    with_special,
)

import tinygrad_gm as tg
from tinygrad_gm.kernels import native
from tinygrad_gm.kernels.norms import (
    normalize_channels,
    normalize_channels_backward,
    normalize_rows,
    normalize_rows_backward,
)

pytestmark = needs_native
DTYPES = [np.float32, np.float64]
ALL = (0, 1, 2)
Function = Callable[..., tuple[Any, ...]]


def along_rows(ndim: int = 1, centered: bool = True) -> Function:
    """The result, its statistics and all gradients."""

    def function(x: Any, g: Any, weight: Any = None, bias: Any = None) -> tuple[Any, ...]:
        shift = bias if centered else None
        out, (mean, inverse) = normalize_rows(np, x, weight, shift, ndim, 1e-5, centered)
        gradients = normalize_rows_backward(np, g, x, weight, mean, inverse, ALL, ndim)
        statistics = (mean, inverse) if centered else (inverse,)
        wanted = len([array for array in (x, weight, shift) if array is not None])
        return out, *statistics, *(a.astype(x.dtype) for a in gradients[:wanted])

    return function


def along_channels(groups: int | None = None) -> Function:
    """The result, its statistics and all gradients."""

    def function(
        x: Any, g: Any, weight: Any = None, bias: Any = None, mean_g: Any = None, var_g: Any = None
    ) -> tuple[Any, ...]:
        out, variance, residuals = normalize_channels(np, x, weight, bias, groups, 1e-5)
        gradients = normalize_channels_backward(
            np, g, x, weight, *residuals, ALL, groups, mean_g, var_g
        )
        return out, variance, *residuals[:2], *gradients

    return function


def channels_last(array: np.ndarray) -> np.ndarray:
    """The same numbers with the channels of a position as neighbours."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def assert_near(function: Function, *arrays: Any) -> None:
    """Results as in NumPy to rounding, where the scale of g/σ is up to 1/√eps ≈ 300."""
    with tg.kernels.use("numpy"):
        expected = results_of(function, arrays)
    with tg.kernels.use("native"):
        ours = results_of(function, arrays)
    tolerance = 2e3 * np.finfo(arrays[0].dtype).eps
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------------------------------- rows

ROWS = [(1, 7), (17, 16), (13, 31), (33, 64), (5, 127), (2, 1009), (700, 128)]
ROWS += [(3000, 17), (2, 20_000), (2, 3, 4, 5), (6000, 3)]


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_rows(shape: Any, centered: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch, "normalize_rows")
    calls_backward = count_calls(monkeypatch, "normalize_rows_backward")
    ndim = 1 if len(shape) == 2 else 2
    x, g = numbers(shape, dtype) * 3 + 1, numbers(shape, dtype, 1)
    weight, bias = numbers((2, *shape[-ndim:]), dtype, 2)
    assert_agrees(along_rows(ndim, centered), x, g, weight, bias, terms=x.size)
    assert_agrees(along_rows(ndim, centered), x, g, terms=x.size)
    assert calls
    assert calls_backward


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (3, 2), (4, 3)])
def test_rows_of_few_numbers(shape: Any, dtype: Any) -> None:
    """Their gradients are differences of nearly equal numbers."""
    assert_near(along_rows(), numbers(shape, dtype), numbers(shape, dtype, 1))


@pytest.mark.sweep
@pytest.mark.parametrize("g", layouts((12, 33), np.float32, 1))
@pytest.mark.parametrize("x", layouts((12, 33), np.float32))
def test_rows_in_other_memory_orders(x: np.ndarray, g: np.ndarray) -> None:
    assert_agrees(along_rows(), x, g, terms=x.size)


def test_rows_with_a_weight_in_another_memory_order() -> None:
    x, g, (weight, bias) = (
        numbers((9, 8), np.float32),
        numbers((9, 8), np.float32, 1),
        (numbers((2, 16), np.float32, 2)[:, ::2]),
    )
    assert_agrees(along_rows(), x, g, weight, bias, terms=x.size)


def test_rows_with_a_broadcast_gradient() -> None:
    x, g = numbers((50, 40), np.float32), np.broadcast_to(numbers((1, 40), np.float32, 1), (50, 40))
    assert_agrees(along_rows(), x, g, terms=x.size)


@pytest.mark.parametrize("centered", [True, False])
def test_special_values_in_rows(centered: bool) -> None:
    x, g = numbers((200, 31), np.float32), numbers((200, 31), np.float32, 1)
    weight, bias = numbers((2, 31), np.float32, 2)
    assert_agrees(along_rows(1, centered), with_special(x), g, weight, bias, terms=x.size)
    assert_agrees(along_rows(1, centered), x, with_special(g), weight, bias, terms=x.size)
    weight[3], bias[4] = np.inf, np.nan
    assert_agrees(along_rows(1, centered), x, g, weight, bias, terms=x.size)


def test_rows_with_a_mean_of_many_deviations() -> None:
    x, g = numbers((64, 500), np.float32) + 3000, numbers((64, 500), np.float32, 1)
    assert_agrees(along_rows(), x, g, terms=x.size)


def test_equal_numbers_in_a_row_become_the_bias() -> None:
    x = np.full((3, 333), 0.1, np.float32)
    out, (mean, _) = normalize_rows(np, x, None, np.ones(333, np.float32), 1, 1e-5, True)
    np.testing.assert_allclose(mean, 0.1, rtol=1e-6)
    np.testing.assert_allclose(out, 1, atol=1e-4)


@pytest.mark.parametrize("argnums", [(0,), (1,), (2,), (1, 2), (0, 2)])
def test_gradients_of_rows_one_by_one(argnums: Any) -> None:
    x, g = numbers((40, 50), np.float32), numbers((40, 50), np.float32, 1)
    weight, bias = numbers((2, 50), np.float32, 2)
    _, (mean, inverse) = normalize_rows(np, x, weight, bias, 1, 1e-5, True)
    args = np, g, x, weight, mean, inverse
    whole = normalize_rows_backward(*args, ALL, 1)
    some = normalize_rows_backward(*args, argnums, 1)
    for i in argnums:
        np.testing.assert_array_equal(some[i], whole[i])


# ------------------------------------------------------------------------------------ channels

CHANNELS = [(7, 1), (64, 10), (33, 128), (4, 3, 7), (3, 16, 9), (2, 1, 64)]
CHANNELS += [(5, 16, 8, 8), (2, 17, 5, 3), (3, 3, 5, 7), (2, 64, 6, 6), (4, 130, 7, 7)]
CHANNELS += [(2, 3, 150, 150), (2, 1, 129, 127), (6, 32, 32, 32), (2, 16, 3, 4, 5)]


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("shape", CHANNELS, ids=str)
def test_channels_of_a_batch(
    shape: Any, arranged: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, "normalize_channels")
    calls_backward = count_calls(monkeypatch, "normalize_channels_backward")
    x, g = arranged(numbers(shape, dtype) * 3 + 1), arranged(numbers(shape, dtype, 1))
    weight, bias, mean_g, var_g = numbers((4, shape[1]), dtype, 2)
    terms = max(16, x.size // shape[1])
    assert_agrees(along_channels(), x, g, weight, bias, mean_g, var_g, terms=terms)
    assert_agrees(along_channels(), x, g, terms=terms)
    assert calls
    assert calls_backward


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("shape", CHANNELS, ids=str)
def test_channels_in_groups(shape: Any, arranged: Any, dtype: Any) -> None:
    x, g = arranged(numbers(shape, dtype) * 3 + 1), arranged(numbers(shape, dtype, 1))
    weight, bias = numbers((2, shape[1]), dtype, 2)
    for groups in (1, 2, 8, 13, shape[1]):
        if shape[1] % groups or math.prod(shape[1:]) // groups < 7:
            continue
        terms = max(16, math.prod(shape))
        assert_agrees(along_channels(groups), x, g, weight, bias, terms=terms)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (2, 3), (3, 5, 2), (2, 64, 1, 1)])
def test_channels_of_few_numbers(shape: Any, dtype: Any) -> None:
    """Their gradients are differences of nearly equal numbers."""
    x, g = numbers(shape, dtype), numbers(shape, dtype, 1)
    for groups in (None, 1, shape[1]):
        assert_near(along_channels(groups), x, g)


@pytest.mark.sweep
@pytest.mark.parametrize("groups", [None, 2])
@pytest.mark.parametrize("g", layouts((3, 4, 5, 6), np.float32, 1))
@pytest.mark.parametrize("x", layouts((3, 4, 5, 6), np.float32))
def test_channels_in_other_memory_orders(x: np.ndarray, g: np.ndarray, groups: int | None) -> None:
    assert_agrees(along_channels(groups), x, g, terms=x.size)
    assert_agrees(along_channels(groups), channels_last(x), g, terms=x.size)


@pytest.mark.parametrize("groups", [None, 4])
@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
def test_special_values_in_channels_spread_as_in_numpy(arranged: Any, groups: int | None) -> None:
    shape = (20, 16, 9, 8)
    x, g = numbers(shape, np.float32), numbers(shape, np.float32, 1)
    weight, bias = numbers((2, 16), np.float32, 2)
    cases = [(with_special(x), g), (x, with_special(g))]
    for value in (np.nan, np.inf, 1e30, -1e-42):
        odd = numbers(shape, np.float32, 3)
        odd[3, 4, 5, 6] = value
        cases += [(odd, g), (x, odd)]
    for x, g in cases:
        assert_agrees(along_channels(groups), arranged(x), arranged(g), weight, bias, terms=x.size)


@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("groups", [None, 2])
def test_channels_with_a_mean_of_many_deviations(arranged: Any, groups: int | None) -> None:
    x = numbers((8, 6, 20, 20), np.float32) + 1000 * np.arange(6, dtype=np.float32)[:, None, None]
    g = arranged(numbers(x.shape, np.float32, 1))
    assert_agrees(along_channels(groups), arranged(x), g, terms=x.size)


@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
def test_variance_with_a_bright_border(arranged: Any) -> None:
    """The first rows say nothing about the mean of the others."""
    x = numbers((4, 16, 60, 60), np.float32) * 0.01
    x[:, :, :4] += 100
    x[0, 0, 0, 0] = 1e5
    with tg.kernels.use("native"):
        _, variance, _ = normalize_channels(np, arranged(x), None, None, None, 1e-5)
    exact = x.astype(np.float64).var((0, 2, 3))
    np.testing.assert_allclose(variance[0], exact, rtol=3e-6)


@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("value", [0.1, 1000.1, -3e-5])
def test_equal_numbers_in_a_channel_have_no_variance(arranged: Any, value: float) -> None:
    x = arranged(np.full((8, 17, 33, 9), value, np.float32))
    with tg.kernels.use("native"):
        out, variance, (mean, _, _) = normalize_channels(np, x, None, None, None, 1e-5)
    np.testing.assert_array_equal(variance, 0)
    np.testing.assert_array_equal(mean, np.float32(value))
    np.testing.assert_array_equal(out, 0)


@pytest.mark.parametrize("arranged", [np.ascontiguousarray, channels_last])
def test_the_memory_order_of_x_is_that_of_the_results(arranged: Any) -> None:
    x, g = arranged(numbers((3, 4, 5, 6), np.float32)), numbers((3, 4, 5, 6), np.float32, 1)
    with tg.kernels.use("native"):
        out, _, residuals = normalize_channels(np, x, None, None, None, 1e-5)
        x_gradient = normalize_channels_backward(np, g, x, None, *residuals, ALL, None)[0]
    assert out.strides == x_gradient.strides == x.strides


def test_without_a_gradient_of_x_the_others_are_the_same() -> None:
    x, g = numbers((3, 4, 5, 6), np.float32), numbers((3, 4, 5, 6), np.float32, 1)
    with computing(native.target(), 1):
        _, _, residuals = normalize_channels(np, x, None, None, None, 1e-5)
        whole = normalize_channels_backward(np, g, x, None, *residuals, ALL, None)
        rest = normalize_channels_backward(np, g, x, None, *residuals, (1, 2), None)
    assert rest[0] is None
    assert same_bits(list(rest[1:]), list(whole[1:]))


def test_the_statistics_of_one_path_go_back_in_the_other() -> None:
    x, g = numbers((6, 8, 5, 5), np.float32) + 5, numbers((6, 8, 5, 5), np.float32, 1)

    def function(forward: str, backward: str) -> Any:
        with tg.kernels.use(forward):
            _, _, residuals = normalize_channels(np, x, None, None, None, 1e-5)
        with tg.kernels.use(backward):
            return normalize_channels_backward(np, g, x, None, *residuals, ALL, None)

    expected = results_of(lambda: function("numpy", "numpy"), ())
    for choice in [("native", "numpy"), ("numpy", "native")]:
        for ours, theirs in zip(
            results_of(lambda c=choice: function(*c), ()), expected, strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_layers_call_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["rows", "rows_backward", "channels", "channels_backward"]
    calls = [count_calls(monkeypatch, f"normalize_{name}") for name in names]
    x = tg.tensor(numbers((4, 6, 5, 5), np.float32), requires_grad=True)
    layers = [tg.nn.BatchNorm2d(6), tg.nn.GroupNorm(3, 6), tg.nn.LayerNorm(5), tg.nn.RMSNorm(5)]
    layers += [tg.nn.InstanceNorm2d(6, affine=True)]
    with tg.kernels.use("native"):
        for layer in layers:
            layer(x).square().sum().backward()
    assert [len(made) for made in calls] == [2, 2, 3, 3]


# ------------------------------------------------------------------------- what entries refuse

F = np.float32
X, LONG, SHORT, TWO = np.ones((6, 4), F), np.ones(4, F), np.ones(3, F), np.ones((2, 4, 3), F)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((X, None, None, 5, 1e-5, True), "rows of 5 numbers out of 24"),
        ((X, None, None, 0, 1e-5, True), "rows of 0"),
        ((X, SHORT, None, 4, 1e-5, True), "expected weight of 4 numbers; got 3"),
        ((X, None, SHORT, 4, 1e-5, True), "expected bias of 4 numbers; got 3"),
        ((X, np.ones(4), None, 4, 1e-5, True), "one type"),
        ((X, None, None, 4), "too few"),
    ],
)
def test_rows_refuse_what_they_could_read_outside_of(args: Any, error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        native.normalize_rows(*args)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({0: np.ones((6, 5), F)}, "g and x have different shapes"),
        ({0: np.ones(24, F)}, "g and x have different shapes"),
        ({2: SHORT}, "expected weight of 4 numbers; got 3"),
        ({3: SHORT}, "expected mean of 6 numbers; got 3"),
        ({4: SHORT}, "expected inverse of 6 numbers; got 3"),
        ({5: 5}, "rows of 5"),
        ({5: "four"}, "integer"),
    ],
)
def test_rows_backward_refuse_what_they_could_read_outside_of(change: Any, error: str) -> None:
    args = [X, X, LONG, np.ones(6, F), np.ones(6, F), 4, True, True]
    native.normalize_rows_backward(*args)
    for place, value in change.items():
        args[place] = value
    with pytest.raises((ValueError, TypeError), match=error):
        native.normalize_rows_backward(*args)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((LONG, None, None, 0, 1e-5, 16.0), "expected an array \\(N, C, ...\\)"),
        ((np.ones((0, 4), F), None, None, 0, 1e-5, 16.0), "expected an array \\(N, C, ...\\)"),
        ((TWO, SHORT, None, 0, 1e-5, 16.0), "expected weight of 4 numbers; got 3"),
        ((TWO, None, SHORT, 0, 1e-5, 16.0), "expected bias of 4 numbers; got 3"),
        ((TWO, None, None, 3, 1e-5, 16.0), "3 groups of 4 channels"),
        ((TWO, None, None, -1, 1e-5, 16.0), "-1 groups"),
        ((TWO, None, None, 8, 1e-5, 16.0), "8 groups"),
    ],
)
def test_channels_refuse_what_they_could_read_outside_of(args: Any, error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        native.normalize_channels(*args)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({0: np.ones((2, 3, 4), F)}, "g and x have different shapes"),
        ({2: SHORT}, "expected weight of 4 numbers; got 3"),
        ({3: SHORT}, "expected mean of 8 numbers; got 3"),
        ({4: LONG}, "expected inverse of 8 numbers; got 4"),
        ({6: SHORT}, "expected gradient of the mean of 4 numbers; got 3"),
        ({7: SHORT}, "expected gradient of the variance of 4 numbers; got 3"),
        ({8: 3}, "3 groups"),
    ],
)
def test_channels_backward_refuse_what_they_could_read_outside_of(change: Any, error: str) -> None:
    args = [TWO, TWO, LONG, np.ones((2, 4), F), np.ones((2, 4), F), False, None, None, 2, True]
    native.normalize_channels_backward(*args)
    for place, value in change.items():
        args[place] = value
    with pytest.raises((ValueError, TypeError), match=error):
        native.normalize_channels_backward(*args)
