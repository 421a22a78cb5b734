"""Activations: formulas, kinks, far out, axes, errors; and the layers that call them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.testing import gradcheck

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def slopes(fn: Any, points: list[float], dtype: Any = tg.float64) -> list[float]:
    x = tg.tensor(points, dtype=dtype, requires_grad=True)
    fn(x).sum().backward()
    found: list[float] = x.grad.tolist()
    return found


FORMULAS = [
    (F.elu, lambda x: x if x > 0 else math.exp(x) - 1),
    (lambda x: F.elu(x, 0.3), lambda x: x if x > 0 else 0.3 * (math.exp(x) - 1)),
    (F.selu, lambda x: SCALE * (x if x > 0 else ALPHA * (math.exp(x) - 1))),
    (lambda x: F.celu(x, 0.3), lambda x: x if x > 0 else 0.3 * (math.exp(x / 0.3) - 1)),
    (F.softsign, lambda x: x / (1 + abs(x))),
    (F.hardtanh, lambda x: min(max(x, -1), 1)),
    (lambda x: F.hardtanh(x, -0.5, 2.0), lambda x: min(max(x, -0.5), 2.0)),
    (F.relu6, lambda x: min(max(x, 0), 6)),
    (F.hardsigmoid, lambda x: min(max(x / 6 + 0.5, 0), 1)),
    (F.hardswish, lambda x: x * min(max(x / 6 + 0.5, 0), 1)),
    (F.logsigmoid, lambda x: math.log(1 / (1 + math.exp(-x)))),
    (lambda x: F.prelu(x, tg.tensor([0.3], dtype=tg.float64)), lambda x: x if x > 0 else 0.3 * x),
]


@pytest.mark.parametrize(("fn", "formula"), FORMULAS)
def test_value_is_the_formula_and_two_derivatives_are_those_of_differences(
    fn: Any, formula: Any
) -> None:
    points = np.linspace(-7.3, 7.1, 23)
    found = fn(tg.tensor(points)).numpy()
    np.testing.assert_allclose(found, [formula(x) for x in points], rtol=1e-13, atol=1e-14)
    assert gradcheck(fn, tg.tensor(points, requires_grad=True), order=2)


@pytest.mark.parametrize(
    ("fn", "points", "wanted"),
    [
        (lambda x: F.elu(x, 0.3), [0.0], [0.3]),
        (F.selu, [0.0], [SCALE * ALPHA]),
        (lambda x: F.celu(x, 0.3), [0.0], [1.0]),
        (F.softsign, [0.0], [1.0]),
        (F.hardtanh, [-1.0, 1.0], [0.0, 0.0]),
        (F.relu6, [0.0, 6.0], [0.0, 0.0]),
        (F.hardsigmoid, [-3.0, 3.0], [0.0, 0.0]),
        (F.hardswish, [-3.0, 3.0], [0.0, 1.0]),
        (F.leaky_relu, [0.0], [0.01]),
        (lambda x: F.prelu(x, tg.tensor([0.3], dtype=tg.float64)), [0.0], [0.3]),
        (lambda x: tg.clip(x, -1, 1), [-1.0, 1.0], [1.0, 1.0]),
    ],
)
def test_the_derivative_at_a_kink_is_pytorchs(fn: Any, points: Any, wanted: Any) -> None:
    assert slopes(fn, points) == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize(
    ("fn", "values", "derivatives"),
    [
        (F.elu, [-1.0, 1000.0], [0.0, 1.0]),
        (F.selu, [-SCALE * ALPHA, SCALE * 1000], [0.0, SCALE]),
        (F.celu, [-1.0, 1000.0], [0.0, 1.0]),
        (F.softsign, [-1000 / 1001, 1000 / 1001], [1001.0**-2, 1001.0**-2]),
        (F.hardtanh, [-1.0, 1.0], [0.0, 0.0]),
        (F.relu6, [0.0, 6.0], [0.0, 0.0]),
        (F.hardsigmoid, [0.0, 1.0], [0.0, 0.0]),
        (F.hardswish, [0.0, 1000.0], [0.0, 1.0]),
        (F.logsigmoid, [-1000.0, 0.0], [1.0, 0.0]),
        (F.sigmoid, [0.0, 1.0], [0.0, 0.0]),
    ],
)
def test_far_out_nothing_overflows(fn: Any, values: Any, derivatives: Any, dtype: Any) -> None:
    points = [-1000.0, 1000.0]
    out = fn(tg.tensor(points, dtype=dtype))
    assert out.dtype == dtype
    assert out.tolist() == pytest.approx(values, rel=1e-6)
    assert slopes(fn, points, dtype) == pytest.approx(derivatives, rel=1e-3, abs=1e-12)
    x = tg.tensor(points, dtype=dtype, requires_grad=True)
    (slope,) = tg.grad(fn(x).sum(), x, create_graph=True)
    if slope.requires_grad:
        (second,) = tg.grad(slope.sum(), x)
        assert second.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_nan_passes_through() -> None:
    for fn in (F.elu, F.hardtanh, F.relu6, F.hardswish, F.softsign):
        assert np.isnan(fn(tg.tensor([math.nan])).item())


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_softmax_and_its_logarithm_work_along_any_axis(axis: int) -> None:
    x = np.random.default_rng(0).uniform(-1000, 1000, (3, 4, 5))
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    wanted = powers / powers.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(nn.Softmax(axis)(tg.tensor(x)).numpy(), wanted, rtol=1e-12)
    logs = nn.LogSoftmax(axis)(tg.tensor(x)).numpy()
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs), wanted, rtol=1e-9, atol=1e-300)


def test_a_softmax_of_equal_numbers_is_even_however_large_they_are() -> None:
    for size in (-1000.0, 0.0, 1000.0):
        assert F.softmax(tg.full((4,), size)).tolist() == [0.25] * 4
    assert nn.Softmax()(tg.zeros((2, 4))).sum(axis=-1).tolist() == [1.0, 1.0]


def test_glu_gates_one_half_by_the_other() -> None:
    x = np.random.default_rng(1).normal(size=(2, 4, 3))
    out = F.glu(tg.tensor(x), axis=1).numpy()
    np.testing.assert_allclose(out, x[:, :2] / (1 + np.exp(-x[:, 2:])), rtol=1e-13)
    assert gradcheck(lambda t: F.glu(t, 1), tg.tensor(x, requires_grad=True), order=2)


def test_prelu_learns_a_slope_for_each_channel() -> None:
    rng = np.random.default_rng(2)
    x, weight = rng.normal(size=(2, 3, 4)), tg.tensor([0.1, 0.2, -0.3], dtype=tg.float64)
    weight.requires_grad_()
    out = F.prelu(tg.tensor(x), weight)
    np.testing.assert_allclose(out.numpy(), np.where(x > 0, x, x * weight.numpy()[:, None]))
    out.sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), np.minimum(x, 0).sum(axis=(0, 2)))


def test_prelu_starts_at_a_quarter_and_is_the_one_activation_with_a_parameter() -> None:
    layer = nn.PReLU(3, dtype=tg.float64)
    assert layer.weight.tolist() == [0.25] * 3
    assert list(layer.state_dict()) == ["weight"]
    assert layer.weight.dtype == tg.float64
    layer.weight.data = tg.zeros(3, dtype=tg.float64)
    layer.reset_parameters()
    assert layer.weight.tolist() == [0.25] * 3
    assert nn.PReLU(init=0.5)(tg.tensor(-2.0)).item() == -1.0


@pytest.mark.parametrize(
    ("layer", "function", "text"),
    [
        (nn.ELU(0.5), lambda x: F.elu(x, 0.5), "ELU(alpha=0.5)"),
        (nn.SELU(), F.selu, "SELU()"),
        (nn.CELU(0.5), lambda x: F.celu(x, 0.5), "CELU(alpha=0.5)"),
        (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh"), "GELU(approximate='tanh')"),
        (nn.SiLU(), F.silu, "SiLU()"),
        (nn.Mish(), F.mish, "Mish()"),
        (
            nn.Softplus(2.0, 3.0),
            lambda x: F.softplus(x, 2.0, 3.0),
            "Softplus(beta=2.0, threshold=3.0)",
        ),
        (nn.Softsign(), F.softsign, "Softsign()"),
        (
            nn.Hardtanh(-2, 0.5),
            lambda x: F.hardtanh(x, -2, 0.5),
            "Hardtanh(min_val=-2, max_val=0.5)",
        ),
        (nn.Hardswish(), F.hardswish, "Hardswish()"),
        (nn.Hardsigmoid(), F.hardsigmoid, "Hardsigmoid()"),
        (nn.ReLU6(), F.relu6, "ReLU6()"),
        (nn.LogSigmoid(), F.logsigmoid, "LogSigmoid()"),
        (nn.Softmax(0), lambda x: F.softmax(x, 0), "Softmax(axis=0)"),
        (nn.LogSoftmax(0), lambda x: F.log_softmax(x, 0), "LogSoftmax(axis=0)"),
        (nn.GLU(0), lambda x: F.glu(x, 0), "GLU(axis=0)"),
    ],
)
def test_a_layer_is_its_function_and_shows_its_options(
    layer: Any, function: Any, text: str
) -> None:
    x = tg.tensor(np.linspace(-4, 4, 22))
    assert (layer(x).numpy() == function(x).numpy()).all()
    assert repr(layer) == text
    assert not layer.state_dict()


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"prelu: .* a weight \(3,\) and an input \(4, 2\)"):
        F.prelu(tg.ones((4, 2)), tg.ones(3))
    with pytest.raises(ValueError, match="celu: alpha must not be 0"):
        F.celu(tg.ones(2), 0)
    with pytest.raises(ValueError, match="hardtanh: min_val 2 is larger than max_val 1"):
        F.hardtanh(tg.ones(2), 2, 1)
    with pytest.raises(
        ValueError, match=r"glu: expected an even length along axis -1; got an input \(2, 3\)"
    ):
        F.glu(tg.ones((2, 3)))
    with pytest.raises(IndexError, match="glu: axis 2 is out of range"):
        F.glu(tg.ones((2, 4)), 2)
    with pytest.raises(TypeError, match=r"glu: .*`dim` is `axis` here"):
        F.glu(tg.ones((2, 4)), dim=0)
