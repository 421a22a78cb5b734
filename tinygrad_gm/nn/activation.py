"""Activations: elementwise functions as modules, without parameters."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class ReLU(Module):
    """max(x, 0); its derivative at 0 is taken as 0."""

    def forward(self, x: Any) -> Any:
        """max(x, 0)."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope · x (Maas et al. 2013).

    >>> nn.LeakyReLU(0.5)(tg.tensor([-2.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """x where x > 0, else negative_slope · x."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + e^−x)."""

    def forward(self, x: Any) -> Any:
        """1 / (1 + e^−x)."""
        return F.sigmoid(x)


class Tanh(Module):
    """tanh x."""

    def forward(self, x: Any) -> Any:
        """tanh x."""
        return F.tanh(x)
