"""Activations as layers: ReLU and its variants, then bounded and gated ones."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..creation import empty
from . import functional as F
from . import init
from .function_layer import FunctionLayer
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


class ReLU(FunctionLayer):
    """max(x, 0); its derivative at 0 is taken as 0.

    >>> nn.ReLU()(tg.tensor([-2.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    _function = staticmethod(ops.relu)


class LeakyReLU(FunctionLayer):
    """x where x > 0, else negative_slope · x (Maas et al. 2013).

    >>> nn.LeakyReLU(0.5)(tg.tensor([-2.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    _function = staticmethod(F.leaky_relu)
    _options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope


class PReLU(Module):
    """x where x > 0, else weight · x, with a learned weight (He et al. 2015).

    Weight decay pulls the weight towards 0, that is towards ReLU: exclude it from the decay.

    Args:
        num_parameters: 1, or the number of channels for one weight per channel.
        init: initial weight.
        device, dtype: of the weight; None: the defaults.

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
        return f"num_parameters={self.num_parameters}"


class ReLU6(FunctionLayer):
    """min(max(x, 0), 6) (Howard et al. 2017).

    >>> nn.ReLU6()(tg.tensor([-2.0, 2.0, 8.0])).tolist()
    [0.0, 2.0, 6.0]
    """

    _function = staticmethod(F.relu6)


class ELU(FunctionLayer):
    """x where x > 0, else alpha · (e^x − 1) (Clevert, Unterthiner & Hochreiter 2016).

    >>> nn.ELU(0.5)(tg.tensor([-1000.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    _function = staticmethod(F.elu)
    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha


class SELU(FunctionLayer):
    """1.0507 · elu(x, 1.6733): keeps mean 0 and variance 1 from layer to layer, if the weights are
    initialised with variance 1/inputs (Klambauer et al. 2017).

    >>> nn.SELU()(tg.tensor([-1000.0, 1.0])).round(4).tolist()
    [-1.7581000328063965, 1.0506999492645264]
    """

    _function = staticmethod(F.selu)


class CELU(FunctionLayer):
    """x where x > 0, else alpha · (e^(x/alpha) − 1): smooth for every alpha (Barron 2017).

    >>> nn.CELU(0.5)(tg.tensor([-1000.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    _function = staticmethod(F.celu)
    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha


class GELU(FunctionLayer):
    """x · Φ(x), with Φ the standard normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        approximate: "none", or "tanh", as in GPT-2, for x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).

    >>> nn.GELU()(tg.tensor([-1000.0, 1.0])).round(4).tolist()
    [0.0, 0.8413000106811523]
    """

    _function = staticmethod(ops.gelu)
    _options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate


class SiLU(FunctionLayer):
    """x · σ(x), also called swish (Ramachandran, Zoph & Le 2017).

    >>> nn.SiLU()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """

    _function = staticmethod(ops.silu)


class Hardswish(FunctionLayer):
    """x · hardsigmoid(x) (Howard et al. 2019).

    >>> nn.Hardswish()(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [-0.0, 0.0, 4.0]
    """

    _function = staticmethod(F.hardswish)


class Mish(FunctionLayer):
    """x · tanh(ln(1 + e^x)) (Misra 2019).

    >>> nn.Mish()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """

    _function = staticmethod(ops.mish)


class Softplus(FunctionLayer):
    """ln(1 + e^(βx)) / β, and x itself where βx > threshold: a smooth relu, always positive.

    >>> nn.Softplus()(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6930999755859375, 1000.0]
    """

    _function = staticmethod(ops.softplus)
    _options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold


# ------------------------------------------- between bounds, into probabilities, by a gate


class Sigmoid(FunctionLayer):
    """1 / (1 + e^−x).

    >>> nn.Sigmoid()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    _function = staticmethod(ops.sigmoid)


class LogSigmoid(FunctionLayer):
    """ln σ(x), finite where σ(x) itself rounds to 0.

    >>> nn.LogSigmoid()(tg.tensor([-1000.0, 1000.0])).tolist()
    [-1000.0, -0.0]
    """

    _function = staticmethod(F.logsigmoid)


class Hardsigmoid(FunctionLayer):
    """min(max(x + 3, 0), 6) / 6 (Courbariaux et al. 2015).

    >>> nn.Hardsigmoid()(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    _function = staticmethod(F.hardsigmoid)


class Tanh(FunctionLayer):
    """tanh x.

    >>> nn.Tanh()(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-1.0, 0.0, 1.0]
    """

    _function = staticmethod(ops.tanh)


class Hardtanh(FunctionLayer):
    """x limited to [min_val, max_val]; at the edges the derivative is 0.

    >>> nn.Hardtanh()(tg.tensor([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """

    _function = staticmethod(F.hardtanh)
    _options = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val, self.max_val = min_val, max_val


class Softsign(FunctionLayer):
    """x / (1 + |x|).

    >>> nn.Softsign()(tg.tensor([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """

    _function = staticmethod(F.softsign)


class _AlongAxis(FunctionLayer):
    """Base of the three activations along an axis."""

    _options = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis


class Softmax(_AlongAxis):
    """e^x / Σ e^x along an axis: scores to probabilities.

    Args:
        axis: the axis along which the probabilities sum to 1 (default −1).

    >>> nn.Softmax()(tg.tensor([[1000.0, 1000.0], [-1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """

    _function = staticmethod(ops.softmax)


class LogSoftmax(_AlongAxis):
    """ln softmax(x) along an axis: the input of `nn.NLLLoss`.

    Args:
        axis: the axis along which the probabilities sum to 1 (default −1).

    >>> nn.LogSoftmax()(tg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """

    _function = staticmethod(ops.log_softmax)


class GLU(_AlongAxis):
    """a · σ(b), the two halves of x along an axis (Dauphin et al. 2017).

    Args:
        axis: the axis that is halved (default −1).

    >>> nn.GLU()(tg.tensor([2.0, 4.0, 0.0, 1000.0])).tolist()
    [1.0, 4.0]
    """

    _function = staticmethod(F.glu)
