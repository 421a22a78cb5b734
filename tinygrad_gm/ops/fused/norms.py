"""Normalisation: subtract a mean, divide by a standard deviation, then scale and shift.

The norms differ only in which numbers share a mean. `kernels.norms` computes them along rows or
along channels, and has the gradient that they share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Arrays, Namespace, Shape
from ...engine.call import op
from ...kernels.norms import (
    normalize_channels,
    normalize_channels_backward,
    normalize_rows,
    normalize_rows_backward,
)
from ..checks import check_shape
from ..elementwise import add, multiply, sqrt, square, subtract
from ..reduction import mean
from ..shape import reshape, squeeze

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]

SLOPE = "(I − 1/n − x̂x̂ᵀ/n)·weight/σ"


def _scaled(x: Array, weight: Array, bias: Array) -> Any:
    x = x if weight is None else multiply(x, weight)
    return x if bias is None else add(x, bias)


def _textbook(x: ArrayLike, weight: ArrayLike, bias: ArrayLike, axes: Shape, eps: float) -> Any:
    """The normalised, scaled and shifted x, the mean and the variance."""
    average = mean(x, axes, True)
    centered = subtract(x, average)
    variance = mean(square(centered), axes, True)
    return _scaled(centered / sqrt(variance + eps), weight, bias), average, variance


# ---------------------------------------------------------------------- layer norm and RMS norm


def _rows_rule(
    xp: Namespace, g: Array, x: Array, weight: Array, residuals: Arrays, argnums: Shape, ndim: int
) -> Any:
    mean, inverse = residuals
    return normalize_rows_backward(xp.module, g, x, weight, mean, inverse, argnums, ndim)


def _check_ndim(name: str, shape: Shape, ndim: int) -> None:
    if not 1 <= ndim <= len(shape):
        raise ValueError(f"{name}: ndim is {ndim}, but the input of shape {shape} has {len(shape)}")


def _layer_norm_decomposition(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike, ndim: int, eps: float
) -> Any:
    return _textbook(x, weight, bias, tuple(range(-ndim, 0)), eps)[0]


@op(
    joint=_rows_rule,
    arity=3,
    decomposition=_layer_norm_decomposition,
    local=[SLOPE, "x̂", "1"],
    floating=True,
)
def layer_norm(
    xp: Namespace,
    x: ArrayLike,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    ndim: int = 1,
    eps: float = 1e-5,
) -> Any:
    """(x − μ)/√(σ² + eps) · weight + bias, each example by itself (Ba, Kiros & Hinton 2016).

    Args:
        x: any shape; μ and σ² are those of its last `ndim` axes.
        weight, bias: of the shape of those axes; None: 1 and 0.
        ndim: number of axes that share a mean.
        eps: keeps 1/σ finite where all numbers are equal.

    >>> tg.layer_norm(tg.tensor([[1.0, 3.0], [5.0, 5.0]]), eps=0.0 + 1e-12).round(4).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    _check_ndim("layer_norm", x.shape, ndim)
    row = x.shape[-ndim:]
    check_shape("layer_norm", row, "weight", weight)
    check_shape("layer_norm", row, "bias", bias)
    return normalize_rows(xp, x, weight, bias, ndim, eps, centered=True)


def _rms_norm_decomposition(x: ArrayLike, weight: ArrayLike, ndim: int, eps: float) -> Any:
    axes = tuple(range(-ndim, 0))
    return _scaled(x / sqrt(mean(square(x), axes, True) + eps), weight, None)


@op(
    joint=_rows_rule,
    arity=2,
    decomposition=_rms_norm_decomposition,
    local=["(I − x̂x̂ᵀ/n)·weight/r", "x̂"],
    floating=True,
)
def rms_norm(
    xp: Namespace, x: ArrayLike, weight: ArrayLike = None, ndim: int = 1, eps: float = 1e-6
) -> Any:
    """x / √(⟨x²⟩ + eps) · weight: layer norm without the mean (Zhang & Sennrich 2019).

    Args:
        x: any shape; ⟨x²⟩ is the mean square over its last `ndim` axes.
        weight: of the shape of those axes; None: 1.
        ndim: number of axes that share a mean square.
        eps: keeps the result finite where all numbers are 0.

    >>> tg.rms_norm(tg.tensor([1.0, -7.0])).round(4).tolist()
    [0.20000000298023224, -1.399999976158142]
    """
    _check_ndim("rms_norm", x.shape, ndim)
    check_shape("rms_norm", x.shape[-ndim:], "weight", weight)
    return normalize_rows(xp, x, weight, None, ndim, eps, centered=False)


# ---------------------------------------------------------------------- group and batch norm


