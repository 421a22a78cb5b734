"""Sorting, searching and counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comparer import Config, Pair, config
from differing import as_torch
from drawing import Draw

import tinygrad_gm as tg


def one_axis(d: Draw) -> Config:
    """Draws an array, ties among its numbers, and the order; both libraries sort stably."""
    shape = d.shape((1, 4))
    x = d.integers(shape, -3, 3) if d.chance(0.15) else d.floats(shape, ties=0.5)
    return config(x, axis=d.axis(x.ndim), descending=d.chance(0.5))


def the_best(d: Draw) -> Config:
    """Draws different numbers (PyTorch promises nothing about equal ones) and how many are best."""
    x = d.apart(d.shape((1, 4)))
    axis = d.axis(x.ndim)
    return config(x, k=d.integer(0, x.shape[axis]), axis=axis, largest=d.chance(0.5))


def distinct(d: Draw) -> Config:
    """Draws different numbers, and one axis or none."""
    x = d.apart(d.shape((1, 4), empty=0.0))
    axis = d.axis(x.ndim) if d.chance(0.7) else None
    return config(x, axis=axis, keepdims=axis is not None and d.chance(0.4))


def torch_median(x: Any, axis: int | None, keepdims: bool) -> Any:
    """The mean of the two middle elements; PyTorch's `median` is the lower one."""
    return torch.quantile(x, 0.5, dim=axis, keepdim=keepdims)


def sorted_and_sought(d: Draw) -> Config:
    """Draws a sorted vector and numbers, some of which it has."""
    x = np.sort(d.floats((d.integer(0, 6),), ties=0.7))
    return config(x, d.floats(d.shape((0, 3)), ties=0.7), side=d.one_of(["left", "right"]))


def counted(d: Draw) -> Config:
    """Draws integers, perhaps with weights, whose gradient PyTorch lacks."""
    size = d.integer(0, 8)
    weights = d.integers((size,), 0, 5).astype(d.dtype) if d.chance(0.5) else None
    return config(d.integers((size,), 0, 5), weights=weights, minlength=d.integer(0, 8))


def with_zeros(d: Draw) -> Config:
    """Draws an array, zeros among it."""
    shape = d.shape((1, 4))
    return config(d.booleans(shape) if d.chance(0.3) else d.floats(shape, ties=1.0))


def with_repeats(d: Draw) -> Config:
    """Draws an array of few different numbers; the whole of it, or its slices, are compared."""
    shape = d.shape((1, 3), empty=0.0)
    x = d.integers(shape, 0, 2) if d.chance(0.5) else d.floats(shape, ties=1.0)
    return config(x, axis=d.axis(x.ndim) if d.chance(0.4) else None)


def differences(d: Draw) -> Config:
    """Draws an array, an axis and how often its neighbours are subtracted."""
    x = d.floats(d.shape((1, 4)), ties=0.2)
    axis = d.axis(x.ndim)
    ends = []
    for _ in range(2):
        shape = list(x.shape)
        shape[axis] = d.integer(0, 2)
        ends.append(d.floats(tuple(shape)) if d.chance(0.3) else None)
    return config(x, *ends, n=d.integer(0, 3), axis=axis)


def classes(d: Draw) -> Config:
    """Draws class numbers, and perhaps how many classes there are."""
    count = d.integer(1, 5)
    indices = d.integers(d.shape((0, 3), empty=0.0), 0, count - 1)
    return config(indices, num_classes=count if d.chance(0.6) else None)


def added(d: Draw) -> Config:
    """Draws an array and values to be added to some of its elements, some of them twice."""
    shape = d.shape((1, 4), empty=0.0)
    axis = d.axis(len(shape))
    given = list(shape)
    given[axis] = d.integer(0, 5)
    places = d.integers(tuple(given), 0, shape[axis] - 1)
    return config(d.floats(shape), d.floats(tuple(given)), indices=places, axis=axis)


def close(d: Draw) -> Config:
    """Draws numbers that differ by little, infinities and NaN among them."""
    x = d.floats(d.shape(), ties=0.5)
    y = x + d.one_of([0.0, 1e-7, 1e-3]) * d.floats(x.shape)
    kinds = d.integers(x.shape, 0, 8)
    for kind, value in ((0, np.nan), (1, np.inf)):
        x, y = (np.where(kinds == kind, np.asarray(value, a.dtype), a) for a in (x, y))
    return config(x, y, rtol=d.one_of([1e-5, 1e-2]), atol=1e-8, equal_nan=d.chance(0.5))


def torch_sort(x: Any, axis: int, descending: bool) -> Any:
    return torch.sort(x, dim=axis, descending=descending, stable=True).values


def torch_argsort(x: Any, axis: int, descending: bool) -> Any:
    return torch.argsort(x, dim=axis, descending=descending, stable=True)


def torch_searchsorted(x: Any, y: Any, side: str) -> Any:
    return torch.searchsorted(x.detach(), y.detach(), side=side)


def torch_bincount(x: Any, weights: Any, minlength: int) -> Any:
    return torch.bincount(x, as_torch(weights), minlength)


def torch_unique(x: Any, axis: int | None) -> Any:
    """The different elements, the place of each among them, and how often they occur."""
    return torch.unique(x.detach(), sorted=True, return_inverse=True, return_counts=True, dim=axis)


def torch_diff(x: Any, prepend: Any, append: Any, n: int, axis: int) -> Any:
    return torch.diff(x, n, axis, prepend, append)


def torch_one_hot(indices: Any, num_classes: int | None) -> Any:
    return torch.nn.functional.one_hot(indices, -1 if num_classes is None else num_classes)


PAIRS = [
    Pair("sort", tg.sort, torch_sort, one_axis),
    Pair("argsort", tg.argsort, torch_argsort, one_axis),
    Pair(
        "topk",
        tg.topk,
        lambda x, k, axis, largest: torch.topk(x, k, axis, largest, sorted=True),
        the_best,
    ),
    Pair("searchsorted", tg.searchsorted, torch_searchsorted, sorted_and_sought),
    Pair("bincount", tg.bincount, torch_bincount, counted, order=0),
    Pair("nonzero", tg.nonzero, lambda x: torch.nonzero(x, as_tuple=True), with_zeros),
    Pair(
        "unique",
        lambda x, axis: tg.unique(x, return_inverse=True, return_counts=True, axis=axis),
        torch_unique,
        with_repeats,
    ),
    Pair("median", tg.median, torch_median, distinct),
    Pair(
        "diff",
        lambda x, prepend, append, n, axis: tg.diff(x, n, axis, prepend, append),
        torch_diff,
        differences,
    ),
    Pair("one_hot", tg.one_hot, torch_one_hot, classes),
    Pair(
        "scatter_add",
        lambda x, values, indices, axis: tg.scatter_add(x, indices, values, axis),
        lambda x, values, indices, axis: x.scatter_add(axis, as_torch(indices), values),
        added,
    ),
    Pair("isclose", tg.isclose, torch.isclose, close),
    Pair(
        "allclose",
        lambda x, y, **bounds: tg.asarray(tg.allclose(x, y, **bounds)),
        lambda x, y, **bounds: torch.tensor(torch.allclose(x, y, **bounds)),
        close,
    ),
]
