"""One step of a recurrent network, from the pre-activations of its gates.

The matrix products are `linear`'s: those of the inputs can be computed for all steps at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, ArrayLike, Namespace, Shape
from ...engine.call import op
from ...kernels import activations as kernels
from ..elementwise import multiply, sigmoid, subtract, tanh

__all__ = ["gru_cell", "lstm_cell"]


def _parts(gates: Array, count: int) -> list[Any]:
    """The last axis in `count` equal parts."""
    size = gates.shape[-1] // count
    return [gates[..., i * size : (i + 1) * size] for i in range(count)]


def _sigmoid(xp: Namespace, x: Array) -> Any:
    with np.errstate(over="ignore"):  # e^−x = inf gives the right 0
        return kernels.sigmoid(xp, x)


def _check(name: str, gates: Array, state: Array, count: int) -> None:
    """Raise ValueError unless gates are (…, count·H) and the state (…, H)."""
    shape = np.shape(state)
    if not shape or np.shape(gates) != (*shape[:-1], count * shape[-1]):
        raise ValueError(
            f"{name}: expected gates (…, {count}·H) and a state (…, H); got gates "
            f"{np.shape(gates)} and a state {shape}"
        )


# -------------------------------------------------------------------------------------- LSTM


def _lstm_decomposition(gates: ArrayLike, cell: ArrayLike) -> tuple[Any, Any]:
    i, f, g, o = _parts(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(cell), cell


def _lstm_rule(
    xp: Namespace, g: Array, gates: Array, cell: Array, out: Array, argnums: Shape
) -> Any:
    hidden_gradient, cell_gradient = g
    i, f, _, o = _parts(xp.sigmoid(gates), 4)
    new = xp.tanh(_parts(gates, 4)[2])
    bounded = xp.tanh(out[1])
    total = cell_gradient + hidden_gradient * o * (1.0 - bounded * bounded)
    gates_gradient = None
    if 0 in argnums:
        gates_gradient = xp.concat(
            total * new * (i * (1.0 - i)),
            total * cell * (f * (1.0 - f)),
            total * i * (1.0 - new * new),
            hidden_gradient * bounded * (o * (1.0 - o)),
            axis=-1,
        )
    return gates_gradient, total * f


@op(
    joint=_lstm_rule,
    arity=2,
    outputs=2,
    decomposition=_lstm_decomposition,
    local=["gate slopes", "σ(f)"],
    floating=True,
)
def lstm_cell(xp: Namespace, gates: ArrayLike, cell: ArrayLike) -> Any:
    """The new state of a long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        c′ = σ(f)·c + σ(i)·tanh(g),    h′ = σ(o)·tanh(c′)

    Args:
        gates: (…, 4H), the pre-activations i, f, g, o in this order, as in PyTorch: W x + U h plus
            both biases.
        cell: c, (…, H).

    Returns:
        h′ and c′, both (…, H).

    >>> hidden, cell = tg.lstm_cell(tg.zeros((1, 4)), tg.tensor([[2.0]]))
    >>> round(hidden.item(), 4), cell.item()
    (0.3808, 1.0)
    """
    _check("lstm_cell", gates, cell, 4)
    i, f, _, o = _parts(_sigmoid(xp, gates), 4)
    new = f * cell
    new += i * xp.tanh(_parts(gates, 4)[2])
    return o * xp.tanh(new), new


# --------------------------------------------------------------------------------------- GRU


def _gru_decomposition(from_input: ArrayLike, from_hidden: ArrayLike, hidden: ArrayLike) -> Any:
    r_in, z_in, n_in = _parts(from_input, 3)
    r_hidden, z_hidden, n_hidden = _parts(from_hidden, 3)
    r, z = sigmoid(r_in + r_hidden), sigmoid(z_in + z_hidden)
    n = tanh(n_in + r * n_hidden)
    return subtract(1.0, z) * n + multiply(z, hidden)


def _gru_rule(
    xp: Namespace, g: Array, from_input: Array, from_hidden: Array, hidden: Array, argnums: Shape
) -> Any:
    r, z, _ = _parts(xp.sigmoid(from_input + from_hidden), 3)
    n_hidden = _parts(from_hidden, 3)[2]
    n = xp.tanh(_parts(from_input, 3)[2] + r * n_hidden)
    n_gradient = g * (1.0 - z) * (1.0 - n * n)
    r_gradient = n_gradient * n_hidden * (r * (1.0 - r))
    z_gradient = g * (hidden - n) * (z * (1.0 - z))
    return (
        xp.concat(r_gradient, z_gradient, n_gradient, axis=-1) if 0 in argnums else None,
        xp.concat(r_gradient, z_gradient, n_gradient * r, axis=-1) if 1 in argnums else None,
        g * z,
    )


@op(
    joint=_gru_rule,
    arity=3,
    decomposition=_gru_decomposition,
    local=["gate slopes", "gate slopes", "z"],
    floating=True,
)
def gru_cell(
    xp: Namespace, from_input: ArrayLike, from_hidden: ArrayLike, hidden: ArrayLike
) -> Any:
    """The new state of a gated recurrent unit (Cho et al. 2014), in PyTorch's form.

        r = σ(rₓ + rₕ),    z = σ(zₓ + zₕ),    n = tanh(nₓ + r·nₕ),    h′ = (1 − z)·n + z·h

    The reset r is applied after the matrix product, to nₕ.

    Args:
        from_input: (…, 3H), the pre-activations rₓ, zₓ, nₓ in this order: W x plus its bias.
        from_hidden: (…, 3H), rₕ, zₕ, nₕ: U h plus its bias.
        hidden: h, (…, H).

    >>> tg.gru_cell(tg.zeros((1, 3)), tg.zeros((1, 3)), tg.tensor([[2.0]])).item()
    1.0
    """
    _check("gru_cell", from_input, hidden, 3)
    _check("gru_cell", from_hidden, hidden, 3)
    r, z, _ = _parts(_sigmoid(xp, from_input + from_hidden), 3)
    n = r * _parts(from_hidden, 3)[2]
    n += _parts(from_input, 3)[2]
    n = xp.tanh(n)
    return n + z * (hidden - n)
