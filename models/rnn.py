"""Recurrent networks as language models: RNN, LSTM and GRU, a character at a time.

**The model.** As in `ngram`, p(x) = Π_t p(x_t | x_1, …, x_{t−1}); but nothing is forgotten by rule.
A *state* h of fixed length is what the network knows of all characters so far:

    h_t = f(x_t, h_{t−1}),    p(x_{t+1} | x_1, …, x_t) = softmax(V h_t + d)

(Elman 1990, "Finding Structure in Time"; Mikolov et al. 2010, for language). The same f serves at
every step, so a text of any length can be read, and the cost of a step does not grow.

**Backpropagation through time** (Werbos 1990). Written out, the recurrence is a network with a
layer per step, whose layers share their weights. The gradient reaches an earlier state through
all steps between,

    ∂L/∂h_s = Σ_t ∂L_t/∂h_t · J_t J_{t−1} … J_{s+1},    J_t = ∂h_t/∂h_{t−1}.

For the simple RNN, h_t = tanh(W x_t + U h_{t−1} + b), J_t = diag(1 − h_t²) U. If its norm stays
below 1 the product *vanishes* exponentially in t − s, if it stays above 1 it may *explode*
(Bengio et al. 1994; Pascanu et al. 2013). Against the second, the norm of the gradient is clipped;
against the first, a better f:

**The LSTM** (Hochreiter & Schmidhuber 1997; with forget gates, Gers et al. 2000) has a *cell* c
that is changed by addition, and gates in [0, 1] that decide what is kept, written and shown:

    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t,    h_t = o_t ⊙ tanh(c_t),    ∂c_t/∂c_{t−1} = f_t + …

With f = 1 the gradient of c passes unchanged; a bias of 1 opens the forget gates at the start
(Jozefowicz et al. 2015). **The GRU** (Cho et al. 2014) has one state and two gates,
h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}. The layers are `nn.RNN`, `nn.LSTM` and `nn.GRU`;
`lessons/adding.py` measures their gradients over time.

**Truncated backpropagation through time** (Williams & Peng 1990). The text is one sequence of a
million steps; its graph does not fit into memory, and one step of the optimizer per pass would be
too few. So the text is cut into N *lanes* side by side, each read in chunks of L characters:

    lane 1:  First Citizen:\\nBefo | re we proceed an | y further, hear …
    lane 2:  y, that they should  | …

A batch is the k-th chunk of every lane. The states at its end start the next batch, as numbers: the
gradient stops there (`detach`), the memory does not. Where the text fits into one chunk, nothing is
truncated. The states are part of the checkpoint, as the next step depends on them.

**makemore's recurrences** (Karpathy 2022), `--cell makemore-rnn` and `makemore-gru`, differ from
`nn`'s in three points: one matrix per gate acts on [x; h], with one bias; the GRU resets h before
the product, as in Cho et al., not after it; and the first state is learned.

`rnn_forward` and `LSTM` are those of the study notes, from `notes`: one sequence, step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data, nn
from tinygrad_gm.nn.module import evaluating
from tinygrad_gm.ops.fused.sequences import rnn_sequence
from tinygrad_gm.training import Run, option, read_checkpoint

from .notes import LSTM as LSTM
from .notes import rnn_forward as rnn_forward
from .parts import decoding, language, texts
from .parts.batches import batches
from .parts.language import LanguageModel, Network
from .parts.language import generate as generate

TRAINING_TIME = "about 2 minutes on two cores"
LAYERS: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

State: TypeAlias = tuple[Tensor, ...]  # h, of an LSTM h and c: (layers, N, H) each


class Recurrence(Network):
    """Base of the networks: what they read, and what they have read before.

    Attributes:
        beginning: the state before a text that is written, (layers, 1, H) each; None: as in `read`.
    """

    beginning: State | None = None

    def read(self, symbols: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read texts.

        Args:
            symbols: integers (N, L).
            state: the state after the text before them; None at the beginning of a text.

        Returns:
            The logits (N, L, V), entry t for the symbol after the t-th, and the last state.
        """
        raise NotImplementedError

    def forward(self, symbols: Tensor) -> Tensor:
        """Texts (N, L) from their beginning → logits (N, L, V)."""
        return self.read(symbols)[0]

    def decoder(self) -> decoding.Decoder:
        """A function of a prompt (N, L), then of each chosen symbol (N, 1): logits (N, V) of the
        next symbol. It keeps the state, so each symbol costs the same.
        """
        state = self.beginning

        def step(symbols: Tensor) -> Tensor:
            nonlocal state
            if state is not None and state is self.beginning:
                state = tuple(tg.repeat(s.to(symbols.device), len(symbols), axis=1) for s in state)
            logits, state = self.read(symbols, state)
            return logits[:, -1]

        return step


