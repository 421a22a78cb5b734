"""Schedules one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler


class SequentialLR(LRScheduler):
    """Several schedules of one optimizer, each from its milestone on, where it starts at 0.

    Args:
        optimizer: that of all the schedules.
        schedulers: in the order of their turns.
        milestones: after how many steps the second, the third … schedule begins; ascending.
        last_epoch: as in `LRScheduler`.

    Raises:
        ValueError: the numbers of schedules and milestones do not go together, a schedule is of
            another optimizer, or needs a number in each step.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> warmup = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    _not_saved: ClassVar[tuple[str, ...]] = ("optimizer", "schedulers")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules with {len(milestones)} milestones; "
                "there must be one schedule more"
            )
        if list(milestones) != sorted(milestones):
            raise ValueError(f"SequentialLR: the milestones {list(milestones)} do not ascend")
        for scheduler in schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError("SequentialLR: ReduceLROnPlateau needs a number in each step")
            if scheduler.optimizer is not optimizer:
                name = type(scheduler).__name__
                raise ValueError(f"SequentialLR: {name} is a schedule of another optimizer")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """What the schedule whose turn it is sets."""
        turn = bisect_right(self.milestones, self.last_epoch)
        start = self.milestones[turn - 1] if turn else 0
        self.schedulers[turn].move_to(self.last_epoch - start)
        return self.schedulers[turn].get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`, with the schedules' own under "schedulers"."""
        own = super().state_dict()
        return {**own, "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take on a `state_dict`, and the schedules theirs."""
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
