"""Pooling over windows: the largest element, with its adjoint pair, and the average, with its own.

A maximum puts aside the place in the window where it was found. Its gradient is written to those
places (`scatter_windows`), whose gradient in turn reads there (`gather_windows`), and so on. The
average is linear: `avg_pool` and `avg_pool_transpose` are each other's gradients.

Every function runs over the elements of the window, never over the windows: one element of all
windows is one strided slice.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, ArrayLike, Namespace
from ..engine.call import op
from ..kernels.selection import bits, selected
from ..kernels.summation import BLOCK, summed
from ..kernels.windows import PerAxis, framed, per_axis, window_count, window_elements

__all__ = ["avg_pool", "max_pool"]

Sizes = tuple[int, ...]
Geometry = tuple[Sizes, Sizes, Sizes, Sizes, Sizes]  # kernel, stride, padding, dilation, windows


def pool_geometry(
    name: str,
    shape: Sequence[int],
    kernel: PerAxis,
    stride: PerAxis | None,
    padding: PerAxis,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Geometry:
    """(kernel, stride, padding, dilation, windows), each with one number per spatial axis.

    With `ceil_mode` a last window may reach past the end, if it starts in x or in the left padding.
    """
    ndim = len(shape) - 2
    if ndim < 1:
        raise ValueError(f"{name}: an input (N, C, *spatial) is wanted; got {tuple(shape)}")
    widths = per_axis(name, "kernel_size", kernel, ndim)
    steps = widths if stride is None else per_axis(name, "stride", stride, ndim)
    pads = per_axis(name, "padding", padding, ndim, least=0)
    gaps = per_axis(name, "dilation", dilation, ndim)
    counts = []
    for n, k, s, p, d in zip(shape[2:], widths, steps, pads, gaps, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise ValueError(
                f"{name}: padding is at most half of the kernel {kernel}; got {padding}"
            )
        count = window_count(n + 2 * p + (s - 1 if ceil_mode else 0), k, s, d)
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        counts.append(count)
    if min(counts) < 1 or 0 in shape[1:]:
        raise ValueError(
            f"{name}: no window of {kernel}, dilation {dilation}, fits into the input "
            f"{tuple(shape)} with padding {padding}"
        )
    return widths, steps, pads, gaps, tuple(counts)


def _pads(sizes: Sequence[int], geometry: Geometry) -> Any:
    """What must stand before and after x so that every window lies inside."""
    axes = zip(sizes, *geometry, strict=True)
    return tuple((p, max(0, (c - 1) * s + d * (k - 1) + 1 - n - p)) for n, k, s, p, d, c in axes)


# -------------------------------------------------------------------------------------- maximum


@op(
    lambda xp, g, residuals, x_shape, kernel_size, stride, padding, dilation: xp.scatter_windows(
        g, residuals, x_shape[2:], kernel_size, stride, padding, dilation
    ),
    local=["1 at the maximum"],
)
def max_pool(
    xp: Namespace,
    x: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest element of every window of x (N, C, *spatial); the first among equals.

    Args:
        kernel_size: elements per window and axis (a number stands for all axes, as below).
        stride: from window to window; None: kernel_size.
        padding: so many −∞ on both sides, at most half of the window.
        dilation: from element to element.
        ceil_mode: a last window may reach past the end.

    >>> tg.max_pool(tg.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    return _best(
        xp, x, pool_geometry("max_pool", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    )


@op(None)
def argmax_pool(
    xp: Namespace,
    x: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Any:
    """Where `max_pool` found each maximum: its index in x's flattened spatial axes.

    >>> tg.ops.argmax_pool(tg.tensor([[[1.0, 5.0, 5.0, 2.0]]]), 2).tolist()
    [[[1, 2]]]
    """
    geometry = pool_geometry(
        "argmax_pool", x.shape, kernel_size, stride, padding, dilation, ceil_mode
    )
    place = _best(xp, x, geometry)[1].astype(np.int64)
    axes = reversed([*zip(x.shape[2:], *geometry, strict=True)])
    index, size = 0, 1
    for axis, (n, k, s, p, d, c) in enumerate(axes):
        starts = (xp.arange(c) * s - p).reshape(c, *(1,) * axis)
        index, size, place = index + (starts + place % k * d) * size, size * n, place // k
    return index


def _best(xp: Namespace, x: Array, geometry: Geometry) -> tuple[Any, Any]:
    """The maximum of every window, and its place in the window (counted in reading order).

    The maximum is that of the lines' maxima: along the last axis, then along the one before. Of
    places the larger one is kept: whatever wins over what stands before it stands at a larger one.
    """
    lowest = -math.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
    best, place = framed(xp, x, _pads(x.shape[2:], geometry), lowest), None
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


@op(
    lambda xp, g, places, kernel_size, stride, padding, dilation: xp.gather_windows(
        g, places, kernel_size, stride, padding, dilation
    ),
    local=["1 where written"],
)
def scatter_windows(
    xp: Namespace,
    values: ArrayLike,
    places: Array,
    shape: tuple[int, ...],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Any:
    """Zeros (N, C, *shape) to which each window's value is added at the window's place.

    `places` (N, C, *windows) counts the elements of a window in reading order.

    >>> places = np.array([[[0, 1]]])
    >>> tg.ops.scatter_windows(tg.tensor([[[5.0, 7.0]]]), places, (4,), 2).tolist()
    [[[5.0, 0.0, 0.0, 7.0]]]
    """
    name, counts = "scatter_windows", values.shape[2:]
    whole = (*values.shape[:2], *shape)
    *how, _ = pool_geometry(name, whole, kernel_size, stride, padding, dilation, ceil_mode=True)
    kernel, steps, _, gaps = how
    pads = _pads(shape, (*how, counts))
    wider = tuple(before + n + after for n, (before, after) in zip(shape, pads, strict=True))
    apart = all(s >= d * (k - 1) + 1 for k, s, d in zip(kernel, steps, gaps, strict=True))
    covered = apart and wider == tuple(c * k for c, k in zip(counts, kernel, strict=True))
    empty = xp.empty_like if covered else xp.zeros_like
    out = empty(places, dtype=values.dtype, shape=(*whole[:2], *wider))
    if np.argsort(values.strides).tolist() != np.argsort(places.strides).tolist():
        ordered = xp.empty_like(places, dtype=values.dtype)  # as x, and its maxima, lie in memory
        ordered[...] = values
        values = ordered
    for number, (_, read) in enumerate(window_elements(kernel, counts, steps, gaps)):
        if apart:  # no element belongs to two windows
            xp.multiply(bits(values), places == number, out=bits(out)[read])
        else:
            out[read] += selected(values, places == number)
    return framed(xp, out, tuple((-before, -after) for before, after in pads))


@op(
    lambda xp, g, places, x_shape, kernel_size, stride, padding, dilation: xp.scatter_windows(
        g, places, x_shape[2:], kernel_size, stride, padding, dilation
    ),
    local=["1 where read"],
)
def gather_windows(
    xp: Namespace,
    x: ArrayLike,
    places: Array,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Any:
    """Of every window of x (N, C, *spatial) the element at `places` (N, C, *windows).

    >>> places = np.array([[[0, 1]]])
    >>> tg.ops.gather_windows(tg.tensor([[[5.0, 6.0, 8.0, 7.0]]]), places, 2).tolist()
    [[[5.0, 7.0]]]
    """
    name = "gather_windows"
    *how, _ = pool_geometry(name, x.shape, kernel_size, stride, padding, dilation, ceil_mode=True)
    kernel, steps, _, gaps = how
    counts = places.shape[2:]
    x = framed(xp, x, _pads(x.shape[2:], (*how, counts)))
    out = xp.zeros_like(x, shape=places.shape)
    for number, (_, read) in enumerate(window_elements(kernel, counts, steps, gaps)):
        xp.copyto(out, x[read], where=places == number)
    return out


# -------------------------------------------------------------------------------------- average


def _avg_rule(
    xp: Namespace,
    g: Array,
    x_shape: tuple[int, ...],
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: PerAxis,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    sizes = x_shape[2:]
    kernel = per_axis("avg_pool", "kernel_size", kernel_size, len(sizes))
    pads = per_axis("avg_pool", "padding", padding, len(sizes), 0)
    if kernel == sizes and not any(pads) and not divisor_override:
        return xp.broadcast_to(
            g / math.prod(sizes), x_shape
        )  # which has no memory order of its own
    how = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return xp.avg_pool_transpose(g, x_shape[2:], *how)


@op(_avg_rule, local=["1/count"])
def avg_pool(
    xp: Namespace,
    x: ArrayLike,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of every window of x (N, C, *spatial).

    Args:
        kernel_size: elements per window and axis (a number stands for all axes, as below).
        stride: from window to window; None: kernel_size.
        padding: so many zeros on both sides, at most half of the window.
        ceil_mode: a last window may reach past the end; what lies there is not counted.
        count_include_pad: whether zeros of the padding count as elements.
        divisor_override: divide by this instead.

    >>> tg.avg_pool(tg.arange(4.0).reshape(1, 1, 4), 2).tolist()
    [[[0.5, 2.5]]]
    """
    geometry = pool_geometry("avg_pool", x.shape, kernel_size, stride, padding, 1, ceil_mode)
    divisor = _divisor(xp, x, x.shape[2:], geometry, count_include_pad, divisor_override)
    pads = _pads(x.shape[2:], geometry)
    if geometry[0] == x.shape[2:] and not any(map(any, pads)):
        return summed(xp, x, tuple(range(2, x.ndim)), True) / divisor
    total = framed(xp, x, pads)
    if max(geometry[0]) > BLOCK:
        total = total.astype(np.float64)
    for reads in _along_each_axis(geometry):
        total = functools.reduce(xp.add, [total[read] for read in reads])
    return total / divisor


