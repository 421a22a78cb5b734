"""Operations fused for speed or stability, each beside its textbook twin.

A twin is the definition a course would write, composed of primitives. Tests hold value, gradient
and second derivative of the pair together; `with tg.textbook():` records the twin, so that a
drawing shows what is inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import ArrayLike
from ..operation import op
from .elementwise import add, exp, log, sigmoid, subtract
from .indexing import grid, take_along_axis
from .matmul import as_rows, matmul
from .reduction import divided, max, sum
from .shape import expand_dims, matrix_transpose, squeeze


def stopped(x: ArrayLike) -> Any:
    """x as a constant: gradients do not flow through it."""
    return x.detach()


def _shape(x: Any) -> tuple[int, ...]:
    """The shape of an array, or of a number where an array should stand."""
    shape: tuple[int, ...] = getattr(x, "shape", ())
    return shape


# ------------------------------------------------------------------------------------ linear


def _linear_twin(x: Any, weight: Any, bias: Any = None) -> Any:
    product = matmul(x, matrix_transpose(weight))
    return product if bias is None else add(product, bias)


def _linear_weight_rule(xp: Any, g: Any, x: Any) -> Any:
    """gᵀ x, laid out in memory as `nn.Linear` lays out its weight."""
    product = xp.matmul(xp.permute_dims(as_rows(xp, x), (1, 0)), as_rows(xp, g))
    return xp.permute_dims(product, (1, 0))


@op(
    lambda xp, g, weight: xp.matmul(g, weight),
    _linear_weight_rule,
    lambda xp, g: xp.sum(as_rows(xp, g), 0),
    twin=_linear_twin,
    closed=True,
    local=["W", "x", "1"],
)
def linear(xp: Any, x: ArrayLike, weight: ArrayLike, bias: ArrayLike = None) -> Any:
    """x Wᵀ + b: (…, in) with a weight (out, in) and a bias (out,) gives (…, out).

    >>> tg.linear(tg.ones((4, 3)), tg.ones((2, 3))).shape
    (4, 2)
    """
    inputs, weights, biases = _shape(x), _shape(weight), _shape(bias)
    if not inputs or len(weights) != 2 or inputs[-1] != weights[1]:
        raise ValueError(
            "linear: an input (…, in) and a weight (out, in) are wanted; got input "
            f"{inputs} and weight {weights}"
        )
    if bias is not None and biases != weights[:1]:
        raise ValueError(f"linear: a bias {weights[:1]} is wanted; got {biases}")
    out = as_rows(xp, x) @ weight.T
    if bias is not None:
        out += bias
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], weight.shape[0])


# ----------------------------------------------------------------------------------- softmax


def _softmax_twin(x: Any, axis: int = -1) -> Any:
    powers = exp(subtract(x, stopped(max(x, axis, True))))
    return powers / sum(powers, axis, True)


@op(
    lambda xp, g, out, axis: out * (g - xp.sum(g * out, axis, True)),
    twin=_softmax_twin,
    closed=True,
    local=["diag(s) − s sᵀ"],
)
def softmax(xp: Any, x: ArrayLike, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis, with the maximum subtracted first so that nothing overflows.

    A row of −inf only has no softmax: it gives NaN.

    >>> tg.softmax(tg.tensor([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    out = xp.exp(x - x.max(axis=axis, keepdims=True))
    out /= out.sum(axis=axis, keepdims=True)
    return out


def _log_softmax_twin(x: Any, axis: int = -1) -> Any:
    shifted = subtract(x, stopped(max(x, axis, True)))
    return shifted - log(sum(exp(shifted), axis, True))


@op(
    lambda xp, g, out, axis: g - xp.exp(out) * xp.sum(g, axis, True),
    twin=_log_softmax_twin,
    closed=True,
    local=["I − 1 sᵀ"],
)
def log_softmax(xp: Any, x: ArrayLike, axis: int = -1) -> Any:
    """ln softmax(x) along an axis, without ever forming a softmax that underflows.

    >>> tg.log_softmax(tg.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


# ------------------------------------------------------------------------------------ losses


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else divided(total, losses.size)


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f'{name}: reduction is {reduction!r}; "none", "sum" or "mean" is wanted')


def _cross_entropy_twin(logits: Any, target: Any, reduction: str = "mean") -> Any:
    axis = 0 if np.ndim(logits) == 1 else 1
    log_probabilities = _log_softmax_twin(logits, axis)
    picked = take_along_axis(log_probabilities, expand_dims(target, axis), axis)
    return _reduced(-squeeze(picked, axis), reduction)


