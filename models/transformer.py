"""Transformer: an encoder and a decoder made of attention (Vaswani et al. 2017).

**The task.** Translate a sequence x of tokens into another one, y. The chain rule makes one
distribution over sequences of one conditional distribution per token,

    p(y | x) = Π_i p(y_i | y_1, …, y_{i−1}, x),

and −ln p is a sum of cross-entropies. The *encoder* turns x into one vector per token, the memory.
The *decoder* reads the memory and the tokens before i, and returns the logits of y_i. In training y
is known, so all positions are computed at once: no recurrence, and a path of one layer between any
two tokens.

    x → [ encoder: N × (self-attention, perceptron) ] → memory
                                                           ↓
    y → [ decoder: N × (causal self-attention, attention to the memory, perceptron) ] → logits

The layers, with attention, masks, positional code, pre- and post-norm, are in
`parts.transformer_layers`. In all masks here 0 (or False) = BLOCKED.

**Training** (sections 5.3 and 5.4). The learning rate of Adam rises for `warm_up` steps, then falls
as 1/√t (`optim.lr_scheduler.NoamLR`); post-norm networks diverge without the rise. *Label
smoothing* assigns a share ε of the target to all tokens alike. Dropout acts on the embeddings,
inside the perceptrons and on the output of each sublayer.

**Decoding** is step by step, greedy or by beam search: `parts.beam_search`. The tasks are in
`parts.sequence_pairs`: copying and reversing letters, and writing dates in words as ISO 8601.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .parts import sequence_pairs
from .parts.sequence_pairs import END, START, Pair, Task
from .parts.transformer_layers import (
    Caches,
    DecoderLayer,
    Embeddings,
    EncoderLayer,
    FeedForward,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    SublayerConnection,
)

__all__ = [
    "Config",
    "Decoder",
    "DecoderLayer",
    "Embeddings",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "LayerNorm",
    "MultiHeadAttention",
    "PositionalEncoding",
    "SublayerConnection",
    "Transformer",
    "Translator",
    "build",
    "causal_mask",
    "exact",
    "example",
    "from_annotated",
    "generate",
    "judge",
    "loss",
    "padding_mask",
    "restore",
    "to_annotated",
    "train",
]

TRAINING_TIME = "about a minute on one core"
V = TypeVar("V")

# The names of the parts here and in The Annotated Transformer.
ANNOTATED = {
    "wq": "linears.0",
    "wk": "linears.1",
    "wv": "linears.2",
    "out_linear": "linears.3",
    "fc1": "w_1",
    "fc2": "w_2",
    "gamma": "a_2",
    "beta": "b_2",
    "generator": "generator.proj",
}


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults copy or reverse 20 letters, or translate dates."""

    task: str = option("reverse", "task to learn", choices=sequence_pairs.TASKS)
    symbols: int = option(20, "number of letters to copy or reverse", most=26)
    length: int = option(20, "number of letters in a sequence", most=1000)
    num_layers: int = option(2, "number of layers of encoder and decoder")
    d_model: int = option(64, "width of the vectors")
    n_head: int = option(4, "number of heads of each attention; it divides the width")
    hidden_dim: int = option(256, "width of the hidden layers of the perceptrons")
    norm_first: bool = option(False, "layer norms before the sublayers instead of after")
    tie: bool = option(False, "share the matrix of embeddings and output layer")
    dropout: float = option(0.0, "probability of dropping", most=1)
    label_smoothing: float = option(0.1, "share of a target given to all tokens alike", most=1)
    factor: float = option(0.5, "factor of the learning rate of the paper")
    warm_up: int = option(400, "number of steps in which the learning rate rises")
    pairs: int = option(12_800, "number of new pairs in an epoch")
    epochs: int = option(3, "number of epochs", least=0)
    batch_size: int = option(32, "number of pairs per step")
    seed: int = option(0, "seed of the weights and the pairs", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.d_model % self.n_head:
            raise ValueError(
                f"transformer: n_head {self.n_head} does not divide d_model {self.d_model}"
            )


def padding_mask(tokens: Tensor, padding: int = 0) -> Tensor:
    """Where tokens (N, L) are not padding, for all queries alike: booleans (N, 1, L).

    >>> padding_mask(tg.tensor([[5, 6, 0]])).tolist()
    [[[True, True, False]]]
    """
    mask: Tensor = (tokens != padding)[:, None]
    return mask


def causal_mask(length: int, device: str | None = None) -> Tensor:
    """Where a position may attend, to itself and to earlier ones: booleans (length, length).

    >>> causal_mask(2).tolist()
    [[True, False], [True, True]]
    """
    return tg.tril(tg.ones((length, length), tg.bool, device=device))


class Encoder(nn.Module):
    """A stack of encoder layers, which a pre-norm stack ends with a norm."""

    def __init__(self, layers: Sequence[EncoderLayer], norm: LayerNorm | None = None) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), norm

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (N, S, d_model) → (N, S, d_model)."""
        for layer in self.layers:
            x = layer(x, mask)
        if self.norm is not None:
            x = self.norm(x)
        return x


class Decoder(nn.Module):
    """A stack of decoder layers, which a pre-norm stack ends with a norm."""

    def __init__(self, layers: Sequence[DecoderLayer], norm: LayerNorm | None = None) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), norm

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        caches: Sequence[Caches] | None = None,
    ) -> Tensor:
        """x (N, L, d_model) and the memory (N, S, d_model) → (N, L, d_model)."""
        for i, layer in enumerate(self.layers):
            x = layer(x, memory, src_mask, tgt_mask, caches[i] if caches else None)
        if self.norm is not None:
            x = self.norm(x)
        return x


class Transformer(nn.Module):
    """Encoder and decoder with embeddings and output layer; in masks 0 = BLOCKED.

    The defaults are the paper's base model. All matrices but the embeddings start Glorot-uniform.

    Args:
        src_vocab, tgt_vocab: numbers of different tokens of x and of y.
        num_layers: number of layers of the encoder, and of the decoder.
        d_model: width of the vectors.
        n_head: number of heads of each attention.
        hidden_dim: width of the hidden layers of the perceptrons.
        dropout: probability of dropping, in training.
        max_len: largest length of a sequence.
        norm_first: pre-norm instead of post-norm; then a norm ends either stack.
        tie: share one matrix between both embeddings and the output layer, which then has no bias
            (section 3.4).
        padding: token that fills a batch. It is not attended to and does not count as a position,
            so a sequence has the same logits with padding before it, after it, and without.

    Raises:
        ValueError: `tie` with two vocabularies, or sizes that do not fit.

    >>> model = Transformer(11, 11, num_layers=2, d_model=16, n_head=2, hidden_dim=32)
    >>> model(tg.tensor([[1, 2, 3, 0]]), tg.tensor([[1, 4, 5]])).shape
    (1, 3, 11)
    """

    def __init__(
        self,
        src_vocab: int,
        tgt_vocab: int,
        num_layers: int = 6,
        d_model: int = 512,
        n_head: int = 8,
        hidden_dim: int = 2048,
        dropout: float = 0.1,
        max_len: int = 5000,
        norm_first: bool = False,
        tie: bool = False,
        padding: int = 0,
    ) -> None:
        super().__init__()
        if tie and src_vocab != tgt_vocab:
            raise ValueError(
                f"Transformer: tie needs one vocabulary; got {src_vocab} and {tgt_vocab} tokens"
            )
        self.max_len, self.padding = max_len, padding
        sizes = d_model, n_head, hidden_dim, dropout, norm_first

        def norm() -> LayerNorm | None:
            return LayerNorm(d_model) if norm_first else None

        self.encoder = Encoder([EncoderLayer(*sizes) for _ in range(num_layers)], norm())
        self.decoder = Decoder([DecoderLayer(*sizes) for _ in range(num_layers)], norm())
        source, target = Embeddings(d_model, src_vocab), Embeddings(d_model, tgt_vocab)
        self.src_embed, self.tgt_embed = (
            nn.ModuleList([embeddings, PositionalEncoding(d_model, max_len, dropout)])
            for embeddings in (source, target)
        )
        self.generator = nn.Linear(d_model, tgt_vocab, bias=not tie)
        for part in (self.encoder, self.decoder, self.generator):
            for parameter in part.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        if tie:
            source.lut.weight = self.generator.weight = target.lut.weight

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
    ) -> Tensor:
        """Tokens src (N, S) and tgt (N, L) → logits (N, L, tgt_vocab) of the next token of tgt.

        Args:
            src: x.
            tgt: y, without its last token.
            src_mask: where src may be attended to, as in `MultiHeadAttention`; None: everywhere but
                at padding.
            tgt_mask: where tgt may attend to itself; None: to earlier positions without padding.

        Raises:
            ValueError: shapes that do not fit, or a sequence longer than max_len.
        """
        if src_mask is None:
            src_mask = padding_mask(src, self.padding)
        return self.decode(tgt, self.encode(src, src_mask), src_mask, tgt_mask)

    def encode(self, src: Tensor, src_mask: Tensor | None = None) -> Tensor:
        """Tokens (N, S) → the memory (N, S, d_model)."""
        embedded = self._embedded(self.src_embed, src)
        if src_mask is None:
            src_mask = padding_mask(src, self.padding)
        memory: Tensor = self.encoder(embedded, src_mask)
        return memory

    def decode(
        self,
        tgt: Tensor,
        memory: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        caches: Sequence[Caches] | None = None,
    ) -> Tensor:
        """Tokens (N, L) and a memory (N, S, d_model) → logits (N, L, tgt_vocab).

        With caches (`beam_search.Steps`), tgt are the tokens after those in the caches, without
        padding, and the memory is empty if it is in the caches.
        """
        start = len(caches[0][0]) if caches else 0
        embedded = self._embedded(self.tgt_embed, tgt, start)
        if tgt_mask is None:
            causal = causal_mask(start + tgt.shape[1], tgt.device)[start:]
            tgt_mask = causal if caches else causal & padding_mask(tgt, self.padding)
        logits: Tensor = self.generator(self.decoder(embedded, memory, src_mask, tgt_mask, caches))
        return logits

    def _embedded(self, parts: nn.ModuleList, tokens: Tensor, start: int = 0) -> Tensor:
        """Embeddings plus codes of the positions; padding does not count as a position."""
        embeddings, encoding = parts
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu":
            raise ValueError(
                f"Transformer: expected tokens (N, L), integers; got {tokens.dtype} {tokens.shape}"
            )
        if start + tokens.shape[1] > self.max_len:
            raise ValueError(
                f"Transformer: a sequence of {start + tokens.shape[1]} tokens is longer than "
                f"max_len {self.max_len}"
            )
        before = tg.cumulative_sum((tokens != self.padding).astype(tg.int64), axis=1) - 1
        embedded: Tensor = encoding(embeddings(tokens), positions=start + tg.maximum(before, 0))
        return embedded


def loss(model: Transformer, src: Tensor, tgt: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean cross-entropy, in nats per token, of tgt (N, L + 1) given src (N, S).

        L = −Σ_k q_k ln p_k,   q = (1 − ε)·onehot(y_i) + ε/K,   p = softmax(logits)

    The decoder reads tgt without its last token, and predicts it without its first. Padding has no
    loss.
    """
    logits, targets = model(src, tgt[:, :-1]), tgt[:, 1:]
    return F.cross_entropy(
        logits.reshape(-1, logits.shape[2]),
        targets.reshape(-1),
        ignore_index=model.padding,
        label_smoothing=label_smoothing,
    )


