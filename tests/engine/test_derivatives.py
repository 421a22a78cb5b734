"""vjp, jvp, jacobian, hessian, hvp against closed forms and against one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4))
Q = RNG.normal(size=(4, 4))


def array(*values: float) -> Any:
    return tg.tensor(np.array(values), dtype=tg.float64)


def bilinear(x: Any, y: Any) -> Any:
    return (x * y).sum()


def quadratic(x: Any) -> Any:
    return x @ tg.asarray(Q) @ x


# ------------------------------------------------------------------------------- first order


def test_vjp_of_a_linear_map_is_its_transpose() -> None:
    x, v = RNG.normal(size=4), RNG.normal(size=3)
    value, pullback = tg.vjp(lambda x: tg.asarray(A) @ x, x)
    np.testing.assert_allclose(value.numpy(), A @ x)
    for _ in range(2):
        (pulled,) = pullback(v)
        np.testing.assert_allclose(pulled.numpy(), A.T @ v)
    assert not value.requires_grad
    assert not pulled.requires_grad


def test_vjp_with_several_inputs_and_outputs() -> None:
    value, pullback = tg.vjp(lambda x, y: (x * y, x + 1.0), array(1, 2), array(3, 4))
    assert [v.tolist() for v in value] == [[3.0, 8.0], [2.0, 3.0]]
    in_x, in_y = pullback(array(1, 1), array(10, 20))
    assert (in_x.tolist(), in_y.tolist()) == ([13.0, 24.0], [1.0, 2.0])


def test_jvp_of_a_linear_map_is_that_map() -> None:
    x, t = tg.asarray(RNG.normal(size=4)), RNG.normal(size=4)
    value, pushed = tg.jvp(lambda x: tg.asarray(A) @ x, x, t)
    np.testing.assert_allclose(value.numpy(), A @ x.numpy())
    np.testing.assert_allclose(pushed.numpy(), A @ t)


def test_jvp_of_a_nonlinear_function_is_the_directional_difference() -> None:
    x, y, t, u = (RNG.uniform(0.5, 1.5, (2, 3)) for _ in range(4))

    def fn(x: Any, y: Any) -> Any:
        return [tg.softmax(x * y), tg.log(x).sum(axis=0) / y]

    values, pushed = tg.jvp(fn, (x, y), (t, u))
    h = 1e-6
    ahead = fn(tg.asarray(x + h * t), tg.asarray(y + h * u))
    behind = fn(tg.asarray(x - h * t), tg.asarray(y - h * u))
    assert isinstance(values, list)
    assert isinstance(pushed, list)
    for slope, plus, minus in zip(pushed, ahead, behind, strict=True):
        np.testing.assert_allclose(slope.numpy(), (plus - minus).numpy() / (2 * h), rtol=1e-7)


def test_jacobians_of_known_functions() -> None:
    x = array(0.5, 1.0, 2.0)
    np.testing.assert_allclose(tg.jacobian(tg.exp, x).numpy(), np.diag(np.exp(x.numpy())))
    s = tg.softmax(x).numpy()
    np.testing.assert_allclose(tg.jacobian(tg.softmax, x).numpy(), np.diag(s) - np.outer(s, s))
    w = tg.asarray(A)
    block = tg.jacobian(lambda w: w @ tg.ones((4,), dtype=tg.float64), w)
    np.testing.assert_array_equal(block.numpy(), np.repeat(np.eye(3)[:, :, None], 4, axis=2))


def test_jacobian_has_a_block_for_each_pair_of_output_and_input() -> None:
    blocks = tg.jacobian(lambda x, y: (x * y, y.sum()), (array(1, 2), array(3, 4)))
    assert [[b.tolist() for b in row] for row in blocks] == [
        [[[3.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]],
        [[0.0, 0.0], [1.0, 1.0]],
    ]


def test_an_output_that_depends_on_nothing_has_derivative_zero() -> None:
    constant = array(1, 2, 3)
    x = array(5, 6)
    assert tg.jacobian(lambda x: constant, x).tolist() == np.zeros((3, 2)).tolist()
    assert tg.jvp(lambda x: constant, x, x)[1].tolist() == [0.0, 0.0, 0.0]
    assert tg.vjp(lambda x: constant, x)[1](constant)[0].tolist() == [0.0, 0.0]
    assert tg.hessian(lambda x: x.sum(), x).tolist() == np.zeros((2, 2)).tolist()
    assert tg.hvp(lambda x: constant.sum(), x, x).tolist() == [0.0, 0.0]


def test_the_identity_and_empty_and_0d_inputs() -> None:
    x = array(1, 2)
    assert tg.jacobian(lambda x: x, x).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tg.jacobian(tg.exp, tg.zeros((0, 2))).shape == (0, 2, 0, 2)
    assert tg.jacobian(tg.square, tg.tensor(3.0)).item() == 6.0
    assert tg.hessian(lambda x: x**3, tg.tensor(2.0)).item() == 12.0


# ------------------------------------------------------------------------------ second order


def test_the_hessian_of_a_quadratic_form_is_constant() -> None:
    x, v = tg.asarray(RNG.normal(size=4)), RNG.normal(size=4)
    np.testing.assert_allclose(tg.hessian(quadratic, x).numpy(), Q + Q.T)
    np.testing.assert_allclose(tg.hvp(quadratic, x, v).numpy(), (Q + Q.T) @ v)


def test_hessian_and_hvp_with_several_inputs() -> None:
    x, y = array(1, 2), array(3, 4)
    blocks = tg.hessian(bilinear, (x, y))
    zero, one = np.zeros((2, 2)).tolist(), np.eye(2).tolist()
    assert [[b.tolist() for b in row] for row in blocks] == [[zero, one], [one, zero]]
    products = tg.hvp(bilinear, (x, y), (array(5, 6), array(7, 8)))
    assert [p.tolist() for p in products] == [[7.0, 8.0], [5.0, 6.0]]


def test_hvp_is_the_hessian_times_a_vector_through_fused_operations() -> None:
    x, v = tg.asarray(RNG.normal(size=(2, 3))), RNG.normal(size=(2, 3))

    def loss(x: Any) -> Any:
        return tg.cross_entropy(tg.tanh(x) * 2.0, tg.tensor([0, 2]))

    full = tg.hessian(loss, x).numpy()
    np.testing.assert_allclose(tg.hvp(loss, x, v).numpy(), np.tensordot(full, v, 2), rtol=1e-12)
    np.testing.assert_allclose(full, full.transpose(2, 3, 0, 1), atol=1e-15)


# ------------------------------------------------------------------------- of the transforms


def test_without_create_graph_nothing_is_recorded_and_no_gradient_touched() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)

    def fn(x: Any) -> Any:
        return (w * x**3).sum()

    results = [
        tg.vjp(fn, x)[0],
        tg.vjp(fn, x)[1](1.0)[0],
        *tg.jvp(fn, x, x),
        tg.jacobian(fn, x),
        tg.hessian(fn, x),
        tg.hvp(fn, x, x),
    ]
    assert not any(result.requires_grad for result in results)
    assert x.grad is None
    assert w.grad is None


def leaf(*values: float) -> Any:
    return array(*values).requires_grad_()


TRANSFORMED = {
    "vjp": lambda x, w: tg.vjp(lambda x: w * tg.sin(x), x, create_graph=True)[1](w)[0],
    "vjp value": lambda x, w: tg.vjp(lambda x: w * tg.sin(x), x, create_graph=True)[0],
    "jvp": lambda x, w: tg.jvp(lambda x: w * tg.sin(x), x, w * 2.0, create_graph=True)[1],
    "jacobian": lambda x, w: tg.jacobian(lambda x: w * tg.sin(x), x, create_graph=True),
    "hessian": lambda x, w: tg.hessian(lambda x: (w * tg.sin(x)).sum(), x, create_graph=True),
    "hvp": lambda x, w: tg.hvp(lambda x: (w * tg.sin(x)).sum(), x, w, create_graph=True),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_with_create_graph_the_result_can_be_differentiated(name: str) -> None:
    inputs = leaf(0.5, 1.5), leaf(2.0, -1.0)
    assert gradcheck(TRANSFORMED[name], inputs)
    assert gradcheck(TRANSFORMED[name], inputs, order=2, rtol=1e-4, atol=1e-6)


def test_transforms_of_transforms() -> None:
    x = tg.asarray(RNG.normal(size=4))

    def gradient(x: Any) -> Any:
        return tg.vjp(quadratic, x, create_graph=True)[1](1.0)[0]

    np.testing.assert_allclose(tg.jacobian(gradient, x).numpy(), Q + Q.T)
    third = tg.jacobian(lambda x: tg.hessian(lambda x: (x**3).sum(), x, create_graph=True), x)
    assert third.shape == (4, 4, 4)
    assert [third.numpy()[i, i, i] for i in range(4)] == pytest.approx([6.0] * 4)


def test_an_input_given_twice_and_closed_over_counts_as_three_variables() -> None:
    x = leaf(2.0)

    def fn(a: Any, b: Any) -> Any:
        return a**2 * b * x

    _, pullback = tg.vjp(fn, x, x, create_graph=True)
    assert [g.tolist() for g in pullback(array(1.0))] == [[16.0], [8.0]]


def test_they_work_under_no_grad() -> None:
    with tg.no_grad():
        assert tg.jacobian(tg.square, array(3.0)).tolist() == [[6.0]]
        assert tg.hvp(lambda x: (x**3).sum(), leaf(2.0), array(1.0)).tolist() == [12.0]
        assert not tg.vjp(tg.exp, leaf(1.0), create_graph=True)[0].numpy().sum() < 0


def test_float32_stays_float32() -> None:
    x = tg.tensor([1.0, 2.0])
    results = [*tg.jvp(tg.exp, x, np.ones(2)), tg.jacobian(tg.exp, x), tg.vjp(tg.exp, x)[1](x)[0]]
    results.append(tg.hessian(lambda x: x.exp().sum(), x))
    assert {r.dtype for r in results} == {np.dtype(np.float32)}


def test_wrong_calls_are_named() -> None:
    x = array(1, 2)
    with pytest.raises(TypeError, match="jacobian: input 1 is of int64"):
        tg.jacobian(bilinear, (x, tg.tensor([1, 2])))
    with pytest.raises(ValueError, match=r"hessian: the function's value is one number.*\(2,\)"):
        tg.hessian(tg.exp, x)
    with pytest.raises(ValueError, match=r"jvp: expected a vector of shape \(2,\); got \(3,\)"):
        tg.jvp(tg.exp, x, array(1, 2, 3))
    with pytest.raises(ValueError, match="hvp: 2 inputs but 1 vectors"):
        tg.hvp(bilinear, (x, x), (x,))
    with pytest.raises(ValueError, match="vjp: 1 outputs but 2 gradients"):
        tg.vjp(tg.exp, x)[1](x, x)
    with pytest.raises(TypeError, match="vjp: the function returned float"):
        tg.vjp(lambda x: 1.0, x)
