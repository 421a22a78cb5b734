"""softmax and its logarithm."""

from __future__ import annotations

import math
from typing import Any

from ...backend import ArrayLike, Namespace
from ...engine.call import op
from ...kernels import softmax as kernels
from ..elementwise import exp, log, subtract
from ..reduction import max, sum

__all__ = ["log_softmax", "softmax"]


def _softmax_decomposition(x: ArrayLike, axis: int) -> Any:
    if not math.prod(x.shape):
        return exp(x)
    powers = exp(subtract(x, max(x, axis, True).detach()))
    return powers / sum(powers, axis, True)


@op(
    kernels.softmax_backward,
    decomposition=_softmax_decomposition,
    closed=True,
    local=["diag(s) − s sᵀ"],
)
def softmax(xp: Namespace, x: ArrayLike, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis, with the maximum subtracted first so that nothing overflows.

    A row whose elements are all −inf gives NaN.

    >>> tg.softmax(tg.tensor([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    return kernels.softmax(xp, x, axis)


def log_softmax_decomposition(x: ArrayLike, axis: int) -> Any:
    if not math.prod(x.shape):
        return exp(x)
    shifted = subtract(x, max(x, axis, True).detach())
    return shifted - log(sum(exp(shifted), axis, True))


@op(
    kernels.log_softmax_backward,
    decomposition=log_softmax_decomposition,
    closed=True,
    local=["I − 1 sᵀ"],
)
def log_softmax(xp: Namespace, x: ArrayLike, axis: int = -1) -> Any:
    """ln softmax(x) along an axis, computed without the softmax, which may underflow.

    >>> tg.log_softmax(tg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """
    return kernels.log_softmax(xp, x, axis)
