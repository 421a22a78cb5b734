"""n-grams: the next character from the last few, by counting and by gradient descent.

**The model.** The chain rule makes a distribution over texts of one conditional distribution per
character,

    p(x) = Π_t p(x_t | x_1, …, x_{t−1}).

An *n-gram* model forgets all but the last n − 1 characters, the *context* c_t:

    p(x_t | x_1, …, x_{t−1}) = p(x_t | c_t),   c_t = (x_{t−n+1}, …, x_{t−1}).

The loss is −ln p(x_t | c_t) in nats, averaged over the characters of a text.

**By counting** (Shannon 1948, "A Mathematical Theory of Communication", section 3). The
probabilities with the smallest loss on a text are its relative frequencies. A pair of context and
character that the text does not contain would have p = 0, and an infinite loss elsewhere; so α is
added to each count (additive smoothing; α = 1 is Laplace's rule):

    p(x | c) = (count(c, x) + α) / (count(c) + α V),   V the number of different characters.

There is nothing to train, but the table has Vⁿ⁻¹ rows. In Shakespeare's plays (V = 65), 11,228 of
274,625 contexts of three characters occur; the rest can be no better than uniform.

**By gradient** (`Table`). The same table as logits, p(x | c) = softmax(w_c)_x, trained
by gradient descent on the same loss. It reaches the loss of counting, whose table is the minimum:
∂L/∂w_c ∝ softmax(w_c) − frequencies after c. The gain is that w may now be any network.

**By a network** (`MLP`; Bengio et al. 2003, "A Neural Probabilistic Language Model", section 2).
Each character of the context becomes a vector of a learned table C; one hidden layer sees them side
by side:

    p(x | c) = softmax(U tanh(W [C x_{t−n+1}, …, C x_{t−1}] + b) + d)

Similar characters get similar vectors, so what is learned of "an" helps with "en", where a table of
counts begins again for each context; and the number of weights grows with n, not with Vⁿ.

The three are the first steps of Karpathy's makemore (2022); `rnn` and `gpt` are the next.

**In numbers**, on the 32,033 names: the bigram's loss is 2.454 by counting, and as much by
gradient; that of the MLP with three characters of context on unseen names is 2.11. On the last 10 %
of tiny-shakespeare, the losses of counting with contexts of 0, 1, 2 and 3 characters are 3.347,
2.488, 2.066 and 1.796.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, data, nn
from tinygrad_gm.training import Run, option, read_checkpoint

from .parts import decoding, language, texts
from .parts.batches import batches
from .parts.language import LanguageModel, Network
from .parts.language import generate as generate

TRAINING_TIME = "a few seconds"
NETWORKS = ("counts", "table", "mlp")


class NGram(Network):
    """Base of the networks that see a context of fixed length.

    Args:
        symbols: V, the number of different characters.
        context: the number of characters seen, n − 1.
        blank: the symbol in the places before the first character of a text.
    """

    def __init__(self, symbols: int, context: int, blank: int = 0) -> None:
        super().__init__()
        self.symbols, self.context, self.blank = symbols, context, blank

    def forward(self, symbols: Tensor) -> Tensor:
        """Texts (N, L) → logits (N, L, V), entry t for the character after the t-th."""
        seen = contexts(symbols, self.context, self.blank)
        return self.following(seen.flatten(0, 1)).reshape(*symbols.shape, self.symbols)

    def following(self, contexts: Tensor) -> Tensor:
        """Contexts (M, context) → logits (M, V) of the character after each."""
        raise NotImplementedError

    def decoder(self) -> decoding.Decoder:
        """A function of a prompt (N, L), then of each chosen symbol (N, 1): logits (N, V) of the
        next symbol.
        """
        seen: list[Tensor] = []

        def step(symbols: Tensor) -> Tensor:
            text = tg.concat([*seen, symbols], axis=1)
            seen[:] = [text[:, -max(self.context, 1) :]]
            return self.forward(seen[0])[:, -1]

        return step


def contexts(symbols: Tensor, length: int, blank: int = 0) -> Tensor:
    """The last `length` characters up to each place of texts (N, L): integers (N, L, length).

    >>> contexts(tg.tensor([[5, 6, 7]]), 2).tolist()
    [[[0, 5], [5, 6], [6, 7]]]
    """
    if not length:
        return symbols[:, :, None][:, :, :0]
    padded = F.pad(symbols, (length - 1, 0), value=blank)
    return tg.stack([padded[:, k : k + symbols.shape[1]] for k in range(length)], axis=2)


class Counts(NGram):
    """The table of counts, with a row for each context that occurs.

    Args:
        symbols, context: as in `NGram`.
        alpha: α, added to every count. If it is 0, all characters are equally likely after
            contexts that do not occur.

    Attributes:
        rows: the contexts as numbers in base V, in ascending order, (R,).
        counts: how often each character follows each context, and a row of zeros for all other
            contexts, (R + 1, V).

    >>> model = Counts(symbols=2, context=1, alpha=1.0)
    >>> model.count(tg.tensor([[0], [1], [0], [1]]), tg.tensor([1, 0, 1, 1]))
    >>> model.counts.tolist()
    [[0.0, 2.0], [1.0, 1.0], [0.0, 0.0]]
    >>> tg.exp(model(tg.tensor([[0, 1]]))).tolist()
    [[[0.25, 0.75], [0.5, 0.5]]]
    """

    rows: Tensor
    counts: Tensor

    def __init__(self, symbols: int, context: int, alpha: float = 0.01) -> None:
        super().__init__(symbols, context)
        self.alpha = alpha
        self.register_buffer("rows", tg.zeros(0, dtype=tg.int64))
        self.register_buffer("counts", tg.zeros((1, symbols)))

    def count(self, contexts: Tensor, following: Tensor) -> None:
        """Count the pairs of contexts (M, context) and characters after them (M,)."""
        rows, places = tg.unique(numbers(contexts, self.symbols), return_inverse=True)
        pairs = places * self.symbols + following
        counts = tg.bincount(pairs, minlength=len(rows) * self.symbols).reshape(len(rows), -1)
        self.rows = rows
        self.counts = F.pad(counts.astype(tg.float32), (0, 0, 0, 1))  # the row of all others

    def following(self, contexts: Tensor) -> Tensor:
        wanted = numbers(contexts, self.symbols)
        place = tg.searchsorted(self.rows, wanted)
        known = F.pad(self.rows, (0, 1), value=-1)[place] == wanted
        counts = self.counts[tg.where(known, place, len(self.rows))] + self.alpha
        total = counts.sum(axis=1, keepdims=True)
        some = counts > 0  # all, unless α = 0
        logarithms = tg.where(some, tg.log(tg.where(some, counts, 1.0)), -math.inf)
        return tg.where(total > 0, logarithms - tg.log(tg.maximum(total, 1e-30)), 0.0)


def numbers(contexts: Tensor, symbols: int) -> Tensor:
    """Contexts (M, n) as numbers in base V, int64 (M,); ValueError if there are 2⁶³ or more.

    >>> numbers(tg.tensor([[1, 2], [0, 9]]), 10).tolist()
    [12, 9]
    """
    length = contexts.shape[1]
    if symbols**length >= 2**63:
        raise ValueError(f"ngram: contexts of {length} of {symbols} characters are too many")
    places = tg.arange(length - 1, -1, -1, device=contexts.device)
    return tg.sum(contexts * symbols**places, axis=1)


class Table(NGram):
    """The table of logits, with a row for each context, `logits` (Vⁿ⁻¹, V): trained by gradient.

    >>> sum(p.size for p in Table(27, context=1).parameters())
    729
    """

    def __init__(self, symbols: int, context: int) -> None:
        super().__init__(symbols, context)
        self.logits = nn.Parameter(tg.zeros((symbols**context, symbols)))

    def following(self, contexts: Tensor) -> Tensor:
        return self.logits[numbers(contexts, self.symbols)]


class MLP(NGram):
    """Bengio's network: vectors of the characters, side by side, and one hidden layer of tanh.

    Args:
        symbols, context: as in `NGram`.
        width: length of a character's vector.
        hidden: number of hidden units.
        own_blank: whether the places before the first character have a symbol of their own, with a
            vector, as in makemore; otherwise they have symbol 0.

    >>> sum(p.size for p in MLP(27, context=3, width=10, hidden=200).parameters())
    11897
    >>> sum(p.size for p in MLP(27, 16, 64, 64, own_blank=True).parameters())
    69147
    """

    def __init__(
        self, symbols: int, context: int, width: int, hidden: int, *, own_blank: bool = False
    ) -> None:
        super().__init__(symbols, context, blank=symbols if own_blank else 0)
        self.wte = nn.Embedding(symbols + own_blank, width)
        self.mlp = nn.Sequential(
            nn.Linear(context * width, hidden), nn.Tanh(), nn.Linear(hidden, symbols)
        )

    def following(self, contexts: Tensor) -> Tensor:
        logits: Tensor = self.mlp(self.wte(contexts).flatten(1))
        return logits


# ------------------------------------------------------------------------------ the recipe


@dataclass(frozen=True)
class Config(language.Config):
    """The recipe: by counting, a table for each context of three characters."""

    network: str = option(
        "counts",
        "table of counts, table trained by gradient, or Bengio's network",
        choices=NETWORKS,
    )
    context: int = option(3, "number of characters that the model sees", least=0)
    alpha: float = option(0.01, "number added to each count")
    width: int = option(10, "length of a character's vector in the mlp")
    hidden: int = option(200, "number of hidden units of the mlp")
    own_blank: bool = option(False, "give the places before a text a vector of their own (mlp)")
    steps: int = option(10_000, "number of steps of the training by gradient", least=0)
    batch_size: int = option(256, "number of contexts per step")
    learning_rate: float = option(5e-3, "learning rate of AdamW at its peak")
    least_rate: float = option(0.0, "learning rate at the end, as a fraction of its peak", most=1)
    weight_decay: float = option(0.01, "weight decay of matrices")
    evaluate_every: int = option(1000, "number of steps between evaluations and samples, at most")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network == "mlp" and not self.context:
            raise ValueError("ngram: the mlp needs a context of at least 1 character")


def build(config: Config, symbols: int) -> NGram:
    """The untrained network of a config."""
    if config.network == "counts":
        return Counts(symbols, config.context, config.alpha)
    if config.network == "table":
        return Table(symbols, config.context)
    sizes = config.context, config.width, config.hidden
    return MLP(symbols, *sizes, own_blank=config.own_blank)


def pairs(network: NGram, corpus: texts.Corpus, part: Sequence[str]) -> tuple[Tensor, Tensor]:
    """All contexts (M, context) of a part of a corpus, and the characters after them (M,).

    In a data set of words a word begins after blanks. The first characters of a long text have no
    context of full length, and are left out.
    """
    longest = max(len(corpus.encoded(text)) for text in part) - 1
    inputs, targets = corpus.blocks(part, longest).tensors
    seen = contexts(inputs, network.context, network.blank)
    counted = targets != texts.IGNORED
    if corpus.boundary is None:
        counted = counted & (tg.arange(longest) >= network.context - 1)
    return seen[counted], targets[counted]


def fit(model: LanguageModel, corpus: texts.Corpus, config: Config, run: Run) -> None:
    """Count, or train by gradient on random pairs of a context and the character after it."""
    network = cast(NGram, model.network)
    seen, following = pairs(network, corpus, corpus.train)

    def validation() -> float:
        return measure(model, corpus, corpus.validation, config)[0]

    if isinstance(network, Counts):
        network.count(seen, following)
        run.train(
            lambda _, __: {"loss": mean_loss(network, seen, following)},
            {"model": model},
            data.DataLoader(range(1)),  # a single step, which measures
            epochs=1,
            on_epoch=lambda _: {"validation_loss": validation()},
            sample=lambda generator: language.sampled(model, generator),
        )
        return
    language.minimise(
        model,
        lambda batch, _: F.cross_entropy(network.following(batch[0]), batch[1]),
        language.drawn(data.TensorDataset(seen, following), config),
        config,
        run,
        validation,
    )


@tg.no_grad()
def mean_loss(network: NGram, seen: Tensor, following: Tensor) -> float:
    """The mean of −ln p of characters (M,) after contexts (M, context)."""
    total = 0.0
    for contexts, targets in batches(seen, following, size=10_000):
        total += F.cross_entropy(network.following(contexts), targets, reduction="sum").item()
    return total / len(following)


def measure(
    model: LanguageModel, corpus: texts.Corpus, part: Sequence[str], config: Config
) -> tuple[float, int]:
    """The mean loss over all pairs of a part, and their number."""
    network = cast(NGram, model.network)
    seen, following = pairs(network, corpus, part)
    return mean_loss(network, seen, following), len(following)


def train(config: Config, run: Run) -> None:
    """Count the contexts of a text, or train on it, and draw the table of the pairs' counts."""
    from .gallery import ngram as gallery

    language.train(config, run, build, fit)
    with run.drawing():
        gallery.write_picture(texts.load(config.dataset), run.folder)


def restore(folder: str | Path) -> LanguageModel:
    """Return the trained model of a run."""
    return language.restore(Config, folder, _build_for(folder))


def judge(folder: str | Path) -> str:
    """Describe the loss of a run's model on all validation texts."""
    return language.judge(Config, folder, _build_for(folder), measure)


def _build_for(folder: str | Path) -> language.Build[Config]:
    """As `build`, with tables of the size of those in a checkpoint."""

    def sized(config: Config, symbols: int) -> NGram:
        network = build(config, symbols)
        if isinstance(network, Counts):
            saved = read_checkpoint(folder)["model"]
            network.rows = tg.zeros_like(saved["network.rows"])
            network.counts = tg.zeros_like(saved["network.counts"])
        return network

    return sized


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 2 random sequences, and named tensors of its graph."""
    return language.example(config, build)
