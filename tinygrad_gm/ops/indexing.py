"""Indexing and its adjoint: reading elements, and adding to elements.

`getitem` and `scatter` are each other's gradient, and so are `take_along_axis` and
`scatter_along_axis`. An element that is read twice gets the sum of both gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Array, ArrayLike, Namespace, Shape
from ..engine.call import op
from ..engine.record import Traced
from ..hints import named
from ..kernels import scattering as kernels
from ..kernels.indices import along, grid
from .elementwise import add
from .shape import flatten, normalize_axis

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["one_hot", "scatter_add", "take", "take_along_axis"]


PLAIN = {int, slice, type(None), type(Ellipsis)}


def plain_index(index: Any) -> Any:
    """`index` with Tensors and lists converted to arrays."""
    if isinstance(index, tuple):
        return tuple([e if type(e) in PLAIN else plain_index(e) for e in index])
    if isinstance(index, Traced):
        if index.dtype.kind == "f":
            raise IndexError(f"getitem: expected integer or boolean indices; got {index.dtype}")
        return index._data
    return np.asarray(index, dtype=None if index else int) if isinstance(index, list) else index


def check_index(x: Array, index: Any) -> None:
    """Raise IndexError if an array of integers points outside of x.

    NumPy checks this itself; CuPy wraps such indices around.
    """
    if type(x) is np.ndarray:
        return
    entries = index if isinstance(index, tuple) else (index,)
    unread, axis = x.ndim - sum(map(_axes_read, entries)), 0
    for entry in entries if unread >= 0 else ():
        if hasattr(entry, "dtype") and entry.dtype.kind in "iu" and entry.size:
            low, high, size = int(entry.min()), int(entry.max()), x.shape[axis]
            if not -size <= low <= high < size:
                outside = low if low < -size else high
                raise IndexError(
                    f"index {outside} is out of bounds for axis {axis} with size {size}"
                )
        axis += unread if entry is Ellipsis else _axes_read(entry)


def _axes_read(entry: Any) -> int:
    """The number of axes that an entry of an index reads."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool):
        return 0
    masks = hasattr(entry, "dtype") and entry.dtype.kind == "b"
    return int(entry.ndim) if masks else 1


@op(
    lambda xp, g, index, x_shape: xp.scatter(g, index, x_shape),
    symbol="[ ]",
    view=True,
    local=["1 where read"],
)
def getitem(xp: Namespace, x: ArrayLike, index: Any) -> Any:
    """x[index] with NumPy's indexing: integers, slices, `None`, `...`, integer arrays, masks.

    >>> tg.ops.getitem(tg.tensor([[1, 2], [3, 4]]), (slice(None), 1)).tolist()
    [2, 4]
    """
    check_index(x, index)
    return x[index]


@op(lambda g, index: g[index], local=["1 where written"])
def scatter(xp: Namespace, values: ArrayLike, index: Any, shape: Shape) -> Any:
    """Zeros of `shape` with `values` added at `index`; repeated indices add up.

    >>> tg.ops.scatter(tg.tensor([1.0, 2.0, 3.0]), [0, 2, 0], (3,)).tolist()
    [4.0, 0.0, 2.0]
    """
    index = plain_index(index)
    arrays = type(index) is type(values) is np.ndarray
    if arrays and index.ndim and 0 < shape[0] <= kernels.FEW:
        sums = kernels.sums_by_product(values, index, shape)
        if sums is not None:
            return sums
    out = xp.zeros_like(values, shape=shape)  # in the memory order of the values
    check_index(out, index)
    entries = index if isinstance(index, tuple) else (index,)
    lists = [e for e in entries if getattr(e, "ndim", 0) and e.dtype.kind in "iu"]
    if not lists:  # slices, numbers and masks repeat no element
        out[index] = values
    elif len(lists) == 1 and all(e is lists[0] or _is_all(e) for e in entries):
        axis = [e is lists[0] for e in entries].index(True)
        kernels.add_slices(xp, out, axis, lists[0], values)
    else:
        return kernels.added_at(xp, out, index, values)
    return out


def _is_all(entry: Any) -> bool:
    return isinstance(entry, slice) and entry == slice(None)


