"""Recurrent layers and cells, embeddings, bilinear maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drawing import Draw
from layers import Call, Layer


def recurrent(states: int, **choices: tuple[Any, ...]) -> Callable[[Draw], Call]:
    """Sizes, layers, directions, the order of the axes, perhaps an initial state, perhaps no batch;
    as many `states` per layer, and further arguments among the `choices`.
    """

    def draw(d: Draw) -> Call:
        arguments = {key: d.one_of(values) for key, values in choices.items()}
        arguments |= {"input_size": d.integer(1, 3), "hidden_size": d.integer(1, 4)}
        arguments |= {"num_layers": d.integer(1, 3), "bidirectional": d.chance(0.5)}
        arguments |= {"batch_first": d.chance(0.4), "bias": d.chance(0.7)}
        if choices.get("dropout"):
            arguments["num_layers"] = d.integer(2, 3)
        steps, batch = d.integer(1, 5), (d.integer(1, 3),) if d.chance(0.6) else ()
        lead = (*batch, steps) if arguments["batch_first"] else (steps, *batch)
        count = arguments["num_layers"] * (1 + arguments["bidirectional"])
        initial = state(d, (count, *batch, arguments["hidden_size"]), states)
        return Call(arguments, (d.floats((*lead, arguments["input_size"])), *initial), d.dtype)

    return draw


def cell(states: int, **choices: tuple[Any, ...]) -> Callable[[Draw], Call]:
    """Sizes, an input with or without a batch, and perhaps a state."""

    def draw(d: Draw) -> Call:
        arguments = {key: d.one_of(values) for key, values in choices.items()}
        arguments |= {"input_size": d.integer(1, 4), "hidden_size": d.integer(1, 4)}
        arguments |= {"bias": d.chance(0.7)}
        batch = (d.batch(),) if d.chance(0.6) else ()
        initial = state(d, (*batch, arguments["hidden_size"]), states)
        return Call(arguments, (d.floats((*batch, arguments["input_size"])), *initial), d.dtype)

    return draw


def state(d: Draw, shape: tuple[int, ...], states: int) -> tuple[Any, ...]:
    """Nothing, one array, or a pair of them."""
    arrays = tuple(d.floats(shape, -1, 1) for _ in range(states))
    return () if d.chance(0.4) else arrays if states == 1 else (arrays,)


def embedding(d: Draw) -> Call:
    """A table, and words in any shape; sometimes one of them is padding."""
    count = d.integer(1, 6)
    arguments = {"num_embeddings": count, "embedding_dim": d.integer(1, 4)}
    if d.chance(0.5):
        arguments["padding_idx"] = d.integer(-count, count - 1)
    return Call(arguments, (d.integers(d.shape((0, 3)), 0, count - 1),), d.dtype)


def bilinear(d: Draw) -> Call:
    """Sizes, and two inputs of any number of dimensions."""
    sizes = [d.integer(1, 4) for _ in range(3)]
    names = ("in1_features", "in2_features", "out_features")
    lead = d.shape((0, 3))
    inputs = (d.floats((*lead, sizes[0])), d.floats((*lead, sizes[1])))
    arguments = dict(zip(names, sizes, strict=True))
    return Call({**arguments, "bias": d.chance(0.7)}, inputs, d.dtype)


def anything(d: Draw) -> Call:
    """An array of any shape."""
    return Call({}, (d.floats(d.shape()),), d.dtype)


NONLINEARITIES = ("tanh", "relu")
LARGE: dict[str, Any] = {"input_size": 20, "hidden_size": 30}
STACKED: dict[str, Any] = {**LARGE, "num_layers": 2, "bidirectional": True}

LAYERS = [
    Layer("RNN", recurrent(1, nonlinearity=NONLINEARITIES), large=STACKED),
    Layer("LSTM", recurrent(2), large=STACKED),
    Layer("GRU", recurrent(1), large=STACKED),
    *(
        Layer(f"{name} (dropout in evaluation)", recurrent(states, dropout=(0.3,)), modes=(False,))
        for name, states in (("RNN", 1), ("LSTM", 2), ("GRU", 1))
    ),
    Layer("RNNCell", cell(1, nonlinearity=NONLINEARITIES), large=LARGE),
    Layer("LSTMCell", cell(2), large=LARGE),
    Layer("GRUCell", cell(1), large=LARGE),
    Layer("Embedding", embedding, large={"num_embeddings": 60, "embedding_dim": 50}),
    Layer(
        "Bilinear",
        bilinear,
        large={"in1_features": 20, "in2_features": 15, "out_features": 10},
    ),
    Layer("Identity", anything),
]
