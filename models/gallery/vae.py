"""Pictures of a variational autoencoder: reconstructions, samples, and walks through its codes."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, pictures

from ..vae import VAE, reconstruct, render, sample
from .sheets import lines, pairs


@tg.no_grad()
def interpolate(model: VAE, images: Tensor, steps: int = 11) -> Tensor:
    """Walks from the first half of the images to the other half: (N/2 · steps, 1, 28, 28).

    Each walk is a straight line between two mean codes.
    """
    mu, _ = model.encode(images.reshape(len(images), -1))
    half = len(images) // 2
    return render(model, lines(mu[:half], mu[half:], steps))


@tg.no_grad()
def restyle(model: VAE, images: Tensor, labels: Tensor) -> Tensor:
    """All classes in the style of each of N images: (N · classes, 1, 28, 28).

    The code is that of the image, the class that of the column; for a conditional model.
    """
    mu, _ = model.encode(images.reshape(len(images), -1), labels)
    classes = tg.tile(tg.arange(model.classes), len(images))
    return render(model, tg.repeat(mu, model.classes, axis=0), classes)


@tg.no_grad()
def traverse(
    model: VAE, image: Tensor, label: Tensor | None = None, axes: int = 8, steps: int = 11
) -> Tensor:
    """One number of the code at a time moved from −3 to 3: images (axes · steps, 1, 28, 28).

    The rows are the numbers with the largest KL for this image; the others stay at its mean code.
    There are fewer rows if the code has fewer numbers.
    """
    labels = None if label is None else label.reshape(1)
    mu, log_var = model.encode(image.reshape(1, -1), labels)
    informative = F.kl_normal(mu, log_var, reduction="none")[0].numpy().argsort()[::-1][:axes]
    z = tg.repeat(mu, len(informative) * steps, axis=0)
    for row, axis in enumerate(informative.tolist()):
        z[row * steps : (row + 1) * steps, axis] = tg.linspace(-3, 3, steps)
    return render(model, z, None if labels is None else tg.repeat(labels, len(z)))


def plane(model: VAE, side: int = 20) -> Tensor:
    """The plane of codes of two numbers as side · side images (Kingma and Welling 2014, figure 4).

    The codes are the quantiles of N(0, I), which divide it into parts of equal probability.
    """
    shares = [(i + 0.5) / side for i in range(side)]
    quantiles = tg.tensor([NormalDist().inv_cdf(share) for share in shares])
    across, up = tg.meshgrid(quantiles, tg.flip(quantiles), indexing="xy")
    return render(model, tg.stack([across.flatten(), up.flatten()], axis=1))


def write_pictures(model: VAE, images: Tensor, labels: Tensor, folder: Path) -> None:
    """Write all pictures that fit the model to a run's folder."""
    images, labels = images[:20], labels[:20]
    rows = pairs(images, reconstruct(model, images, labels))
    pictures.grid(rows, columns=10, path=folder / "reconstructions.png")
    pictures.grid(sample(model, 100, Generator(0)), path=folder / "samples.png")
    rows = traverse(model, images[0], labels[0])
    pictures.grid(rows, columns=11, path=folder / "traversal.png")
    if model.classes:
        rows = restyle(model, images, labels)[:100]
        pictures.grid(rows, columns=10, path=folder / "styles.png")
        return
    pictures.grid(interpolate(model, images), columns=11, path=folder / "interpolation.png")
    if model.latent_dim == 2:
        pictures.grid(plane(model), columns=20, gap=0, path=folder / "plane.png")
