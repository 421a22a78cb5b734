"""Linear and bilinear layers, and the identity."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..creation import empty
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, by_columns

__all__ = ["Bilinear", "Identity", "Linear"]


class Linear(Module):
    """y = x Wᵀ + b.

    Weight and bias are drawn from U(−1/√in, 1/√in).

    Args:
        in_features: the length of the last axis of x.
        out_features: the length of the last axis of y.
        bias: whether to add b.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x (…, in_features), y (…, out_features), `weight` (out_features, in_features), `bias`
    (out_features,) or None.

    >>> layer = nn.Linear(3, 2)
    >>> layer(tg.zeros((5, 4, 3))).shape
    (5, 4, 2)
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = by_columns(out_features, in_features, dtype, device)
        self.bias = Parameter(empty((out_features,), dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise weight and bias."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # its bound is 1/√in
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any) -> Any:
        """x Wᵀ + b."""
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Bilinear(Module):
    """yₖ = x₁ᵀ Wₖ x₂ + bₖ.

    Weight and bias are drawn from U(−1/√in1, 1/√in1).

    Args:
        in1_features: the length of the last axis of x₁.
        in2_features: the length of the last axis of x₂.
        out_features: the length of the last axis of y.
        bias: whether to add b.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x₁ (…, in1_features), x₂ (…, in2_features), y (…, out_features), `weight`
    (out_features, in1_features, in2_features), `bias` (out_features,) or None.

    >>> nn.Bilinear(3, 4, 2)(tg.ones((5, 3)), tg.ones((5, 4))).shape
    (5, 2)
    """

    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features < 1:
            raise ValueError(f"Bilinear: in1_features is {in1_features}; expected 1 or more")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(empty(shape, dtype, device=device))
        self.bias = Parameter(empty((out_features,), dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise weight and bias."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        """x₁ᵀ Wₖ x₂ + bₖ for every k."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """y = x: a placeholder for a layer, which ignores its constructor arguments.

    >>> nn.Identity(54, unused=True)(tg.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """x itself."""
        return input
