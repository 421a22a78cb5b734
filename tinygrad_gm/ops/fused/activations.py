"""Smooth relatives of relu.

`gelu` and `silu`, on which large nets spend their time, are worked out in blocks that stay in the
cache, both ways; the rules of the others are short formulas that serve derivatives of any order.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Namespace
from ...engine.call import op
from ...kernels.blocks import in_blocks
from ..choosing import clip, where
from ..elementwise import logaddexp, multiply, sigmoid, tanh
from ..special import erf, erf_of, polynomial

__all__ = ["gelu", "mish", "silu", "softplus"]

ROOT_HALF = math.sqrt(0.5)
DENSITY = 1 / math.sqrt(2 * math.pi)  # of the standard normal distribution at 0
TANH_SCALE, TANH_CUBIC = math.sqrt(2 / math.pi), 0.044715
TANH_LIMIT = 10.0  # beyond, the tanh is ±1 to the last digit, and a power of x may be infinite
TAIL = (
    -0.6931471228599548, -0.7978874444961548, -0.31828072667121887, -0.03644445538520813,
    0.004980845842510462, -0.00016160510131157935, -0.00010084435052704066, 2.125275022990536e-05,
    -1.4531549368257402e-06,
)  # fmt: skip
TAIL_LIMIT = 12.0  # Φ(−12) is 0 in float32
FLAT = 30.0  # far beyond where tanh(softplus(x)) is 1 to the last digit; e^(2·30) is a float32
GONE = -1000.0  # far below where it is 0


def _gelu_decomposition(x: ArrayLike, approximate: str = "none") -> Any:
    if approximate == "tanh":
        bounded = clip(x, -TANH_LIMIT, TANH_LIMIT)
        inner = bounded * TANH_SCALE * (1.0 + TANH_CUBIC * bounded * bounded)
        return multiply(x, 0.5 * (1.0 + tanh(inner)))
    return multiply(x, 0.5 * (1.0 + erf(multiply(x, ROOT_HALF))))


def _gelu_rule(xp: Namespace, g: Array, x: Array, approximate: str) -> Any:
    slope = _slope_approximated if approximate == "tanh" else _slope
    return in_blocks(xp.module, functools.partial(slope, xp.module), x, g)


def _tail(xp: Namespace, magnitude: Array) -> Any:
    """Φ(−a) in float32, right to 8e-8, as exp of a polynomial in a (from 0 to the limit).

    The polynomial makes the largest error of a·Φ(−a) on [0, 6] as small as its degree allows
    (Lawson's iteration), and falls to the limit, beyond which nothing is left.
    """
    return xp.exp(polynomial(magnitude, TAIL))


def _slope(xp: Namespace, out: Array, x: Array, g: Array) -> None:
    """g·(Φ(x) + x·φ(x))."""
    short = x.dtype.itemsize == 4
    if short:
        x = xp.clip(x, -TAIL_LIMIT, TAIL_LIMIT)
    density = x * x
    density *= -0.5
    density = xp.exp(density)
    density *= DENSITY
    density *= x
    if short:
        xp.copysign(0.5 - _tail(xp, xp.abs(x)), x, out=out)
    else:
        erf_of(xp, out, x * ROOT_HALF)
        out *= 0.5
    out += 0.5
    out += density
    out *= g


def _slope_approximated(xp: Namespace, out: Array, x: Array, g: Array) -> None:
    """With u = √(2/π)·(x + 0.044715·x³) and s = (1 + tanh u)/2: g·s·(1 + (1 − s)·x·2u′)."""
    x = xp.clip(x, -TANH_LIMIT, TANH_LIMIT)
    squared = x * x
    inner = squared * (6 * TANH_SCALE * TANH_CUBIC)
    inner += 2 * TANH_SCALE
    inner *= x
    squared *= TANH_SCALE * TANH_CUBIC
    squared += TANH_SCALE
    squared *= x
    s = xp.tanh(squared)
    s *= 0.5
    s += 0.5
    xp.subtract(1.0, s, out=out)
    out *= inner
    out += 1.0
    out *= s
    out *= g


@op(_gelu_rule, decomposition=_gelu_decomposition, local=["Φ(x)+x·φ(x)"])
def gelu(xp: Namespace, x: ArrayLike, approximate: str = "none") -> Any:
    """x·Φ(x), with Φ the standard normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        x: any shape.
        approximate: "none", or "tanh", as in GPT-2, for x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).

    Without approximation it is right to 1e-7 of the larger of 1 and |x| in float32.

    >>> tg.gelu(tg.tensor([-1000.0, 0.0, 1.0, 1000.0])).round(4).tolist()
    [0.0, 0.0, 0.8413000106811523, 1000.0]
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate is {approximate!r}; "none" or "tanh" is wanted')

    def exact(out: Array, x: Array) -> None:
        if x.dtype.itemsize == 4:  # max(x, 0) − |x|·Φ(−|x|)
            magnitude = xp.abs(xp.clip(x, -TAIL_LIMIT, TAIL_LIMIT))
            magnitude *= _tail(xp, magnitude)
            xp.clip(x, 0.0, np.inf, out=out)
            out -= magnitude
            return
        erf_of(xp, out, x * ROOT_HALF)
        out += 1.0
        out *= 0.5  # before x, twice which may be infinite
        out *= x

    def approximated(out: Array, x: Array) -> None:
        xp.multiply(x, x, out=out)
        out *= TANH_SCALE * TANH_CUBIC
        out += TANH_SCALE
        out *= x
        xp.tanh(out, out=out)
        out += 1.0
        out *= 0.5
        out *= x

    return in_blocks(xp, exact if approximate == "none" else approximated, x)


