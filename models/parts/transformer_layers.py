"""The layers of a Transformer (Vaswani et al. 2017): embeddings, attention, perceptrons, norms.

**Attention** (section 3.2.1). A query q asks, keys k_j answer, and the output is the mean of the
values v_j, weighted by how well query and key agree:

    attention(q, k, v) = softmax(q kᵀ / √d) v.

The scores of independent q and k of unit variance have variance d; divided by √d they have variance
1, and the softmax is not saturated at the start. *Heads* (section 3.2.2) are several attentions in
parallel, each in a subspace of its own: one may look at the previous token while another looks for
the verb.

**Masks** say where attention is allowed. Here 0 (or False) = BLOCKED, as in the study notes: the
opposite of the boolean masks of `nn.MultiheadAttention` and `nn.Transformer`. The encoder must not
attend to padding, the decoder neither to padding nor to later positions, which it has to predict.

**Positions** (section 3.5). Attention is a sum and does not depend on the order of its terms, so
the code of its position is added to each embedding: sines and cosines of several frequencies. The
code of p + k is a rotation of that of p, by angles that depend on k only: "three to the left" is a
linear map.

**Sublayers** (section 3.1). An attention, or a perceptron that acts on each position, is added to
its input, and a layer norm limits the sum:

    post-norm   x ← norm(x + dropout(sublayer(x)))        the paper
    pre-norm    x ← x + dropout(sublayer(norm(x)))        Xiong et al. 2020

The names, arguments and attributes of the classes are those of the study notes, and of Rush's
"The Annotated Transformer" (2018) where the notes have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn

Caches = tuple[nn.KeyValueCache, nn.KeyValueCache]  # of the two attentions of a decoder layer


class Embeddings(nn.Module):
    """The learned vector of each token, times √d_model.

    The vectors are drawn from N(0, 1/d_model), so the product has unit variance, as large as the
    positional code (section 3.4).

    Args:
        d_model: width of the vectors.
        vocab: number of different tokens.

    Shapes: integers (…) in [0, vocab) → (…, d_model). `lut` is the `nn.Embedding`.

    >>> Embeddings(d_model=512, vocab=11)(tg.tensor([[1, 2, 3]])).shape
    (1, 3, 512)
    """

    def __init__(self, d_model: int, vocab: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.lut = nn.Embedding(vocab, d_model)
        nn.init.normal_(self.lut.weight, std=d_model**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """lut(tokens) · √d_model."""
        vectors: Tensor = self.lut(tokens) * math.sqrt(self.d_model)
        return vectors


class PositionalEncoding(nn.SinusoidalPositionalEncoding):
    """x plus the sinusoidal code of each position, then dropout; see the base class.

    Two differences: the buffer `pe` (1, max_len, d_model) is in the state dict, and positions can
    be given, so that a sequence means the same with padding before it.

    Args:
        d_model: width of x.
        max_len: largest number of positions.
        dropout: probability of dropping an element of the sum, in training.

    >>> PositionalEncoding(d_model=5, max_len=10)(tg.zeros((1, 2, 5))).round(2).tolist()[0][0]
    [0.0, 1.0, 0.0, 1.0, 0.0]
    """

    def __init__(self, d_model: int, max_len: int = 5000, dropout: float = 0.0) -> None:
        super().__init__(d_model, max_len, dropout)
        code = self.pe[None]
        del self.pe  # which is not in the state dict
        self.register_buffer("pe", code)

    def forward(self, x: Tensor, start: int = 0, positions: Tensor | None = None) -> Tensor:
        """x (N, L, d_model) plus the codes of L positions.

        Args:
            x: embeddings.
            start: the first position.
            positions: integers (L,) or (N, L), used instead of start, start + 1, ….

        Raises:
            ValueError: a position is not in [0, max_len), or the width is not d_model.
        """
        if x.ndim != 3 or x.shape[2] != self.d_model:
            raise ValueError(
                f"PositionalEncoding: expected (N, L, d_model) with d_model = {self.d_model}; got "
                f"{x.shape}"
            )
        if positions is None:
            positions = tg.arange(start, start + x.shape[1], device=x.device)
        if positions.size and not 0 <= positions.min() <= positions.max() < self.max_len:
            raise ValueError(
                f"PositionalEncoding: positions {int(positions.min())} … {int(positions.max())}; "
                f"there are {self.max_len} (max_len), from 0"
            )
        out: Tensor = self.dropout(x + F.embedding(positions, self.pe[0]))
        return out


class MultiHeadAttention(nn.Module):
    """Multi-head attention; in masks 0 (or False) = BLOCKED, the opposite of
    `nn.MultiheadAttention`.

        headᵢ = softmax(qᵢ kᵢᵀ/√d) vᵢ       with [q₁ … qₕ] = wq(query), [k₁ … kₕ] = wk(key), …
        out = out_linear([head₁ … headₕ])

    A query that may attend to nothing gets 0 from every head, and zero gradient.

    Args:
        d_model: width of queries, keys, values and output.
        n_head: number of heads h; it divides d_model.

    The four linear maps are `wq`, `wk`, `wv` and `out_linear`.

    Raises:
        ValueError: n_head does not divide d_model.

    >>> attention = MultiHeadAttention(d_model=512, n_head=8)
    >>> query, memory = tg.randn((16, 32, 512)), tg.randn((16, 7, 512))
    >>> attention(query, memory, memory).shape
    (16, 32, 512)
    >>> causal = tg.tril(tg.ones((16, 32, 32)))
    >>> attention(query, query, query, causal).shape
    (16, 32, 512)
    """

    def __init__(self, d_model: int, n_head: int) -> None:
        super().__init__()
        if d_model < 1 or n_head < 1 or d_model % n_head:
            raise ValueError(
                f"MultiHeadAttention: d_model {d_model} must be divisible by n_head {n_head}"
            )
        self.d_model, self.n_head = d_model, n_head
        self.wq = nn.Linear(d_model, d_model)
        self.wk = nn.Linear(d_model, d_model)
        self.wv = nn.Linear(d_model, d_model)
        self.out_linear = nn.Linear(d_model, d_model)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        cache: nn.KeyValueCache | None = None,
    ) -> Tensor:
        """Return the output (N, L, d_model).

        Args:
            query: (N, L, d_model).
            key: (N, S, d_model).
            value: (N, S, d_model).
            mask: 0 = BLOCKED; (S,) the same for all queries, (L, S) for all samples, (N, L, S) for
                all heads, or (N, h, L, S). A size may be 1 instead.
            cache: keys and values of earlier calls, to which these are appended; S counts them all.

        Raises:
            ValueError: shapes that do not fit, or a mask of numbers to add to the scores.
        """
        self._check(query, key, value)
        q, k, v = self._heads(query, key, value)
        if cache is not None:
            k, v = cache.append(k, v)
        heads = F.scaled_dot_product_attention(q, k, v, _fitted(mask, (*q.shape[:3], k.shape[2])))
        joined = heads.permute_dims((0, 2, 1, 3)).reshape(query.shape)
        out: Tensor = self.out_linear(joined)
        return out

    def weights(self, query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
        """The weights of the heads, (N, h, L, S): each row sums to 1, or is 0 if all is blocked."""
        self._check(query, key, key)
        q, k, _ = self._heads(query, key, key)
        one_hot = tg.eye(k.shape[2], dtype=k.dtype, device=k.device)  # of each key, as its value
        shape = *q.shape[:3], k.shape[2]
        return F.scaled_dot_product_attention(q, k, one_hot, _fitted(mask, shape))

    def _heads(self, *inputs: Tensor) -> list[Tensor]:
        """Query, key and value (N, L, d_model), projected and split into heads (N, h, L, d)."""
        maps = self.wq, self.wk, self.wv
        projected = [linear(x) for linear, x in zip(maps, inputs, strict=True)]
        shape = self.n_head, self.d_model // self.n_head
        return [x.reshape(*x.shape[:2], *shape).permute_dims((0, 2, 1, 3)) for x in projected]

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = query.shape, key.shape, value.shape
        if (
            any(len(shape) != 3 or shape[2] != self.d_model for shape in shapes)
            or key.shape != value.shape
            or query.shape[0] != key.shape[0]
        ):
            raise ValueError(
                "MultiHeadAttention: expected a query (N, L, d_model), and a key and a value "
                f"(N, S, d_model), with d_model = {self.d_model}; got {', '.join(map(str, shapes))}"
            )


def _fitted(mask: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """A mask, 0 = blocked, as booleans that broadcast to the scores (N, h, L, S)."""
    if mask is None:
        return None
    mask = tg.asarray(mask)
    if mask.dtype.kind == "f" and bool((mask < 0).any()):
        raise ValueError(
            "MultiHeadAttention: in a mask 0 = blocked and 1 = open; this one has negative numbers,"
            " as one that is added to the scores"
        )
    full = mask[:, None] if mask.ndim == 3 else mask
    sizes = shape[len(shape) - full.ndim :]
    if full.ndim > 4 or any(n not in (1, m) for n, m in zip(full.shape, sizes, strict=True)):
        n, _, rows, columns = shape
        raise ValueError(
            f"MultiHeadAttention: the mask is {mask.shape}; expected (S,) = {(columns,)}, (L, S) = "
            f"{(rows, columns)}, (N, L, S) = {(n, rows, columns)} or (N, heads, L, S) = {shape}"
        )
    found: Tensor = full != 0
    return found


class FeedForward(nn.Module):
    """fc2(dropout(relu(fc1(x)))): a perceptron for each position (section 3.3).

    Args:
        d_model: width of input and output.
        hidden_dim: width of the hidden layer.
        dropout: probability of dropping a hidden unit, in training.

    >>> FeedForward(d_model=8, hidden_dim=32)(tg.zeros((5, 3, 8))).shape
    (5, 3, 8)
    """

    def __init__(self, d_model: int, hidden_dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (…, d_model) → (…, d_model)."""
        out: Tensor = self.fc2(self.dropout(F.relu(self.fc1(x))))
        return out


