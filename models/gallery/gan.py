"""Pictures of a GAN: samples, and walks from one noise to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures

from ..gan import GAN, noise, render, sample
from .sheets import arcs, cloud

if TYPE_CHECKING:
    from PIL.Image import Image


def samples(model: GAN, dataset: str, generator: Generator) -> Tensor | Image:
    """A hundred images, or the picture of 2,000 points."""
    if model.network == "plane":
        return cloud(dataset, sample(model, 2000, generator))
    return sample(model, 100, generator)


def interpolate(model: GAN, rows: int, columns: int, generator: Generator) -> Tensor:
    """Images (rows · columns, 1, 28, 28): each row is a walk from one noise to another."""
    ends = noise(model, 2 * rows, generator)
    z = arcs(ends[:rows], ends[rows:], columns)
    return render(model, z, tg.arange(len(z)) // columns % max(model.classes, 1))


def write_pictures(model: GAN, dataset: str, folder: Path) -> None:
    """Write samples, and for images interpolations, to a run's folder."""
    generator = Generator(0)
    drawn = samples(model, dataset, generator)
    if not isinstance(drawn, Tensor):
        pictures.save(drawn, folder / "samples.png")
        return
    pictures.grid(drawn, columns=10, path=folder / "samples.png")
    walks = interpolate(model, 10, 10, generator)
    pictures.grid(walks, columns=10, path=folder / "interpolation.png")