def _silu_decomposition(x: ArrayLike) -> Any:
    return multiply(x, sigmoid(x))


def _silu_rule(xp: Namespace, g: Array, x: Array) -> Any:
    return in_blocks(xp.module, functools.partial(_silu_slope, xp.module), x, g)


def _silu_slope(xp: Namespace, out: Array, x: Array, g: Array) -> None:
    """g·s·(1 + (1 − s)·x) with s = σ(x) = (1 + tanh(x/2))/2, of which NumPy's form is faster."""
    s = x * 0.5
    s = xp.tanh(s)
    s *= 0.5
    s += 0.5
    xp.subtract(1.0, s, out=out)
    out *= x
    out += 1.0
    out *= s
    out *= g


@op(_silu_rule, decomposition=_silu_decomposition, local=["σ+x·σ(1−σ)"])
def silu(xp: Namespace, x: ArrayLike) -> Any:
    """x·σ(x), also called swish (Ramachandran, Zoph & Le 2017).

    >>> tg.silu(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """

    def formula(out: Array, x: Array) -> None:
        xp.negative(x, out=out)
        xp.exp(out, out=out)
        out += 1.0
        xp.divide(x, out, out=out)

    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        return in_blocks(xp, formula, x)


def _softplus_decomposition(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Any:
    scaled = multiply(x, beta)
    return where(scaled > threshold, x, logaddexp(scaled, 0.0) / beta)


def _softplus_rule(xp: Namespace, g: Array, x: Array, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return g * xp.where(scaled > threshold, 1.0, xp.sigmoid(scaled))


@op(_softplus_rule, decomposition=_softplus_decomposition, closed=True, local=["σ(βx)"])
def softplus(xp: Namespace, x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(βx)) / β, and x itself, as it is to many digits, where βx > threshold.

    >>> tg.softplus(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6930999755859375, 1000.0]
    """
    if beta == 0:
        raise ValueError("softplus: beta is 0, by which the result is divided")
    scaled = x * beta
    curved = xp.log1p(xp.exp(-xp.abs(scaled)))  # plus max(scaled, 0)
    curved += xp.maximum(scaled, xp.zeros_like(scaled))
    return xp.where(scaled > threshold, x, curved / beta)


def _mish_decomposition(x: ArrayLike) -> Any:
    return multiply(x, tanh(softplus(x)))


def _mish_rule(xp: Namespace, g: Array, x: Array) -> Any:
    """With e = e^x: tanh(softplus x) = n/(n + 2), where n = e² + 2e = (1 + e)² − 1."""
    x = xp.clip(x, GONE, FLAT)
    e = xp.exp(x)
    n = e * (e + 2.0)
    total = n + 2.0
    return g * (n / total + 4.0 * x * (e / total) * ((e + 1.0) / total))


@op(_mish_rule, decomposition=_mish_decomposition, closed=True, local=["tanh s+x·σ(1−tanh²s)"])
def mish(xp: Namespace, x: ArrayLike) -> Any:
    """x·tanh(ln(1 + e^x)) (Misra 2019).

    >>> tg.mish(tg.tensor([-1000.0, 0.0, 1.0, 1000.0])).round(4).tolist()
    [-0.0, 0.0, 0.8651000261306763, 1000.0]
    """
    n = xp.exp(xp.minimum(x, FLAT))
    n *= n + 2
    return xp.maximum(x, GONE) * (n / (n + 2))  # at −inf too
