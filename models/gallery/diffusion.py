"""Pictures of a diffusion model: noising and denoising, the score, schedules, errors, guidance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures

from ..diffusion import targets
from ..diffusion.model import DiffusionModel
from ..diffusion.process import SCHEDULES, Process
from ..diffusion.recipe import asked, sample
from ..diffusion.training import as_images, centred
from ..parts.points2d import DATASETS
from .sheets import arcs, cloud, pairs

if TYPE_CHECKING:
    from PIL.Image import Image


def samples(model: DiffusionModel, dataset: str, generator: Generator) -> Tensor | Image:
    """64 images, drawn in few steps, or the picture of 1,000 points."""
    if dataset in DATASETS:
        return cloud(dataset, sample(model, 1000, generator))
    return sample(model, 64, generator, steps=min(25, model.timesteps))


def write_pictures(model: DiffusionModel, x: Tensor, folder: Path) -> None:
    """Write all pictures of a model of points (N, 2) or images to a run's folder."""
    write_schedules(model.timesteps, folder)
    write_errors(model, x, folder)
    (_write_clouds if x.ndim == 2 else _write_sheets)(model, x, folder)


def write_schedules(timesteps: int, folder: Path) -> None:
    """Draw ᾱ_t and the logarithm of the signal-to-noise ratio of every schedule of T steps."""
    found = {
        name: Process(timesteps, name) for name in SCHEDULES if name != "linear" or timesteps > 19
    }
    lines: list[dict[str, list[float]]] = [{}, {}]
    for name, process in found.items():
        lines[0][name] = process.alphas_cumprod.tolist()
        lines[1][name] = tg.log(process.snr()).tolist()
    titles = ("signal: alpha_bar", "logarithm of the signal-to-noise ratio")
    drawn = [
        pictures.curves(series, title=title, x_label="t")
        for series, title in zip(lines, titles, strict=True)
    ]
    pictures.panels(drawn, path=folder / "schedules.png")


@tg.no_grad()
def write_errors(model: DiffusionModel, x: Tensor, folder: Path) -> None:
    """Draw the mean squared error of the target at about 25 steps, for unseen data (N, …)."""
    x0, seed, errors = centred(x), 0, []
    times = sorted({round(t) for t in np.linspace(0, model.timesteps - 1, 25)})
    for t in times:
        rows = tg.full(len(x0), t)
        noise = tg.randn(x0.shape, generator=Generator(seed))
        x_t, _ = model.forward_diffusion(x0, rows, noise)
        none = tg.full(len(x0), model.classes) if model.classes else None
        wanted = targets.target(model.target, x0, noise, *model.alpha_sigma(rows, x0))
        error = (model.predict(x_t, rows, none) - wanted) ** 2
        errors.append(float(tg.mean(error)))
    series = {model.target: ([float(t + 1) for t in times], errors)}
    title = f"mean squared error of {model.target}"
    pictures.curves(series, title=title, x_label="t", path=folder / "errors.png")


