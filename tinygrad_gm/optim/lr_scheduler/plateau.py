"""A schedule driven by a metric instead of the step count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...options import as_integer, as_number
from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by `factor` when a metric has stopped improving.

    A rate that the user sets in between is kept and is the one reduced next.

    Args:
        optimizer: the optimizer whose learning rates are set.
        mode: "min" where smaller is better, "max" where larger is.
        factor: below 1.
        patience: number of steps in a row without improvement that are tolerated; the next one
            reduces the rate.
        threshold: smallest improvement that counts.
        threshold_mode: "rel": relative to the best so far; "abs": in the metric's own units.
        cooldown: number of steps after a reduction before counting resumes.
        min_lr: lower bound of the rate, a number or a list of one for each group.
        eps: smallest reduction; smaller ones are skipped.

    Raises:
        ValueError: an option is out of range.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> rates = []
    >>> for loss in (3.0, 2.0, 2.0, 2.5, 1.0):
    ...     schedule.step(loss)
    ...     rates += schedule.get_last_lr()
    >>> rates
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer("ReduceLROnPlateau", optimizer)
        for name, given, known in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if given not in known:
                options = " or ".join(map(repr, known))
                raise ValueError(f"ReduceLROnPlateau: {name} is {given!r}; expected {options}")
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = as_number(self, "factor", factor, high=1, without="high")
        self.patience = as_integer(self, "patience", patience, low=0)
        self.threshold = as_number(self, "threshold", threshold)
        self.cooldown = as_integer(self, "cooldown", cooldown, low=0)
        self.min_lr, self.eps = min_lr, as_number(self, "eps", eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        self.optimizer, self.last_epoch = optimizer, 0
        self._per_group("min_lr", min_lr)
        self._last_lr = self._rates()

    def step(self, metrics: Any) -> None:  # type: ignore[override]  # as PyTorch's
        """Advance by one step with the value `metrics`."""
        current = float(metrics)
        better = self._is_better(current)
        if better:
            self.best = current
        if better or self.cooldown_counter:
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        self.cooldown_counter = max(self.cooldown_counter - 1, 0)
        super().step()
        if self.num_bad_epochs > self.patience:
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown

    def get_lr(self) -> list[float]:
        """The current rates, reduced if the metric has stopped improving."""
        rates = self._rates()
        if self.num_bad_epochs <= self.patience:
            return rates
        lowest = self._per_group("min_lr", self.min_lr)
        reduced = [max(lr * self.factor, low) for lr, low in zip(rates, lowest, strict=True)]
        pairs = zip(rates, reduced, strict=True)
        return [new if old - new > self.eps else old for old, new in pairs]

    def _is_better(self, number: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        margin = sign * self.threshold
        relative = self.threshold_mode == "rel"
        target = self.best * (1 - margin) if relative else self.best - margin
        return sign * number < sign * target
