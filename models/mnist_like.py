"""What models of handwritten digits share: data sets by name, refusals of wrong images, sheets."""

from __future__ import annotations

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, data

DATASETS = ("mnist_small", "mnist", "digits")


def load(name: str) -> data.Split:
    """Handwritten digits as images (N, 1, 28, 28) in [0, 1], with their labels.

    Args:
        name: "mnist_small", 9,000 images to train on and 1,000 to test; "mnist", 60,000 and 10,000;
            "digits", 1,437 and 360, which are 8 × 8, enlarged threefold and framed.

    Raises ValueError for another name.

    >>> load("digits").test.tensors[0].shape
    (360, 1, 28, 28)
    """
    if name == "mnist_small":
        return data.mnist_small()
    if name == "mnist":
        return data.mnist()
    if name == "digits":
        return data.Split(*(_enlarged(part) for part in data.digits()))
    raise ValueError(f"the data set is {', '.join(DATASETS)}, not {name!r}")


def check(model: str, images: Tensor, size: int = 28) -> None:
    """Raise unless the argument is a batch of grey images (N, 1, size, size) with values in [0, 1].

    Raises ValueError, in the name of the `model`.

    >>> check("vae", tg.full((2, 1, 28, 28), 255.0))
    Traceback (most recent call last):
        ...
    ValueError: vae: expected pixels in [0, 1]; these lie in [255, 255]; divide bytes by 255
    """
    if images.ndim != 4 or images.shape[1:] != (1, size, size):
        wanted = f"(N, 1, {size}, {size})"
        raise ValueError(f"{model}: expected images of shape {wanted}; got {images.shape}")
    if not len(images):
        raise ValueError(f"{model}: the batch holds no image")
    low, high = images.data.min(), images.data.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{model}: expected pixels in [0, 1]; these lie in [{low:g}, {high:g}]; divide bytes "
            "by 255"
        )


def framed(images: Tensor) -> Tensor:
    """Images (N, 1, 28, 28) with a margin of two black pixels: (N, 1, 32, 32)."""
    return F.pad(images, (2, 2, 2, 2))


def cropped(images: Tensor) -> Tensor:
    """Images (N, 1, 32, 32) without their margin: (N, 1, 28, 28)."""
    return images[:, :, 2:-2, 2:-2]


def thousands(x: Tensor) -> list[Tensor]:
    """The rows of x in parts of a thousand, for which the memory of a forward pass is small.

    >>> [len(part) for part in thousands(tg.zeros((2500, 1)))]
    [1000, 1000, 500]
    """
    return list(tg.split(x, range(1000, len(x), 1000)))


def pairs(above: Tensor, below: Tensor, columns: int = 10) -> Tensor:
    """Two sets of N images as one, for a sheet: a row of the first, under it its partners, …

    N must be a multiple of `columns`.

    >>> pairs(tg.zeros((20, 1, 28, 28)), tg.ones((20, 1, 28, 28)))[::10, 0, 0, 0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    rows = (-1, columns, *above.shape[1:])
    return tg.stack([above.reshape(rows), below.reshape(rows)], axis=1).reshape(
        -1, *above.shape[1:]
    )


def _enlarged(part: data.TensorDataset) -> data.TensorDataset:
    images, labels = part.tensors
    return data.TensorDataset(framed(F.interpolate(images, scale_factor=3, mode="nearest")), labels)
