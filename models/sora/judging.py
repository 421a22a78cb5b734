"""Measures of clips of a moving digit, and of a real clip.

**Motion.** A digit is where its centre of mass is, c_t. Its displacement |c_{t+1} − c_t| is
compared with that of real clips. Between walls a digit moves in a straight line: a clip is straight
if |c_{t+1} − 2 c_t + c_{t−1}| is below one pixel at all frames whose three centres are away from
the walls.

**Identity.** The package's LeNet reads the digit around c_t, enlarged to 28 × 28 pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor

from .. import lenet
from ..parts.classes import labels_for
from .autoencoder import psnr
from .recipe import (
    MOVING,
    SIZE,
    UNSEEN,
    Sora,
    build_diffusion,
    continued,
    read,
    reconstruction,
    restore,
    some_clips,
)

COUNT = 64  # of clips
GUIDANCE = 4.0
DIGIT = 16  # width of a digit in pixels
AWAY = 3.0  # least distance to a wall, in pixels, of a digit that is away from it


def centres(clips: Tensor) -> Any:
    """Centres of mass (y, x) of clips (N, T, 1, H, W): (N, T, 2), NaN where a frame is black.

    >>> frame = tg.zeros((1, 1, 1, 8, 8))
    >>> _ = frame[:, :, :, 2, 5].copy_(1.0)
    >>> centres(frame).tolist()
    [[[2.0, 5.0]]]
    """
    pixels = clips.numpy()[:, :, 0].astype(np.float64)
    total = pixels.sum((2, 3))
    total[total < 1e-3] = np.nan
    places = np.arange(pixels.shape[-1])
    across = (pixels.sum(2) * places).sum(2), (pixels.sum(3) * places).sum(2)
    return np.stack([across[1] / total, across[0] / total], axis=-1)


def displacement(clips: Tensor) -> float:
    """The median distance in pixels that the centre moves from frame to frame."""
    return float(np.nanmedian(np.linalg.norm(np.diff(centres(clips), axis=1), axis=-1)))


def straight(clips: Tensor) -> float:
    """The fraction of clips that are straight, of those that are ever away from the walls; a clip
    with a black frame is not straight.
    """
    found = centres(clips)
    bend = np.linalg.norm(found[:, 2:] - 2 * found[:, 1:-1] + found[:, :-2], axis=-1)
    margin = (DIGIT - 1) / 2 + AWAY
    away = ((found > margin) & (found < SIZE - 1 - margin)).all(axis=-1)
    away = away[:, 2:] & away[:, 1:-1] & away[:, :-2]
    there = np.isfinite(found).all(axis=(1, 2))
    is_judged = away.any(axis=1) | ~there
    found = there & ~(away & ~(bend < 1)).any(axis=1)
    return float(found[is_judged].mean()) if is_judged.any() else 0.0


def read_digits(clips: Tensor) -> Any:
    """The digits that the LeNet reads in clips (N, T, 1, H, W): (N, T), −1 in black frames."""
    found, pixels = centres(clips), clips.numpy()[:, :, 0]
    offsets = (np.arange(28) - 13.5) * (DIGIT / 28)
    places = np.nan_to_num(found)[..., None] + offsets  # (N, T, 2, 28)
    weights = np.maximum(0, 1 - np.abs(places[..., None] - np.arange(pixels.shape[-1])))
    enlarged = weights[:, :, 0] @ pixels @ weights[:, :, 1].swapaxes(-1, -2)
    images = tg.tensor(enlarged.reshape(-1, 1, 28, 28).clip(0, 1), tg.float32)
    digits = tg.argmax(lenet.predict(lenet.pretrained(), images), axis=1).numpy()
    return np.where(np.isfinite(found[..., 0]), digits.reshape(found.shape[:2]), -1)


def kept(clips: Tensor) -> float:
    """The fraction of clips whose first, middle and last frame show the same digit."""
    digits = read_digits(clips[:, [0, clips.shape[1] // 2, -1]])
    same = (digits == digits[:, :1]).all(axis=1) & (digits[:, 0] >= 0)
    return float(same.mean())


def figures(clips: Tensor, labels: Tensor | None = None) -> str:
    """The measures of clips (N, T, 1, H, W), in one line."""
    asked = ""
    if labels is not None:
        middle = read_digits(clips[:, [clips.shape[1] // 2]])[:, 0]
        asked = f", the digit asked for in {_percent((middle == labels.numpy()).mean())}"
    return (
        f"displacement {displacement(clips):.2f} pixels, straight {_percent(straight(clips))}, "
        f"the same digit in {_percent(kept(clips))}{asked}"
    )


def judge(folder: str | Path) -> str:
    """Describe a run: reconstruction, motion and digits of 64 clips beside real clips and those of
    an untrained network, and clips from a first frame, without its class and with it; or the
    continuation of a real clip.
    """
    model = restore(folder)
    config = model.config
    clips, classes = some_clips(config, COUNT if config.dataset == MOVING else 4)
    lines = [f"reconstruction {reconstruction(model.autoencoder, clips):.2f} dB"]
    if config.dataset != MOVING:
        return "\n".join([*lines, continuation(model)])
    generator, frames = Generator(0), config.frames
    labels = labels_for(None, COUNT, 10)
    nothing = clips[:, :, :0]
    untrained = model._replace(diffusion=build_diffusion(config).eval())
    drawn = {
        "samples": continued(model, nothing, frames, generator, labels),
        f"guided by {GUIDANCE:g}": continued(model, nothing, frames, generator, labels, GUIDANCE),
        "untrained": continued(untrained, nothing, frames, generator, labels),
    }
    lines.append(f"real clips: {figures(clips.permute_dims((0, 2, 1, 3, 4)))}")
    lines += [f"{name}: {figures(made, labels)}" for name, made in drawn.items()]
    first = clips[:, :, :1]
    moved = continued(model, first, frames, generator)
    quality = psnr(F.mse_loss(moved[:, 0], first[:, :, 0])).item()
    lines.append(f"from a first frame, kept to {quality:.1f} dB: {figures(moved)}")
    moved = continued(model, first, frames, generator, classes, GUIDANCE)
    lines.append(f"with its class, guided by {GUIDANCE:g}: {figures(moved, classes)}")
    return "\n".join(lines)


def continuation(model: Sora) -> str:
    """The PSNR of the last frames of the real clip, continued, and of a repeated last frame."""
    truth, made, repeated = continuations(model)
    found = [psnr(F.mse_loss(guess, truth)).item() for guess in (made, repeated)]
    return (
        f"continuation of {UNSEEN} frames {found[0]:.2f} dB; the last frame repeated "
        f"{found[1]:.2f} dB"
    )


def continuations(model: Sora) -> tuple[Tensor, Tensor, Tensor]:
    """The last frames of the real clip (UNSEEN, C, H, W): the truth, those that the model draws,
    and the last known frame repeated.
    """
    config = model.config
    new = min(UNSEEN, config.frames - 1)
    film = read(config)[-config.frames :]
    known = film[:-new].permute_dims((1, 0, 2, 3))[None]
    made = continued(model, known, config.frames, Generator(0))[0, -new:]
    return film[-new:], made, tg.broadcast_to(film[-new - 1], made.shape)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
