"""One cycle: the rate rises to a peak and falls to nearly 0; the momentum does the opposite."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import cos, pi
from typing import Any

from ...options import as_flag, as_integer, as_number
from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_optimizer


class OneCycleLR(LRScheduler):
    """The 1cycle policy (Smith & Topin 2018), for one step after every batch.

    The rate goes from max_lr / div_factor up to `max_lr` in the first `pct_start` of the steps, and
    in the rest down to the initial rate / final_div_factor. With `three_phase`, as in the paper, it
    goes down to the initial rate as slowly as it rose, then to the lowest one. The momentum, or β₁,
    is at `max_momentum` where the rate is low and at `base_momentum` where it is highest.

    The groups' own rates are ignored. Each group stores its "initial_lr", "max_lr", "min_lr",
    "max_momentum" and "base_momentum".

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        max_lr: the highest rate, or a list of one for each group.
        total_steps: number of steps; None: epochs · steps_per_epoch.
        epochs, steps_per_epoch: see `total_steps`.
        pct_start: the part of the steps in which the rate rises, in [0, 1].
        anneal_strategy: "cos" or "linear", the form of each phase.
        cycle_momentum: cycle the momentum too.
        base_momentum, max_momentum: the lowest and the highest, or lists.
        div_factor: the highest rate over the initial one.
        final_div_factor: the initial rate over the lowest one.
        three_phase: see above.

    Raises:
        ValueError: an option is out of range, or the optimizer has no momentum; from `step`, when
            there were `total_steps` steps already.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)])
    >>> schedule = optim.lr_scheduler.OneCycleLR(
    ...     optimizer, max_lr=1.0, total_steps=6, pct_start=0.5, anneal_strategy="linear"
    ... )
    >>> group, rates, momenta = optimizer.param_groups[0], [], []
    >>> for _ in range(6):
    ...     rates.append(round(group["lr"], 2))
    ...     momenta.append(round(group["momentum"], 2))
    ...     schedule.step()
    >>> rates
    [0.04, 0.52, 1.0, 0.67, 0.33, 0.0]
    >>> momenta
    [0.95, 0.9, 0.85, 0.88, 0.92, 0.95]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            per_epoch = as_integer(self, "steps_per_epoch", steps_per_epoch)
            total_steps = as_integer(self, "epochs", epochs) * per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'OneCycleLR: anneal_strategy is {anneal_strategy!r}; expected "cos" or "linear"'
            )
        self.total_steps = as_integer(self, "total_steps", total_steps)
        self.pct_start = as_number(self, "pct_start", pct_start, high=1)
        self.anneal_strategy, self.optimizer = anneal_strategy, optimizer
        self.three_phase = as_flag(self, "three_phase", three_phase)
        self.cycle_momentum = as_flag(self, "cycle_momentum", cycle_momentum)
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            name = type(optimizer).__name__
            raise ValueError(f"OneCycleLR: {name} has no momentum; set cycle_momentum=False")
        of_first = as_number(self, "div_factor", div_factor, without="low")
        of_last = as_number(self, "final_div_factor", final_div_factor, without="low")
        if last_epoch == -1:
            groups = optimizer.param_groups
            for group, highest in zip(groups, self._per_group("max_lr", max_lr), strict=True):
                first = highest / of_first
                group.update(initial_lr=first, max_lr=highest, min_lr=first / of_last)
            momenta = {"max_momentum": max_momentum, "base_momentum": base_momentum}
            for name, value in momenta.items() if cycle_momentum else ():
                values = self._per_group(name, value, high=1)
                for group, momentum in zip(groups, values, strict=True):
                    group[name] = momentum
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the groups' learning rates, and set their momentum."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {self.last_epoch} is after the last of {self.total_steps} steps"
            )
        phase, part = self._place()
        if self.cycle_momentum:
            low, high = "base_momentum", "max_momentum"
            names = (high, low, high, high) if self.three_phase else (high, low, high)
            for group in self.optimizer.param_groups:
                _set_momentum(group, self._between(group, names[phase : phase + 2], part))
        last = ("initial_lr", "min_lr") if self.three_phase else ("min_lr",)
        names = ("initial_lr", "max_lr", *last)
        groups = self.optimizer.param_groups
        return [self._between(group, names[phase : phase + 2], part) for group in groups]

    def _place(self) -> tuple[int, float]:
        """The number of the phase, and the fraction of it that is done."""
        rise, last = self.pct_start * self.total_steps, self.total_steps - 1
        ends = [0, rise - 1, 2 * rise - 2, last] if self.three_phase else [0, rise - 1, last]
        phases = list(pairwise(ends))
        unfinished = (number for number, (_, end) in enumerate(phases) if self.last_epoch <= end)
        phase = next(unfinished, len(phases) - 1)
        start, end = phases[phase]
        return phase, (self.last_epoch - start) / (end - start) if end != start else 1.0

    def _between(self, group: dict[str, Any], names: Sequence[str], part: float) -> float:
        """Interpolate between two of a group's entries, at a fraction of the phase."""
        start, end = (group[name] for name in names)
        share = (1 + cos(pi * part)) / 2 if self.anneal_strategy == "cos" else 1 - part
        between: float = end + (start - end) * share
        return between


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
