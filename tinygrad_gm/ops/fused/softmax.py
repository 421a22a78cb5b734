"""softmax and its logarithm."""

from __future__ import annotations

import math
from typing import Any

from ...backend import Array, ArrayLike, Namespace
from ...engine.call import op
from ...kernels.summation import summed
from ..elementwise import exp, log, subtract
from ..reduction import max, sum

__all__ = ["log_softmax", "softmax"]


def stopped(x: ArrayLike) -> Any:
    """x as a constant: gradients do not flow through it."""
    return x.detach()


def largest_of_rows(xp: Namespace, x: Array) -> Any:
    """The maximum along the last axis, which keeps size 1: with `argmax`, NumPy's faster loop."""
    rows = xp.reshape(x, (-1, x.shape[-1]))
    largest = rows[xp.arange(len(rows)), rows.argmax(axis=1)]
    return largest.reshape((*x.shape[:-1], 1))


def _softmax_decomposition(x: ArrayLike, axis: int = -1) -> Any:
    if not math.prod(x.shape):
        return exp(x)
    powers = exp(subtract(x, stopped(max(x, axis, True))))
    return powers / sum(powers, axis, True)


@op(
    lambda xp, g, out, axis: out * (g - xp.sum(g * out, axis, True)),
    decomposition=_softmax_decomposition,
    closed=True,
    local=["diag(s) − s sᵀ"],
)
def softmax(xp: Namespace, x: ArrayLike, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis, with the maximum subtracted first so that nothing overflows.

    A row of −inf only has no softmax: it gives NaN.

    >>> tg.softmax(tg.tensor([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    if not x.size:
        return xp.exp(x)
    out = xp.exp(x - x.max(axis=axis, keepdims=True))
    out /= summed(xp, out, axis, True)
    return out


def log_softmax_decomposition(x: ArrayLike, axis: int = -1) -> Any:
    if not math.prod(x.shape):
        return exp(x)
    shifted = subtract(x, stopped(max(x, axis, True)))
    return shifted - log(sum(exp(shifted), axis, True))


@op(
    lambda xp, g, out, axis: g - xp.exp(out) * xp.sum(g, axis, True),
    decomposition=log_softmax_decomposition,
    closed=True,
    local=["I − 1 sᵀ"],
)
def log_softmax(xp: Namespace, x: ArrayLike, axis: int = -1) -> Any:
    """ln softmax(x) along an axis, without ever forming a softmax that underflows.

    >>> tg.log_softmax(tg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """
    if not x.size:
        return xp.exp(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(summed(xp, xp.exp(shifted), axis, True))
