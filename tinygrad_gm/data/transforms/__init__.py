"""Transforms of a batch of images: random changes, drawn independently for each image, and sizes.

Names, arguments and their meaning are torchvision's. A transform is called with images (N, C, H, W)
and returns new ones of the same dtype; no gradient flows through it. Random numbers come from the
default generator, or from the `generator` of the call. `data.Transformed` applies a transform to a
data set, and in a loader the default generator is that of the batch: a batch depends on (seed,
epoch, batch number) alone.
"""

from .base import Compose, Transform
from .changes import (
    ColorJitter,
    Normalize,
    RandomAffine,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
)
from .sizes import CenterCrop, ImageClassification, RandomCrop, RandomResizedCrop, Resize

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ImageClassification",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "Transform",
]
