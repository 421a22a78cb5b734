"""Normalisation, forward and backward: numbers that share a mean, along rows or along channels.

With x̂ = (x − μ)/σ, averages ⟨·⟩ over the numbers that share a mean, and h = g·weight, every norm
has the gradient

    x̄ = (h − ⟨h⟩ − x̂·⟨h·x̂⟩) / σ

Along rows (layer norm; RMS norm, where μ = 0 and the term ⟨h⟩ is missing) it is computed in this
form. Along channels (batch and group norm) the terms are collected into x̄ = α·g + β·x + γ with
one α, β and γ per channel, and x̂ is never formed.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..backend import Array, Arrays, Namespace, Shape
from . import native
from .blocks import BLOCK, in_cache
from .channels import Channels, at
from .summation import divided, summed, sums_of_rows

FAR = 16.0  # μ²/σ² from which on ⟨x²⟩ − μ² has lost a digit or more


def _split(gradients: Array, shape: Shape) -> tuple[Array, Array]:
    """The gradients of weight and bias, which the native kernels return as the rows of a matrix."""
    if gradients is None:
        return None, None
    return gradients[0].reshape(shape), gradients[1].reshape(shape)


# ---------------------------------------------------------------------------------------- rows


def normalize_rows(
    xp: Namespace, x: Array, weight: Array, bias: Array, ndim: int, eps: float, centered: bool
) -> tuple[Array, Arrays]:
    """(x − μ)/√(σ² + eps) · weight + bias over the last `ndim` axes.

    Args:
        x: (*batch, *row).
        weight, bias: of the shape of a row, or None.
        centered: whether μ is the mean; False: μ = 0.

    Returns:
        The result, and (μ, 1/√(σ² + eps)), both (rows, 1); μ is None unless `centered`.
    """
    row = x.shape[len(x.shape) - ndim :]
    if native.fits(x, weight, bias):
        results = native.normalize_rows(x, weight, bias, math.prod(row), eps, centered)
        if results is not None:
            return results[0], results[1:]
    if centered and type(x) is np.ndarray and 0 < x.size == math.prod(row) <= BLOCK:
        return _normalize_one_row(x, weight, bias, eps)
    rows = _flatten(xp, x, ndim)
    count, width = rows.shape
    out, inverse = xp.empty_like(rows), xp.empty((count, 1), rows.dtype)
    mean = xp.empty_like(inverse) if centered else None
    for cut in _blocks(xp, rows):
        values, block = rows[cut], out[cut]
        if mean is not None:
            mean[cut] = divided(sums_of_rows(xp, values), width)
            values = xp.subtract(values, mean[cut], out=block)
        square = xp.matmul(values[:, None], values[:, :, None])[:, 0]
        inverse[cut] = 1 / xp.sqrt(divided(square, width) + eps)
        xp.multiply(values, inverse[cut], out=block)
        if weight is not None:
            block *= weight.reshape(width)
        if bias is not None:
            block += bias.reshape(width)
    return _unflatten(xp, out, x), (mean, inverse)


def _normalize_one_row(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Arrays]:
    """A single row, in few calls: NumPy is fastest with vectors and with 0-d arrays."""
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
    """A column of ones, whose product with a row is its sum, and their number."""
    return np.ones((width, 1), dtype), np.array([width], dtype)


def normalize_rows_backward(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inverse: Array,
    argnums: Shape,
    ndim: int,
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias, None or zeros for those not in `argnums` (0, 1 and 2).

    `mean` and `inverse` are those that `normalize_rows` returned. Sums over a row are products with
    a vector, which run on all cores.
    """
    row = x.shape[len(x.shape) - ndim :]
    if native.fits(g, x, weight, mean, inverse):
        both = 1 in argnums or 2 in argnums
        results = native.normalize_rows_backward(
            g, x, weight, mean, inverse, math.prod(row), 0 in argnums, both
        )
        if results is not None:
            weight_gradient, bias_gradient = _split(results[1], row)
            return results[0], weight_gradient, bias_gradient
    rows, slopes = _flatten(xp, x, ndim), _flatten(xp, g, ndim)
    width = rows.shape[1]
    column = xp.ones((width, 1), x.dtype) if weight is None else weight.reshape(width, 1)
    out = xp.empty_like(rows) if 0 in argnums else None
    weight_gradient, bias_gradient = xp.zeros((2, width), "float64")
    for cut in _blocks(xp, rows):
        g, scale = slopes[cut], inverse[cut]
        normal = rows[cut] * scale if mean is None else rows[cut] - mean[cut]
        if mean is not None:
            normal *= scale
        steep = g * normal
        if 1 in argnums:
            weight_gradient += summed(xp, steep, 0)
        if 2 in argnums:
            bias_gradient += summed(xp, g, 0)
        if out is not None:
            h = out[cut]
            xp.multiply(g, column[:, 0], out=h)
            if mean is not None:
                h -= divided(xp.matmul(g, column), width)
            normal *= divided(xp.matmul(steep, column), width)
            h -= normal
            h *= scale
    x_gradient = None if out is None else _unflatten(xp, out, x)
    return x_gradient, weight_gradient.reshape(row), bias_gradient.reshape(row)


