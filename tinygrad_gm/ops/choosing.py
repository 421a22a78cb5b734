"""Choosing between values: the chosen one gets the whole gradient, the other exactly 0.

Rules use `select` instead of a product with a mask of zeros and ones: the upstream gradient of a
value that is not chosen may be infinite, and 0 · inf is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Array, ArrayLike, Namespace
from ..engine.call import op
from ..kernels import native
from ..kernels.selection import selected

__all__ = ["clip", "leaky_relu", "maximum", "minimum", "relu", "where"]


@op(
    lambda xp, g, condition, scale: xp.select(g, condition, scale),
    None,
    local=["scale·[condition]", ""],
)
def select(xp: Namespace, x: ArrayLike, condition: ArrayLike, scale: float = 1.0) -> Any:
    """scale · x where the condition (booleans) holds, else 0, even where x is infinite or NaN.

    >>> tg.ops.select(tg.tensor([1.0, tg.inf, tg.nan]), tg.tensor([True, False, False])).tolist()
    [1.0, 0.0, 0.0]
    """
    if not isinstance(condition, bool) and condition.dtype.char != "?":
        raise TypeError(f"select: expected a condition of booleans; got {condition.dtype}")
    if native.fits(x) and isinstance(condition, np.ndarray):
        out = native.select(x, condition, scale)
        if out is not None:
            return out
    kept = selected(x, condition)
    return kept if scale == 1 else kept * scale


@op(
    None,
    lambda xp, g, condition: xp.select(g, xp.not_equal(condition, False)),
    lambda xp, g, condition: xp.select(g, xp.equal(condition, False)),
    local=["", "[condition]", "[not condition]"],
)
def where(xp: Namespace, condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Any:
    """x where the condition holds, else y.

    The branch that is not chosen gets a gradient of 0. An infinite derivative *inside* that branch,
    as in `where(x >= 0, x, sqrt(-x))` at 0, multiplies this 0 and gives 0 · inf = NaN. Keep the
    argument of the inner function away from its singular point with another `where`.

    >>> tg.where(tg.tensor([True, False]), 1.0, -1.0).tolist()
    [1.0, -1.0]
    """
    return xp.where(condition, x, y)


# ------------------------------------------------------------------------- the larger, the smaller


def _larger(xp: Namespace, g: Array, x: Array, y: Array) -> Any:
    """g where x > y, half of it where they are equal; all of it where one of them is NaN."""
    half = 0.5 * g
    return xp.select(half, xp.logical_not(x < y)) + xp.select(half, xp.logical_not(x <= y))


@op(
    lambda xp, g, x, y: _larger(xp, g, x, y),
    lambda xp, g, x, y: _larger(xp, g, y, x),
    symbol="max",
    local=["[x>y]", "[y>x]"],
)
def maximum(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """The larger of x and y; where they are equal each gets half of the gradient.

    >>> tg.maximum(tg.tensor([1.0, 5.0]), 3.0).tolist()
    [3.0, 5.0]
    """
    return xp.maximum(x, y)


@op(
    lambda xp, g, x, y: _larger(xp, g, y, x),
    lambda xp, g, x, y: _larger(xp, g, x, y),
    symbol="min",
    local=["[x<y]", "[y<x]"],
)
def minimum(xp: Namespace, x: ArrayLike, y: ArrayLike) -> Any:
    """The smaller of x and y; where they are equal each gets half of the gradient.

    >>> tg.minimum(tg.tensor([1.0, 5.0]), 3.0).tolist()
    [1.0, 3.0]
    """
    return xp.minimum(x, y)


def _bounds(min: ArrayLike, max: ArrayLike) -> tuple[float, float] | None:
    """The limits as numbers, ±inf for None; None for arrays."""
    least, most = -math.inf if min is None else min, math.inf if max is None else max
    numbers = isinstance(least, (int, float)) and isinstance(most, (int, float))
    return (least, most) if numbers and least == least and most == most else None


def _between(xp: Namespace, g: Array, x: Array, min: ArrayLike, max: ArrayLike) -> Any:
    if native.dense(g, x) and (bounds := _bounds(min, max)):
        return native.clip_backward(g, x, *bounds)
    above = g if min is None else xp.select(g, x >= min)
    return above if max is None else xp.select(above, x <= max)


def _below(xp: Namespace, g: Array, x: Array, min: ArrayLike, max: ArrayLike) -> Any:
    below = xp.select(g, x < min)
    return below if max is None else xp.select(below, min <= max)


def _above(xp: Namespace, g: Array, x: Array, min: ArrayLike, max: ArrayLike) -> Any:
    return xp.select(g, (x if min is None else xp.maximum(x, min)) > max)


@op(
    _between,
    _below,
    _above,
    local=["[min≤x≤max]", "[x<min]", "[x>max]"],
)
def clip(xp: Namespace, x: ArrayLike, min: ArrayLike = None, max: ArrayLike = None) -> Any:
    """x limited to [min, max], and to `max` where min > max; None: no limit on that side.

    At a bound the gradient goes to x, beyond it to the bound.

    >>> tg.clip(tg.tensor([-2.0, 0.5, 2.0]), -1, 1).tolist()
    [-1.0, 0.5, 1.0]
    """
    if native.dense(x) and (bounds := _bounds(min, max)):
        return native.hardtanh(x, *bounds)
    return xp.clip(x, min, max)


# ------------------------------------------------------------------------------------ rectifiers


def _relu_rule(xp: Namespace, g: Array, out: Array) -> Any:
    if native.dense(g, out):
        return native.relu_backward(g, out)
    return xp.select(g, out != 0)


@op(_relu_rule, local=["[x>0]"])
def relu(xp: Namespace, x: ArrayLike) -> Any:
    """max(x, 0); its derivative at 0 is taken as 0.

    >>> tg.relu(tg.tensor([-2.0, 3.0])).tolist()
    [0.0, 3.0]
    """
    if native.dense(x):
        return native.relu(x)
    zeros = xp.zeros(x.shape[-1:], x.dtype)  # NumPy's loop for a single 0 is four times slower
    return xp.maximum(x, zeros)


def _leaky_rule(xp: Namespace, g: Array, x: Array, slope: float) -> Any:
    if native.dense(g, x):
        return native.leaky_relu_backward(g, x, slope)
    steep = xp.astype(x > 0, g.dtype)
    return (steep + slope * (1.0 - steep)) * g  # `where` takes three times as long


@op(
    _leaky_rule,
    symbol="leaky relu",
    local=["1 or slope"],
)
def leaky_relu(xp: Namespace, x: ArrayLike, slope: float = 0.01) -> Any:
    """x where x > 0, else slope · x (Maas et al. 2013); its derivative at 0 is `slope`.

    >>> tg.leaky_relu(tg.tensor([-2.0, 3.0]), 0.5).tolist()
    [-1.0, 3.0]
    """
    if native.dense(x):
        return native.leaky_relu(x, slope)
    if 0 < slope <= 1:
        return xp.maximum(x, slope * x)  # the same; `where` takes ten times as long
    return xp.where(x > 0, x, slope * x)


def _hardtanh_rule(xp: Namespace, g: Array, out: Array, min_val: float, max_val: float) -> Any:
    if native.dense(g, out):
        return native.hardtanh_backward(g, out, min_val, max_val)
    return xp.select(g, (out != min_val) & (out != max_val))


@op(
    _hardtanh_rule,
    symbol="hard tanh",
    local=["[min_val<x<max_val]"],
)
def hardtanh(xp: Namespace, x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to [min_val, max_val]; at the edges the derivative is 0 (that of `clip` is 1).

    >>> tg.ops.hardtanh(tg.tensor([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """
    if native.dense(x):
        return native.hardtanh(x, min_val, max_val)
    return xp.clip(x if x.dtype.kind == "f" else x.astype(xp.float64), min_val, max_val)


def _hard_swish_rule(xp: Namespace, g: Array, x: Array) -> Any:
    if native.dense(g, x):
        return native.hardswish_backward(g, x)
    return xp.select(g * (x / 3.0 + 0.5), xp.abs(x) < 3.0) + xp.select(g, x >= 3.0)


@op(_hard_swish_rule, symbol="hard swish", local=["0, x/3+½ or 1"])
def hardswish(xp: Namespace, x: ArrayLike) -> Any:
    """x · min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).

    >>> tg.ops.hardswish(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [-0.0, 0.0, 4.0]
    """
    if native.dense(x):
        return native.hardswish(x)
    if x.dtype.kind != "f":
        x = x.astype(xp.float64)
    return xp.maximum(x, -3.0) * (xp.clip(x + 3.0, 0.0, 6.0) / 6.0)