class LayerNorm(nn.Module):
    """gamma · (x − μ)/√(σ² + eps) + beta over the last axis; see `nn.LayerNorm`.

    gamma starts at 1, beta at 0; σ² is the biased variance.

    Args:
        d_model: width of x.
        eps: added to the variance.

    >>> LayerNorm(2)(tg.tensor([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(tg.ones(d_model))
        self.beta = nn.Parameter(tg.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """x (…, d_model) → (…, d_model)."""
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, self.eps)


class SublayerConnection(nn.Module):
    """A sublayer with its dropout, added to its input, with a norm after or before.

    Args:
        d_model: width of x.
        dropout: probability of dropping an element of the sublayer's output, in training.
        norm_first: pre-norm instead of post-norm.
    """

    def __init__(self, d_model: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm = LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """norm(x + dropout(sublayer(x))), or x + dropout(sublayer(norm(x)))."""
        if self.norm_first:
            out: Tensor = x + self.dropout(sublayer(self.norm(x)))
        else:
            out = self.norm(x + self.dropout(sublayer(x)))
        return out


class EncoderLayer(nn.Module):
    """Self-attention, then a perceptron; in masks 0 = BLOCKED.

    Args:
        d_model, n_head: of the attention.
        hidden_dim, dropout: of the perceptron; the dropout also of the sublayers.
        norm_first: pre-norm instead of post-norm.

    >>> layer = EncoderLayer(d_model=8, n_head=2, hidden_dim=32, dropout=0.1, norm_first=False)
    >>> layer(tg.zeros((5, 3, 8)), mask=tg.tensor([1, 1, 0])).shape
    (5, 3, 8)
    """

    def __init__(
        self, d_model: int, n_head: int, hidden_dim: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(d_model, n_head)
        self.feed_forward = FeedForward(d_model, hidden_dim, dropout)
        self.sublayer = nn.ModuleList(
            SublayerConnection(d_model, dropout, norm_first) for _ in range(2)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (N, S, d_model) → (N, S, d_model)."""
        attention, perceptron = self.sublayer
        x = attention(x, lambda x: self.self_attn(x, x, x, mask))
        out: Tensor = perceptron(x, self.feed_forward)
        return out