def _flatten(xp: Namespace, x: Array, ndim: int) -> Any:
    """(*batch, *row) as (rows, numbers in a row)."""
    if ndim == 1 and len(x.shape) == 2 and x.flags.c_contiguous:
        return x
    split = len(x.shape) - ndim
    shape = math.prod(x.shape[:split]), math.prod(x.shape[split:])
    return xp.ascontiguousarray(x).reshape(shape)


def _unflatten(xp: Namespace, rows: Array, x: Array) -> Any:
    """Rows in the shape, and the memory order, of x."""
    rows = rows.reshape(x.shape)
    if x.flags.c_contiguous:
        return rows
    out = xp.empty_like(x)
    out[...] = rows
    return out


def _blocks(xp: Namespace, rows: Array) -> list[slice]:
    """Slices of as many rows as stay in the cache."""
    count, width = rows.shape
    step = count if in_cache(xp, rows.size) else max(1, BLOCK // width)
    return [slice(start, start + step) for start in range(0, count, step or 1)]


# ------------------------------------------------------------------------------------ channels


def normalize_channels(
    xp: Namespace, x: Array, weight: Array, bias: Array, groups: int | None, eps: float
) -> tuple[Array, Array, Arrays]:
    """(x − μ)/√(σ² + eps) · weight + bias as a·x + b, with one a and b per channel.

    σ² = ⟨x²⟩ − μ² saves a pass over memory, but where |μ| is many σ the difference of the two has
    few correct digits: there ⟨(x − μ)²⟩ is computed.

    Args:
        x: (N, C, …).
        weight, bias: (C,), or None.
        groups: number of groups of channels that share a mean, per example; None: every channel
            has one mean over all examples.

    Returns:
        The result, σ², and (μ, 1/√(σ² + eps), whether |μ| is many σ in some channel); μ and σ
        per channel, (N, C) or (1, C).
    """
    if native.fits(x, weight, bias):
        results = native.normalize_channels(x, weight, bias, groups or 0, eps, FAR)
        if results is not None:
            return results[0], results[1], results[2:]
    channels = Channels(xp, x, groups)
    rows = channels.flatten(x)
    mean = channels.average(channels.totals(rows))
    square = mean * mean
    variance = channels.average(channels.products(rows, rows)) - square
    far = x.dtype.itemsize < 4 or bool((square > FAR * variance).any())
    if far:
        deviation = rows - channels.broadcast(mean)
        variance = channels.average(channels.products(deviation, deviation))
    inverse = 1 / xp.sqrt(variance + eps)
    factor = inverse if weight is None else inverse * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    out, a, b = xp.empty_like(rows), channels.broadcast(factor), channels.broadcast(shift)
    for place in channels.blocks(rows):
        block = out[place]
        xp.multiply(rows[place], at(a, place), out=block)
        block += at(b, place)
    return channels.unflatten(out), variance, (mean, inverse, far)


def normalize_channels_backward(
    xp: Namespace,
    g: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inverse: Array,
    far: bool,
    argnums: Shape,
    groups: int | None,
    mean_gradient: Array = None,
    variance_gradient: Array = None,
) -> tuple[Array, Array, Array]:
    """The gradients of x (None unless 0 is in `argnums`), weight and bias.

    `mean_gradient` and `variance_gradient` are those of μ and σ², where they are results too.
    """
    if native.fits(g, x, weight, mean, inverse, mean_gradient, variance_gradient):
        statistics = mean, inverse, far, mean_gradient, variance_gradient
        results = native.normalize_channels_backward(
            g, x, weight, *statistics, groups or 0, 0 in argnums
        )
        if results is not None:
            return results[0], *results[1]
    channels = Channels(xp, x, groups)
    rows, slopes = channels.flatten(x), channels.flatten(g)
    total = channels.totals(slopes)
    if far:
        steep = channels.products(rows - channels.broadcast(mean), slopes)
    else:
        steep = channels.products(rows, slopes) - mean * total
    weight_gradient, bias_gradient = summed(xp, steep * inverse, 0), summed(xp, total, 0)
    if 0 not in argnums:
        return None, weight_gradient, bias_gradient
    factor = inverse
    if weight is not None:
        total, steep, factor = total * weight, steep * weight, inverse * weight
    slope = -channels.average(steep) * inverse * inverse * inverse
    shift = -channels.average(total) * inverse
    if mean_gradient is not None:
        shift += divided(mean_gradient, channels.shared)
        slope += divided(2.0 * variance_gradient, channels.shared)
    shift -= mean * slope
    a, b, c = (channels.broadcast(values) for values in (factor, slope, shift))
    out = xp.empty_like(rows)
    for place in channels.blocks(rows):
        block = out[place]
        xp.multiply(slopes[place], at(a, place), out=block)
        block += rows[place] * at(b, place)
        block += at(c, place)
    return channels.unflatten(out), weight_gradient, bias_gradient
