"""The recipe for points in the plane and for handwritten digits, and sampling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data, nn
from tinygrad_gm.training import Run, option, restored

from .. import lenet
from ..parts import mnist_like, points2d
from ..parts.classes import CLASSES, labels_for
from ..unet import UNet2D
from .denoisers import MLPDenoiser
from .guidance import classifier, inpainted
from .model import DiffusionModel
from .samplers import Denoiser
from .training import Recipe, as_images, centred, fit, graph, load_averaged

TRAINING_TIME = "about 20 seconds for points, half an hour for digits, on one core"


@dataclass(frozen=True)
class Config(Recipe):
    """The recipe; the defaults are for points in the plane."""

    conditional: bool = option(False, "condition the network on the class")
    width: int = option(128, "width of the hidden layers, for points")
    channels: int = option(16, "number of channels of the finest level, for digits")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conditional and self.dataset not in CLASSES:
            raise ValueError(f"diffusion: the data set {self.dataset} has no classes")


def build(config: Config) -> DiffusionModel:
    """The untrained model of a config."""
    points = config.dataset in points2d.DATASETS
    classes = CLASSES[config.dataset] if config.conditional else 0
    network: nn.Module
    if points:
        network = MLPDenoiser(width=config.width, classes=classes)
    else:
        network = UNet2D(
            1,
            1,
            channels=config.channels,
            multipliers=(1, 2, 4),
            blocks=1,
            attention=(2,),
            num_classes=classes or None,
        )
    return config.model_of(network, classes, clip=2.5 if points else 1.0)


def sample(
    model: DiffusionModel,
    count: int,
    generator: Generator,
    *,
    label: int | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    eta: float = 0.0,
    guidance: float = 0.0,
) -> Tensor:
    """New points (count, 2), or images (count, 1, 28, 28) in [0, 1].

    Args:
        model: the model.
        count: number of samples.
        generator: random generator.
        label: the class, of a conditional model; None: all classes in turn.
        sampler: one of `SAMPLERS`; None: DDIM if there are `steps`, else ancestral sampling.
        steps: number of steps; None: T.
        eta: η of DDIM.
        guidance: weight of classifier-free guidance.

    Raises ValueError, in one line, for what the model does not have.
    """
    labels = asked(model, count, label)
    points = isinstance(model.model, MLPDenoiser)
    x = model.sample(
        (count, 2) if points else (count, 1, 28, 28),
        sampler=sampler or ("ancestral" if steps is None else "ddim"),
        steps=steps,
        eta=eta,
        labels=labels,
        guidance=guidance,
        generator=generator,
    )
    return x if points else as_images(x)


def asked(model: DiffusionModel, count: int, label: int | None = None) -> Tensor | None:
    """The classes (count,) of samples: all `label`, or None: all classes in turn. None, of an
    unconditional model.

    Raises ValueError for a class that the model does not have.
    """
    if label is None and not model.classes:
        return None
    return labels_for(label, count, model.classes)


def guided_by_lenet(model: DiffusionModel, labels: Tensor, weight: float) -> Denoiser:
    """The denoiser of a model of digits, guided to the classes (N,) by the package's LeNet-5.

    `model.sample(shape, denoise=guided_by_lenet(model, labels, 1.0))` draws digits of these classes
    from an unconditional model.
    """
    judge = lenet.pretrained()

    def log_likelihood(x0: Tensor) -> Tensor:
        log_p = tg.log_softmax(judge((x0 + 1) / 2), axis=1)
        return tg.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]

    return classifier(model, model.denoiser(), log_likelihood, weight)


def inpaint(
    model: DiffusionModel,
    x: Tensor,
    mask: Tensor,
    generator: Generator,
    *,
    labels: Tensor | None = None,
    guidance: float = 0.0,
    **options: Any,
) -> Tensor:
    """Points or images (N, …) with new values where `mask`, which broadcasts to them, is false.

    The values where it is true are kept exactly. Other arguments are as for `DiffusionModel.walk`;
    more `repeats` let the new values fit the known ones better.
    """
    known = centred(x)
    denoise = inpainted(model.denoiser(labels, guidance), known, mask)
    found = model.sample(known.shape, denoise=denoise, generator=generator, **options)
    return tg.where(mask, x, found if x.ndim == 2 else as_images(found))


def train(config: Config, run: Run) -> None:
    """Train on points or digits, and draw noising, denoising and samples."""
    train_set: data.Dataset
    if config.dataset in points2d.DATASETS:
        train_set = points2d.Draws(config.dataset, 256_000)
        with tg.random.using(Generator(config.seed)):
            unseen = train_set.batch(range(2000))
    else:
        train_set, test_set = mnist_like.load(config.dataset)
        unseen = test_set[:2000]
    tg.manual_seed(config.seed)
    fit(build(config), config, run, train_set, unseen)


def restore(folder: str | Path) -> DiffusionModel:
    """Return the trained model of a run, with the averaged weights."""
    return restored(folder, Config, build, load_averaged).eval()


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on a few rows, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    if config.dataset in points2d.DATASETS:
        x, labels = points2d.Draws(config.dataset, 8).batch(range(8))
    else:
        x, labels = mnist_like.load("mnist_small").train[:2]
    return graph(build(config), x, labels if config.conditional else None)
