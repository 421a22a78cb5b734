"""Scaled dot-product attention.

The record saves queries, keys and values, the result, and one number per row of scores. Backward
recomputes the scores, a matrix per head (Dao et al. 2022).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Arrays, Namespace, Shape, floating_dtype, module_of
from ...engine.call import op
from ...kernels import attention as kernels
from ..choosing import where
from ..elementwise import add, divide, exp, multiply, subtract
from ..matmul import matmul
from ..reduction import max, sum
from ..shape import matrix_transpose

__all__ = ["scaled_dot_product_attention"]


def _default_scale(query: Array, scale: float | None) -> float:
    return 1 / math.sqrt(query.shape[-1] or 1) if scale is None else scale


def attention_weights(
    query: Array,
    key: Array,
    bias: Array = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """softmax(q kᵀ · scale + bias) of each row; 0 where all scores of a row are −inf."""
    scores = multiply(matmul(query, matrix_transpose(key)), _default_scale(query, scale))
    if not scores.size:
        return scores  # no rows, or no columns
    if bias is not None:
        scores = add(scores, bias)
    if is_causal:
        rows, columns = scores.shape[-2:]
        scores = add(
            scores, kernels.causal_bias(module_of(scores._data), rows, columns, scores.dtype)
        )
    largest = max(scores, -1, True).detach()
    powers = exp(subtract(scores, where(largest == -math.inf, 0.0, largest)))
    total = sum(powers, -1, True)
    return divide(powers, where(total == 0.0, 1.0, total))


def _attention_decomposition(query: ArrayLike, key: ArrayLike, value: ArrayLike, *rest: Any) -> Any:
    return matmul(attention_weights(query, key, *rest), value)


def _attention_rule(
    xp: Namespace,
    g: Array,
    query: Array,
    key: Array,
    value: Array,
    bias: Array,
    out: Array,
    residuals: Arrays,
    argnums: Shape,
    is_causal: bool,
    scale: float | None,
) -> Any:
    scale, (log_total, future) = _default_scale(query, scale), residuals
    return kernels.attention_backward(
        xp.module, g, query, key, value, bias, out, log_total, future, argnums, is_causal, scale
    )


@op(
    joint=_attention_rule,
    arity=4,
    decomposition=_attention_decomposition,
    local=["S̄ key·scale", "S̄ᵀ query·scale", "Pᵀ", "P(I − P)valueᵀ"],
)
def attention(
    xp: Namespace,
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: ArrayLike = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """softmax(q kᵀ · scale + bias) v (Vaswani et al. 2017).

    `scaled_dot_product_attention` calls it, and converts boolean masks to a bias.

    Args:
        query: (…, L, E).
        key: (…, S, E).
        value: (…, S, V).
        bias: floats that broadcast to (…, L, S); −inf where a row must not attend.
        is_causal: row i attends to columns up to i only.
        scale: None: 1/√E.

    >>> tg.ops.attention(tg.ones((2, 1)), tg.ones((2, 1)), tg.tensor([[1.0], [3.0]])).tolist()
    [[2.0], [2.0]]
    """
    q, k, v = query.shape, key.shape, value.shape
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            "attention: expected a query (…, L, E), a key (…, S, E) and a value (…, S, V); got "
            f"{q}, {k} and {v}"
        )
    rows, columns = q[-2], k[-2]
    if bias is not None and not _fits(np.shape(bias), rows, columns):
        raise ValueError(
            f"attention: expected a mask that broadcasts to (…, {rows}, {columns}); got "
            f"{np.shape(bias)}"
        )
    scale = _default_scale(query, scale)
    return kernels.attention(xp, query, key, value, bias, is_causal, scale)


def _fits(shape: Shape, rows: int, columns: int) -> bool:
    padded = (1, 1, *shape)
    return padded[-2] in (1, rows) and padded[-1] in (1, columns)


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """Attention with True = may attend: softmax(q kᵀ · scale + mask) v (Vaswani et al. 2017).

    A row that is masked entirely gives 0, and has zero gradient.

    Args:
        query: (…, L, E), one row per target position; leading axes (batch, heads) broadcast.
        key: (…, S, E), one row per source position.
        value: (…, S, V), one row per source position.
        attn_mask: broadcasts to (…, L, S). Booleans: True where a row may attend (the opposite of
            the `attn_mask` of `nn.MultiheadAttention`). Floats: added to the scores, −inf to block;
            they may require a gradient.
        is_causal: row i attends to columns up to i only; excludes `attn_mask`.
        scale: factor of the scores; None: 1/√E.

    Returns:
        (…, L, V).

    Raises:
        ValueError: `attn_mask` was given with `is_causal`, or the shapes do not fit.
        TypeError: a mask of integers.

    >>> q, k, v = tg.ones((1, 1)), tg.ones((3, 1)), tg.tensor([[1.0], [2.0], [9.0]])
    >>> tg.scaled_dot_product_attention(q, k, v, tg.tensor([True, True, False])).tolist()
    [[1.5]]
    """
    bias = additive_mask(attn_mask, query, is_causal)
    return attention(query, key, value, bias, is_causal, scale)


def additive_mask(attn_mask: ArrayLike, query: ArrayLike, is_causal: bool) -> Any:
    """A mask as a bias of the scores: 0 for True, −inf for False; floats unchanged."""
    if attn_mask is None:
        return None
    if is_causal:
        raise ValueError(
            "scaled_dot_product_attention: give attn_mask or is_causal=True, not both; one mask "
            "for both is mask & tg.tril(tg.ones((L, S), dtype=tg.bool))"
        )
    mask = attn_mask if hasattr(attn_mask, "dtype") else np.asarray(attn_mask)
    if mask.dtype.kind not in "bf":
        raise TypeError(
            "scaled_dot_product_attention: expected an attn_mask of booleans (True = may attend) "
            f"or of floats to add; got {mask.dtype}"
        )
    if mask.dtype.kind == "f":
        return attn_mask
    added = where(mask, 0.0, -math.inf)
    return added.astype(floating_dtype(query.dtype)) if hasattr(query, "dtype") else added
