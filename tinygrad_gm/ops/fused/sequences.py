"""Recurrent networks over a whole sequence, in one direction.

The inputs' products W x come in for all steps at once: one large matrix product, `linear`'s. Here
the steps follow each other, h′ = cell(W x + U h), and all states come out. The rules walk back
through time by hand: what does not depend on the step after is computed for all steps together, and
so is the gradient of U. The decompositions are loops over the cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Namespace
from ...engine.call import op
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
) -> tuple[int, int, int]:
    """Inputs (L, N, G·H), states (N, H), a weight (G·H, H) and a bias (G·H,): L, N, H."""
    many = "" if gates == 1 else f"{gates}·"
    given, matrix = np.shape(inputs), np.shape(weight)
    if len(matrix) != 2 or matrix[0] != gates * matrix[1]:
        raise ValueError(f"{name}: a weight ({many}H, H) is wanted; got {matrix}")
    rows, size = matrix
    if len(given) != 3 or given[0] == 0 or given[2] != rows:
        raise ValueError(
            f"{name}: inputs (L, N, {many}H) of one step or more are wanted, H = {size}; "
            f"got {given}"
        )
    for word, state in states.items():
        if np.shape(state) != (given[1], size):
            raise ValueError(
                f"{name}: {word} is (N, H), here {(given[1], size)}; got {np.shape(state)}"
            )
    if bias is not None and np.shape(bias) != (rows,):
        raise ValueError(f"{name}: a bias {(rows,)} is wanted; got {np.shape(bias)}")
    return given[0], given[1], size


def _before(xp: Namespace, first: Array, states: Array) -> Any:
    """The states at the beginning of each step."""
    return xp.concat(first[None], states[:-1])


def _in_gates(array: Array, count: int) -> Any:
    """(…, count·H) as (…, count, H)."""
    return array.reshape(*array.shape[:-1], count, array.shape[-1] // count)


def _rows(gates: Array) -> Any:
    """(N, G, H) as (N, G·H)."""
    return gates.reshape(gates.shape[0], gates.shape[1] * gates.shape[2])


def _sigmoid_into(xp: Namespace, out: Array, x: Array) -> None:
    xp.negative(x, out=out)
    xp.exp(out, out=out)
    out += 1
    xp.reciprocal(out, out=out)


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
    argnums: tuple[int, ...],
) -> Any:
    """At each step c̄ += o(1 − tanh²c)·h̄; all gates' gradients are slopes times c̄ or h̄."""
    hidden_gradients, cell_gradients = g
    states, cells = out
    i, f, new, o = (residuals[:, :, k] for k in range(4))
    bounded = xp.tanh(cells)
    slopes = xp.stack(
        new * i * (1 - i),
        _before(xp, cell, cells) * f * (1 - f),
        i * (1 - new * new),
        bounded * o * (1 - o),
        axis=2,
    )
    bounded *= -bounded
    bounded += 1
    bounded *= o
    into_hidden, into_cell = hidden_gradients[-1], cell_gradients[-1]
    by_row = weight.copy()  # in C order, which takes a third off the products
    for t in reversed(range(len(states))):
        into_cell = into_cell + bounded[t] * into_hidden
        slopes[t, :, :3] *= into_cell[:, None]
        slopes[t, :, 3] *= into_hidden
        into_hidden = _rows(slopes[t]) @ by_row
        into_cell *= f[t]
        if t:
            into_hidden += hidden_gradients[t - 1]
            into_cell += cell_gradients[t - 1]
    gates = slopes.reshape(*slopes.shape[:2], weight.shape[0])
    weights = weight_gradient(xp, gates, _before(xp, hidden, states)) if 3 in argnums else None
    return gates, into_hidden, into_cell, weights


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
        inputs: (L, N, 4H), W x plus both biases, the gates i, f, g, o one after the other.
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
    steps, batch, size = _check("lstm_sequence", 4, inputs, weight, None, hidden=hidden, cell=cell)
    gates = xp.empty((steps, batch, 4, size), inputs.dtype)
    states = xp.empty((steps, batch, size), inputs.dtype)
    cells = xp.empty_like(states)
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        for t in range(steps):
            product = hidden @ weight.T
            product += inputs[t]
            product, gate = _in_gates(product, 4), gates[t]
            _sigmoid_into(xp, gate, product)
            xp.tanh(product[:, 2], out=gate[:, 2])
            cell = xp.multiply(gate[:, 1], cell, out=cells[t])
            cell += gate[:, 0] * gate[:, 2]
            hidden = xp.tanh(cell, out=states[t])
            hidden *= gate[:, 3]
    return (states, cells), gates


