"""Smooth relatives of relu.

`gelu` and `silu`, which take much of the time of large networks, are kernels, forward and backward.
The rules of the others are short formulas that serve derivatives of any order.
"""

from __future__ import annotations

from typing import Any

from ...backend import Array, ArrayLike, Namespace
from ...engine.call import op
from ...kernels import activations as kernels
from ...kernels import native
from ..choosing import clip, where
from ..elementwise import logaddexp, multiply, sigmoid, tanh
from ..special import erf

__all__ = ["gelu", "mish", "silu", "softplus"]

FLAT = 30.0  # tanh(softplus(x)) is 1 to the last digit from far below on; e^(2·30) is a float32
GONE = -1000.0  # it is 0 from far above on


def _gelu_decomposition(x: ArrayLike, approximate: str) -> Any:
    if approximate == "tanh":
        bounded = clip(x, -kernels.TANH_LIMIT, kernels.TANH_LIMIT)
        inner = bounded * kernels.TANH_SCALE * (1.0 + kernels.TANH_CUBIC * bounded * bounded)
        return multiply(x, 0.5 * (1.0 + tanh(inner)))
    return multiply(x, 0.5 * (1.0 + erf(multiply(x, kernels.ROOT_HALF))))


def _gelu_rule(xp: Namespace, g: Array, x: Array, approximate: str) -> Any:
    backward = kernels.tanh_gelu_backward if approximate == "tanh" else kernels.gelu_backward
    return backward(xp.module, g, x)


@op(_gelu_rule, decomposition=_gelu_decomposition, local=["Φ(x)+x·φ(x)"])
def gelu(xp: Namespace, x: ArrayLike, approximate: str = "none") -> Any:
    """x·Φ(x), with Φ the standard normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        x: any shape.
        approximate: "none", or "tanh" for x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), as in GPT-2.

    Without approximation the error in float32 is at most 1e-7 of the larger of 1 and |x|.

    >>> tg.gelu(tg.tensor([-1000.0, 0.0, 1.0, 1000.0])).round(4).tolist()
    [0.0, 0.0, 0.8413000106811523, 1000.0]
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'gelu: approximate is {approximate!r}; expected "none" or "tanh"')
    return kernels.gelu(xp, x) if approximate == "none" else kernels.tanh_gelu(xp, x)


def _silu_decomposition(x: ArrayLike) -> Any:
    return multiply(x, sigmoid(x))


@op(
    lambda xp, g, x: kernels.silu_backward(xp.module, g, x),
    decomposition=_silu_decomposition,
    local=["σ+x·σ(1−σ)"],
)
def silu(xp: Namespace, x: ArrayLike) -> Any:
    """x·σ(x), also called swish (Ramachandran, Zoph & Le 2017).

    >>> tg.silu(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """
    return kernels.silu(xp, x)


def _softplus_decomposition(x: ArrayLike, beta: float, threshold: float) -> Any:
    scaled = multiply(x, beta)
    return where(scaled > threshold, x, logaddexp(scaled, 0.0) / beta)


def _softplus_rule(xp: Namespace, g: Array, x: Array, beta: float, threshold: float) -> Any:
    if native.dense(g, x):
        return native.softplus_backward(g, x, beta, threshold)
    scaled = x * beta
    return g * xp.where(scaled > threshold, 1.0, xp.sigmoid(scaled))


@op(_softplus_rule, decomposition=_softplus_decomposition, closed=True, local=["σ(βx)"])
def softplus(xp: Namespace, x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(βx)) / β, and x, which differs little from it, where βx > threshold.

    >>> tg.softplus(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6930999755859375, 1000.0]
    """
    if beta == 0:
        raise ValueError("softplus: beta is 0; expected another number")
    if native.dense(x):
        return native.softplus(x, beta, threshold)
    scaled = x * beta
    curved = xp.log1p(xp.exp(-xp.abs(scaled)))  # plus max(scaled, 0)
    curved += xp.maximum(scaled, xp.zeros_like(scaled))
    return xp.where(scaled > threshold, x, curved / beta)


def _mish_decomposition(x: ArrayLike) -> Any:
    return multiply(x, tanh(softplus(x)))


def _mish_rule(xp: Namespace, g: Array, x: Array) -> Any:
    """With e = e^x: tanh(softplus x) = n/(n + 2), where n = e² + 2e = (1 + e)² − 1."""
    if native.dense(g, x):
        return native.mish_backward(g, x)
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
    if native.dense(x):
        return native.mish(x)
    n = xp.exp(xp.minimum(x, FLAT))
    n *= n + 2
    return xp.maximum(x, GONE) * (n / (n + 2))  # at −inf too
