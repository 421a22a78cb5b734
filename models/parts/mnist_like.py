"""Handwritten digits for the models: data sets by name, and checks of images."""

from __future__ import annotations

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data

DATASETS = ("mnist_small", "mnist", "digits")


def load(name: str, images: int | None = None) -> data.Split:
    """Handwritten digits as images (N, 1, 28, 28) in [0, 1], with their labels.

    Args:
        name: "mnist_small", 9,000 training and 1,000 test images; "mnist", 60,000 and 10,000;
            "digits", 1,437 and 360 of 8 × 8 pixels, enlarged threefold and padded.
        images: maximum number of training images; None: all.

    Raises ValueError for another name.

    >>> load("digits").test.tensors[0].shape
    (360, 1, 28, 28)
    """
    if name not in DATASETS:
        raise ValueError(f"the data set must be one of {', '.join(DATASETS)}, not {name!r}")
    split: data.Split = getattr(data, name)()
    if name == "digits":
        split = data.Split(*(_enlarged(part) for part in split))
    return data.Split(data.TensorDataset(*split.train[:images]), split.test)


def check(model: str, images: Tensor, size: int = 28) -> None:
    """Raise ValueError, naming the `model`, unless the argument is a batch of grey images
    (N, 1, size, size) with values in [0, 1].

    >>> check("vae", tg.full((2, 1, 28, 28), 255.0))
    Traceback (most recent call last):
        ...
    ValueError: vae: expected pixels in [0, 1]; these lie in [255, 255]; divide bytes by 255
    """
    if images.ndim != 4 or images.shape[1:] != (1, size, size):
        wanted = f"(N, 1, {size}, {size})"
        raise ValueError(f"{model}: expected images of shape {wanted}; got {images.shape}")
    if not len(images):
        raise ValueError(f"{model}: expected at least one image; got none")
    low, high = images.data.min(), images.data.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{model}: expected pixels in [0, 1]; these lie in [{low:g}, {high:g}]; divide bytes "
            "by 255"
        )


def binarise(model: str, images: Tensor, generator: Generator) -> Tensor:
    """Grey images (N, 1, 28, 28) → black and white: grey is the probability of a 1.

    Raises ValueError as `check` does.

    >>> binarise("made", tg.ones((1, 1, 28, 28)), tg.Generator(0)).min().item()
    1.0
    """
    check(model, images)
    return tg.bernoulli(images, generator=generator)


def framed(images: Tensor) -> Tensor:
    """Images (N, 1, 28, 28) padded with two black pixels on each side: (N, 1, 32, 32)."""
    return F.pad(images, (2, 2, 2, 2))


def cropped(images: Tensor) -> Tensor:
    """Images (N, 1, 32, 32) without two pixels on each side: (N, 1, 28, 28)."""
    return images[:, :, 2:-2, 2:-2]


def _enlarged(part: data.TensorDataset) -> data.TensorDataset:
    images, labels = part.tensors
    return data.TensorDataset(framed(F.interpolate(images, scale_factor=3, mode="nearest")), labels)
