"""Distances as modules, and margin losses; `F` has the equations."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .loss import Loss, PairLoss
from .module import Module

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "PairwiseDistance",
    "TripletMarginLoss",
]


class CosineSimilarity(Module):
    """⟨x1, x2⟩ / (max(‖x1‖, eps) · max(‖x2‖, eps)) along an axis.

    >>> nn.CosineSimilarity()(tg.tensor([[3.0, 4.0]]), tg.tensor([[2.0, 0.0]])).round(4).tolist()
    [0.6000000238418579]
    """

    def __init__(self, axis: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.axis, self.eps = axis, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        """The cosine of the angle."""
        return F.cosine_similarity(x1, x2, self.axis, self.eps)


class PairwiseDistance(Module):
    """‖x1 − x2 + eps‖_p along the last axis.

    >>> nn.PairwiseDistance(eps=0.0)(tg.tensor([[3.0, 4.0]]), tg.zeros((1, 2))).tolist()
    [5.0]
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> None:
        super().__init__()
        self.p, self.eps, self.keepdims = p, eps, keepdims

    def forward(self, x1: Any, x2: Any) -> Any:
        """The distance."""
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdims)


class HingeEmbeddingLoss(PairLoss):
    """x where target = 1, max(0, margin − x) where it is −1.

    >>> loss = nn.HingeEmbeddingLoss(reduction="none")
    >>> loss(tg.tensor([0.25, 0.25]), tg.tensor([1.0, -1.0])).tolist()
    [0.25, 0.75]
    """

    _function = staticmethod(F.hinge_embedding_loss)
    _options = ("margin", "reduction")

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class MarginRankingLoss(Loss):
    """max(0, margin − target · (input1 − input2)).

    >>> nn.MarginRankingLoss()(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1.0])).item()
    2.0
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """max(0, margin − target · (input1 − input2))."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(Loss):
    """max(0, d(anchor, positive) − d(anchor, negative) + margin) (Schroff et al. 2015).

    Args:
        margin: the required difference of the two distances.
        p, eps: options of the distance, `F.pairwise_distance`.
        swap: take the smaller one of d(anchor, negative) and d(positive, negative).
        reduction: "mean", "sum" or "none".

    >>> a, b = tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0]])
    >>> nn.TripletMarginLoss(eps=0.0)(a, b, a).item()
    6.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """max(0, d(anchor, positive) − d(anchor, negative) + margin)."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class CosineEmbeddingLoss(Loss):
    """1 − cos where target = 1, max(0, cos − margin) where it is −1.

    >>> a, b = tg.tensor([[3.0, 4.0]]), tg.tensor([[3.0, 0.0]])
    >>> nn.CosineEmbeddingLoss()(a, b, tg.tensor([1.0])).round(4).item()
    0.4000000059604645
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """1 − cos, or max(0, cos − margin)."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)
