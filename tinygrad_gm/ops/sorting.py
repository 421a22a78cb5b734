"""Sorting, searching and counting.

Gradients of sorted values return to the places of the values; indices and counts are integers and
have no gradient.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..backend import Array, ArrayLike, Namespace, as_array, module_of
from ..engine.call import op
from ..engine.record import Traced, wrap
from ..hints import named
from ..kernels.indices import along
from .choosing import where
from .comparison import isnan
from .indexing import take_along_axis
from .shape import Axes, normalize_axis, permute_dims, reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["argsort", "bincount", "median", "nonzero", "searchsorted", "sort", "topk", "unique"]


def _order(name: str, xp: Namespace, x: Array, axis: int, descending: bool, stable: bool) -> Any:
    """Indices that sort x; if stable, equal elements keep their order, also when descending."""
    axis, kind = normalize_axis(name, axis, x.ndim), "stable" if stable else None
    if not descending:
        return xp.argsort(x, axis=axis, kind=kind)
    order = xp.argsort(xp.flip(x, axis), axis=axis, kind=kind)
    return x.shape[axis] - 1 - xp.flip(order, axis)


@op(
    lambda xp, g, residuals, axis: xp.take_along_axis(g, xp.argsort(residuals, axis), axis),
    closed=True,
    local=["back to its place"],
)
def sort(
    xp: Namespace, x: ArrayLike, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    """x sorted along an axis, with NaN last; each element's gradient returns to its place.

    Equal elements keep their order, unless stable=False.

    >>> tg.sort(tg.tensor([3.0, 1.0, 2.0]), descending=True).tolist()
    [3.0, 2.0, 1.0]
    """
    order = _order("sort", xp, x, axis, descending, stable)
    return xp.take_along_axis(x, order, axis), order


@op(None)
def argsort(
    xp: Namespace, x: ArrayLike, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    """The indices that sort x along an axis; equal elements keep their order if stable.

    >>> tg.argsort(tg.tensor([3.0, 1.0, 2.0])).tolist()
    [1, 2, 0]
    """
    return _order("argsort", xp, x, axis, descending, stable)


@named
def topk(x: ArrayLike, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest (else smallest) elements along an axis, best first, and their indices.

    Gradients flow through the values; of equal elements the first comes first.

    >>> values, indices = tg.topk(tg.tensor([1.0, 5.0, 3.0]), 2)
    >>> values.tolist(), indices.tolist()
    ([5.0, 3.0], [1, 2])
    """
    shape = np.shape(x)
    axis = normalize_axis("topk", axis, len(shape))
    k = operator.index(k)
    if not 0 <= k <= shape[axis]:
        raise ValueError(f"topk: k is {k}, but axis {axis} of {shape} has {shape[axis]} elements")
    indices = argsort(x, axis, largest)[along(axis, slice(k))]
    return take_along_axis(x, indices, axis), indices


@named
def median(x: ArrayLike, axis: Axes | None = None, keepdims: bool = False) -> Tensor:
    """The middle of the sorted elements, or the mean of the middle two; NaN if any element is.

    (PyTorch's median is the lower one of the two.)

    >>> tg.median(tg.tensor([[1.0, 7.0, 2.0], [4.0, 9.0, 5.0]]), axis=1).tolist()
    [2.0, 5.0]
    >>> tg.median(tg.tensor([4.0, 1.0, 3.0, 2.0])).item()
    2.5
    """
    shape = np.shape(x)
    given = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = [normalize_axis("median", a, len(shape)) for a in given]
    if len({*gone}) < len(gone):
        raise ValueError(f"median: {axis} repeats an axis")
    kept = [a for a in range(len(shape)) if a not in gone]
    count = math.prod(shape[a] for a in gone)
    lines = reshape(permute_dims(x, (*kept, *gone)), (*(shape[a] for a in kept), count))
    ordered: Tensor = sort(lines)
    middle: Tensor = ordered[..., (count - 1) // 2 : count // 2 + 1].mean(-1)
    if count and ordered.dtype.kind == "f":
        last = ordered[..., -1]
        middle = where(isnan(last), last, middle)
    if not keepdims:
        return middle
    return reshape(middle, tuple(1 if a in gone else n for a, n in enumerate(shape)))


@op(None, None)
def searchsorted(
    xp: Namespace, x: ArrayLike, y: ArrayLike, side: Literal["left", "right"] = "left"
) -> Any:
    """The index at which to insert each element of y into the sorted vector x, to keep it sorted:
    before equal elements ("left") or after them ("right").

    >>> tg.searchsorted(tg.tensor([1.0, 2.0, 2.0, 3.0]), tg.tensor([2.0, 9.0])).tolist()
    [1, 4]
    """
    if getattr(x, "ndim", 0) != 1:
        raise ValueError("searchsorted: expected a sorted vector x of 1 dimension")
    return xp.searchsorted(x, y, side=side)


@op(None, lambda g, x: g[x], local=["", "1 where counted"])
def bincount(xp: Namespace, x: ArrayLike, weights: ArrayLike = None, minlength: int = 0) -> Any:
    """The number of times that 0, 1, 2, … occur among the integers x, or the sums of their weights.

    >>> tg.bincount(tg.tensor([0, 2, 2]), minlength=4).tolist()
    [1, 0, 2, 0]
    """
    return xp.bincount(x, weights, minlength)


def nonzero(x: ArrayLike) -> tuple[Tensor, ...]:
    """The indices of the elements that are not 0, one int64 vector per axis.

    >>> [indices.tolist() for indices in tg.nonzero(tg.tensor([[0, 7], [8, 0]]))]
    [[0, 1], [1, 0]]
    """
    array = _array("nonzero", x)
    if array.ndim == 0:
        raise ValueError("nonzero: expected an array of 1 axis or more; got a number")
    return tuple(map(wrap, module_of(array).nonzero(array)))


@named
def unique(
    x: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """The unique elements of x, sorted, or its unique slices along `axis`. No gradient.

    Args:
        return_index: also return the index of the first occurrence of each.
        return_inverse: also return the indices that restore x from the unique elements.
        return_counts: also return the number of occurrences of each.
        axis: None: elements of the flattened array.

    Returns:
        A Tensor, or a tuple of it and the other results, in the order of the arguments.

    >>> tg.unique(tg.tensor([3, 1, 3]), return_counts=True)[1].tolist()
    [1, 2]
    """
    array = _array("unique", x)
    if axis is not None:
        axis = normalize_axis("unique", axis, array.ndim)
    wanted = (return_index, return_inverse, return_counts)
    found = module_of(array).unique(array, *wanted, axis=axis)
    return tuple(map(wrap, found)) if isinstance(found, tuple) else wrap(found)


def _array(name: str, x: ArrayLike) -> Array:
    array = x._data if isinstance(x, Traced) else x
    return array if hasattr(array, "dtype") else as_array(array, name)
