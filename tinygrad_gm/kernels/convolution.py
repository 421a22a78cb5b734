"""Convolution: windows as rows of a matrix, without copying each window.

Arrays have the channels last in memory, (N, *spatial, C). Every pixel is stacked with the pixels
below it in a window, k copies of the picture for a kernel of k rows:

    a b c d          pixel:    0     1     2     3
    e f g h   k=2    memory:  a e | b f | c g | d h | e i | …
    i j k l                   └─window 0─┘     ↑
                                    └─window 1─┘

A window k wide is now one run of memory, so "im2col" needs no more copies. Neighbouring windows
overlap and are no matrix that BLAS takes, but every k-th one does not: windows 0, k, 2k … are the
rows of one matrix, windows 1, k + 1, … those of the next, and k products, written to every k-th row
of the result, do it all. A line may end in windows that reach over to the next line; what they
give is dropped. The work is done in parts that stay in the processor's cache.

With as many groups as channels there is nothing to multiply matrices for, and the windows are
summed up with their weights.

Native kernels need none of this: `native/convolution.h` says how they walk the windows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import Array, Namespace
from . import native
from .products import product
from .windows import Geometry, framed, last_axes

CACHE = 1 << 22  # bytes of stacked pixels at a time, within the caches
MEMORY = 1 << 28  # the same on a GPU, where one large product is the fast one

LARGEST = 1024  # elements of a window that a native kernel takes
LARGE = 1 << 16  # numbers of a matrix with which BLAS is faster than a native kernel
WIDE = 1 << 20  # numbers of the lines that a native kernel copies at a time

NARROW = 64  # output channels
LONG = 512  # elements of a run from which on a call of NumPy per element of the kernel is faster


# ----------------------------------------------------------------------------- the two functions


def convolved(
    xp: Namespace,
    x: Array,
    weight: Array,
    counts: Sequence[int],
    geometry: Geometry,
    groups: int,
    bias: Array = None,
    out: Array = None,
) -> Any:
    """The convolution (N, *counts, O) of x (N, *spatial, C) with a weight (O, C / groups, *kernel).

    Negative padding cuts off; elements that no window reaches do not matter. `bias` (O,) or None is
    added. The result is written to `out` if given.
    """
    if out is None:
        out = xp.empty((x.shape[0], *counts, weight.shape[0]), xp.result_type(x, weight))
    if not _convolved_by_kernel(x, weight, geometry, groups, bias, out):
        _convolved(xp, x, weight, geometry, groups, out)
        if bias is not None:
            with_bias(xp, out, bias)
    return out


def _convolved(
    xp: Namespace, x: Array, weight: Array, geometry: Geometry, groups: int, out: Array
) -> None:
    if out.ndim == 3:
        geometry = with_an_axis(geometry)
        _convolved(xp, x[:, None], weight[:, :, None], geometry, groups, out[:, None])
        return
    inner, each = weight.shape[1], weight.shape[0] // groups
    if inner == 1 < groups:
        _depthwise(xp, x, weight, geometry, out)
        return
    for block in range(groups):
        channels = slice(block * inner, (block + 1) * inner)
        outputs = slice(block * each, (block + 1) * each)
        _dense(xp, x[..., channels], weight[outputs], geometry, out[..., outputs])


def with_an_axis(geometry: Geometry) -> Geometry:
    """Stride, padding and dilation with one more axis before, along which there is one element."""
    stride, padding, dilation = geometry
    return (1, *stride), ((0, 0), *padding), (1, *dilation)


def with_bias(xp: Namespace, out: Array, bias: Array) -> Any:
    """out (N, *spatial, O) + bias, written to out line by line: NumPy is slow with short runs."""
    lines = out.reshape(-1, math.prod(out.shape[-2:]))
    lines += xp.tile(bias, out.shape[-2])
    return out


def paired(
    xp: Namespace, x: Array, y: Array, kernel: Sequence[int], geometry: Geometry, groups: int
) -> Any:
    """The weight's gradient (O, *kernel, C / groups) for x (N, *spatial, C), y (N, *counts, O)."""
    if groups == 1 and _is_one_window(x, y, kernel, geometry):
        count, outputs = len(x), y.shape[-1]
        windows = x.reshape(count, math.prod(x.shape[1:]))
        matrix = product(xp, y.reshape(count, outputs).T, windows)
        return matrix.reshape(outputs, *kernel, x.shape[-1])
    out = _paired_by_kernel(x, y, kernel, geometry, groups)
    return _paired(xp, x, y, kernel, geometry, groups) if out is None else out


