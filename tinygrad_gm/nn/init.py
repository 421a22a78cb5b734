"""Initial values of parameters: each function writes into a tensor and returns it.

The random ones draw from `generator`, by default the one of `tg.manual_seed`. A weight has the
shape (out, in, …): its *fan in* is in · (the product of the other axes), its *fan out* out · (that
product). Glorot & Bengio (2010) and He et al. (2015) choose the variance by them so that signals
neither vanish nor explode from layer to layer.
"""

from __future__ import annotations

import math

from ..random import Generator, default_generator
from ..tensor import Tensor
from .parameter import uninitialised

_MAPS = [f"conv{kind}{ndim}d" for kind in ("", "_transpose") for ndim in (1, 2, 3)]
_GAINS = {
    **dict.fromkeys(("linear", *_MAPS, "sigmoid"), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float = 0.01) -> float:
    """Return the gain of weights before a nonlinearity; `param` is the slope of leaky ReLU.

    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + param**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; use {known}")
    return _GAINS[nonlinearity]


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Draw from the uniform distribution on [a, b]."""
    if uninitialised.get():
        return tensor
    drawn = (generator or default_generator()).uniform(tensor.shape, a, b, tensor.dtype)
    return tensor.copy_(drawn.to(tensor.device))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Draw from N(mean, std²)."""
    if uninitialised.get():
        return tensor
    drawn = (generator or default_generator()).normal(tensor.shape, tensor.dtype)
    return tensor.copy_((drawn * std + mean).to(tensor.device))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number."""
    return tensor if uninitialised.get() else tensor.copy_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Draw from U(−a, a) with a = gain · √(6 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6 / (sum(_fans("xavier_uniform_", tensor)) or 1))
    return uniform_(tensor, -bound, bound, generator=generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Draw from N(0, s²) with s = gain · √(2 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    std = gain * math.sqrt(2 / (sum(_fans("xavier_normal_", tensor)) or 1))
    return normal_(tensor, 0.0, std, generator=generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from U(−b, b) with b = gain · √(3 / fan) (He et al. 2015).

    Args:
        tensor: a weight (out, in, …).
        a: the slope of the leaky ReLU that follows.
        mode: "fan_in" preserves the variance of the outputs, "fan_out" that of the gradients.
        nonlinearity: the nonlinearity that follows, for `calculate_gain`.
        generator: the random generator; None: the default generator.
    """
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std, generator=generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, s²) with s = gain / √fan (He et al. 2015); arguments: `kaiming_uniform_`."""
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator=generator)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'{name}: mode is {mode!r}; expected "fan_in" or "fan_out"')
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan or 1)  # an empty tensor


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """The fan in and the fan out."""
    if tensor.ndim < 2:
        raise ValueError(f"{name}: expected a weight (out, in, …); got the shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field
