"""Schedules that multiply the rate by a factor, and Noam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_optimizer


class StepLR(LRScheduler):
    """Multiply the rate by γ every `step_size` steps: lr₀ · γ^⌊t / step_size⌋.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        step_size: a number of steps, from 1.
        gamma: γ.

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
        if step_size < 1:
            raise ValueError(f"StepLR: step_size is {step_size}; it must be ≥ 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._rates(self.gamma if due else 1)


class MultiStepLR(LRScheduler):
    """Multiply the rate by γ at each milestone: lr₀ · γ^(number of milestones ≤ t).

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        milestones: numbers of steps, in any order; one given twice counts twice.
        gamma: γ.

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
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        return self._rates(self.gamma ** self.milestones.count(self.last_epoch))


class ExponentialLR(LRScheduler):
    """Multiply the rate by γ in every step: lr₀ · γᵗ.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        gamma: γ.

    >>> optimizer = optim.SGD([tg.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        """The present rates."""
        return self._rates()

    def get_lr(self) -> list[float]:
        """See the class."""
        return self._rates(self.gamma)


class ConstantLR(LRScheduler):
    """Multiply the rate by `factor` for the first `total_iters` steps, and then divide it again.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        factor: in [0, 1]; after a factor of 0 the rate becomes the initial one.
        total_iters: a number of steps.

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
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor is {factor}; it must be in [0, 1]")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        if self.last_epoch == 0:
            return self._rates(self.factor)
        if self.last_epoch != self.total_iters:
            return self._rates()
        return self._rates(1 / self.factor) if self.factor else list(self.base_lrs)


class LinearLR(LRScheduler):
    """Multiply the rate by a factor that goes from one number to another in a straight line.

    Each step multiplies the present rate by the quotient of this step's factor and the last one's.

    The usual warm-up: from `start_factor` to 1 in `total_iters` steps, and 1 afterwards.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        start_factor: the factor at first, in (0, 1].
        end_factor: the factor from step `total_iters` on, in [0, 1].
        total_iters: a number of steps, from 1.

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
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor is {start_factor}; it must be in (0, 1]")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor is {end_factor}; it must be in [0, 1]")
        if total_iters < 1:
            raise ValueError(f"LinearLR: total_iters is {total_iters}; it must be ≥ 1")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        """The present rates, at the very start times `start_factor`."""
        return self._rates(self.start_factor if self.last_epoch == 0 else 1)

    def get_lr(self) -> list[float]:
        """See the class."""
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
        self.lr_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {count} groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * function(self.last_epoch) for base, function in pairs]


class NoamLR(LRScheduler):
    """Warm up linearly, then fall as 1/√t: the Transformer's schedule (Vaswani et al. 2017, §5.3).

        lr = factor · d_model^−½ · min(t^−½, t · warmup_steps^−3/2)

    where t = 1 for the optimizer's first step. The rate is largest at t = `warmup_steps`. It
    replaces the groups' own rates, which do not matter. The paper has d_model = 512 and 4000
    steps of warm-up, with Adam of betas (0.9, 0.98) and eps 1e-9.

    Args:
        optimizer, last_epoch: as in `LRScheduler`.
        d_model: the width of the model.
        warmup_steps: a number of steps, from 1.
        factor: of the rate.

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
        for name, value in (("d_model", d_model), ("warmup_steps", warmup_steps)):
            if value < 1:
                raise ValueError(f"NoamLR: {name} is {value}; it must be ≥ 1")
        self.d_model, self.warmup_steps, self.factor = d_model, warmup_steps, factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        t = self.last_epoch + 1
        lr = self.factor * self.d_model**-0.5 * min(t**-0.5, t * self.warmup_steps**-1.5)
        return [lr] * len(self.base_lrs)