def _cross_entropy_rule(xp: Any, g: Any, logits: Any, saved: Any, reduction: str) -> Any:
    """(softmax(logits) − one-hot(target)) · g."""
    log_total, places, count = saved
    gradient = xp.exp(logits - log_total)
    gradient[places] -= 1.0
    if reduction == "none":
        return gradient * xp.reshape(g, log_total.shape)
    gradient *= divided(g, count) if reduction == "mean" else g
    return gradient


@op(_cross_entropy_rule, None, twin=_cross_entropy_twin, local=["softmax − one-hot", ""])
def cross_entropy(xp: Any, logits: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Any:
    """−ln softmax(logits)[target]: logits (N, C, …) and class numbers (N, …), or (C,) and ().

    Args:
        logits: unnormalised scores; the class axis is 1 (0 where there is only one axis).
        target: integers in [0, C).
        reduction: "mean" over all targets, "sum", or "none" for the shape of `target`.

    >>> round(tg.cross_entropy(tg.zeros((2, 4)), tg.tensor([0, 3])).item(), 4)
    1.3863
    """
    _check_reduction("cross_entropy", reduction)
    target = xp.asarray(target)
    scores, axis = _shape(logits), 0 if len(_shape(logits)) == 1 else 1
    if not scores or scores[:axis] + scores[axis + 1 :] != target.shape:
        raise ValueError(
            "cross_entropy: logits (N, C, …) go with targets (N, …); got logits "
            f"{scores} and targets {target.shape}"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: targets are class numbers, not {target.dtype}")
    unsigned = target.astype(xp.uint64, copy=False)  # a negative number becomes a huge one
    if target.size and unsigned.max() >= scores[axis]:
        raise IndexError(
            f"cross_entropy: targets lie in [{target.min()}, {target.max()}], "
            f"the {scores[axis]} classes are numbered from 0"
        )
    places = grid(xp, target.shape)
    places.insert(axis, target)
    largest = logits.max(axis=axis, keepdims=True)
    log_total = largest + xp.log(xp.exp(logits - largest).sum(axis=axis, keepdims=True))
    losses = log_total.reshape(target.shape) - logits[tuple(places)]
    return _reduced(losses, reduction), (log_total, tuple(places), target.size)


def _bce_twin(logits: Any, target: Any, reduction: str = "mean") -> Any:
    probability = sigmoid(logits)
    certain, impossible = log(probability), log(subtract(1.0, probability))
    losses = -(target * certain + subtract(1.0, target) * impossible)
    return _reduced(losses, reduction)


def _bce_scale(g: Any, count: int, reduction: str) -> Any:
    return divided(g, count) if reduction == "mean" else g


@op(
    lambda xp, g, logits, target, reduction: (
        (xp.sigmoid(logits) - target) * _bce_scale(g, logits.size, reduction)
    ),
    lambda g, logits, reduction: -logits * _bce_scale(g, logits.size, reduction),
    twin=_bce_twin,
    closed=True,
    local=["σ(logits) − target", "−logits"],
)
def binary_cross_entropy_with_logits(
    xp: Any, logits: ArrayLike, target: ArrayLike, reduction: str = "mean"
) -> Any:
    """−[t·ln σ(z) + (1 − t)·ln(1 − σ(z))] = max(z, 0) − z·t + ln(1 + e^−|z|), of equal shapes.

    The right-hand side neither overflows nor takes the logarithm of 0, as σ followed by a logarithm
    does from |z| ≈ 17 on in float32.

    Args:
        logits: z, any shape.
        target: t in [0, 1], of the same shape.
        reduction: "mean" over all elements, "sum", or "none".

    >>> round(tg.binary_cross_entropy_with_logits(tg.zeros(3), tg.ones(3)).item(), 4)
    0.6931
    """
    name = "binary_cross_entropy_with_logits"
    _check_reduction(name, reduction)
    if _shape(logits) != _shape(target):
        raise ValueError(
            f"{name}: logits and target must have one shape; got {_shape(logits)} and "
            f"{_shape(target)}"
        )
    # several times faster than with max(z, 0): NumPy has no vector loop for a scalar there
    losses = xp.log1p(xp.exp(-xp.abs(logits))) + logits * ((logits > 0) - target)
    return _reduced(losses, reduction)
