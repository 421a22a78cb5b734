"""Pictures of a MADE: samples, completed images, its masks, its connections, its weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures

from ..made import MADE, SIDE, binarise, complete, sample

if TYPE_CHECKING:
    from PIL.Image import Image

RADIUS, APART, ABOVE = 26, 96, 190  # of the units in a diagram, and their distances


def completions(model: MADE, images: Tensor, each: int = 6) -> Tensor:
    """Digits (N, 1, 28, 28), the halves that come first in the order, and `each` completions of
    these: (…, 28, 28).
    """
    whole = binarise(images, Generator(0))
    known = model.degrees()[0] <= model.pixels // 2
    start = tg.tile(tg.where(known, whole, -1.0), (each, 1))
    completed, _ = complete(model, start, Generator(0))
    shown = tg.concat([whole, tg.where(known, whole, 0.5), completed])
    return shown.reshape(-1, SIDE, SIDE)


def masks(model: MADE, order: int = 0) -> Tensor:
    """The masks of the first and the last layer, and which pixels (columns) each output (row)
    depends on: images (3, S, S), padded with gray. Units and pixels are sorted by their degrees.
    """
    sorted_units = [tg.argsort(degrees) for degrees in model.degrees(order)]
    sorted_units.append(sorted_units[0])
    kept = [
        mask[after][:, before].astype(tg.float32)
        for mask, (before, after) in zip(model.masks(order), pairwise(sorted_units), strict=True)
    ]
    paths = kept[0]
    for mask in kept[1:]:
        paths = (mask @ paths > 0).astype(tg.float32)
    size = max(max(mask.shape) for mask in kept)
    found = tg.full((3, size, size), 0.5)
    for i, image in enumerate((kept[0], kept[-1], paths)):
        height, width = image.shape
        found[i, :height, :width] = image
    return found


def weights(model: MADE, count: int = 100, order: int = 0) -> Tensor:
    """The masked weights into hidden units of the first layer, sorted by degree: (count, 28, 28).

    0 is gray; a weight that the mask removes is black.
    """
    degrees, mask = model.degrees(order)[1], model.masks(order)[0]
    units = tg.argsort(degrees)[tg.linspace(0, len(degrees) - 1, count).astype(tg.int64)]
    weight = model.first.weight.detach()[units]
    largest = tg.max(tg.abs(weight), axis=1, keepdims=True) + 1e-9
    shown = tg.where(mask[units], 0.5 + 0.5 * weight / largest, 0.0)
    return shown.reshape(-1, SIDE, SIDE)


def connections(model: MADE, output: int, order: int = 0) -> Image:
    """A diagram of a small model: its units with their degrees, and the connections that its masks
    keep. Those on a path to one output, a number from 0, are coloured.
    """
    from PIL import Image, ImageDraw, ImageFont

    kept = [mask.numpy() for mask in model.masks(order)]
    degrees = [layer.tolist() for layer in model.degrees(order)]
    degrees.append(degrees[0])
    leading = [tg.arange(model.pixels).numpy() == output]  # units with a path to the output
    for mask in reversed(kept):
        leading.insert(0, leading[0] @ mask > 0)
    margin = 2 * RADIUS
    width = (max(map(len, degrees)) - 1) * APART + 2 * margin
    height = len(kept) * ABOVE + 2 * margin
    picture = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(28)

    def place(layer: int, unit: int) -> tuple[float, float]:
        start = (width - (len(degrees[layer]) - 1) * APART) / 2
        return start + unit * APART, height - margin - layer * ABOVE

    lines = [
        (bool(leading[layer][i] and leading[layer + 1][j]), layer, i, j)
        for layer, mask in enumerate(kept)
        for j, i in zip(*mask.nonzero(), strict=True)
    ]
    for coloured, layer, i, j in sorted(lines):  # coloured ones on top
        colour, size = (pictures.COLOURS[1], 4) if coloured else ("#BBBBBB", 2)
        draw.line([place(layer, i), place(layer + 1, j)], colour, size)
    for layer, units in enumerate(degrees):
        for unit, degree in enumerate(units):
            x, y = place(layer, unit)
            box = [(x - RADIUS, y - RADIUS), (x + RADIUS, y + RADIUS)]
            edge = pictures.COLOURS[1] if leading[layer][unit] else pictures.INK
            draw.ellipse(box, "white", edge, 3)
            draw.text((x, y), str(degree), pictures.INK, font, anchor="mm")
    return picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS)


def write_pictures(model: MADE, images: Tensor, folder: Path) -> None:
    """Write samples, completions, masks, weights, and the diagram of a small model to a run's
    folder.
    """
    pictures.grid(sample(model, 100, Generator(0)), path=folder / "samples.png")
    pictures.grid(completions(model, images[:10]), columns=10, path=folder / "completions.png")
    pictures.grid(masks(model), columns=3, scale=1, path=folder / "masks.png")
    pictures.grid(weights(model), path=folder / "weights.png")
    small = MADE(5, [7] * (1 + len(model.inner)))
    pictures.save(connections(small, output=3), folder / "connections.png")
