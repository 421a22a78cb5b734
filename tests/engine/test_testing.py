"""gradcheck itself: it must see what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def cube_with(rule: Any) -> Any:
    @tg.op(rule)
    def cube(xp: Any, x: Any) -> Any:
        return x * x * x

    return cube


def test_a_wrong_rule_is_named_with_input_element_and_both_values() -> None:
    cube = cube_with(lambda g, x: 3 * g * x)
    words = r"derivative of order 1 in input 1 at \(2,\): analytic -?\d.*, numeric -?\d"
    with pytest.raises(AssertionError, match=words):
        gradcheck(lambda x, y: x + cube(y), (leaf(1.0), leaf([0.0, 1.0, 2.0])))


def test_a_rule_that_is_wrong_in_one_part_per_thousand_is_found() -> None:
    cube = cube_with(lambda g, x: 3.003 * g * x * x)
    with pytest.raises(AssertionError, match="order 1"):
        gradcheck(cube, leaf([0.5]))


def test_a_rule_that_is_right_only_once_is_found_at_the_second_order() -> None:
    def frozen(xp: Any, g: Any, x: Any) -> Any:
        """Right, but a constant to whoever differentiates it."""
        constant = x.detach() if isinstance(x, tg.Tensor) else x
        return 3 * g * constant * constant

    cube = cube_with(frozen)
    assert gradcheck(cube, leaf([0.5, 2.0]))
    with pytest.raises(AssertionError, match="order 2 in input 0"):
        gradcheck(cube, leaf([0.5, 2.0]), order=2)


def test_a_gradient_that_is_nan_is_found() -> None:
    cube = cube_with(lambda g, x: g * float("nan"))
    with pytest.raises(AssertionError, match="analytic nan"):
        gradcheck(cube, leaf(1.0))


def test_a_missing_gradient_counts_as_zero() -> None:
    def without(x: Any) -> Any:
        return x.detach() * 2 + x * 0

    with pytest.raises(AssertionError, match=r"analytic 0|analytic -0"):
        gradcheck(without, leaf(1.0))


def test_functions_whose_higher_derivatives_vanish_pass() -> None:
    for order in (1, 2, 3, 4):
        assert gradcheck(lambda x: x + 1, leaf([1.0]), order)
        assert gradcheck(lambda x, y: x * y, (leaf([1.0]), leaf([2.0])), order)


def test_several_outputs_and_constant_inputs() -> None:
    def fn(x: Any, scale: Any, flag: bool) -> Any:
        return [x * scale, (x * x).sum(), tg.ones(2)] if flag else x

    assert gradcheck(fn, [leaf([1.0, 2.0]), np.array([3.0, 4.0]), True], order=2)


def test_the_inputs_are_left_as_they_were() -> None:
    x = leaf([1.0, 2.0])
    gradcheck(lambda x: x**3, x, order=2)
    assert (x.tolist(), x.grad) == ([1.0, 2.0], None)


def test_inputs_may_be_results() -> None:
    assert gradcheck(tg.exp, leaf([1.0, 2.0]) * 2)


def test_the_step_and_the_bounds_are_the_callers() -> None:
    assert gradcheck(lambda x: x**4, leaf(1.0), eps=1e-3, rtol=1e-4)
    with pytest.raises(AssertionError):
        gradcheck(lambda x: x**4, leaf(1.0), eps=1e-3, rtol=1e-9, atol=1e-9)


def test_float32_is_refused() -> None:
    with pytest.raises(TypeError, match=r"input 1 is float32; .*float64.*dtype=tg\.float64"):
        gradcheck(tg.add, (leaf(1.0), tg.tensor(1.0, requires_grad=True)))


def test_inputs_without_gradient_and_orders_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="no input requires a gradient"):
        gradcheck(tg.exp, tg.ones(2))
    with pytest.raises(ValueError, match="expected order ≥ 1; got 0"):
        gradcheck(tg.exp, leaf(1.0), order=0)


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (
            lambda x: None,
            "gradcheck: fn returned NoneType; expected a Tensor or a sequence of Tensors",
        ),
        (lambda x: 2.0, "gradcheck: fn returned float; expected a Tensor or a sequence of Tensors"),
        (
            lambda x: x.numpy(),
            "gradcheck: fn returned ndarray; expected a Tensor or a sequence of Tensors",
        ),
        (
            lambda x: [x, 2.0],
            "gradcheck: fn returned a list with a float; expected a Tensor or a sequence",
        ),
    ],
)
def test_a_function_that_returns_no_tensor_is_refused(fn: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        gradcheck(fn, leaf([1.0, 2.0]))


def test_a_function_with_another_shape_at_every_call_is_refused() -> None:
    sizes = iter(range(1, 9))
    with pytest.raises(AssertionError, match="order 1 in input 0"):
        gradcheck(lambda x: tg.broadcast_to(x, (next(sizes),)), leaf(1.0))


def test_inputs_that_are_no_sequence_are_refused() -> None:
    with pytest.raises(
        TypeError, match="gradcheck: expected inputs to be a tensor or a sequence; got float"
    ):
        gradcheck(tg.exp, 2.0)  # type: ignore[arg-type]
