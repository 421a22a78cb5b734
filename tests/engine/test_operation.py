"""Operations of a user: rules, several outputs, saved values, joint rules, twins, and calls."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.engine.backward import topological_order
from tinygrad_gm.testing import gradcheck


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


@tg.op(
    lambda g, x, y: 2 * g * x * y,
    lambda g, x: g * x * x,
    symbol="x²y",
    local=["2xy", "x²"],
)
def square_times(xp: Any, x: Any, y: Any, scale: float = 1.0) -> Any:
    """x² y."""
    return x * x * y


@tg.op(
    lambda xp, g, x: g[0] * xp.cos(x) - g[1] * xp.sin(x),
    outputs=2,
)
def sine_and_cosine(xp: Any, x: Any) -> Any:
    """sin x and cos x."""
    return xp.sin(x), xp.cos(x)


@tg.op(
    joint=lambda g, argnums, out: (g[0] / (2 * out[0]), g[1] * 3),
    arity=2,
    outputs=2,
)
def root_and_triple(xp: Any, x: Any, y: Any) -> Any:
    """√x and 3 y."""
    return xp.sqrt(x), 3 * y


@tg.op(
    lambda g, residuals: g * residuals, closed=False, decomposition=lambda x: tg.exp(tg.square(x))
)
def bell(xp: Any, x: Any) -> Any:
    """e^(x²), whose slope is put aside by the forward pass."""
    out = xp.exp(x * x)
    return out, 2 * x * out


@tg.op(
    joint=lambda g, argnums, xs: [g * (2 * x) if i in argnums else None for i, x in enumerate(xs)]
)
def sum_of_squares(xp: Any, *xs: Any, weight: float = 1.0) -> Any:
    """Σ xᵢ²."""
    total = 0.0
    for x in xs:
        total = total + x * x
    return total


# ----------------------------------------------------------------------------- rules


def test_an_operation_of_two_arrays() -> None:
    x, y = leaf([1.0, 2.0, 3.0]), leaf([[4.0], [5.0]])
    assert square_times(x, y).shape == (2, 3)
    for order in (1, 2, 3):
        assert gradcheck(square_times, (x, y), order)


def test_an_operation_keeps_signature_name_and_docstring() -> None:
    assert square_times.__name__ == "square_times"
    assert square_times.__doc__ == "x² y."
    assert list(inspect.signature(square_times).parameters) == ["x", "y", "scale"]
    assert square_times.op.symbol == "x²y"
    assert square_times.op.local == ("2xy", "x²")


def test_a_users_operation_is_not_entered_in_the_registry() -> None:
    assert "square_times" not in tg.ops.registry


def test_an_operation_binds_as_a_method() -> None:
    class Length(tg.Tensor):
        times = square_times

    x = Length([2.0])
    assert x.times(tg.tensor([3.0])).tolist() == [12.0]


def test_arguments_by_name_and_wrong_ones() -> None:
    assert square_times(y=tg.tensor(2.0), x=tg.tensor(3.0)).item() == 18.0
    assert square_times(3.0, y=2.0, scale=0.5).item() == 18.0
    for call, words in [
        (lambda: square_times(1.0), "square_times: missing a required argument: 'y'"),
        (lambda: square_times(1.0, 2.0, 3.0, 4.0), "square_times: too many positional"),
        (lambda: square_times(1.0, 2.0, x=1.0), "square_times: multiple values for argument 'x'"),
        (lambda: square_times(1.0, 2.0, dim=1), "square_times: .*unexpected keyword .*'dim'"),
        (lambda: square_times(), "square_times: missing a required argument: 'x'"),
        (lambda: square_times(1.0, "a"), r"square_times: 'a' \(str\)"),
        (lambda: square_times(1.0, {}), r"square_times: {} \(dict\)"),
    ]:
        with pytest.raises(TypeError, match=words):
            call()


def test_a_node_keeps_only_what_its_rules_read() -> None:
    x, y, c = leaf(2.0), leaf(3.0), tg.tensor(4.0, dtype=tg.float64)
    assert (x + y).node.saved == ()
    assert [float(a) for a in (x * c).node.saved] == [4.0]  # not x: c needs no gradient
    assert [float(a) for a in (x * y).node.saved] == [2.0, 3.0]
    out = x.tanh()
    assert [a is out._data for a in out.node.saved] == [True]


# ---------------------------------------------------------------------- several outputs


def test_several_outputs_are_one_node() -> None:
    sine, cosine = sine_and_cosine(leaf([0.3, 1.0]))
    assert sine.node.parents == cosine.node.parents
    (whole,) = sine.node.parents
    assert whole.plan.op.name == "sine_and_cosine"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_several_outputs_have_derivatives_of_every_order(order: int) -> None:
    x = leaf([0.3, 1.0])
    assert gradcheck(sine_and_cosine, x, order)
    assert gradcheck(lambda x: sine_and_cosine(x)[0] * sine_and_cosine(x)[1], x, order)


@pytest.mark.parametrize("used", [0, 1])
@pytest.mark.parametrize("order", [1, 2])
def test_an_output_that_nobody_uses_has_gradient_0(used: int, order: int) -> None:
    x = leaf([0.3, 1.0])
    assert gradcheck(lambda x: sine_and_cosine(x)[used] ** 2, x, order)
    assert gradcheck(lambda x, y: root_and_triple(x, y)[used] ** 2, (x, leaf([2.0, 3.0])), order)


def test_an_output_used_twice_gets_the_sum() -> None:
    x = leaf(0.3)
    sine, _ = sine_and_cosine(x)
    (sine * sine).backward()
    assert x.grad.item() == pytest.approx(2 * np.sin(0.3) * np.cos(0.3))


def test_outputs_without_recording_are_constants() -> None:
    with tg.no_grad():
        assert not any(part.requires_grad for part in sine_and_cosine(leaf(0.3)))


# ------------------------------------------------------------------------- joint rules


def test_a_joint_rule_gives_all_contributions() -> None:
    x, y = leaf([0.5, 2.0]), leaf([3.0, 4.0])
    for order in (1, 2, 3):
        assert gradcheck(root_and_triple, (x, y), order)


def test_a_joint_rule_is_told_which_arguments_need_a_gradient() -> None:
    told: list[Any] = []

    @tg.op(joint=lambda g, argnums: (told.append(argnums), (g, g, g))[1], arity=3)
    def total(xp: Any, x: Any, y: Any, z: Any) -> Any:
        return x + y + z

    x, z = leaf(1.0), leaf(1.0)
    total(x, 1.0, z).backward()
    tg.grad(total(x, 1.0, z), z)
    tg.grad(total(x, x, z), x)
    assert told == [(0, 2), (2,), (0, 1)]


def test_a_starred_argument_takes_any_number_of_arrays() -> None:
    xs = [leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf(5.0)]
    assert gradcheck(lambda *xs: sum_of_squares(*xs), xs)
    assert gradcheck(lambda *xs: sum_of_squares(list(xs), weight=2.0), xs, order=2)
    assert sum_of_squares(xs[0], 2.0).tolist() == [5.0, 8.0]
    constant = sum_of_squares(tg.ones(1), xs[0])
    constant.sum().backward()
    assert xs[0].grad.tolist() == [2.0, 4.0]


# -------------------------------------------------------------------------------- twins


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_operation_with_saved_values_and_a_twin(order: int) -> None:
    assert gradcheck(bell, leaf([0.3, -0.5]), order)


def test_the_rule_serves_the_first_order_and_the_twin_the_others() -> None:
    calls: list[str] = []

    def twin(x: Any) -> Any:
        calls.append("twin")
        return tg.square(x)

    @tg.op(lambda g, x: (calls.append("rule"), 2 * g * x)[1], decomposition=twin)
    def squared(xp: Any, x: Any) -> Any:
        calls.append("forward")
        return x * x

    x = leaf([1.0, 2.0])
    squared(x).sum().backward()
    assert calls == ["forward", "rule"]
    (first,) = tg.grad(squared(x).sum(), x, create_graph=True)
    assert calls == ["forward", "rule", "forward", "twin"]
    assert tg.grad(first.sum(), x)[0].tolist() == [2.0, 2.0]
    with tg.textbook():
        assert squared(x).op == "square"
    assert calls[4:] == ["forward", "twin"]  # the first for what it refuses


def test_saved_numbers_without_a_twin_are_refused_at_higher_orders() -> None:
    """The rule is right, but its derivative would treat the saved numbers as constants."""

    def squared(xp: Any, x: Any) -> Any:
        return x * x, 2 * x

    x = leaf([1.0, 2.0])
    half_open = tg.op(lambda g, residuals: g * residuals)(squared)
    assert tg.grad(half_open(x).sum(), x)[0].tolist() == [2.0, 4.0]
    with pytest.raises(
        RuntimeError, match=r"`squared` has floating residuals.*a decomposition, or closed=True"
    ):
        tg.grad(half_open(x).sum(), x, create_graph=True)
    declared = tg.op(lambda g, residuals: g * residuals, closed=True)(squared)
    assert not tg.grad(declared(x).sum(), x, create_graph=True)[0].requires_grad

    @tg.op(lambda g, x, residuals: 2 * g * x * residuals)
    def with_a_mask(xp: Any, x: Any) -> Any:
        return x * x, x > 0

    assert gradcheck(with_a_mask, leaf([1.0, 2.0]), order=3)


def test_a_closed_operation_uses_its_rule_for_every_order() -> None:
    def twin(x: Any) -> Any:
        raise AssertionError("not needed")

    @tg.op(lambda g, x: 3 * g * x * x, decomposition=twin, closed=True)
    def cube(xp: Any, x: Any) -> Any:
        return x * x * x

    assert gradcheck(cube, leaf([1.0, -2.0]), order=4)


def test_without_rules_every_backward_pass_goes_through_the_twin() -> None:
    weight = leaf([2.0, 3.0])  # not an argument: the twin closes over it

    def twin(x: Any) -> Any:
        return tg.exp(x) * weight * weight

    @tg.op(decomposition=twin, arity=1)
    def weighted(xp: Any, x: Any) -> Any:
        return xp.exp(x) * weight.numpy() ** 2

    x = leaf([0.5, -0.5])
    weighted(x * 1.0).sum().backward()
    e = np.exp(x.numpy())
    np.testing.assert_allclose(x.grad.numpy(), e * [4.0, 9.0])
    np.testing.assert_allclose(weight.grad.numpy(), e * [4.0, 6.0])

    in_x, in_weight = tg.grad(weighted(x).sum(), [x, weight], create_graph=True)
    np.testing.assert_allclose(in_weight.numpy(), e * [4.0, 6.0])
    second = tg.grad(in_x.sum() + in_weight.sum(), [x, weight])
    np.testing.assert_allclose(second[0].numpy(), e * [8.0, 15.0])
    np.testing.assert_allclose(second[1].numpy(), e * [6.0, 8.0])
    assert gradcheck(weighted, x, order=3)
    (only_weight,) = tg.grad(weighted(x).sum(), weight)
    np.testing.assert_allclose(only_weight.numpy(), e * [4.0, 6.0])


def test_an_expanded_operation_inside_an_expanded_operation() -> None:
    @tg.op(decomposition=lambda x: tg.tanh(x) * x, arity=1)
    def inner(xp: Any, x: Any) -> Any:
        return xp.tanh(x) * x

    @tg.op(decomposition=lambda x: inner(inner(x) + x), arity=1)
    def outer(xp: Any, x: Any) -> Any:
        x = xp.tanh(x) * x + x
        return xp.tanh(x) * x

    for order in (1, 2, 3):
        assert gradcheck(outer, leaf([0.3, -0.7]), order)


def test_a_twin_with_several_outputs() -> None:
    @tg.op(decomposition=lambda x: (tg.sin(x), tg.cos(x)), arity=1, outputs=2)
    def both(xp: Any, x: Any) -> Any:
        return xp.sin(x), xp.cos(x)

    for order in (1, 2):
        assert gradcheck(both, leaf([0.3, 1.0]), order)
        assert gradcheck(lambda x: both(x)[1], leaf([0.3, 1.0]), order)


# ------------------------------------------------------------------------------- records


def test_nothing_is_recorded_where_nothing_needs_a_gradient() -> None:
    x, c = leaf(1.0), tg.tensor(1.0)
    assert (c + c).node is None
    assert (x.detach() + 1).node is None
    assert tg.stop_gradient(x).node is None
    with tg.no_grad():
        assert (x + x).node is None
    assert [node.plan.op.name for node in topological_order(tg.exp(x) + x)] == ["exp", "add"]


def test_results_of_a_subclass_are_plain_tensors() -> None:
    class Weight(tg.Tensor):
        pass

    weight = Weight([1.0], requires_grad=True)
    assert type(weight * 2) is tg.Tensor
    assert type(2 * weight) is tg.Tensor


def test_factors_of_either_sign_of_zero_and_of_either_dtype_are_kept_apart() -> None:
    x = tg.tensor([1.0, -1.0], requires_grad=True)
    for factor in (0.0, -0.0, 0.1):
        for dtype in (tg.float32, tg.float64):
            wanted = x.numpy().astype(dtype) * factor
            out = (x.astype(dtype) * factor).numpy()
            assert out.dtype == wanted.dtype
            np.testing.assert_array_equal(np.signbit(out), np.signbit(wanted))
            np.testing.assert_array_equal(out, wanted)


def test_a_factor_stays_the_number_that_was_written() -> None:
    x = leaf([1.0, 2.0])
    y = x * 0.7
    assert y.node.parents[1] == 0.7
    assert type(y.node.parents[1]) is float
    (slope,) = tg.grad(y.sum(), x, create_graph=True)
    assert all(
        0.7 in node.parents for node in topological_order(slope) if node.plan.op.name == "multiply"
    )
