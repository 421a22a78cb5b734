"""Why do gates help a recurrent network to remember?

**The adding problem** (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", section 5.4; with
one marker in each half of the sequence, Le et al. 2015). At each of T steps the network reads a
random number from [0, 1] and a marker, which is 1 at two steps and 0 elsewhere. At the end it has
to give the sum of the two marked numbers:

    numbers   0.63  0.18  0.94  …  0.27  0.50  0.71
    markers   0     1     0     …  0     1     0         sum  0.18 + 0.50 = 0.68

The constant 1, the mean of the sums, has the squared error Var(u + v) = 2 · 1/12 = 0.167. The curve
of a network that does not use the markers stays on this *plateau*. To leave it, the gradient has
to pass from the last step to the first half of the sequence.

**The gradient over time**: the norm of ∂L/∂s_t for every step t, where s_t is the state of the
network after that step, h_t or, of an LSTM, h_t and c_t. In the RNN it is multiplied at each step
back by Uᵀ diag(1 − h_t²), with a norm below 1, and vanishes. In the LSTM the way through the cells
multiplies it by the forget gates only: 0.73 with the initial bias of 1, and close to 1 where the
trained network keeps what it has read (`rnn` has the derivation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data, nn, optim, pictures
from tinygrad_gm.backend import ArrayLike
from tinygrad_gm.training import Run
from tinygrad_gm.training.metrics import read_metrics

from ..rnn import LAYERS, State

PLATEAU = 1 / 6  # the error of the constant 1
MEAN = 50  # steps whose mean error is a point of a curve


def answer(
    folder: Path,
    *,
    cells: Sequence[str] = ("rnn", "lstm", "gru"),
    length: int = 100,
    hidden: int = 64,
    steps: int = 3000,
    batch_size: int = 50,
    learning_rate: float = 2e-3,
    judged: int = 10_000,
) -> str:
    """Compare the errors, and the gradients over time before and after the training."""
    errors: dict[str, list[float]] = {}
    gradients: dict[str, list[float]] = {}
    lines = []
    unseen = sequences(judged, length, Generator(1))
    few = sequences(100, length, Generator(2))
    for cell in cells:
        name = cell.upper()
        tg.manual_seed(0)
        model = Adder(cell, hidden)
        before = gradient_over_time(model, *few)
        errors[name] = fit(folder / cell, model, length, steps, batch_size, learning_rate)
        after = gradient_over_time(model, *few)
        gradients |= {f"{name}, untrained": before, f"{name}, trained": after}
        lines.append(
            f"{name}: squared error {squared_error(model, *unseen):.4f}, ratio of the gradients of "
            f"the first and the last step {before[0] / before[-1]:.1e} before the training, "
            f"{after[0] / after[-1]:.1e} after it"
        )
    errors["plateau"] = [PLATEAU] * len(errors[name])
    every = [MEAN * (k + 1) for k in range(len(errors[name]))]
    sheets = [
        pictures.curves(
            {name: (every, values) for name, values in errors.items()},
            title=f"Adding two of {length} numbers",
            y_label="squared error",
            size=(480, 400),
        ),
        pictures.curves(
            {
                name: [math.log10(norm) if norm else math.nan for norm in norms]  # 0 by underflow
                for name, norms in gradients.items()
            },
            title="Gradients over time",
            y_label="log10 of the norm",
            size=(480, 400),
        ),
    ]
    pictures.panels(sheets, columns=2, path=folder / "adding.png")
    return "\n".join(lines)


class Adder(nn.Module):
    """A recurrent layer, and a linear layer that reads the sum from its last state.

    Args:
        cell: "rnn", "lstm" or "gru"; an LSTM's forget gates have an initial bias of 1.
        hidden: length of the state.

    >>> Adder("lstm", 64)(tg.zeros((5, 100, 2))).shape
    (5,)
    """

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        remembering = {"forget_bias": 1.0} if cell == "lstm" else {}
        self.recurrent = LAYERS[cell](2, hidden, batch_first=True, **remembering)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences (N, T, 2) → sums (N,)."""
        outputs, _ = self.recurrent(x)
        sums: Tensor = self.head(outputs[:, -1])[:, 0]
        return sums


