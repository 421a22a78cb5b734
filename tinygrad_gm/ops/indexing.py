"""Indexing and its adjoint: what reads elements in one direction adds them up in the other.

`getitem` and `scatter` are each other's gradient, and so are `take_along_axis` and
`scatter_along_axis`. An element that is read twice gets the sum of both gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import ArrayLike
from ..operation import op
from ..record import Traced
from .shape import normalize_axis

if TYPE_CHECKING:
    from ..tensor import Tensor


def plain_index(index: Any) -> Any:
    """`index` with arrays in the place of Tensors and lists."""
    if isinstance(index, tuple):
        return tuple(plain_index(entry) for entry in index)
    if isinstance(index, Traced):
        if index.dtype.kind == "f":
            raise IndexError("getitem: an index is integer or boolean, not floating")
        return index._data
    return np.asarray(index, dtype=None if index else int) if isinstance(index, list) else index


def _is_basic(index: Any) -> bool:
    entries = index if isinstance(index, tuple) else (index,)
    plain = (int, np.integer, slice, type(None), type(Ellipsis))
    return all(isinstance(e, plain) and not isinstance(e, bool) for e in entries)


@op(
    lambda xp, g, index, x_shape: xp.scatter(g, index, x_shape),
    symbol="[ ]",
    view=True,
    local=["1 where read"],
)
def getitem(xp: Any, x: ArrayLike, index: Any) -> Any:
    """x[index] with NumPy's indexing: integers, slices, `None`, `...`, integer arrays, masks."""
    return x[index]


@op(lambda g, index: g[index], local=["1 where written"])
def scatter(xp: Any, values: ArrayLike, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` to which `values` are added at `index`, once per mention of an element."""
    out = xp.zeros(shape, dtype=values.dtype)
    if _is_basic(index) or getattr(index, "dtype", None) == bool:
        out[index] = values
    elif hasattr(index, "dtype") and index.ndim > 0 and index.size > 0:
        _add_rows(xp, out, index.reshape(-1) % shape[0], values)
    else:
        xp.add.at(out, index, values)
    return out


def _add_rows(xp: Any, out: Any, rows: Any, values: Any) -> None:
    """out[rows[k]] += values[k]: sorting first is ten times faster than `add.at`."""
    values = values.reshape(rows.size, *out.shape[1:])
    order = xp.argsort(rows, kind="stable")
    rows = rows[order]
    first = xp.concatenate([xp.ones(1, bool), rows[1:] != rows[:-1]])
    starts = xp.flatnonzero(first)
    out[rows[starts]] = xp.add.reduceat(values[order], starts, axis=0)


@op(
    lambda xp, g, indices, axis, x_shape: xp.scatter_along_axis(g, indices, axis, x_shape),
    local=["1 where read"],
)
def take_along_axis(xp: Any, x: ArrayLike, indices: Any, axis: int = -1) -> Any:
    """Along `axis`, the elements of x at `indices` (an integer array of as many dimensions).

    >>> x = tg.tensor([[3.0, 1.0], [2.0, 4.0]])
    >>> tg.take_along_axis(x, x.argmax(axis=1, keepdims=True), axis=1).tolist()
    [[3.0], [4.0]]
    """
    return xp.take_along_axis(x, _integers("take_along_axis", indices), axis)


@op(
    lambda xp, g, indices, axis: xp.take_along_axis(g, indices, axis),
    local=["1 where written"],
)
def scatter_along_axis(
    xp: Any, values: ArrayLike, indices: Any, axis: int, shape: tuple[int, ...]
) -> Any:
    """Zeros of `shape` to which `values` are added at `indices` along `axis`."""
    indices = _integers("scatter_along_axis", indices)
    out = xp.zeros(shape, dtype=values.dtype)
    grid = [
        xp.arange(n).reshape((-1,) + (1,) * (len(shape) - 1 - i))
        for i, n in enumerate(indices.shape)
    ]
    grid[axis % len(shape)] = indices
    xp.add.at(out, tuple(grid), values)
    return out


def _integers(name: str, indices: Any) -> Any:
    array = indices._data if isinstance(indices, Traced) else np.asarray(indices)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices must be integers, got {array.dtype}")
    return array


def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` along `axis`; None takes from the flattened array.

    >>> tg.take(tg.tensor([5.0, 6.0, 7.0]), [2, 0]).tolist()
    [7.0, 5.0]
    """
    from .shape import flatten

    if axis is None:
        return take(flatten(x), indices, 0)
    before = (slice(None),) * normalize_axis("take", axis, np.ndim(x))
    return getitem(x, (*before, _integers("take", indices)))
