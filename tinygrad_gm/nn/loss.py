"""Losses as modules: each holds its options and calls the function of `F` with its equation.

Weights are buffers: they are in the state dict and move with the module, but are not trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..backend import ArrayLike
from ..tensor import Tensor, asarray
from . import functional as F
from .module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
]


class Loss(Module):
    """Base of the losses: a `reduction`, "mean", "sum", or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def _keep(self, **weights: ArrayLike) -> None:
        """Register weights as buffers; None: no such weight."""
        for name, weight in weights.items():
            constant = None if weight is None else asarray(weight).detach()
            self.register_buffer(name, constant)


class PairLoss(Loss):
    """Base of the losses of an input and a target: a function of `F` with the layer's options."""

    _function: ClassVar[Callable[..., Any]]
    _options: ClassVar[tuple[str, ...]] = ("reduction",)  # in the order of its parameters

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of the input against the target; see the class."""
        options = [getattr(self, name) for name in self._options]
        return self._function(input, target, *options)


# ------------------------------------------------------------------------ of numbers


class MSELoss(PairLoss):
    """(input − target)², of one shape.

    >>> nn.MSELoss()(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0])).item()
    2.0
    """

    _function = staticmethod(F.mse_loss)


class L1Loss(PairLoss):
    """|input − target|, of one shape: less sensitive to outliers than `MSELoss`.

    >>> nn.L1Loss()(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0])).item()
    1.0
    """

    _function = staticmethod(F.l1_loss)


class SmoothL1Loss(PairLoss):
    """d²/(2·beta) where |d| < beta, else |d| − beta/2, with d = input − target (Girshick 2015).

    >>> nn.SmoothL1Loss(reduction="sum")(tg.tensor([0.5, 3.0]), tg.zeros(2)).item()
    2.625
    """

    _function = staticmethod(F.smooth_l1_loss)
    _options = ("reduction", "beta")

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta


class HuberLoss(PairLoss):
    """d²/2 where |d| ≤ delta, else delta · (|d| − delta/2), with d = input − target (Huber 1964).

    >>> nn.HuberLoss(reduction="sum", delta=2.0)(tg.tensor([0.5, 3.0]), tg.zeros(2)).item()
    4.125
    """

    _function = staticmethod(F.huber_loss)
    _options = ("reduction", "delta")

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta


class GaussianNLLLoss(Loss):
    """½·(ln var + (input − target)²/var): a normal distribution's −ln density (Nix & Weigend 1994).

    Args:
        full: add the constant ½·ln 2π.
        eps: a smaller variance counts as eps.
        reduction: "mean", "sum" or "none".

    Shapes: input and target (…), var (…), or one per row.

    >>> nn.GaussianNLLLoss()(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1.0])).item()
    2.0
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        """½·(ln var + (input − target)²/var)."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class PoissonNLLLoss(PairLoss):
    """λ − target · ln λ: −ln probability of a Poisson distribution, without its term ln target!.

    Args:
        log_input: whether the input is ln λ; False: it is λ.
        full: add Stirling's approximation of ln target!.
        eps: added to λ before the logarithm, if log_input is False.
        reduction: "mean", "sum" or "none".

    >>> nn.PoissonNLLLoss()(tg.tensor([0.0]), tg.tensor([3.0])).item()
    1.0
    """

    _function = staticmethod(F.poisson_nll_loss)
    _options = ("log_input", "full", "eps", "reduction")

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps


# ------------------------------------------------------------------------ of probabilities


class CrossEntropyLoss(PairLoss):
    """−ln softmax(input)[target]: scores against class numbers, or against probabilities.

    Args:
        weight: (C,), a factor per class; None: 1.
        ignore_index: class index that is ignored.
        reduction: "mean", weighted, over the targets that are not ignored; "sum"; or "none".
        label_smoothing: ε in [0, 1]: (1 − ε)·t + ε/C replaces the target probabilities t.

    Shapes: input (N, C, …) or (C,); target (N, …) of integers, or floating of the input's shape.

    >>> nn.CrossEntropyLoss()(tg.zeros((2, 4)), tg.tensor([0, 3])).round(4).item()
    1.386299967765808
    """

    _function = staticmethod(F.cross_entropy)
    _options = ("weight", "ignore_index", "reduction", "label_smoothing")
    weight: Tensor | None

    def __init__(
        self,
        weight: ArrayLike = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self._keep(weight=weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(PairLoss):
    """−input[target] of log-probabilities, such as the output of `nn.LogSoftmax(axis=1)`.

    Args:
        weight: (C,), a factor per class; None: 1.
        ignore_index: class index that is ignored.
        reduction: "mean", weighted, over the targets that are not ignored; "sum"; or "none".

    >>> nn.NLLLoss()(tg.tensor([[-1.0, -2.0], [-3.0, -5.0]]), tg.tensor([0, 1])).item()
    3.0
    """

    _function = staticmethod(F.nll_loss)
    _options = ("weight", "ignore_index", "reduction")
    weight: Tensor | None

    def __init__(
        self, weight: ArrayLike = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self._keep(weight=weight)
        self.ignore_index = ignore_index


class BCELoss(PairLoss):
    """−[t·ln p + (1 − t)·ln(1 − p)] of probabilities p; prefer `BCEWithLogitsLoss`.

    Args:
        weight: a factor per element, of any shape that broadcasts to theirs; None: 1.
        reduction: "mean", "sum" or "none".

    >>> nn.BCELoss()(tg.tensor([0.5]), tg.tensor([1.0])).round(4).item()
    0.6930999755859375
    """

    _function = staticmethod(F.binary_cross_entropy)
    _options = ("weight", "reduction")
    weight: Tensor | None

    def __init__(self, weight: ArrayLike = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._keep(weight=weight)


class BCEWithLogitsLoss(PairLoss):
    """−[t·ln σ(z) + (1 − t)·ln(1 − σ(z))] of logits z, of any size.

    Args:
        weight: a factor per element, of any shape that broadcasts to theirs; None: 1.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor of the positive part t·ln σ(z), which broadcasts as well; None: 1.

    >>> nn.BCEWithLogitsLoss()(tg.tensor([1000.0]), tg.tensor([0.0])).item()
    1000.0
    """

    _function = staticmethod(F.binary_cross_entropy_with_logits)
    _options = ("weight", "reduction", "pos_weight")
    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: ArrayLike = None, reduction: str = "mean", pos_weight: ArrayLike = None
    ) -> None:
        super().__init__(reduction)
        self._keep(weight=weight, pos_weight=pos_weight)


class KLDivLoss(PairLoss):
    """KL(target ‖ q) for an input ln q: t·(ln t − ln q), element by element.

    Args:
        reduction: "batchmean", the mean divergence of (N, C); "mean", "sum" or "none".
        log_target: whether the target is ln t.

    >>> q, t = tg.tensor([[0.5, 0.5]]), tg.tensor([[1.0, 0.0]])
    >>> nn.KLDivLoss(reduction="batchmean")(q.log(), t).round(4).item()
    0.6930999755859375
    """

    _function = staticmethod(F.kl_div)
    _options = ("reduction", "log_target")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target