def sequences(count: int, length: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Random sequences (count, length, 2), numbers and markers, and their sums (count,).

    >>> x, y = sequences(3, 10, Generator(0))
    >>> x.shape, x[:, :, 1].sum(axis=1).tolist()
    ((3, 10, 2), [2.0, 2.0, 2.0])
    """
    numbers = tg.rand((count, length), generator=generator)
    half, step = length // 2, tg.arange(length)
    first = tg.randint(0, half, (count, 1), generator=generator)
    second = tg.randint(half, length, (count, 1), generator=generator)
    markers = ((step == first) | (step == second)).astype(numbers.dtype)
    return tg.stack([numbers, markers], axis=2), (numbers * markers).sum(axis=1)


class Sequences(data.Dataset):
    """`sequences` newly drawn for each batch, from the default generator."""

    def __init__(self, length: int, count: int) -> None:
        self.length, self.count = length, count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: ArrayLike) -> tuple[Tensor, Tensor]:
        """New sequences, one for each index."""
        return sequences(len(indices), self.length, tg.default_generator())


def fit(
    folder: Path, model: Adder, length: int, steps: int, batch_size: int, learning_rate: float
) -> list[float]:
    """Train by Adam; return the squared errors of the training, each the mean of `MEAN` steps."""
    settings = {"length": length, "batch_size": batch_size, "learning_rate": learning_rate}
    loader = data.DataLoader(Sequences(length, steps * batch_size), batch_size)
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)

    def loss(batch: tuple[Tensor, Tensor], _: Generator) -> Tensor:
        x, y = batch
        return tg.mean((model(x) - y) ** 2)

    with Run(folder, settings, resume=True) as run:
        run.fit(model, optimizer, loss, loader, epochs=1, clip_norm=1.0, checkpoint_every=500)
    losses = [line["loss"] for line in read_metrics(folder)]
    return [sum(losses[k : k + MEAN]) / MEAN for k in range(0, len(losses) - MEAN + 1, MEAN)]


@tg.no_grad()
def squared_error(model: Adder, x: Tensor, y: Tensor) -> float:
    """The mean squared error of the sums."""
    return float(tg.mean((model(x) - y) ** 2))


def gradient_over_time(model: Adder, x: Tensor, y: Tensor) -> list[float]:
    """The norm of the gradient of (sum − y)² with respect to the state after each step.

    The recurrent layer reads one step at a time, so that each state is a tensor of the graph. The
    norm is the mean over the sequences.

    >>> norms = gradient_over_time(Adder("rnn", 64), *sequences(20, 100, Generator(0)))
    >>> len(norms), norms[0] < 1e-15 < norms[-1]
    (100, True)
    """
    state: State | None = None
    states: list[tuple[Tensor, ...]] = []
    for step in range(x.shape[1]):
        _, state = model.recurrent(x[:, step : step + 1], state)
        states.append(state if isinstance(state, tuple) else (state,))
    errors = model.head(states[-1][0][0])[:, 0] - y
    parts = [part for state in states for part in state]
    # Of the sum of all losses, so the gradient of a sequence's state is that of its own loss. The
    # last c has no successor, and no gradient.
    found = tg.grad(tg.sum(errors**2), parts, allow_unused=True)
    squares = [tg.sum(g**2, axis=2)[0] if g is not None else tg.zeros(len(x)) for g in found]
    kinds = len(states[0])
    return [
        float(tg.mean(tg.sqrt(sum(squares[k : k + kinds], tg.tensor(0.0)))))
        for k in range(0, len(squares), kinds)
    ]
