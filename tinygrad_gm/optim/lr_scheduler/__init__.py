"""Schedules: learning rates that change with the number of steps. Names are PyTorch's.

Nearly all are a formula in the number of steps alone, so a resumed run has the rates that it would
have had. A schedule is stepped after the optimizer: once an epoch, or once a batch, as its numbers
are meant.
"""

from .cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from .decay import ConstantLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, NoamLR, StepLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler
from .sequential import SequentialLR

__all__ = [
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