@op(
    lambda xp, g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        xp.avg_pool(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    ),
    local=["1/count"],
)
def avg_pool_transpose(
    xp: Namespace,
    y: ArrayLike,
    shape: tuple[int, ...],
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The transpose of `avg_pool`: each y (N, C, *windows) is shared out evenly over its window.

    >>> tg.ops.avg_pool_transpose(tg.tensor([[[2.0, 4.0]]]), (4,), 2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    whole = (*y.shape[:2], *shape)
    geometry = pool_geometry(
        "avg_pool_transpose", whole, kernel_size, stride, padding, 1, ceil_mode
    )
    pads = _pads(shape, geometry)
    y = y / _divisor(xp, y, shape, geometry, count_include_pad, divisor_override)
    if max(geometry[0]) > BLOCK:
        y = y.astype(np.float64)
    for axis, reads in enumerate(_along_each_axis(geometry), 2):
        before, after = pads[axis - 2]
        wider = (*y.shape[:axis], before + shape[axis - 2] + after, *y.shape[axis + 1 :])
        out = xp.zeros_like(y, shape=wider)
        for read in reads:
            out[read] += y
        y = out
    return framed(xp, y, tuple((-before, -after) for before, after in pads))


def _along_each_axis(geometry: Geometry) -> Any:
    """Per spatial axis, the indices that read one element of all windows along that axis alone.

    The sum over a window is a sum along one axis after the other.
    """
    kernel, stride, _, _, counts = geometry
    for axis in range(len(kernel)):
        k, n, s = kernel[axis : axis + 1], counts[axis : axis + 1], stride[axis : axis + 1]
        rest = (slice(None),) * (len(kernel) - 1 - axis)
        yield [(*read, *rest) for _, read in window_elements(k, n, s, (1,))]


def _divisor(
    xp: Namespace,
    x: Array,
    sizes: Sequence[int],
    geometry: Geometry,
    include_pad: bool,
    override: int | None,
) -> Any:
    """How many elements each window counts: an array only where the windows differ."""
    if override is not None:
        return override
    total = np.array(1)
    for n, k, s, p, _, c in zip(sizes, *geometry, strict=True):
        starts = np.arange(c) * s - p
        ends = np.minimum(starts + k, n + p)
        each = ends - starts if include_pad else np.minimum(ends, n) - np.maximum(starts, 0)
        total = np.expand_dims(total, -1) * each
    if (total == total.flat[0]).all():
        return int(total.flat[0])
    return xp.asarray(total, dtype=x.dtype)
