"""Defects that other engines shipped, one test each."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck


def leaf(values: Any, dtype: Any = tg.float64) -> Any:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


def test_x_minus_x_has_gradient_0() -> None:
    x = leaf([1.0, 2.0])
    (x - x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_x_divided_by_x_has_gradient_0() -> None:
    x = leaf([1.0, 2.0, -3.0])
    (x / x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 0.0, atol=1e-16)


def test_one_tensor_in_two_places_gets_both_contributions() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    x.grad = None
    (x @ x).backward()
    assert x.grad.tolist() == [2.0, 4.0]
    m = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert gradcheck(lambda m: m @ m, m, order=2)
    assert gradcheck(lambda m: tg.where([[True], [False]], m, m) ** m, m)


def test_duplicate_integer_indices_accumulate() -> None:
    x = leaf([1.0, 2.0, 3.0])
    x[[1, 1, 1, 0]].sum().backward()
    assert x.grad.tolist() == [1.0, 3.0, 0.0]


def test_overlapping_windows_accumulate() -> None:
    x = leaf(np.arange(5.0))
    sum(x[i : i + 3].sum() for i in range(3)).backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0, 2.0, 1.0]


def test_the_gradient_of_a_bias_is_summed_over_the_batch() -> None:
    x, bias = leaf(np.ones((2, 3))), leaf([1.0, 2.0, 3.0])
    ((x + bias) * np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])).sum().backward()
    assert bias.grad.tolist() == [11.0, 22.0, 33.0]
    assert bias.grad.shape == (3,)


def test_gradients_are_summed_over_every_broadcast_axis() -> None:
    shapes: list[tuple[int, ...]] = [(), (1,), (3,), (1, 3), (2, 1), (1, 1, 1), (4, 1, 1)]
    for shape in shapes:
        x, y = leaf(np.full(shape, 0.5)), leaf(np.ones((4, 2, 3)))
        (x * y).sum().backward()
        assert x.grad.shape == shape
        np.testing.assert_allclose(x.grad.numpy(), 24 / max(1, math.prod(shape)))


def test_the_second_of_two_losses_may_be_propagated_first() -> None:
    x, y = leaf(2.0), leaf(3.0)
    product = x * y
    first, second = product + x, product * y
    second.backward(retain_graph=True)
    assert (x.grad.item(), y.grad.item()) == (9.0, 12.0)
    first.backward()
    assert (x.grad.item(), y.grad.item()) == (9.0 + 4.0, 12.0 + 2.0)


def test_backward_twice_is_an_error_and_not_a_wrong_number() -> None:
    x = leaf(2.0)
    y = x * x * x
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    assert x.grad.item() == 12.0


def test_a_deep_chain_needs_no_recursion() -> None:
    x = y = leaf(1.0)
    for _ in range(20_000):
        y = y * 1.0
    (first,) = tg.grad(y, x, create_graph=True)
    assert first.item() == 1.0
    del y, first  # freeing it neither


def test_stacked_diamonds_take_linear_time() -> None:
    x = y = leaf(1.0)
    for _ in range(2000):
        y = y * 0.5 + y * 0.5
    count = [0]
    y.backward(observer=lambda *_: count.__setitem__(0, count[0] + 1))
    assert count[0] == 2000 * 4
    assert x.grad.item() == 1.0


def test_two_parameters_never_share_one_gradient_array() -> None:
    """Else clipping scales the shared array twice."""
    a, b = leaf([3.0, 4.0]), leaf([3.0, 4.0])
    (a + b).sum().backward()
    for parameter in (a, b):
        parameter.grad *= 0.5
    assert a.grad.tolist() == b.grad.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "fn",
    [
        tg.mean,
        tg.max,
        tg.std,
        tg.softmax,
        lambda x: tg.where(x > 0, x, 0.0),
        lambda x: x + 1.0,
        lambda x: 1 - x,
        lambda x: x / np.sqrt(2),
        lambda x: np.sqrt(2) * x,
        lambda x: x * np.arange(3),
        lambda x: x * tg.tensor([1, 2, 3]),
        lambda x: x**2.5,
        lambda x: tg.cross_entropy(x, 1),
        lambda x: x @ np.ones((3, 2), np.float32),
        lambda x: tg.concat([x, tg.tensor([1, 2])]),
    ],
)
def test_float32_stays_float32_forwards_and_backwards(fn: Any) -> None:
    x = leaf([0.5, 1.5, 2.5], tg.float32)
    out = fn(x)
    assert out.dtype == tg.float32
    out.sum().backward()
    assert x.grad.dtype == tg.float32
    x.grad = None
    (first,) = tg.grad(fn(x).sum(), x, create_graph=True)
    assert first.dtype == tg.float32


def test_gradient_of_prod_is_exact_with_zeros() -> None:
    for values, wanted in [
        ([2.0, 0.0, 5.0], [0.0, 10.0, 0.0]),
        ([0.0, 0.0, 5.0], [0.0, 0.0, 0.0]),
        ([1.5, 2.0], [2.0, 1.5]),
    ]:
        x = leaf(values)
        x.prod().backward()
        assert x.grad.tolist() == wanted


def test_the_trap_of_where_is_documented_with_its_way_out() -> None:
    assert "NaN" in (tg.where.__doc__ or "")
    assert "sqrt(-x)" in (tg.where.__doc__ or "")


def test_a_graph_is_freed_with_the_garbage_collector_off() -> None:
    x = leaf(np.ones(4))
    gc.collect()
    gc.disable()
    try:
        hidden = tg.tanh(x)
        loss = (hidden * hidden).sum()
        watched = weakref.ref(hidden._data)
        del hidden, loss
        assert watched() is None
    finally:
        gc.enable()


def test_backward_on_a_leaf_works() -> None:
    x = leaf([1.0, 2.0])
    x.backward([3.0, 4.0])
    x.backward([3.0, 4.0])
    assert x.grad.tolist() == [6.0, 8.0]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (2, 4, 3)),
        ((2, 3, 4), (4,)),
    ],
)
def test_batched_matmul_broadcasts_and_sums_its_gradients(a: Any, b: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = leaf(rng.normal(size=a)), leaf(rng.normal(size=b))
    np.testing.assert_allclose((x @ y).numpy(), x.numpy() @ y.numpy(), rtol=1e-13)
    assert gradcheck(tg.matmul, (x, y))
    assert gradcheck(tg.matmul, (x, y), order=2)


def test_ties_of_max_do_not_count_double() -> None:
    x = leaf([[2.0, 2.0, 1.0]])
    x.max(axis=1).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 0.0]]
    x.grad = None
    x.max().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0.0]]


def test_softmax_with_one_row_far_above_the_others() -> None:
    x = leaf([[1e4, 1e4], [0.0, 0.0], [-1e4, -2e4]], tg.float32)
    out = tg.softmax(x, axis=1)
    assert out.tolist() == [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]
    (out * out).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0]] * 3


def test_tensors_compare_elementwise_and_hash_by_identity() -> None:
    a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert (a == b).tolist() == [True, True]
    assert len({a, b, a}) == 2
    assert {a: 1}[a] == 1
    assert (a != "text") is True


def test_a_gradient_is_not_lost_in_a_list() -> None:
    """An array made of a list of tensors has no history: this must not pass in silence."""
    x, y = leaf(1.0), leaf(2.0)
    for call in (
        lambda: tg.sum([x, y]),
        lambda: tg.exp([[x], [y]]),
        lambda: tg.ones(2, dtype=tg.float64) * [x, y],
    ):
        with pytest.raises(TypeError, match=r"tg\.stack"):
            call()
    tg.stack([x, y]).sum().backward()
    assert (x.grad.item(), y.grad.item()) == (1.0, 1.0)


def test_std_of_equal_numbers_is_0_where_their_mean_is_rounded() -> None:
    for value in (0.1, 0.7, 1e6 + 0.1):
        x = leaf([value] * 3)
        deviation = tg.std(x)
        (slope,) = tg.grad(deviation, x)
        assert deviation.item() == 0.0
        assert slope.tolist() == [0.0] * 3


def test_a_gradient_depends_on_an_upstream_gradient_that_is_a_leaf() -> None:
    x, y, v = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([5.0, 6.0])
    gradients = tg.grad(x + y, [x, y], v, create_graph=True)
    (change,) = tg.grad(gradients, v, [tg.tensor([1.0, 2.0]), tg.tensor([10.0, 20.0])])
    assert change.tolist() == [11.0, 22.0]


def test_a_mean_of_nothing_is_nan_and_leaves_no_nan_in_gradients() -> None:
    x, v = leaf(np.zeros((3, 0))), leaf([1.0, 2.0, 3.0])
    means = tg.mean(x, axis=1)
    assert np.isnan(means.numpy()).all()
    (gradient,) = tg.grad(means, x, v, create_graph=True)
    (change,) = tg.grad(gradient, v, tg.zeros((3, 0), tg.float64))
    assert change.tolist() == [0.0, 0.0, 0.0]


def test_counts_by_weight_keep_the_weights_dtype_and_have_a_gradient() -> None:
    for dtype in (tg.float32, tg.float64):
        weights = leaf([0.5, 1.0, 2.0], dtype)
        counts = tg.bincount(tg.tensor([1, 0, 1]), weights, minlength=3)
        assert counts.dtype == dtype
        assert counts.tolist() == [1.0, 2.5, 0.0]
        (gradient,) = tg.grad(counts, weights, tg.tensor([10.0, 20.0, 30.0], dtype=dtype))
        assert gradient.tolist() == [20.0, 10.0, 20.0]


def test_no_differences_at_all_leave_an_array_as_it_is() -> None:
    x = np.array([1, 2])
    np.testing.assert_array_equal(tg.diff(tg.tensor(x), n=0, prepend=0), np.diff(x, 0, prepend=0))