@op(
    lambda xp, g, indices, axis, x_shape: xp.scatter_along_axis(g, indices, axis, x_shape),
    local=["1 where read"],
)
def take_along_axis(xp: Namespace, x: ArrayLike, indices: Array, axis: int = -1) -> Any:
    """Along `axis`, the elements of x at `indices` (an integer array of as many dimensions).

    >>> x = tg.tensor([[3.0, 1.0], [2.0, 4.0]])
    >>> tg.take_along_axis(x, x.argmax(axis=1, keepdims=True), axis=1).tolist()
    [[3.0], [4.0]]
    """
    axis = normalize_axis("take_along_axis", axis, x.ndim)
    indices = xp.asarray(_integers("take_along_axis", indices))
    check_index(x, along(axis, indices))
    return xp.take_along_axis(x, indices, axis)


@op(lambda xp, g, indices, axis: xp.take_along_axis(g, indices, axis), local=["1 where written"])
def scatter_along_axis(
    xp: Namespace, values: ArrayLike, indices: Array, axis: int, shape: Shape
) -> Any:
    """Zeros of `shape` to which `values` are added at `indices` along `axis`.

    >>> tg.ops.scatter_along_axis(tg.ones((1, 2)), [[2, 2]], 1, (1, 3)).tolist()
    [[0.0, 0.0, 2.0]]
    """
    axis = normalize_axis("scatter_along_axis", axis, len(shape))
    indices = xp.asarray(_integers("scatter_along_axis", indices))
    out = xp.zeros_like(values, shape=shape)
    check_index(out, along(axis, indices))
    places = grid(xp, shape)
    places[axis] = indices
    one_each = indices.shape == (*shape[:axis], 1, *shape[axis + 1 :])
    if one_each:  # as for the maximum along an axis: no element is repeated
        out[tuple(places)] = values
    else:
        return kernels.added_at(xp, out, tuple(places), values)
    return out


def _integers(name: str, indices: Array) -> Any:
    array = indices._data if isinstance(indices, Traced) else indices
    array = array if hasattr(array, "dtype") else np.asarray(array, dtype=None if array else int)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integer indices; got {array.dtype}")
    return array


@named
def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` along `axis`; None takes from the flattened array.

    >>> tg.take(tg.tensor([5.0, 6.0, 7.0]), [2, 0]).tolist()
    [7.0, 5.0]
    """
    if axis is None:
        return take(flatten(x), indices, 0)
    axis = normalize_axis("take", axis, np.ndim(x))
    return getitem(x, along(axis, _integers("take", indices)))


@named
def scatter_add(x: ArrayLike, indices: ArrayLike, values: ArrayLike, axis: int = -1) -> Tensor:
    """x with `values` added at `indices` along `axis`; repeated indices add up.

    The adjoint of `take_along_axis`: `indices` has as many dimensions as x, and along the other
    axes its size or 1; `values` has the shape that `take_along_axis` would return.

    >>> tg.scatter_add(tg.zeros(3), [0, 2, 0], tg.tensor([1.0, 2.0, 3.0])).tolist()
    [4.0, 0.0, 2.0]
    """
    shape, given, added = np.shape(x), np.shape(indices), np.shape(values)
    axis = normalize_axis("scatter_add", axis, len(shape))
    wanted = (*shape[:axis], given[axis] if len(given) == len(shape) else 0, *shape[axis + 1 :])
    fits = len(given) == len(shape) and all(n in (1, m) for n, m in zip(given, wanted, strict=True))
    if not fits or added != wanted:
        raise ValueError(
            f"scatter_add: along axis {axis} of x {shape}, indices {given} and values {added} do "
            "not match"
        )
    return add(x, scatter_along_axis(values, _integers("scatter_add", indices), axis, shape))


@op(None)
def one_hot(
    xp: Namespace, indices: ArrayLike, num_classes: int | None = None, dtype: Any = np.int64
) -> Any:
    """One row of `num_classes` numbers per index: 1 at the index, 0 elsewhere.

    Args:
        indices: integers 0 … num_classes − 1, of any shape; the classes are a new last axis.
        num_classes: None: the largest index + 1.
        dtype: dtype of the result.

    >>> tg.one_hot(tg.tensor([0, 2]), 3).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    indices = _integers("one_hot", indices)
    classes = (
        (int(indices.max()) + 1 if indices.size else 0) if num_classes is None else num_classes
    )
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < classes:
        raise IndexError(
            f"one_hot: expected indices in [0, {classes}); got [{indices.min()}, {indices.max()}]"
        )
    return (indices[..., None] == xp.arange(classes)).astype(dtype)
