"""The sigmoid; gelu and silu, forward and backward, in blocks that stay in the cache.

silu and the approximate gelu are x·s with a gate s = σ(u) = (1 + tanh(u/2))/2, and u = x for silu.
Their derivative is s·(1 + (1 − s)·x·u′).
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, Namespace
from . import native
from .blocks import in_blocks
from .erf import erf_of_block, polynomial

ROOT_HALF = math.sqrt(0.5)
DENSITY = 1 / math.sqrt(2 * math.pi)  # of the standard normal distribution at 0
TANH_SCALE, TANH_CUBIC = math.sqrt(2 / math.pi), 0.044715
TANH_LIMIT = 10.0  # beyond, the tanh is ±1 to the last digit, and a power of x may overflow
TAIL = (
    -0.6931471228599548, -0.7978874444961548, -0.31828072667121887, -0.03644445538520813,
    0.004980845842510462, -0.00016160510131157935, -0.00010084435052704066, 2.125275022990536e-05,
    -1.4531549368257402e-06,
)  # fmt: skip
TAIL_LIMIT = 12.0  # Φ(−12) is 0 in float32


def sigmoid(xp: Namespace, x: Array, out: Array = None) -> Array:
    """1 / (1 + e^−x), written to `out` if given; an overflow, which gives 0, is the caller's."""
    out = xp.negative(x, out=out)
    xp.exp(out, out=out)
    out += 1
    return xp.reciprocal(out, out=out)


def gelu(xp: Namespace, x: Array) -> Array:
    """x·Φ(x), with Φ the standard normal distribution function."""
    return native.gelu(x) if native.dense(x) else in_blocks(xp, _gelu, x)


def gelu_backward(xp: Namespace, g: Array, x: Array) -> Array:
    """g·(Φ(x) + x·φ(x))."""
    if native.dense(g, x):
        return native.gelu_backward(g, x)
    return in_blocks(xp, _gelu_slope, x, g)


def tanh_gelu(xp: Namespace, x: Array) -> Array:
    """x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    return native.tanh_gelu(x) if native.dense(x) else in_blocks(xp, _tanh_gelu, x)


def tanh_gelu_backward(xp: Namespace, g: Array, x: Array) -> Array:
    """g times the derivative of `tanh_gelu`."""
    if native.dense(g, x):
        return native.tanh_gelu_backward(g, x)
    return in_blocks(xp, _tanh_gelu_slope, x, g)


def silu(xp: Namespace, x: Array) -> Array:
    """x·σ(x)."""
    if native.dense(x):
        return native.silu(x)
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        return in_blocks(xp, _silu, x)


def silu_backward(xp: Namespace, g: Array, x: Array) -> Array:
    """g·s·(1 + (1 − s)·x) with s = σ(x)."""
    if native.dense(g, x):
        return native.silu_backward(g, x)
    return in_blocks(xp, _silu_slope, x, g)


def _tail(xp: Namespace, magnitude: Array) -> Array:
    """Φ(−a) in float32, right to 8e-8, as exp of a polynomial in a (from 0 to the limit).

    The polynomial makes the largest error of a·Φ(−a) on [0, 6] as small as its degree allows
    (Lawson's iteration), and falls from there to the limit.
    """
    return xp.exp(polynomial(magnitude, TAIL))


def _gelu(xp: Namespace, out: Array, x: Array) -> None:
    if x.dtype.itemsize == 4:  # max(x, 0) − |x|·Φ(−|x|)
        magnitude = xp.abs(xp.clip(x, -TAIL_LIMIT, TAIL_LIMIT))
        magnitude *= _tail(xp, magnitude)
        xp.clip(x, 0.0, np.inf, out=out)
        out -= magnitude
        return
    erf_of_block(xp, out, x * ROOT_HALF)
    out += 1.0
    out *= 0.5  # before x, since 2x may be infinite
    out *= x


def _gelu_slope(xp: Namespace, out: Array, x: Array, g: Array) -> None:
    single = x.dtype.itemsize == 4
    if single:
        x = xp.clip(x, -TAIL_LIMIT, TAIL_LIMIT)
    density = x * x
    density *= -0.5
    density = xp.exp(density)
    density *= DENSITY
    density *= x
    if single:
        xp.copysign(0.5 - _tail(xp, xp.abs(x)), x, out=out)
    else:
        erf_of_block(xp, out, x * ROOT_HALF)
        out *= 0.5
    out += 0.5
    out += density
    out *= g


def _tanh_gelu(xp: Namespace, out: Array, x: Array) -> None:
    xp.multiply(x, x, out=out)
    out *= TANH_SCALE * TANH_CUBIC
    out += TANH_SCALE
    out *= x
    xp.tanh(out, out=out)
    out += 1.0
    out *= 0.5
    out *= x


def _tanh_gelu_slope(xp: Namespace, out: Array, x: Array, g: Array) -> None:
    x = xp.clip(x, -TANH_LIMIT, TANH_LIMIT)
    half = x * x
    slope = half * (6 * TANH_SCALE * TANH_CUBIC)
    slope += 2 * TANH_SCALE
    slope *= x
    half *= TANH_SCALE * TANH_CUBIC
    half += TANH_SCALE
    half *= x
    _gated_slope(xp, out, half, slope, g)


def _silu(xp: Namespace, out: Array, x: Array) -> None:
    xp.negative(x, out=out)
    xp.exp(out, out=out)
    out += 1.0
    xp.divide(x, out, out=out)


def _silu_slope(xp: Namespace, out: Array, x: Array, g: Array) -> None:
    _gated_slope(xp, out, x * 0.5, x, g)


def _gated_slope(xp: Namespace, out: Array, half: Array, slope: Array, g: Array) -> None:
    """g·s·(1 + (1 − s)·slope) with s = (1 + tanh(half))/2, which NumPy computes fastest."""
    s = xp.tanh(half)
    s *= 0.5
    s += 0.5
    xp.subtract(1.0, s, out=out)
    out *= slope
    out += 1.0
    out *= s
    out *= g
