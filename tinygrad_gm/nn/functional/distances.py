"""Distances and similarities of vectors, and margin losses.

A margin loss is max(0, …): at its kink the derivative is that of the rising side.
"""

from __future__ import annotations

from typing import Any

from ...backend import ArrayLike
from ...hints import named
from ...ops import broadcast_to, clip, maximum, minimum, norm, sqrt, where
from ...tensor import Tensor, asarray
from .losses import alike, reduced

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "pairwise_distance",
    "triplet_margin_loss",
]

TINY = 1e-12  # keeps the norms of `cosine_embedding_loss` above 0


@named
def cosine_similarity(x1: ArrayLike, x2: ArrayLike, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """⟨x1, x2⟩ / (max(‖x1‖, eps) · max(‖x2‖, eps)) along an axis, which is removed.

    >>> F.cosine_similarity(tg.tensor([[3.0, 4.0]]), tg.tensor([[2.0, 0.0]])).round(4).tolist()
    [0.6000000238418579]
    """
    a, b = asarray(x1), asarray(x2)
    if a.shape != b.shape:
        shape = (a * b).shape
        a, b = broadcast_to(a, shape), broadcast_to(b, shape)
    first, second = (x / maximum(norm(x, axis=axis, keepdims=True), eps) for x in (a, b))
    return (first * second).sum(axis=axis)


@named
def pairwise_distance(
    x1: ArrayLike, x2: ArrayLike, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Tensor:
    """‖x1 − x2 + eps‖_p along the last axis; eps keeps the gradient of equal vectors finite.

    >>> F.pairwise_distance(tg.tensor([[3.0, 4.0]]), tg.zeros((1, 2)), eps=0.0).tolist()
    [5.0]
    """
    return norm(asarray(x1) - asarray(x2) + eps, axis=-1, ord=p, keepdims=keepdims)


def hinge_embedding_loss(
    input: ArrayLike, target: ArrayLike, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """x where target = 1, max(0, margin − x) where it is −1, for distances x.

    >>> target = tg.tensor([1.0, -1.0])
    >>> F.hinge_embedding_loss(tg.tensor([0.25, 0.25]), target, reduction="none").tolist()
    [0.25, 0.75]
    """
    x, t = alike("hinge_embedding_loss", input=input, target=target)
    apart = where(t != 1, _positive(margin - x), 0.0)
    return reduced("hinge_embedding_loss", apart + where(t != -1, x, 0.0), reduction)


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin − target · (input1 − input2)): the first larger for 1, the second for −1.

    >>> a, b = tg.tensor([1.0]), tg.tensor([3.0])
    >>> F.margin_ranking_loss(a, b, tg.tensor([1.0])).item()
    2.0
    """
    name = "margin_ranking_loss"
    a, b, t = alike(name, input1=input1, input2=input2, target=target)
    return reduced(name, _positive(margin - t * (a - b)), reduction)


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) − d(anchor, negative) + margin) (Schroff et al. 2015).

    Args:
        anchor, positive, negative: (N, D) or (D,); d is `pairwise_distance` with p and eps.
        margin: the required difference of the two distances.
        swap: take the smaller one of d(anchor, negative) and d(positive, negative) (Balntas et al.
            2016).
        reduction: "mean", "sum", or "none" for (N,).

    >>> a, b = tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0]])
    >>> F.triplet_margin_loss(a, b, a, eps=0.0).item()
    6.0
    """
    name = "triplet_margin_loss"
    a, b, c = alike(name, anchor=anchor, positive=positive, negative=negative)
    far = pairwise_distance(a, c, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(b, c, p, eps))
    return reduced(name, _positive(pairwise_distance(a, b, p, eps) - far + margin), reduction)


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """1 − cos where target = 1, max(0, cos − margin) where it is −1, cos of two vectors' angle.

    Args:
        input1, input2: (N, D) with a target (N,), or (D,) with ().
        target: 1 for similar pairs, −1 for dissimilar ones.
        margin: in [−1, 1]; a dissimilar pair with a smaller cosine has no loss.
        reduction: "mean", "sum", or "none" for (N,).

    >>> a, b = tg.tensor([[3.0, 4.0]]), tg.tensor([[3.0, 0.0]])
    >>> F.cosine_embedding_loss(a, b, tg.tensor([1.0])).round(4).item()
    0.4000000059604645
    """
    name = "cosine_embedding_loss"
    a, b = alike(name, input1=input1, input2=input2)
    t: Any = asarray(target)
    if not a.ndim or t.shape != a.shape[:-1]:
        raise ValueError(
            f"{name}: expected inputs (N, D) and a target (N,), or (D,) and (); got inputs "
            f"{a.shape} and a target {t.shape}"
        )
    squares = ((a * a).sum(axis=-1) + TINY) * ((b * b).sum(axis=-1) + TINY)
    cosine = (a * b).sum(axis=-1) / sqrt(squares)
    near, apart = where(t == 1, 1.0 - cosine, 0.0), where(t == -1, _positive(cosine - margin), 0.0)
    return reduced(name, near + apart, reduction)


def _positive(x: Any) -> Tensor:
    return clip(x, 0.0)
