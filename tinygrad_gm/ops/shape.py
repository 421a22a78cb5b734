"""Operations that only move elements: a gradient moves back the same way.

Ten primitives are enough: `reshape`, `permute_dims`, `broadcast_to`, `flip`, `roll` and `pad`
for one array, `concat` and `stack` for several, `split` and `unstack` with several results. The
other functions are spelled with these and with indexing. Results may be views that share memory
with the argument.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from itertools import accumulate, pairwise
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..backend import Array, ArrayLike, Namespace, Shape
from ..engine.call import op
from ..engine.op import registry
from ..hints import named
from ..kernels.indices import along

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "pad",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "unstack",
]

Axes = int | Shape


def normalize_axis(name: str, axis: int, ndim: int) -> int:
    """Return `axis` counted from the front; raise an error in the name of `name` otherwise."""
    try:
        axis = operator.index(axis)
    except TypeError:
        text = " ".join(repr(axis).split())
        raise TypeError(f"{name}: expected an integer axis; got {text}") from None
    if not -ndim <= axis < ndim:
        raise IndexError(f"{name}: axis {axis} is out of range for {ndim} dimensions")
    return axis % ndim


# ------------------------------------------------------------------------------- primitives


@op(lambda xp, g, x_shape: xp.reshape(g, x_shape), view=True, local=["same elements"])
def reshape(xp: Namespace, x: ArrayLike, shape: Axes, copy: bool | None = None) -> Any:
    """The same elements, in the same order, in another shape; one size may be −1.

    Args:
        x: any shape.
        shape: the new shape, with the same number of elements.
        copy: True: always copy; False: never; None: only if the strides of x require it.

    Raises:
        ValueError: the number of elements differs, or copy=False and the shape requires a copy.

    >>> tg.reshape(tg.arange(6), (2, -1)).shape
    (2, 3)
    """
    out = x.reshape(shape)
    if copy is None or not out.size:
        return out
    shared = xp.may_share_memory(x, out)
    if not copy and not shared:
        raise ValueError(f"reshape: {x.shape} cannot become {shape} without a copy")
    return out.copy() if copy and shared else out


def _inverse(axes: Sequence[int]) -> Shape:
    count = len(axes)
    order = sorted(range(count), key=lambda position: axes[position] % count)
    return tuple(order)


@op(lambda xp, g, axes: xp.permute_dims(g, _inverse(axes)), view=True, local=["axes back"])
def permute_dims(xp: Namespace, x: ArrayLike, axes: Shape) -> Any:
    """x with its axes in the order `axes`.

    >>> tg.permute_dims(tg.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return x.transpose(tuple(axes))


@op(lambda g: g, view=True, local=["sum of copies"])
def broadcast_to(xp: Namespace, x: ArrayLike, shape: Shape) -> Any:
    """x repeated, without copying, to `shape`; the gradient of the copies is summed.

    >>> tg.broadcast_to(tg.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    return xp.broadcast_to(x, shape)


@op(lambda xp, g, axis: xp.flip(g, axis), view=True, local=["flipped"])
def flip(xp: Namespace, x: ArrayLike, axis: Axes | None = None) -> Any:
    """x with the order of its elements reversed along an axis, several, or all (None).

    >>> tg.flip(tg.tensor([1, 2, 3])).tolist()
    [3, 2, 1]
    """
    return xp.flip(x, axis)


def _negated(shift: Axes) -> Axes:
    return tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift


@op(lambda xp, g, shift, axis: xp.roll(g, _negated(shift), axis), local=["rolled back"])
def roll(xp: Namespace, x: ArrayLike, shift: Axes, axis: Axes | None = None) -> Any:
    """x shifted along an axis by `shift` places; elements beyond one end re-enter at the other.

    >>> tg.roll(tg.arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
    return xp.roll(x, shift, axis)


def pad_widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """A pair per axis of `pad_width`, read as NumPy does: n, (before, after), or pairs."""
    widths = np.asarray(pad_width)
    if widths.dtype.kind not in "iu" or (widths < 0).any():
        raise ValueError(f"pad: expected integer widths ≥ 0; got {pad_width}")
    return tuple(map(tuple, np.broadcast_to(widths, (ndim, 2)).tolist()))


def _sources(widths: Sequence[tuple[int, int]], x_shape: Shape, mode: str) -> list[tuple[int, Any]]:
    """For each padded axis, the index of the element at each place of the result."""
    return [
        (axis, np.pad(np.arange(n), width, mode=mode))  # type: ignore[call-overload]
        for axis, (n, width) in enumerate(zip(x_shape, widths, strict=True))
        if width != (0, 0)
    ]


def _unpad(xp: Namespace, g: Array, x_shape: Shape, pad_width: Any, mode: str) -> Any:
    widths = pad_widths(pad_width, len(x_shape))
    if mode == "constant":
        return g[tuple(slice(b, b + n) for (b, _), n in zip(widths, x_shape, strict=True))]
    for axis, places in _sources(widths, x_shape, mode):
        shape = (*g.shape[:axis], x_shape[axis], *g.shape[axis + 1 :])
        g = xp.scatter(g, along(axis, places), shape)
    return g


PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@op(_unpad, local=["inner part, and copies"])
def pad(
    xp: Namespace,
    x: ArrayLike,
    pad_width: Any,
    mode: Literal["constant", "edge", "reflect", "symmetric", "wrap"] = "constant",
    constant_values: float = 0.0,
) -> Any:
    """x with a margin; elements repeated in the margin get the gradients of their copies too.

    Args:
        pad_width: as in `numpy.pad`: n, (before, after), or a pair for each axis.
        mode: content of the margin: "constant", `constant_values`; "edge", the outermost element
            (PyTorch's "replicate"); "reflect", the mirror image without it; "symmetric", the mirror
            image with it; "wrap", the other end (PyTorch's "circular").
        constant_values: a number.

    >>> tg.pad(tg.ones(2), (1, 2)).tolist()
    [0.0, 1.0, 1.0, 0.0, 0.0]
    >>> tg.pad(tg.tensor([1, 2, 3]), 2, mode="reflect").tolist()
    [3, 2, 1, 2, 3, 2, 1]
    """
    if mode not in PAD_MODES:
        raise ValueError(f"pad: mode is {mode!r}; expected one of {', '.join(PAD_MODES)}")
    widths = pad_widths(pad_width, x.ndim)
    shape = tuple(b + n + a for (b, a), n in zip(widths, x.shape, strict=True))
    inner = tuple(slice(b, b + n) for (b, _), n in zip(widths, x.shape, strict=True))
    if x.dtype.kind != "f" and np.asarray(constant_values, x.dtype) != constant_values:
        raise ValueError(f"pad: constant_values {constant_values} does not fit into {x.dtype}")
    out = xp.empty_like(x, shape=shape)  # keeps a channels-last order, which xp.pad loses
    if mode == "constant":
        out[...] = constant_values
    out[inner] = x
    for axis, places in [] if mode == "constant" else _sources(widths, x.shape, mode):
        before, after = inner[axis].start, inner[axis].stop
        for margin in (slice(0, before), slice(after, None)):
            out[along(axis, margin)] = out[along(axis, before + places[margin])]
    return out


def _concat_back(
    xp: Namespace, g: Array, argnums: Shape, xs_shape: Sequence[Shape], axis: int | None
) -> list[Any]:
    parts: list[Any] = [None] * len(xs_shape)
    sizes = (math.prod(shape) if axis is None else shape[axis] for shape in xs_shape)
    stops = list(accumulate(sizes, initial=0))
    for slot in argnums:
        part = g[along((axis or 0) % len(g.shape), slice(stops[slot], stops[slot + 1]))]
        parts[slot] = xp.reshape(part, xs_shape[slot]) if axis is None else part
    return parts


@op(joint=_concat_back, local=["its part"])
def concat(xp: Namespace, *xs: ArrayLike, axis: int | None = 0) -> Any:
    """Arrays joined end to end along an existing axis, `concat([a, b], axis=1)`; None: flattened.

    >>> tg.concat([tg.zeros(2), tg.ones(1)]).tolist()
    [0.0, 0.0, 1.0]
    """
    return xp.concatenate(xs, axis=axis)


def _stack_back(g: Array, argnums: Shape, xs_shape: Sequence[Shape], axis: int) -> list[Any]:
    axis %= len(g.shape)
    parts: list[Any] = [None] * len(xs_shape)
    for slot in argnums:
        parts[slot] = g[along(axis, slot)]
    return parts


@op(joint=_stack_back, local=["its part"])
def stack(xp: Namespace, *xs: ArrayLike, axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis: `stack([a, b], axis=0)`.

    >>> tg.stack([tg.zeros(3), tg.ones(3)], axis=1).shape
    (3, 2)
    """
    return xp.stack(xs, axis=axis)


def _unstack_back(xp: Any, g: Any, axis: int) -> Any:
    return xp.stack(*g, axis=axis)


@op(_unstack_back, outputs=0, view=True, local=["stacked"])
def unstack(xp: Any, x: ArrayLike, axis: int = 0) -> Any:
    """The slices of x along an axis, without that axis: a tuple.

    >>> [row.tolist() for row in tg.unstack(tg.tensor([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    axis = normalize_axis("unstack", axis, x.ndim)
    return tuple(x[along(axis, i)] for i in range(x.shape[axis]))


def _cuts(size: int, indices_or_sections: int | Sequence[int], axis: int) -> list[int]:
    """The boundaries of the parts of a split."""
    if not isinstance(indices_or_sections, (int, Integral)):
        return [0, *indices_or_sections, size]
    parts = int(indices_or_sections)
    if parts < 1 or size % parts:
        raise ValueError(
            f"split: {size} elements along axis {axis} do not divide into {parts} equal parts"
        )
    return [size // parts * i for i in range(parts + 1)]


def _split_back(xp: Any, g: Any, x_shape: Any, indices_or_sections: Any, axis: int) -> Any:
    axis %= len(x_shape)
    cuts = _cuts(x_shape[axis], indices_or_sections, axis)
    if cuts == sorted(cuts):
        return xp.concat(*g, axis=axis)
    parts = zip(g, pairwise(cuts), strict=True)  # which may overlap
    return functools.reduce(
        operator.add,
        (xp.scatter(part, along(axis, slice(a, b)), x_shape) for part, (a, b) in parts),
    )


@op(_split_back, outputs=0, view=True, local=["joined"])
def split(xp: Any, x: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> Any:
    """x cut along an axis: into n equal parts, or before each of the given indices; a tuple.

    >>> [part.shape for part in tg.split(tg.zeros(5), [2, 3])]
    [(2,), (1,), (2,)]
    """
    axis = normalize_axis("split", axis, x.ndim)
    cuts = _cuts(x.shape[axis], indices_or_sections, axis)
    return tuple(x[along(axis, slice(start, stop))] for start, stop in pairwise(cuts))


# ---------------------------------------------------------------- spelled with the primitives


def matrix_transpose(x: ArrayLike) -> Tensor:
    """x with its last two axes interchanged.

    >>> tg.matrix_transpose(tg.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    if np.ndim(x) < 2:
        raise ValueError(f"matrix_transpose: expected 2 dimensions or more; got {np.ndim(x)}")
    return swapaxes(x, -1, -2)


@named
def swapaxes(x: ArrayLike, axis1: int, axis2: int) -> Tensor:
    """x with two axes interchanged.

    >>> tg.swapaxes(tg.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    ndim = np.ndim(x)
    first = normalize_axis("swapaxes", axis1, ndim)
    second = normalize_axis("swapaxes", axis2, ndim)
    axes = list(range(ndim))
    axes[first], axes[second] = second, first
    return permute_dims(x, tuple(axes))


@named
def moveaxis(x: ArrayLike, source: Axes, destination: Axes) -> Tensor:
    """x with the axes `source` moved to the positions `destination`; the others keep their order.

    >>> tg.moveaxis(tg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    ndim = np.ndim(x)
    sources = [normalize_axis("moveaxis", a, ndim) for a in np.atleast_1d(source)]
    targets = [normalize_axis("moveaxis", a, ndim) for a in np.atleast_1d(destination)]
    if len(sources) != len(targets):
        raise ValueError(f"moveaxis: {len(sources)} sources but {len(targets)} destinations")
    if len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
        raise ValueError(f"moveaxis: {source} or {destination} repeats an axis")
    axes = [axis for axis in range(ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, axis)
    return permute_dims(x, tuple(axes))


@named
def broadcast_arrays(*xs: ArrayLike) -> tuple[Tensor, ...]:
    """The arrays, broadcast to their common shape.

    >>> [x.shape for x in tg.broadcast_arrays(tg.zeros((2, 1)), tg.zeros(3))]
    [(2, 3), (2, 3)]
    """
    try:
        shape = np.broadcast_shapes(*map(np.shape, xs))
    except ValueError:
        raise ValueError(
            f"broadcast_arrays: {', '.join(str(np.shape(x)) for x in xs)} do not broadcast"
        ) from None
    return tuple(broadcast_to(x, shape) for x in xs)


@named
def expand_dims(x: ArrayLike, axis: Axes) -> Tensor:
    """x with a new axis of size 1 at the position `axis` of the result.

    >>> tg.expand_dims(tg.zeros(3), -1).shape
    (3, 1)
    """
    new = axis if isinstance(axis, tuple) else (axis,)
    ndim = np.ndim(x) + len(new)
    places = {normalize_axis("expand_dims", a, ndim) for a in new}
    if len(places) < len(new):
        raise ValueError(f"expand_dims: {axis} repeats an axis")
    old = iter(np.shape(x))
    return reshape(x, tuple(1 if i in places else next(old) for i in range(ndim)))


@named
def squeeze(x: ArrayLike, axis: Axes | None = None) -> Tensor:
    """x without an axis of size 1, without several, or without all of them (None).

    >>> tg.squeeze(tg.zeros((1, 3, 1)), 0).shape
    (3, 1)
    """
    shape = np.shape(x)
    if axis is None:
        return reshape(x, tuple(n for n in shape if n != 1))
    given = axis if isinstance(axis, tuple) else (axis,)
    gone = {normalize_axis("squeeze", a, len(shape)) for a in given}
    for a in gone:
        if shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has size {shape[a]}, not 1")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in gone))


@named
def flatten(x: ArrayLike, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """x with the axes from `start_axis` to `end_axis` (inclusive) made into one.

    >>> tg.flatten(tg.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = np.shape(x) or (1,)
    start = normalize_axis("flatten", start_axis, len(shape))
    end = normalize_axis("flatten", end_axis, len(shape))
    if end < start:
        raise ValueError(f"flatten: end_axis {end_axis} is before start_axis {start_axis}")
    size = math.prod(shape[start : end + 1])
    return reshape(x, (*shape[:start], size, *shape[end + 1 :]))


@named
def repeat(x: ArrayLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each element (or slice along `axis`) repeated; axis None works on the flattened array.

    >>> tg.repeat(tg.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    if axis is None:
        return repeat(flatten(x), repeats, 0)
    axis = normalize_axis("repeat", axis, np.ndim(x))
    try:
        order = np.repeat(np.arange(np.shape(x)[axis]), repeats)
    except ValueError as error:
        raise ValueError(
            f"repeat: expected one number ≥ 0, or one for each of the {np.shape(x)[axis]} slices "
            f"along axis {axis}; got {repeats}"
        ) from error
    return _part(x, along(axis, order))


@named
def tile(x: ArrayLike, reps: Axes) -> Tensor:
    """x repeated `reps` times along each axis, as `numpy.tile`.

    >>> tg.tile(tg.tensor([1, 2]), 2).tolist()
    [1, 2, 1, 2]
    """
    times = tuple(np.atleast_1d(reps).tolist())
    shape = np.shape(x)
    ndim = max(len(times), len(shape))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - len(shape)) + tuple(shape)
    pairs = [n for t, s in zip(times, shape, strict=True) for n in (t, s)]
    apart = reshape(x, tuple(n for s in shape for n in (1, s)))
    return reshape(broadcast_to(apart, tuple(pairs)), tuple(np.multiply(times, shape).tolist()))


def _part(x: ArrayLike, index: Any) -> Tensor:
    part: Tensor = registry["getitem"].primitive(x, index)  # indexing imports this file
    return part
