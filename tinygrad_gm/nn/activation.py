"""Activations as layers: ReLU and its variants, then bounded and gated ones."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..creation import empty
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]


class ReLU(Module):
    """max(x, 0); its derivative at 0 is taken as 0.

    >>> nn.ReLU()(tg.tensor([-2.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, x: Any) -> Any:
        """max(x, 0)."""
        return ops.relu(x)


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


class PReLU(Module):
    """x where x > 0, else weight · x, with a learned weight (He et al. 2015).

    Weight decay pulls the weight towards 0, that is towards ReLU: exclude it from the decay.

    Args:
        num_parameters: 1, or the number of channels for one weight per channel.
        init: initial weight.
        device: device of the weight; None: the default device.
        dtype: dtype of the weight; None: the default dtype.

    Shapes: x any; (N, C, …) with num_parameters = C > 1. `weight` (num_parameters,).

    >>> nn.PReLU()(tg.tensor([-2.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(empty((num_parameters,), dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to `init` again."""
        init.constant_(self.weight, self.init)

    def forward(self, x: Any) -> Any:
        """x where x > 0, else weight · x."""
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


class ReLU6(Module):
    """min(max(x, 0), 6) (Howard et al. 2017).

    >>> nn.ReLU6()(tg.tensor([-2.0, 2.0, 8.0])).tolist()
    [0.0, 2.0, 6.0]
    """

    def forward(self, x: Any) -> Any:
        """min(max(x, 0), 6)."""
        return F.relu6(x)


class ELU(Module):
    """x where x > 0, else alpha · (e^x − 1) (Clevert, Unterthiner & Hochreiter 2016).

    >>> nn.ELU(0.5)(tg.tensor([-1000.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """x where x > 0, else alpha · (e^x − 1)."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """alpha."""
        return f"alpha={self.alpha}"


class SELU(Module):
    """1.0507 · elu(x, 1.6733): keeps mean 0 and variance 1 from layer to layer, if the weights are
    initialised with variance 1/inputs (Klambauer et al. 2017).

    >>> nn.SELU()(tg.tensor([-1000.0, 1.0])).round(4).tolist()
    [-1.7581000328063965, 1.0506999492645264]
    """

    def forward(self, x: Any) -> Any:
        """1.0507 · elu(x, 1.6733)."""
        return F.selu(x)


class CELU(Module):
    """x where x > 0, else alpha · (e^(x/alpha) − 1): smooth for every alpha (Barron 2017).

    >>> nn.CELU(0.5)(tg.tensor([-1000.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """x where x > 0, else alpha · (e^(x/alpha) − 1)."""
        return F.celu(x, self.alpha)

    def extra_repr(self) -> str:
        """alpha."""
        return f"alpha={self.alpha}"


class GELU(Module):
    """x · Φ(x), with Φ the standard normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        approximate: "none", or "tanh", as in GPT-2, for x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).

    >>> nn.GELU()(tg.tensor([-1000.0, 1.0])).round(4).tolist()
    [0.0, 0.8413000106811523]
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """x · Φ(x)."""
        return ops.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """The formula."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x · σ(x), also called swish (Ramachandran, Zoph & Le 2017).

    >>> nn.SiLU()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """

    def forward(self, x: Any) -> Any:
        """x · σ(x)."""
        return ops.silu(x)


class Hardswish(Module):
    """x · hardsigmoid(x) (Howard et al. 2019).

    >>> nn.Hardswish()(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [-0.0, 0.0, 4.0]
    """

    def forward(self, x: Any) -> Any:
        """x · hardsigmoid(x)."""
        return F.hardswish(x)


class Mish(Module):
    """x · tanh(ln(1 + e^x)) (Misra 2019).

    >>> nn.Mish()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """

    def forward(self, x: Any) -> Any:
        """x · tanh(ln(1 + e^x))."""
        return ops.mish(x)


class Softplus(Module):
    """ln(1 + e^(βx)) / β, and x itself where βx > threshold: a smooth relu, always positive.

    >>> nn.Softplus()(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6930999755859375, 1000.0]
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        """ln(1 + e^(βx)) / β."""
        return ops.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Both numbers."""
        return f"beta={self.beta}, threshold={self.threshold}"


# ------------------------------------------- between bounds, into probabilities, by a gate


class Sigmoid(Module):
    """1 / (1 + e^−x).

    >>> nn.Sigmoid()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, x: Any) -> Any:
        """1 / (1 + e^−x)."""
        return ops.sigmoid(x)


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
        return ops.tanh(x)


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
    """e^x / Σ e^x along an axis: scores to probabilities.

    Args:
        axis: the axis along which the probabilities sum to 1 (default −1).

    >>> nn.Softmax()(tg.tensor([[1000.0, 1000.0], [-1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """e^x / Σ e^x."""
        return ops.softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """ln softmax(x) along an axis: the input of `nn.NLLLoss`.

    Args:
        axis: the axis along which the probabilities sum to 1 (default −1).

    >>> nn.LogSoftmax()(tg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """ln softmax(x)."""
        return ops.log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class GLU(Module):
    """a · σ(b), the two halves of x along an axis (Dauphin et al. 2017).

    Args:
        axis: the axis that is halved (default −1).

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
