"""Ties, zeros, NaN, nothing at all, and axes that do not exist, in reductions and running sums."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

INF, NAN = math.inf, math.nan


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def slope(fn: Any, values: Any) -> Any:
    x = leaf(values)
    (gradient,) = tg.grad(fn(x).sum(), x)
    return gradient.tolist()


# ------------------------------------------------------------------------------ large sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, (0, 2, 3), (-1, 2), (3, 0, 2), (1, 2), None])
@pytest.mark.parametrize("last", [1, 3])
def test_sums_of_large_arrays_in_any_memory_order(dtype: Any, axis: Any, last: int) -> None:
    integers = np.random.default_rng(0).integers(-8, 9, (8, 24, 16, 12))  # so sums are exact
    pixels = np.moveaxis(np.moveaxis(integers, 1, last).astype(dtype, order="C"), last, 1)
    x = tg.asarray(pixels)
    for keepdims in (False, True):
        out = x.sum(axis, keepdims=keepdims)
        wanted = integers.sum(axis, keepdims=keepdims)
        assert out.dtype == dtype
        assert out.shape == wanted.shape
        assert (out.numpy() == wanted).all()
        share = wanted.size / integers.size
        np.testing.assert_allclose(x.mean(axis, keepdims=keepdims).numpy(), wanted * share, 1e-6)


def test_axes_of_large_arrays_are_checked_as_those_of_small_ones() -> None:
    x = tg.zeros((200, 100))
    for axis in (2, (0, 0), (0, -3)):
        with pytest.raises((ValueError, IndexError), match="axis"):
            x.sum(axis)


# ----------------------------------------------------------------------------- ties and NaN


@pytest.mark.parametrize(("fn", "sign"), [(tg.max, 1.0), (tg.min, -1.0)])
def test_ties_along_one_axis_go_to_the_first_else_are_split(fn: Any, sign: float) -> None:
    x = sign * np.array([[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]])
    assert slope(lambda t: fn(t, axis=1), x) == [[0, 1, 0], [1, 0, 0]]
    assert slope(lambda t: fn(t, axis=np.int64(-1), keepdims=True), x) == [[0, 1, 0], [1, 0, 0]]
    assert slope(fn, x) == [[0, 0.25, 0.25], [0.25, 0, 0.25]]
    assert slope(lambda t: fn(t, axis=(0, 1)), x) == [[0, 0.25, 0.25], [0.25, 0, 0.25]]


@pytest.mark.parametrize("fn", [tg.max, tg.min])
def test_the_extreme_of_nan_is_nan_and_nan_gets_the_gradient(fn: Any) -> None:
    x = [[1.0, NAN], [2.0, 3.0]]
    assert math.isnan(fn(leaf(x)).item())
    assert slope(fn, x) == [[0.0, 1.0], [0.0, 0.0]]
    assert slope(lambda t: fn(t, axis=1).sum(), x)[0] == [0.0, 1.0]


def test_the_maximum_of_nothing_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"max: .*\(0,\).*zero-size"):
        tg.max(tg.zeros(0))
    assert tg.max(tg.zeros((0, 3)), axis=1).shape == (0,)


@pytest.mark.parametrize("fn", [tg.sum, tg.mean, tg.max, tg.min, tg.prod, tg.logsumexp, tg.std])
@pytest.mark.parametrize("axis", [0, -1, None, ()])
def test_a_number_is_reduced_along_any_axis(fn: Any, axis: Any) -> None:
    if axis == () and fn in (tg.max, tg.min):
        pytest.skip("NumPy's max of no axes keeps the number as it is: covered by None")
    x = leaf(2.0)
    out = fn(x, axis=axis)
    assert out.shape == ()
    assert out.item() == pytest.approx(0.0 if fn is tg.std else 2.0)
    (gradient,) = tg.grad(out, x)
    assert gradient.item() == pytest.approx(0.0 if fn is tg.std else 1.0)


# ------------------------------------------------------------------------ nothing to reduce


def test_reductions_of_nothing() -> None:
    nothing = leaf([])
    assert tg.sum(nothing).item() == 0.0
    assert tg.prod(nothing).item() == 1.0
    assert math.isnan(tg.mean(nothing).item())
    assert math.isnan(tg.var(nothing).item())
    assert math.isnan(tg.std(nothing).item())
    assert tg.logsumexp(nothing).item() == -INF
    assert not tg.any(nothing).item()
    assert tg.all(nothing).item()
    for fn in (tg.sum, tg.prod, tg.mean, tg.var, tg.std, tg.logsumexp):
        assert slope(fn, []) == []
        assert fn(tg.zeros((2, 0)), axis=1).shape == (2,)
        assert fn(tg.zeros((0, 3)), axis=1, keepdims=True).shape == (0, 1)


def test_variance_without_degrees_of_freedom_is_nan() -> None:
    for fn in (tg.var, tg.std):
        assert math.isnan(fn(leaf([3.0]), correction=1).item())
        assert math.isnan(fn(leaf([3.0, 4.0]), correction=2.5).item())
        assert np.isnan(slope(lambda t, fn=fn: fn(t, correction=1), [3.0])).all()


def test_correction_divides_by_n_minus_it() -> None:
    x = leaf([1.0, 2.0, 4.0, 9.0])
    assert tg.var(x, correction=1).item() == pytest.approx(np.var([1, 2, 4, 9], ddof=1))
    assert tg.std(x, correction=1).item() == pytest.approx(np.std([1, 2, 4, 9], ddof=1))


def test_the_standard_deviation_of_equal_numbers_has_gradient_0() -> None:
    assert slope(tg.std, [2.0, 2.0, 2.0]) == [0.0, 0.0, 0.0]
    rows = slope(lambda x: tg.std(x, axis=1), [[2.0, 2.0], [1.0, 3.0]])
    assert rows == [[0.0, 0.0], [-0.5, 0.5]]


def test_variance_is_exact_far_from_zero() -> None:
    x = leaf(1e8 + np.array([0.0, 1.0, 2.0]))
    assert tg.var(x).item() == pytest.approx(2 / 3, rel=1e-12)


# ------------------------------------------------------------------------------ products


def others(x: Any, *left_out: int) -> float:
    return math.prod(value for i, value in enumerate(x) if i not in left_out)


@pytest.mark.parametrize(
    "values",
    [[2.0, 3.0, 4.0], [2.0, 0.0, 3.0, 5.0], [0.0, 2.0, 0.0, 3.0], [0.0, 0.0, 0.0, 4.0], [7.0]],
)
def test_derivatives_of_prod_are_exact_with_zeros_at_every_order(values: list[float]) -> None:
    """∂ⁿΠ/∂xᵢ∂xⱼ… is the product of the elements that are not named, 0 where one is named twice."""
    x, n = leaf(values), len(values)
    (first,) = tg.grad(x.prod(), x, create_graph=True)
    assert first.tolist() == [others(values, i) for i in range(n)]
    for i in range(n):
        (second,) = tg.grad(first[i], x, create_graph=True)
        assert second.tolist() == [0.0 if j == i else others(values, i, j) for j in range(n)]
        for j in set(range(n)) - {i}:
            (third,) = tg.grad(second[j], x, retain_graph=True)
            wanted = [0.0 if k in (i, j) else others(values, i, j, k) for k in range(n)]
            assert third.tolist() == wanted


def test_prod_over_several_axes_with_zeros() -> None:
    x = leaf([[[2.0, 0.0], [3.0, 5.0]], [[0.0, 1.0], [0.0, 2.0]]])
    (gradient,) = tg.grad(tg.prod(x, axis=(0, 2)).sum(), x)
    assert gradient.tolist() == [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [30.0, 0.0]]]


def test_prod_of_many_numbers_is_differentiated_without_a_loop_over_them() -> None:
    x = leaf(np.linspace(0.9, 1.1, 3000))
    (gradient,) = tg.grad(x.prod(), x)
    np.testing.assert_allclose(gradient.numpy(), x.prod().item() / x.numpy(), rtol=1e-11)


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("values", [[2.0, 0.0, 3.0, 0.0, 5.0], [1.5], [0.5, 2.0, 4.0]])
def test_derivatives_of_cumulative_prod_are_exact_with_zeros(
    values: list[float], initial: bool
) -> None:
    x, n = leaf(values), len(values)
    out = tg.cumulative_prod(x, include_initial=initial)
    assert out.shape == (n + initial,)
    for end in range(n):
        (first,) = tg.grad(out[end + initial], x, create_graph=True)
        head = values[: end + 1]
        wanted = [others(head, i) if i <= end else 0.0 for i in range(n)]
        assert first.tolist() == wanted
        for i, j in itertools.permutations(range(end + 1), 2):
            (second,) = tg.grad(first[i], x, retain_graph=True)
            assert second[j].item() == others(head, i, j)


def test_running_sums_and_products_of_integers_and_of_nothing() -> None:
    assert tg.cumulative_sum(tg.tensor([1, 2, 3])).tolist() == [1, 3, 6]
    assert tg.cumulative_sum(tg.tensor([True, True])).tolist() == [1, 2]
    assert tg.cumulative_prod(tg.tensor([1, 2, 3]), include_initial=True).tolist() == [1, 1, 2, 6]
    assert tg.cumulative_sum(leaf([])).shape == (0,)
    assert tg.cumulative_sum(leaf([]), include_initial=True).tolist() == [0.0]
    assert tg.cumulative_prod(leaf([]), include_initial=True).tolist() == [1.0]
    for fn in (tg.cumulative_sum, tg.cumulative_prod):
        assert slope(lambda x, fn=fn: fn(x, include_initial=True), []) == []
        assert gradcheck(lambda x, fn=fn: fn(x, axis=1), leaf(np.zeros((0, 2))), order=2)


@pytest.mark.parametrize("fn", [tg.cumulative_sum, tg.cumulative_prod])
def test_a_matrix_needs_an_axis_to_run_along(fn: Any) -> None:
    with pytest.raises(
        ValueError, match=f"{fn.__name__}: axis is None; expected an axis of the 2 dimensions"
    ):
        fn(tg.zeros((2, 2)))
    with pytest.raises(IndexError, match=f"{fn.__name__}: axis 2 is out of range"):
        fn(tg.zeros((2, 2)), axis=2)


# ---------------------------------------------------------------------------- logsumexp


def test_logsumexp_neither_overflows_nor_warns() -> None:
    assert tg.logsumexp(leaf([1000.0, 1000.0])).item() == pytest.approx(1000 + math.log(2))
    assert tg.logsumexp(leaf([-1000.0, -1000.0])).item() == pytest.approx(-1000 + math.log(2))
    assert slope(tg.logsumexp, [1e5, 0.0]) == [1.0, 0.0]
    assert tg.logsumexp(leaf([INF, 1.0])).item() == INF


def test_logsumexp_of_minus_infinities_has_gradient_0() -> None:
    assert tg.logsumexp(leaf([-INF, -INF])).item() == -INF
    assert slope(tg.logsumexp, [-INF, -INF]) == [0.0, 0.0]
    rows = slope(lambda x: tg.logsumexp(x, axis=1), [[-INF, 0.0], [-INF, -INF]])
    assert rows == [[0.0, 1.0], [0.0, 0.0]]


# ------------------------------------------------------------------------------- axes


REDUCTIONS = [tg.sum, tg.mean, tg.var, tg.std, tg.max, tg.min, tg.prod, tg.logsumexp]


@pytest.mark.parametrize("fn", [*REDUCTIONS, tg.argmax, tg.any, tg.all])
def test_an_axis_that_does_not_exist_is_named(fn: Any) -> None:
    with pytest.raises(IndexError, match=f"{fn.__name__}: .*axis 2 is out of bounds"):
        fn(tg.zeros((2, 3)), axis=2)


@pytest.mark.parametrize("fn", [*REDUCTIONS, tg.argmax, tg.any, tg.all])
def test_a_list_of_axes_is_refused_by_name(fn: Any) -> None:
    with pytest.raises(TypeError, match=f"{fn.__name__}: .*axis.*\\[0, 1\\]"):
        fn(tg.ones((2, 3)), axis=[0, 1])


@pytest.mark.parametrize("fn", REDUCTIONS)
def test_an_axis_named_twice_is_refused(fn: Any) -> None:
    with pytest.raises(ValueError, match=f"{fn.__name__}: .*duplicate"):
        fn(tg.ones((2, 3)), axis=(1, -1))


# ------------------------------------------------------------------------------- dtype=


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_a_dtype_is_that_of_the_elements_the_result_and_not_the_gradient(name):
    x = tg.tensor([1.5, 2.0, 3.0], requires_grad=True)
    wide = getattr(tg, name)(x, dtype=tg.float64)
    exact = getattr(tg, name)(tg.tensor([1.5, 2.0, 3.0], dtype=tg.float64))
    assert wide.dtype == np.float64
    assert wide.tolist() == exact.tolist()
    wide.sum().backward()
    assert x.grad.dtype == np.float32
    twin = tg.tensor([1.5, 2.0, 3.0], dtype=tg.float64, requires_grad=True)
    getattr(tg, name)(twin).sum().backward()
    assert x.grad.tolist() == twin.grad.tolist()
    whole = getattr(x, name)(dtype=tg.int32)  # of 1, 2, 3
    assert not whole.requires_grad
    assert whole.dtype == np.int32
    assert np.ravel(whole.numpy())[-1] == 6


def test_a_sum_of_float16_in_float64_is_not_rounded_before():
    x = tg.full((3,), 60000.0, dtype=tg.float16)
    assert x.sum(dtype=tg.float32).item() == 3 * 59999.0 + 3  # the nearest float16 is 60000


def test_integers_are_summed_and_multiplied_in_the_dtype_asked_for():
    i = tg.tensor([100, 100, 100], dtype=tg.uint8)
    assert i.sum(dtype=tg.float32).tolist() == 300.0
    assert i.sum(dtype=tg.uint8).tolist() == 300 % 256
    assert i.cumulative_sum(dtype=tg.float64).tolist() == [100.0, 200.0, 300.0]
    assert tg.prod(i, dtype=tg.float64).item() == 1e6
