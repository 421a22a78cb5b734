"""Recurrent networks over a whole sequence, in one direction.

`inputs` holds the products W x of all steps: one large matrix product, `linear`'s. The steps follow
each other, h′ = cell(W x + U h), and the result has all states. The gradient of U, like W x, is one
product for all steps. The decompositions are loops over the cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Namespace, Shape
from ...engine.call import op
from ...kernels import sequences as kernels
from ..checks import check_shape
from ..choosing import relu
from ..elementwise import add, tanh
from ..matmul import as_rows
from ..shape import stack, unstack
from .linear import linear, weight_gradient
from .recurrent import gru_cell, lstm_cell

__all__: list[str] = []

CELLS: dict[str, Any] = {"relu": relu, "tanh": tanh}


def _check(
    name: str, gates: int, inputs: Array, weight: Array, bias: Array, **states: Array
) -> None:
    """Raise ValueError unless the shapes are (L, N, G·H), (G·H, H), (G·H,) and (N, H)."""
    rows = "H" if gates == 1 else f"{gates}·H"
    given, matrix = np.shape(inputs), np.shape(weight)
    if len(matrix) != 2 or matrix[0] != gates * matrix[1]:
        raise ValueError(f"{name}: expected weight of shape ({rows}, H); got {matrix}")
    if len(given) != 3 or given[0] == 0 or given[2] != matrix[0]:
        raise ValueError(
            f"{name}: expected inputs (L, N, {rows}) with L ≥ 1 and H = {matrix[1]}; got {given}"
        )
    for argument, state in states.items():
        check_shape(name, (given[1], matrix[1]), argument, state)
    check_shape(name, matrix[:1], "bias", bias)


def _recurrent_gradient(xp: Namespace, gates: Array, hidden: Array, states: Array) -> Any:
    """The gradient of U: Σ over steps of ḡₜᵀ hₜ₋₁."""
    return weight_gradient(xp, gates, kernels.states_before(xp.module, hidden, states))


# -------------------------------------------------------------------------------------- LSTM


def _lstm_decomposition(
    inputs: ArrayLike, hidden: ArrayLike, cell: ArrayLike, weight: ArrayLike
) -> tuple[Any, Any]:
    states, cells = [], []
    for from_input in unstack(inputs):
        hidden, cell = lstm_cell(add(from_input, linear(hidden, weight)), cell)
        states.append(hidden)
        cells.append(cell)
    return stack(*states), stack(*cells)


def _lstm_rule(
    xp: Namespace,
    g: Array,
    hidden: Array,
    cell: Array,
    weight: Array,
    out: Array,
    residuals: Array,
    argnums: Shape,
) -> Any:
    (states, cells), (into_states, into_cells) = out, g
    inputs, *first = kernels.lstm_backward(
        xp.module, into_states, into_cells, cell, weight, cells, residuals
    )
    return inputs, *first, _recurrent_gradient(xp, inputs, hidden, states) if 3 in argnums else None


@op(
    joint=_lstm_rule,
    arity=4,
    outputs=2,
    decomposition=_lstm_decomposition,
    local=["gate slopes", "through all steps", "through all steps", "Σ ḡₜᵀ hₜ₋₁"],
    floating=True,
)
def lstm_sequence(
    xp: Namespace, inputs: ArrayLike, hidden: ArrayLike, cell: ArrayLike, weight: ArrayLike
) -> Any:
    """A long short-term memory over a sequence: `lstm_cell` on inputs[t] + h Uᵀ, step by step.

    Args:
        inputs: (L, N, 4H), W x plus both biases, in the order of gates i, f, g, o.
        hidden: h before the first step, (N, H).
        cell: c before the first step, (N, H).
        weight: U, (4H, H).

    Returns:
        h and c after every step, both (L, N, H).

    >>> states, cells = tg.ops.lstm_sequence(
    ...     tg.zeros((3, 1, 4)), tg.zeros((1, 1)), tg.tensor([[8.0]]), tg.zeros((4, 1)))
    >>> cells.flatten().tolist()
    [4.0, 2.0, 1.0]
    """
    _check("lstm_sequence", 4, inputs, weight, None, hidden=hidden, cell=cell)
    states, cells, gates = kernels.lstm(xp, inputs, hidden, cell, weight)
    return (states, cells), gates


# --------------------------------------------------------------------------------------- GRU


def _gru_decomposition(
    inputs: ArrayLike, hidden: ArrayLike, weight: ArrayLike, bias: ArrayLike
) -> Any:
    states = []
    for from_input in unstack(inputs):
        hidden = gru_cell(from_input, linear(hidden, weight, bias), hidden)
        states.append(hidden)
    return stack(*states)


def _gru_rule(
    xp: Namespace,
    g: Array,
    hidden: Array,
    weight: Array,
    out: Array,
    residuals: Array,
    argnums: Shape,
) -> Any:
    inputs, products, first = kernels.gru_backward(xp.module, g, hidden, weight, out, residuals)
    return (
        inputs,
        first,
        _recurrent_gradient(xp, products, hidden, out) if 2 in argnums else None,
        xp.sum(as_rows(xp, products), 0) if 3 in argnums else None,
    )


@op(
    joint=_gru_rule,
    arity=4,
    decomposition=_gru_decomposition,
    local=["gate slopes", "through all steps", "Σ ḡₜᵀ hₜ₋₁", "Σ ḡₜ"],
    floating=True,
)
def gru_sequence(
    xp: Namespace, inputs: ArrayLike, hidden: ArrayLike, weight: ArrayLike, bias: ArrayLike = None
) -> Any:
    """A gated recurrent unit over a sequence: `gru_cell` on inputs[t] and h Uᵀ + b, step by step.

    Args:
        inputs: (L, N, 3H), W x plus its bias, in the order of gates r, z, n.
        hidden: h before the first step, (N, H).
        weight: U, (3H, H).
        bias: b, (3H,).

    Returns:
        h after every step, (L, N, H).

    >>> tg.ops.gru_sequence(
    ...     tg.zeros((3, 1, 3)), tg.tensor([[8.0]]), tg.zeros((3, 1))).flatten().tolist()
    [4.0, 2.0, 1.0]
    """
    _check("gru_sequence", 3, inputs, weight, bias, hidden=hidden)
    return kernels.gru(xp, inputs, hidden, weight, bias)


# --------------------------------------------------------------------------------------- RNN


def _rnn_decomposition(
    inputs: ArrayLike, hidden: ArrayLike, weight: ArrayLike, nonlinearity: str
) -> Any:
    states = []
    for from_input in unstack(inputs):
        hidden = CELLS[nonlinearity](add(from_input, linear(hidden, weight)))
        states.append(hidden)
    return stack(*states)


def _rnn_rule(
    xp: Namespace,
    g: Array,
    hidden: Array,
    weight: Array,
    out: Array,
    argnums: Shape,
    nonlinearity: str,
) -> Any:
    inputs, first = kernels.rnn_backward(xp.module, g, weight, out, nonlinearity == "tanh")
    return inputs, first, _recurrent_gradient(xp, inputs, hidden, out) if 2 in argnums else None


@op(
    joint=_rnn_rule,
    arity=3,
    decomposition=_rnn_decomposition,
    local=["1 − h² or h > 0", "through all steps", "Σ ḡₜᵀ hₜ₋₁"],
    floating=True,
)
def rnn_sequence(
    xp: Namespace,
    inputs: ArrayLike,
    hidden: ArrayLike,
    weight: ArrayLike,
    nonlinearity: str = "tanh",
) -> Any:
    """A simple recurrent network (Elman 1990) over a sequence: h′ = tanh(inputs[t] + h Uᵀ).

    Args:
        inputs: (L, N, H), W x plus the bias.
        hidden: h before the first step, (N, H).
        weight: U, (H, H).
        nonlinearity: "tanh" or "relu".

    Returns:
        h after every step, (L, N, H).

    >>> tg.ops.rnn_sequence(
    ...     tg.ones((3, 1, 1)), tg.zeros((1, 1)), tg.ones((1, 1)), "relu").flatten().tolist()
    [1.0, 2.0, 3.0]
    """
    if nonlinearity not in CELLS:
        raise ValueError(
            f'rnn_sequence: nonlinearity is {nonlinearity!r}; expected "tanh" or "relu"'
        )
    _check("rnn_sequence", 1, inputs, weight, None, hidden=hidden)
    return kernels.rnn(xp, inputs, hidden, weight, nonlinearity == "tanh")