# ------------------------------------------------------------------------------ translation


class Translator(nn.Module):
    """A Transformer and the task whose texts it translates.

    Args:
        network: the network.
        task: the task.
    """

    def __init__(self, network: Transformer, task: Task) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        """Tokens (N, S) and (N, L) → logits (N, L, V), as `Transformer`."""
        logits: Tensor = self.network(src, tgt)
        return logits

    def translate(self, texts: Sequence[str], width: int = 1) -> list[str]:
        """Translate texts, greedily or by a beam of several hypotheses, in evaluation mode.

        Raises:
            ValueError: the length of a text or a character does not fit the task.
        """
        from .parts import beam_search

        src = self.task.encode(texts).to(self.network.generator.weight.device)
        ends, training = (self.task.max_len, START, END), self.training
        self.eval()
        try:
            if width == 1:
                found = beam_search.greedy(self.network, src, *ends)
                return [self.task.decode(row) for row in found]
            rows = (beam_search.beam_search(self.network, row, *ends, width) for row in src)
            return [self.task.decode(hypotheses[0].tokens) for hypotheses in rows]
        finally:
            self.train(training)


def build(config: Config) -> Translator:
    """The untrained model of a config."""
    task = sequence_pairs.task(config.task, config.symbols, config.length)
    network = Transformer(
        task.tokens,
        task.tokens,
        config.num_layers,
        config.d_model,
        config.n_head,
        config.hidden_dim,
        config.dropout,
        task.max_len,
        config.norm_first,
        config.tie,
        sequence_pairs.PADDING,
    )
    return Translator(network, task)


