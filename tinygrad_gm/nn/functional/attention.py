"""Scaled dot-product attention: the output of each query is a weighted mean of the values."""

from __future__ import annotations

from ... import ops
from ...backend import ArrayLike
from ...ops.fused.attention import additive_mask, attention_weights
from ...tensor import Tensor
from .dropout import dropout

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention with True = may attend: softmax(q kᵀ · scale + mask) v (Vaswani et al. 2017, §3.2).

    A fully masked row gives 0, and zero gradient. Without dropout this is one fused operation,
    which recomputes the weights in backward instead of storing them.

    Args:
        query: (…, L, E), one row per query position; leading axes (batch, heads) broadcast.
        key: (…, S, E), one row per key position.
        value: (…, S, V), the values of the key positions.
        attn_mask: broadcasts to (…, L, S). Booleans: True where a row may attend (the opposite of
            the `attn_mask` of `nn.MultiheadAttention`). Numbers: added to the scores, −inf to
            block; they may require a gradient.
        dropout_p: the probability of dropping a weight, applied always: pass 0 in evaluation. It
            uses the default generator.
        is_causal: row i attends to columns up to i only; excludes `attn_mask`.
        scale: factor of the scores; None: 1/√E.

    Returns:
        (…, L, V).

    Raises:
        ValueError: `attn_mask` together with `is_causal`, or shapes that do not fit.
        TypeError: a mask of integers.

    >>> q, k, v = tg.ones((1, 1)), tg.ones((3, 1)), tg.tensor([[1.0], [2.0], [9.0]])
    >>> F.scaled_dot_product_attention(q, k, v, tg.tensor([True, True, False])).tolist()
    [[1.5]]
    """
    if not dropout_p:
        out: Tensor = ops.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal, scale=scale
        )
        return out
    weights = attention_weights(
        query, key, additive_mask(attn_mask, query, is_causal), is_causal, scale
    )
    return ops.matmul(dropout(weights, dropout_p), value)
