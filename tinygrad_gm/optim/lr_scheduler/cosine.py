"""Schedules along a cosine, with and without restarts."""

from __future__ import annotations

from math import cos, pi

from ...options import as_integer, as_number
from ..optimizer import Optimizer
from .scheduler import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """From the initial rate to `eta_min` along half a cosine (Loshchilov & Hutter 2017, eq. 5).

        lr = eta_min + ½ (lr₀ − eta_min) (1 + cos(π t / T_max))

    After T_max steps the rate rises again along the same curve. Each step multiplies the present
    rate's distance from `eta_min` by the quotient of this step's cosine term and the last one's.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        T_max: the number of steps to the lowest rate.
        eta_min: the lowest rate.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> [round(lr, 3) for lr in rates]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = as_integer(self, "T_max", T_max)
        self.eta_min = as_number(self, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        """The current rates."""
        return self._rates()

    def get_lr(self) -> list[float]:
        t, T = self.last_epoch, self.T_max
        if (t - 1 - T) % (2 * T) == 0:  # from the lowest rate, whose distance is 0
            rise = (1 - cos(pi / T)) / 2
            pairs = zip(self._rates(), self.base_lrs, strict=True)
            return [lr + (base - self.eta_min) * rise for lr, base in pairs]
        ratio = (1 + cos(pi * t / T)) / (1 + cos(pi * (t - 1) / T))
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in self._rates()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines one after the other: SGDR (Loshchilov & Hutter 2017, section 3).

        lr = eta_min + ½ (lr₀ − eta_min) (1 + cos(π t / T))

    where t counts from the last restart. The first T is T_0, and each is T_mult times the one
    before.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        T_0: the number of steps to the first restart.
        T_mult: an integer ≥ 1.
        eta_min: the lowest rate.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> rates = []
    >>> for _ in range(7):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> [round(lr, 3) for lr in rates]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0, self.T_mult = as_integer(self, "T_0", T_0), as_integer(self, "T_mult", T_mult)
        self.eta_min = as_number(self, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, length = self.last_epoch, self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t -= length
            length *= self.T_mult
        share = (1 + cos(pi * t / length)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]
