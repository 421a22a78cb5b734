"""What the recipes of diffusion models share: the training of a network, its loss and its graph.

The learning rate rises for a tenth of the steps and then falls to almost 0 (`OneCycleLR`); samples
are drawn with an average of the last weights (`optim.EMA`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run, option
from tinygrad_gm.training.config import check

from ..parts import batches, mnist_like, points2d
from . import targets
from .model import DiffusionModel
from .process import SCHEDULES


@dataclass(frozen=True)
class Recipe:
    """The flags of every diffusion model; the defaults are for points in the plane."""

    dataset: str = option(
        "ring",
        "data set of points in the plane or of handwritten digits",
        choices=points2d.DATASETS + mnist_like.DATASETS,
    )
    timesteps: int = option(100, "T, the number of steps from data to noise", most=100_000)
    schedule: str = option("cosine", "noise schedule", choices=(*SCHEDULES,))
    target: str = option("noise", "prediction of the network", choices=(*targets.TARGETS,))
    loss: str = option("simple", "weights of the loss at the steps", choices=targets.LOSSES)
    epochs: int = option(6, "number of passes over the digits, or of 256,000 new points", least=0)
    batch_size: int = option(256, "number of points or images per step")
    learning_rate: float = option(2e-3, "learning rate of Adam at its peak")
    ema: float = option(0.995, "decay rate of the average of the weights", most=1)
    sample_every: int = option(300, "number of steps between sample pictures")
    seed: int = option(0, "seed of the weights, the batches and the noise", least=0)

    def __post_init__(self) -> None:
        check(self)

    def model_of(self, network: nn.Module, classes: int, clip: float) -> DiffusionModel:
        """The model that a network is part of; its predictions of x_0 are clipped to ±`clip`."""
        return DiffusionModel(
            network,
            self.timesteps,
            self.schedule,
            target=self.target,
            loss=self.loss,
            classes=classes,
            clip=clip,
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


def fit(
    model: DiffusionModel,
    config: Recipe,
    run: Run,
    train_set: data.Dataset,
    unseen: Sequence[Tensor],
) -> None:
    """Train a model, and draw noising, denoising and samples.

    Args:
        model: the model, with the weights it starts with.
        config: the recipe.
        run: the run.
        train_set: points or images, with their classes if the model has classes.
        unseen: the same, to evaluate on.
    """
    from ..gallery import diffusion as gallery

    given = unseen if model.classes else unseen[:1]
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


def load_averaged(model: DiffusionModel, state: dict[str, Any]) -> None:
    """Load the averaged weights of the checkpoint of a run."""
    model.load_state_dict(state["ema"]["model"])


def graph(
    model: DiffusionModel, x: Tensor, labels: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss on a few rows, and named tensors of its graph."""
    x0 = centred(x).requires_grad_()  # so that its path into the network is drawn
    t = tg.randint(0, model.timesteps, (len(x0),))
    x_t, noise = model.forward_diffusion(x0, t)
    predicted = model.predict(x_t, t, labels)
    wanted = targets.target(model.target, x0, noise, *model.alpha_sigma(t, x0))
    total = model.weighted(t, (predicted - wanted) ** 2)
    named = {"x₀": x0, "t": t, "x_t": x_t, "ε": noise, "predicted": predicted, "loss": total}
    return total, {**named, **dict(model.named_parameters())}
