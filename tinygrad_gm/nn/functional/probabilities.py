"""Losses of classification, and divergences of probability distributions.

All logarithms are natural. A loss has a `reduction`: "mean" over its elements, "sum", or "none".
"""

from __future__ import annotations

import math
from typing import Any

from ... import ops
from ...backend import ArrayLike, floating_dtype
from ...hints import named
from ...ops import exp, log, log_softmax, logaddexp, where
from ...ops.fused import losses
from ...tensor import Tensor, asarray
from .losses import alike, reduced

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "entropy",
    "kl_div",
    "kl_normal",
    "nll_loss",
]

# ------------------------------------------------------------------------ one class of several


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ_c weight[c] · t_c · ln softmax(input)_c, where t are the target probabilities.

    The softmax is part of the loss: the input is the output of the last linear layer. Plain class
    indices use one fused operation; the other options go through `log_softmax`.

    Args:
        input: scores (N, C, …), the classes on axis 1, or (C,).
        target: class numbers in [0, C), (N, …) or (): t_c = 1 for that class, else 0. Or floating
            probabilities t of the input's shape.
        weight: (C,), a factor per class, without a gradient; None: 1.
        ignore_index: class index that is ignored.
        reduction: "sum"; "none" for (N, …); or "mean": over class numbers Σ losses / Σ of the
            targets' weights, over probabilities Σ losses / N….
        label_smoothing: ε in [0, 1]: (1 − ε)·t + ε/C replaces t (Szegedy et al. 2016).

    Raises:
        ValueError: shapes do not agree, or ε is outside [0, 1].
        IndexError: a class number outside [0, C).
        TypeError: probabilities that are not floating.

    >>> round(F.cross_entropy(tg.zeros((2, 4)), tg.tensor([0, 3])).item(), 4)
    1.3863
    >>> F.cross_entropy(tg.tensor([[0.0, 0.0]]), tg.tensor([[0.5, 0.5]])).round(4).item()
    0.6930999755859375
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(
            f"cross_entropy: expected label_smoothing in [0, 1]; got {label_smoothing}"
        )
    x, t = asarray(input), asarray(target)
    if t.dtype.kind == "f" and t.ndim == x.ndim:
        return _soft_cross_entropy(x, t, weight, reduction, label_smoothing)
    ignored = t._data == ignore_index
    if weight is None and not label_smoothing and not ignored.any():
        return ops.cross_entropy(x, t, reduction)
    axis = _class_axis(x)
    scores = log_softmax(x, axis)
    if not label_smoothing:
        return ops.nll_loss(scores, t, weight, ignore_index, reduction)
    exact = ops.nll_loss(scores, t, weight, ignore_index, "none")
    even = where(ignored, 0.0, -_weighted(scores, weight, axis).mean(axis=axis))
    losses = (1.0 - label_smoothing) * exact + label_smoothing * even
    if reduction != "mean":
        return reduced("cross_entropy", losses, reduction)
    count = where(ignored, 0.0, 1.0).astype(floating_dtype(x.dtype))
    if weight is not None:
        count = (
            count * asarray(weight).detach().astype(floating_dtype(x.dtype))[where(ignored, 0, t)]
        )
    total, weights = losses.sum(), count.sum().item()
    mean: Tensor = total / weights if weights else total + math.nan  # of nothing; gradient 0
    return mean


def _soft_cross_entropy(
    x: Tensor, t: Tensor, weight: ArrayLike, reduction: str, smoothing: float
) -> Tensor:
    alike("cross_entropy", input=x, target=t)
    axis = _class_axis(x)
    if smoothing:
        t = t * (1.0 - smoothing) + smoothing / x.shape[axis]
    losses = -_weighted(t * log_softmax(x, axis), weight, axis).sum(axis=axis)
    return reduced("cross_entropy", losses, reduction)


def _class_axis(x: Tensor) -> int:
    if not x.ndim:
        raise ValueError("cross_entropy: expected scores (N, C, …) or (C,); got one number")
    return 0 if x.ndim == 1 else 1


