"""Sprites: many small images of digits in one PNG with sixteen levels of grey."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor

from ...models.vae import VAE, reconstruct, render

SIDE = 28  # pixels of a digit
STOPS = 9  # positions of a slider, from −REACH to REACH
REACH = 3.0
AXES = 3  # numbers of the code with a slider
COLUMNS, ROWS = 8, 5  # of a frame of samples


def sprite(images: Any, columns: int) -> bytes:
    """Return images (N, 28, 28) in [0, 1], row by row, as the bytes of a PNG."""
    from PIL import Image

    count = len(images)
    sheet = np.zeros((-(-count // columns) * columns, SIDE, SIDE), np.float32)
    sheet[:count] = np.asarray(images).reshape(count, SIDE, SIDE)
    rows = sheet.reshape(-1, columns, SIDE, SIDE).swapaxes(1, 2).reshape(-1, columns * SIDE)
    picture = Image.fromarray((rows.clip(0, 1) * 15).round().astype(np.uint8), "P")
    picture.putpalette([17 * level for level in range(16) for _ in range(3)])
    out = io.BytesIO()
    picture.save(out, "PNG", bits=4, optimize=True)
    return out.getvalue()


def reconstructions(model: VAE, images: Tensor) -> bytes:
    """Return a sprite: images (N, 1, 28, 28) in the upper row, their reconstructions below."""
    both = tg.concat([images, reconstruct(model, images)])
    return sprite(both.numpy(), len(images))


def samples(folder: Path) -> tuple[bytes, int]:
    """Return the samples of each epoch of a run as a sprite, a frame below the other, and the
    number of frames; the sheets were drawn by `pictures.grid` with its defaults.
    """
    from PIL import Image

    frames = []
    for path in sorted((folder / "samples").glob("step-*.png")):
        with Image.open(path) as sheet:
            pixels = np.asarray(sheet.convert("L"))[2:, 2:]  # two pixels per pixel, a gap of two
        digits = pixels.reshape(10, 58, 10, 58)[:, :56:2, :, :56:2].swapaxes(1, 2)
        frames.append(digits.reshape(100, SIDE, SIDE)[: COLUMNS * ROWS] / 255)
    return sprite(np.concatenate(frames), COLUMNS), len(frames)


@tg.no_grad()
def sliders(model: VAE, images: Tensor) -> tuple[list[bytes], list[dict[str, list[int]]]]:
    """Return for each image a sprite of decoded codes, and the numbers of the code that change:
    their indices, "axes", and the positions of their sliders next to the image's code, "starts".

    These are the three with the largest KL divergence for the image. The decoded codes are all
    combinations of their STOPS values, the third one from column to column, the first one slowest;
    the other numbers are those of the image's mean code.
    """
    mu, log_var = model.encode(images.reshape(len(images), -1))
    nats = F.kl_normal(mu, log_var, reduction="none").numpy()
    stops = np.linspace(-REACH, REACH, STOPS, dtype=np.float32)
    grid = np.stack(np.meshgrid(*[stops] * AXES, indexing="ij"), axis=-1).reshape(-1, AXES)
    sprites, chosen = [], []
    for code, nat in zip(mu.numpy(), nats, strict=True):
        axes = nat.argsort()[::-1][:AXES]
        codes = np.tile(code, (len(grid), 1))
        codes[:, axes] = grid
        sprites.append(sprite(render(model, tg.tensor(codes)).numpy(), STOPS * STOPS))
        nearest = np.abs(stops[:, None] - code[axes]).argmin(axis=0)
        chosen.append({"axes": axes.tolist(), "starts": nearest.tolist()})
    return sprites, chosen
