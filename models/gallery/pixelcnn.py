"""Pictures of a PixelCNN: samples, completed images, receptive fields, and the learning curve."""

from __future__ import annotations

import math
from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures
from tinygrad_gm.training.metrics import read_metrics

from ..pixelcnn import (
    GatedPixelCNN,
    MaskedPixelCNN,
    PixelCNN,
    binarise,
    complete,
    planes,
    sample,
)


def receptive_field(model: PixelCNN, size: tuple[int, int], i: int, j: int) -> Tensor:
    """The dependence of the logits at (i, j) on each pixel of a blank image: Σ |∂ logits / ∂x|."""
    x = planes(tg.zeros((1, *size), dtype=tg.int64), model.categories).requires_grad_()
    label = tg.zeros(1, dtype=tg.int64) if model.classes else None
    logits = model.logits(x, label)[0, :, i, j]
    slopes = [tg.grad(logit, x, retain_graph=True)[0] for logit in logits]
    return tg.sum(tg.abs(tg.stack(slopes)), axis=(0, 1, 2))


def completions(model: PixelCNN, images: Tensor, labels: Tensor, each: int = 6) -> Tensor:
    """Digits (N, 1, 28, 28), their upper halves, and `each` completions of these: (…, 28, 28)."""
    whole = binarise(images, Generator(0))
    upper = tg.where(tg.arange(28)[:, None] < 14, whole, -1)
    start, label = tg.tile(upper, (each, 1, 1)), tg.tile(labels, each)
    completed, _ = complete(model, start, Generator(0), label if model.classes else None)
    return tg.concat([whole, tg.where(upper < 0, 0.5, upper), completed]).astype(tg.float32)


def receptive_fields(model: PixelCNN) -> Tensor:
    """Receptive fields of the middle pixel, (3, 3, 28, 28): of an untrained network of masks, of an
    untrained one of stacks, and of the model. Black pixels have no influence, bright ones most.
    """
    depth, shown = model.depth, []
    for network in (MaskedPixelCNN(2, 16, depth), GatedPixelCNN(2, 16, depth), model):
        field = receptive_field(network, (28, 28), 14, 14)
        most = field.max().item() or 1.0  # 0 if all units behind a ReLU are dead
        strength = (field > 0) * (0.25 + 0.75 * (field / most) ** 0.25)
        colour = tg.stack([0.3 * strength, 0.75 * strength, strength])
        colour[:, 14, 14] = 1.0
        shown.append(colour)
    return tg.stack(shown)


def write_pictures(model: PixelCNN, images: Tensor, labels: Tensor, folder: Path) -> None:
    """Write samples, completions and receptive fields to a run's folder."""
    pictures.grid(sample(model, 100, Generator(0)), path=folder / "samples.png")
    rows = completions(model, images[:10], labels[:10])
    pictures.grid(rows, columns=10, path=folder / "completions.png")
    path = folder / "receptive_fields.png"
    pictures.grid(receptive_fields(model), columns=3, scale=6, path=path)


def write_learning_curve(folder: Path, batch_size: int) -> None:
    """Write `learning.png`: −ln p(x) over the number of images seen, without values above 150 nats.

    In the first epoch every image is new, so the curve of the training images is one of unseen
    images.
    """
    lines = read_metrics(folder)
    losses = [line["loss"] for line in lines if "loss" in line]
    every = -(-len(losses) // 100) or 1
    starts = range(0, len(losses) - every + 1, every)
    means = [sum(losses[start : start + every]) / every for start in starts]
    seen = [batch_size * (start + every) for start in starts]
    curves = {"training": (seen, [mean if mean < 150 else math.nan for mean in means])}
    tests = [line for line in lines if "test_loss" in line]
    at = [batch_size * line["step"] for line in tests]
    curves["test"] = (at, [line["test_loss"] for line in tests])
    path = folder / "learning.png"
    pictures.curves(curves, x_label="images seen", y_label="nats per image", path=path)
