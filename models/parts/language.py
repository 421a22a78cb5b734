"""The training of the language models: their loss, their recipe, their figures, their samples.

**The model.** A text is a sequence of symbols x_1, x_2, …, here its characters. The chain rule
makes a distribution over texts of one conditional distribution per symbol,

    p(x) = Π_t p(x_t | x_1, …, x_{t−1}).

A network computes the logits of all factors at once, and sees at most the last `context` symbols.

**The loss** is the cross-entropy, the mean of −ln p(x_t | …) over all symbols, in nats. Two other
figures say the same: the *perplexity* e^loss, the number of equally likely symbols that would be as
hard to predict, and the *bits per character* loss/ln 2, the size of the text if it were compressed
with the model.

**The optimizer** is AdamW. Weight decay applies to matrices only, not to biases and norms. The
learning rate rises in the first steps, the *warm-up*, and then falls as a half cosine to its least
value; gradients are clipped by their norm. These are the settings of GPT-3 (Brown et al. 2020,
appendix B) and of Karpathy's nanoGPT.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.nn.module import evaluating
from tinygrad_gm.training import Run, option, read_checkpoint, restored
from tinygrad_gm.training.config import check, config_from
from tinygrad_gm.training.run import LossFunction
from tinygrad_gm.training.state import Stateful

from . import decoding, texts
from .batches import batches
from .optimization import decaying, rate_factor

SAMPLE = 300  # characters of the samples that a training writes
MOST_BYTES = 4  # of a character in UTF-8


@dataclass(frozen=True)
class Config:
    """The recipe; each model adds the fields of its network."""

    dataset: str = option("shakespeare_small", "text to learn from", choices=texts.SETS, path=True)
    context: int = option(64, "number of symbols that the model sees")
    steps: int = option(2000, "number of steps", least=0)
    batch_size: int = option(12, "number of sequences per step")
    learning_rate: float = option(1e-3, "learning rate of AdamW at its peak")
    least_rate: float = option(0.1, "learning rate at the end, as a fraction of its peak", most=1)
    warm_up: int = option(100, "number of steps in which the learning rate rises", least=0)
    beta2: float = option(0.99, "decay rate of AdamW's average of squared gradients", most=0.99999)
    weight_decay: float = option(0.1, "weight decay of matrices")
    clip_norm: float = option(1.0, "largest norm of the gradient; 0: not clipped")
    evaluate_every: int = option(250, "number of steps between evaluations and samples, at most")
    seed: int = option(0, "seed of the weights and the batches", least=0)

    def __post_init__(self) -> None:
        check(self)


class Network(nn.Module):
    """Base class of the networks: symbols (N, L), integers in [0, V), → logits (N, L, V)."""

    def decoder(self) -> decoding.Decoder:
        """A function of a prompt (N, L), then of each chosen symbol (N, 1): logits (N, V) of the
        next symbol.
        """
        raise NotImplementedError(f"{type(self).__name__}: there is no decoder")


C = TypeVar("C", bound=Config)
Build: TypeAlias = Callable[[C, int], Network]  # the untrained network of a config, for V symbols


class LanguageModel(nn.Module):
    """A network and its vocabulary.

    Args:
        network: maps symbols (N, L) to logits (N, L, V) of the next symbols.
        vocabulary: its V symbols. A checkpoint holds the code points of characters.
        boundary: the symbol before and after a text; None: texts have no beginning and no end.
    """

    symbols: Tensor | None

    def __init__(
        self, network: Network, vocabulary: data.Characters | data.BPE, boundary: str | None = None
    ) -> None:
        super().__init__()
        self.network, self.vocabulary, self.boundary = network, vocabulary, boundary
        codes = None
        if isinstance(vocabulary, data.Characters):
            codes = tg.tensor([ord(symbol) for symbol in vocabulary.symbols])
        self.register_buffer("symbols", codes)

    def forward(self, symbols: Tensor) -> Tensor:
        """Symbols (N, L) → logits (N, L, V)."""
        logits: Tensor = self.network(symbols)
        return logits


Fit: TypeAlias = Callable[[LanguageModel, texts.Corpus, C, Run], None]
Measure: TypeAlias = Callable[[LanguageModel, texts.Corpus, Sequence[str], C], tuple[float, int]]


def loss(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """The cross-entropy of logits (N, L, V) with targets (N, L), without those to be ignored."""
    rows = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(
        rows, targets.reshape(-1), ignore_index=texts.IGNORED, reduction=reduction
    )


def optimizer_of(model: nn.Module, config: Config) -> optim.AdamW:
    """The optimizer of all parameters; only matrices decay."""
    groups = decaying(model, config.weight_decay)
    return optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2))


@tg.no_grad()
def evaluate(model: nn.Module, blocks: data.TensorDataset) -> float:
    """The mean loss over all targets of blocks of symbols, in evaluation mode: exact, not drawn."""
    total, count = 0.0, 0
    with evaluating(model):
        for inputs, targets in batches(*blocks.tensors, size=128):
            total += loss(model(inputs), targets, "sum").item()
            count += int(tg.sum(targets != texts.IGNORED))
    return total / count


def interval(steps: int, most: int) -> int:
    """The number of steps between evaluations: the largest that divides the steps without rest, but
    at most `most` and at least half of it; else all steps.

    >>> interval(2000, 250), interval(2000, 300), interval(2003, 250), interval(100, 250)
    (250, 250, 2003, 100)
    """
    if steps <= most:
        return max(steps, 1)
    half = range(max(most // 2, 1), most + 1)
    return max((number for number in half if steps % number == 0), default=steps)


def measure(
    model: LanguageModel, corpus: texts.Corpus, part: Sequence[str], config: Config
) -> tuple[float, int]:
    """The mean loss of a part of a corpus, read in blocks of `context` symbols, and the number of
    its targets.
    """
    blocks = corpus.blocks(part, config.context)
    return evaluate(model, blocks), int(tg.sum(blocks.tensors[1] != texts.IGNORED))


def drawn(examples: data.Dataset, config: Config) -> data.DataLoader:
    """A loader of random examples whose epochs are the intervals between evaluations."""
    every = interval(config.steps, config.evaluate_every)
    some = texts.Draws(examples, every * config.batch_size)
    return data.DataLoader(some, config.batch_size, seed=config.seed)


def fit(model: LanguageModel, corpus: texts.Corpus, config: Config, run: Run) -> None:
    """Train a model by the recipe, on whole texts or on random windows of the text."""
    minimise(
        model,
        lambda batch, _: loss(model(batch[0]), batch[1]),
        drawn(corpus.examples(config.context), config),
        config,
        run,
        lambda: measure(model, corpus, corpus.validation, config)[0],
    )


def minimise(
    model: LanguageModel,
    loss_fn: LossFunction,
    loader: data.DataLoader,
    config: Config,
    run: Run,
    validation: Callable[[], float],
    parts: Mapping[str, Stateful] | None = None,
) -> None:
    """Minimise a loss by the recipe, `Run.fit` with its optimizer and schedule. After each epoch of
    the loader the `validation` loss is measured, and a sample of the model's texts is written.
    """
    optimizer = optimizer_of(model, config)
    run.fit(
        model,
        optimizer,
        loss_fn,
        loader,
        config.steps // len(loader),
        schedule=optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: rate_factor(step, config.warm_up, config.steps, config.least_rate),
        ),
        parts=parts,
        clip_norm=config.clip_norm or None,
        on_epoch=lambda _: {"validation_loss": validation()},
        sample=lambda generator: sampled(model, generator),
    )


# ------------------------------------------------------------------------------ samples


def generate(
    model: LanguageModel,
    prompt: str = "",
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Iterator[str]:
    """A text that continues a prompt: an iterator of pieces, each computed when it is asked for.

    Args:
        model: the model.
        prompt: beginning of the text; it is not among the pieces. If it is longer than the model's
            context, the model sees only its end. Empty: the beginning of a text.
        length: largest number of symbols.
        temperature, top_k, top_p, generator: as for `decoding.choose`.

    A model with a boundary ends a text by itself.

    Raises:
        ValueError: the prompt has characters that are not in the model's vocabulary, or a number
            is out of range.
    """
    decoding.check(temperature, top_k, top_p)
    vocabulary, boundary = model.vocabulary, model.boundary
    if length < 0:
        raise ValueError(f"the length is {length}; expected a number ≥ 0")
    if boundary and boundary in prompt:
        raise ValueError(f"the prompt contains {boundary!r}, which ends a text")
    symbols = vocabulary.encode((boundary or ("" if prompt else _blank(vocabulary))) + prompt)
    stop = vocabulary.encode(boundary).item() if boundary else None
    drawn = decoding.symbols(
        model.network.decoder(),
        symbols[None],
        length,
        temperature,
        top_k,
        top_p,
        generator,
        stop,
    )
    return _pieces(vocabulary, (symbol for (symbol,) in drawn if symbol.item() != stop))


def _blank(vocabulary: data.Characters | data.BPE) -> str:
    """What a model is given before a text that continues none: a new line, if it knows lines."""
    if isinstance(vocabulary, data.BPE):
        return "\n"
    return next(known for known in ("\n", " ", vocabulary.symbols) if known in vocabulary.symbols)[
        0
    ]


def _pieces(vocabulary: data.Characters | data.BPE, symbols: Iterator[Tensor]) -> Iterator[str]:
    """The texts of symbols; those that are parts of one character are decoded together."""
    held: list[int] = []
    for symbol in symbols:
        held.append(int(symbol))
        text = vocabulary.decode(held)
        if not text.endswith("\ufffd") or len(held) == MOST_BYTES:
            yield text
            held.clear()
    if held:
        yield vocabulary.decode(held)


def sampled(model: LanguageModel, generator: Generator) -> str:
    """Texts that the model writes from nothing, for the folder of a run."""
    if model.boundary:
        names = ("".join(generate(model, generator=generator)) for _ in range(20))
        return "\n".join(names) + "\n"
    text = "".join(generate(model, length=SAMPLE, temperature=0.8, generator=generator))
    return f"{text}\n"


# ------------------------------------------------------------------------------ commands


def train(config: C, run: Run, build: Build[C], fit: Fit[C] = fit) -> None:
    """Train the model of a config, by `fit` or a function like it."""
    corpus = texts.load(config.dataset)
    tg.manual_seed(config.seed)
    network = build(config, len(corpus.vocabulary))
    fit(LanguageModel(network, corpus.vocabulary, corpus.boundary), corpus, config, run)


def restore(config_class: type[C], folder: str | Path, build: Build[C]) -> LanguageModel:
    """Return the trained model of a run, with the vocabulary of its checkpoint."""
    state = read_checkpoint(folder)

    def untrained(config: C) -> LanguageModel:
        codes = np.asarray(state["model"]["symbols"])
        vocabulary = data.Characters("".join(map(chr, codes.tolist())))
        boundary = texts.BOUNDARIES.get(config.dataset)
        return LanguageModel(build(config, len(vocabulary)), vocabulary, boundary)

    return restored(folder, config_class, untrained).eval()


def judge(
    config_class: type[C], folder: str | Path, build: Build[C], measure: Measure[C] = measure
) -> str:
    """Describe the loss of a run's model on all validation texts, and on test texts if any, by
    `measure` or a function like it.
    """
    model = restore(config_class, folder, build)
    config = config_from(config_class, read_checkpoint(folder)["run"]["config"])
    corpus = texts.load(config.dataset)
    lines = []
    for name, part in (("validation", corpus.validation), ("test", corpus.test)):
        if part:
            nats, count = measure(model, corpus, part, config)
            lines.append(f"{in_words(nats)} on {count:,} {name} characters of {config.dataset}")
    return "\n".join(lines)


def in_words(nats: float) -> str:
    """A loss as the usual three figures.

    >>> in_words(2.0)
    'loss 2.0000 nats, perplexity 7.389, 2.885 bits per character'
    """
    bits = nats / math.log(2)
    return f"loss {nats:.4f} nats, perplexity {math.exp(nats):.3f}, {bits:.3f} bits per character"


def example(config: C, build: Build[C]) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 2 random sequences, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    model = build(config, 27)
    symbols = tg.randint(27, (2, config.context + 1))
    logits = model(symbols[:, :-1])
    total = loss(logits, symbols[:, 1:])
    named = {"symbols": symbols, "logits": logits, "loss": total}
    return total, {**named, **dict(model.named_parameters())}
