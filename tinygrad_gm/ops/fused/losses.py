"""Losses: the distance of predictions from targets, one number or one per example."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...backend import Array, ArrayLike, Arrays, Namespace, Shape, module_of
from ...engine.call import op
from ...engine.record import Traced
from ...kernels import native
from ...kernels import softmax as kernels
from ...kernels.selection import selected
from ...kernels.summation import divided, summed
from ..checks import check_below, check_same_shape, check_shape
from ..choosing import maximum, where
from ..comparison import not_equal
from ..elementwise import log, multiply, sigmoid, square, subtract
from ..indexing import take, take_along_axis
from ..shape import expand_dims, squeeze
from .softmax import log_softmax_decomposition

if TYPE_CHECKING:
    from ...tensor import Tensor

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "mse_loss", "nll_loss"]


def _reduced(losses: Array, reduction: str) -> Any:
    if reduction == "none":
        return losses
    recorded = isinstance(losses, Traced)
    total = losses.sum() if recorded else summed(module_of(losses), losses)
    return total if reduction == "sum" else divided(total, losses.size)


def _scaled(g: Array, count: int, reduction: str) -> Any:
    return divided(g, count) if reduction == "mean" else g


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f'{name}: reduction is {reduction!r}; expected "mean", "sum" or "none"')


def _cross_entropy_decomposition(logits: ArrayLike, target: ArrayLike, reduction: str) -> Any:
    axis = 0 if np.ndim(logits) == 1 else 1
    log_probabilities = log_softmax_decomposition(logits, axis)
    picked = take_along_axis(log_probabilities, expand_dims(target, axis), axis)
    return _reduced(-squeeze(picked, axis), reduction)


def _cross_entropy_rule(xp: Namespace, g: Array, residuals: Arrays, reduction: str) -> Any:
    probabilities, target, axis = residuals
    g = _scaled(g, target.size, reduction)
    return kernels.cross_entropy_backward(xp.module, g, probabilities, target, axis)


@op(
    _cross_entropy_rule,
    None,
    decomposition=_cross_entropy_decomposition,
    local=["softmax − one-hot", ""],
)
def cross_entropy(
    xp: Namespace, logits: ArrayLike, target: ArrayLike, reduction: str = "mean"
) -> Any:
    """−ln softmax(logits)[target]: logits (N, C, …) and class numbers (N, …), or (C,) and ().

    Args:
        logits: unnormalised scores; the class axis is 1 (0 where there is only one axis).
        target: integers in [0, C).
        reduction: "mean" over all targets, "sum", or "none" for the shape of `target`.

    >>> round(tg.cross_entropy(tg.zeros((2, 4)), tg.tensor([0, 3])).item(), 4)
    1.3863
    """
    _check_reduction("cross_entropy", reduction)
    target, scores = xp.asarray(target), getattr(logits, "shape", ())
    axis = _class_axis("cross_entropy", scores, target)
    check_below("cross_entropy", "class numbers", target, scores[axis])
    losses, probabilities = kernels.cross_entropy(xp, logits, target, axis)
    return _reduced(losses, reduction), (probabilities, target, axis)


def _nll_decomposition(
    log_probabilities: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike,
    ignore_index: int,
    reduction: str,
) -> Any:
    axis = 0 if np.ndim(log_probabilities) == 1 else 1
    counts = not_equal(target, ignore_index)
    safe = where(counts, target, 0)
    picked = squeeze(take_along_axis(log_probabilities, expand_dims(safe, axis), axis), axis)
    weights: Tensor | float = 1.0 if weight is None else take(weight, safe, 0).detach()
    losses = where(counts, multiply(where(counts, picked, 0.0), -weights), 0.0)
    if reduction == "mean":
        total: Tensor = where(counts, weights, 0.0).sum()
        return losses.sum() / total if total else losses.sum() * math.nan
    return _reduced(losses, reduction)


def _nll_rule(
    xp: Namespace, g: Array, residuals: Arrays, log_probabilities_shape: Shape, reduction: str
) -> Any:
    """−weight at the target, 0 elsewhere."""
    places, slopes, counts, axis = residuals
    if reduction == "none":
        g = xp.reshape(g, slopes.shape)
    slopes = xp.select(g, counts) * slopes
    return xp.scatter_along_axis(slopes, places, axis, log_probabilities_shape)


@op(
    _nll_rule,
    None,
    None,
    decomposition=_nll_decomposition,
    closed=True,
    local=["−weight at target", "", ""],
    floating=True,
)
def nll_loss(
    xp: Namespace,
    log_probabilities: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """−weight[target] · log_probabilities[target]: the negative log-likelihood of the targets.

    Args:
        log_probabilities: (N, C, …), or (C,): the result of `log_softmax`.
        target: integers in [0, C), (N, …), or ().
        weight: (C,), a factor per class; None: 1. It gets no gradient.
        ignore_index: targets of this number are ignored.
        reduction: "mean", Σ losses / Σ weights of the targets; "sum"; or "none".

    >>> tg.nll_loss(tg.tensor([[-1.0, -2.0], [-3.0, -5.0]]), tg.tensor([0, 1])).item()
    3.0
    """
    _check_reduction("nll_loss", reduction)
    target, shape = xp.asarray(target), np.shape(log_probabilities)
    axis = _class_axis("nll_loss", shape, target)
    counts = target != ignore_index
    safe = xp.where(counts, target, 0)
    check_below("nll_loss", "class numbers", safe, shape[axis])
    check_shape("nll_loss", shape[axis : axis + 1], "weight", weight)
    slopes = -counts.astype(log_probabilities.dtype)
    if weight is not None:
        slopes *= weight[safe]
    places, slopes, counts = (xp.expand_dims(array, axis) for array in (safe, slopes, counts))
    losses = selected(xp.take_along_axis(log_probabilities, places, axis), counts) * slopes
    out = losses.reshape(target.shape) if reduction == "none" else summed(xp, losses)
    if reduction == "mean":
        total = -summed(xp, slopes)
        if not total:
            return out * math.nan, (places, slopes, counts, axis)  # all ignored: gradient 0
        out, slopes = out / total, slopes / total
    return out, (places, slopes, counts, axis)


def _class_axis(name: str, scores: Shape, target: Array) -> int:
    """The axis of the classes: 1, or 0 of a single axis; the target has the other axes."""
    axis = 0 if len(scores) == 1 else 1
    if not scores or scores[:axis] + scores[axis + 1 :] != target.shape:
        raise ValueError(
            f"{name}: expected logits (N, C, …) and targets (N, …); got logits {scores} and "
            f"targets {target.shape}"
        )
    return axis


LEAST = -100.0  # the lower limit of logarithms
SMALLEST = math.exp(LEAST)


def _bernoulli_decomposition(input: ArrayLike, target: ArrayLike) -> Any:
    certain = maximum(log(input), LEAST)
    impossible = maximum(log(subtract(1.0, input)), LEAST)
    return -(target * certain + subtract(1.0, target) * impossible)


def _bernoulli_rule(xp: Namespace, g: Array, input: Array, target: Array) -> Any:
    return g * ((input - target) / xp.maximum(input * (1.0 - input), 1e-12))


def _logarithm(xp: Namespace, p: Array) -> Any:
    """ln p, at least −100."""
    possible = p > SMALLEST
    return xp.where(possible, xp.log(xp.where(possible, p, 1.0)), LEAST)


@op(
    _bernoulli_rule,
    lambda xp, g, input: g * (_logarithm(xp, 1.0 - input) - _logarithm(xp, input)),
    decomposition=_bernoulli_decomposition,
    closed=True,
    local=["(input − target)/max(input(1 − input), 10⁻¹²)", "ln(1 − input) − ln input"],
)
def binary_cross_entropy(xp: Namespace, input: ArrayLike, target: ArrayLike) -> Any:
    """−[t·ln p + (1 − t)·ln(1 − p)] of each element, with logarithms limited to ≥ −100.

    At p = 0 and 1, where the derivative is infinite or 0/0, it is taken as (p − t)·10¹².

    Args:
        input: p in [0, 1].
        target: t in [0, 1].

    >>> tg.ops.binary_cross_entropy(tg.tensor([0.0, 0.5]), tg.ones(2)).tolist()
    [100.0, 0.6931471824645996]
    """
    with np.errstate(divide="ignore"):
        yes, no = xp.maximum(xp.log(input), LEAST), xp.maximum(xp.log1p(-input), LEAST)
    return (target - 1.0) * no - target * yes


def _bce_decomposition(logits: ArrayLike, target: ArrayLike, reduction: str) -> Any:
    probability = sigmoid(logits)
    certain, impossible = log(probability), log(subtract(1.0, probability))
    losses = -(target * certain + subtract(1.0, target) * impossible)
    return _reduced(losses, reduction)


def _bce_rule(xp: Namespace, g: Array, logits: Array, target: Array, reduction: str) -> Any:
    scale = _scaled(g, logits.size, reduction)
    if reduction != "none" and native.dense(target, logits):
        return native.logistic_loss_backward(target, logits, float(scale))
    return (xp.sigmoid(logits) - target) * scale


@op(
    _bce_rule,
    lambda g, logits, reduction: -logits * _scaled(g, logits.size, reduction),
    decomposition=_bce_decomposition,
    closed=True,
    local=["σ(logits) − target", "−logits"],
)
def binary_cross_entropy_with_logits(
    xp: Namespace, logits: ArrayLike, target: ArrayLike, reduction: str = "mean"
) -> Any:
    """−[t·ln σ(z) + (1 − t)·ln(1 − σ(z))] = max(z, 0) − z·t + ln(1 + e^−|z|), of equal shapes.

    The right-hand side does not overflow, and takes no logarithm of 0, as σ followed by a logarithm
    does in float32 from |z| ≈ 17 on.

    Args:
        logits: z, any shape.
        target: t in [0, 1], of the same shape.
        reduction: "mean" over all elements, "sum", or "none".

    >>> round(tg.binary_cross_entropy_with_logits(tg.zeros(3), tg.ones(3)).item(), 4)
    0.6931
    """
    name = "binary_cross_entropy_with_logits"
    _check_reduction(name, reduction)
    check_same_shape(name, logits=logits, target=target)
    if native.dense(target, logits):
        return _reduced(native.logistic_loss(target, logits), reduction)
    # several times faster than max(z, 0), for which NumPy has no vectorised loop
    losses = xp.log1p(xp.exp(-xp.abs(logits))) + logits * ((logits > 0) - target)
    return _reduced(losses, reduction)


def _mse_decomposition(input: ArrayLike, target: ArrayLike, reduction: str) -> Any:
    return _reduced(square(subtract(input, target)), reduction)


def _mse_slope(g: Array, this: Array, other: Array, reduction: str) -> Any:
    difference = this - other
    return difference * (2.0 * _scaled(g, difference.size, reduction))


@op(
    lambda g, input, target, reduction: _mse_slope(g, input, target, reduction),
    lambda g, input, target, reduction: _mse_slope(g, target, input, reduction),
    decomposition=_mse_decomposition,
    closed=True,
    local=["2(input − target)", "2(target − input)"],
)
def mse_loss(xp: Namespace, input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Any:
    """(input − target)², of equal shapes.

    Args:
        input, target: of one shape, since broadcasting would hide a mistake.
        reduction: "mean" over all elements, "sum", or "none".

    >>> tg.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0])).item()
    2.0
    """
    _check_reduction("mse_loss", reduction)
    check_same_shape("mse_loss", input=input, target=target)
    difference = xp.subtract(input, target)
    return _reduced(difference * difference, reduction)