def exact(model: Translator, pairs: Sequence[Pair], width: int = 1) -> float:
    """The share of pairs that are translated without an error."""
    found = model.translate([pair.source for pair in pairs], width)
    return sum(text == pair.target for text, pair in zip(found, pairs, strict=True)) / len(pairs)


def train(config: Config, run: Run) -> None:
    """Train a Transformer on a task, and draw its attention and its learning curve."""
    from .gallery import transformer as gallery

    tg.manual_seed(config.seed)
    model = build(config)
    pairs = sequence_pairs.held_out(model.task, 200, "validation")
    optimizer = optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9)
    schedule = optim.lr_scheduler.NoamLR(optimizer, config.d_model, config.warm_up, config.factor)

    def step(batch: tuple[Tensor, Tensor], _: Generator) -> Tensor:
        source, target = batch
        return loss(model.network, source, target, config.label_smoothing)

    run.fit(
        model,
        optimizer,
        step,
        data.DataLoader(
            sequence_pairs.Draws(model.task, config.pairs), config.batch_size, seed=config.seed
        ),
        config.epochs,
        schedule=schedule,
        on_epoch=lambda _: {"validation_exact": exact(model, pairs)},
        checkpoint_every=200,
    )
    with run.drawing():
        gallery.write_pictures(model, run.folder)
        if run.step:
            gallery.write_learning_curve(run.folder)


