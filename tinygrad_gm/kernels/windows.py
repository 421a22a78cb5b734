"""Windows that slide over the spatial axes: the arithmetic that convolution and pooling share.

A window holds `kernel` elements per axis, `dilation` apart, and moves by `stride`. Arrays are
(N, C, *spatial) with any number of spatial axes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from ..backend import Array, Namespace

PerAxis = int | Sequence[int]
Padding = int | Sequence[Any]  # a number, one per axis, or a pair (before, after) per axis
Pairs = tuple[tuple[int, int], ...]
Geometry = tuple[Sequence[int], Pairs, Sequence[int]]  # stride, padding, dilation per axis


def per_axis(name: str, argument: str, value: PerAxis, ndim: int, least: int = 1) -> Any:
    """One integer ≥ `least` per spatial axis; a single number applies to all."""
    values: Any = tuple(value) if isinstance(value, (tuple, list)) else (value,) * ndim
    if {*map(type, values)} == {int} and len(values) == ndim and min(values) >= least:
        return values  # the usual case, in a quarter of the time
    integers = all(hasattr(v, "__index__") for v in values)
    if len(values) != ndim or not integers or any(v < least for v in values):
        raise ValueError(
            f"{name}: {argument} must be an integer ≥ {least}, or one for each axis ({ndim}); "
            f"got {value!r}"
        )
    return tuple(map(int, values))


def pad_pairs(name: str, padding: Padding, ndim: int) -> Pairs:
    """A pair (before, after) per spatial axis."""
    if type(padding) is int and padding >= 0:
        return ((padding, padding),) * ndim
    values = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * ndim
    try:
        if len(values) == ndim:
            return tuple(per_axis(name, "padding", value, 2, least=0) for value in values)
    except ValueError:
        pass
    raise ValueError(
        f"{name}: padding must be an integer ≥ 0, or one for each axis ({ndim}); got {padding!r}"
    )


def window_count(size: int, kernel: int, stride: int, dilation: int) -> int:
    """The number of windows in `size` (padded) elements; 0 or less if none fits."""
    return (size - dilation * (kernel - 1) - 1) // stride + 1


def framed(xp: Namespace, x: Array, pads: Pairs, value: Array = 0) -> Any:
    """x with `value` around its last axes, in x's memory order; a negative width cuts off."""
    keep = tuple(
        slice(max(0, -before), max(0, n - max(0, -after)))
        for n, (before, after) in zip(x.shape[-len(pads) :], pads, strict=True)
    )
    x = x[last_axes(*keep)]
    wider = [(max(0, before), max(0, after)) for before, after in pads]
    if not any(map(any, wider)):
        return x
    inner = x.shape[-len(pads) :]
    shape = tuple(b + n + a for n, (b, a) in zip(inner, wider, strict=True))
    out = xp.empty_like(x, shape=(*x.shape[: -len(pads)], *shape))
    for axis, (n, (before, _)) in enumerate(zip(inner, wider, strict=True)):
        rest = (slice(None),) * (len(pads) - 1 - axis)
        out[last_axes(slice(0, before), *rest)] = value
        out[last_axes(slice(before + n, None), *rest)] = value
    out[last_axes(*(slice(b, b + n) for n, (b, _) in zip(inner, wider, strict=True)))] = x
    return out


def channels_last(x: Array) -> Any:
    """(N, C, *spatial) as a view (N, *spatial, C)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: Array) -> Any:
    """(N, *spatial, C) as a view (N, C, *spatial)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def last_axes(*entries: Any) -> tuple[Any, ...]:
    """The index that reads `entries` along the last axes, and everything along those before."""
    return (..., *entries)


def window_elements(
    kernel: Sequence[int], shape: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """For each place in the window, in order: (place, the index that reads it in every window).

    `shape` counts the windows per axis; the index is for the last axes of a framed array.
    """
    for place in itertools.product(*map(range, kernel)):
        steps = zip(place, shape, stride, dilation, strict=True)
        reads = (slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in steps)
        yield place, last_axes(*reads)
