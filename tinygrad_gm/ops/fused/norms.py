"""Normalisation: subtract a mean, divide by a standard deviation, then scale and shift.

The norms differ only in which numbers share a mean. With x̂ = (x − μ)/σ, averages ⟨·⟩ over those
numbers, and h the gradient that reaches x̂, all have the derivative

    x̄ = (h − ⟨h⟩ − x̂·⟨h·x̂⟩) / σ

The record keeps x, μ and 1/σ; x̂ is computed again on the way back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import ArrayLike
from ...operation import op
from ..elementwise import add, multiply, sqrt, square, subtract
from ..reduction import divided, mean
from ..shape import reshape, squeeze

SLOPE = "(I − 1/n − x̂x̂ᵀ/n)·w/σ"


def _normalized(xp: Any, x: Any, weight: Any, bias: Any, axes: Any, eps: float) -> Any:
    """x̂·weight + bias, and the mean, variance and 1/σ over `axes`, which they keep."""
    count = math.prod(x.shape[axis] for axis in axes)
    mean = divided(x.sum(axis=axes, keepdims=True), count)
    out = x - mean
    variance = divided((out * out).sum(axis=axes, keepdims=True), count)
    inverse = 1 / xp.sqrt(variance + eps)
    out *= inverse
    if weight is not None:
        out *= weight
    if bias is not None:
        out += bias
    return out, mean, variance, inverse


def _gradients(
    xp: Any, g: Any, x: Any, weight: Any, saved: Any, slots: Any, axes: Any
) -> tuple[Any, Any, Any]:
    """Of x, weight and bias; the last two not yet summed over where those were repeated."""
    mean, inverse = saved
    normal = (x - mean) * inverse
    steepness = g * normal
    if 0 not in slots:
        return None, steepness, g
    h = g if weight is None else g * weight
    x_gradient = h - xp.mean(h, axes, True)
    normal *= xp.mean(steepness if weight is None else steepness * weight, axes, True)
    x_gradient -= normal
    x_gradient *= inverse
    return x_gradient, steepness, g


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else multiply(x, weight)
    return x if bias is None else add(x, bias)


def _textbook(x: Any, weight: Any, bias: Any, axes: Any, eps: float) -> tuple[Any, Any, Any]:
    """The normalised, scaled and shifted x, the mean and the variance."""
    average = mean(x, axes, True)
    centred = subtract(x, average)
    variance = mean(square(centred), axes, True)
    return _scaled(centred / sqrt(variance + eps), weight, bias), average, variance


def _check(name: str, wanted: tuple[int, ...], **given: Any) -> None:
    """Weight and bias must have a shape, or be None."""
    for what, array in given.items():
        if array is not None and np.shape(array) != wanted:
            raise ValueError(f"{name}: a {what} {wanted} is wanted; got {np.shape(array)}")


# -------------------------------------------------------------------------------- layer norm


def _last(name: str, shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    if not 1 <= ndim <= len(shape):
        raise ValueError(f"{name}: an input {shape} has no last {ndim} axes to normalise over")
    return tuple(range(-ndim, 0))


def _layer_norm_twin(
    x: Any, weight: Any = None, bias: Any = None, ndim: int = 1, eps: float = 1e-5
) -> Any:
    return _textbook(x, weight, bias, tuple(range(-ndim, 0)), eps)[0]


def _layer_norm_rule(
    xp: Any, g: Any, x: Any, weight: Any, saved: Any, slots: Any, ndim: int
) -> Any:
    return _gradients(xp, g, x, weight, saved, slots, tuple(range(-ndim, 0)))


@op(joint=_layer_norm_rule, arity=3, twin=_layer_norm_twin, local=[SLOPE, "x̂", "1"])
def layer_norm(
    xp: Any,
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
        ndim: how many axes share a mean.
        eps: keeps 1/σ finite where all numbers are equal.

    >>> tg.layer_norm(tg.tensor([[1.0, 3.0], [5.0, 5.0]]), eps=0.0 + 1e-12).round(4).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    axes = _last("layer_norm", x.shape, ndim)
    _check("layer_norm", x.shape[-ndim:], weight=weight, bias=bias)
    out, mean, _, inverse = _normalized(xp, x, weight, bias, axes, eps)
    return out, (mean, inverse)


# ---------------------------------------------------------------------------------- RMS norm


def _rms_norm_twin(x: Any, weight: Any = None, ndim: int = 1, eps: float = 1e-6) -> Any:
    axes = tuple(range(-ndim, 0))
    return _scaled(x / sqrt(mean(square(x), axes, True) + eps), weight, None)


def _rms_norm_rule(xp: Any, g: Any, x: Any, weight: Any, saved: Any, slots: Any, ndim: int) -> Any:
    axes, inverse = tuple(range(-ndim, 0)), saved
    normal = x * inverse
    steepness = g * normal
    if 0 not in slots:
        return None, steepness
    x_gradient = g * inverse if weight is None else g * weight * inverse
    spread = xp.mean(steepness if weight is None else steepness * weight, axes, True)
    normal *= spread * inverse
    x_gradient -= normal
    return x_gradient, steepness


@op(joint=_rms_norm_rule, arity=2, twin=_rms_norm_twin, local=["(I − x̂x̂ᵀ/n)·w/r", "x̂"])
def rms_norm(
    xp: Any, x: ArrayLike, weight: ArrayLike = None, ndim: int = 1, eps: float = 1e-6
) -> Any:
    """x / √(⟨x²⟩ + eps) · weight: layer norm without the mean (Zhang & Sennrich 2019).

    Args:
        x: any shape; ⟨x²⟩ is the mean square over its last `ndim` axes.
        weight: of the shape of those axes; None: 1.
        ndim: how many axes share a mean square.
        eps: keeps the result finite where all numbers are 0.

    >>> tg.rms_norm(tg.tensor([1.0, -7.0])).round(4).tolist()
    [0.20000000298023224, -1.399999976158142]
    """
    axes = _last("rms_norm", x.shape, ndim)
    _check("rms_norm", x.shape[-ndim:], weight=weight)
    count = math.prod(x.shape[-ndim:])
    inverse = 1 / xp.sqrt(divided((x * x).sum(axis=axes, keepdims=True), count) + eps)
    out = x * inverse
    if weight is not None:
        out *= weight
    return out, inverse


# ---------------------------------------------------------------------- group and batch norm


def _grouped(shape: tuple[int, ...], groups: int) -> tuple[int, ...]:
    """(N, C, …) as (N, groups, C/groups, …)."""
    return (shape[0], groups, shape[1] // groups, *shape[2:])


def _per_channel(reshape: Any, array: Any, like: tuple[int, ...]) -> Any:
    """A weight (C,) for an input whose axes from 1 on are `like`: channels first, then ones."""
    return None if array is None else reshape(array, like)


def _columns(shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """The `channels` axes behind the first, and 1 for every axis after them."""
    return (*shape[1 : 1 + channels], *(1 for _ in shape[1 + channels :]))


def _group_norm_twin(
    x: Any, weight: Any = None, bias: Any = None, num_groups: int = 1, eps: float = 1e-5
) -> Any:
    grouped = reshape(x, _grouped(np.shape(x), num_groups))
    like = _columns(grouped.shape, 2)
    weight, bias = _per_channel(reshape, weight, like), _per_channel(reshape, bias, like)
    axes = tuple(range(2, len(grouped.shape)))
    return reshape(_textbook(grouped, weight, bias, axes, eps)[0], np.shape(x))


def _group_norm_rule(
    xp: Any, g: Any, x: Any, weight: Any, saved: Any, slots: Any, num_groups: int
) -> Any:
    shape, channels = x.shape, (x.shape[1],)
    x, g = (xp.reshape(array, _grouped(shape, num_groups)) for array in (x, g))
    weight = _per_channel(xp.reshape, weight, _columns(x.shape, 2))
    axes, others = tuple(range(2, len(x.shape))), (0, *range(3, len(x.shape)))
    x_gradient, *rest = _gradients(xp, g, x, weight, saved, slots, axes)
    if x_gradient is not None:
        x_gradient = xp.reshape(x_gradient, shape)
    pairs = enumerate(rest, 1)
    return (
        x_gradient,
        *(xp.reshape(xp.sum(r, others), channels) if i in slots else None for i, r in pairs),
    )


@op(joint=_group_norm_rule, arity=3, twin=_group_norm_twin, local=[SLOPE, "x̂", "1"])
def group_norm(
    xp: Any,
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
        x: (N, C, …); channels next to each other share a group.
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
    grouped = x.reshape(_grouped(x.shape, num_groups))
    like = _columns(grouped.shape, 2)
    weight, bias = (_per_channel(xp.reshape, array, like) for array in (weight, bias))
    axes = tuple(range(2, grouped.ndim))
    out, mean, _, inverse = _normalized(xp, grouped, weight, bias, axes, eps)
    return out.reshape(x.shape), (mean, inverse)


def _check_channels(name: str, shape: tuple[int, ...], weight: Any, bias: Any) -> None:
    if len(shape) < 2:
        raise ValueError(f"{name}: an input (N, C, …) is wanted; got {shape}")
    _check(name, shape[1:2], weight=weight, bias=bias)


def _batch_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *range(2, len(shape)))


def _batch_norm_twin(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    shape = np.shape(x)
    axes, like = _batch_axes(shape), _columns(shape, 1)
    weight, bias = _per_channel(reshape, weight, like), _per_channel(reshape, bias, like)
    out, average, variance = _textbook(x, weight, bias, axes, eps)
    return out, squeeze(average, axes), squeeze(variance, axes)


def _batch_norm_rule(xp: Any, g: Any, x: Any, weight: Any, saved: Any, slots: Any) -> Any:
    """`_gradients`, where the weight is one number for all that share a mean: fewer passes."""
    g, mean_gradient, variance_gradient = g
    mean, inverse = saved
    axes, like = _batch_axes(x.shape), _columns(x.shape, 1)
    count = math.prod(x.shape[axis] for axis in axes)
    normal = (x - mean) * inverse
    weight_gradient, bias_gradient = xp.sum(g * normal, axes), xp.sum(g, axes)
    if 0 not in slots:
        return None, weight_gradient, bias_gradient
    across = xp.reshape(inverse, bias_gradient.shape)
    factor = across if weight is None else across * weight
    slope = divided(2.0 * variance_gradient / across - factor * weight_gradient, count)
    shift = divided(mean_gradient - factor * bias_gradient, count)
    x_gradient = g * xp.reshape(factor, like)
    normal *= xp.reshape(slope, like)
    x_gradient += normal
    x_gradient += xp.reshape(shift, like)
    return x_gradient, weight_gradient, bias_gradient


@op(
    joint=_batch_norm_rule,
    arity=3,
    outputs=3,
    twin=_batch_norm_twin,
    local=[SLOPE, "x̂", "1"],
)
def batch_norm(
    xp: Any,
    x: ArrayLike,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    eps: float = 1e-5,
) -> Any:
    """(x − μ)/√(σ² + eps) · weight + bias with the μ and σ² of a batch (Ioffe & Szegedy 2015).

    Args:
        x: (N, C, …); all numbers of a channel share a mean.
        weight, bias: (C,); None: 1 and 0.
        eps: keeps 1/σ finite where all numbers are equal.

    Returns:
        The result, and μ and σ² (divided by n, not n − 1), both (C,), for whoever keeps running
        averages of them.

    >>> out, mean, variance = tg.batch_norm(tg.tensor([[1.0, 0.0], [3.0, 0.0]]))
    >>> out.round(3).tolist(), mean.tolist(), variance.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [2.0, 0.0], [1.0, 0.0])
    """
    _check_channels("batch_norm", x.shape, weight, bias)
    axes, like = _batch_axes(x.shape), _columns(x.shape, 1)
    weight, bias = (_per_channel(xp.reshape, array, like) for array in (weight, bias))
    out, mean, variance, inverse = _normalized(xp, x, weight, bias, axes, eps)
    return (out, mean.reshape(-1), variance.reshape(-1)), (mean, inverse)
