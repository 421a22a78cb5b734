"""Pictures of a VQ-VAE: its codebook, reconstructions, samples with and without the prior."""

from __future__ import annotations

from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, pictures

from ..pixelcnn import draw
from ..vqvae import VQVAE, TwoStages, condition, reconstruct
from .sheets import pairs


def reconstructions(model: VQVAE, images: Tensor) -> Tensor:
    """Images, and below each its reconstruction."""
    return pairs(images, reconstruct(model, images))


def write_images(model: TwoStages, images: Tensor, folder: Path) -> None:
    """Write three pictures of both stages to a run's folder.

    `reconstructions.png` has reconstructed images, `samples.png` ten samples of each digit, and
    `random_codes.png` decoded uniform codes, for comparison with the prior.
    """
    autoencoder, prior = model
    labels = tg.repeat(tg.arange(10), 10)
    drawn = draw(prior, 100, (7, 7), Generator(0), *condition(prior, labels))
    uniform = Generator(0).integers(0, autoencoder.quantizer.codes, (100, 7, 7))
    sheets = {
        "reconstructions": reconstructions(autoencoder, images),
        "samples": autoencoder.decode(drawn),
        "random_codes": autoencoder.decode(uniform),
    }
    for name, sheet in sheets.items():
        pictures.grid(sheet, columns=10, path=folder / f"{name}.png")


@tg.no_grad()
def write_codebook(model: VQVAE, images: Tensor, folder: Path) -> None:
    """Write two pictures of the codebook to a run's folder.

    `codebook.png` has, for each code, the mean of the 12 × 12 pixels around the places with that
    code, the most used code first; `usage.png` the shares of the places.
    """
    codes, count = model.encode(images).reshape(-1), model.quantizer.codes
    framed = F.pad(images[:, 0], (4, 4, 4, 4))
    corners = [(4 * row, 4 * column) for row in range(7) for column in range(7)]
    patches = tg.stack([framed[:, y : y + 12, x : x + 12] for y, x in corners], axis=1)
    chosen = tg.one_hot(codes, count, patches.dtype)
    used = tg.sum(chosen, axis=0)
    means = (chosen.T @ patches.reshape(-1, 144)) / tg.maximum(used, 1)[:, None]
    order = tg.flip(tg.argsort(used))
    pictures.grid(means[order].reshape(-1, 12, 12), scale=6, path=folder / "codebook.png")
    shares = used[order] / codes.size
    pictures.curves(
        {"codes, by use": shares.tolist(), "even use": [1 / count] * count},
        title="How often each code is used",
        x_label="code",
        y_label="share of the places",
        path=folder / "usage.png",
    )
