"""Pooling, forward and backward, over one element of all windows at a time: a strided slice.

Nothing runs over the windows themselves. Arrays are (N, C, *spatial); a geometry holds kernel,
stride, padding, dilation and the number of windows, each with one integer per spatial axis.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import Array, Arrays, Namespace, Shape
from . import native
from .selection import bits, selected
from .summation import BLOCK, summed
from .windows import Pairs, framed, window_elements

Pooling = tuple[Shape, Shape, Shape, Shape, Shape]  # kernel, stride, padding, dilation, windows

MOST_PLACES = 255  # in a window of the native kernels


def margins(sizes: Sequence[int], geometry: Pooling) -> Pairs:
    """The number of elements to add before and after x so that every window lies inside."""
    axes = zip(sizes, *geometry, strict=True)
    return tuple((p, max(0, (c - 1) * s + d * (k - 1) + 1 - n - p)) for n, k, s, p, d, c in axes)


def _fits(x: Array, geometry: Pooling) -> bool:
    """Whether native kernels pool such an array."""
    return native.fits(x) and len(x.shape) <= 4 and math.prod(geometry[0]) <= MOST_PLACES


def _without(xp: Namespace, x: Array, pads: Pairs) -> Array:
    """x without the margins."""
    return framed(xp, x, tuple((-before, -after) for before, after in pads))


# -------------------------------------------------------------------------------------- maximum


def max_pool(xp: Namespace, x: Array, geometry: Pooling) -> Arrays:
    """The maximum of every window, and its place in the window (counted in reading order).

    It is the maximum of the lines' maxima: along the last axis, then along the one before. Where
    an element exceeds all earlier ones its place is the larger one, so the maximum is kept of
    places too.
    """
    if _fits(x, geometry):
        out = xp.empty_like(x, shape=(*x.shape[:2], *geometry[-1]))
        places = xp.empty_like(out, dtype=np.uint8)
        if native.pool(x, out, places, *geometry[:-1]):
            return out, places
    lowest = -math.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
    best, place = framed(xp, x, margins(x.shape[2:], geometry), lowest), None
    dtype, size = xp.min_scalar_type(math.prod(geometry[0])), 1
    for axis, (k, s, p, d, c) in reversed([*enumerate(zip(*geometry, strict=True), 2)]):
        lines, places, out = best, place, None
        starts = range(0, k * d, d)
        reads = [(*(slice(None),) * axis, slice(i, i + (c - 1) * s + 1, s)) for i in starts]
        best = lines[reads[0]]
        place = xp.zeros_like(best, dtype=dtype) if places is None else places[reads[0]].copy("K")
        if p:  # where all are −∞, the first that is not padding
            first = -(xp.minimum(xp.arange(c) * s - p, 0) // d) * size
            place += first.astype(dtype).reshape(c, *(1,) * (x.ndim - 1 - axis))
        for number, read in enumerate(reads[1:], 1):
            wins = xp.greater(lines[read], best)
            best = out = xp.maximum(best, lines[read], out=out)
            step = dtype.type(number * size)
            xp.maximum(place, wins * (step if places is None else places[read] + step), out=place)
        size *= k
    return (best.copy("K") if size == 1 else best), place


def flat_indices(xp: Namespace, places: Array, sizes: Sequence[int], geometry: Pooling) -> Array:
    """Places in windows as indices into the flattened spatial axes, which have these sizes."""
    axes = reversed([*zip(sizes, *geometry, strict=True)])
    place, index, size = places.astype(np.int64), 0, 1
    for axis, (n, k, s, p, d, c) in enumerate(axes):
        starts = (xp.arange(c) * s - p).reshape(c, *(1,) * axis)
        index, size, place = index + (starts + place % k * d) * size, size * n, place // k
    return index


def scatter_windows(
    xp: Namespace, values: Array, places: Array, shape: Sequence[int], geometry: Pooling
) -> Array:
    """Zeros (N, C, *shape) to which each window's value is added at its place in the window."""
    kernel, stride, _, dilation, counts = geometry
    if np.argsort(values.strides).tolist() != np.argsort(places.strides).tolist():
        ordered = xp.empty_like(places, dtype=values.dtype)  # in the memory order of x
        ordered[...] = values
        values = ordered
    if _fits(values, geometry) and places.dtype == np.uint8:
        out = xp.empty_like(places, dtype=values.dtype, shape=(*values.shape[:2], *shape))
        if native.unpool(values, places, out, *geometry[:-1]):
            return out
    pads = margins(shape, geometry)
    wider = tuple(before + n + after for n, (before, after) in zip(shape, pads, strict=True))
    apart = all(s >= d * (k - 1) + 1 for k, s, d in zip(kernel, stride, dilation, strict=True))
    covered = apart and wider == tuple(c * k for c, k in zip(counts, kernel, strict=True))
    empty = xp.empty_like if covered else xp.zeros_like
    out = empty(places, dtype=values.dtype, shape=(*values.shape[:2], *wider))
    for number, (_, read) in enumerate(window_elements(kernel, counts, stride, dilation)):
        if apart:  # no element belongs to two windows
            xp.multiply(bits(values), places == number, out=bits(out)[read])
        else:
            out[read] += selected(values, places == number)
    return _without(xp, out, pads)