def _check_channels(name: str, shape: Shape, weight: Array, bias: Array) -> None:
    if len(shape) < 2:
        raise ValueError(f"{name}: expected an input (N, C, …); got {shape}")
    check_shape(name, shape[1:2], "weight", weight)
    check_shape(name, shape[1:2], "bias", bias)


def _columns(array: ArrayLike, sizes: Shape, ndim: int) -> Any:
    """A weight (C,) with its channels as `sizes` along the axes from 1 on, of `ndim` in all."""
    return None if array is None else reshape(array, (*sizes, *(1,) * (ndim - 1 - len(sizes))))


def _group_norm_rule(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    residuals: Arrays,
    argnums: Shape,
    num_groups: int,
) -> Any:
    mean, inverse, far = residuals
    return normalize_channels_backward(
        xp.module, g, x, weight, mean, inverse, far, argnums, num_groups
    )


def _group_norm_decomposition(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike, num_groups: int, eps: float
) -> Any:
    n, c, *others = np.shape(x)
    sizes = num_groups, c // num_groups
    grouped = reshape(x, (n, *sizes, *others))
    ndim = len(grouped.shape)
    weight, bias = _columns(weight, sizes, ndim), _columns(bias, sizes, ndim)
    return reshape(_textbook(grouped, weight, bias, tuple(range(2, ndim)), eps)[0], (n, c, *others))


@op(
    joint=_group_norm_rule,
    arity=3,
    decomposition=_group_norm_decomposition,
    local=[SLOPE, "x̂", "1"],
    floating=True,
)
def group_norm(
    xp: Namespace,
    x: ArrayLike,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    num_groups: int = 1,
    eps: float = 1e-5,
) -> Any:
    """(x − μ)/√(σ² + eps) · weight + bias over groups of channels of each example.

    One group makes it a layer norm over all of an example, one per channel an instance norm
    (Wu & He 2018).

    Args:
        x: (N, C, …); neighbouring channels share a group.
        weight, bias: (C,); None: 1 and 0.
        num_groups: divides C.
        eps: keeps 1/σ finite where all numbers are equal.

    >>> x = tg.tensor([[[1.0], [3.0], [10.0], [30.0]]])
    >>> tg.group_norm(x, num_groups=2).round(3).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    _check_channels("group_norm", x.shape, weight, bias)
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups} groups do not divide {x.shape[1]} channels")
    out, _, residuals = normalize_channels(xp, x, weight, bias, num_groups, eps)
    return out, residuals


def _batch_norm_rule(
    xp: Namespace, g: Array, x: Array, weight: Array, residuals: Arrays, argnums: Shape
) -> Any:
    mean, inverse, far = residuals
    g, *statistics = g
    return normalize_channels_backward(
        xp.module, g, x, weight, mean, inverse, far, argnums, None, *statistics
    )


def _batch_norm_decomposition(x: ArrayLike, weight: ArrayLike, bias: ArrayLike, eps: float) -> Any:
    ndim, sizes = np.ndim(x), np.shape(x)[1:2]
    axes, weight, bias = (
        (0, *range(2, ndim)),
        _columns(weight, sizes, ndim),
        _columns(bias, sizes, ndim),
    )
    out, average, variance = _textbook(x, weight, bias, axes, eps)
    return out, squeeze(average, axes), squeeze(variance, axes)


@op(
    joint=_batch_norm_rule,
    arity=3,
    outputs=3,
    decomposition=_batch_norm_decomposition,
    local=[SLOPE, "x̂", "1"],
    floating=True,
)
def batch_norm(
    xp: Namespace, x: ArrayLike, weight: ArrayLike = None, bias: ArrayLike = None, eps: float = 1e-5
) -> Any:
    """(x − μ)/√(σ² + eps) · weight + bias with the μ and σ² of a batch (Ioffe & Szegedy 2015).

    Args:
        x: (N, C, …); all numbers of a channel share a mean.
        weight, bias: (C,); None: 1 and 0.
        eps: keeps 1/σ finite where all numbers are equal.

    Returns:
        The result, and μ and σ² (divided by n, not n − 1), both (C,), for running averages.

    >>> out, mean, variance = tg.batch_norm(tg.tensor([[1.0, 0.0], [3.0, 0.0]]))
    >>> out.round(3).tolist(), mean.tolist(), variance.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [2.0, 0.0], [1.0, 0.0])
    """
    _check_channels("batch_norm", x.shape, weight, bias)
    out, variance, residuals = normalize_channels(xp, x, weight, bias, None, eps)
    return (out, residuals[0].reshape(-1), variance.reshape(-1)), residuals
