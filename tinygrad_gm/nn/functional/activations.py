"""Activations: elementwise functions, and softmax. At a kink the derivative is PyTorch's."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...backend import ArrayLike
from ...hints import named
from ...ops import choosing, elementwise, expm1, logaddexp, split, where
from ...ops.shape import normalize_axis
from ...tensor import Tensor, asarray

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]

SELU_ALPHA = 1.6732632423543772  # these two preserve mean 0 and variance 1
SELU_SCALE = 1.0507009873554805

# ------------------------------------------------------------------------ relu and its relatives


def relu(input: ArrayLike) -> Tensor:
    """max(x, 0); its derivative at 0 is 0 (Nair & Hinton 2010).

    >>> F.relu(tg.tensor([-2.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return ops.relu(input)


def leaky_relu(input: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x (Maas et al. 2013); at 0 the derivative is the slope.

    >>> F.leaky_relu(tg.tensor([-1.0, 2.0]), 0.25).tolist()
    [-0.25, 2.0]
    """
    return ops.leaky_relu(input, negative_slope)


def prelu(input: ArrayLike, weight: ArrayLike) -> Tensor:
    """x where x > 0, else weight · x, with a learned weight (He et al. 2015).

    Args:
        input: any shape; (N, C, …) for a weight per channel.
        weight: one number, or (C,).

    Raises:
        ValueError: the number of weights is neither 1 nor the number of channels.

    >>> F.prelu(tg.tensor([[-2.0, -2.0, 3.0]]), tg.tensor([0.25, 0.5, 1.0])).tolist()
    [[-0.5, -1.0, 3.0]]
    """
    x, w = asarray(input), asarray(weight)
    if w.size == 1:
        w = w.reshape(())
    elif x.ndim > 1 and w.shape == (x.shape[1],):
        w = w.reshape((-1, *(1 for _ in x.shape[2:])))
    else:
        raise ValueError(
            f"prelu: expected a weight of one number, or of one per channel of (N, C, …); got a "
            f"weight {w.shape} and an input {x.shape}"
        )
    return where(x > 0, x, w * where(x > 0, 0.0, x))


def elu(input: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha · (e^x − 1) (Clevert, Unterthiner & Hochreiter 2016).

    >>> F.elu(tg.tensor([-1000.0, 0.0, 1000.0]), 0.5).tolist()
    [-0.5, 0.0, 1000.0]
    """
    return _exponential(input, alpha, 1.0)


def selu(input: ArrayLike) -> Tensor:
    """1.0507 · elu(x, 1.6733): keeps mean 0 and variance 1 (Klambauer et al. 2017).

    >>> F.selu(tg.tensor([-1000.0, 0.0, 1.0])).round(4).tolist()
    [-1.7581000328063965, 0.0, 1.0506999492645264]
    """
    return SELU_SCALE * elu(input, SELU_ALPHA)


def celu(input: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha · (e^(x/alpha) − 1): its slope at 0 is 1 (Barron 2017).

    >>> F.celu(tg.tensor([-1000.0, 0.0, 1000.0]), 0.5).tolist()
    [-0.5, 0.0, 1000.0]
    """
    if alpha == 0:
        raise ValueError("celu: alpha must not be 0")
    return _exponential(input, alpha, 1.0 / alpha)


def _exponential(input: ArrayLike, alpha: float, rate: float) -> Tensor:
    """x where x > 0, else alpha · (e^(rate·x) − 1)."""
    x: Any = asarray(input)
    positive = x > 0
    left = where(positive, 0.0, x)  # for large x, e^x is inf and its gradient inf · 0
    return where(positive, x, alpha * expm1(left if rate == 1.0 else rate * left))


def hardtanh(input: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]; at the edges the derivative is 0 (that of `tg.clip` is 1).

    >>> F.hardtanh(tg.tensor([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is larger than max_val {max_val}")
    out: Tensor = choosing.hardtanh(input, min_val, max_val)
    return out


def relu6(input: ArrayLike) -> Tensor:
    """min(max(x, 0), 6); at 0 and 6 the derivative is 0 (Howard et al. 2017).

    >>> F.relu6(tg.tensor([-1.0, 3.0, 8.0])).tolist()
    [0.0, 3.0, 6.0]
    """
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: ArrayLike) -> Tensor:
    """relu6(x + 3) / 6: a piecewise linear sigmoid (Courbariaux et al. 2015).

    >>> F.hardsigmoid(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return relu6(asarray(input) + 3.0) / 6.0


def hardswish(input: ArrayLike) -> Tensor:
    """x · hardsigmoid(x), which is close to `silu` (Howard et al. 2019).

    >>> F.hardswish(tg.tensor([-4.0, 0.0, 4.0])).tolist()
    [-0.0, 0.0, 4.0]
    """
    out: Tensor = choosing.hardswish(input)
    return out


# ------------------------------------------------------------------------ smooth relatives of relu


def gelu(input: ArrayLike, approximate: str = "none") -> Tensor:
    """x·Φ(x), with Φ the standard normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        input: any shape.
        approximate: "none", or "tanh", as in GPT-2, for x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).

    >>> F.gelu(tg.tensor([-1000.0, 0.0, 1.0])).round(4).tolist()
    [0.0, 0.0, 0.8413000106811523]
    """
    return ops.gelu(input, approximate)


def silu(input: ArrayLike) -> Tensor:
    """x·σ(x), also called swish (Ramachandran, Zoph & Le 2017).

    >>> F.silu(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-0.0, 0.0, 1000.0]
    """
    return ops.silu(input)


def mish(input: ArrayLike) -> Tensor:
    """x·tanh(softplus(x)) (Misra 2020).

    >>> F.mish(tg.tensor([-1000.0, 0.0, 1.0])).round(4).tolist()
    [-0.0, 0.0, 0.8651000261306763]
    """
    return ops.mish(input)


def softplus(input: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(βx)) / β, and x itself where βx > threshold (Dugas et al. 2001).

    >>> F.softplus(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [0.0, 0.6930999755859375, 1000.0]
    """
    return ops.softplus(input, beta, threshold)


# ------------------------------------------------------------------------ between two bounds


def sigmoid(input: ArrayLike) -> Tensor:
    """σ(x) = 1 / (1 + e^−x), between 0 and 1.

    >>> F.sigmoid(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return ops.sigmoid(input)


def tanh(input: ArrayLike) -> Tensor:
    """The hyperbolic tangent, between −1 and 1.

    >>> F.tanh(tg.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return ops.tanh(input)


def softsign(input: ArrayLike) -> Tensor:
    """x / (1 + |x|): between −1 and 1, which it approaches more slowly than tanh.

    >>> F.softsign(tg.tensor([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """
    out: Tensor = elementwise.softsign(input)
    return out


def logsigmoid(input: ArrayLike) -> Tensor:
    """ln σ(x) = −ln(e^0 + e^−x), finite where σ(x) itself rounds to 0.

    >>> F.logsigmoid(tg.tensor([-1000.0, 0.0, 1000.0])).round(4).tolist()
    [-1000.0, -0.6930999755859375, -0.0]
    """
    return -logaddexp(0.0, -asarray(input))


@named
def glu(input: ArrayLike, axis: int = -1) -> Tensor:
    """a · σ(b), where a and b are the two halves of the input along the axis (Dauphin et al. 2017).

    Raises:
        ValueError: the axis has an odd length.

    >>> F.glu(tg.tensor([2.0, 4.0, 0.0, 1000.0])).tolist()
    [1.0, 4.0]
    """
    x = asarray(input)
    if x.shape[normalize_axis("glu", axis, x.ndim)] % 2:
        raise ValueError(f"glu: expected an even length along axis {axis}; got an input {x.shape}")
    values, gates = split(x, 2, axis)
    return values * ops.sigmoid(gates)


# ------------------------------------------------------------------------ probabilities


@named
def softmax(input: ArrayLike, axis: int = -1) -> Tensor:
    """e^xᵢ / Σⱼ e^xⱼ along an axis: positive numbers that sum to 1.

    >>> F.softmax(tg.tensor([[1.0, 1.0], [0.0, 1000.0]]), axis=1).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    return ops.softmax(input, axis)


@named
def log_softmax(input: ArrayLike, axis: int = -1) -> Tensor:
    """xᵢ − ln Σⱼ e^xⱼ along an axis: the logarithm of `softmax`, finite where that rounds to 0.

    >>> F.log_softmax(tg.tensor([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    return ops.log_softmax(input, axis)
