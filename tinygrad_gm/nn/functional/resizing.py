"""Resizing of images: adaptive pooling, interpolation, pixel shuffle; PyTorch's names and rules.

Means and linear interpolation are one operation: along each axis, every output position is a
weighted sum of a few input positions (`ops.resample`). `F` has these functions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backend import ArrayLike
from ...kernels.windows import PerAxis
from ...ops import avg_pool, max_pool, permute_dims, reshape, take, take_along_axis
from ...ops.pooling import avg_pool_transpose
from ...ops.resampling import Weights, resample
from ...tensor import Tensor, asarray
from .axes import Axes, over

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
]

Sizes = int | Sequence[int | None]
Scales = float | Sequence[float]


# -------------------------------------------------------------------------------- adaptive pooling


def _adaptive_avg_pool(at: Axes, input: ArrayLike, output_size: Sizes) -> Tensor:
    x, alone = at.batched(input)
    sizes, lengths = x.shape[2:], _output_sizes(at.name, x.shape[2:], output_size)
    if any(n % m for n, m in zip(sizes, lengths, strict=True)):
        y = resample(x, tuple(map(_means, sizes, lengths)))
    else:
        y = avg_pool(x, tuple(n // m for n, m in zip(sizes, lengths, strict=True)))
    return y[0] if alone else y


@over(1, _adaptive_avg_pool)
def adaptive_avg_pool1d() -> None:
    """`adaptive_avg_pool2d` with one spatial axis: (N, C, L).

    >>> F.adaptive_avg_pool1d(tg.tensor([[[1.0, 2.0, 3.0]]]), 2).tolist()
    [[[1.5, 2.5]]]
    """


@over(2, _adaptive_avg_pool)
def adaptive_avg_pool2d() -> None:
    """The mean of every bin: bin i of L holds the positions ⌊i·S/L⌋ … ⌈(i+1)·S/L⌉−1.

    Args:
        input: (N, C, H, W), or (C, H, W) without a batch.
        output_size: a number, or one per axis; None keeps that axis.

    >>> F.adaptive_avg_pool2d(tg.ones((2, 3, 7, 5)), (3, None)).shape
    (2, 3, 3, 5)
    """


def adaptive_max_pool2d(input: ArrayLike, output_size: Sizes, return_indices: bool = False) -> Any:
    """The largest element of every bin of `adaptive_avg_pool2d`; among equal ones the first.

    Args:
        input: (N, C, H, W), or (C, H, W) without a batch.
        output_size: a number, or one per axis; None keeps that axis.
        return_indices: also return the index of each maximum in the flattened H × W.

    >>> F.adaptive_max_pool2d(tg.arange(9.0).reshape(1, 3, 3), 2).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """
    at = Axes("adaptive_max_pool2d", 2)
    x, alone = at.batched(input)
    sizes, lengths = x.shape[2:], _output_sizes(at.name, x.shape[2:], output_size)
    if not return_indices and not any(n % m for n, m in zip(sizes, lengths, strict=True)):
        y = max_pool(x, tuple(n // m for n, m in zip(sizes, lengths, strict=True)))
        return y[0] if alone else y
    rows, columns = map(_elements, sizes, lengths)
    flat = rows[:, None, :, None] * sizes[1] + columns[None, :, None, :]
    flat = flat.reshape(*lengths, rows.shape[1] * columns.shape[1])
    elements = take(reshape(x, (*x.shape[:2], sizes[0] * sizes[1])), flat, 2)
    y = elements.max(axis=-1)
    if not return_indices:
        return y[0] if alone else y
    found = elements.argmax(axis=-1, keepdims=True)
    indices = take_along_axis(asarray(flat)[None, None], found, -1)[..., 0]
    return (y[0], indices[0]) if alone else (y, indices)


def _output_sizes(name: str, sizes: Sequence[int], given: Sizes) -> tuple[int, ...]:
    wanted: Any = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(sizes)
    integers = all(m is None or (hasattr(m, "__index__") and m > 0) for m in wanted)
    if len(wanted) != len(sizes) or not integers:
        raise ValueError(
            f"{name}: output_size must be an integer ≥ 1, or one for each axis ({len(sizes)}); "
            f"got {given!r}"
        )
    if 0 in sizes:
        raise ValueError(f"{name}: an input of spatial size {tuple(sizes)} has nothing to pool")
    return tuple(n if m is None else int(m) for n, m in zip(sizes, wanted, strict=True))


def _bins(size: int, length: int) -> tuple[Any, Any]:
    """(length, 1) each: start and end of every bin."""
    i = np.arange(length)[:, None]
    return i * size // length, -(-(i + 1) * size // length)


@functools.lru_cache(maxsize=64)
def _means(size: int, length: int) -> Weights:
    """The weights of the mean of every bin."""
    starts, ends = _bins(size, length)
    inside = (starts <= np.arange(size)) & (np.arange(size) < ends)
    rows, columns = np.nonzero(inside)
    return Weights(rows, columns, 1 / (ends - starts)[rows, 0], (length, size))


def _elements(size: int, length: int) -> Any:
    """(length, width): the indices of every bin; a shorter bin repeats its last one."""
    starts, ends = _bins(size, length)
    return np.minimum(starts + np.arange((ends - starts).max()), ends - 1)


# ------------------------------------------------------------------------------------ interpolation


MODES = {"nearest": (1, 2, 3), "linear": (1,), "bilinear": (2,), "trilinear": (3,), "area": (1, 2)}


def interpolate(
    input: ArrayLike,
    size: PerAxis | None = None,
    scale_factor: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize the input by interpolation.

    Args:
        input: (N, C, *spatial) with one, two or three spatial axes.
        size: the spatial shape of the result, a number or one per axis.
        scale_factor: factor of the size, instead of `size`, a number or one per axis; the result
            has ⌊S · factor⌋ elements along an axis of S.
        mode: "nearest"; "linear", "bilinear" or "trilinear" (for one, two and three axes);
            "area" (means, as `adaptive_avg_pool2d`).
        align_corners: in the linear modes, True aligns the centres of the corner elements, False
            (None) the outer edges of the image.

    Raises:
        ValueError: not exactly one of size and scale_factor, a mode that does not fit the axes, or
            align_corners in a mode without it.

    >>> F.interpolate(tg.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear").tolist()
    [[[1.0, 1.5, 2.5, 3.0]]]
    """
    x = asarray(input)
    sizes = x.shape[2:]
    if mode not in MODES or len(sizes) not in MODES[mode]:
        fitting = [known for known, axes in MODES.items() if len(sizes) in axes]
        raise ValueError(
            f"interpolate: mode {mode!r} does not fit an input {x.shape}; expected a mode of "
            f"{fitting} for (N, C, *spatial)"
        )
    if align_corners is not None and mode in ("nearest", "area"):
        raise ValueError(f"interpolate: mode {mode!r} has no align_corners")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: expected exactly one of size and scale_factor")
    lengths, steps = _resized(sizes, size, scale_factor)
    if mode == "area":
        return _adaptive_avg_pool(Axes("interpolate", len(sizes)), x, lengths)
    if mode == "nearest":
        return _nearest(x, lengths, steps)
    corners = (bool(align_corners),) * len(sizes)
    return resample(x, tuple(map(_linear, sizes, lengths, steps, corners)))


