"""Recurrent networks over a sequence, forward and backward.

The steps follow each other. A backward pass first computes the slopes of the gates for all steps
together, and then multiplies them by the gradients, from the last step to the first.
"""

from __future__ import annotations

import numpy as np

from ..backend import Array, Arrays, Namespace
from . import native
from .activations import sigmoid
from .selection import selected

in_order = np.ascontiguousarray  # as the kernels walk memory
PACKED = 1 << 14  # weights that are packed in the time of a step of one sequence
CACHED = 1 << 18  # weights that fit into the second-level cache


def _pays(inputs: Array, weight: Array) -> bool:
    """Whether it pays to pack the weight for a kernel: there are enough steps, and a single
    sequence, which one thread computes, finds it in the cache.
    """
    steps, batch = inputs.shape[:2]
    return bool(steps * batch * PACKED >= weight.size) and (batch > 1 or weight.size <= CACHED)


def split_gates(array: Array, count: int) -> Array:
    """(…, count·H) as (…, count, H)."""
    return array.reshape(*array.shape[:-1], count, array.shape[-1] // count)


def join_gates(gates: Array) -> Array:
    """(…, count, H) as (…, count·H)."""
    return gates.reshape(*gates.shape[:-2], gates.shape[-2] * gates.shape[-1])


def states_before(xp: Namespace, first: Array, states: Array) -> Array:
    """The states at the beginning of each step."""
    return xp.concatenate([first[None], states[:-1]])


# -------------------------------------------------------------------------------------- LSTM


def lstm(xp: Namespace, inputs: Array, hidden: Array, cell: Array, weight: Array) -> Arrays:
    """The states, cells and gates of all steps, for inputs (L, N, 4·H) and a weight (4·H, H)."""
    steps, (batch, size) = len(inputs), hidden.shape
    gates = xp.empty((steps, batch, 4, size), inputs.dtype)
    states = xp.empty((steps, batch, size), inputs.dtype)
    cells = xp.empty_like(states)
    if _pays(inputs, weight) and native.fits(inputs, hidden, cell, weight):
        native.lstm(
            in_order(inputs), in_order(hidden), in_order(cell), weight, states, cells, gates
        )
        return states, cells, gates
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        for t in range(steps):
            product = hidden @ weight.T
            product += inputs[t]
            product, gate = split_gates(product, 4), gates[t]
            sigmoid(xp, product, gate)
            xp.tanh(product[:, 2], out=gate[:, 2])
            cell = xp.multiply(gate[:, 1], cell, out=cells[t])
            cell += gate[:, 0] * gate[:, 2]
            hidden = xp.tanh(cell, out=states[t])
            hidden *= gate[:, 3]
    return states, cells, gates


def lstm_backward(
    xp: Namespace,
    state_gradients: Array,
    cell_gradients: Array,
    cell: Array,
    weight: Array,
    cells: Array,
    gates: Array,
) -> Arrays:
    """The gradients of the inputs, the first hidden state and the first cell.

    At each step c̄ += o(1 − tanh²c)·h̄; the gradients of all gates are slopes times c̄ or h̄.
    """
    if native.fits(state_gradients, cell_gradients, cell, weight, cells, gates):
        joined = xp.empty((*cells.shape[:2], len(weight)), cells.dtype)
        into_hidden = xp.empty(cell.shape, cell.dtype)
        into_cell = xp.empty(cell.shape, cell.dtype)
        native.lstm_backward(
            in_order(state_gradients),
            in_order(cell_gradients),
            in_order(cell),
            weight,
            in_order(cells),
            in_order(gates),
            joined,
            into_hidden,
            into_cell,
        )
        return joined, into_hidden, into_cell
    i, f, new, o = (gates[:, :, k] for k in range(4))
    before, bounded = states_before(xp, cell, cells), xp.tanh(cells)
    slopes = xp.stack(
        [new * i * (1 - i), before * f * (1 - f), i * (1 - new * new), bounded * o * (1 - o)],
        axis=2,
    )
    bounded *= -bounded
    bounded += 1
    bounded *= o
    into_hidden, into_cell = state_gradients[-1], cell_gradients[-1]
    weight = weight.copy()  # in C order, which saves a third of the products' time
    for t in reversed(range(len(cells))):
        into_cell = into_cell + bounded[t] * into_hidden
        slopes[t, :, :3] *= into_cell[:, None]
        slopes[t, :, 3] *= into_hidden
        into_hidden = join_gates(slopes[t]) @ weight
        into_cell *= f[t]
        if t:
            into_hidden += state_gradients[t - 1]
            into_cell += cell_gradients[t - 1]
    return join_gates(slopes), into_hidden, into_cell


# --------------------------------------------------------------------------------------- GRU


def gru(xp: Namespace, inputs: Array, hidden: Array, weight: Array, bias: Array) -> Arrays:
    """The states and gates of all steps, for inputs (L, N, 3·H) and a weight (3·H, H).

    The gates (L, N, 4, H) are r, z, n, and the product U h + b of n.
    """
    steps, (batch, size) = len(inputs), hidden.shape
    gates = xp.empty((steps, batch, 4, size), inputs.dtype)
    states = xp.empty((steps, batch, size), inputs.dtype)
    if _pays(inputs, weight) and native.fits(inputs, hidden, weight, bias):
        added = None if bias is None else in_order(bias)
        native.gru(in_order(inputs), in_order(hidden), weight, added, states, gates)
        return states, gates
    inputs = split_gates(inputs, 3)
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        for t in range(steps):
            product = hidden @ weight.T
            if bias is not None:
                product += bias
            product, from_input, gate = split_gates(product, 3), inputs[t], gates[t]
            gate[:, 3] = product[:, 2]
            sigmoid(xp, product[:, :2] + from_input[:, :2], gate[:, :2])
            new = xp.multiply(gate[:, 0], gate[:, 3], out=gate[:, 2])
            new += from_input[:, 2]
            xp.tanh(new, out=new)
            hidden = xp.subtract(hidden, new, out=states[t])
            hidden *= gate[:, 1]
            hidden += new
    return states, gates


def gru_backward(
    xp: Namespace, g: Array, hidden: Array, weight: Array, states: Array, gates: Array
) -> Arrays:
    """The gradients of the inputs, of the products U h + b, and of the first hidden state.

    The gradients of all gates are slopes times h̄; those of n, by the product and by the input,
    differ by the factor r.
    """
    if native.fits(g, hidden, weight, states, gates):
        shape, first = (*states.shape[:2], len(weight)), xp.empty(hidden.shape, hidden.dtype)
        slopes, products = xp.empty(shape, states.dtype), xp.empty(shape, states.dtype)
        native.gru_backward(
            in_order(g),
            in_order(hidden),
            weight,
            in_order(states),
            in_order(gates),
            slopes,
            products,
            first,
        )
        return slopes, products, first
    r, z, n, from_hidden = (gates[:, :, k] for k in range(4))
    before, new = states_before(xp, hidden, states), (1 - z) * (1 - n * n)
    slopes = xp.stack(
        [new * from_hidden * r * (1 - r), (before - n) * z * (1 - z), new * r, new], axis=2
    )
    into_hidden, weight = g[-1], weight.copy()  # as in the LSTM
    for t in reversed(range(len(states))):
        slopes[t] *= into_hidden[:, None]
        into_hidden = into_hidden * z[t]
        into_hidden += join_gates(slopes[t, :, :3]) @ weight
        if t:
            into_hidden += g[t - 1]
    inputs = xp.concatenate([slopes[:, :, :2], slopes[:, :, 3:]], axis=2)
    return join_gates(inputs), join_gates(slopes[:, :, :3]), into_hidden


# --------------------------------------------------------------------------------------- RNN


def rnn(xp: Namespace, inputs: Array, hidden: Array, weight: Array, bounded: bool) -> Array:
    """The states of all steps, for inputs (L, N, H); tanh if `bounded`, else relu."""
    states = xp.empty(inputs.shape, inputs.dtype)
    if _pays(inputs, weight) and native.fits(inputs, hidden, weight):
        native.rnn(in_order(inputs), in_order(hidden), weight, states, bounded)
        return states
    for t in range(len(inputs)):
        product = xp.matmul(hidden, weight.T, out=states[t])
        product += inputs[t]
        hidden = xp.tanh(product, out=product) if bounded else xp.maximum(product, 0, out=product)
    return states


def rnn_backward(xp: Namespace, g: Array, weight: Array, states: Array, bounded: bool) -> Arrays:
    """The gradients of the inputs and of the first hidden state."""
    if native.fits(g, weight, states):
        slopes = xp.empty(states.shape, states.dtype)
        first = xp.empty(states.shape[1:], states.dtype)
        native.rnn_backward(in_order(g), weight, in_order(states), slopes, first, bounded)
        return slopes, first
    slopes = 1 - states * states if bounded else xp.empty_like(states)
    into_hidden, weight = g[-1], weight.copy()  # as in the LSTM
    for t in reversed(range(len(states))):
        if bounded:
            slopes[t] *= into_hidden
        else:
            slopes[t] = selected(into_hidden, states[t] != 0)
        into_hidden = slopes[t] @ weight
        if t:
            into_hidden += g[t - 1]
    return slopes, into_hidden