def gather_windows(xp: Namespace, x: Array, places: Array, geometry: Pooling) -> Array:
    """The element of every window at its place in the window."""
    kernel, stride, _, dilation, counts = geometry
    x = framed(xp, x, margins(x.shape[2:], geometry))
    out = xp.zeros_like(x, shape=places.shape)
    for number, (_, read) in enumerate(window_elements(kernel, counts, stride, dilation)):
        xp.copyto(out, x[read], where=places == number)
    return out


# -------------------------------------------------------------------------------------- average


def sum_pool(xp: Namespace, x: Array, geometry: Pooling) -> Array:
    """The sum of every window: along one axis after the other; of long windows in float64."""
    pads = margins(x.shape[2:], geometry)
    if geometry[0] == x.shape[2:] and not any(map(any, pads)):
        return summed(xp, x, tuple(range(2, x.ndim)), True)
    if _fits(x, geometry):
        out = xp.empty_like(x, shape=(*x.shape[:2], *geometry[-1]))
        if native.pool(x, out, None, *geometry[:-1]):
            return out
    total = framed(xp, x, pads)
    if max(geometry[0]) > BLOCK:
        total = total.astype(np.float64)
    for reads in _reads_per_axis(geometry):
        total = functools.reduce(xp.add, [total[read] for read in reads])
    return total


def sum_pool_transpose(xp: Namespace, y: Array, shape: Sequence[int], geometry: Pooling) -> Array:
    """Zeros (N, C, *shape) to which each y is added in every element of its window."""
    if _fits(y, geometry):
        out = xp.empty_like(y, shape=(*y.shape[:2], *shape))
        if native.unpool(y, None, out, *geometry[:-1]):
            return out
    pads = margins(shape, geometry)
    if max(geometry[0]) > BLOCK:
        y = y.astype(np.float64)
    for axis, reads in enumerate(_reads_per_axis(geometry), 2):
        before, after = pads[axis - 2]
        wider = (*y.shape[:axis], before + shape[axis - 2] + after, *y.shape[axis + 1 :])
        out = xp.zeros_like(y, shape=wider)
        for read in reads:
            out[read] += y
        y = out
    return _without(xp, y, pads)


def _reads_per_axis(geometry: Pooling) -> Iterator[list[Any]]:
    """Per spatial axis, the indices that read one element of all windows along that axis alone."""
    kernel, stride, _, _, counts = geometry
    for axis in range(len(kernel)):
        k, n, s = kernel[axis : axis + 1], counts[axis : axis + 1], stride[axis : axis + 1]
        rest = (slice(None),) * (len(kernel) - 1 - axis)
        yield [(*read, *rest) for _, read in window_elements(k, n, s, (1,))]


def window_sizes(
    xp: Namespace, sizes: Sequence[int], geometry: Pooling, count_include_pad: bool, dtype: Any
) -> Any:
    """The number of elements of each window: an array only if the windows differ."""
    total = np.array(1)
    for n, k, s, p, _, c in zip(sizes, *geometry, strict=True):
        starts = np.arange(c) * s - p
        ends = np.minimum(starts + k, n + p)
        each = ends - starts if count_include_pad else np.minimum(ends, n) - np.maximum(starts, 0)
        total = np.expand_dims(total, -1) * each
    if (total == total.flat[0]).all():
        return int(total.flat[0])
    return xp.asarray(total, dtype=dtype)
