"""What elementwise operations do at kinks, ties, poles and limits, and how dtypes come together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

INF, NAN = math.inf, math.nan


def slopes(fn: Any, *values: Any) -> list[Any]:
    """The gradients of the sum of fn in float64 arguments, as nested lists."""
    xs = [tg.tensor(value, dtype=tg.float64, requires_grad=True) for value in values]
    return [g.tolist() for g in tg.grad(fn(*xs).sum(), xs)]


# ---------------------------------------------------------------------- kinks and ties


def test_relu_has_slope_0_at_0() -> None:
    assert slopes(tg.relu, [-1.0, 0.0, 2.0]) == [[0.0, 0.0, 1.0]]


def test_leaky_relu_has_its_negative_slope_at_0() -> None:
    assert slopes(lambda x: tg.leaky_relu(x, 0.25), [-1.0, 0.0, 2.0]) == [[0.25, 0.25, 1.0]]


def test_abs_and_sign_have_slope_0_at_0() -> None:
    assert slopes(tg.abs, [-3.0, 0.0, 2.0]) == [[-1.0, 0.0, 1.0]]
    assert slopes(tg.sign, [-3.0, 0.0, 2.0]) == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("fn", [tg.floor, tg.ceil, tg.round, lambda x: x // 0.3])
def test_steps_have_slope_0(fn: Any) -> None:
    assert slopes(fn, [-1.0, 0.2, 2.0]) == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("fn", [tg.maximum, tg.minimum])
def test_a_tie_of_maximum_and_minimum_gives_half_to_each(fn: Any) -> None:
    assert slopes(fn, [1.0, 2.0], [1.0, 2.0]) == [[0.5, 0.5], [0.5, 0.5]]


def test_a_tie_with_oneself_gives_the_whole() -> None:
    assert slopes(lambda x: tg.maximum(x, x), [1.0, 2.0]) == [[1.0, 1.0]]


def test_clip_passes_1_at_its_edges() -> None:
    assert slopes(lambda x: tg.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]) == [[0, 1, 1, 1, 0]]


def test_clip_gives_the_gradient_outside_to_its_bounds() -> None:
    x, low, high = [-2.0, 0.0, 2.0], [-1.0] * 3, [1.0] * 3
    assert slopes(tg.clip, x, low, high) == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_clip_with_crossed_bounds_is_its_maximum() -> None:
    x, low, high = [-2.0, 0.0, 2.0], [1.0] * 3, [-1.0] * 3
    assert tg.clip(x, low, high).tolist() == [-1.0, -1.0, -1.0]
    assert slopes(tg.clip, x, low, high) == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_clip_without_bounds_changes_nothing() -> None:
    assert tg.clip([-2.0, 2.0]).tolist() == [-2.0, 2.0]
    assert slopes(tg.clip, [-2.0, 2.0]) == [[1.0, 1.0]]


# --------------------------------------------------------------------------- powers


def test_the_derivative_in_the_exponent_is_0_at_base_0() -> None:
    assert slopes(tg.pow, [0.0, 0.0], [2.0, 0.0])[1] == [0.0, 0.0]
    assert slopes(lambda y: 0.0**y, [2.0]) == [[0.0]]


def test_the_derivative_in_the_base_is_0_where_the_exponent_is_0() -> None:
    assert slopes(lambda x: x**0, [0.0, 2.0]) == [[0.0, 0.0]]
    assert slopes(tg.pow, [0.0, 2.0], [0.0, 0.0])[0] == [0.0, 0.0]


def test_powers_of_zero() -> None:
    assert slopes(lambda x: x**1, [0.0]) == [[1.0]]
    assert slopes(lambda x: x**2, [0.0]) == [[0.0]]
    assert slopes(lambda x: x**3.0, [0.0]) == [[0.0]]


def test_integer_powers_of_negative_numbers() -> None:
    assert slopes(lambda x: x**2, [-3.0]) == [[-6.0]]
    assert slopes(lambda x: x**3, [-2.0]) == [[12.0]]
    assert slopes(lambda x: x**-1, [-2.0]) == [[-0.25]]
    assert slopes(lambda x: x**4, [-2.0]) == [[-32.0]]


@pytest.mark.parametrize("exponent", [1, 2, 3, -1, 0.5, -0.5, 4])
def test_short_cuts_of_pow_equal_numpy(exponent: float) -> None:
    x = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(tg.pow(x, exponent).numpy(), np.power(x, exponent), rtol=1e-15)


def test_a_number_to_a_power_keeps_float64_at_every_order() -> None:
    y = tg.tensor([0.3, 1.7], dtype=tg.float64, requires_grad=True)
    (first,) = tg.grad((2.0**y).sum(), y, create_graph=True)
    (second,) = tg.grad(first.sum(), y)
    np.testing.assert_allclose(second.numpy(), 2.0 ** y.numpy() * math.log(2.0) ** 2, rtol=1e-15)


@pytest.mark.parametrize("number", [np.float32(2.0), np.float64(2.0), np.int8(2), 2])
def test_a_numpy_scalar_is_a_number_at_every_order(number: Any) -> None:
    x = tg.tensor([0.3, 1.7], dtype=tg.float64, requires_grad=True)
    assert gradcheck(lambda x: x**number * number / (x + number), x, order=3)
    (first,) = tg.grad((x**number).sum(), x, create_graph=True)
    np.testing.assert_allclose(first.numpy(), 2 * x.numpy(), rtol=1e-15)


# ------------------------------------------------------------------- limits and poles


def test_sigmoid_neither_overflows_nor_warns() -> None:
    values = tg.sigmoid(tg.tensor([-1e30, -1000.0, 0.0, 1000.0, INF])).numpy()
    np.testing.assert_allclose(values, [0.0, 0.0, 0.5, 1.0, 1.0], atol=1e-30)
    small = tg.sigmoid(tg.tensor([-60.0, 60.0], dtype=tg.float16)).numpy()
    np.testing.assert_allclose(small, [0.0, 1.0], atol=1e-4)


def test_logaddexp_of_infinities() -> None:
    assert tg.logaddexp([-INF, -INF, 1000.0], [-INF, 0.0, 1000.0]).round(3).tolist() == [
        -INF,
        0.0,
        pytest.approx(1000.693, abs=1e-3),
    ]
    assert slopes(tg.logaddexp, [-INF, -INF], [-INF, 0.0]) == [[0.0, 0.0], [0.0, 1.0]]


def test_logaddexp_of_equal_numbers_has_a_second_derivative() -> None:
    x, y = (tg.tensor([0.0, 3.0], requires_grad=True) for _ in range(2))
    (slope,) = tg.grad(tg.logaddexp(x, y).sum(), x, create_graph=True)
    curvature = [d.tolist() for d in tg.grad(slope.sum(), [x, y])]
    assert curvature == [[0.25, 0.25], [-0.25, -0.25]]


def test_exactness_near_zero() -> None:
    assert tg.expm1(tg.tensor(1e-10, dtype=tg.float64)).item() == pytest.approx(1e-10, rel=1e-9)
    assert tg.log1p(tg.tensor(1e-10, dtype=tg.float64)).item() == pytest.approx(1e-10, rel=1e-9)


def test_atan2_knows_the_quadrant() -> None:
    angle = tg.atan2([1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]).numpy()
    np.testing.assert_allclose(angle, np.pi * np.array([0.25, 0.75, -0.25, -0.75]), rtol=1e-6)


def test_remainder_has_the_sign_of_the_divisor() -> None:
    assert tg.remainder([5.0, -5.0], [3.0, 3.0]).tolist() == [2.0, 1.0]
    assert (tg.tensor([5, -5]) % -3).tolist() == [-1, -2]


def test_the_other_branch_of_where_sends_nan_as_its_docstring_says() -> None:
    x = tg.tensor([0.0], requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        tg.where(x >= 0, x, tg.sqrt(-x)).sum().backward()
    assert math.isnan(x.grad.item())
    assert "another `where`" in (tg.where.__doc__ or "")

    x.grad = None
    inner = tg.where(x < 0, -x, 1.0)
    tg.where(x >= 0, x, tg.sqrt(inner)).sum().backward()
    assert x.grad.tolist() == [1.0]


# --------------------------------------------------------------------------- promotion


def dtype_of(value: Any) -> Any:
    assert isinstance(value, tg.Tensor)
    return value.dtype


SINGLE, DOUBLE = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.0], dtype=tg.float64)
HALF, INTS = tg.tensor([1.0, 2.0], dtype=tg.float16), tg.tensor([1, 2])
TRUTHS = tg.tensor([True, True])


@pytest.mark.parametrize(
    "number",
    [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(2), np.bool_(True), np.sqrt(2)],
    ids=lambda number: f"{type(number).__name__}({number})",
)
@pytest.mark.parametrize("x", [HALF, SINGLE, DOUBLE], ids=lambda x: str(x.dtype))
def test_scalars_never_widen(x: Any, number: Any) -> None:
    results = [x + number, number + x, x * number, x / number, number / x, x - number, x**number]
    results += [tg.maximum(x, number), tg.where(x > 1, x, number), tg.clip(x, number, None)]
    assert {dtype_of(result) for result in results} == {x.dtype}


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (SINGLE, DOUBLE, tg.float64),
        (HALF, SINGLE, tg.float32),
        (SINGLE, INTS, tg.float32),
        (HALF, INTS, tg.float16),
        (DOUBLE, INTS, tg.float64),
        (TRUTHS, SINGLE, tg.float32),
        (INTS, INTS, tg.int64),
        (INTS, tg.tensor([1, 2], dtype=tg.int8), tg.int64),
        (TRUTHS, INTS, tg.int64),
        (SINGLE, np.array([1.0, 2.0]), tg.float64),  # an array is not a scalar
        (SINGLE, np.array([1, 2]), tg.float32),
        (SINGLE, [1.0, 2.0], tg.float32),
    ],
)
def test_promotion_of_two_arrays(x: Any, y: Any, wanted: Any) -> None:
    for fn in (tg.add, tg.multiply, tg.maximum, tg.floor_divide, tg.remainder):
        assert dtype_of(fn(x, y)) == wanted, fn
        assert dtype_of(fn(y, x)) == wanted, fn
    for fn in (lambda a, b: tg.concat([a, b]), lambda a, b: tg.where([True, False], a, b)):
        assert dtype_of(fn(x, y)) == wanted


@pytest.mark.parametrize(
    "fn",
    [
        tg.exp,
        tg.sqrt,
        tg.mean,
        tg.std,
        tg.softmax,
        tg.log_softmax,
        tg.logsumexp,
        tg.sigmoid,
        lambda x: x / 2,
        lambda x: x / x,
        lambda x: x * 0.5,
        lambda x: x + 0.5,
        lambda x: x**-1,
    ],
)
@pytest.mark.parametrize("dtype", [tg.int8, tg.int32, tg.int64, tg.uint8])
def test_a_floating_result_of_integers_has_the_default_dtype(fn: Any, dtype: Any) -> None:
    ints = tg.tensor([1, 2, 5], dtype=dtype)
    assert dtype_of(fn(ints)) == tg.float32
    np.testing.assert_allclose(fn(ints).numpy(), fn(ints.astype(tg.float64)).numpy(), rtol=1e-6)
    tg.set_default_dtype(tg.float64)
    try:
        assert dtype_of(fn(ints)) == tg.float64
    finally:
        tg.set_default_dtype(tg.float32)


def test_integers_and_truth_values_stay_what_they_are() -> None:
    assert dtype_of(INTS + 1) == tg.int64
    assert dtype_of(INTS.sum()) == tg.int64
    assert dtype_of(TRUTHS & TRUTHS) == tg.bool
    assert dtype_of(INTS > 1) == tg.bool
    assert dtype_of(TRUTHS.sum()) == tg.int64


def test_gradients_come_back_in_the_dtype_of_their_own_tensor() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.tensor([3.0, 4.0], dtype=tg.float64, requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (tg.float32, tg.float64)
    assert x.grad.tolist() == [3.0, 4.0]


def test_gradients_flow_through_a_change_of_dtype() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x.astype(tg.float64) ** 2).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (tg.float32, [2.0, 4.0])
    assert not x.astype(tg.int64).requires_grad


def test_an_array_times_a_tensor_is_a_tensor_that_records() -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    for fn in (
        lambda a: a * t,
        lambda a: a + t,
        lambda a: a - t,
        lambda a: a / t,
        lambda a: a @ t,
        lambda a: a**t,
    ):
        for array in (np.array([2.0, 3.0], np.float32), np.array([2.0, 3.0])):
            result = fn(array)
            assert dtype_of(result) == array.dtype
            assert result.requires_grad
    product = np.array([2.0, 3.0], np.float32) * t
    product.sum().backward()
    assert t.grad.tolist() == [2.0, 3.0]
    assert dtype_of(np.float64(2.0) * t) == tg.float32
    assert dtype_of(np.array([1.0, 2.0]) == t) == tg.bool


@pytest.mark.parametrize(
    ("ufunc", "name"), [(np.exp, "tg.exp"), (np.arcsin, "tg.asin"), (np.absolute, "tg.abs")]
)
def test_numpy_functions_refuse_tensors_and_name_ours(ufunc: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        ufunc(tg.tensor([1.0]))
