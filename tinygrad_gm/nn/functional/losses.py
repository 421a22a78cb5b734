"""Losses of regression: distances of predictions from targets; and penalties on the size of
weights.

Every loss takes a `reduction`: "mean" over its elements, "sum", or "none" for all of them. Input
and target have the same shape: broadcasting (N,) with (N, 1) to (N, N) would hide an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ... import ops
from ...backend import ArrayLike
from ...ops import clip, exp, log, relu, square, where
from ...tensor import Tensor, asarray

__all__ = [
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "l1_penalty",
    "l2_penalty",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


def mse_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """(input − target)².

    >>> F.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0])).item()
    2.0
    """
    return ops.mse_loss(input, target, reduction)


def l1_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Tensor:
    """|input − target|; where they are equal its derivative is 0.

    >>> F.l1_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0])).item()
    1.0
    """
    x, t = alike("l1_loss", input=input, target=target)
    return reduced("l1_loss", abs(x - t), reduction)


def smooth_l1_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d²/(2·beta) where |d| < beta, else |d| − beta/2, with d = input − target (Girshick 2015). It
    is `huber_loss` divided by beta, and `l1_loss` where beta = 0.

    >>> F.smooth_l1_loss(tg.tensor([0.5, 3.0]), tg.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: expected beta ≥ 0; got {beta}")
    x, t = alike("smooth_l1_loss", input=input, target=target)
    losses = _huber(x - t, beta) / beta if beta else abs(x - t)
    return reduced("smooth_l1_loss", losses, reduction)


def huber_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d²/2 where |d| ≤ delta, else delta · (|d| − delta/2), with d = input − target (Huber 1964).

    >>> F.huber_loss(tg.tensor([0.5, 3.0]), tg.zeros(2), reduction="none", delta=2.0).tolist()
    [0.125, 4.0]
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: expected delta > 0; got {delta}")
    x, t = alike("huber_loss", input=input, target=target)
    return reduced("huber_loss", _huber(x - t, delta), reduction)


def _huber(difference: Any, delta: float) -> Any:
    near = 0.5 * square(clip(difference, -delta, delta))
    if delta == math.inf:
        return near
    return near + delta * relu(abs(difference) - delta)  # linear beyond the quadratic part


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """−ln N(target; input, var) = ½·(ln var + (input − target)²/var), + ½·ln 2π with `full`.

    A network that outputs mean and variance learns its own uncertainty (Nix & Weigend 1994).

    Args:
        input: the means, any shape.
        target: of the same shape.
        var: the variances: of the same shape, or without its last axis, or with 1 there, for one
            per row, or a number.
        full: add the constant ½·ln 2π.
        eps: lower bound of the variance; the gradient below it is that at eps.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a variance is negative, or shapes do not agree.

    >>> F.gaussian_nll_loss(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1.0])).item()
    2.0
    """
    name = "gaussian_nll_loss"
    x, t = alike(name, input=input, target=target)
    variance: Any = asarray(var)
    if x.ndim and variance.shape == x.shape[:-1] and variance.ndim:
        variance = variance[..., None]
    if variance.ndim and variance.shape not in (x.shape, (*x.shape[:-1], 1)):
        raise ValueError(
            f"{name}: expected var of the input's shape {x.shape}, or one number per row; got "
            f"{variance.shape}"
        )
    if (variance < 0).any():
        raise ValueError(f"{name}: a variance is negative: {variance.min().item()}")
    variance = variance + where(variance < eps, eps - variance, 0.0).detach()
    losses = 0.5 * (log(variance) + square(x - t) / variance)
    return reduced(name, losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """−ln of the probability of `target` events where `λ` are expected: λ − t·ln λ (+ ln t!).

    Args:
        input: ln λ, any number; or λ itself where log_input is False.
        target: t, the numbers of events, of the same shape.
        log_input: whether the input is ln λ.
        full: add Stirling's t·ln t − t + ½·ln(2πt) for ln t!, where t > 1.
        eps: added to λ before the logarithm, if log_input is False.
        reduction: "mean", "sum" or "none".

    >>> F.poisson_nll_loss(tg.tensor([0.0]), tg.tensor([3.0])).item()
    1.0
    """
    x, t = alike("poisson_nll_loss", input=input, target=target)
    losses = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        many = where(t > 1, t, 1.0)
        stirling = many * log(many) - many + 0.5 * log(2 * math.pi * many)
        losses = losses + where(t > 1, stirling, 0.0)
    return reduced("poisson_nll_loss", losses, reduction)


# ------------------------------------------------------------------------ penalties


def l1_penalty(parameters: Tensor | Iterable[Tensor]) -> Tensor:
    """Σ |w| over all elements of a tensor, or of several: drives weights to exactly 0.

    >>> F.l1_penalty([tg.tensor([1.0, -2.0]), tg.tensor(3.0)]).item()
    6.0
    """
    return _summed("l1_penalty", parameters, abs)


def l2_penalty(parameters: Tensor | Iterable[Tensor]) -> Tensor:
    """½ Σ w² over all elements of a tensor, or of several: keeps weights small.

    The gradient is w itself: `loss + 0.01 * F.l2_penalty(model.parameters())` gives SGD the same
    step as weight_decay = 0.01.

    >>> F.l2_penalty([tg.tensor([1.0, -2.0]), tg.tensor(3.0)]).item()
    7.0
    """
    return 0.5 * _summed("l2_penalty", parameters, square)


def _summed(name: str, parameters: Tensor | Iterable[Tensor], size: Any) -> Tensor:
    if not isinstance(parameters, Iterable):
        raise TypeError(
            f"{name}: expected a tensor or several, as `model.parameters()` gives them; got a "
            f"{type(parameters).__name__}"
        )
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not tensors:
        raise ValueError(f"{name}: there are no parameters")
    first, *others = (size(asarray(w)).sum() for w in tensors)
    total: Tensor = sum(others, first)
    return total


# ------------------------------------------------------------------------ what every loss needs


def alike(name: str, **arrays: ArrayLike) -> list[Any]:
    """The arguments of a loss as tensors; ValueError where their shapes differ."""
    tensors = [asarray(array) for array in arrays.values()]
    if any(tensor.shape != tensors[0].shape for tensor in tensors):
        raise ValueError(
            f"{name}: {' and '.join(arrays)} must have one shape; got "
            f"{' and '.join(str(tensor.shape) for tensor in tensors)}"
        )
    return tensors


def reduced(name: str, losses: Any, reduction: str) -> Tensor:
    """The losses, their sum, or their mean."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'{name}: reduction is {reduction!r}; expected "mean", "sum" or "none"')
    result: Tensor = losses if reduction == "none" else getattr(losses, reduction)()
    return result
