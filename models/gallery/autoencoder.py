"""Pictures of an autoencoder: its codes, reconstructions, walks between codes, and filters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures

from ..autoencoder import Autoencoder, corrupt, decode, encode, principal_components
from .sheets import lines, pairs

if TYPE_CHECKING:
    from PIL.Image import Image


def map_of_codes(codes: Tensor, labels: Tensor) -> Image:
    """Codes (N, L) in the plane, one colour per class; for L ≠ 2 by two principal components."""
    points, classes = codes.numpy(), labels.numpy()
    if points.shape[1] != 2:
        mean, directions, _ = principal_components(points)
        points = (points - mean) @ directions[:2].T
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))  # for L = 1
    low, high = np.quantile(points, (0.01, 0.99), axis=0)  # without the few outliers
    points, reach = points - (low + high) / 2, 0.55 * float((high - low).max())
    clouds = {str(digit): points[classes == digit] for digit in np.unique(classes)}
    return pictures.scatter(clouds, bounds=(-reach, reach), ground=False, size=600)


def reconstructions(
    model: Autoencoder, images: Tensor, corruption: float, generator: Generator
) -> Tensor:
    """Images as the encoder sees them, and below each its reconstruction."""
    corrupted = corrupt(images, corruption, generator)
    return pairs(corrupted, decode(model, encode(model, corrupted)))


def filters(model: Autoencoder) -> Tensor:
    """The weights of each unit of the first layer as an image, in which 0.5 is a weight of 0."""
    weights = next(p for p in model.encoder.parameters()).detach()
    largest = tg.max(tg.abs(weights), axis=1, keepdims=True)
    return (0.5 + 0.5 * weights / largest).reshape(-1, 28, 28)


def write_pictures(
    model: Autoencoder, images: Tensor, labels: Tensor, corruption: float, folder: Path
) -> None:
    """Write all pictures to a run's folder; filters of a fully connected network only."""
    codes, generator = encode(model, images[:5000]), Generator(0)
    pictures.save(map_of_codes(codes[:2000], labels[:2000]), folder / "codes.png")
    rows = reconstructions(model, images[:50], corruption, generator)
    pictures.grid(rows, columns=10, path=folder / "reconstructions.png")
    walks = decode(model, lines(codes[:10], codes[10:20], 11))
    pictures.grid(walks, columns=11, path=folder / "interpolation.png")
    mean, directions, variances = principal_components(codes.numpy())
    noise = generator.normal((100, len(mean))).numpy()
    drawn = tg.tensor(mean + noise * np.sqrt(variances) @ directions, tg.float32)
    pictures.grid(decode(model, drawn), columns=10, path=folder / "random_codes.png")
    if model.network == "fc":
        pictures.grid(filters(model)[:100], columns=10, path=folder / "filters.png")