def _resized(
    sizes: Sequence[int], size: PerAxis | None, scale_factor: Scales | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The shape of the result, and per axis the input's elements per element of the result."""
    given: Any = scale_factor if size is None else size
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(sizes)
    if len(values) != len(sizes):
        raise ValueError(
            f"interpolate: expected one size or factor, or one per axis ({len(sizes)}); got {given}"
        )
    if size is None:
        lengths = tuple(int(n * v) for n, v in zip(sizes, values, strict=True))
        steps = tuple(1.0 / v if v > 0 else 0.0 for v in values)
    else:
        lengths = tuple(int(v) for v in values)
        steps = tuple(n / m if m > 0 else 0.0 for n, m in zip(sizes, lengths, strict=True))
    if 0 in sizes or min(lengths) < 1:
        raise ValueError(
            f"interpolate: expected sizes ≥ 1; the input is {tuple(sizes)}, the result would be "
            f"{lengths}"
        )
    return lengths, steps


def _nearest(x: Tensor, lengths: Sequence[int], steps: Sequence[float]) -> Tensor:
    """For each output position i, the element at ⌊i · step⌋. Computed in float32, as in PyTorch, to
    choose the same elements.
    """
    sizes = x.shape[2:]
    places = [
        np.minimum(np.floor(np.arange(m, dtype=np.float32) * np.float32(step)).astype(int), n - 1)
        for n, m, step in zip(sizes, lengths, steps, strict=True)
    ]
    times = tuple(max(1, m // n) for n, m in zip(sizes, lengths, strict=True))
    repeated = [np.arange(n).repeat(k) for n, k in zip(sizes, times, strict=True)]
    if x.dtype.kind == "f" and all(map(np.array_equal, places, repeated)):
        # faster than indexing, but integers would not stay integers
        return avg_pool_transpose(x, tuple(lengths), times, divisor_override=1)
    for axis, positions in enumerate(places, 2):
        x = take(x, positions, axis)
    return x


@functools.lru_cache(maxsize=64)
def _linear(size: int, length: int, step: float, align_corners: bool) -> Weights | None:
    """The weights of the two neighbours of every position; None: nothing changes. An element with a
    weight of 0 is still read, as in PyTorch: if it is NaN, so is the sum.
    """
    if align_corners:
        places = np.arange(length) * ((size - 1) / max(length - 1, 1))
    else:
        places = np.maximum((np.arange(length) + 0.5) * step - 0.5, 0.0)
    low = np.minimum(places.astype(int), size - 1)
    part = np.where(low < size - 1, places - low, 0.0)
    if size == length and not part.any():
        return None
    rows = np.tile(np.arange(length), 2)
    columns = np.concatenate([low, np.minimum(low + 1, size - 1)])
    return Weights(rows, columns, np.concatenate([1 - part, part]), (length, size))


# ------------------------------------------------------------------------------------ pixel shuffle


def pixel_shuffle(input: ArrayLike, upscale_factor: int) -> Tensor:
    """Rearrange channels into pixels: (…, C·r², H, W) → (…, C, H·r, W·r) (Shi et al. 2016).

    Channel c·r² + i·r + j of the input holds the pixels (h·r + i, w·r + j) of channel c.

    >>> F.pixel_shuffle(tg.arange(4.0).reshape(1, 4, 1, 1), 2).tolist()
    [[[[0.0, 1.0], [2.0, 3.0]]]]
    """
    x, r = asarray(input), upscale_factor
    if not hasattr(r, "__index__") or r < 1 or x.ndim < 3 or x.shape[-3] % (r * r):
        raise ValueError(
            "pixel_shuffle: expected an input (…, C·r², H, W) with an integer factor r ≥ 1; got "
            f"{x.shape} with r={r}"
        )
    *lead, channels, height, width = x.shape
    n = len(lead)
    apart = reshape(x, (*lead, channels // (r * r), r, r, height, width))
    moved = permute_dims(apart, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(moved, (*lead, channels // (r * r), height * r, width * r))


def pixel_unshuffle(input: ArrayLike, downscale_factor: int) -> Tensor:
    """The reverse of `pixel_shuffle`: (…, C, H·r, W·r) → (…, C·r², H, W).

    >>> F.pixel_unshuffle(tg.zeros((2, 3, 8, 8)), 2).shape
    (2, 12, 4, 4)
    """
    x, r = asarray(input), downscale_factor
    fits = hasattr(r, "__index__") and r >= 1 and x.ndim >= 3
    if not fits or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(
            "pixel_unshuffle: expected an input (…, C, H·r, W·r) with an integer factor r ≥ 1; "
            f"got {x.shape} with r={r}"
        )
    *lead, channels, height, width = x.shape
    n = len(lead)
    apart = reshape(x, (*lead, channels, height // r, r, width // r, r))
    moved = permute_dims(apart, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(moved, (*lead, channels * r * r, height // r, width // r))
