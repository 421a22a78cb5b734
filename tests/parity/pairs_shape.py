"""Functions that move elements, indexing, gathering and scattering."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from differing import as_torch
from drawing import Draw, Shape

import tinygrad_gm as tg


def array(d: Draw, ndim: tuple[int, int] = (1, 4), empty: float = 0.08) -> Any:
    """An array of floating numbers, now and then of integers."""
    shape = d.shape(ndim, empty=empty)
    return d.integers(shape, -9, 9) if d.chance(0.1) else d.floats(shape)


def reshaped(d: Draw) -> Config:
    x = array(d, (0, 4))
    sizes = list(d.rng.permutation(x.shape)) + [1] * d.integer(0, 2)
    if len(sizes) > 1 and d.chance(0.5):
        sizes[:2] = [sizes[0] * sizes[1]]
    shape = tuple(int(n) for n in sizes)
    if shape and x.size and d.chance(0.4):
        shape = (*shape[:-1], -1)
    return config(x, shape=shape)


def permuted(d: Draw) -> Config:
    x = array(d, (0, 5))
    return config(x, axes=d.axes_tuple(x.ndim, x.ndim))


def one_axis(d: Draw) -> Config:
    x = array(d)
    return config(x, axis=d.axis(x.ndim))


def two_axes(d: Draw) -> Config:
    x = array(d)
    return config(x, axis1=d.axis(x.ndim), axis2=d.axis(x.ndim))


def moved(d: Draw) -> Config:
    x = array(d)
    count = d.integer(1, x.ndim)
    return config(x, source=d.axes_tuple(x.ndim, count), destination=d.axes_tuple(x.ndim, count))


def expanded(d: Draw) -> Config:
    x = array(d, (0, 4))
    return config(x, axis=d.axis(x.ndim + 1))


def squeezed(d: Draw) -> Config:
    x = d.floats(tuple(1 if d.chance(0.5) else n for n in d.shape()))
    ones = [a for a, n in enumerate(x.shape) if n == 1]
    if not ones or d.chance(0.3):
        return config(x, axis=None)
    axes = [a - x.ndim if d.chance(0.5) else a for a in ones]
    return config(x, axis=tuple(axes) if d.chance(0.5) else d.one_of(axes))


def broadcasted(d: Draw) -> Config:
    x = array(d)
    ahead = d.shape((0, 2))
    shape = tuple(d.integer(0, 3) if n == 1 else n for n in x.shape)
    return config(x, shape=(*ahead, *shape))


def several_along(d: Draw) -> Config:
    shape = list(d.shape((1, 4)))
    axis = d.axis(len(shape))
    arrays = []
    for _ in range(d.integer(1, 4)):
        shape[axis] = d.integer(0, 3)
        arrays.append(d.floats(tuple(shape)))
    return config(*arrays, axis=axis)


def several_alike(d: Draw) -> Config:
    shape = d.shape((0, 3))
    return config(*(d.floats(shape) for _ in range(d.integer(1, 4))), axis=d.axis(len(shape) + 1))


def parts(d: Draw) -> Config:
    x = array(d)
    axis = d.axis(x.ndim)
    size = x.shape[axis]
    equal = [n for n in range(1, size + 1) if size % n == 0] or [1]
    cuts = sorted(d.integer(0, size) for _ in range(d.integer(0, 3)))
    return config(x, where=d.one_of(equal) if d.chance(0.5) else cuts, axis=axis)


def flipped(d: Draw) -> Config:
    x = array(d, (0, 4))
    return config(x, axis=d.axes(x.ndim))


def rolled(d: Draw) -> Config:
    x = array(d)
    kind = d.integer(0, 2)
    if kind == 0:
        return config(x, shift=d.integer(-5, 5), axis=None)
    if kind == 1:
        return config(x, shift=d.integer(-5, 5), axis=d.axis(x.ndim))
    axes = d.axes_tuple(x.ndim, d.integer(1, x.ndim))
    return config(x, shift=tuple(d.integer(-5, 5) for _ in axes), axis=axes)


def repeated(d: Draw) -> Config:
    x = array(d)
    axis = d.axis(x.ndim)
    if d.chance(0.3):
        return config(x, repeats=d.integer(0, 3), axis=None)
    if d.chance(0.5):
        return config(x, repeats=d.integer(0, 3), axis=axis)
    return config(x, repeats=tuple(d.integer(0, 3) for _ in range(x.shape[axis])), axis=axis)


def tiled(d: Draw) -> Config:
    return config(array(d, (0, 3)), reps=tuple(d.integer(0, 3) for _ in range(d.integer(1, 4))))


def padded(d: Draw) -> Config:
    x = array(d)
    widths = [(d.integer(0, 2), d.integer(0, 2)) for _ in x.shape]
    return config(x, pad_width=widths, constant_values=d.one_of([0, 0.0, 1, -2]))


def mirrored(d: Draw) -> Config:
    """Draws a margin of copies, of the last axes of three to five (PyTorch's limits)."""
    x = d.floats(d.shape((3, 5), (2, 4), empty=0.0))
    widths = [(0, 0)] * 2 + [(d.integer(0, n - 1), d.integer(0, n - 1)) for n in x.shape[2:]]
    return config(x, pad_width=widths, mode=d.one_of(["edge", "reflect", "wrap"]))


def joined(d: Draw) -> Config:
    x = array(d)
    start, end = sorted((d.integer(0, x.ndim - 1), d.integer(0, x.ndim - 1)))
    return config(
        x,
        start_axis=start - x.ndim if d.chance(0.5) else start,
        end_axis=end - x.ndim if d.chance(0.5) else end,
    )


def indices(d: Draw, shape: Shape, size: int) -> Any:
    """Integers that count from the front of an axis of `size` or from its end; some twice."""
    return d.integers(shape, -size, size - 1)


def taken(d: Draw) -> Config:
    x = array(d, empty=0.0)
    axis = d.axis(x.ndim)
    return config(x, indices=indices(d, (d.integer(0, 6),), x.shape[axis]), axis=axis)


def gathered(d: Draw) -> Config:
    x = array(d, empty=0.0)
    axis = d.axis(x.ndim)
    shape = list(x.shape)
    shape[axis] = d.integer(0, 5)
    places = d.integers(tuple(shape), 0, x.shape[axis] - 1)
    return config(x, indices=places, axis=axis)


def scattered_along(d: Draw) -> Config:
    shape = d.shape((1, 4), empty=0.0)
    axis = d.axis(len(shape))
    given = list(shape)
    given[axis] = d.integer(0, 5)
    places = d.integers(tuple(given), 0, shape[axis] - 1)
    return config(d.floats(tuple(given)), indices=places, axis=axis, shape=shape)


def basic_entry(d: Draw, size: int) -> Any:
    """An integer or a slice (PyTorch's have no negative steps)."""
    if size and d.chance(0.4):
        return d.integer(-size, size - 1)
    ends = [None, *range(-size, size + 1)]
    return slice(d.one_of(ends), d.one_of(ends), d.one_of([None, 1, 2, 3]))


def basic_index(d: Draw, shape: Shape) -> tuple[Any, ...]:
    count = d.integer(0, len(shape))
    front = d.integer(0, count) if d.chance(0.3) else count
    sizes = (*shape[:front], *shape[len(shape) - count + front :])
    entries = [basic_entry(d, n) for n in sizes]
    if front < count or d.chance(0.2):
        entries.insert(front, Ellipsis)
    if d.chance(0.3):
        entries.insert(d.integer(0, len(entries)), None)
    return tuple(entries)


def advanced_index(d: Draw, shape: Shape) -> tuple[Any, ...]:
    """Integer arrays that broadcast with each other, beside slices."""
    common = d.shape((1, 2), (1, 3), empty=0.05)
    entries: list[Any] = [slice(None) for _ in shape]
    for axis in d.axes_tuple(len(shape), d.integer(1, len(shape))):
        kept = tuple(1 if d.chance(0.2) else n for n in common)
        entries[axis] = indices(d, kept, shape[axis])
    return tuple(entries)


def mask_index(d: Draw, shape: Shape) -> tuple[Any, ...]:
    return (d.booleans(shape[: d.integer(1, len(shape))]),)


def indexed(kind: Any) -> Any:
    def draw(d: Draw) -> Config:
        x = array(d, empty=0.0)
        return config(x, index=kind(d, x.shape))

    return draw


def scattered(d: Draw) -> Config:
    shape = d.shape((1, 4), empty=0.0)
    index = d.one_of([basic_index, advanced_index, mask_index])(d, shape)
    return config(d.floats(np.empty(shape)[index].shape), index=index, shape=shape)


def of_torch(index: Any) -> Any:
    """An index with PyTorch's tensors in the place of arrays."""
    if isinstance(index, tuple):
        return tuple(of_torch(entry) for entry in index)
    return as_torch(index)


def torch_roll(x: Any, shift: Any, axis: Any) -> Any:
    return torch.roll(x, shift, axis) if axis is not None else torch.roll(x, shift)


def torch_repeat(x: Any, repeats: Any, axis: Any) -> Any:
    repeats = torch.tensor(repeats, dtype=torch.int64) if isinstance(repeats, tuple) else repeats
    return torch.repeat_interleave(x, repeats, dim=axis)


def torch_pad(x: Any, pad_width: Any, constant_values: float) -> Any:
    widths = [n for pair in reversed(pad_width) for n in pair]
    return torch_functional.pad(x, widths, value=constant_values)


def torch_margin(x: Any, pad_width: Any, mode: str) -> Any:
    names = {"edge": "replicate", "reflect": "reflect", "wrap": "circular"}
    widths = [n for pair in reversed(pad_width[2:]) for n in pair]
    return torch_functional.pad(x, widths, names[mode])


def torch_split(x: Any, where: Any, axis: int) -> Any:
    return torch.tensor_split(x, where, dim=axis)


def torch_scatter(values: Any, index: Any, shape: Shape) -> Any:
    """Each element's gradient path written out: sums of one element's mentions."""
    places = torch.arange(int(np.prod(shape))).reshape(shape)[of_torch(index)].reshape(-1)
    flat = torch.zeros(int(np.prod(shape)), dtype=values.dtype)
    return flat.index_add(0, places, values.reshape(-1)).reshape(shape)


def torch_scatter_along(values: Any, indices: Any, axis: int, shape: Shape) -> Any:
    zeros = torch.zeros(shape, dtype=values.dtype)
    return zeros.scatter_add(axis, as_torch(indices), values)


def torch_squeeze(x: Any, axis: Any) -> Any:
    return x.squeeze() if axis is None else x.squeeze(axis)


PAIRS = [
    Pair(
        "broadcast_arrays",
        tg.broadcast_arrays,
        lambda *xs: torch.broadcast_tensors(*xs),
        lambda d: config(*(d.floats(shape) for shape in d.broadcast(3))),
    ),
    Pair("reshape", tg.reshape, lambda x, shape: x.reshape(shape), reshaped),
    Pair("permute_dims", tg.permute_dims, lambda x, axes: x.permute(axes), permuted),
    Pair(
        "matrix_transpose", tg.matrix_transpose, lambda x: x.mT, lambda d: config(array(d, (2, 4)))
    ),
    Pair("swapaxes", tg.swapaxes, lambda x, axis1, axis2: x.transpose(axis1, axis2), two_axes),
    Pair("moveaxis", tg.moveaxis, torch.moveaxis, moved),
    Pair("expand_dims", tg.expand_dims, lambda x, axis: x.unsqueeze(axis), expanded),
    Pair("squeeze", tg.squeeze, torch_squeeze, squeezed),
    Pair("broadcast_to", tg.broadcast_to, lambda x, shape: x.broadcast_to(shape), broadcasted),
    Pair(
        "concat",
        lambda *xs, axis: tg.concat(xs, axis=axis),
        lambda *xs, axis: torch.cat(xs, axis),
        several_along,
    ),
    Pair(
        "stack",
        lambda *xs, axis: tg.stack(xs, axis=axis),
        lambda *xs, axis: torch.stack(xs, axis),
        several_alike,
    ),
    Pair("unstack", tg.unstack, lambda x, axis: torch.unbind(x, axis), one_axis),
    Pair("split", lambda x, where, axis: tg.split(x, where, axis), torch_split, parts),
    Pair(
        "flip",
        tg.flip,
        lambda x, axis: x.flip(tuple(range(x.ndim)) if axis is None else axis),
        flipped,
    ),
    Pair("roll", tg.roll, torch_roll, rolled),
    Pair("repeat", tg.repeat, torch_repeat, repeated),
    Pair("tile", tg.tile, lambda x, reps: x.tile(reps), tiled),
    Pair("pad", tg.pad, torch_pad, padded),
    Pair("pad (with copies)", tg.pad, torch_margin, mirrored),
    Pair(
        "flatten",
        tg.flatten,
        lambda x, start_axis, end_axis: x.flatten(start_axis, end_axis),
        joined,
    ),
    Pair(
        "take",
        tg.take,
        lambda x, indices, axis: x.index_select(axis, as_torch(indices % x.shape[axis])),
        taken,
    ),
    Pair(
        "take_along_axis",
        tg.take_along_axis,
        lambda x, indices, axis: x.gather(axis, as_torch(indices)),
        gathered,
    ),
    Pair("scatter_along_axis", tg.ops.scatter_along_axis, torch_scatter_along, scattered_along),
    *(
        Pair(
            f"getitem ({kind.__name__.replace('_', ' ')})",
            lambda x, index: x[index],
            lambda x, index: x[of_torch(index)],
            indexed(kind),
        )
        for kind in (basic_index, advanced_index, mask_index)
    ),
    Pair("scatter", tg.ops.scatter, torch_scatter, scattered),
]
