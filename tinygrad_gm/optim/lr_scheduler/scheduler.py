"""The base of the schedules, which counts steps and sets the groups' learning rates."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...options import as_integer, as_number, check_alike
from ..optimizer import Optimizer


class LRScheduler:
    """Sets the learning rate of every group of an optimizer, at once and after each `step`.

    A subclass sets its own attributes, then calls `super().__init__`, and defines `get_lr`. The
    rate that a group had before its first schedule stays in the group as "initial_lr".

    As in PyTorch there are two kinds of schedule:

    - Most are *chainable*: each step changes the group's current rate, usually by a factor. They
      therefore continue from a rate that is set by hand or reduced by `ReduceLROnPlateau`, and
      several of them on one optimizer multiply (`ChainedScheduler`).
    - `LambdaLR`, `CosineAnnealingWarmRestarts`, `OneCycleLR` and `NoamLR` compute the rate from the
      number of steps and the initial rate, and overwrite the group's rate.

    Args:
        optimizer: the optimizer whose learning rates are set.
        last_epoch: the number of steps already done, minus one; −1 starts. Otherwise the groups
            need an "initial_lr", as from a loaded state.

    Attributes:
        last_epoch: the number of steps since the start.
        base_lrs: the groups' "initial_lr".

    Raises:
        TypeError: `optimizer` is not an Optimizer.
        KeyError: a group has no "initial_lr", and `last_epoch` is not −1.

    >>> class HalfLR(optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [base / 2**self.last_epoch for base in self.base_lrs]
    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=0.5)
    >>> schedule = HalfLR(optimizer)
    >>> for _ in range(3):
    ...     print(schedule.get_last_lr())
    ...     optimizer.step()
    ...     schedule.step()
    [0.5]
    [0.25]
    [0.125]
    """

    _not_saved: ClassVar[tuple[str, ...]] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        last_epoch = as_integer(self, "last_epoch", last_epoch, low=-1)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{name}: group {number} has no initial_lr, which last_epoch={last_epoch} "
                    "needs; load the optimizer's state first"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._begin(last_epoch + 1)

    def get_lr(self) -> list[float]:
        """Return the groups' learning rates after `last_epoch` steps; every subclass defines it.

        The groups' "lr" is still that of the step before.
        """
        raise NotImplementedError(f"{type(self).__name__}: define get_lr(self)")

    def first_lr(self) -> list[float]:
        """Return the learning rates that the schedule begins with: `get_lr()` by default."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """Return the groups' learning rates as this schedule set them last."""
        return list(self._last_lr)

    def step(self) -> None:
        """Advance by one step; call it after `optimizer.step()`."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def _begin(self, epoch: int) -> None:
        """Set the rates after `epoch` steps, from the groups' present ones."""
        self.last_epoch = epoch
        self._set(self.first_lr())

    def _restart(self) -> None:
        """Begin again from the initial rates."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self._begin(0)

    def _set(self, rates: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise RuntimeError(
                f"{type(self).__name__}: there are {len(rates)} learning rates for "
                f"{len(groups)} groups; make the schedule after add_param_group"
            )
        for group, lr in zip(groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = rates

    def _rates(self, factor: float = 1) -> list[float]:
        """The groups' current rates times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the state: copies of numbers, strings, and lists of them."""
        own = {name: value for name, value in vars(self).items() if name not in self._not_saved}
        return copy.deepcopy(own)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a `state_dict`, options included; the rates are in the optimizer's state.

        Raises:
            TypeError: an option is of another type, such as a string for a number.
            ValueError: something is missing from it, or is not a number of steps.

        Nothing is changed then.
        """
        self._check_state(state_dict)
        own = {name: state_dict[name] for name in vars(self) if name not in self._not_saved}
        vars(self).update(copy.deepcopy(own))

    def _check_state(self, state_dict: Mapping[str, Any]) -> None:
        own = [name for name in vars(self) if name not in self._not_saved]
        missing = [name for name in own if name not in state_dict]
        if missing:
            raise ValueError(
                f"load_state_dict: the state does not belong to {type(self).__name__}: it has no "
                f"{', '.join(missing)}"
            )
        check_alike("load_state_dict", {name: vars(self)[name] for name in own}, state_dict)
        steps = state_dict["last_epoch"]
        if type(steps) is not int or not 0 <= steps < 2**53:
            raise ValueError(f"load_state_dict: last_epoch is {steps!r}, not a number of steps")

    def _per_group(
        self, name: str, value: float | Sequence[float], high: float = math.inf
    ) -> list[float]:
        """An option, one number from 0 to `high` or one for each group, as a number for each."""
        count = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, Sequence) else [value] * count
        if len(values) != count:
            raise ValueError(
                f"{type(self).__name__}: {name} has {len(values)} numbers for {count} groups"
            )
        return [as_number(self, name, each, high=high) for each in values]


def check_optimizer(name: str, optimizer: Any) -> None:
    """Raise TypeError, in the name of a schedule, if `optimizer` is not an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: expected an optimizer; got a {type(optimizer).__name__}")
