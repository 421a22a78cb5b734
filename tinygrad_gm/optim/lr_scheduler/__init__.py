"""Schedules: learning rates that change with the number of steps. Names are PyTorch's.

A schedule is stepped after the optimizer: once an epoch, or once a batch, as its numbers are meant.
Most multiply the present rate, so they can be combined and follow a rate that is set by hand. Their
state and the rate, which is in the optimizer's state, are all that a resumed run needs.
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
