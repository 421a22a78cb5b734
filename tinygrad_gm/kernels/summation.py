"""Sums whose rounding errors stay small, however many numbers are added.

Adding n numbers one after the other to a running total makes an error that grows with n; in
float32 a total of 2²⁴ does not change when 1 is added. Pairwise summation (Higham 2002, chapter 4)
adds up short blocks, then the sums of the blocks, and so on: its error grows with log n. NumPy
does this where the numbers of a total are neighbours in memory, and adds row after row everywhere
else. Here every axis is summed in blocks, and the sums of float32 blocks are added in float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, Namespace, Shape
from . import native
from .indices import along

BLOCK = 64  # rows that are added one after the other
SMALL = 1 << 14  # elements of an array that NumPy sums fast enough whatever their order
LONG = 1024  # elements of a row that NumPy adds up at full speed

_numpy_sum: Callable[..., Array] = np.add.reduce  # what `x.sum` calls, by a detour through Python
_ones = {char: np.ones(BLOCK, char) for char in "fd"}


def summed(
    xp: Namespace, x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Any:
    """x.sum(axis), pairwise along every axis; integers and booleans are summed in int64."""
    if native.fits(x):
        total = native.sum(x, axis, keepdims)
        if total is not None:
            return total
    if x.dtype.kind != "f":
        return x.sum(axis=axis, dtype=np.int64, keepdims=keepdims)
    if xp is not np:  # a GPU adds up in a tree
        return x.sum(axis=axis, keepdims=keepdims)
    if type(axis) is tuple and len(axis) == 1:
        axis = axis[0]
    size = x.size
    few = size <= BLOCK or (size <= SMALL and type(axis) is int and x.shape[axis] <= BLOCK)
    if few or _are_neighbours(x, axis):
        return _numpy_sum(x, axis, None, None, keepdims)
    if type(axis) is int and 0 <= axis < x.ndim - 1 and x.flags.c_contiguous:
        total = _along(x, axis)
        return total.reshape(*x.shape[:axis], 1, *x.shape[axis + 1 :]) if keepdims else total
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {a % x.ndim for a in axes if -x.ndim <= a < x.ndim}
    if len(gone) < len(axes):
        return _numpy_sum(x, axis, None, None, keepdims)  # which raises: an axis is wrong
    return _in_blocks(x, gone, keepdims)


def _are_neighbours(x: Array, axis: int | tuple[int, ...] | None) -> bool:
    """Whether the numbers of each total are neighbours in memory."""
    if axis is None:
        return bool(x.flags.forc)
    return type(axis) is int and x.strides[axis] == x.itemsize and x.flags.forc


def _in_blocks(x: Array, gone: set[int], keepdims: bool) -> Any:
    """The sum over the axes in `gone`, one after the other, the last in memory first."""
    order = sorted(range(x.ndim), key=lambda a: -abs(x.strides[a]))
    total, sums = x.transpose(order), [a in gone for a in order]
    if total.flags.c_contiguous:  # neighbouring axes that are both summed, or both kept, are one
        starts = [i for i in range(x.ndim) if not i or sums[i] != sums[i - 1]]
        stops, sizes = [*starts[1:], x.ndim], total.shape
        total = total.reshape([math.prod(sizes[i:j]) for i, j in zip(starts, stops, strict=True)])
        sums = [sums[i] for i in starts]
    for place in reversed(range(len(sums))):
        if sums[place]:
            total = _along(total, place)
    total = total.reshape([1 if a in gone else x.shape[a] for a in order])
    total = total.transpose(sorted(range(x.ndim), key=order.__getitem__))
    return total if keepdims else total.squeeze(tuple(gone))


def _along(x: Array, place: int) -> Any:
    """The sum over an axis, the last in memory that is summed; the blocks' sums in float64."""
    shape, dtype = x.shape, x.dtype
    lead, count, others = shape[:place], shape[place], shape[place + 1 :]
    if not others:
        return _numpy_sum(x, place)
    flat = len(others) > 1 and x.flags.c_contiguous
    if flat:
        others = (math.prod(others),)
        x = x.reshape(*lead, count, *others)
    while count > BLOCK:
        parts, rest = divmod(count, BLOCK)
        whole = x[along(place, slice(parts * BLOCK))] if rest else x
        sums = _rows(whole.reshape(*lead, parts, BLOCK, *others), place + 1)
        if rest:
            last = _rows(x[along(place, slice(parts * BLOCK, None))], place)
            sums = np.concatenate([sums, last.reshape(*lead, 1, *others)], axis=place)
        x, count = sums.astype(np.float64, copy=False), parts + (rest > 0)
    total = _rows(x, place).astype(dtype, copy=False)
    return total.reshape(*lead, *shape[place + 1 :]) if flat else total


def _rows(x: Array, place: int) -> Any:
    """The sum over an axis of at most a block: a product with ones, where NumPy's rows are short.

    NumPy calls a loop for each row, such as the channels of a pixel.
    """
    count, width = x.shape[place], x.shape[-1]
    short = 1 < width < LONG and place == x.ndim - 2 and x.strides[-1] == x.itemsize
    if not short or x.dtype.char not in _ones:
        return _numpy_sum(x, place)
    return np.matmul(_ones[x.dtype.char][:count], x)


def sums_of_rows(xp: Namespace, x: Array) -> Any:
    """The sum along the last axis, which keeps size 1: a product with ones runs on all cores."""
    on_cpu = xp.__name__ == "numpy"
    if on_cpu and x.shape[-1] > 1 << 16:  # NumPy's own sum is pairwise here
        return x.sum(axis=-1, keepdims=True)
    length = x.shape[-1]
    column = _column(length, x.dtype) if on_cpu else xp.ones((length, 1), x.dtype)
    return xp.matmul(x, column)


@functools.lru_cache(maxsize=16)  # to make one takes as long as to use it
def _column(length: int, dtype: np.dtype[Any]) -> Array:
    return np.ones((length, 1), dtype)


def squared_deviations(
    xp: Namespace, x: Array, axis: int | tuple[int, ...] | None, gone: Shape, keepdims: bool
) -> Any:
    """Σ (x − mean)² along `axis`, whose axes, counted from the front, are `gone`."""
    if native.fits(x):
        squares = native.squared_deviations(x, axis, keepdims)
        if squares is not None:
            return squares
    # minus the first element, equal numbers are exactly 0; their rounded mean may differ
    x = x - x[tuple(slice(1 if i in gone else None) for i in range(x.ndim))]
    count = math.prod(x.shape[a] for a in gone)
    deviation = x - divided(summed(xp, x, axis, True), count)
    return summed(xp, deviation * deviation, axis, keepdims)


def divided(total: Array, count: Array | float) -> Array:
    """total / count, NaN where nothing was counted."""
    return total / count if count > 0 else total * math.nan