def _weighted(x: Any, weight: ArrayLike, axis: int) -> Any:
    """x times a constant weight per class."""
    if weight is None:
        return x
    weight = asarray(weight).detach().astype(floating_dtype(x.dtype))
    if weight.shape != (x.shape[axis],):
        raise ValueError(f"cross_entropy: expected a weight ({x.shape[axis]},); got {weight.shape}")
    return x * weight.reshape((-1, *(1 for _ in x.shape[axis + 1 :])))


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−weight[target] · input[target]: `cross_entropy` of log-probabilities.

    Args:
        input: log-probabilities (N, C, …), or (C,).
        target, weight, ignore_index, reduction: as for the class numbers of `cross_entropy`.

    >>> F.nll_loss(tg.tensor([[-1.0, -2.0], [-3.0, -5.0]]), tg.tensor([0, 1])).item()
    3.0
    """
    return ops.nll_loss(input, target, weight, ignore_index, reduction)


# ------------------------------------------------------------------------ yes or no


def binary_cross_entropy(
    input: ArrayLike, target: ArrayLike, weight: ArrayLike = None, reduction: str = "mean"
) -> Tensor:
    """−weight · [t·ln p + (1 − t)·ln(1 − p)], with each logarithm at least −100.

    The gradient is (p − t)/max(p(1 − p), 10⁻¹²), finite at 0 and 1. Prefer
    `binary_cross_entropy_with_logits`: a p that a sigmoid has rounded to 0 or 1, as in float32 from
    17 on, no longer shows the size of the error.

    Args:
        input: probabilities p in [0, 1], any shape.
        target: t in [0, 1], of the same shape.
        weight: a factor per element, of any shape that broadcasts to theirs; None: 1.
        reduction: "mean" over all elements, "sum", or "none".

    Raises:
        ValueError: a probability outside [0, 1], or shapes that do not agree.

    >>> F.binary_cross_entropy(tg.tensor([0.0, 0.5]), tg.ones(2), reduction="none").tolist()
    [100.0, 0.6931471824645996]
    """
    name = "binary_cross_entropy"
    p, t = alike(name, input=input, target=target)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"{name}: expected probabilities in [0, 1]; got [{p.min().item()}, {p.max().item()}]; "
            "for scores use binary_cross_entropy_with_logits"
        )
    return reduced(name, _times(name, losses.binary_cross_entropy(p, t), weight), reduction)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike = None,
    reduction: str = "mean",
    pos_weight: ArrayLike = None,
) -> Tensor:
    """weight · [pos_weight · t·ln(1 + e^−z) + (1 − t)·ln(1 + e^z)]: −ln σ(z) for t = 1.

    Neither overflows nor takes the logarithm of 0, however large z is. Without weights it is one
    fused operation.

    Args:
        input: logits z, any shape.
        target: t in [0, 1], of the same shape.
        weight: a factor per element, of any shape that broadcasts to theirs; None: 1.
        reduction: "mean" over all elements, "sum", or "none".
        pos_weight: a factor of the positive part, which broadcasts as well: > 1 where positives are
            rare. None: 1.

    >>> round(F.binary_cross_entropy_with_logits(tg.zeros(3), tg.ones(3)).item(), 4)
    0.6931
    >>> F.binary_cross_entropy_with_logits(tg.tensor([1000.0]), tg.tensor([0.0])).item()
    1000.0
    """
    name = "binary_cross_entropy_with_logits"
    if weight is None and pos_weight is None:
        return ops.binary_cross_entropy_with_logits(input, target, reduction)
    z, t = alike(name, input=input, target=target)
    if pos_weight is None:
        losses: Any = ops.binary_cross_entropy_with_logits(z, t, "none")
    else:
        certain = _times(name, t * logaddexp(0.0, -z), pos_weight)
        losses = certain + (1.0 - t) * logaddexp(0.0, z)
    return reduced(name, _times(name, losses, weight), reduction)


def _times(name: str, losses: Any, weight: ArrayLike) -> Any:
    """Each loss times its weight; the weight may not enlarge the shape."""
    product = losses if weight is None else losses * weight
    if product.shape != losses.shape:
        raise ValueError(
            f"{name}: a weight {asarray(weight).shape} does not broadcast to {losses.shape}"
        )
    return product


# ------------------------------------------------------------------------ distributions


@named
def entropy(input: ArrayLike, axis: int = -1) -> Tensor:
    """H(p) = −Σ p·ln p of probabilities along an axis, in nats; 0·ln 0 is 0 (Shannon 1948).

    Args:
        input: probabilities, as from `softmax`, which sum to 1 along the axis.
        axis: the axis of the distributions, which is removed.

    >>> F.entropy(tg.tensor([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]])).round(4).tolist()
    [0.6930999755859375, 1.0397000312805176]
    """
    p: Any = asarray(input)
    possible = p != 0
    terms = where(possible, p * log(where(possible, p, 1.0)), 0.0)
    total: Tensor = -terms.sum(axis=axis)
    return total


def kl_div(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """KL(t ‖ q) element by element: t·(ln t − ln q), and 0 where t = 0 (Kullback & Leibler 1951).

    Note the order: the input is ln q, the learned distribution; the target is t itself.

    Args:
        input: log-probabilities ln q, any shape.
        target: probabilities t of the same shape; or ln t, with log_target.
        reduction: "batchmean", Σ / length of axis 0, which for (N, C) is the mean divergence;
            "mean" over all elements, which is not; "sum"; or "none".
        log_target: whether the target is ln t.

    >>> q, t = tg.tensor([[0.5, 0.5]]), tg.tensor([[1.0, 0.0]])
    >>> F.kl_div(q.log(), t, reduction="batchmean").round(4).item()
    0.6930999755859375
    """
    x, t = alike("kl_div", input=input, target=target)
    if log_target:
        losses = exp(t) * (t - x)
    else:  # of a t of 0, the inner `where` also keeps ln q = −inf away, for 0 · inf is NaN
        possible = t != 0
        ratio = log(where(possible, t, 1.0)) - where(possible, x, 0.0)
        losses = where(possible, t * ratio, 0.0)
    if reduction == "batchmean":
        total: Tensor = losses.sum() / (len(losses) if losses.ndim else 1)
        return total
    return reduced("kl_div", losses, reduction)


def kl_normal(
    mu_p: ArrayLike,
    log_var_p: ArrayLike,
    mu_q: ArrayLike = None,
    log_var_q: ArrayLike = None,
    reduction: str = "mean",
) -> Tensor:
    """KL(p ‖ q) of two normal distributions, elementwise, from their means and log-variances.

    With p = N(μ_p, σ_p²) and q = N(μ_q, σ_q²):

        KL(p ‖ q) = ln(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²) / (2σ_q²) − ½

    The log-variance ln σ² can be any number, so a network can output it.

    Args:
        mu_p, log_var_p: parameters of p, any shapes that broadcast.
        mu_q, log_var_q: parameters of q; None: 0, that is q = N(0, 1), as in a variational
            autoencoder (Kingma & Welling 2014, appendix B).
        reduction: "mean", "sum" or "none". The KL of a vector of independent normals is the sum
            over its axis: `F.kl_normal(mu, log_var, reduction="none").sum(axis=-1)`.

    >>> F.kl_normal(tg.tensor(1.0), tg.tensor(0.0)).item()
    0.5
    """
    mu, log_var = asarray(mu_p), asarray(log_var_p)
    distance = mu if mu_q is None else mu - mu_q
    spread = exp(log_var) + distance * distance
    if log_var_q is not None:
        log_var = log_var - log_var_q
        spread = spread * exp(-asarray(log_var_q))
    return reduced("kl_normal", (spread - log_var - 1.0) * 0.5, reduction)
