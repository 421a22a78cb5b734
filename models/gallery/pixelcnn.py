"""Pictures of a PixelCNN: samples, completed images and receptive fields."""

from __future__ import annotations

from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures

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
