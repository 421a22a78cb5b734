"""Labelled images for the classifiers: the data sets by name, their classes, mean and deviation."""

from __future__ import annotations

from typing import NamedTuple

from tinygrad_gm import Generator, Tensor, data

from . import mnist_like

DIGITS = tuple("0123456789")
CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


class Facts(NamedTuple):
    """What a network must know about its images.

    Attributes:
        channels: 1 for grey, 3 for colours.
        size: height and width.
        mean, std: mean and standard deviation of each channel, for values in [0, 1].
        classes: the names of the classes.
    """

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]

    def normalised(self, images: Tensor) -> Tensor:
        """(x − mean) / std of images (N, channels, size, size) with values in [0, 1]."""
        return data.transforms.Normalize(self.mean, self.std)(images)


# The numbers of ImageNet, which published weights are made for.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

SETS = {
    **{name: Facts(1, 28, (0.1307,), (0.3081,), DIGITS) for name in mnist_like.DATASETS},
    "cifar10": Facts(3, 32, IMAGENET_MEAN, IMAGENET_STD, CIFAR10),
}


def load(name: str, images: int | None = None, held_out: int = 0) -> data.Split:
    """Training images and the images to judge a network on, each with values in [0, 1] and labels.

    Args:
        name: a data set of `mnist_like`, or "cifar10".
        images: maximum number of training images; None: all.
        held_out: number of training images that are judged instead of the test images, to choose
            settings.

    The files may be sorted by class, so the training images are shuffled, always in the same way,
    before any are held out or left out.

    Raises:
        ValueError: there is no such data set, or not more than `held_out` training images.
        FileNotFoundError: the files are missing; the message says where to put them.

    >>> train, judged = load("digits", images=500, held_out=200)
    >>> len(train), len(judged), len(load("digits").test)
    (500, 200, 360)
    """
    if name not in SETS:
        raise ValueError(f"the data set must be one of {', '.join(SETS)}, not {name!r}")
    train, test = data.cifar10() if name == "cifar10" else mnist_like.load(name)
    if held_out >= len(train):
        raise ValueError(f"{name} has {len(train):,} training images; {held_out:,} are too many")
    order = Generator(0).permutation(len(train))
    rest = order[held_out:][:images]
    judged = data.TensorDataset(*train.batch(order[:held_out])) if held_out else test
    return data.Split(data.TensorDataset(*train.batch(rest)), judged)