# --------------------------------------------------------------------------------------- GRU


def _gru_decomposition(
    inputs: ArrayLike, hidden: ArrayLike, weight: ArrayLike, bias: ArrayLike = None
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
    argnums: tuple[int, ...],
) -> Any:
    """All gates' gradients are slopes times h̄; of n, W x's is r times smaller in U h's."""
    r, z, n, from_hidden = (residuals[:, :, k] for k in range(4))
    before = _before(xp, hidden, out)
    new = (1 - z) * (1 - n * n)
    slopes = xp.stack(
        new * from_hidden * r * (1 - r), (before - n) * z * (1 - z), new * r, new, axis=2
    )
    into_hidden, by_row = g[-1], weight.copy()  # as in the LSTM
    for t in reversed(range(len(out))):
        slopes[t] *= into_hidden[:, None]
        into_hidden = into_hidden * z[t]
        into_hidden += _rows(slopes[t, :, :3]) @ by_row
        if t:
            into_hidden += g[t - 1]
    shape = (*out.shape[:2], weight.shape[0])
    products = xp.reshape(slopes[:, :, :3], shape)
    inputs = xp.reshape(xp.concat(slopes[:, :, :2], slopes[:, :, 3:], axis=2), shape)
    return (
        inputs,
        into_hidden,
        weight_gradient(xp, products, before) if 2 in argnums else None,
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
        inputs: (L, N, 3H), W x plus its bias, the gates r, z, n one after the other.
        hidden: h before the first step, (N, H).
        weight: U, (3H, H).
        bias: b, (3H,).

    Returns:
        h after every step, (L, N, H).

    >>> tg.ops.gru_sequence(
    ...     tg.zeros((3, 1, 3)), tg.tensor([[8.0]]), tg.zeros((3, 1))).flatten().tolist()
    [4.0, 2.0, 1.0]
    """
    steps, batch, size = _check("gru_sequence", 3, inputs, weight, bias, hidden=hidden)
    gates = xp.empty((steps, batch, 4, size), inputs.dtype)  # r, z, n, and the product U h of n
    states = xp.empty((steps, batch, size), inputs.dtype)
    from_inputs = _in_gates(inputs, 3)
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        for t in range(steps):
            product = hidden @ weight.T
            if bias is not None:
                product += bias
            product, from_input, gate = _in_gates(product, 3), from_inputs[t], gates[t]
            gate[:, 3] = product[:, 2]
            _sigmoid_into(xp, gate[:, :2], product[:, :2] + from_input[:, :2])
            new = xp.multiply(gate[:, 0], gate[:, 3], out=gate[:, 2])
            new += from_input[:, 2]
            xp.tanh(new, out=new)
            hidden = xp.subtract(hidden, new, out=states[t])
            hidden *= gate[:, 1]
            hidden += new
    return states, gates


# --------------------------------------------------------------------------------------- RNN


def _rnn_decomposition(
    inputs: ArrayLike, hidden: ArrayLike, weight: ArrayLike, nonlinearity: str = "tanh"
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
    argnums: tuple[int, ...],
    nonlinearity: str,
) -> Any:
    bounded = nonlinearity == "tanh"
    into_inputs = 1 - out * out if bounded else xp.module.empty_like(out)
    into_hidden, by_row = g[-1], weight.copy()  # as in the LSTM
    for t in reversed(range(len(out))):
        if bounded:
            into_inputs[t] *= into_hidden
        else:
            into_inputs[t] = xp.select(into_hidden, out[t] != 0)
        into_hidden = into_inputs[t] @ by_row
        if t:
            into_hidden += g[t - 1]
    weights = weight_gradient(xp, into_inputs, _before(xp, hidden, out)) if 2 in argnums else None
    return into_inputs, into_hidden, weights


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
            f'rnn_sequence: nonlinearity is {nonlinearity!r}; "tanh" or "relu" is wanted'
        )
    steps, batch, size = _check("rnn_sequence", 1, inputs, weight, None, hidden=hidden)
    states = xp.empty((steps, batch, size), inputs.dtype)
    for t in range(steps):
        product = xp.matmul(hidden, weight.T, out=states[t])
        product += inputs[t]
        hidden = xp.tanh(product, out=product) if nonlinearity == "tanh" else _relu(xp, product)
    return states


def _relu(xp: Namespace, x: Array) -> Any:
    return xp.maximum(x, 0, out=x)
