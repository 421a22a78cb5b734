"""Random expression graphs: what the engine computes of them is what differences measure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES
from graphs import BY_NAME, registry_graphs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

UNARY: list[Any] = [
    tg.tanh,
    tg.sin,
    tg.sigmoid,
    lambda x: tg.exp(-x * x),
    lambda x: tg.log(x * x + 1.0),
    lambda x: tg.sqrt(x * x + 0.5),
    lambda x: 2.0 ** (x / 2),
    lambda x: x**3 / 8,
    lambda x: 1 / (2.5 + x),
    lambda x: tg.softmax(x, axis=-1),
    lambda x: tg.log_softmax(x, axis=0) / 3,
    lambda x: x - x.mean(axis=0),
    lambda x: tg.prod(x, axis=1, keepdims=True) / 4,
    lambda x: tg.cumulative_sum(x, axis=1) / 3,
    lambda x: x.sum(axis=0) / 3,
    lambda x: x.std(axis=1, keepdims=True) + x,
    lambda x: x.T.reshape(2, 3),
    lambda x: x[:, [2, 0, 2]],
    lambda x: x[[1, 1]],
    lambda x: tg.flip(x, 1),
    lambda x: tg.roll(x, 1, 1),
    lambda x: x.swapaxes(0, 1).mT,
    lambda x: x * 2 - x,
]
BINARY: list[Any] = [
    lambda x, y: x + y,
    lambda x, y: x - 0.5 * y,
    lambda x, y: x * y / 2,
    lambda x, y: x / (2.5 + y),
    lambda x, y: (x @ y.mT) @ y / 6,
    lambda x, y: tg.logaddexp(x, y) / 2,
    lambda x, y: tg.atan2(x, 2.5 + y),
    lambda x, y: tg.linear(x, y)[:, [0, 1, 0]] / 4,
    lambda x, y: tg.concat([x, y])[1:3],
    lambda x, y: tg.stack([x, y]).sum(axis=0) / 2,
    lambda x, y: tg.binary_cross_entropy_with_logits(x, tg.sigmoid(y), "none") / 3,
]


@st.composite
def expressions(draw: Any) -> Any:
    """A function of two (2, 3) matrices: each step reads results chosen among all earlier ones."""
    steps = draw(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from(UNARY), st.integers(0, 20)),
                st.tuples(st.sampled_from(BINARY), st.integers(0, 20), st.integers(0, 20)),
            ),
            min_size=1,
            max_size=7,
        )
    )

    def function(x: Any, y: Any) -> Any:
        values = [x, y]
        for fn, *places in steps:
            result = fn(*(values[place % len(values)] for place in places))
            result = tg.broadcast_to(result, (2, 3))
            values.append(2 * tg.tanh(result / 2))  # all values stay within [−2, 2]
        return values[-1] + 0.1 * values[-2]

    return function


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(expressions(), st.integers(0, 10_000))
def test_first_and_second_derivatives_of_random_graphs(function: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (tg.tensor(rng.uniform(-1.5, 1.5, (2, 3)), requires_grad=True) for _ in range(2))
    assert gradcheck(function, (x, y), rtol=1e-4, atol=1e-6)
    assert gradcheck(function, (x, y), order=2, rtol=1e-4, atol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(expressions(), st.integers(0, 10_000))
def test_random_graphs_in_float32_stay_float32_and_agree(function: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1.5, 1.5, (2, 3)).astype(np.float32) for _ in range(2)]
    results = []
    for dtype in (np.float32, np.float64):
        inputs = [tg.tensor(array.astype(dtype), requires_grad=True) for array in arrays]
        out = function(*inputs)
        out.sum().backward()
        gradients = [t.grad for t in inputs if t.grad is not None]
        assert {value.dtype for value in [out, *gradients]} == {np.dtype(dtype)}
        results.append([out.numpy(), *(g.numpy() for g in gradients)])
    for single, double in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, atol=2e-4)


# ----------------------------------------------------------------------- the whole registry


def slope(function: Any, x: Any, order: int, direction: Any) -> Any:
    """The function's value or its gradient (order 1 or 2), as an array, and its change."""
    x = tg.tensor(x, requires_grad=True)
    out = function(x)
    if order == 2:
        (out,) = tg.grad(out, x, create_graph=True)
        if not out.requires_grad:
            return out.numpy(), np.zeros(x.shape)
        (change,) = tg.grad((out * direction).sum(), x, allow_unused=True)
    else:
        (gradient,) = tg.grad(out, x)
        change = (gradient * direction).sum()
    return out.numpy(), np.zeros(x.shape) if change is None else change.numpy()


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(registry_graphs(), st.integers(0, 10_000), st.sampled_from([1, 1, 2]))
def test_graphs_of_any_operations_of_the_registry(function: Any, seed: int, order: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, 6)
    direction = rng.normal(size=6)
    direction /= np.linalg.norm(direction)

    def moved(step: float) -> tuple[Any, Any]:
        return slope(function, x + step * direction, order, direction)

    _, found = moved(0.0)
    kink = np.abs(moved(1e-2)[1] + moved(-1e-2)[1] - 2 * found).max()
    assume(kink < 0.05 * (1 + np.abs(found).max()))  # else one is near, or a sharp bend
    near, far = ((moved(h)[0] - moved(-h)[0]) / (2 * h) for h in (1e-5, 2e-5))
    assume(np.abs(near - far).max() < 1e-5 * (1 + np.abs(near).max()))
    np.testing.assert_allclose(found, near, rtol=1e-5, atol=1e-6)


def test_graphs_are_drawn_over_every_differentiable_operation() -> None:
    differentiable = {name for name in CASES if tg.ops.registry[name].differentiable}
    assert differentiable - set(BY_NAME) <= {"astype", "to_device"}
