"""Scaled dot-product attention: each query's answer is a weighted mean of the values."""

from __future__ import annotations

from ... import ops
from ...backend import ArrayLike
from ...ops.fused.attention import additive_mask, attention_weights
from ...tensor import Tensor
from .dropout import dropout


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

    A row that may attend to nothing gives 0, and zero gradient. Without dropout this is one fused
    operation, which forms the weights again on the way back instead of keeping them.

    Args:
        query: (…, L, E), one row per position that asks; leading axes (batch, heads) broadcast.
        key: (…, S, E), one row per position that is asked.
        value: (…, S, V), what those positions answer.
        attn_mask: broadcasts to (…, L, S). Truth values: True where a row may attend (the opposite
            of the `attn_mask` of `nn.MultiheadAttention`). Numbers: added to the scores, −inf to
            block; they may require a gradient.
        dropout_p: the probability of dropping a weight, whether in training or not: pass 0 in
            evaluation. The draws come from the default generator.
        is_causal: row i attends to columns up to i only; goes without `attn_mask`.
        scale: of the scores; None: 1/√E.

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
