"""Gradient clipping, and parameters as one vector."""

import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, optim


def make(*gradients, dtype=np.float64):
    """Parameters with these gradients; None is none."""
    parameters = []
    for gradient in gradients:
        shape = (2,) if gradient is None else np.shape(gradient)
        parameters.append(nn.Parameter(tg.zeros(shape, dtype=dtype)))
        if gradient is not None:
            parameters[-1].grad = tg.tensor(np.array(gradient, dtype))
    return parameters


def gradients(parameters):
    return [None if p.grad is None else p.grad.numpy() for p in parameters]


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5, math.inf, "inf", 0.0])
def test_all_gradients_are_scaled_by_one_factor_to_the_largest_norm(order):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((3, 4), (5,), (), (0, 2))]
    parameters = make(*arrays)
    before = np.linalg.norm(np.concatenate([a.ravel() for a in arrays if a.size]), float(order))
    if order == 0:  # as in PyTorch: the number of arrays that are not all zeros
        before = 3.0
    total = nn.utils.clip_grad_norm_(parameters, 0.5, order)
    assert (total.shape, total.dtype, total.requires_grad) == ((), np.float64, False)
    np.testing.assert_allclose(total.item(), before, rtol=1e-12)
    for array, gradient in zip(arrays, gradients(parameters), strict=True):
        np.testing.assert_allclose(gradient, array * 0.5 / (before + 1e-6), rtol=1e-12)


def test_gradients_within_the_bound_stay_as_they_are():
    parameters = make([3.0, 4.0], None, [0.0])
    kept = [p.grad for p in parameters]
    assert optim.clip_grad_norm_(parameters, 5.1).item() == 5.0
    assert [p.grad for p in parameters] == kept


def test_no_gradients_at_all_have_norm_0():
    total = optim.clip_grad_norm_(make(None, None), 1.0)
    assert (total.item(), total.shape) == (0.0, ())
    optim.clip_grad_value_(make(None), 1.0)


def test_one_parameter_and_a_generator_will_do():
    (parameter,) = make([3.0, 4.0])
    optim.clip_grad_norm_(parameter, 1.0)
    np.testing.assert_allclose(parameter.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    optim.clip_grad_value_((p for p in [parameter]), 0.7)
    np.testing.assert_allclose(parameter.grad.numpy(), [0.6, 0.7], rtol=1e-6)


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_two_parameters_that_share_a_gradient_array_are_each_clipped_once(clip):
    shared = np.array([3.0, 4.0])
    a, b, c = make(None, None, None)
    a.grad, b.grad = tg.asarray(shared), tg.asarray(shared)
    c.grad = b.grad
    clip([a, b, c], 1.0)
    expected = [1.0, 1.0] if clip is optim.clip_grad_value_ else shared / math.sqrt(75)
    for gradient in gradients([a, b, c]):
        np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    np.testing.assert_array_equal(shared, [3.0, 4.0])


def test_a_parameter_given_twice_counts_once():
    (a,) = make([3.0, 4.0])
    assert optim.clip_grad_norm_([a, a], 1.0).item() == 5.0
    np.testing.assert_allclose(a.grad.numpy(), [0.6, 0.8], rtol=1e-6)


def test_overlapping_gradient_arrays_are_clipped_rightly():
    whole = np.array([1.0, 2.0, 3.0])
    a, b = make(None, None)
    a.grad, b.grad = tg.asarray(whole[:2]), tg.asarray(whole[1:])
    optim.clip_grad_norm_([a, b], 1.0)
    for gradient, expected in zip(gradients([a, b]), (whole[:2], whole[1:]), strict=True):
        np.testing.assert_allclose(gradient, expected / math.sqrt(18), rtol=1e-6)


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_a_recorded_gradient_can_be_clipped_and_its_record_stays_right(clip):
    w = tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True)
    (w**3).sum().backward(create_graph=True)
    recorded = w.grad
    clip([w], 0.1)
    assert w.grad.numpy().max() <= 0.1
    (second,) = tg.grad((recorded * recorded).sum(), [w])  # of 9 w⁴: 36 w³
    np.testing.assert_allclose(second.numpy(), [36.0, 288.0], rtol=1e-12)
    w.grad = None  # the recorded gradient refers to w


def test_nan_makes_all_gradients_nan_and_infinity_makes_the_finite_ones_0():
    parameters = make([1.0, math.nan], [2.0])
    assert math.isnan(optim.clip_grad_norm_(parameters, 1.0).item())
    assert all(np.isnan(gradient).all() for gradient in gradients(parameters))
    parameters = make([1.0, math.inf], [2.0])
    assert optim.clip_grad_norm_(parameters, 1.0).item() == math.inf
    np.testing.assert_array_equal(gradients(parameters)[0], [0.0, math.nan])
    np.testing.assert_array_equal(gradients(parameters)[1], [0.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_can_be_an_error_that_changes_nothing(bad):
    parameters = make([1.0, bad], [2.0])
    with pytest.raises(RuntimeError, match="norm of the gradients is"):
        optim.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(gradients(parameters)[0], [1.0, bad])


def test_values_are_clipped_on_both_sides_and_nan_stays():
    parameters = make([-3.0, 0.5, 3.0, math.nan, math.inf], None)
    optim.clip_grad_value_(parameters, 1.0)
    np.testing.assert_array_equal(gradients(parameters)[0], [-1.0, 0.5, 1.0, math.nan, 1.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    parameters = make([300.0, 400.0], dtype=dtype)
    total = optim.clip_grad_norm_(parameters, 5.0)
    assert (total.dtype, total.item()) == (dtype, 500.0)
    assert parameters[0].grad.dtype == dtype
    np.testing.assert_allclose(parameters[0].grad.numpy(), [3.0, 4.0], rtol=1e-3)
    optim.clip_grad_value_(parameters, 3.5)
    assert parameters[0].grad.dtype == dtype


def test_bounds_below_0_are_refused():
    with pytest.raises(ValueError, match="max_norm is -1"):
        optim.clip_grad_norm_(make([1.0]), -1)
    with pytest.raises(ValueError, match="clip_value is nan"):
        optim.clip_grad_value_(make([1.0]), math.nan)


def test_parameters_go_to_a_vector_and_back():
    tg.manual_seed(0)
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = optim.SGD(other.parameters(), lr=1.0)
    place = other.weight._data
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (8,)
    nn.utils.vector_to_parameters(vector, other.parameters())
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert other.weight._data is place  # still in the optimizer's memory
    (vector * vector).sum().backward()
    np.testing.assert_allclose(net.weight.grad.numpy(), 2 * net.weight.numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(8,\); got \(7,\)"):
        nn.utils.vector_to_parameters(tg.zeros(7), other.parameters())
    assert len(optimizer.param_groups) == 1
