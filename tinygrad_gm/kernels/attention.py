"""Scaled dot-product attention, forward and backward.

Backward recomputes the scores, a matrix per head, from one number per row: ln Σ e^score, which is
all that forward returns besides the result (Dao et al. 2022). Native kernels do so band by band,
and write no matrix of scores at all, where there is no bias.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..backend import Array, Arrays, Namespace, Shape
from . import native
from .softmax import in_rows, largest_of_rows
from .summation import sums_of_rows

INF = math.inf
MOST_AXES = 8  # of arrays that the kernels take
FEW = 1024  # scores, whose maximum NumPy finds faster than `largest_of_rows`


def causal_bias(xp: Namespace, rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """−∞ where the column comes after the row, else 0."""
    after = xp.arange(columns) > xp.arange(rows)[:, None]
    return xp.where(after, xp.asarray(-INF, dtype), xp.asarray(0, dtype))


def attention(
    xp: Namespace,
    query: Array,
    key: Array,
    value: Array,
    bias: Array,
    is_causal: bool,
    scale: float,
) -> tuple[Array, Arrays]:
    """softmax(q kᵀ · scale + bias) v; ln Σ e^score of each row, and the causal bias or None."""
    if bias is None and _are_heads(query, key, value):
        out = _like(query, value.shape[-1])
        log_total = np.empty((*query.shape[:-1], 1), query.dtype)
        native.attention(query, key, value, out, log_total, is_causal, scale)
        return out, (log_total, None)
    scores = xp.matmul(query * scale, key.swapaxes(-1, -2))
    rows, columns = scores.shape[-2:]
    if bias is not None:
        scores = scores + bias
    if in_rows(scores):
        log_total, total = xp.empty((2, *scores.shape[:-1], 1), scores.dtype)
        native.attention_weights(scores, log_total, total, rows if is_causal else 0)
        out = xp.matmul(scores, value)
        out /= total
        return out, (log_total, None)
    future = causal_bias(xp, rows, columns, scores.dtype) if is_causal else None
    if future is not None:
        scores += future
    if xp is np and scores.size <= FEW:
        largest = scores.max(axis=-1, keepdims=True, initial=_lowest(scores.dtype))
    elif columns:
        largest = largest_of_rows(xp, scores)
        largest[largest == -INF] = 0  # a row without scores: exp gives 0, not NaN
    else:
        largest = xp.zeros((*scores.shape[:-1], 1), scores.dtype)
    scores -= largest
    weights = xp.exp(scores, out=scores)
    total = xp.maximum(sums_of_rows(xp, weights), 1)  # e^0 of the largest is 1: less is no score
    out = xp.matmul(weights, value)
    out /= total
    return out, (largest + xp.log(total), future)


def _are_heads(query: Array, key: Array, value: Array) -> bool:
    """Whether there are kernels for these: float32, and as many queries as keys and values."""
    return (
        native.fits(query, key, value)
        and query.dtype.char == "f"
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and query.ndim <= MOST_AXES
    )


def _like(x: Array, width: int) -> Array:
    """A new array like x, of rows of `width` numbers, and where it can in the same memory order.

    Heads that lie side by side in a row stay there, so that joining them copies nothing.
    """
    if width == x.shape[-1]:
        out = np.empty_like(x)
        if out.strides[-1] == out.itemsize:
            return out
    return np.empty((*x.shape[:-1], width), x.dtype)


@functools.cache
def _lowest(dtype: np.dtype[Any]) -> float:
    """The least finite number; rows whose scores are all −∞ have it as their maximum."""
    return float(np.finfo(dtype).min)


def attention_backward(
    xp: Namespace,
    g: Array,
    query: Array,
    key: Array,
    value: Array,
    bias: Array,
    out: Array,
    log_total: Array,
    future: Array,
    argnums: Shape,
    is_causal: bool,
    scale: float,
) -> Arrays:
    """The gradients of query (0), key (1), value (2), None if not in `argnums`, and bias.

    With P = softmax(S): S̄ = P·(P̄ − ⟨P̄, P⟩), where P̄ = g vᵀ and ⟨P̄, P⟩ = ⟨g, out⟩, row by row.
    """
    if bias is None and _are_heads(query, key, value) and native.fits(query, g, out, log_total):
        gradients = [
            _like(x, x.shape[-1]) if i in argnums else None
            for i, x in enumerate((query, key, value))
        ]
        native.attention_backward(
            g, query, key, value, out, log_total, is_causal, scale, *gradients
        )
        return (*gradients, None)
    query = query * scale
    weights = xp.matmul(query, key.swapaxes(-1, -2))
    if bias is not None:
        weights = weights + bias
    if in_rows(weights):
        native.attention_weights_again(weights, log_total, weights.shape[-2] if is_causal else 0)
    else:
        if is_causal:
            rows, columns = weights.shape[-2:]
            made = causal_bias(xp, rows, columns, weights.dtype) if future is None else future
            weights += made
        weights -= log_total
        xp.exp(weights, out=weights)
    value_gradient = xp.matmul(weights.swapaxes(-1, -2), g) if 2 in argnums else None
    scores = xp.matmul(g, value.swapaxes(-1, -2))
    scores -= sums_of_rows(xp, g * out)
    scores *= weights
    return (
        xp.matmul(scores, key) * scale if 0 in argnums else None,
        xp.matmul(scores.swapaxes(-1, -2), query) if 1 in argnums else None,
        value_gradient,
        scores,
    )
