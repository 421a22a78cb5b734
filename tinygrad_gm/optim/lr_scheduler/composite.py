"""Schedules made of schedules: in sequence, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...options import as_integer
from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, check_optimizer


class _Composite(LRScheduler):
    """Base of the schedules of several schedules of one optimizer: their checks and their state."""

    _not_saved: ClassVar[tuple[str, ...]] = ("optimizer", "schedulers")
    schedulers: list[LRScheduler]

    def _take(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        for scheduler in schedulers:
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"{name}: {type(scheduler).__name__} is not a schedule")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{name}: ReduceLROnPlateau needs a number in each step")
            if scheduler.optimizer is not optimizer:
                kind = type(scheduler).__name__
                raise ValueError(f"{name}: {kind} is a schedule of another optimizer")
        self.optimizer, self.schedulers = optimizer, list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """As in `LRScheduler`, with the schedules' own under "schedulers"."""
        own = super().state_dict()
        return {**own, "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a `state_dict`, with those of the schedules.

        Raises:
            ValueError: something is missing from it, or from one of theirs. Then nothing was
                changed.
        """
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        super()._check_state(state_dict)
        states = state_dict.get("schedulers", ())
        if len(states) != len(self.schedulers):
            raise ValueError(
                f"load_state_dict: the state is of {len(states)} schedules, and "
                f"{type(self).__name__} has {len(self.schedulers)}"
            )
        for scheduler, state in zip(self.schedulers, states, strict=True):
            scheduler._check_state(state)


class SequentialLR(_Composite):
    """Several schedules of one optimizer, each from its milestone on.

    Each begins with the groups' initial rates, at its step 0.

    Args:
        optimizer: the optimizer of all the schedules.
        schedulers: the schedules, in order.
        milestones: the steps at which the second, third … schedule begins, ascending.
        last_epoch: as in `LRScheduler`.

    Raises:
        ValueError: the numbers of schedules and milestones do not match, a schedule belongs
            to another optimizer, or needs a number in each step.

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
        milestones = [as_integer(self, "a milestone", step, low=0) for step in milestones]
        if milestones != sorted(milestones):
            raise ValueError(f"SequentialLR: the milestones {milestones} do not ascend")
        self._take(optimizer, schedulers)
        self.milestones = milestones
        if last_epoch == -1:  # undo the rates that the schedules set when they were made
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"]
        super().__init__(optimizer, last_epoch)

    def step(self) -> None:
        """Advance the active schedule by one step."""
        self.last_epoch += 1
        scheduler, epoch = self._turn()
        if epoch == 0:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _begin(self, epoch: int) -> None:
        self.last_epoch = epoch
        scheduler, own_epoch = self._turn()
        scheduler._begin(own_epoch)
        self._last_lr = scheduler.get_last_lr()

    def _turn(self) -> tuple[LRScheduler, int]:
        """The active schedule, and the number of its step."""
        turn = bisect_right(self.milestones, self.last_epoch)
        return self.schedulers[turn], self.last_epoch - (self.milestones[turn - 1] if turn else 0)


class ChainedScheduler(_Composite):
    """Several schedules of one optimizer that are stepped together, in their order.

    The factors of chainable schedules (see `LRScheduler`) multiply.

    Args:
        schedulers: at least one.
        optimizer: the optimizer of all the schedules; None: the first one's.

    Raises:
        ValueError: there is no schedule, or one belongs to another optimizer, or needs a number in
            each step.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> halve = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> decay = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    >>> schedule = optim.lr_scheduler.ChainedScheduler([halve, decay])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> [round(lr, 4) for lr in rates]
    [1.0, 0.9, 0.405, 0.3645]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler: expected at least one schedule")
        self._take(optimizer or schedulers[0].optimizer, schedulers)
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.last_epoch, self._last_lr = 0, self._rates()

    def step(self) -> None:
        """Advance every schedule by one step."""
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()
        self._last_lr = self._rates()

    def _begin(self, epoch: int) -> None:
        self.last_epoch = epoch
        for scheduler in self.schedulers:
            scheduler._begin(epoch)
        self._last_lr = self._rates()
