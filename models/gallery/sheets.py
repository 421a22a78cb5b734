"""Shared parts of the pictures: pairs of images, walks between codes, points, learning curves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import tinygrad_gm as tg
from tinygrad_gm import Tensor, pictures
from tinygrad_gm.training.metrics import read_metrics

from ..parts.points2d import Draws

if TYPE_CHECKING:
    from PIL.Image import Image


def pairs(above: Tensor, below: Tensor, columns: int = 10) -> Tensor:
    """Two sets of N images as one: a row of the first, below it the same row of the second, …

    N must be a multiple of `columns`.

    >>> pairs(tg.zeros((20, 1, 28, 28)), tg.ones((20, 1, 28, 28)))[::10, 0, 0, 0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    rows = (-1, columns, *above.shape[1:])
    rows_of_both = tg.stack([above.reshape(rows), below.reshape(rows)], axis=1)
    return rows_of_both.reshape(-1, *above.shape[1:])


def lines(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Straight lines from N codes to N others, `steps` points each with both ends: (N · steps, L).

    >>> lines(tg.zeros((1, 2)), tg.ones((1, 2)), 3).tolist()
    [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    """
    share = tg.linspace(0, 1, steps).reshape(1, -1, 1)
    points: Tensor = first[:, None] * (1 - share) + last[:, None] * share
    return points.reshape(-1, first.shape[1])


def arcs(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Arcs from N draws of standard normal noise to N others, `steps` points each: (N · steps, …).

    Every point z = z₀ cos θ + z₁ sin θ has the distribution of the noise, N(0, I). The middle of a
    straight line would be shorter than any noise that the model has seen.

    >>> arcs(tg.ones((1, 1)), tg.ones((1, 1)), 3).round(2).tolist()
    [[1.0], [1.409999966621399], [1.0]]
    """
    angles = tg.linspace(0, tg.pi / 2, steps).reshape(1, -1, *[1] * (first.ndim - 1))
    points: Tensor = first[:, None] * tg.cos(angles) + last[:, None] * tg.sin(angles)
    return points.reshape(-1, *first.shape[1:])


def cloud(dataset: str, samples: Tensor) -> Image:
    """A model's points over 2,000 of the data set, on axes that do not change."""
    truth, _ = Draws(dataset, 0).batch(range(2000))
    return pictures.scatter({"data": truth, "samples": samples}, bounds=(-2.1, 2.1))


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
