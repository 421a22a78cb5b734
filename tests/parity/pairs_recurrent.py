"""Recurrent networks over a sequence, and the functions for words and pairs of vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

ONE_LAYER = (1, 0.0, False, False, False)  # layers, dropout, training, bidirectional, batch first


def sequences(gates: int, states: int, bias: bool = False, **options: Any) -> Any:
    """Draws a sequence, the states before it, both weights, and perhaps both biases."""

    def draw(d: Draw) -> Config:
        steps, batch, inputs, hidden = (d.integer(1, 4) for _ in range(4))
        biases = [d.floats((gates * hidden,)) for _ in range(2)] if bias else []
        return config(
            d.floats((steps, batch, inputs)),
            *(d.floats((batch, hidden), -1, 1) for _ in range(states)),
            d.floats((gates * hidden, inputs)),
            d.floats((gates * hidden, hidden)),
            *biases,
            **{key: d.one_of(values) for key, values in options.items()},
        )

    return draw


def our_lstm(x: Any, hidden: Any, cell: Any, w: Any, u: Any) -> Any:
    """The states after every step, and the last cell."""
    states, cells = tg.ops.lstm_sequence(F.linear(x, w), hidden, cell, u)
    return states, cells[-1]


def torch_lstm(x: Any, hidden: Any, cell: Any, w: Any, u: Any) -> Any:
    output, _, last = torch.lstm(x, (hidden[None], cell[None]), [w, u], False, *ONE_LAYER)
    return output, last[0]


def our_gru(x: Any, hidden: Any, w: Any, u: Any, b: Any, c: Any) -> Any:
    return tg.ops.gru_sequence(F.linear(x, w, b), hidden, u, c)


def torch_gru(x: Any, hidden: Any, *weights: Any) -> Any:
    return torch.gru(x, hidden[None], list(weights), True, *ONE_LAYER)[0]


def our_rnn(x: Any, hidden: Any, w: Any, u: Any, nonlinearity: str) -> Any:
    return tg.ops.rnn_sequence(F.linear(x, w), hidden, u, nonlinearity)


def torch_rnn(x: Any, hidden: Any, *weights: Any, nonlinearity: str) -> Any:
    run: Callable[..., Any] = torch.rnn_tanh if nonlinearity == "tanh" else torch.rnn_relu
    return run(x, hidden[None], list(weights), False, *ONE_LAYER)[0]


def words(d: Draw) -> Config:
    """Draws integers, and how many classes there are, or −1."""
    classes = d.integer(1, 5)
    numbers = d.integers(d.shape(empty=0.0), 0, classes - 1)
    return config(numbers, num_classes=d.one_of([-1, classes]))


def two_vectors(d: Draw) -> Config:
    """Draws two inputs with the same leading axes, a weight, and perhaps a bias."""
    lead, (first, second, out) = d.shape((0, 2), empty=0.0), (d.integer(1, 4) for _ in range(3))
    bias = d.floats((out,)) if d.chance(0.7) else None
    inputs = d.floats((*lead, first)), d.floats((*lead, second))
    return config(*inputs, d.floats((out, first, second)), bias)


PAIRS = [
    Pair("lstm_sequence", our_lstm, torch_lstm, sequences(4, 2)),
    Pair("gru_sequence", our_gru, torch_gru, sequences(3, 1, bias=True)),
    Pair("rnn_sequence", our_rnn, torch_rnn, sequences(1, 1, nonlinearity=["tanh", "relu"])),
    Pair("one_hot (of nn.functional)", F.one_hot, torch_functional.one_hot, words, order=0),
    Pair("bilinear", F.bilinear, torch_functional.bilinear, two_vectors),
]
