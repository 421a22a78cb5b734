"""Activations that squash: between bounds, into probabilities, by a gate. `F` computes them."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class Sigmoid(Module):
    """1 / (1 + e^−x).

    >>> nn.Sigmoid()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """1 / (1 + e^−x)."""
        return F.sigmoid(x)


class LogSigmoid(Module):
    """ln σ(x), finite where σ(x) itself rounds to 0.

    >>> nn.LogSigmoid()(tg.tensor([-1000.0, 1000.0])).tolist()
    [-1000.0, -0.0]
    """

    def forward(self, x: Any) -> Any:
        """ln σ(x)."""
        return F.logsigmoid(x)


class Hardsigmoid(Module):
    """min(max(x + 3, 0), 6) / 6 (Courbariaux et al. 2015).

    >>> nn.Hardsigmoid()(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """min(max(x + 3, 0), 6) / 6."""
        return F.hardsigmoid(x)


class Tanh(Module):
    """tanh x.

    >>> nn.Tanh()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-1.0, 0.0, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """tanh x."""
        return F.tanh(x)


class Hardtanh(Module):
    """x limited to [min_val, max_val]; at the edges the derivative is 0.

    >>> nn.Hardtanh()(tg.tensor([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Any) -> Any:
        """x limited to [min_val, max_val]."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Softsign(Module):
    """x / (1 + |x|).

    >>> nn.Softsign()(tg.tensor([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """

    def forward(self, x: Any) -> Any:
        """x / (1 + |x|)."""
        return F.softsign(x)


class Softmax(Module):
    """e^x / Σ e^x along an axis: numbers to probabilities.

    Args:
        axis: along which the probabilities sum to 1; the last by default.

    >>> nn.Softmax()(tg.tensor([[1000.0, 1000.0], [-1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """e^x / Σ e^x."""
        return F.softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """ln softmax(x) along an axis: what `nn.NLLLoss` takes.

    Args:
        axis: along which the probabilities sum to 1; the last by default.

    >>> nn.LogSoftmax()(tg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """ln softmax(x)."""
        return F.log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class GLU(Module):
    """a · σ(b), the two halves of x along an axis (Dauphin et al. 2017).

    Args:
        axis: which is halved; the last by default.

    >>> nn.GLU()(tg.tensor([2.0, 4.0, 0.0, 1000.0])).tolist()
    [1.0, 4.0]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """a · σ(b)."""
        return F.glu(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"
