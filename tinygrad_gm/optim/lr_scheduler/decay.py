"""Schedules that multiply the rate by a factor, and Noam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from ...options import as_integer, as_number
from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_optimizer


class StepLR(LRScheduler):
    """Multiply the rate by γ every `step_size` steps: lr₀ · γ^⌊t / step_size⌋.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        step_size: number of steps, ≥ 1.
        gamma: the factor γ.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = as_integer(self, "step_size", step_size)
        self.gamma = as_number(self, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._rates(self.gamma if due else 1)


class MultiStepLR(LRScheduler):
    """Multiply the rate by γ at each milestone: lr₀ · γ^(number of milestones ≤ t).

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        milestones: numbers of steps, in any order; one given twice counts twice.
        gamma: the factor γ.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> rates = []
    >>> for _ in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        steps = [as_integer(self, "a milestone", step, low=0) for step in milestones]
        self.milestones, self.gamma = sorted(steps), as_number(self, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._rates(self.gamma ** self.milestones.count(self.last_epoch))


class ExponentialLR(LRScheduler):
    """Multiply the rate by γ in every step: lr₀ · γᵗ.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        gamma: the factor γ.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = as_number(self, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        """The current rates."""
        return self._rates()

    def get_lr(self) -> list[float]:
        return self._rates(self.gamma)


class ConstantLR(LRScheduler):
    """Multiply the rate by `factor` for the first `total_iters` steps, and then divide it again.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        factor: in [0, 1]; after a factor of 0 the rate becomes the initial one.
        total_iters: number of steps.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ConstantLR(optimizer, factor=0.25, total_iters=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.25, 0.25, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor = as_number(self, "factor", factor, high=1)
        self.total_iters = as_integer(self, "total_iters", total_iters, low=0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._rates(self.factor)
        if self.last_epoch != self.total_iters:
            return self._rates()
        return self._rates(1 / self.factor) if self.factor else list(self.base_lrs)


class LinearLR(LRScheduler):
    """Multiply the rate by a factor that goes from one number to another in a straight line.

    Each step multiplies the current rate by the quotient of this step's factor and the last one's.

    The usual warm-up: from `start_factor` to 1 in `total_iters` steps, and 1 afterwards.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        start_factor: the factor at first, in (0, 1].
        end_factor: the factor from step `total_iters` on, in [0, 1].
        total_iters: number of steps, ≥ 1.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = as_number(self, "start_factor", start_factor, high=1, without="low")
        self.end_factor = as_number(self, "end_factor", end_factor, high=1)
        self.total_iters = as_integer(self, "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        """The current rates, at the very start times `start_factor`."""
        return self._rates(self.start_factor if self.last_epoch == 0 else 1)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_iters:
            return self._rates()
        rise = self.end_factor - self.start_factor  # of total_iters times the factor, in each step
        last = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return self._rates(1 + rise / last)


class LambdaLR(LRScheduler):
    """Multiply the initial rate by a function of the number of steps: lr₀ · f(t).

    The functions are not part of the `state_dict`.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        lr_lambda: f, or a list of one for each group.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    _not_saved: ClassVar[tuple[str, ...]] = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("LambdaLR", optimizer)
        count = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, Sequence) else [lr_lambda] * count
        self.lr_lambdas: list[Callable[[int], float]] = given
        if len(self.lr_lambdas) != count:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {count} groups")
        if not all(map(callable, self.lr_lambdas)):
            raise TypeError("LambdaLR: lr_lambda must be a function, or a list of functions")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class NoamLR(LRScheduler):
    """Warm up linearly, then fall as 1/√t: the Transformer's schedule (Vaswani et al. 2017, §5.3).

        lr = factor · d_model^−½ · min(t^−½, t · warmup_steps^−3/2)

    where t = 1 for the optimizer's first step. The rate is largest at t = `warmup_steps`. It
    replaces the groups' own rates. The paper has d_model = 512 and 4000
    steps of warm-up, with Adam of betas (0.9, 0.98) and eps 1e-9.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        d_model: the width of the model.
        warmup_steps: number of steps, ≥ 1.
        factor: factor of the rate.

    >>> optimizer = optim.Adam([tg.ones(1, requires_grad=True)], betas=(0.9, 0.98), eps=1e-9)
    >>> schedule = optim.lr_scheduler.NoamLR(optimizer, d_model=64, warmup_steps=4)
    >>> rates = []
    >>> for _ in range(6):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> [round(lr, 4) for lr in rates]
    [0.0156, 0.0312, 0.0469, 0.0625, 0.0559, 0.051]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        d_model: int,
        warmup_steps: int,
        factor: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.d_model = as_integer(self, "d_model", d_model)
        self.warmup_steps = as_integer(self, "warmup_steps", warmup_steps)
        self.factor = as_number(self, "factor", factor)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t = self.last_epoch + 1
        lr = self.factor * self.d_model**-0.5 * min(t**-0.5, t * self.warmup_steps**-1.5)
        return [lr] * len(self.base_lrs)
