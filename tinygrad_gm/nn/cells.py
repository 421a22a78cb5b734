"""Recurrent cells: one step of a recurrent network, and the weights shared with its layers.

A cell has W (G·H, in) for the input and U (G·H, H) for the state, each with a bias; G = 1, 4 or 3
gates are stacked in their rows. All are drawn from U(−1/√H, 1/√H).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..creation import empty, zeros
from ..engine.modes import no_grad
from ..ops.fused.sequences import CELLS
from ..tensor import Tensor, asarray
from . import init
from .module import Module
from .parameter import Parameter, by_columns, is_placeholder

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


def add_weights(
    module: Module, gates: int, inputs: int, hidden: int, bias: bool, suffix: str, **place: Any
) -> None:
    """Add `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` with a suffix, uninitialised."""
    rows = gates * hidden
    for name, width in (("weight_ih", inputs), ("weight_hh", hidden)):
        module.register_parameter(name + suffix, by_columns(rows, width, **place))
    for name in ("bias_ih", "bias_hh"):
        parameter = Parameter(empty((rows,), **place)) if bias else None
        module.register_parameter(name + suffix, parameter)


def draw_weights(module: Module, hidden: int) -> None:
    """Draw all parameters from U(−1/√H, 1/√H)."""
    bound = 1 / math.sqrt(hidden)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def add_forget_bias(module: Module, hidden: int, forget_bias: float) -> None:
    """Add the forget bias of an LSTM to its gate in every `bias_ih`."""
    for name, parameter in module.named_parameters():
        if forget_bias and name.startswith("bias_ih") and not is_placeholder(parameter):
            with no_grad():
                parameter[hidden : 2 * hidden] += forget_bias


def check_sizes(module: Module, **sizes: Any) -> None:
    """Raise ValueError for a size that is not an integer ≥ 1."""
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(
                f"{type(module).__name__}: {name} is {size!r}; expected an integer ≥ 1"
            )


def check_nonlinearity(module: Module, nonlinearity: str) -> None:
    """Raise ValueError for a nonlinearity other than "tanh" and "relu"."""
    if nonlinearity not in CELLS:
        raise ValueError(
            f'{type(module).__name__}: nonlinearity is {nonlinearity!r}; expected "tanh" or "relu"'
        )


def check_forget_bias(module: Module, forget_bias: float, bias: bool) -> None:
    """Raise ValueError for a forget bias without biases."""
    if forget_bias and not bias:
        raise ValueError(
            f"{type(module).__name__}: forget_bias={forget_bias} needs the biases that bias=False "
            "leaves out"
        )


def sizes_and_options(module: Any, **defaults: Any) -> str:
    """The text of `extra_repr`: the sizes, and the options that differ from their defaults."""
    options = ((name, getattr(module, name, default)) for name, default in defaults.items())
    others = [f"{name}={value}" for name, value in options if value != defaults[name]]
    return ", ".join([str(module.input_size), str(module.hidden_size), *others])


class _Cell(Module):
    """Base of the three cells: weights, argument checks, and the zero state."""

    gates: int
    forget_bias: float = 0.0
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_sizes(self, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        add_weights(self, self.gates, input_size, hidden_size, bias, "", dtype=dtype, device=device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise all parameters."""
        draw_weights(self, self.hidden_size)
        add_forget_bias(self, self.hidden_size, self.forget_bias)

    def _input(self, input: Any) -> Tensor:
        x = asarray(input)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: expected an input (N, {self.input_size}) or "
                f"({self.input_size},); got {x.shape}"
            )
        return x

    def _start(self, state: Any, x: Tensor, name: str = "hx") -> Tensor:
        shape = (*x.shape[:-1], self.hidden_size)
        if state is None:
            return zeros(shape, self.weight_hh.dtype, device=self.weight_hh.device)
        start = asarray(state)
        if start.shape != shape:
            raise ValueError(
                f"{type(self).__name__}: expected {name} of shape {shape}; got {start.shape}"
            )
        return start

    def _products(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """W x and U h, each plus its bias."""
        return (
            ops.linear(x, self.weight_ih, self.bias_ih),
            ops.linear(hidden, self.weight_hh, self.bias_hh),
        )

    def extra_repr(self) -> str:
        return sizes_and_options(self, bias=True, nonlinearity="tanh")


class RNNCell(_Cell):
    """One step of a simple recurrent network (Elman 1990): h′ = tanh(W x + b + U h + c).

    Args:
        input_size: the length of x.
        hidden_size: H, the length of h.
        bias: whether to add b and c.
        nonlinearity: "tanh" or "relu".
        device, dtype: of the parameters; None: the defaults.

    Shapes: x (N, input_size) and h (N, H), or both without N; `weight_ih` W (H, input_size),
    `weight_hh` U (H, H), `bias_ih` b and `bias_hh` c (H,) or None. The default h is 0.

    >>> cell = nn.RNNCell(3, 2)
    >>> hidden = None
    >>> for x in tg.ones((5, 4, 3)).unstack():
    ...     hidden = cell(x, hidden)
    >>> hidden.shape
    (4, 2)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        check_nonlinearity(self, nonlinearity)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        """h′ for x and h."""
        x = self._input(input)
        from_input, from_hidden = self._products(x, self._start(hx, x))
        hidden: Tensor = CELLS[self.nonlinearity](from_input + from_hidden)
        return hidden


class LSTMCell(_Cell):
    """One step of a long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    The gates i, f, g, o are the four parts of W x + b + U h + d, and

        c′ = σ(f)·c + σ(i)·tanh(g),    h′ = σ(o)·tanh(c′)

    Args:
        input_size: the length of x.
        hidden_size: H, the length of h and of c.
        bias: whether to add b and d.
        device, dtype: of the parameters; None: the defaults.
        forget_bias: added to the forget gate's part of `bias_ih` at initialisation: 1 makes a new
            network remember, which speeds up learning (Jozefowicz et al. 2015).

    Shapes: x (N, input_size), h and c (N, H), or all without N; `weight_ih` W (4H, input_size),
    `weight_hh` U (4H, H), `bias_ih` b and `bias_hh` d (4H,) or None. The default h and c are 0.

    >>> hidden, cell = nn.LSTMCell(3, 2)(tg.ones((4, 3)))
    >>> hidden.shape, cell.shape
    ((4, 2), (4, 2))
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        check_forget_bias(self, forget_bias, bias)
        self.forget_bias = forget_bias
        add_forget_bias(self, hidden_size, forget_bias)

    def forward(self, input: Any, hx: Any = None) -> tuple[Tensor, Tensor]:
        """(h′, c′) for x and the pair (h, c)."""
        x = self._input(input)
        hidden, cell = (None, None) if hx is None else pair(self, hx)
        hidden, cell = self._start(hidden, x, "h"), self._start(cell, x, "c")
        from_input, from_hidden = self._products(x, hidden)
        hidden, cell = ops.lstm_cell(from_input + from_hidden, cell)
        return hidden, cell


class GRUCell(_Cell):
    """One step of a gated recurrent unit (Cho et al. 2014), in PyTorch's form.

    With r, z, n the three parts of W x + b (ₓ) and of U h + d (ₕ)

        r = σ(rₓ + rₕ),    z = σ(zₓ + zₕ),    n = tanh(nₓ + r·nₕ),    h′ = (1 − z)·n + z·h

    Args:
        input_size: the length of x.
        hidden_size: H, the length of h.
        bias: whether to add b and d.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x (N, input_size) and h (N, H), or both without N; `weight_ih` W (3H, input_size),
    `weight_hh` U (3H, H), `bias_ih` b and `bias_hh` d (3H,) or None. The default h is 0.

    >>> nn.GRUCell(3, 2)(tg.ones(3)).shape
    (2,)
    """

    gates = 3

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        """h′ for x and h."""
        x = self._input(input)
        hidden = self._start(hx, x)
        return ops.gru_cell(*self._products(x, hidden), hidden)


def pair(module: Module, state: Any) -> tuple[Any, Any]:
    """The state of an LSTM as h and c; TypeError for anything else."""
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise TypeError(
            f"{type(module).__name__}: hx is the pair (h, c), not a {type(state).__name__}"
        )
    return state[0], state[1]
