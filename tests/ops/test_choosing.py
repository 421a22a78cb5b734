"""Choosing: what is not chosen gets exactly 0, what is chosen the whole gradient, also infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

INF, NAN = tg.inf, tg.nan
BOTH = pytest.mark.parametrize("create_graph", [False, True])


def gradients(function: Any, *arrays: Any, create_graph: bool, upstream: Any = 1.0) -> list[Any]:
    """The gradient of each argument, for an upstream gradient of one number throughout."""
    leaves = [tg.tensor(array, dtype=np.float64, requires_grad=True) for array in arrays]
    with np.errstate(all="ignore"):
        out = function(*leaves)
        found = tg.grad(out, leaves, tg.full_like(out, upstream), create_graph=create_graph)
    return [gradient.tolist() for gradient in found]


@BOTH
@pytest.mark.parametrize(
    ("function", "x", "wanted"),
    [
        (lambda x: tg.sqrt(tg.relu(x)), [-1.0, 4.0], [0.0, 0.25]),
        (lambda x: tg.sqrt(tg.clip(x, 0)), [-1.0, 4.0], [0.0, 0.25]),
        (lambda x: tg.sqrt(tg.clip(x, 0)), [0.0], [INF]),
        (lambda x: tg.log(tg.clip(x, 0, 1)), [-1.0, 0.5, 2.0], [0.0, 2.0, 0.0]),
        (lambda x: 1 / tg.relu(x), [-1.0, 0.5], [0.0, -4.0]),
        (lambda x: tg.sqrt(tg.maximum(x, 0.0)), [-1.0, 0.0, 4.0], [0.0, INF, 0.25]),
        (lambda x: -tg.sqrt(-tg.minimum(x, 0.0)), [-4.0, 1.0], [0.25, 0.0]),
        (lambda x: tg.sqrt(1 + F.hardtanh(x)), [-2.0, 0.0], [0.0, 0.5]),
        (lambda x: tg.log(tg.floor(x)), [0.5, 1.5], [0.0, 0.0]),
        (lambda x: tg.log(tg.sign(x)), [0.0, 2.0], [0.0, 0.0]),
        (lambda x: tg.log(x**0 - 1), [0.0, 2.0], [0.0, 0.0]),
        (lambda x: tg.sqrt(F.hardswish(x)), [-4.0, 4.0], [0.0, 0.25]),
        (lambda x: tg.sqrt(F.hardsigmoid(x)), [-4.0, 4.0], [0.0, 0.0]),
        (lambda x: tg.sqrt(x.max()), [0.0, -1.0, -2.0], [INF, 0.0, 0.0]),
        (lambda x: tg.sqrt(tg.norm(x, ord=INF)), [4.0, 1.0], [0.25, 0.0]),
        (lambda x: tg.sqrt(x.std()), [1.0, 1.0], [0.0, 0.0]),
    ],
)
def test_behind_a_switched_off_unit_an_infinite_derivative_is_0(
    function: Any, x: Any, wanted: Any, create_graph: bool
) -> None:
    assert gradients(function, x, create_graph=create_graph) == [wanted]


@BOTH
@pytest.mark.parametrize("upstream", [INF, -INF, NAN])
def test_the_chosen_side_gets_all_and_the_other_none(upstream: float, create_graph: bool) -> None:
    def given(function: Any, *arrays: Any) -> Any:
        return gradients(function, *arrays, create_graph=create_graph, upstream=upstream)

    u = upstream
    np.testing.assert_equal(given(tg.maximum, [1.0, 2.0, 3.0], [2.0, 2.0, 1.0]),
                            [[0.0, u, u], [u, u, 0.0]])  # fmt: skip
    np.testing.assert_equal(given(tg.minimum, [1.0, 2.0, 3.0], [2.0, 2.0, 1.0]),
                            [[u, u, 0.0], [0.0, u, u]])  # fmt: skip
    np.testing.assert_equal(given(lambda x, a, b: tg.clip(x, a, b), [0.0, 2.0, 9.0], [1.0] * 3,
                            [3.0] * 3), [[0.0, u, 0.0], [u, 0.0, 0.0], [0.0, 0.0, u]])  # fmt: skip
    np.testing.assert_equal(given(lambda x, y: tg.where([True, False], x, y), [1.0, 2.0], [3.0, 4]),
                            [[u, 0.0], [0.0, u]])  # fmt: skip
    np.testing.assert_equal(given(lambda x: F.max_pool1d(x, 2, 1), [[[1.0, 3.0, 2.0, 1.0]]]),
                            [[[[0.0, u, u, 0.0]]]])  # fmt: skip
    np.testing.assert_equal(given(lambda x: F.max_pool1d(x, 2), [[[1.0, 3.0, 2.0, 1.0]]]),
                            [[[[0.0, u, u, 0.0]]]])  # fmt: skip
    words = tg.tensor([0, 1, 1])
    np.testing.assert_equal(given(lambda w: F.embedding(words, w, 1), [[1.0], [2.0], [3.0]]),
                            [[[u], [0.0], [0.0]]])  # fmt: skip


def test_the_argument_of_a_maximum_with_nan_gets_the_gradient_as_in_pytorch() -> None:
    found = gradients(tg.maximum, [NAN, 1.0], [1.0, NAN], create_graph=False)
    assert found == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_select_gives_x_or_0_to_the_bit(dtype: Any, shape: Any) -> None:
    rng = np.random.default_rng(0)
    values = np.array([0.0, -0.0, 1.5, -INF, INF, NAN, np.finfo(dtype).tiny / 4], dtype)
    x, chosen = rng.choice(values, shape), rng.random(shape) < 0.5
    out = tg.ops.select(tg.asarray(np.asarray(x)), tg.asarray(np.asarray(chosen)))
    assert out.dtype == dtype
    wanted = np.where(chosen, x, np.zeros((), dtype))
    np.testing.assert_array_equal(np.signbit(out.numpy()), np.signbit(wanted))
    np.testing.assert_array_equal(out.numpy(), wanted)


def test_select_refuses_a_condition_that_is_no_truth_value() -> None:
    with pytest.raises(TypeError, match="select: expected a condition of booleans; got int64"):
        tg.ops.select(tg.ones(2), tg.tensor([1, 2]))


def test_select_leaves_integers_integers() -> None:
    assert tg.ops.select(tg.tensor([1, 2]), tg.tensor([False, True])).tolist() == [0, 2]


@BOTH
def test_the_weight_of_prelu_gets_nothing_from_positive_inputs(create_graph: bool) -> None:
    found = gradients(F.prelu, [INF, -2.0, 3.0], [0.25], create_graph=create_graph)
    assert found == [[1.0, 0.25, 1.0], [-2.0]]


@BOTH
def test_a_relu_network_through_time_stops_the_gradient_at_a_silent_unit(
    create_graph: bool,
) -> None:
    def roots(x: Any) -> Any:
        hidden, weight = tg.zeros((1, 2), np.float64), tg.zeros((2, 2), np.float64)
        return tg.sqrt(tg.ops.rnn_sequence(x.reshape(2, 1, 2), hidden, weight, "relu")[-1])

    found = gradients(roots, [1.0, -1.0, 4.0, -2.0], create_graph=create_graph)
    assert found[0][2:] == [0.25, 0.0]


@BOTH
@pytest.mark.parametrize("function", [F.huber_loss, F.smooth_l1_loss])
def test_huber_sends_an_infinite_gradient_on_either_side_of_its_bend(
    function: Any, create_graph: bool
) -> None:
    """PyTorch's numbers."""

    def loss(x: Any) -> Any:
        return function(x, tg.zeros_like(x), reduction="none")

    x = [-INF, 0.5, 3.0, -3.0]
    assert gradients(loss, x, create_graph=create_graph) == [[-1.0, 0.5, 1.0, -1.0]]
    infinite = gradients(loss, x, create_graph=create_graph, upstream=INF)
    assert infinite == [[-INF, INF, INF, -INF]]


def test_huber_without_a_bend_is_half_the_square() -> None:
    x = tg.tensor([1e10, -3.0], dtype=np.float64)
    assert F.huber_loss(x, x * 0, "none", delta=INF).tolist() == [0.5e20, 4.5]


@BOTH
def test_binary_cross_entropy_has_pytorchs_gradient_at_0_and_1(create_graph: bool) -> None:
    p, t = [0.0, 0.0, 1.0, 1.0, 1.0, 0.25], [0.0, 1.0, 0.0, 1.0, 0.5, 1.0]

    def loss(p: Any) -> Any:
        return F.binary_cross_entropy(p, tg.tensor(t, dtype=np.float64), reduction="none")

    assert loss(tg.tensor(p, dtype=np.float64))[:5].tolist() == [0.0, 100.0, 100.0, 0.0, 50.0]
    assert gradients(loss, p, create_graph=create_graph) == [[0.0, -1e12, 1e12, 0.0, 0.5e12, -4.0]]
