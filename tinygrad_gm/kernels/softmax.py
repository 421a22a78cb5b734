"""softmax, its logarithm and the cross entropy, with the maximum subtracted against overflow."""

from __future__ import annotations

import math

from ..backend import Array, Arrays, Namespace
from . import native
from .indices import along, grid
from .summation import summed, sums_of_rows


def in_rows(x: Array) -> bool:
    """Whether x is an array for the kernels of rows: float32, in C order."""
    return native.dense_float32(x) and bool(x.flags.c_contiguous)


def softmax(xp: Namespace, x: Array, axis: int) -> Array:
    """e^x / Σ e^x along an axis."""
    if not x.size:
        return xp.exp(x)
    if axis in (-1, x.ndim - 1) and in_rows(x):
        out = xp.empty_like(x)
        native.softmax(x, out)
        return out
    out = xp.exp(x - x.max(axis=axis, keepdims=True))
    out /= summed(xp, out, axis, True)
    return out


def log_softmax(xp: Namespace, x: Array, axis: int) -> Array:
    """x − ln Σ e^x along an axis."""
    if not x.size:
        return xp.exp(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(summed(xp, xp.exp(shifted), axis, True))


def log_sum_exp(xp: Namespace, x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """ln Σ e^x, with the axes kept; −∞ where every element is."""
    if not x.size:
        return summed(xp, x, axis, True) - math.inf
    largest = x.max(axis=axis, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)
    total = summed(xp, xp.exp(x - largest), axis, True)
    return xp.where(total == 0, -math.inf, xp.log(xp.where(total == 0, 1, total)) + largest)


def cross_entropy(xp: Namespace, logits: Array, target: Array, axis: int) -> Arrays:
    """−ln softmax(logits)[target]; softmax(logits); and the index of the targets in it.

    Args:
        logits: scores, with the classes along `axis`.
        target: the number of a class, in the shape of the other axes.
    """
    places = grid(xp, target.shape)
    places.insert(axis, target)
    if axis + 1 == logits.ndim and in_rows(logits) and target.dtype.char == "l":
        losses, probabilities = xp.empty(target.shape, logits.dtype), xp.empty_like(logits)
        native.cross_entropy(logits, xp.ascontiguousarray(target), probabilities, losses)
        return losses, probabilities, tuple(places)
    largest = logits.max(axis=axis, keepdims=True)
    probabilities = xp.exp(logits - largest)
    if axis + 1 == logits.ndim:
        total = sums_of_rows(xp, probabilities)
    else:
        total = summed(xp, probabilities, axis, True)
    probabilities /= total
    losses = (largest + xp.log(total)).reshape(target.shape) - logits[tuple(places)]
    return losses, probabilities, tuple(places)


def cross_entropy_backward(g: Array, probabilities: Array, places: Arrays, axis: int) -> Array:
    """(softmax(logits) − one-hot(target)) · g, for g of the shape of the targets or one number."""
    gradient = probabilities * (g[along(axis, None)] if g.ndim else g)
    gradient[places] -= g
    return gradient


def largest_of_rows(xp: Namespace, x: Array) -> Array:
    """The maximum along the last axis, which keeps size 1: with `argmax`, NumPy's faster loop."""
    rows = xp.reshape(x, (-1, x.shape[-1]))
    largest = rows[xp.arange(len(rows)), rows.argmax(axis=1)]
    return largest.reshape((*x.shape[:-1], 1))
