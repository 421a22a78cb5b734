"""softmax, its logarithm and the cross entropy, with the maximum subtracted against overflow."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, Arrays, Namespace, Shape
from . import native
from .indices import along, grid
from .summation import summed, sums_of_rows


def in_rows(x: Array) -> bool:
    """Whether x is an array for the kernels of rows: with an axis, in C order."""
    return native.fits(x) and x.ndim > 0 and bool(x.flags.c_contiguous)


def rows_along(x: Array, axis: int) -> Array:
    """x with `axis` last if the kernels of rows take it so, as channels-last memory; else None."""
    if not native.fits(x) or not isinstance(axis, int):
        return None
    if axis not in (-1, x.ndim - 1) and x.ndim:
        x = np.moveaxis(x, axis, -1)
    return x if in_rows(x) else None


def softmax(xp: Namespace, x: Array, axis: int) -> Array:
    """e^x / Σ e^x along an axis."""
    if not x.size:
        return xp.exp(x)
    if (rows := rows_along(x, axis)) is not None:
        return _of_rows(native.softmax, axis, rows)
    out = xp.exp(x - x.max(axis=axis, keepdims=True))
    out /= summed(xp, out, axis, True)
    return out


def log_softmax(xp: Namespace, x: Array, axis: int) -> Array:
    """x − ln Σ e^x along an axis."""
    if not x.size:
        return xp.exp(x)
    if (rows := rows_along(x, axis)) is not None:
        return _of_rows(native.log_softmax, axis, rows)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(summed(xp, xp.exp(shifted), axis, True))


def softmax_backward(xp: Any, g: Array, out: Array, axis: int) -> Array:
    """out·(g − Σ g·out): the gradient of `softmax`, whose result is `out`."""
    if (rows := _rows_of_both(g, out, axis)) is not None:
        return _of_rows(native.softmax_backward, axis, *rows)
    return out * (g - xp.sum(g * out, axis, True))


def log_softmax_backward(xp: Any, g: Array, out: Array, axis: int) -> Array:
    """g − e^out·Σ g: the gradient of `log_softmax`, whose result is `out`."""
    if (rows := _rows_of_both(g, out, axis)) is not None:
        return _of_rows(native.log_softmax_backward, axis, *rows)
    return g - xp.exp(out) * xp.sum(g, axis, True)


def _rows_of_both(g: Array, out: Array, axis: int) -> tuple[Array, Array] | None:
    if not native.fits(g, out) or g.shape != out.shape:
        return None
    upstream, rows = rows_along(g, axis), rows_along(out, axis)
    return None if upstream is None or rows is None else (upstream, rows)


def _of_rows(kernel: Callable[..., None], axis: int, *arrays: Array) -> Array:
    """A new array that the kernel writes, with the rows along `axis` again."""
    out = np.empty_like(arrays[0])
    kernel(*arrays, out)
    return _moved_back(out, axis)


def _moved_back(rows: Array, axis: int) -> Array:
    return rows if axis in (-1, rows.ndim - 1) else np.moveaxis(rows, -1, axis)


def log_sum_exp(xp: Namespace, x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """ln Σ e^x, with the axes kept; −∞ where every element is."""
    if not x.size:
        return summed(xp, x, axis, True) - math.inf
    largest = x.max(axis=axis, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)
    total = summed(xp, xp.exp(x - largest), axis, True)
    return xp.where(total == 0, -math.inf, xp.log(xp.where(total == 0, 1, total)) + largest)


def cross_entropy(xp: Namespace, logits: Array, target: Array, axis: int) -> Arrays:
    """−ln softmax(logits)[target]; and softmax(logits).

    Args:
        logits: scores, with the classes along `axis`.
        target: the number of a class, in the shape of the other axes.
    """
    rows = rows_along(logits, axis)
    if rows is not None:
        losses, probabilities = np.empty(target.shape, rows.dtype), np.empty_like(rows)
        native.cross_entropy(rows, np.ascontiguousarray(target, np.int64), probabilities, losses)
        return losses, _moved_back(probabilities, axis)
    largest = logits.max(axis=axis, keepdims=True)
    probabilities = xp.exp(logits - largest)
    if axis + 1 == logits.ndim:
        total = sums_of_rows(xp, probabilities)
    else:
        total = summed(xp, probabilities, axis, True)
    probabilities /= total
    losses = (largest + xp.log(total)).reshape(target.shape) - logits[_places(xp, target, axis)]
    return losses, probabilities


def cross_entropy_backward(
    xp: Namespace, g: Array, probabilities: Array, target: Array, axis: int
) -> Array:
    """(softmax(logits) − one-hot(target)) · g, for g of the shape of the targets or one number."""
    rows = rows_along(probabilities, axis)
    if rows is not None:
        gradient, one = np.empty_like(rows), not g.ndim
        upstream = None if one else np.ascontiguousarray(g, rows.dtype)
        scale = float(g) if one else 0.0
        target = np.ascontiguousarray(target, np.int64)
        native.cross_entropy_backward(rows, target, upstream, scale, gradient)
        return _moved_back(gradient, axis)
    gradient = probabilities * (g[along(axis, None)] if g.ndim else g)
    gradient[_places(xp, target, axis)] -= g
    return gradient


def _places(xp: Namespace, target: Array, axis: int) -> Arrays:
    """The index of the targets in an array with the classes along `axis`."""
    places = _grid(target.shape) if xp is np else grid(xp, target.shape)
    return (*places[:axis], target, *places[axis:])


@functools.lru_cache(maxsize=16)  # to make one takes longer than to read the targets
def _grid(shape: Shape) -> list[Array]:
    return grid(np, shape)


def largest_of_rows(xp: Namespace, x: Array) -> Array:
    """The maximum along the last axis, which keeps size 1: with `argmax`, NumPy's faster loop."""
    rows = xp.reshape(x, (-1, x.shape[-1]))
    largest = rows[xp.arange(len(rows)), rows.argmax(axis=1)]
    return largest.reshape((*x.shape[:-1], 1))
