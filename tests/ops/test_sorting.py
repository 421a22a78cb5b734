"""Sorting, searching, counting and differences: values, ties, NaN, gradients and refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def test_equal_elements_keep_their_order_in_both_directions() -> None:
    x = tg.tensor([1.0, 0.0, 1.0, 0.0])
    assert tg.argsort(x).tolist() == [1, 3, 0, 2]
    assert tg.argsort(x, descending=True).tolist() == [0, 2, 1, 3]
    assert tg.topk(x, 3)[1].tolist() == [0, 2, 1]
    assert tg.topk(x, 1, largest=False)[1].tolist() == [1]


def test_nan_is_the_largest() -> None:
    x = tg.tensor([math.nan, 1.0, math.inf])
    assert tg.argsort(x).tolist() == [1, 2, 0]
    assert tg.argsort(x, descending=True).tolist() == [0, 2, 1]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_gradients_of_sorted_values_return_to_their_places(axis: int, descending: bool) -> None:
    x = leaf(np.random.default_rng(0).permutation(12).reshape(3, 4))
    weights = np.arange(12.0).reshape(3, 4) ** 2
    (x.sort(axis, descending) * weights).sum().backward()
    order = np.argsort(-x.numpy() if descending else x.numpy(), axis)
    wanted = np.zeros((3, 4))
    np.put_along_axis(wanted, order, weights, axis)
    np.testing.assert_array_equal(x.grad.numpy(), wanted)


def test_gradients_of_topk_flow_through_its_values_only() -> None:
    x = leaf([[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]])
    values, indices = tg.topk(x, 2)
    assert values.tolist() == [[3.0, 2.0], [6.0, 5.0]]
    assert indices.tolist() == [[0, 2], [1, 2]]
    assert not indices.requires_grad
    (values * tg.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 10.0], [0.0, 1.0, 10.0]]
    assert gradcheck(lambda t: tg.topk(t * t, 2, axis=0)[0], x, order=2)


def test_nonzero_and_unique_are_numpys() -> None:
    x = np.array([[3, 0, 3], [0, 1, 3]])
    for ours, numpys in zip(tg.nonzero(x), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys)
    for axis in (None, 0, -1):
        found = tg.unique(tg.tensor(x), True, True, True, axis=axis)
        for ours, numpys in zip(found, np.unique(x, True, True, True, axis=axis), strict=True):
            np.testing.assert_array_equal(ours.numpy(), numpys)
    assert tg.unique([2, 1, 2]).tolist() == [1, 2]
    assert tg.tensor([[0, 5]]).nonzero()[1].tolist() == [1]


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("axis", [0, -1])
def test_differences_are_numpys_with_their_gradients(n: int, axis: int) -> None:
    x = leaf(np.random.default_rng(0).uniform(size=(3, 4)))
    np.testing.assert_allclose(tg.diff(x, n, axis).numpy(), np.diff(x.numpy(), n, axis))
    assert gradcheck(lambda t: tg.diff(t * t, n, axis), x, order=2)


def test_differences_with_ends_and_of_truth_values() -> None:
    x = tg.tensor([1.0, 4.0])
    assert tg.diff(x, prepend=0.0, append=tg.tensor([9.0, 16.0])).tolist() == [1.0, 3.0, 5.0, 7.0]
    assert tg.diff(tg.tensor([True, True, False])).tolist() == [False, True]
    assert tg.diff(tg.zeros(0)).shape == (0,)


def test_allclose_is_true_or_false() -> None:
    x = tg.tensor([1.0, math.inf, math.nan])
    assert tg.allclose(x, x) is False
    assert tg.allclose(x, x, equal_nan=True) is True
    assert tg.allclose(x[:2], x[:2]) is True
    assert tg.allclose([1.0, 2.0], [1.0, 2.1], atol=0.2) is True


def test_scatter_add_is_take_along_axis_the_other_way_round() -> None:
    x, values = leaf(np.zeros((2, 3))), leaf([[1.0, 2.0], [3.0, 4.0]])
    out = tg.scatter_add(x, [[0, 0], [2, 1]], values)
    assert out.tolist() == [[3.0, 0.0, 0.0], [0.0, 4.0, 3.0]]
    (out * tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
    assert values.grad.tolist() == [[1.0, 1.0], [6.0, 5.0]]
    assert x.grad.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    columns = tg.scatter_add(x, [[1], [1]], tg.ones((2, 1)), axis=1)
    rows = tg.scatter_add(x, [[1]], tg.ones((1, 3)), axis=0)
    assert (columns.tolist(), rows.tolist()) == ([[0, 1, 0], [0, 1, 0]], [[0, 0, 0], [1, 1, 1]])
    assert gradcheck(lambda a, b: tg.scatter_add(a, [[0, 0], [2, 1]], b * b), [x, values], 2)


def test_one_hot_numbers_its_classes() -> None:
    assert tg.one_hot([[0], [1]]).tolist() == [[[1, 0]], [[0, 1]]]
    assert tg.one_hot(tg.tensor([1]), 3, dtype=tg.float32).dtype == np.float32
    assert tg.one_hot(tg.tensor([1]), 3).dtype == np.int64


@pytest.mark.parametrize(
    "fn",
    [
        tg.argsort,
        lambda x: tg.searchsorted(x, x),
        lambda x: tg.isclose(x, x),
        lambda x: tg.topk(x, 1)[1],
        lambda x: tg.nonzero(x)[0],
        tg.argmax,
        lambda x: x > 1,
        tg.isnan,
        lambda x: x.astype(tg.int64),
    ],
)
def test_integer_and_boolean_results_refuse_gradients(fn: Any) -> None:
    out = fn(leaf([1.0, 2.0]))
    assert not out.requires_grad
    assert out.dtype.kind in "bi"
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        out.backward(tg.ones(out.shape))
    with pytest.raises(TypeError, match=f"requires_grad: a tensor of {out.dtype} has no gradient"):
        out.requires_grad_()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: tg.sort(tg.ones((2, 3)), 2), IndexError, "sort: axis 2"),
        (lambda: tg.sort(tg.ones(()), 0), IndexError, "sort: axis 0"),
        (lambda: tg.argsort(tg.ones(2), 1.0), TypeError, "argsort: expected an integer axis"),
        (lambda: tg.topk(tg.ones(2), 3), ValueError, r"topk: k is 3.*\(2,\) has 2"),
        (lambda: tg.topk(tg.ones(2), 1, dim=0), TypeError, "topk: .*`dim` is `axis`"),
        (lambda: tg.searchsorted(tg.ones((2, 2)), 1.0), ValueError, "searchsorted: .*vector"),
        (lambda: tg.searchsorted(tg.ones(2), 1.0, "middle"), ValueError, "searchsorted"),
        (lambda: tg.bincount(tg.tensor([-1])), ValueError, "bincount"),
        (lambda: tg.bincount(tg.tensor([0.5])), TypeError, "bincount"),
        (lambda: tg.nonzero(tg.tensor(1.0)), ValueError, "nonzero: expected an array"),
        (lambda: tg.unique(tg.ones(2), axis=1), IndexError, "unique: axis 1"),
        (lambda: tg.unique("no"), TypeError, "unique: 'no'"),
        (lambda: tg.diff(tg.ones(2), -1), ValueError, "diff: n .*-1"),
        (lambda: tg.diff(tg.ones(()), axis=0), IndexError, "diff: axis 0"),
        (
            lambda: tg.allclose(tg.ones(2), tg.ones(3)),
            ValueError,
            r"allclose: .*\(2,\), \(3,\)",
        ),
        (lambda: tg.one_hot(tg.tensor([3]), 3), IndexError, r"one_hot: .*\[0, 3\); got \[3, 3\]"),
        (lambda: tg.one_hot(tg.tensor([-1])), IndexError, "one_hot"),
        (lambda: tg.one_hot(tg.tensor([0.5]), 3), TypeError, "one_hot: expected integer indices"),
        (
            lambda: tg.scatter_add(tg.ones(3), [0], tg.ones(2)),
            ValueError,
            r"scatter_add: .*\(3,\), indices \(1,\) and values \(2,\)",
        ),
        (lambda: tg.scatter_add(tg.ones(3), [3], tg.ones(1)), IndexError, "index 3"),
        (
            lambda: tg.pad(tg.ones(3), 1, "replicate"),
            ValueError,
            "pad: mode is 'replicate'; .*edge",
        ),
        (lambda: tg.pad(tg.ones(0), 1, "edge"), ValueError, "pad: "),
    ],
)
def test_errors_name_the_function(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_an_unstable_sort_gives_the_same_values() -> None:
    x = tg.tensor(np.random.default_rng(0).integers(0, 5, (4, 50)))
    for descending in (False, True):
        stable = tg.sort(x, 1, descending)
        assert (tg.sort(x, 1, descending, stable=False) == stable).all()
        order = tg.argsort(x, 1, descending, stable=False)
        assert (tg.take_along_axis(x, order, 1) == stable).all()


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1,), ()])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 2, 2)])
def test_a_median_is_numpys(shape: Any, axis: Any) -> None:
    x = np.random.default_rng(1).normal(size=shape)
    for keepdims in (False, True):
        found = tg.median(tg.tensor(x), axis, keepdims).numpy()
        wanted = x if axis == () else np.median(x, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
    assert gradcheck(lambda a: tg.median(a, axis), tg.tensor(x, requires_grad=True))


def test_a_median_with_a_nan_is_one_and_that_of_integers_is_floating() -> None:
    x = tg.tensor([[1.0, np.nan, 0.0], [1.0, 3.0, 2.0]])
    np.testing.assert_array_equal(tg.median(x, axis=1).numpy(), [np.nan, 2.0])
    assert tg.median(tg.tensor([1, 2])).tolist() == 1.5
    assert tg.median(tg.tensor([1, 2])).dtype == np.float32
    assert np.isnan(tg.median(tg.zeros(0)).item())
    with pytest.raises(ValueError, match=r"median: .* repeats an axis"):
        tg.median(x, (0, -2))


def test_nonzero_elements_are_counted_along_axes() -> None:
    x = tg.tensor([[0.0, -1.0, np.nan], [0.0, 0.0, 2.0]])
    assert tg.count_nonzero(x).item() == 3
    assert tg.count_nonzero(x, axis=1, keepdims=True).tolist() == [[2], [1]]