def restore(folder: str | Path) -> Translator:
    """Return the trained model of a run."""
    return restored(folder, Config, build).eval()


def generate(
    model: Translator, prompt: str = "", width: int = 4, generator: Generator | None = None
) -> Iterator[str]:
    """The translation of a text, after an arrow, by a beam of `width` hypotheses.

    An empty prompt is replaced by a random text of the task.

    Raises:
        ValueError: the length of the text or a character does not fit the task, or the width is
            less than 1.
    """
    if width < 1:
        raise ValueError(f"the width is {width}; expected at least 1")
    text, random = model.task.normalised(prompt), ""
    if not text:
        with tg.random.using(generator or tg.random.default_generator()):
            text = random = model.task.draw(1, "test")[0].source
    (translation,) = model.translate([text], width)
    return iter([f"{random} → {translation}"])


def judge(folder: str | Path) -> str:
    """Describe how many of 1,000 held-out texts a run's model translates without an error."""
    model = restore(folder)
    pairs = sequence_pairs.held_out(model.task, 1000)
    return f"{exact(model, pairs):.1%} of {len(pairs):,} held-out sequences are exact"


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model of one layer on 2 pairs, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    model = build(replace(config, num_layers=1))
    src, tgt = sequence_pairs.Draws(model.task, 2).batch(range(2))
    total = loss(model.network, src, tgt, config.label_smoothing)
    return total, {"x": src, "y": tgt, "loss": total, **dict(model.named_parameters())}


# ------------------------------------------------------------------------------ other names


def from_annotated(state: Mapping[str, V]) -> dict[str, V]:
    """Rename the keys of a state dict of The Annotated Transformer (Rush 2018) to those here.

    The values are unchanged. That network is a pre-norm one, and its norm divides by s + 1e-6 with
    the unbiased standard deviation s: for equal outputs multiply each `gamma` by √(1 − 1/d_model).

    >>> list(from_annotated({"encoder.layers.0.self_attn.linears.0.weight": 0}))
    ['encoder.layers.0.self_attn.wq.weight']
    """
    return _renamed(state, {theirs: ours for ours, theirs in ANNOTATED.items()})


def to_annotated(state: Mapping[str, V]) -> dict[str, V]:
    """Rename the keys of a state dict of `Transformer` to those of The Annotated Transformer.

    >>> list(to_annotated({"generator.weight": 0, "encoder.norm.gamma": 0}))
    ['generator.proj.weight', 'encoder.norm.a_2']
    """
    return _renamed(state, ANNOTATED)


def _renamed(state: Mapping[str, V], names: Mapping[str, str]) -> dict[str, V]:
    """A state dict with other names of parts, one or two words each."""

    def renamed(key: str) -> str:
        path = f".{key}."
        for old, new in names.items():
            path = path.replace(f".{old}.", f".{new}.")
        return path[1:-1]

    return {renamed(key): value for key, value in state.items()}