class DecoderLayer(nn.Module):
    """Self-attention, attention to the memory, a perceptron; in masks 0 = BLOCKED.

    The arguments are those of `EncoderLayer`.

    >>> layer = DecoderLayer(d_model=8, n_head=2, hidden_dim=32, dropout=0.1, norm_first=False)
    >>> layer(tg.zeros((5, 3, 8)), memory=tg.zeros((5, 7, 8))).shape
    (5, 3, 8)
    """

    def __init__(
        self, d_model: int, n_head: int, hidden_dim: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(d_model, n_head)
        self.src_attn = MultiHeadAttention(d_model, n_head)
        self.feed_forward = FeedForward(d_model, hidden_dim, dropout)
        self.sublayer = nn.ModuleList(
            SublayerConnection(d_model, dropout, norm_first) for _ in range(3)
        )

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        caches: Caches | None = None,
    ) -> Tensor:
        """x (N, L, d_model) and the memory (N, S, d_model) → (N, L, d_model).

        With caches, of self-attention and of attention to the memory, x and the memory are the new
        positions only: the memory is whole in the first step, and empty in the others.
        """
        own, other = caches or (None, None)
        attention, look_up, perceptron = self.sublayer
        x = attention(x, lambda x: self.self_attn(x, x, x, tgt_mask, own))
        x = look_up(x, lambda x: self.src_attn(x, memory, memory, src_mask, other))
        out: Tensor = perceptron(x, self.feed_forward)
        return out
