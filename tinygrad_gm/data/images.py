"""The full MNIST and CIFAR-10, read from their original files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..tensor import asarray
from .bundled import Split
from .dataset import TensorDataset
from .files import RemoteFile, fetch, find
from .formats import read_cifar, read_idx, read_npz

_MNIST = [
    RemoteFile(
        f"{name}.gz",
        sha256,
        (
            f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz",
            f"https://storage.googleapis.com/cvdf-datasets/mnist/{name}.gz",
        ),
    )
    for name, sha256 in {
        "train-images-idx3-ubyte": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    }.items()
]
_CIFAR10 = RemoteFile(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
    ),
)


def mnist() -> Split:
    """MNIST: 70,000 handwritten digits of 28 × 28 pixels (LeCun, Cortes, Burges 1998).

    Read from the four IDX files (`train-images-idx3-ubyte.gz` …, compressed or not), or from
    `mnist_full.npz` (`x_train`, `y_train`, `x_test`, `y_test`; images as rows of 784 bytes); the
    IDX files are downloaded if neither exists. `mnist_small` needs no file.

    Returns:
        `train` (60,000) and `test` (10,000), in the original order: pairs of images, float32 in
        [0, 1] of shape (N, 1, 28, 28), and labels 0 … 9, int64 of shape (N,).

    Raises:
        FileNotFoundError: the files are missing and cannot be downloaded.
        ValueError: a file is damaged.

    >>> train, test = tg.data.mnist()                                      # doctest: +SKIP
    >>> len(train), len(test)                                              # doctest: +SKIP
    (60000, 10000)
    """
    first = find(_plain(_MNIST[0]), _MNIST[0].name, "mnist_full.npz")
    if first is not None and first.suffix == ".npz":
        return _split(str(first), _read_npz(first, (784,)), (1, 28, 28))
    paths = [fetch(file, _plain(file)) for file in _MNIST]
    return _split(f"MNIST in {paths[0].parent}", list(map(read_idx, paths)), (1, 28, 28))


def mnist_at_hand() -> Split | None:
    """Return `mnist()` if its files are there; None if they would have to be downloaded."""
    there = find("mnist_full.npz") or all(find(_plain(file), file.name) for file in _MNIST)
    return mnist() if there else None


def cifar10() -> Split:
    """CIFAR-10: 60,000 colour photographs of 32 × 32 pixels in ten classes (Krizhevsky 2009).

    Read from `cifar-10-binary.tar.gz` or the six `.bin` files in it (also in their folder
    `cifar-10-batches-bin`), or else from `cifar10_sub.npz`, a part of it (`x_train`, `y_train`,
    `x_test`, `y_test`; images as (N, 32, 32, 3) bytes); the archive (162 MB) is downloaded if none
    of them exists. The classes are airplane, automobile, bird, cat, deer, dog, frog, horse, ship
    and truck.

    Returns:
        `train` (50,000; of the part 5,000) and `test` (10,000; of the part 2,000): pairs of images,
        float32 in [0, 1] of shape (N, 3, 32, 32), and labels 0 … 9, int64 of shape (N,).

    Raises:
        FileNotFoundError: the files are missing and cannot be downloaded.
        ValueError: a file is damaged.

    >>> train, test = tg.data.cifar10()                                    # doctest: +SKIP
    >>> train.tensors[0].shape                                             # doctest: +SKIP
    (50000, 3, 32, 32)
    """
    folder = "cifar-10-batches-bin"
    path = find(
        f"{folder}/data_batch_1.bin", "data_batch_1.bin", _CIFAR10.name, "cifar10_sub.npz"
    ) or fetch(_CIFAR10)
    if path.suffix == ".npz":
        arrays = _read_npz(path, (32, 32, 3))
        arrays[::2] = (pixels.transpose(0, 3, 1, 2) for pixels in arrays[::2])
    else:
        arrays = list(read_cifar(path))
    return _split(str(path), arrays, (3, 32, 32))


def _read_npz(path: Path, shape: tuple[int, ...]) -> list[Any]:
    """Training images and labels, and test images and labels, of an `.npz` file."""
    images, labels = (None, *shape), (None,)
    return read_npz(
        path, {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    )


def _split(name: str, arrays: list[Any], shape: tuple[int, int, int]) -> Split:
    x_train, y_train, x_test, y_test = arrays
    return Split(_pairs(name, x_train, y_train, shape), _pairs(name, x_test, y_test, shape))


def _pairs(name: str, pixels: Any, labels: Any, shape: tuple[int, int, int]) -> TensorDataset:
    fits = pixels.ndim > 1 and pixels[:1].size == np.prod(shape) and pixels.dtype == np.uint8
    least, most = labels.min(initial=0), labels.max(initial=0)
    fits = fits and labels.shape == pixels.shape[:1] and labels.dtype.kind in "iu"
    if not fits or not 0 <= least <= most <= 9:
        raise ValueError(
            f"{name} is damaged: images of shape {pixels.shape} ({pixels.dtype}) with labels of "
            f"shape {labels.shape} ({labels.dtype}), {least} … {most}; expected N images "
            f"{shape} of bytes and N integer labels 0 … 9"
        )
    images = np.divide(pixels, np.float32(255), dtype=np.float32, order="C")
    return TensorDataset(asarray(images.reshape(-1, *shape)), asarray(labels.astype(np.int64)))


def _plain(file: RemoteFile) -> str:
    """The name of a file that is not compressed."""
    return file.name.removesuffix(".gz")
