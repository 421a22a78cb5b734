"""The recipe: training on points in the plane or on handwritten digits, and sampling.

The learning rate rises for a tenth of the steps and then falls to almost 0 (`OneCycleLR`); samples
are drawn with an average of the last weights (`optim.EMA`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option, restored
from tinygrad_gm.training.config import check

from .. import batches, lenet, mnist_like, points2d
from ..classes import CLASSES, labels_for
from ..denoisers import MLPDenoiser
from ..unet import UNet2D
from . import targets
from .guidance import classifier, inpainted
from .model import DiffusionModel
from .process import SCHEDULES
from .samplers import Denoiser

TRAINING_TIME = "about 20 seconds for points, 6 minutes for digits, on one core"


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for points in the plane."""

    dataset: str = option(
        "ring",
        "data set of points in the plane or of handwritten digits",
        choices=points2d.DATASETS + mnist_like.DATASETS,
    )
    timesteps: int = option(100, "T, the number of steps from data to noise", most=100_000)
    schedule: str = option("cosine", "noise schedule", choices=(*SCHEDULES,))
    target: str = option("noise", "prediction of the network", choices=(*targets.TARGETS,))
    loss: str = option("simple", "weights of the loss at the steps", choices=targets.LOSSES)
    conditional: bool = option(False, "condition the network on the class")
    width: int = option(128, "width of the hidden layers, for points")
    channels: int = option(16, "number of channels of the finest level, for digits")
    epochs: int = option(6, "number of passes over the digits, or of 256,000 new points", least=0)
    batch_size: int = option(256, "number of points or images per step")
    learning_rate: float = option(2e-3, "learning rate of Adam at its peak")
    ema: float = option(0.995, "decay rate of the average of the weights", most=1)
    sample_every: int = option(300, "number of steps between sample pictures")
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)

    def __post_init__(self) -> None:
        check(self)
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
    return DiffusionModel(
        network,
        config.timesteps,
        config.schedule,
        target=config.target,
        loss=config.loss,
        classes=classes,
        clip=2.5 if points else 1.0,
    )


def centred(x: Tensor) -> Tensor:
    """Data as the network sees them: points as they are, images in [−1, 1]."""
    if x.ndim == 2:
        points2d.check("diffusion", x)
        return x
    mnist_like.check("diffusion", x)
    return 2 * x - 1


def as_images(x: Tensor) -> Tensor:
    """Images in [−1, 1] → images in [0, 1], clipped."""
    return tg.clip((x + 1) / 2, 0, 1)


def loss(model: DiffusionModel, x: Tensor, labels: Tensor | None = None) -> Tensor:
    """The loss on points (N, 2) or images (N, 1, 28, 28) in [0, 1]; ValueError for other data."""
    return model.train_step(centred(x), labels)


@tg.no_grad()
def evaluate(
    model: DiffusionModel, x: Tensor, labels: Tensor | None = None, *, seed: int = 0
) -> float:
    """The loss on points or images, with steps and noise that depend on the seed only."""
    given = (x,) if labels is None else (x, labels)
    with tg.random.using(Generator(seed)):
        return batches.mean(lambda *part: loss(model, *part), *given)


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
    from ..gallery import diffusion as gallery

    train_set: data.Dataset
    if config.dataset in points2d.DATASETS:
        train_set = points2d.Draws(config.dataset, 256_000)
        with tg.random.using(Generator(config.seed)):
            unseen = train_set.batch(range(2000))
    else:
        train_set, test_set = mnist_like.load(config.dataset)
        unseen = test_set[:2000]
    given = unseen if config.conditional else unseen[:1]
    tg.manual_seed(config.seed)
    model = build(config)
    loader = data.DataLoader(train_set, config.batch_size, shuffle=True, seed=config.seed)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    ema = optim.EMA(model, config.ema, warmup=True)
    average = cast(DiffusionModel, ema.model)
    run.fit(
        model,
        optimizer,
        lambda batch, generator: loss(model, *batch[: len(given)]),
        loader,
        config.epochs,
        schedule=optim.lr_scheduler.OneCycleLR(
            optimizer,
            config.learning_rate,
            total_steps=max(config.epochs * len(loader), 1),
            pct_start=0.1,
            cycle_momentum=False,
        ),
        ema=ema,
        on_epoch=lambda epoch: {"test_loss": evaluate(average, *given)},
        sample=lambda generator: gallery.samples(average, config.dataset, generator),
        sample_every=config.sample_every,
    )
    with run.drawing():
        gallery.write_pictures(average, unseen[0], run.folder)


def restore(folder: str | Path) -> DiffusionModel:
    """Return the trained model of a run, with the averaged weights."""

    def load(model: DiffusionModel, state: dict[str, Any]) -> None:
        model.load_state_dict(state["ema"]["model"])

    return restored(folder, Config, build, load).eval()


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on a few rows, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    if config.dataset in points2d.DATASETS:
        x0, labels = points2d.Draws(config.dataset, 8).batch(range(8))
    else:
        x0, labels = mnist_like.load("mnist_small").train[:2]
    model = build(config)
    x0 = centred(x0).requires_grad_()  # so that its path into the network is drawn
    t = tg.randint(0, config.timesteps, (len(x0),))
    x_t, noise = model.forward_diffusion(x0, t)
    predicted = model.predict(x_t, t, labels if config.conditional else None)
    wanted = targets.target(config.target, x0, noise, *model.alpha_sigma(t, x0))
    total = model.weighted(t, (predicted - wanted) ** 2)
    named = {"x₀": x0, "t": t, "x_t": x_t, "ε": noise, "predicted": predicted, "loss": total}
    return total, {**named, **dict(model.named_parameters())}
