"""Classes of pictures from files, by a network of a run or by weights from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tinygrad_gm as tg
from tinygrad_gm import Tensor, data, nn
from tinygrad_gm.io import PathLike
from tinygrad_gm.training import read_checkpoint
from tinygrad_gm.training.config import config_from

from .parts import image_sets
from .pretrained import load_pretrained

# Size of the shorter side and of the crop with which the published weights were measured.
SIZES = {
    **{f"resnet{depth}": (32, 32) for depth in (20, 32, 44, 56)},
    **{"efficientnet_b1": (256, 240), "efficientnet_b2": (288, 288), "efficientnet_b3": (320, 300)},
    **{"efficientnet_b4": (384, 380), "efficientnet_b5": (456, 456), "efficientnet_b6": (528, 528)},
    "efficientnet_b7": (600, 600),
}
SIZE = 256, 224  # of all others


class Answer(NamedTuple):
    """A class with its probability."""

    label: int
    name: str
    probability: float


@dataclass(frozen=True)
class Classifier:
    """A network with what it expects of a picture.

    Attributes:
        model: network in evaluation mode, images (N, channels, H, W) → logits (N, K).
        channels: 1 for grey, 3 for colours.
        preprocess: resizes, crops and normalises images with values in [0, 1].
        classes: the names of the K classes.
    """

    model: nn.Module
    channels: int
    preprocess: data.transforms.ImageClassification
    classes: Sequence[str]

    def read(self, path: PathLike, *, invert: bool = False) -> Tensor:
        """The picture in a file as the network expects it: (channels, size, size), normalised.

        Args:
            path: path of the picture; see `data.read_image`.
            invert: exchange light and dark, for dark digits on light paper.

        Raises:
            FileNotFoundError, ValueError: the file is not a picture.
        """
        image = data.read_image(path, 1 if self.channels == 1 else 3, invert=invert)
        return self.preprocess(image[None])[0]

    def pixels(self, image: Tensor) -> Tensor:
        """The image before it was normalised, with values in [0, 1]."""
        return self.preprocess.normalize.inverse(image[None])[0]

    @tg.no_grad()
    def likeliest(self, image: Tensor, count: int = 5) -> list[Answer]:
        """The most probable classes of an image, in descending order.

        Args:
            image: (channels, H, W), of `read`.
            count: number of classes.

        Raises:
            ValueError: the network's images must be larger, or its logits are not finite.
        """
        logits = self.model(image[None])[0]
        if not tg.all(tg.isfinite(logits)):
            raise ValueError(
                f"the logits of {type(self.model).__name__} are not finite: its weights or the "
                "statistics of its norms hold NaN, ∞ or very large numbers"
            )
        probabilities = tg.softmax(logits)
        values, labels = tg.topk(probabilities, min(count, len(probabilities)))
        return [
            Answer(label, self.classes[label], probability)
            for label, probability in zip(labels.tolist(), values.tolist(), strict=True)
        ]


def of_run(module: Any, folder: PathLike, classes: Sequence[str] | None = None) -> Classifier:
    """The classifier of a run of a model's module, such as `resnet`.

    Args:
        module: the module, whose Config has `facts`.
        folder: folder of the run.
        classes: names of the classes; None: those of the data set.

    Raises the errors of `restore`, and ValueError for another number of classes.
    """
    model = module.restore(folder).eval()
    config = config_from(module.Config, read_checkpoint(folder)["run"]["config"])
    facts: image_sets.Facts = config.facts
    preprocess = data.transforms.ImageClassification(
        crop_size=facts.size, resize_size=facts.size, mean=facts.mean, std=facts.std
    )
    names = _names(classes or facts.classes, len(facts.classes))
    return Classifier(model, facts.channels, preprocess, names)


def of_weights(
    network: str,
    path: PathLike,
    classes: Sequence[str] | None = None,
    *,
    resize_size: int | None = None,
    crop_size: int | None = None,
    mean: Sequence[float] = image_sets.IMAGENET_MEAN,
    std: Sequence[float] = image_sets.IMAGENET_STD,
) -> Classifier:
    """The classifier of a network with weights from a file.

    Args:
        network, path: as in `load_pretrained`.
        classes: names of the classes; None: numbers, or the names of CIFAR-10 for a network made
            for it.
        resize_size: length of the shorter side; None: that of the published weights, in proportion
            to `crop_size`.
        crop_size: height and width of the central part; None: that of the published weights.
        mean, std: mean and standard deviation of each channel.

    Raises the errors of `load_pretrained`, and ValueError for another number of classes.
    """
    model = load_pretrained(network, path)
    side, part = SIZES.get(network, SIZE)
    if crop_size is None:
        crop_size = part
    if resize_size is None:
        resize_size = crop_size * side // part
    preprocess = data.transforms.ImageClassification(
        crop_size=crop_size,
        resize_size=resize_size,
        mean=mean,
        std=std,
        interpolation="bicubic" if network.startswith("efficientnet") else "bilinear",
    )
    if classes is None:
        known = image_sets.CIFAR10 if part == 32 else ()
        numbers = tuple(f"class {number}" for number in range(model.num_classes))
        classes = known if len(known) == model.num_classes else numbers
    return Classifier(model, model.in_channels, preprocess, _names(classes, model.num_classes))


def read_classes(path: PathLike) -> list[str]:
    """Read the names of classes, one a line. Raises ValueError if the file is not UTF-8 text."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text of names, one a line") from None


def _names(classes: Sequence[str], count: int) -> Sequence[str]:
    if len(classes) != count:
        raise ValueError(f"there are {len(classes)} names of classes; the network has {count}")
    return classes
