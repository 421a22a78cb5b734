"""Schedules: learning rates that change with the number of steps. Names are PyTorch's.

A schedule is stepped after the optimizer: once per epoch or per batch, depending on its unit.
Most multiply the current rate, so they can be combined and follow a rate that is set by hand. Their
state and the rate, which is in the optimizer's state, suffice to resume a run.
"""

from .composite import ChainedScheduler, SequentialLR
from .cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from .decay import ConstantLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, NoamLR, StepLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "NoamLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