def _paired(
    xp: Namespace, x: Array, y: Array, kernel: Sequence[int], geometry: Geometry, groups: int
) -> Any:
    if len(kernel) == 1:
        geometry = with_an_axis(geometry)
        return _paired(xp, x[:, None], y[:, None], (1, *kernel), geometry, groups)[:, 0]
    inner, each = x.shape[-1] // groups, y.shape[-1] // groups
    blocks = [
        (x[..., i * inner : (i + 1) * inner], y[..., i * each : (i + 1) * each])
        for i in range(groups)
    ]
    with np.errstate(invalid="ignore", over="ignore"):
        if inner == 1 < groups:
            out = _depthwise_paired(xp, x, y, kernel, geometry)
        else:
            out = _joined(xp, [_dense_paired(xp, *block, kernel, geometry) for block in blocks])
        flat = out.reshape(-1)
        finite = math.isfinite(flat.dot(flat))
    if finite:
        return out
    return _joined(xp, [_paired_inside(xp, *block, kernel, geometry) for block in blocks])


def _joined(xp: Namespace, parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else xp.concatenate(parts)


def _paired_inside(
    xp: Namespace, x: Array, y: Array, kernel: Sequence[int], geometry: Geometry
) -> Any:
    """`paired` of one group, of the pixels inside x alone.

    The fast form also multiplies pixels by the zeros of windows that reach over the end of a line,
    and the margin's zeros by y. That is right but for 0 · ∞ = NaN.
    """
    channels, outputs = x.shape[-1], y.shape[-1]
    out = xp.zeros((outputs, *kernel, channels), xp.result_type(x, y))
    for place in itertools.product(*map(range, kernel)):
        reads, windows = [], []
        axes = zip(place, *geometry, x.shape[1:-1], y.shape[1:-1], strict=True)
        for k, s, (before, _), d, n, count in axes:
            low, high, start = _inside(k * d - before, s, n, 0, count)
            windows.append(slice(low, high))
            reads.append(slice(start, start + s * (high - low), s))
        pixels = x[last_axes(*reads, slice(None))].reshape(-1, channels)
        slopes = y[last_axes(*windows, slice(None))].reshape(-1, outputs)
        out[last_axes(*place, slice(None))] = xp.matmul(slopes.T, pixels)
    return out


def _inside(offset: int, stride: int, size: int, first: int, stop: int) -> tuple[int, int, int]:
    """The windows first ≤ i < stop with 0 ≤ stride·i + offset < size, and where i = low reads."""
    low, high = max(first, -(offset // stride)), min(stop, -((offset - size) // stride))
    return low, max(low, high), stride * low + offset


# ------------------------------------------------------------------------------ native kernels


def _convolved_by_kernel(
    x: Array, weight: Array, geometry: Geometry, groups: int, bias: Array, out: Array
) -> bool:
    """Whether a native kernel takes these arrays, and has written the convolution to `out`."""
    if not (native.fits(x, weight, out, bias) and _kernels_take(x, weight.shape, groups, out)):
        return False
    x, (stride, padding, dilation) = whole_channels(x), geometry
    bias = None if bias is None else np.ascontiguousarray(bias)
    if weight.shape[1] == 1 < groups:
        native.depthwise(x, weight, bias, out, stride, padding, dilation)
    else:
        native.convolve(x, weight, bias, out, stride, padding, dilation, groups)
    return True


def _paired_by_kernel(
    x: Array, y: Array, kernel: Sequence[int], geometry: Geometry, groups: int
) -> Array | None:
    """The weight's gradient; None where no native kernel takes these arrays.

    A sum that is not finite is None too: the kernels also multiply the margin's zeros by y.
    """
    outputs, inner = y.shape[-1], x.shape[-1] // groups
    if not (native.fits(x, y) and _kernels_take(x, (outputs, inner, *kernel), groups)):
        return None
    x, y, (stride, padding, dilation) = whole_channels(x), whole_channels(y), geometry
    out = np.empty((outputs, *kernel, inner), x.dtype)
    if inner == 1 < groups:
        finite = native.depthwise_weight(x, y, out, stride, padding, dilation)
    else:
        finite = native.convolve_weight(x, y, out, stride, padding, dilation, groups)
    return out if finite else None


def _kernels_take(x: Array, weight: Sequence[int], groups: int, out: Array = None) -> bool:
    """Whether there are kernels for x and a weight of this shape (O, C / groups, *kernel).

    Where the whole is one large product of matrices, BLAS is faster; where the lines that a window
    reads are very long, the NumPy path takes them in parts.
    """
    outputs, inner, *kernel = weight
    elements = math.prod(kernel)
    if len(kernel) > 3 or elements > LARGEST or (inner == 1 < groups != outputs):
        return False
    if elements == 1 and inner * outputs > LARGE:
        return False
    if elements // kernel[-1] * x.shape[-2] * x.shape[-1] > WIDE:
        return False
    return out is None or _has_whole_channels(out)


def _has_whole_channels(x: Array) -> bool:
    return bool(x.strides[-1] == x.itemsize or x.shape[-1] == 1)


def whole_channels(x: Array) -> Any:
    """x, or a copy of it in which the channels of a pixel lie next to each other."""
    return x if _has_whole_channels(x) else np.ascontiguousarray(x)


# ------------------------------------------------------------------------------ stacked pixels


class _Stacked:
    """The stacked pixels of x, a part of the windows at a time, and where the windows lie in them.

    The kernel's last axis is the one that windows slide along. Where it is dilated a window would
    be no run of memory, so that axis is stacked too, and windows are one pixel wide.
    """

    def __init__(
        self,
        xp: Namespace,
        x: Array,
        kernel: Sequence[int],
        counts: Sequence[int],
        geometry: Geometry,
    ) -> None:
        axes = zip(x.shape[1:-1], kernel, counts, *geometry, strict=True)
        keep, before = [], []
        for n, k, c, s, (start, _), d in axes:
            end = (c - 1) * s + d * (k - 1) + 1 - start  # no window reads further
            keep.append(slice(max(0, -start), max(0, min(n, end))))
            before.append(max(0, start))
        x = x[last_axes(*keep, slice(None))]
        channels, dtype = x.shape[-1], x.dtype
        if channels > 1 and x.strides[-1] != x.itemsize:
            x = xp.ascontiguousarray(x)
        stride, _, dilation = geometry
        self.slides = dilation[-1] == 1
        self.width: int = kernel[-1] if self.slides else 1
        self.step: int = stride[-1] if self.slides else 1
        self.taps = [*itertools.product(*map(range, kernel[: -1 if self.slides else None]))]
        lead = range(2, 1 + len(kernel))
        self.order = (1 + len(kernel), *lead, 1) if self.slides else (*lead, 1 + len(kernel), 1)
        self.xp, self.x, self.counts, self.geometry = xp, x, counts, (stride, before, dilation)
        self.every = -(-self.width // self.step)  # windows so far apart do not overlap
        self.size = self.width * len(self.taps) * channels
        pitch = self.step * counts[-1]
        if self.slides:  # the zeros before a line serve the line above as those behind it
            reach = (counts[-1] - 1) * self.step + self.width
            pitch = max(pitch, before[-1] + x.shape[-2], reach - before[-1])
        self.per_line = -(-pitch // self.step)
        self.pitch = self.per_line * self.step
        self.shape = (len(self.taps), channels)
        line = math.prod(counts[1:-1]) * self.pitch * math.prod(self.shape) * dtype.itemsize
        self.parts = [*parts(xp, len(x), counts[0], line, CACHE)]
        self.whole_pictures = not self.parts or self.parts[0][1] == slice(0, counts[0])

    def __iter__(self) -> Iterator[tuple[Any, list[Any]]]:
        """For each part: (its index in the windows, a matrix for each place modulo `every`)."""
        xp, x, stacked = self.xp, self.x, None
        for images, lines in self.parts:
            count = images.stop - images.start, lines.stop - lines.start
            pixels = math.prod(count) * math.prod(self.counts[1:-1]) * self.pitch
            if stacked is None:
                stacked = xp.zeros((pixels + self.width, *self.shape), x.dtype)
            elif not self.whole_pictures:
                stacked.fill(0)  # its margins are others than those of the part before
            grid = stacked[:pixels].reshape(*count, *self.counts[1:-1], self.pitch, *self.shape)
            target, source = whole_pixels(xp, grid), whole_pixels(xp, x[images])
            for number, tap in enumerate(self.taps if x.size else ()):
                to, start = zip(*self._copied(tap, lines), strict=True)
                write, read = (slice(None), *to, number), (slice(None), *start)
                target[write] = source[read]
            yield (images, lines), self._matrices(stacked, pixels)

    def _copied(self, tap: tuple[int, ...], lines: slice) -> Iterator[tuple[slice, slice]]:
        """Per axis: where the pixels go to that stand at `tap` in their windows, and come from."""
        stride, before, dilation = self.geometry
        for axis, (n, count) in enumerate(zip(self.x.shape[1:-1], self.counts, strict=True)):
            if axis == len(tap):  # the axis that windows slide along is copied as it is
                yield slice(before[axis], before[axis] + n), slice(0, n)
                continue
            first, stop = (lines.start, lines.stop) if axis == 0 else (0, count)
            offset, s = tap[axis] * dilation[axis] - before[axis], stride[axis]
            low, high, start = _inside(offset, s, n, first, stop)
            yield slice(low - first, high - first), slice(start, start + s * (high - low), s)

    def _matrices(self, stacked: Array, pixels: int) -> list[Any]:
        """[(the rows' places among the windows of the part, the rows)]"""
        found, (*_, element) = [], stacked.strides
        step = self.step * math.prod(self.shape) * element
        as_strided, windows = self.xp.lib.stride_tricks.as_strided, pixels // self.step
        for place in range(min(self.every, windows)):
            if self.per_line % self.every == 0 and place >= self.counts[-1]:
                break  # these all reach over the end of a line
            rows = slice(place, windows, self.every)
            shape = (len(range(windows)[rows]), self.size)
            matrix = as_strided(stacked[place * self.step :], shape, (self.every * step, element))
            found.append((rows, matrix))
        return found

    def grid(self, make: Callable[..., Array], block: Array) -> Any:
        """An array for the windows of the largest part, those over the lines' ends included."""
        return make((math.prod(block.shape[:-2]), self.per_line, block.shape[-1]), block.dtype)


# ------------------------------------------------------------------------- one group, or a few


def _dense(xp: Namespace, x: Array, weight: Array, geometry: Geometry, out: Array) -> None:
    """Every output channel sees every channel of x."""
    outputs, channels, *kernel = weight.shape
    _, *counts, _ = out.shape
    if _is_pointwise(x, kernel, counts, geometry) and out.flags.c_contiguous:
        rows, matrix = x.reshape(-1, channels), weight.reshape(outputs, channels).T
        if native.multiplies(rows, matrix, None):
            out.reshape(-1, outputs)[...] = native.product(rows, matrix, None)
        else:
            xp.matmul(rows, matrix, out=out.reshape(-1, outputs))
        return
    stacked = _Stacked(xp, x, kernel, counts, geometry)
    if weight.strides[0] > weight.strides[1]:  # whichever way is the shorter one to copy
        matrix = weight.transpose(0, *stacked.order).reshape(outputs, stacked.size).T
    else:
        matrix = weight.transpose(*stacked.order, 0).reshape(stacked.size, outputs)
    result = None
    for part, matrices in stacked:
        target = out[part]
        if result is None:
            result = stacked.grid(xp.empty, target)
        grid = result[: math.prod(target.shape[:-2])]
        flat = grid.reshape(-1, outputs)
        for rows, windows in matrices:
            xp.matmul(windows, matrix, out=flat[rows])
        grid = grid[:, : counts[-1]].reshape(target.shape)
        whole_pixels(xp, target)[...] = whole_pixels(xp, grid)


def _dense_paired(
    xp: Namespace, x: Array, y: Array, kernel: Sequence[int], geometry: Geometry
) -> Any:
    _, *counts, outputs = y.shape
    if _is_pointwise(x, kernel, counts, geometry):
        matrix = product(xp, y.reshape(-1, outputs).T, x.reshape(-1, x.shape[-1]))
        return matrix.reshape(outputs, *kernel, -1)
    stacked = _Stacked(xp, x, kernel, counts, geometry)
    dtype = xp.result_type(x, y)
    if outputs < NARROW:  # BLAS is faster with the short side last
        out = xp.zeros((stacked.size, outputs), dtype).T
    else:
        out = xp.zeros((outputs, stacked.size), dtype)
    added = xp.empty_like(out)
    upstream = None
    for part, matrices in stacked:
        block = y[part]
        if upstream is None:
            upstream = stacked.grid(xp.zeros, block)
        grid = upstream[: math.prod(block.shape[:-2])]
        grid[:, : counts[-1]] = block.reshape(-1, counts[-1], outputs)  # 0 where lines end
        flat = grid.reshape(-1, outputs)
        for rows, windows in matrices:
            out += xp.matmul(flat[rows].T, windows, out=added)
    sizes = (outputs, x.shape[-1], *kernel)
    out = out.reshape(outputs, *(sizes[axis] for axis in stacked.order))
    places = [1 + stacked.order.index(axis) for axis in (*range(2, len(sizes)), 1)]
    return xp.ascontiguousarray(out.transpose(0, *places))


def _is_pointwise(
    x: Array, kernel: Sequence[int], counts: Sequence[int], geometry: Geometry
) -> bool:
    """Whether every pixel is a window."""
    stride, padding, _ = geometry
    inside = not any(before for before, _ in padding) and set(stride) == {1}
    return inside and math.prod(kernel) == 1 and tuple(x.shape[1:-1]) == tuple(counts)


def _is_one_window(x: Array, y: Array, kernel: Sequence[int], geometry: Geometry) -> bool:
    """Whether a picture is one window."""
    _, padding, _ = geometry
    whole = tuple(x.shape[1:-1]) == tuple(kernel) and math.prod(y.shape[1:-1]) == 1
    return whole and not any(map(any, padding))


# -------------------------------------------------------------------------- a group per channel


def _depthwise(xp: Namespace, x: Array, weight: Array, geometry: Geometry, out: Array) -> None:
    """Weighted sums of the windows' elements, every channel by itself."""
    outputs, _, *kernel = weight.shape
    _, *counts, _ = out.shape
    channels = x.shape[-1]
    windows, run = _runs(xp, x, kernel, counts, geometry)
    for each in range(outputs // channels):  # results per channel
        taps = xp.moveaxis(weight[each :: outputs // channels, 0], 0, -1)
        taps = xp.ascontiguousarray(xp.tile(taps, run // channels))
        target = out[..., each :: outputs // channels]
        for part in _parts_of(xp, windows, len(kernel), CACHE // 16):
            shape = target[part].shape
            target[part] = _weighted(xp, windows[part], taps).reshape(shape)


def _weighted(xp: Namespace, windows: Array, taps: Array) -> Any:
    """Σ windows (n, *counts, *kernel, run) · taps (*kernel, run) over the kernel."""
    ndim = taps.ndim - 1
    if xp is np:  # the one function of NumPy that multiplies and adds in one pass
        axes = [*range(windows.ndim)]
        kernel = axes[ndim + 1 :]
        return np.einsum(windows, axes, taps, kernel, [*axes[: ndim + 1], axes[-1]])
    places = itertools.product(*map(range, taps.shape[:-1]))
    return sum(windows[last_axes(*place, slice(None))] * taps[place] for place in places)


def _depthwise_paired(
    xp: Namespace, x: Array, y: Array, kernel: Sequence[int], geometry: Geometry
) -> Any:
    channels, outputs = x.shape[-1], y.shape[-1]
    windows, run = _runs(xp, x, kernel, y.shape[1:-1], geometry)
    ndim, parts = len(kernel), []
    for each in range(outputs // channels):
        block = y[..., each :: outputs // channels].reshape(*windows.shape[: ndim + 1], run)
        total: Any = 0
        for part in _parts_of(xp, windows, ndim, CACHE // 4):
            total = total + _correlated(xp, windows[part], block[part])
        total = xp.zeros((*kernel, run), x.dtype) + total
        parts.append(
            total.reshape(*kernel, run // channels, channels).sum(axis=-2, dtype=x.dtype.type)
        )
    matrix = xp.stack(parts, -1).reshape(-1, outputs)
    return xp.ascontiguousarray(matrix.T).reshape(outputs, *kernel, 1)


def _correlated(xp: Namespace, windows: Array, y: Array) -> Any:
    """Σ windows (n, *counts, *kernel, run) · y (n, *counts, run) over pictures and windows."""
    ndim, axes = y.ndim - 2, [*range(windows.ndim)]
    kept = [*axes[: ndim + 1], axes[-1]]
    if xp is np and y.shape[-1] < LONG:
        return np.einsum(windows, axes, y, kept, axes[ndim + 1 :])
    kernel = windows.shape[ndim + 1 : -1]
    out = xp.empty((*kernel, y.shape[-1]), y.dtype)
    for place in itertools.product(*map(range, kernel)):
        window = windows[last_axes(*place, slice(None))]
        if xp is np:
            np.einsum(window, kept, y, kept, kept[-1:], out=out[place])
        else:
            out[place] = (window * y).sum(axis=tuple(range(ndim + 1)))
    return out


def _runs(
    xp: Namespace, x: Array, kernel: Sequence[int], counts: Sequence[int], geometry: Geometry
) -> tuple[Any, int]:
    """A view (N, *counts, *kernel, run) of the windows, and the length of its runs of memory.

    A run is a pixel's channels; with stride 1 all windows of a line are taken as a single one whose
    elements are as long as the line, so that NumPy works on long runs.
    """
    stride, padding, dilation = geometry
    x = xp.ascontiguousarray(framed(xp, x, (*padding, (0, 0))))
    first, *steps, last = x.strides
    merges = stride[-1] == 1
    run = x.shape[-1] * (counts[-1] if merges else 1)
    counts = (*counts[:-1], 1) if merges else counts
    strides = (
        first,
        *(step * s for step, s in zip(steps, stride, strict=True)),
        *(step * d for step, d in zip(steps, dilation, strict=True)),
        last,
    )
    shape = (x.shape[0], *counts, *kernel, run)
    return xp.lib.stride_tricks.as_strided(x, shape, strides), run


def _parts_of(
    xp: Namespace, windows: Array, ndim: int, cache: int
) -> Iterator[tuple[slice, slice]]:
    """Parts whose results, and as much of x, fit into `cache` bytes each."""
    count, lines = windows.shape[:2]
    line = math.prod(windows.shape[2 : ndim + 1]) * windows.shape[-1] * windows.itemsize
    return parts(xp, count, lines, line, cache)


# ---------------------------------------------------------------------------------------- shared


def parts(
    xp: Namespace, count: int, lines: int, line: int, cache: int
) -> Iterator[tuple[slice, slice]]:
    """Slices of pictures, and of lines in them, of `line` bytes each, that fill the cache."""
    fit = max(1, (cache if xp is np else MEMORY) // line)
    pictures = fit // lines
    if pictures:
        for start in range(0, count, pictures):
            yield slice(start, min(count, start + pictures)), slice(0, lines)
        return
    for picture, start in itertools.product(range(count), range(0, lines, fit)):
        yield slice(picture, picture + 1), slice(start, min(lines, start + fit))


def whole_pixels(xp: Namespace, array: Array) -> Any:
    """(…, C) as an array (…) of pixels that are copied in one piece; on a GPU as it is."""
    if xp is not np:
        return array
    channels = array.shape[-1]
    if channels == 1:
        return array[..., 0]
    if array.strides[-1] != array.itemsize:
        return array
    return array.view(np.dtype((np.void, channels * array.itemsize)))[..., 0]
