"""The base of the schedules: it counts steps and writes the groups' learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..optimizer import Optimizer


class LRScheduler:
    """Sets the learning rate of every group of an optimizer, at once and after each `step`.

    A subclass sets its own attributes, then calls `super().__init__`, and defines `get_lr`. The
    rate that a group had before its first schedule stays in the group as "initial_lr".

    What a user writes into a group's "lr" in between holds until the next `step`, which computes
    the rate anew from the number of steps. For the same reason two schedules of one optimizer do
    not multiply, as PyTorch's may: the one stepped last counts.

    Args:
        optimizer: whose groups are meant.
        last_epoch: how many steps were done, less one: −1 begins. With more the groups must have
            their "initial_lr", as they have from a loaded state.

    Attributes:
        last_epoch: the number of steps since the start.
        base_lrs: the groups' "initial_lr".

    Raises:
        TypeError: `optimizer` is none.
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
        self.move_to(last_epoch + 1)

    def get_lr(self) -> list[float]:
        """The groups' learning rates after `last_epoch` steps; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__}: define get_lr(self)")

    def get_last_lr(self) -> list[float]:
        """The groups' learning rates as this schedule set them last."""
        return self._last_lr

    def step(self) -> None:
        """Go on by one step; call it after the optimizer's."""
        self.move_to(self.last_epoch + 1)

    def move_to(self, epoch: int) -> None:
        """Set the rates to what they are after `epoch` steps."""
        self.last_epoch = epoch
        self._last_lr = self.get_lr()
        groups = self.optimizer.param_groups
        if len(self._last_lr) != len(groups):
            raise RuntimeError(
                f"{type(self).__name__}: there are {len(self._last_lr)} learning rates for "
                f"{len(groups)} groups; make the schedule after add_param_group"
            )
        for group, lr in zip(groups, self._last_lr, strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs: numbers, strings, and lists of them."""
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in vars(self).items()
            if name not in self._not_saved
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take on a `state_dict`, its options too; the rates are in the optimizer's own state.

        Raises:
            ValueError: something is missing from it. Then nothing was changed.
        """
        own = [name for name in vars(self) if name not in self._not_saved]
        missing = [name for name in own if name not in state_dict]
        if missing:
            raise ValueError(
                f"load_state_dict: the state is none of {type(self).__name__}: there is no "
                f"{', '.join(missing)}"
            )
        vars(self).update({name: state_dict[name] for name in own})

    def _per_group(self, name: str, value: float | Sequence[float]) -> list[float]:
        """An option that may be one number or a number for each group, as the latter."""
        count = len(self.optimizer.param_groups)
        values = list(value) if isinstance(value, Sequence) else [value] * count
        if len(values) != count:
            raise ValueError(
                f"{type(self).__name__}: {name} has {len(values)} numbers for {count} groups"
            )
        return values


def check_optimizer(name: str, optimizer: Any) -> None:
    """Raise TypeError, in the name of a schedule, for what is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: an optimizer was wanted, not a {type(optimizer).__name__}")
