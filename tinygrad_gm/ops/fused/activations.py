"""Smooth relatives of relu. Each rule is a short formula, so it serves derivatives of any order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import ArrayLike
from ...operation import op
from ..elementwise import exp, log1p, minimum, multiply, sigmoid, tanh, where
from ..special import erf, erf_of, in_blocks

ROOT_HALF = math.sqrt(0.5)
DENSITY = 1 / math.sqrt(2 * math.pi)  # of the standard normal distribution at 0
TANH_SCALE, TANH_CUBIC = math.sqrt(2 / math.pi), 0.044715
FLAT = 30.0  # far beyond where tanh(softplus(x)) is 1 to the last digit; e^(2·30) is a float32


def _gelu_twin(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        inner = multiply(x, TANH_SCALE) * (1.0 + TANH_CUBIC * multiply(x, x))
        return multiply(x, 0.5) * (1.0 + tanh(inner))
    return multiply(x, 0.5) * (1.0 + erf(multiply(x, ROOT_HALF)))


def _gelu_rule(xp: Any, g: Any, x: Any, approximate: str) -> Any:
    """Φ(x) + x·φ(x), or the derivative of the approximation."""
    if approximate == "tanh":
        squared = x * x
        t = xp.tanh(x * (TANH_SCALE + TANH_SCALE * TANH_CUBIC * squared))
        inner = TANH_SCALE + 3 * TANH_SCALE * TANH_CUBIC * squared
        return g * (0.5 * (1.0 + t + x * (1.0 - t * t) * inner))
    below = 0.5 + 0.5 * xp.erf(ROOT_HALF * x)
    return g * (below + x * (DENSITY * xp.exp(-0.5 * (x * x))))


@op(_gelu_rule, twin=_gelu_twin, closed=True, local=["Φ(x)+x·φ(x)"])
def gelu(xp: Any, x: ArrayLike, approximate: str = "none") -> Any:
    """x·Φ(x), with Φ the standard normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        x: any shape.
        approximate: "none", or "tanh", as in GPT-2, for x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).

    >>> tg.gelu(tg.tensor([-1000.0, 0.0, 1.0, 1000.0])).round(4).tolist()
    [-0.0, 0.0, 0.8413000106811523, 1000.0]
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate is {approximate!r}; "none" or "tanh" is wanted')

    def exact(x: Any) -> Any:
        out = erf_of(xp, x * ROOT_HALF)
        out += 1.0
        out *= x
        out *= 0.5
        return out

    def approximated(x: Any) -> Any:
        out = x * x
        out *= TANH_SCALE * TANH_CUBIC
        out += TANH_SCALE
        out *= x
        out = xp.tanh(out)
        out += 1.0
        out *= x
        out *= 0.5
        return out

    return in_blocks(xp, exact if approximate == "none" else approximated, x)


def _silu_twin(x: Any) -> Any:
    return multiply(x, sigmoid(x))


def _silu_rule(xp: Any, g: Any, x: Any) -> Any:
    s = xp.sigmoid(x)
    return g * (s * (1.0 + x * (1.0 - s)))


@op(_silu_rule, twin=_silu_twin, closed=True, local=["σ+x·σ(1−σ)"])
def silu(xp: Any, x: ArrayLike) -> Any:
    """x·σ(x), also called swish (Ramachandran, Zoph & Le 2017).

    >>> tg.silu(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        return x / (1 + xp.exp(-x))


def _softplus_twin(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    scaled = multiply(x, beta)
    curved = log1p(exp(minimum(scaled, threshold))) / beta
    return where(scaled > threshold, x, curved)


def _softplus_rule(xp: Any, g: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return g * xp.where(scaled > threshold, 1.0, xp.sigmoid(scaled))


@op(_softplus_rule, twin=_softplus_twin, closed=True, local=["σ(βx)"])
def softplus(xp: Any, x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(βx)) / β, and x itself, as it is to many digits, where βx > threshold.

    >>> tg.softplus(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6930999755859375, 1000.0]
    """
    if beta == 0:
        raise ValueError("softplus: beta is 0, by which the result is divided")
    scaled = x * beta
    curved = xp.log1p(xp.exp(xp.minimum(scaled, threshold))) / beta
    return xp.where(scaled > threshold, x, curved)


def _mish_twin(x: Any) -> Any:
    return multiply(x, tanh(softplus(x)))


def _mish_rule(xp: Any, g: Any, x: Any) -> Any:
    """With e = e^x: tanh(softplus x) = n/(n + 2), where n = e² + 2e = (1 + e)² − 1."""
    e = xp.exp(xp.minimum(x, FLAT))
    n = e * (e + 2.0)
    return g * ((n + x * (4.0 * e * (e + 1.0)) / (n + 2.0)) / (n + 2.0))


@op(_mish_rule, twin=_mish_twin, closed=True, local=["tanh s+x·σ(1−tanh²s)"])
def mish(xp: Any, x: ArrayLike) -> Any:
    """x·tanh(ln(1 + e^x)) (Misra 2019).

    >>> tg.mish(tg.tensor([-1000.0, 0.0, 1.0, 1000.0])).round(4).tolist()
    [-0.0, 0.0, 0.8651000261306763, 1000.0]
    """
    n = xp.exp(xp.minimum(x, FLAT))
    n *= n + 2
    return x * (n / (n + 2))
