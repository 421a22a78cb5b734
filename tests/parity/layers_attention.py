"""Attention with every kind of mask, and the Transformer: layers, stacks, the whole.

No row is blocked entirely: PyTorch gives NaN there. In training the dropout is 0, in evaluation
any.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from drawing import Draw
from layers import Call, Layer

import tinygrad_gm as tg
from tinygrad_gm import nn

EVALUATION = (False,)
NORMED = (3, 4)  # layer norm leaves nothing of the gradient of one or two numbers


@dataclass(frozen=True)
class Stirred(Layer):
    """A layer whose biases and norms are not what they start from, else they would not matter."""

    def ours(self, arguments: dict[str, Any]) -> Any:
        module = self.made(nn, arguments)
        for parameter in module.parameters() if arguments is not self.large else []:
            parameter.data += tg.randn(parameter.shape) * 0.3
        return module

    def theirs(self, arguments: dict[str, Any]) -> Any:
        with warnings.catch_warnings(action="ignore"):  # nested tensors cannot be used, it says
            return self.made(torch.nn, arguments)

    def made(self, library: Any, arguments: dict[str, Any]) -> Any:
        """The module of one of the two libraries."""
        return getattr(library, self.name.partition(" (")[0])(**arguments)


class Stack(Stirred):
    """A stack, made from the arguments of a layer, a height, and whether there is a norm."""

    def made(self, library: Any, arguments: dict[str, Any]) -> Any:
        of_layer = dict(arguments)
        height, normed = of_layer.pop("num_layers"), of_layer.pop("norm")
        kind = self.name.partition(" (")[0]
        layer = getattr(library, f"{kind}Layer")(**of_layer)
        norm = library.LayerNorm(of_layer["d_model"]) if normed else None
        return getattr(library, kind)(layer, height, norm=norm)


@dataclass(frozen=True)
class Sizes:
    """Batch, lengths of queries and keys, heads and width; in half of the draws L = S = heads."""

    batch: int
    rows: int
    columns: int
    heads: int
    width: int


def sizes(d: Draw, head_width: tuple[int, int] = (1, 3)) -> Sizes:
    """Draws them."""
    heads = d.integer(1, 3)
    rows, columns = (heads, heads) if d.chance(0.5) else (d.integer(1, 4), d.integer(1, 4))
    return Sizes(d.integer(1, 3), rows, columns, heads, heads * d.integer(*head_width))


def mask(d: Draw, shape: tuple[int, ...], numbers: bool) -> Any:
    """True = blocked, never the first key; or numbers, some of them −inf."""
    blocked = np.array(d.booleans(shape, 0.4))
    blocked[..., 0] = False
    if not numbers:
        return blocked
    return np.where(blocked, -np.inf, d.floats(shape)).astype(d.dtype)


def attention_masks(d: Draw, s: Sizes, rows: int, columns: int) -> list[Any]:
    """A mask of pairs, (L, S) or one per head, and one of padding, of one kind; or None of them."""
    numbers = d.chance(0.4)
    of_pairs = [(rows, columns), (s.batch * s.heads, rows, columns)]
    pairs = mask(d, d.one_of(of_pairs), numbers) if d.chance(0.7) else None
    padding = mask(d, (s.batch, columns), numbers) if d.chance(0.5) else None
    return [pairs, padding]


def sequence(d: Draw, batch: int, length: int, width: int, batch_first: bool) -> Any:
    return d.floats((batch, length, width) if batch_first else (length, batch, width))


def attention(other_widths: bool = False, dropout: bool = False) -> Callable[[Draw], Call]:
    """Cross-attention of different lengths; the weights too, for each head or their mean."""

    def draw(d: Draw) -> Call:
        s, batch_first = sizes(d), d.chance(0.5)
        kdim, vdim = (d.integer(1, 5), d.integer(1, 5)) if other_widths else (s.width, s.width)
        arguments = {
            "embed_dim": s.width,
            "num_heads": s.heads,
            "dropout": d.number(0.1, 0.9) if dropout else 0.0,
            "bias": d.chance(0.7),
            "add_bias_kv": d.chance(0.3),
            "add_zero_attn": d.chance(0.3),
            "batch_first": batch_first,
            **({"kdim": kdim, "vdim": vdim} if other_widths else {}),
        }
        q = sequence(d, s.batch, s.rows, s.width, batch_first)
        k = sequence(d, s.batch, s.columns, kdim, batch_first)
        v = sequence(d, s.batch, s.columns, vdim, batch_first)
        pairs, padding = attention_masks(d, s, s.rows, s.columns)
        keywords = {
            "key_padding_mask": padding,
            "need_weights": d.chance(0.6),
            "attn_mask": pairs,
            "average_attn_weights": d.chance(0.5),
        }
        return Call(arguments, (q, k, v), d.dtype, keywords)

    return draw


def without_batch(d: Draw) -> Call:
    """One sample (L, E)."""
    s = sizes(d)
    q, k = d.floats((s.rows, s.width)), d.floats((s.columns, s.width))
    numbers = d.chance(0.4)
    pairs = d.one_of([(s.rows, s.columns), (s.heads, s.rows, s.columns)])
    keywords = {
        "attn_mask": mask(d, pairs, numbers),
        "key_padding_mask": mask(d, (s.columns,), numbers) if d.chance(0.5) else None,
        "need_weights": d.chance(0.6),
        "average_attn_weights": d.chance(0.5),
    }
    arguments = {"embed_dim": s.width, "num_heads": s.heads, "batch_first": d.chance(0.5)}
    return Call(arguments, (q, k, d.floats((s.columns, s.width))), d.dtype, keywords)


def layer_arguments(d: Draw, s: Sizes, dropout: bool) -> dict[str, Any]:
    return {
        "d_model": s.width,
        "nhead": s.heads,
        "dim_feedforward": d.integer(1, 6),
        "dropout": d.number(0.1, 0.9) if dropout else 0.0,
        "activation": d.one_of(["relu", "gelu"]),
        "layer_norm_eps": d.one_of([1e-5, 1e-2]),
        "batch_first": d.chance(0.5),
        "norm_first": d.chance(0.5),
        "bias": d.chance(0.7),
    }


def causal(d: Draw, s: Sizes, length: int) -> list[Any]:
    """The causal mask, said to be causal, and perhaps padding; or any mask."""
    if d.chance(0.5):
        padding = mask(d, (s.batch, length), numbers=False) if d.chance(0.5) else None
        return [~np.tri(length, dtype=bool), padding, True]
    return [*attention_masks(d, s, length, length), False]


def height(d: Draw) -> dict[str, Any]:
    return {"num_layers": d.integer(1, 3), "norm": d.chance(0.5)}


def encoder(dropout: bool = False, stacked: bool = False) -> Callable[[Draw], Call]:
    """One sequence that attends to itself."""

    def draw(d: Draw) -> Call:
        s = sizes(d, NORMED)
        arguments = layer_arguments(d, s, dropout)
        x = sequence(d, s.batch, s.rows, s.width, arguments["batch_first"])
        pairs, padding, is_causal = causal(d, s, s.rows)
        keywords = {
            "mask" if stacked else "src_mask": pairs,
            "src_key_padding_mask": padding,
            "is_causal": is_causal,
        }
        return Call({**arguments, **(height(d) if stacked else {})}, (x,), d.dtype, keywords)

    return draw


def decoder(dropout: bool = False, stacked: bool = False) -> Callable[[Draw], Call]:
    """A sequence that attends to itself and to another of another length."""

    def draw(d: Draw) -> Call:
        s = sizes(d, NORMED)
        arguments = layer_arguments(d, s, dropout)
        x = sequence(d, s.batch, s.rows, s.width, arguments["batch_first"])
        memory = sequence(d, s.batch, s.columns, s.width, arguments["batch_first"])
        tgt_mask, tgt_padding, is_causal = causal(d, s, s.rows)
        memory_mask, memory_padding = attention_masks(d, s, s.rows, s.columns)
        keywords = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_padding,
            "memory_key_padding_mask": memory_padding,
            "tgt_is_causal": is_causal,
        }
        made = {**arguments, **(height(d) if stacked else {})}
        return Call(made, (x, memory), d.dtype, keywords)

    return draw


def whole(dropout: bool = False) -> Callable[[Draw], Call]:
    """Source and target, with masks for each of the three attentions."""

    def draw(d: Draw) -> Call:
        s = sizes(d, NORMED)
        arguments = layer_arguments(d, s, dropout)
        arguments["num_encoder_layers"], arguments["num_decoder_layers"] = 1, d.integer(1, 2)
        src = sequence(d, s.batch, s.columns, s.width, arguments["batch_first"])
        tgt = sequence(d, s.batch, s.rows, s.width, arguments["batch_first"])
        src_mask, src_padding, src_is_causal = causal(d, s, s.columns)
        tgt_mask, tgt_padding, tgt_is_causal = causal(d, s, s.rows)
        memory_mask, memory_padding = attention_masks(d, s, s.rows, s.columns)
        keywords = {
            "src_mask": src_mask,
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "src_key_padding_mask": src_padding,
            "tgt_key_padding_mask": tgt_padding,
            "memory_key_padding_mask": memory_padding,
            "src_is_causal": src_is_causal,
            "tgt_is_causal": tgt_is_causal,
        }
        return Call(arguments, (src, tgt), d.dtype, keywords)

    return draw


LARGE = {"embed_dim": 48, "num_heads": 4}
LARGE_LAYER = {"d_model": 32, "nhead": 4, "dim_feedforward": 48}
LARGE_STACK = {**LARGE_LAYER, "num_layers": 2, "norm": True}

LAYERS = [
    Stirred("MultiheadAttention", attention(), large=LARGE),
    Stirred(
        "MultiheadAttention (other widths)",
        attention(other_widths=True),
        large={**LARGE, "kdim": 30, "vdim": 20, "add_bias_kv": True},
    ),
    Stirred("MultiheadAttention (no batch)", without_batch),
    Stirred("MultiheadAttention (dropout)", attention(dropout=True), modes=EVALUATION),
    Stirred("TransformerEncoderLayer", encoder(), large=LARGE_LAYER),
    Stirred("TransformerEncoderLayer (dropout)", encoder(dropout=True), modes=EVALUATION),
    Stirred("TransformerDecoderLayer", decoder(), large=LARGE_LAYER),
    Stirred("TransformerDecoderLayer (dropout)", decoder(dropout=True), modes=EVALUATION),
    Stack("TransformerEncoder", encoder(stacked=True), large=LARGE_STACK),
    Stack("TransformerEncoder (dropout)", encoder(True, stacked=True), modes=EVALUATION),
    Stack("TransformerDecoder", decoder(stacked=True), large=LARGE_STACK),
    Stack("TransformerDecoder (dropout)", decoder(True, stacked=True), modes=EVALUATION),
    Stirred("Transformer", whole(), large={**LARGE_LAYER, "num_encoder_layers": 1}),
    Stirred("Transformer (dropout)", whole(dropout=True), modes=EVALUATION),
]
