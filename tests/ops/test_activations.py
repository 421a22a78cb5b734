"""Smooth activations: far out, at zero, as integrals, on large arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm.kernels.blocks import BLOCK

rng = np.random.default_rng(0)


def tanh_gelu(x: Any) -> Any:
    return F.gelu(x, approximate="tanh")


ALL = [F.gelu, tanh_gelu, F.silu, F.mish, F.softplus]


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("fn", ALL)
def test_far_out_values_and_three_derivatives_are_those_of_relu(fn: Any, dtype: Any) -> None:
    x = tg.tensor([-1000.0, 1000.0], dtype=dtype, requires_grad=True)
    out = fn(x)
    assert out.tolist() == [0.0, 1000.0]
    derivative = out
    for wanted in ([0.0, 1.0], [0.0, 0.0], [0.0, 0.0]):
        (derivative,) = tg.grad(derivative.sum(), x, create_graph=True)
        assert derivative.tolist() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("fn", "value", "slope"),
    [
        (F.gelu, 0.0, 0.5),
        (tanh_gelu, 0.0, 0.5),
        (F.silu, 0.0, 0.5),
        (F.mish, 0.0, 0.6),
        (F.softplus, math.log(2), 0.5),
    ],
)
def test_value_and_slope_at_0(fn: Any, value: float, slope: float) -> None:
    x = tg.tensor(0.0, dtype=tg.float64, requires_grad=True)
    out = fn(x)
    out.backward()
    assert out.item() == pytest.approx(value, abs=1e-15)
    assert x.grad.item() == pytest.approx(slope, rel=1e-14)


def test_gelu_of_x_plus_gelu_of_minus_x_is_x_erf() -> None:
    x = np.linspace(-5, 5, 101)
    odd = F.gelu(tg.tensor(x)) - F.gelu(tg.tensor(-x))
    np.testing.assert_allclose(odd.numpy(), x, atol=1e-15)
    even = F.gelu(tg.tensor(x)) + F.gelu(tg.tensor(-x))
    wanted = [v * math.erf(v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(even.numpy(), wanted, rtol=1e-14)


def test_gelu_and_its_slope_in_float32_are_right_to_the_last_digits_of_1() -> None:
    points = np.concatenate([np.linspace(-14, 14, 5001), [-3e38, 3e38]]).astype(np.float32)
    x = tg.tensor(points, requires_grad=True)
    out = F.gelu(x)
    out.sum().backward()
    exact = points.astype(float)
    below = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in exact])
    density = np.array([math.exp(-min(v * v, 1e3) / 2) / math.sqrt(2 * math.pi) for v in exact])
    error = np.abs(out.numpy() - exact * below) / np.maximum(1, np.abs(exact))
    assert error.max() < 1.2e-7
    assert np.abs(x.grad.numpy() - (below + exact * density)).max() < 2e-7


def test_the_tanh_form_of_gelu_is_within_its_known_error() -> None:
    x = tg.tensor(np.linspace(-6, 6, 2001))
    error = np.abs(F.gelu(x).numpy() - tanh_gelu(x).numpy()).max()
    assert 1e-4 < error < 5e-4  # Hendrycks & Gimpel's approximation is good to 4.8e-4


def test_softplus_is_the_integral_of_the_sigmoid() -> None:
    x = np.linspace(-30, 15, 200_001)
    for beta in (1.0, 2.0):
        sigmoid = tg.sigmoid(tg.tensor(x * beta)).numpy()
        area = np.trapezoid(sigmoid, x)
        out = F.softplus(tg.tensor(x[[0, -1]]), beta).numpy()
        assert out[1] - out[0] == pytest.approx(area, rel=1e-8)


def test_softplus_is_x_above_its_threshold() -> None:
    x = tg.tensor([0.9, 1.1], dtype=tg.float64, requires_grad=True)
    out = F.softplus(x, beta=2.0, threshold=2.0)
    assert out.tolist() == [pytest.approx(math.log1p(math.exp(1.8)) / 2), 1.1]
    out.sum().backward()
    assert x.grad.tolist() == [pytest.approx(1 / (1 + math.exp(-1.8))), 1.0]


@pytest.mark.parametrize("fn", ALL)
def test_integers_give_floats_and_a_large_array_is_that_of_its_parts(fn: Any) -> None:
    assert fn(tg.tensor([1, -2])).dtype == tg.float32
    x = rng.normal(size=(3, BLOCK)).astype(np.float32)
    rows = [fn(tg.tensor(row)).numpy() for row in x]
    np.testing.assert_allclose(fn(tg.tensor(x)).numpy(), rows, rtol=1e-6, atol=1e-7)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="gelu: approximate is 'erf'"):
        F.gelu(tg.ones(2), approximate="erf")
    with pytest.raises(ValueError, match="softplus: beta is 0"):
        F.softplus(tg.ones(2), beta=0)
