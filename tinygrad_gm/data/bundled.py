"""The data sets bundled with the package: small, real, available offline. Their README has sources
and licences.
"""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from ..tensor import tensor
from .dataset import TensorDataset


class Split(NamedTuple):
    """A data set in two parts: training and test data."""

    train: TensorDataset
    test: TensorDataset


def digits() -> Split:
    """1,797 handwritten digits of 8 × 8 pixels (UCI; Alpaydin & Kaynak 1998).

    Returns:
        `train` (1,437) and `test` (360, a fixed random selection): pairs of images, float32 in [0,
        1] of shape (N, 1, 8, 8), and labels 0 … 9, int64 of shape (N,).

    >>> train, test = tg.data.digits()
    >>> image, label = train[0]
    >>> len(train), len(test), image.shape, label.dtype
    (1437, 360, (1, 8, 8), dtype('int64'))
    """
    return _read("digits", largest=16, train=1437)


def mnist_small() -> Split:
    """The first 10,000 images of MNIST's training part, 28 × 28 pixels (LeCun, Cortes, Burges).

    Returns:
        `train` (9,000) and `test` (1,000), in MNIST's order: pairs of images, float32 in [0, 1] of
        shape (N, 1, 28, 28), and labels 0 … 9, int64 of shape (N,).

    >>> train, test = tg.data.mnist_small()
    >>> images, labels = train.tensors
    >>> images.shape, labels[:5].tolist()
    ((9000, 1, 28, 28), [5, 0, 4, 1, 9])
    """
    return _read("mnist_small", largest=255, train=9000)


def shakespeare_small() -> str:
    """The first 199,995 characters of `shakespeare`, up to the end of a line; 62 different ones.

    >>> text = tg.data.shakespeare_small()
    >>> text[:14], len(text)
    ('First Citizen:', 199995)
    """
    packed = files(__package__).joinpath("shakespeare_small.txt.gz").read_bytes()
    return gzip.decompress(packed).decode("ascii")


def _read(name: str, largest: int, train: int) -> Split:
    with files(__package__).joinpath(f"{name}.npz").open("rb") as file, np.load(file) as arrays:
        pixels, labels = arrays["images"], arrays["labels"]
    images = pixels[:, None].astype(np.float32) / np.float32(largest)

    def part(rows: slice) -> TensorDataset:
        return TensorDataset(tensor(images[rows]), tensor(labels[rows], np.int64))

    return Split(part(slice(train)), part(slice(train, None)))
