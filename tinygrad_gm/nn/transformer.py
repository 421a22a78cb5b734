"""The Transformer (Vaswani et al. 2017): layers of attention and perceptrons, and their stacks.

Each sublayer's output, after dropout, is added to its input. Layer norm follows that sum
(*post-norm*, as in the paper) or, with `norm_first`, precedes the sublayer (*pre-norm*, Xiong et
al. 2020, which trains without a warm-up). In every boolean mask here True = BLOCKED.

A stack of encoder layers with `is_causal=True` is the body of a decoder-only language model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, ClassVar

from .. import ops
from ..backend import ArrayLike
from ..creation import full, triu
from ..tensor import Tensor, asarray
from . import init
from .attention import KeyValueCache, MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Any], Any]
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": ops.relu, "gelu": ops.gelu}


class _Layer(Module):
    """Base of the encoder's and the decoder's layer: attentions, a perceptron, norms, dropouts."""

    _attentions: ClassVar[tuple[str, ...]]  # the sublayers before the perceptron
    self_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    dropout1: Dropout
    dropout2: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **place
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm_first = norm_first
        numbers = range(1, len(self._attentions) + 2)
        for number in numbers:
            setattr(self, f"norm{number}", LayerNorm(d_model, layer_norm_eps, bias=bias, **place))
        for number in numbers:
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = _function(type(self).__name__, activation)

    def _run(self, x: Any, *sublayers: tuple[Callable[[Any], Any], Module, Module]) -> Tensor:
        """x after the sublayers, each with its norm and its dropout and added to its input."""
        for sublayer, norm, dropout in sublayers:
            if self.norm_first:
                x = x + dropout(sublayer(norm(x)))
            else:
                x = norm(x + dropout(sublayer(x)))
        return x  # type: ignore[no-any-return]

    def _perceptron(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a perceptron; in boolean masks True = BLOCKED (this position is not
    attended to).

        x ← norm1(x + attention(x))          or, norm_first,    x ← x + attention(norm1(x))
        x ← norm2(x + perceptron(x))                            x ← x + perceptron(norm2(x))

    with perceptron(x) = linear2(activation(linear1(x))) (Vaswani et al. 2017, §3.1, §3.3), and
    dropout on the attention weights, after the activation, and on each sublayer's output.

    Args:
        d_model: E, the width of input and output.
        nhead: the number of heads; it divides d_model.
        dim_feedforward: the width of the perceptron's hidden layer.
        dropout: the probability of all dropouts, in training.
        activation: "relu", "gelu", or a function.
        layer_norm_eps: eps of the layer norms.
        batch_first: (N, L, E) instead of (L, N, E).
        norm_first: norm before the sublayer instead of after the sum.
        bias: whether linear maps and norms have a bias.
        device, dtype: of the parameters; None: the defaults.

    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, batch_first=True)
    >>> layer(tg.randn((5, 3, 8))).shape
    (5, 3, 8)
    """

    _attentions = ("self_attn",)

    def forward(
        self,
        src: ArrayLike,
        src_mask: ArrayLike = None,
        src_key_padding_mask: ArrayLike = None,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """The layer's output, of the shape of `src`; in boolean masks True = BLOCKED.

        Args:
            src: (L, N, E), (N, L, E) with `batch_first`, or (L, E).
            src_mask: (L, L), or (N·nhead, L, L).
            src_key_padding_mask: (N, L), or (L,) without a batch.
            is_causal: no position attends to later ones, in addition to the masks.
            cache: of earlier positions, for decoding step by step; see `MultiheadAttention`.
        """

        def attend(x: Any) -> Any:
            masks = src_key_padding_mask, False, src_mask, True, is_causal
            return self.self_attn(x, x, x, *masks, cache)[0]

        first = attend, self.norm1, self.dropout1
        return self._run(asarray(src), first, (self._perceptron, self.norm2, self.dropout2))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, a perceptron; in masks True = BLOCKED.

        x ← norm1(x + attention(x))          or, norm_first,    x ← x + attention(norm1(x))
        x ← norm2(x + attention(x, memory))                     x ← x + attention(norm2(x), memory)
        x ← norm3(x + perceptron(x))                            x ← x + perceptron(norm3(x))

    (Vaswani et al. 2017, §3.1). The arguments are those of `TransformerEncoderLayer`.

    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2)
    >>> layer(tg.randn((3, 5, 8)), memory=tg.randn((4, 5, 8)), tgt_is_causal=True).shape
    (3, 5, 8)
    """

    _attentions = ("self_attn", "multihead_attn")
    multihead_attn: MultiheadAttention
    norm3: LayerNorm
    dropout3: Dropout

    def forward(
        self,
        tgt: ArrayLike,
        memory: ArrayLike,
        tgt_mask: ArrayLike = None,
        memory_mask: ArrayLike = None,
        tgt_key_padding_mask: ArrayLike = None,
        memory_key_padding_mask: ArrayLike = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """The layer's output, of the shape of `tgt`; in boolean masks True = BLOCKED.

        Args:
            tgt: (L, N, E), (N, L, E) with `batch_first`, or (L, E).
            memory: the encoder's output, (S, N, E) likewise.
            tgt_mask: (L, L), or (N·nhead, L, L).
            memory_mask: (L, S), or (N·nhead, L, S).
            tgt_key_padding_mask: (N, L), or (L,) without a batch.
            memory_key_padding_mask: (N, S), or (S,).
            tgt_is_causal: no position attends to later ones, in addition to the masks.
            memory_is_causal: position i attends to the memory up to i only.
            cache: of earlier positions of tgt, for decoding step by step.
        """

        def attend(x: Any) -> Any:
            masks = tgt_key_padding_mask, False, tgt_mask, True, tgt_is_causal
            return self.self_attn(x, x, x, *masks, cache)[0]

        def look_up(x: Any) -> Any:
            masks = memory_key_padding_mask, False, memory_mask, True, memory_is_causal
            return self.multihead_attn(x, memory, memory, *masks)[0]

        first, second = (attend, self.norm1, self.dropout1), (look_up, self.norm2, self.dropout2)
        third = self._perceptron, self.norm3, self.dropout3
        return self._run(asarray(tgt), first, second, third)


class _Stack(Module):
    """Base of the two stacks: copies of one layer, and perhaps a norm at the end."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.norm = norm

    def _run(self, x: Any, caches: Sequence[KeyValueCache] | None, *arguments: Any) -> Any:
        """The last layer's output; each layer is called with the arguments and its cache."""
        count = len(self.layers)
        if caches is not None and len(caches) != count:
            raise ValueError(
                f"{type(self).__name__}: expected one cache per layer, {count}; got {len(caches)}"
            )
        for layer, cache in zip(self.layers, caches or repeat(None), strict=False):
            x = layer(x, *arguments, cache)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """A stack of encoder layers, and perhaps a norm at the end; in masks True = BLOCKED.

    Args:
        encoder_layer: a layer; the stack has deep copies of it, which start from equal weights.
        num_layers: number of layers.
        norm: a module applied after the last layer, or None; a pre-norm stack needs one.

    >>> stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), num_layers=2)
    >>> stack(tg.randn((3, 5, 8)), is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: ArrayLike,
        mask: ArrayLike = None,
        src_key_padding_mask: ArrayLike = None,
        is_causal: bool = False,
        caches: Sequence[KeyValueCache] | None = None,
    ) -> Any:
        """The last layer's output; arguments as `TransformerEncoderLayer`'s, a cache per layer.

        >>> stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), num_layers=2).eval()
        >>> caches = [nn.KeyValueCache() for _ in stack.layers]
        >>> with tg.no_grad():
        ...     steps = [stack(x, is_causal=True, caches=caches) for x in tg.randn((3, 1, 5, 8))]
        >>> len(caches[1])
        3
        """
        return self._run(src, caches, mask, src_key_padding_mask, is_causal)


class TransformerDecoder(_Stack):
    """A stack of decoder layers, and perhaps a norm at the end; in masks True = BLOCKED.

    Args:
        decoder_layer: a layer; the stack has deep copies of it, which start from equal weights.
        num_layers: number of layers.
        norm: a module applied after the last layer, or None; a pre-norm stack needs one.

    >>> stack = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), num_layers=2)
    >>> stack(tg.randn((3, 5, 8)), memory=tg.randn((4, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: ArrayLike,
        memory: ArrayLike,
        tgt_mask: ArrayLike = None,
        memory_mask: ArrayLike = None,
        tgt_key_padding_mask: ArrayLike = None,
        memory_key_padding_mask: ArrayLike = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        caches: Sequence[KeyValueCache] | None = None,
    ) -> Any:
        """The last layer's output; arguments as `TransformerDecoderLayer`'s, a cache per layer."""
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self._run(tgt, caches, memory, *masks, tgt_is_causal, memory_is_causal)


class Transformer(Module):
    """Encoder and decoder (Vaswani et al. 2017); in boolean masks True = BLOCKED.

    As in PyTorch, both stacks end in a layer norm, which the paper's do not; embeddings, positional
    encoding and the output's linear map are the user's. All matrices are Glorot-uniform.

    Args:
        d_model: E, the width of input and output.
        nhead: the number of heads; it divides d_model.
        num_encoder_layers, num_decoder_layers: number of layers of each stack.
        dim_feedforward, dropout, activation: of the layers, as are layer_norm_eps, batch_first,
            norm_first, bias, device and dtype: see `TransformerEncoderLayer`.
        custom_encoder, custom_decoder: modules used instead of the stacks.

    >>> model = nn.Transformer(8, 2, num_encoder_layers=1, num_decoder_layers=1)
    >>> mask = nn.Transformer.generate_square_subsequent_mask(3)
    >>> model(tg.randn((4, 5, 8)), tg.randn((3, 5, 8)), tgt_mask=mask).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        sizes = d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps
        options = batch_first, norm_first, bias, device, dtype

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            layer = TransformerEncoderLayer(*sizes, *options)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is None:
            other = TransformerDecoderLayer(*sizes, *options)
            custom_decoder = TransformerDecoder(other, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise all matrices; the vectors keep their values."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: ArrayLike,
        tgt: ArrayLike,
        src_mask: ArrayLike = None,
        tgt_mask: ArrayLike = None,
        memory_mask: ArrayLike = None,
        src_key_padding_mask: ArrayLike = None,
        tgt_key_padding_mask: ArrayLike = None,
        memory_key_padding_mask: ArrayLike = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """The decoder's output for `tgt` (L, N, E), given the encoder's for `src` (S, N, E).

        With `batch_first` (N, L, E) and (N, S, E); without a batch (L, E) and (S, E). The masks and
        flags go to `TransformerEncoderLayer` and `TransformerDecoderLayer`.

        Raises:
            ValueError: src and tgt differ in the batch, or are not d_model wide.
        """
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: str | None = None, dtype: Any = None
    ) -> Tensor:
        """The causal mask (sz, sz): 0 up to the diagonal, −inf above it.

        >>> nn.Transformer.generate_square_subsequent_mask(2).tolist()
        [[0.0, -inf], [0.0, 0.0]]
        """
        mask: Tensor = triu(full((sz, sz), float("-inf"), dtype, device=device), 1)
        return mask


def _function(layer: str, activation: Activation) -> Callable[[Any], Any]:
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(
            f'{layer}: activation is {activation!r}; expected "relu", "gelu" or a function'
        )
    return ACTIVATIONS[activation]