def _write_clouds(model: DiffusionModel, points: Tensor, folder: Path) -> None:
    last = model.timesteps
    times = sorted({round(last * share) for share in (0, 0.02, 0.06, 0.15, 0.35, 1)})
    states, _ = denoising(model, points.shape)
    row = [_cloud({f"t = {t}": noised(model, points, t)}) for t in times]
    pictures.save(_in_a_row(row), folder / "noising.png")
    row = [_cloud({f"t = {t}": states[last - t]}) for t in reversed(times)]
    pictures.save(_in_a_row(row), folder / "denoising.png")
    pictures.save(_cloud({"data": points, "samples": states[-1]}, 480), folder / "samples.png")
    frames = folder / "denoising"
    frames.mkdir(exist_ok=True)
    shown = [*range(last, last // 2, -2), *range(last // 2, -1, -1)]  # at the end step by step
    paths = [frames / f"frame-{number:04}.png" for number in range(len(shown))]
    for path, t in zip(paths, shown, strict=True):
        clouds = {"data": points, "samples": states[last - t][:1000]}
        pictures.save(_cloud(clouds, 360, _score(model, t) if t else None), path)
    pictures.film(paths, folder / "denoising.gif", seconds=0.06)
    shares = (0.6, 0.3, 0.1, 0.02)
    steps = [max(round(last * share), 1) for share in shares]
    row = [_cloud({f"t = {t}": states[last - t][:500]}, 320, _score(model, t)) for t in steps]
    pictures.save(_in_a_row(row), folder / "score.png")


@tg.no_grad()
def _score(model: DiffusionModel, t: int) -> tuple[Tensor, Tensor]:
    """Places on a grid, and at each an arrow in the direction of the score at the paper's step t.

    An arrow is a quarter of σ² ∇ ln q(x_t) = α x_0 − x_t, with the prediction of x_0.
    """
    ticks = tg.linspace(-2.25, 2.25, 13)
    places = tg.stack([part.reshape(-1) for part in tg.meshgrid(ticks, ticks)], axis=1)
    rows = tg.full(len(places), t - 1)
    alpha, _ = model.alpha_sigma(rows, places)
    return places, (alpha * model.denoiser()(places, rows) - places) / 4


def _write_sheets(model: DiffusionModel, images: Tensor, folder: Path) -> None:
    times = np.linspace(0, model.timesteps, 11).round().astype(int).tolist()
    rows = _rows([noised(model, centred(images[:6]), t) for t in times])
    pictures.grid(rows, columns=11, path=folder / "noising.png")
    states, guesses = denoising(model, (5, 1, 28, 28))
    noisy, guessed = (_rows([strip[t] for t in times]) for strip in (states, guesses))
    pictures.grid(pairs(noisy, guessed, 11), columns=11, path=folder / "denoising.png")
    drawn = sample(model, 100, Generator(0), steps=min(50, model.timesteps))
    pictures.grid(drawn, columns=10, path=folder / "samples.png")
    counts = sorted({min(count, model.timesteps) for count in (5, 10, 20, 50, 100)})
    same_noise = [sample(model, 12, Generator(1), steps=count) for count in counts]
    pictures.grid(tg.concat(same_noise), columns=12, path=folder / "steps.png")
    if model.classes:
        pictures.grid(guided(model), columns=model.classes, path=folder / "guidance.png")
    walks = interpolate(model, 6, Generator(2))
    pictures.grid(walks, columns=11, path=folder / "interpolation.png")


def interpolate(model: DiffusionModel, rows: int, generator: Generator) -> Tensor:
    """Images (rows · 11, 1, 28, 28): each row of eleven is a walk from one sample to another.

    The walk is an arc between two x_T, of which a sample of DDIM is a function (Song et al. 2021,
    section 5.3).
    """
    first, last = (tg.randn((rows, 1, 28, 28), generator=generator) for _ in range(2))
    x = arcs(first, last, 11)
    for moved, _ in model.walk(x, sampler="ddim", steps=min(50, model.timesteps)):
        x = moved
    return as_images(x)


def guided(model: DiffusionModel) -> Tensor:
    """Images of all classes from the same noise, a row for each weight of guidance, 0 to 4."""
    steps = min(50, model.timesteps)
    rows = [
        sample(model, model.classes, Generator(3), steps=steps, guidance=weight)
        for weight in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    return tg.concat(rows)


def noised(model: DiffusionModel, x0: Tensor, t: int) -> Tensor:
    """The paper's x_t, with the same noise for every t; x_0 for t = 0."""
    if t == 0:
        return x0
    noise = tg.randn(x0.shape, generator=Generator(0))
    return model.forward_diffusion(x0, tg.full(len(x0), t - 1), noise)[0]


def denoising(model: DiffusionModel, shape: tuple[int, ...]) -> tuple[list[Tensor], list[Tensor]]:
    """x_T, …, x_0 of ancestral sampling, and the guess of x_0 at each of these steps."""
    generator = Generator(0)
    states, guesses = [tg.randn(shape, generator=generator)], []
    labels = asked(model, shape[0])
    for x, x0 in model.walk(states[0], labels=labels, generator=generator):
        states.append(x)
        guesses.append(x0)
    return states, [*guesses, states[-1]]


def _rows(strips: list[Tensor]) -> Tensor:
    """The same images at several times, (N, …) each, as one set: all times of the first, …"""
    return as_images(tg.stack(strips, axis=1).reshape(-1, *strips[0].shape[1:]))


def _cloud(
    clouds: dict[str, Tensor], size: int = 220, arrows: tuple[Tensor, Tensor] | None = None
) -> Image:
    return pictures.scatter(clouds, bounds=(-2.5, 2.5), size=size, arrows=arrows)


def _in_a_row(images: list[Image]) -> Image:
    from PIL import Image

    return Image.fromarray(np.hstack([np.asarray(image) for image in images]))
