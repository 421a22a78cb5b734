"""Dropout layers: random elements of the input, or of the weights, are zeroed in training.

p is the probability of dropping an element: a number, which may be changed at any time (`layer.p =
0.3`), or a schedule: a function of the number of previous forward passes in training mode. That
count is a buffer, so that a resumed run continues its schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..creation import zeros
from ..engine.modes import rerunning
from ..tensor import Tensor
from . import functional as F
from .functional.dropout import check_probability
from .linear import Linear
from .module import Module

__all__ = ["DropConnect", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "StochasticDepth"]

Probability = float | Callable[[int], float]


class _Dropping(Module):
    """Base of the layers: a p that may be a schedule. The buffer `num_batches_tracked` exists only
    with a schedule.
    """

    _p: Probability
    num_batches_tracked: Tensor

    @property
    def p(self) -> Probability:
        """The probability of dropping an element, or its schedule."""
        return self._p

    @p.setter
    def p(self, p: Probability) -> None:
        counts = "num_batches_tracked" in self._buffers
        if not callable(p):
            check_probability(type(self).__name__, p)
            if counts:
                del self.num_batches_tracked
        elif not counts:
            self.register_buffer("num_batches_tracked", zeros((), "int64"))
        self._p = p

    def _rate(self) -> float:
        """The probability of this pass. A recomputed checkpoint uses that of its first pass."""
        if not callable(self._p):
            return self._p
        count = self.num_batches_tracked
        before = int(count)
        if self.training and rerunning.get():
            before -= 1
        elif self.training:
            count.copy_(before + 1)
        return self._p(before)

    def extra_repr(self) -> str:
        return f"p={getattr(self._p, '__name__', self._p)}"


class Dropout(_Dropping):
    """m ⊙ x / (1 − p) in training, where m is 0 with probability p, else 1; x in evaluation.

    Units that cannot rely on each other learn features that are useful alone (Srivastava et al.
    2014). The expected output is x.

    Args:
        p: the probability of dropping an element, in [0, 1]; 1 gives zeros. Or a schedule: a
            function of the number of previous forward passes in training mode. In a
            `tg.checkpoint`, call a layer with a schedule once per step.

    Shapes: any.

    >>> layer = nn.Dropout(0.75)
    >>> sorted(set(layer(tg.ones(100)).tolist())), layer.eval()(tg.ones(2)).tolist()
    ([0.0, 4.0], [1.0, 1.0])

    Curriculum dropout, p(t) = p̄ (1 − e^(−γt)), starts easy (Morerio et al. 2017):

    >>> layer = nn.Dropout(lambda t: 0.5 * (1 - np.exp(-0.1 * t)))
    >>> outputs = [layer(tg.ones(10000)) for _ in range(30)]
    >>> [round((out == 0).mean().item(), 1) for out in outputs[::10]]
    [0.0, 0.3, 0.4]
    """

    _function: ClassVar[Callable[..., Any]] = staticmethod(F.dropout)

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        """x with elements or channels dropped in training; x itself in evaluation."""
        return self._function(x, self._rate(), self.training)


class Dropout1d(Dropout):
    """`Dropout` of whole channels of (N, C, L) or (C, L) (Tompson et al. 2015)."""

    _function = staticmethod(F.dropout1d)


class Dropout2d(Dropout):
    """`Dropout` of whole channels of (N, C, H, W) or (C, H, W): one m per example and channel.

    Neighbouring pixels are correlated, so dropping single pixels has little effect (Tompson et al.
    2015, "Efficient object localization using convolutional networks", section 3.2).

    >>> nn.Dropout2d(0.5)(tg.ones((2, 3, 4, 4))).std(axis=(2, 3)).max().item()
    0.0
    """

    _function = staticmethod(F.dropout2d)


class Dropout3d(Dropout):
    """`Dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W) (Tompson et al. 2015)."""

    _function = staticmethod(F.dropout3d)


class StochasticDepth(Dropout):
    """`Dropout` of whole examples of (N, …), for the residual of a block (Huang et al. 2016).

    With y = x + drop(F(x)) the block is skipped with probability p, for each example separately:
    training is that of a shallower network, evaluation that of the whole one.

    >>> nn.StochasticDepth(0.5)(tg.ones((9, 2, 3))).std(axis=(1, 2)).max().item()
    0.0
    """

    _function = staticmethod(F.stochastic_depth)


class DropConnect(_Dropping, Linear):
    """y = x (M ⊙ W)ᵀ + m ⊙ b, over 1 − p, in training; y = x Wᵀ + b in evaluation.

    A `Linear` that drops its *weights* and not its units, each entry of W and b with probability p
    (Wan et al. 2013, "Regularization of neural networks using DropConnect"). One mask is drawn for
    all examples of a call, and evaluation takes the mean of the weights; the paper draws one for
    each example, and evaluates with samples from a normal distribution.

    Args:
        in_features: the length of the last axis of x.
        out_features: the length of the last axis of y.
        p: the probability of dropping an entry, in [0, 1], or a schedule, as in `Dropout`.
        bias: whether to add b.
        device, dtype: of the parameters; None: the defaults.

    Shapes: x (…, in_features), y (…, out_features), `weight` (out_features, in_features), `bias`
    (out_features,) or None.

    >>> layer = nn.DropConnect(3, 2, p=0.2)
    >>> out = layer(tg.ones((5, 3)))
    >>> out.shape, tg.allclose(out, out[:1])
    ((5, 2), True)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        p: Probability = 0.5,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.p = p

    def forward(self, x: Any) -> Any:
        """x Wᵀ + b with weights dropped, or without."""
        return F.drop_connect(x, self.weight, self.bias, self._rate(), self.training)

    def extra_repr(self) -> str:
        return f"{Linear.extra_repr(self)}, {super().extra_repr()}"
