"""Normalisation: subtract a mean, divide by a standard deviation, then scale and shift.

The norms differ only in which numbers share a mean. With x̂ = (x − μ)/σ, averages ⟨·⟩ over those
numbers, and h the gradient that reaches x̂, all have the derivative

    x̄ = (h − ⟨h⟩ − x̂·⟨h·x̂⟩) / σ

The record keeps x, μ and 1/σ; x̂ is computed again on the way back.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Namespace
from ...engine.call import op
from ...kernels.blocks import BLOCK, in_cache
from ...kernels.channels import Channels, at
from ...kernels.summation import divided, summed, sums_of_rows
from ..elementwise import add, multiply, sqrt, square, subtract
from ..reduction import mean
from ..shape import reshape, squeeze

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]

REMOTE = 16.0  # μ²/σ² from which on ⟨x²⟩ − μ² has lost a digit or more
SLOPE = "(I − 1/n − x̂x̂ᵀ/n)·w/σ"


def _scaled(x: Array, weight: Array, bias: Array) -> Any:
    x = x if weight is None else multiply(x, weight)
    return x if bias is None else add(x, bias)


def _textbook(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike, axes: tuple[int, ...], eps: float
) -> tuple[Any, Any, Any]:
    """The normalised, scaled and shifted x, the mean and the variance."""
    average = mean(x, axes, True)
    centred = subtract(x, average)
    variance = mean(square(centred), axes, True)
    return _scaled(centred / sqrt(variance + eps), weight, bias), average, variance


def _check(name: str, wanted: tuple[int, ...], **given: Array) -> None:
    """Weight and bias must have a shape, or be None."""
    for what, array in given.items():
        if array is not None and getattr(array, "shape", ()) != wanted:
            raise ValueError(f"{name}: a {what} {wanted} is wanted; got {np.shape(array)}")


# -------------------------------------------------------------------------------- layer norm


def _last(name: str, shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    if not 1 <= ndim <= len(shape):
        raise ValueError(f"{name}: an input {shape} has no last {ndim} axes to normalise over")
    return tuple(range(-ndim, 0))


def _layer_norm_decomposition(
    x: ArrayLike, weight: ArrayLike = None, bias: ArrayLike = None, ndim: int = 1, eps: float = 1e-5
) -> Any:
    return _textbook(x, weight, bias, tuple(range(-ndim, 0)), eps)[0]


def _as_rows(xp: Namespace, x: Array, ndim: int) -> Any:
    """(examples, numbers that share a mean)."""
    split = len(x.shape) - ndim
    shape = math.prod(x.shape[:split]), math.prod(x.shape[split:])
    return xp.ascontiguousarray(x).reshape(shape)


def _as_before(xp: Namespace, rows: Array, x: Array) -> Any:
    """Rows in the shape, and the memory order, of x."""
    rows = rows.reshape(x.shape)
    if x.flags.c_contiguous:
        return rows
    out = xp.empty_like(x)
    out[...] = rows
    return out


def _cuts(xp: Namespace, rows: Array) -> list[slice]:
    """Slices of as many rows as stay in the cache."""
    count, width = rows.shape
    step = count if in_cache(xp, rows.size) else max(1, BLOCK // width)
    return [slice(start, start + step) for start in range(0, count, step or 1)]


def _layer_norm_rule(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    residuals: tuple[Any, ...],
    argnums: tuple[int, ...],
    ndim: int,
) -> Any:
    """Sums over a row are products with a vector: those run on all cores."""
    summed, xp, (mean, inverse) = xp.sum, xp.module, residuals
    rows, slopes = _as_rows(xp, x, ndim), _as_rows(xp, g, ndim)
    width = rows.shape[1]
    column = xp.ones((width, 1), x.dtype) if weight is None else weight.reshape(width, 1)
    out = xp.empty_like(rows) if 0 in argnums else None
    weight_gradient, bias_gradient = xp.zeros((2, width), "float64")
    for cut in _cuts(xp, rows):
        g, scale = slopes[cut], inverse[cut]
        normal = rows[cut] - mean[cut]
        normal *= scale
        steep = g * normal
        if 1 in argnums:
            weight_gradient += summed(steep, 0)
        if 2 in argnums:
            bias_gradient += summed(g, 0)
        if out is not None:
            h = out[cut]
            xp.multiply(g, column[:, 0], out=h)
            h -= divided(xp.matmul(g, column), width)
            normal *= divided(xp.matmul(steep, column), width)
            h -= normal
            h *= scale
    return (
        None if out is None else _as_before(xp, out, x),
        weight_gradient.reshape(x.shape[len(x.shape) - ndim :]),
        bias_gradient.reshape(x.shape[len(x.shape) - ndim :]),
    )


@op(
    joint=_layer_norm_rule,
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
        ndim: how many axes share a mean.
        eps: keeps 1/σ finite where all numbers are equal.

    >>> tg.layer_norm(tg.tensor([[1.0, 3.0], [5.0, 5.0]]), eps=0.0 + 1e-12).round(4).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    shape = x.shape
    _last("layer_norm", shape, ndim)
    _check("layer_norm", shape[-ndim:], weight=weight, bias=bias)
    if type(x) is np.ndarray and 0 < x.size == math.prod(shape[-ndim:]) <= BLOCK:
        return _layer_norm_of_one(x, weight, bias, eps)
    rows = _as_rows(xp, x, ndim)
    count, width = rows.shape
    out, (mean, inverse) = xp.empty_like(rows), xp.empty((2, count, 1), rows.dtype)
    for cut in _cuts(xp, rows):
        block = out[cut]
        mean[cut] = divided(sums_of_rows(xp, rows[cut]), width)
        xp.subtract(rows[cut], mean[cut], out=block)
        square = xp.matmul(block[:, None], block[:, :, None])[:, 0]
        inverse[cut] = 1 / xp.sqrt(divided(square, width) + eps)
        block *= inverse[cut]
        if weight is not None:
            block *= weight.reshape(width)
        if bias is not None:
            block += bias.reshape(width)
    return _as_before(xp, out, x), (mean, inverse)


def _layer_norm_of_one(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Any, Any]:
    """Of a single example, in few calls: NumPy is fastest with vectors and with 0-d arrays."""
    values = x.reshape(-1)
    ones, width = _counting(values.size, x.dtype)
    mean = values.dot(ones) / width
    out = values - mean.reshape(())
    variance = float(out.dot(out)) / values.size + eps
    inverse = np.array(1 / math.sqrt(variance) if variance > 0 else math.inf, x.dtype)
    out *= inverse
    if weight is not None:
        out *= weight.ravel()
    if bias is not None:
        out += bias.ravel()
    return out.reshape(x.shape), (mean.reshape(1, 1), inverse.reshape(1, 1))


@functools.lru_cache(maxsize=64)
def _counting(width: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """A column of ones, with which a product adds up a row, and how many they are."""
    return np.ones((width, 1), dtype), np.array([width], dtype)


# ---------------------------------------------------------------------------------- RMS norm


def _rms_norm_decomposition(
    x: ArrayLike, weight: ArrayLike = None, ndim: int = 1, eps: float = 1e-6
) -> Any:
    axes = tuple(range(-ndim, 0))
    return _scaled(x / sqrt(mean(square(x), axes, True) + eps), weight, None)


def _rms_norm_rule(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    residuals: tuple[Any, ...],
    argnums: tuple[int, ...],
    ndim: int,
) -> Any:
    axes, inverse = tuple(range(-ndim, 0)), residuals
    normal = x * inverse
    steepness = g * normal
    if 0 not in argnums:
        return None, steepness
    x_gradient = g * inverse if weight is None else g * weight * inverse
    spread = xp.mean(steepness if weight is None else steepness * weight, axes, True)
    normal *= spread * inverse
    x_gradient -= normal
    return x_gradient, steepness


@op(
    joint=_rms_norm_rule,
    arity=2,
    decomposition=_rms_norm_decomposition,
    local=["(I − x̂x̂ᵀ/n)·w/r", "x̂"],
    floating=True,
)
def rms_norm(
    xp: Namespace, x: ArrayLike, weight: ArrayLike = None, ndim: int = 1, eps: float = 1e-6
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
    inverse = 1 / xp.sqrt(divided(summed(xp, x * x, axes, True), count) + eps)
    out = x * inverse
    if weight is not None:
        out *= weight
    return out, inverse


# ---------------------------------------------------------------------- group and batch norm


def _grouped(shape: tuple[int, ...], groups: int) -> tuple[int, ...]:
    """(N, C, …) as (N, groups, C/groups, …)."""
    return (shape[0], groups, shape[1] // groups, *shape[2:])


def _per_channel(reshape: Callable[..., Any], array: Array, like: tuple[int, ...]) -> Any:
    """A weight (C,) for an input whose axes from 1 on are `like`: channels first, then ones."""
    return None if array is None else reshape(array, like)


def _columns(shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """The `channels` axes behind the first, and 1 for every axis after them."""
    return (*shape[1 : 1 + channels], *(1 for _ in shape[1 + channels :]))


def _group_norm_decomposition(
    x: ArrayLike,
    weight: ArrayLike = None,
    bias: ArrayLike = None,
    num_groups: int = 1,
    eps: float = 1e-5,
) -> Any:
    grouped = reshape(x, _grouped(np.shape(x), num_groups))
    like = _columns(grouped.shape, 2)
    weight, bias = _per_channel(reshape, weight, like), _per_channel(reshape, bias, like)
    axes = tuple(range(2, len(grouped.shape)))
    return reshape(_textbook(grouped, weight, bias, axes, eps)[0], np.shape(x))


def _channel_norm(
    xp: Namespace, x: Array, weight: Array, bias: Array, groups: int | None, eps: float
) -> tuple[Any, Any, Any]:
    """a·x + b with a = weight/σ and b = bias − μ·a; σ²; and what the way back needs.

    σ² = ⟨x²⟩ − μ² spares a pass over memory, but where |μ| is many σ the difference of the two says
    little: there ⟨(x − μ)²⟩ is formed.
    """
    channels = Channels(xp, x, groups)
    rows = channels.rows(x)
    mean = channels.shared(channels.totals(rows))
    square = mean * mean
    variance = channels.shared(channels.products(rows, rows)) - square
    remote = x.dtype.itemsize < 4 or bool((square > REMOTE * variance).any())
    if remote:
        deviation = rows - channels.spread(mean)
        variance = channels.shared(channels.products(deviation, deviation))
    inverse = 1 / xp.sqrt(variance + eps)
    factor = inverse if weight is None else inverse * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    out, a, b = xp.empty_like(rows), channels.spread(factor), channels.spread(shift)
    for place in channels.blocks(rows):
        block = out[place]
        xp.multiply(rows[place], at(a, place), out=block)
        block += at(b, place)
    return channels.back(out), variance, (mean, inverse, remote)


def _channel_gradients(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    residuals: tuple[Any, ...],
    argnums: tuple[int, ...],
    groups: int | None,
    extra: tuple[Array, Array] | None = None,
) -> tuple[Any, Any, Any]:
    """Of x, weight and bias; x̄ = α·g + β·x + γ.

    `extra` is what x̄ gets from gradients of μ and σ² themselves: a number per channel, and one that
    multiplies x − μ.
    """
    mean, inverse, remote = residuals
    channels = Channels(xp, x, groups)
    rows, slopes = channels.rows(x), channels.rows(g)
    total = channels.totals(slopes)
    if remote:
        steep = channels.products(rows - channels.spread(mean), slopes)
    else:
        steep = channels.products(rows, slopes) - mean * total
    weight_gradient, bias_gradient = channels.over_examples(steep * inverse, total)
    if 0 not in argnums:
        return None, weight_gradient, bias_gradient
    if weight is not None:
        total, steep = total * weight, steep * weight
    mean_gradient, variance_gradient = extra or (0, 0)
    factor = inverse if weight is None else inverse * weight
    slope = variance_gradient - channels.shared(steep) * inverse * inverse * inverse
    shift = mean_gradient - channels.shared(total) * inverse - mean * slope
    a, b, c = (channels.spread(values) for values in (factor, slope, shift))
    out = xp.empty_like(rows)
    for place in channels.blocks(rows):
        block = out[place]
        xp.multiply(slopes[place], at(a, place), out=block)
        block += rows[place] * at(b, place)
        block += at(c, place)
    return channels.back(out), weight_gradient, bias_gradient


def _group_norm_rule(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    residuals: tuple[Any, ...],
    argnums: tuple[int, ...],
    num_groups: int,
) -> Any:
    return _channel_gradients(xp.module, g, x, weight, residuals, argnums, num_groups)


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
    out, _, residuals = _channel_norm(xp, x, weight, bias, num_groups, eps)
    return out, residuals


def _check_channels(name: str, shape: tuple[int, ...], weight: Array, bias: Array) -> None:
    if len(shape) < 2:
        raise ValueError(f"{name}: an input (N, C, …) is wanted; got {shape}")
    _check(name, shape[1:2], weight=weight, bias=bias)


def _batch_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *range(2, len(shape)))


def _batch_norm_decomposition(
    x: ArrayLike, weight: ArrayLike = None, bias: ArrayLike = None, eps: float = 1e-5
) -> Any:
    shape = np.shape(x)
    axes, like = _batch_axes(shape), _columns(shape, 1)
    weight, bias = _per_channel(reshape, weight, like), _per_channel(reshape, bias, like)
    out, average, variance = _textbook(x, weight, bias, axes, eps)
    return out, squeeze(average, axes), squeeze(variance, axes)


def _with_positions(xp: Namespace, x: Array) -> Any:
    """(N, C) as one example with N positions: (1, C, N)."""
    return x if len(x.shape) > 2 else xp.moveaxis(x, 0, -1)[None]


def _batch_norm_rule(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    residuals: tuple[Any, ...],
    argnums: tuple[int, ...],
) -> Any:
    g, mean_gradient, variance_gradient = g
    count = math.prod(x.shape[axis] for axis in _batch_axes(x.shape))
    extra = divided(mean_gradient, count), divided(2.0 * variance_gradient, count)
    g, as_examples = (_with_positions(xp.module, array) for array in (g, x))
    x_gradient, *rest = _channel_gradients(
        xp.module, g, as_examples, weight, residuals, argnums, None, extra
    )
    if x_gradient is not None and len(x.shape) == 2:
        x_gradient = x_gradient[0].T
    return x_gradient, *rest


@op(
    joint=_batch_norm_rule,
    arity=3,
    outputs=3,
    decomposition=_batch_norm_decomposition,
    local=[SLOPE, "x̂", "1"],
    floating=True,
)
def batch_norm(
    xp: Namespace,
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
    as_examples = _with_positions(xp, x)
    out, variance, residuals = _channel_norm(xp, as_examples, weight, bias, None, eps)
    out = out if x.ndim > 2 else out[0].T
    return (out, residuals[0].reshape(-1), variance.reshape(-1)), residuals