class RecurrentModel(Recurrence):
    """Embedding, recurrent layers, and a linear layer for the logits.

    Args:
        symbols: V, the number of different characters.
        cell: "rnn", "gru" or "lstm".
        width: length of a character's vector.
        hidden: H, length of the state of a layer.
        layers: number of layers.
        dropout: probability of dropping an output of a layer in training.

    >>> model = RecurrentModel(symbols=65, cell="lstm", width=64, hidden=256, layers=2)
    >>> logits, (h, c) = model.read(tg.zeros((8, 50), dtype=tg.int64))
    >>> logits.shape, h.shape
    ((8, 50, 65), (2, 8, 256))
    """

    def __init__(
        self, symbols: int, cell: str, width: int, hidden: int, layers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        remembering = {"forget_bias": 1.0} if cell == "lstm" else {}
        between = dropout if layers > 1 else 0.0
        self.wte = nn.Embedding(symbols, width)
        self.recurrent = LAYERS[cell](
            width, hidden, layers, batch_first=True, dropout=between, **remembering
        )
        self.dropout = nn.Dropout(dropout)
        self.lm_head = nn.Linear(hidden, symbols)

    def read(self, symbols: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        lstm = isinstance(self.recurrent, nn.LSTM)
        before = state if state is None or lstm else state[0]
        outputs, after = self.recurrent(self.wte(symbols), before)
        return self.lm_head(self.dropout(outputs)), after if lstm else (after,)


class MakemoreModel(Recurrence):
    """makemore's RNN and GRU, with its parameters' names. Texts begin with the state `start`.

    Args:
        symbols: V, the number of different characters.
        cell: "rnn" or "gru".
        width: length of a character's vector.
        hidden: H, length of the state.

    >>> [sum(p.size for p in MakemoreModel(27, cell, 64, 64).parameters()) for cell in MAKEMORE]
    [11803, 28315]
    """

    def __init__(self, symbols: int, cell: str, width: int, hidden: int) -> None:
        super().__init__()
        self.start = nn.Parameter(tg.zeros((1, hidden)))
        self.wte = nn.Embedding(symbols, width)
        self.cell = MAKEMORE[cell](width, hidden)
        self.lm_head = nn.Linear(hidden, symbols)

    def read(self, symbols: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        start = tg.broadcast_to(self.start, (len(symbols), self.start.shape[1]))
        h = start if state is None else state[0][0]
        states = self.cell(tg.swapaxes(self.wte(symbols), 0, 1), h)
        return self.lm_head(tg.swapaxes(states, 0, 1)), (states[-1:],)


class MakemoreRNN(nn.Module):
    """h ← tanh(W [x; h] + b)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.xh_to_h = nn.Linear(width + hidden, hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Inputs (L, N, width) and the state before them (N, H) → all states (L, N, H)."""
        of_x, of_h = tg.split(self.xh_to_h.weight, [x.shape[-1]], axis=1)
        states: Tensor = rnn_sequence(tg.linear(x, of_x, self.xh_to_h.bias), h, of_h, "tanh")
        return states


class MakemoreGRU(nn.Module):
    """z = σ(W_z [x; h] + b_z), r = σ(W_r [x; h] + b_r), h ← (1 − z) h + z tanh(W [x; r h] + b)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.xh_to_z = nn.Linear(width + hidden, hidden)
        self.xh_to_r = nn.Linear(width + hidden, hidden)
        self.xh_to_hbar = nn.Linear(width + hidden, hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """As `MakemoreRNN.forward`."""
        states = []
        for now in tg.unstack(x):
            both = tg.concat([now, h], axis=1)
            z, r = tg.sigmoid(self.xh_to_z(both)), tg.sigmoid(self.xh_to_r(both))
            new = tg.tanh(self.xh_to_hbar(tg.concat([now, r * h], axis=1)))
            h = (1 - z) * h + z * new
            states.append(h)
        return tg.stack(states)


MAKEMORE: dict[str, Any] = {"rnn": MakemoreRNN, "gru": MakemoreGRU}

# ------------------------------------------------------------------------------ the recipe


@dataclass(frozen=True)
class Config(language.Config):
    """The recipe; `context` is the number of characters per chunk, `batch_size` that of lanes."""

    steps: int = option(600, "number of steps", least=0)
    batch_size: int = option(32, "number of lanes, or of words, per step")
    learning_rate: float = option(3e-3, "learning rate of AdamW at its peak")
    weight_decay: float = option(0.01, "weight decay of matrices")
    cell: str = option(
        "lstm",
        "recurrent layer",
        choices=(*LAYERS, *(f"makemore-{cell}" for cell in MAKEMORE)),
    )
    width: int = option(64, "length of a character's vector")
    hidden: int = option(256, "length of the state of a layer")
    layers: int = option(2, "number of recurrent layers", most=1000)
    dropout: float = option(0.0, "probability of dropping an output of a layer", most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell.startswith("makemore") and (self.layers != 1 or self.dropout):
            raise ValueError(f"rnn: {self.cell} has one layer, without dropout (--layers 1)")


def build(config: Config, symbols: int) -> Recurrence:
    """The untrained network of a config."""
    sizes = config.width, config.hidden
    library, _, cell = config.cell.rpartition("-")
    if library:
        return MakemoreModel(symbols, cell, *sizes)
    return RecurrentModel(symbols, cell, *sizes, config.layers, config.dropout)


class Lanes:
    """A text cut into equal lanes; item k is the k-th chunk of each: inputs and targets (N, L).

    Args:
        symbols: the text, (T,).
        count: N, the number of lanes.
        length: L, the length of a chunk; the last chunks may be shorter.

    >>> lanes = Lanes(tg.arange(9), count=2, length=3)
    >>> [lanes[k][0].tolist() for k in range(len(lanes))]
    [[[0, 1, 2], [4, 5, 6]], [[3], [7]]]
    """

    def __init__(self, symbols: Tensor, count: int, length: int) -> None:
        self.length, self.each = length, (len(symbols) - 1) // count
        if not self.each:
            raise ValueError(f"a text of {len(symbols)} symbols is too short for {count} lanes")
        cut = count * self.each
        self.inputs = symbols[:cut].reshape(count, self.each)
        self.targets = symbols[1 : cut + 1].reshape(count, self.each)

    def __len__(self) -> int:
        return -(-self.each // self.length)

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        chunk = slice(k * self.length, (k + 1) * self.length)
        return self.inputs[:, chunk], self.targets[:, chunk]


class Carried:
    """The state at the end of the last batch, as a part of the checkpoint; None at first."""

    def __init__(self) -> None:
        self.state: State | None = None

    def first_lane(self) -> State | None:
        """The state of the first lane alone."""
        return tuple(part[:, :1] for part in self.state) if self.state else None

    def state_dict(self) -> dict[str, Any]:
        """Return the tensors of the state."""
        return {"state": list(self.state or ())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.state = tuple(map(tg.asarray, state["state"])) or None


def fit(model: LanguageModel, corpus: texts.Corpus, config: Config, run: Run) -> None:
    """Train by truncated backpropagation through time; on a data set of words, on whole words."""
    if corpus.boundary:
        language.fit(model, corpus, config, run)
        return
    lanes = Lanes(corpus.encoded(corpus.train[0]), config.batch_size, config.context)
    network, carried = cast(Recurrence, model.network), Carried()

    def loss(_: Tensor, __: Generator) -> Tensor:
        chunk = run.step % len(lanes)
        inputs, targets = lanes[chunk]
        logits, after = network.read(inputs, carried.state if chunk else None)
        carried.state = tuple(part.detach() for part in after)
        network.beginning = carried.first_lane()
        return language.loss(logits, targets)

    every = language.interval(config.steps, config.evaluate_every)
    language.minimise(
        model,
        loss,
        data.DataLoader(range(every)),  # the step itself says which chunk is next
        config,
        run,
        lambda: measure(model, corpus, corpus.validation, config)[0],
        {"carried": carried},
    )


@tg.no_grad()
def measure(
    model: LanguageModel, corpus: texts.Corpus, part: Sequence[str], config: Config
) -> tuple[float, int]:
    """As `language.measure`, but a long text is read as one sequence, with the state carried."""
    if corpus.boundary:
        return language.measure(model, corpus, part, config)
    network, state = cast(Recurrence, model.network), None
    total, symbols = 0.0, corpus.encoded(part[0])
    with evaluating(model):
        for inputs, targets in batches(symbols[:-1], symbols[1:]):
            logits, state = network.read(inputs[None], state)
            total += language.loss(logits, targets, "sum").item()
    return total / (len(symbols) - 1), len(symbols) - 1


def train(config: Config, run: Run) -> None:
    """Train on a text; validation loss and samples after each interval."""
    language.train(config, run, build, fit)


def restore(folder: str | Path) -> LanguageModel:
    """Return the trained model of a run. It writes as if after the text of the first lane: within a
    long text the network has hardly ever seen a state of zeros.
    """
    model, state = language.restore(Config, folder, build), read_checkpoint(folder)
    if "carried" in state:
        carried = Carried()
        carried.load_state_dict(state["carried"])
        cast(Recurrence, model.network).beginning = carried.first_lane()
    return model


def judge(folder: str | Path) -> str:
    """Describe the loss of a run's model on all validation texts."""
    return language.judge(Config, folder, build, measure)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 2 random sequences, and named tensors of its graph."""
    return language.example(config, build)
