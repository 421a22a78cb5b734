"""Multi-head attention, and its cache for decoding one position at a time.

A head is attention in a subspace: queries, keys and values are projected and split into heads along
their last axis; the outputs of all heads are concatenated and projected again.
"""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..backend import ArrayLike, floating_dtype
from ..creation import arange, empty, zeros
from ..ops.fused.attention import attention_weights
from ..tensor import Tensor, asarray
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter, by_columns

__all__ = ["KeyValueCache", "MultiheadAttention"]


class KeyValueCache:
    """The keys and values of the positions so far, for one attention layer. In step-by-step
    decoding, each step projects its own position only and attends to all before it:

        cache = nn.KeyValueCache()
        with tg.no_grad():
            for x in steps:  # each (1, N, E)
                out, _ = attention(x, x, x, is_causal=True, cache=cache)

    A stack takes a list with one cache per layer. The memory doubles when it is full, so that the
    cost of a step is amortised. The values are stored without a graph: no gradients.

    >>> cache = nn.KeyValueCache()
    >>> keys, values = cache.append(tg.ones((1, 2, 3, 4)), tg.ones((1, 2, 3, 4)))
    >>> keys, values = cache.append(tg.ones((1, 2, 1, 4)), tg.ones((1, 2, 1, 4)))
    >>> keys.shape, len(cache)
    ((1, 2, 4, 4), 4)
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove all positions."""
        self._keys: Tensor | None = None
        self._values: Tensor | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def select(self, rows: ArrayLike) -> None:
        """Keep the sequences at these places of the batch, in this order. In beam search a sequence
        with several continuations is repeated.

        >>> cache = nn.KeyValueCache()
        >>> _ = cache.append(tg.ones((2, 1, 3, 4)), tg.ones((2, 1, 3, 4)))
        >>> cache.select([1, 1, 0])
        >>> cache.append(tg.ones((3, 1, 1, 4)), tg.ones((3, 1, 1, 4)))[0].shape
        (3, 1, 4, 4)
        """
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._keys[rows], self._values[rows]

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new positions, (N, heads, L, width); return those of all.

        Raises:
            RuntimeError: they require a gradient.
            ValueError: the batch or width differs from before.
        """
        if keys.requires_grad or values.requires_grad:
            raise RuntimeError(
                "KeyValueCache: the keys require a gradient, and a cache keeps none; decode under "
                "`with tg.no_grad():`"
            )
        start, stop = self._length, self._length + keys.shape[2]
        all_keys, all_values = (
            _written(memory, new, start)
            for memory, new in ((self._keys, keys), (self._values, values))
        )
        self._keys, self._values, self._length = all_keys, all_values, stop
        return all_keys[:, :, :stop], all_values[:, :, :stop]


def _written(memory: Tensor | None, new: Tensor, start: int) -> Tensor:
    """The memory, enlarged if necessary, with new positions written from `start` on."""
    stop = start + new.shape[2]
    lead, width = new.shape[:2], new.shape[3]
    if memory is not None and (*memory.shape[:2], memory.shape[3]) != (*lead, width):
        raise ValueError(
            f"KeyValueCache: new positions {new.shape} do not fit to those of "
            f"{(*memory.shape[:2], start, memory.shape[3])} so far; a new sequence needs a new "
            "cache, or clear()"
        )
    if memory is None or memory.shape[2] < stop:
        grown = empty((*lead, max(stop, 2 * start), width), new.dtype, device=new.device)
        if memory is not None:
            grown[:, :, :start] = memory[:, :, :start]
        memory = grown
    memory[:, :, start:stop] = new
    return memory


class MultiheadAttention(Module):
    """Multi-head attention; in boolean masks True = BLOCKED: the position is not attended to.

    This is PyTorch's convention for this layer, and the opposite of
    `F.scaled_dot_product_attention`'s.

        headᵢ = softmax(qᵢ kᵢᵀ/√d + mask) vᵢ     with qᵢ = query Wᵢᵠ, kᵢ = key Wᵢᴷ, vᵢ = value Wᵢⱽ
        out = [head₁, …, headₕ] Wᴼ                    (Vaswani et al. 2017, §3.2.2)

    with d = embed_dim / num_heads. A fully masked query gets 0 from every head, and zero gradient
    (PyTorch: NaN).

    Args:
        embed_dim: E, the width of queries and of the output.
        num_heads: h; it divides E.
        dropout: the probability of dropping a weight, in training.
        bias: whether the projections have a bias.
        add_bias_kv: add a learned key and value, visible to every query.
        add_zero_attn: add a key and a value of zeros, visible to every query.
        kdim, vdim: the widths of keys and values; None: E.
        batch_first: (N, L, E) instead of (L, N, E).
        device, dtype: of the parameters; None: the defaults.

    Shapes: `in_proj_weight` (3E, E), the stacked weights of queries, keys and values, or
    `q_proj_weight` (E, E), `k_proj_weight` (E, kdim), `v_proj_weight` (E, vdim) if kdim or vdim
    differs from E; all Glorot-uniform. `in_proj_bias` (3E,) and `out_proj.bias` (E,) start at 0;
    `out_proj.weight` (E, E) as in `nn.Linear`; `bias_k`, `bias_v` (1, 1, E) Glorot-normal.

    Raises:
        ValueError: num_heads does not divide embed_dim; dropout is not in [0, 1].

    >>> attention = nn.MultiheadAttention(embed_dim=8, num_heads=2)
    >>> query, memory = tg.randn((3, 5, 8)), tg.randn((4, 5, 8))
    >>> out, weights = attention(query, memory, memory)
    >>> out.shape, weights.shape
    ((3, 5, 8), (5, 3, 4))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim {embed_dim} must be divisible by num_heads "
                f"{num_heads}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: expected dropout in [0, 1]; got {dropout}")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first

        def weight(rows: int, columns: int) -> Parameter:
            return by_columns(rows, columns, dtype, device)

        def vector(*shape: int) -> Parameter:
            return Parameter(empty(shape, dtype, device=device))

        width, alike = embed_dim, self.kdim == self.vdim == embed_dim
        self.in_proj_weight = weight(3 * width, width) if alike else None
        self.q_proj_weight = None if alike else weight(width, width)
        self.k_proj_weight = None if alike else weight(width, self.kdim)
        self.v_proj_weight = None if alike else weight(width, self.vdim)
        self.in_proj_bias = vector(3 * width) if bias else None
        self.bias_k = vector(1, 1, width) if add_bias_kv else None
        self.bias_v = vector(1, 1, width) if add_bias_kv else None
        self.out_proj = Linear(width, width, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise the parameters."""
        self.out_proj.reset_parameters()
        for name, parameter in self.named_parameters():
            if name.endswith("proj_weight"):
                init.xavier_uniform_(parameter)
            elif name in ("bias_k", "bias_v"):
                init.xavier_normal_(parameter)
            elif name.endswith("bias"):
                init.zeros_(parameter)

    def forward(
        self,
        query: ArrayLike,
        key: ArrayLike,
        value: ArrayLike,
        key_padding_mask: ArrayLike = None,
        need_weights: bool = True,
        attn_mask: ArrayLike = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the output and, if needed, the weights. In boolean masks True = BLOCKED.

        Args:
            query: (L, N, E); (N, L, E) with `batch_first`; (L, E) without a batch.
            key: (S, N, kdim), likewise.
            value: (S, N, vdim), likewise.
            key_padding_mask: (N, S), or (S,) without a batch: keys that are ignored.
            need_weights: return the weights; False is faster.
            attn_mask: (L, S) for all heads, or (N·h, L, S) with the heads of one sample adjacent.
                Both masks are boolean, or floating numbers that are added to the scores.
            average_attn_weights: the mean over the heads, (N, L, S), instead of (N, h, L, S).
            is_causal: query i attends to keys up to i only, in addition to the masks. (In PyTorch
                it is only a hint that `attn_mask` is causal.)
            cache: keys and values of earlier positions, to which the new ones are appended. S then
                counts all positions, and the queries are the last L of them.

        Returns:
            (out, weights): out as `query`; weights None unless `need_weights`.

        Raises:
            TypeError: a mask of integers.
            ValueError: shapes that do not fit.
        """
        query, key, value = asarray(query), asarray(key), asarray(value)
        self._check(query, key, value)
        q, k, v = map(self._heads, self._projected(query, key, value))
        past = 0 if cache is None else len(cache)
        rows, columns = q.shape[2], past + k.shape[2]
        mask = self._mask(q, columns, attn_mask, key_padding_mask, batched=query.ndim == 3)
        extra = (self.bias_k is not None) + self.add_zero_attn
        if is_causal and (mask is not None or past or extra):
            position, column = (arange(n, device=q.device) for n in (rows, columns))
            later = _additive(column > position[:, None] + past, q)
            mask, is_causal = later if mask is None else mask + later, False
        if cache is not None:
            k, v = cache.append(k, v)
        if extra:
            k, v = self._with_extra(k, self.bias_k), self._with_extra(v, self.bias_v)
            if mask is not None:
                mask = ops.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, extra)])
        weights = None
        if need_weights:
            weights = attention_weights(q, k, mask, is_causal)
            weights = F.dropout(weights, self.dropout, self.training)
            heads = weights @ v
        else:
            dropout = self.dropout if self.training else 0.0
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal)
        back = (0, 2, 1, 3) if self.batch_first and query.ndim == 3 else (2, 0, 1, 3)
        out = self.out_proj(heads.permute_dims(back).reshape(query.shape))
        if weights is not None:
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if query.ndim == 3 else weights[0]
        return out, weights

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}"

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        layout = "(N, L, E)" if self.batch_first else "(L, N, E)"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise ValueError(
                f"MultiheadAttention: query, key and value are {layout}, or (L, E) for one sample; "
                f"got {query.shape}, {key.shape} and {value.shape}"
            )
        wanted = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}
        for (name, width), x in zip(wanted.items(), (query, key, value), strict=True):
            if x.shape[-1] != width:
                raise ValueError(
                    f"MultiheadAttention: {name} is {x.shape}; expected a last axis of {width}"
                )
        if key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                "MultiheadAttention: key and value must have the same length and batch; got "
                f"{key.shape} and {value.shape}"
            )
        batch = 0 if self.batch_first else 1
        if query.ndim == 3 and query.shape[batch] != key.shape[batch]:
            raise ValueError(
                f"MultiheadAttention: query {query.shape} and key {key.shape}, {layout}, differ in "
                f"the batch: N is {query.shape[batch]} and {key.shape[batch]}"
            )

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Project queries, keys and values; in self-attention by one matrix product."""
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if weight is not None and query is key is value:
            together: Tensor = ops.linear(query, weight, bias)
            return list(together.split(3, -1))
        own = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        weights: list[Any] = own if weight is None else list(weight.split(3))
        biases: list[Any] = [None] * 3 if bias is None else list(bias.split(3))
        return list(map(ops.linear, (query, key, value), weights, biases))

    def _heads(self, x: Tensor) -> Tensor:
        """(L, N, E), or (N, L, E) with `batch_first`, or (L, E), as (N, h, L, d)."""
        lead = x.shape[:-1] if x.ndim == 3 else (*x.shape[:-1], 1)
        apart = x.reshape(*lead, self.num_heads, self.head_dim)
        return apart.permute_dims(
            (0, 2, 1, 3) if self.batch_first and x.ndim == 3 else (1, 2, 0, 3)
        )

    def _with_extra(self, x: Tensor, learned: Parameter | None) -> Tensor:
        """Keys or values, with the learned one and the one of zeros appended."""
        shape = (x.shape[0], self.num_heads, 1, self.head_dim)
        parts = [x]
        if learned is not None:
            parts.append(ops.broadcast_to(learned.reshape(1, *shape[1:]), shape))
        if self.add_zero_attn:
            parts.append(zeros(shape, x.dtype, device=x.device))
        together: Tensor = ops.concat(parts, axis=2)
        return together

    def _mask(
        self, q: Tensor, columns: int, attn_mask: ArrayLike, padding: ArrayLike, batched: bool
    ) -> Tensor | None:
        """Combine both masks into one that is added to the scores (N, h, L, S)."""
        count, heads, rows, _ = q.shape
        mask = None
        if attn_mask is not None:
            mask = _additive(attn_mask, q, "attn_mask")
            if mask.ndim == 3 and mask.shape == (count * heads, rows, columns):
                mask = mask.reshape(count, heads, rows, columns)
            elif mask.shape != (rows, columns):
                raise ValueError(
                    f"MultiheadAttention: attn_mask is {mask.shape}; expected (L, S) = "
                    f"{(rows, columns)} or (N·heads, L, S) = {(count * heads, rows, columns)}"
                )
        if padding is not None:
            padded = _additive(padding, q, "key_padding_mask")
            wanted = (count, columns) if batched else (columns,)
            if padded.shape != wanted:
                raise ValueError(
                    f"MultiheadAttention: key_padding_mask is {padded.shape}; expected "
                    f"{'(N, S)' if batched else '(S,)'} = {wanted}"
                )
            padded = padded.reshape(count, 1, 1, columns)
            mask = padded if mask is None else mask + padded
        return mask


def _additive(mask: ArrayLike, scores_of: Tensor, name: str = "") -> Tensor:
    """Convert a boolean mask (True = blocked) to one that is added to the scores."""
    mask = asarray(mask, device=scores_of.device)
    if mask.dtype.kind not in "bf":
        raise TypeError(
            f"MultiheadAttention: {name} holds truth values (True = blocked) or floating numbers "
            f"to add, not {mask.dtype}"
        )
    added: Tensor = ops.where(mask, -math.inf, 0.0) if mask.dtype.kind == "b" else mask
    return added.astype(floating_dtype(scores_of.dtype))
