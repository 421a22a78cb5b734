"""Small pictures on cards: a histogram, elements as pixels, and bars of sizes.

They consist of paths and inline images. Graphviz lays out an empty cell with a special fill, which
`engine.normalize` finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite, log10
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_gm.backend import to_device

from .. import style
from ..themes import Theme
from . import heatmap
from .shapes import label, rectangle

WIDTH, HIGHEST = 100.0, 64.0  # points
BINS, BARS_HEIGHT = 25, 20.0
BAR, MOST_BARS = 9.0, 24  # of sizes: width of a bar in points, largest number
NAMES = ("histogram", "images", "matrix", "matrices", "shares")
MOST_PIXELS, MOST_TILES, COLUMNS = 40, 8, 4
MANY = 1 << 20  # elements; of larger arrays only a part is counted


class Sketch(NamedTuple):
    """A small picture with its upper left corner at (0, 0), in points."""

    label: str  # its label on the card
    width: float
    height: float
    svg: str

    def placed(self, x: float, y: float) -> str:
        """Return its SVG at a position."""
        place = f'transform="translate({x:.2f} {y:.2f})" font-family="{style.FONT}"'
        return f'<g class="sketch" {place}>{self.svg}</g>'


def vacant(theme: Theme) -> str:
    """Return the fill of a cell reserved for a sketch, one step from the paper's colour."""
    last = int(theme.paper[-1], 16) ^ 1
    return f"{theme.paper[:-1]}{last:X}"


def sketches(array: Any, theme: Theme) -> list[Sketch]:
    """Return the sketches of an array; empty for small arrays and for text."""
    array = np.asarray(to_device(array, "cpu"))
    if array.size <= style.SHOWN or array.dtype.kind not in "fub":
        return []
    numbers = array.astype(float)
    made = [histogram(numbers, theme)] if array.dtype.kind == "f" else []
    if array.ndim in (2, 3, 4) and (array.dtype.kind != "u" or array.ndim > 2):
        made.append(thumbnail(numbers / 255 if array.dtype.kind == "u" else numbers))
    return [sketch for sketch in made if sketch is not None]


def histogram(numbers: NDArray[np.float64], theme: Theme) -> Sketch | None:
    """Return a histogram of the elements; None if all are equal or the range is not finite."""
    flat = numbers.reshape(-1)[:: ceil(numbers.size / MANY)]
    flat = flat[np.isfinite(flat)]
    if not flat.size or flat.min() == flat.max():
        return None
    with np.errstate(over="ignore"):
        try:
            counts, edges = np.histogram(flat, BINS)
        except ValueError:  # range too small or too large
            return None
    step, base = WIDTH / BINS, BARS_HEIGHT
    heights = counts / counts.max() * base
    bars = "".join(
        f"M{number * step:.1f},{base:.0f}v{-height:.1f}h{step * 0.9:.1f}v{height:.1f}z"
        for number, height in enumerate(np.maximum(heights, (counts > 0) * 0.5))
        if height
    )
    ends = [style.number(edge, 2) for edge in (edges[0], edges[-1])]
    svg = f'<path fill="{theme.line}" d="{bars}"/>'
    svg += label(ends[0], 0, base + 1, style.SMALL_SIZE, theme.quiet)
    svg += label(ends[1], WIDTH, base + 1, style.SMALL_SIZE, theme.quiet, "end")
    if edges[0] < 0 < edges[-1]:
        zero = float(-edges[0] / (edges[-1] - edges[0])) * WIDTH
        svg += f'<path fill="none" stroke="{theme.flow}" d="M{zero:.1f},0v{base + 3:.0f}"/>'
        first, last = (style.text_width(end, style.SMALL_SIZE) for end in ends)
        if first + style.SMALL_SIZE < zero < WIDTH - last - style.SMALL_SIZE:
            svg += label("0", zero, base + 1, style.SMALL_SIZE, theme.flow, "middle")
    return Sketch("histogram", WIDTH, base + 2 + style.SMALL_SIZE, svg)


def bars(sizes: Sequence[float], theme: Theme) -> Sketch:
    """Return a bar per size, or per mean of several, on a logarithmic scale of at least a decade.

    Zero is written 0, an unknown size as a dot.
    """
    each = ceil(len(sizes) / MOST_BARS)
    means = [float(np.mean(sizes[start : start + each])) for start in range(0, len(sizes), each)]
    exponents = [log10(mean) for mean in means if isfinite(mean) and mean > 0]
    highest, lowest = max(exponents, default=0.0), min(exponents, default=0.0)
    parts = []
    for number, mean in enumerate(means):
        x = number * BAR
        if isfinite(mean) and mean > 0:
            share = 1 - (highest - log10(mean)) / max(highest - lowest, 1.0)
            height = BARS_HEIGHT * (0.1 + 0.9 * share)
            fill = theme.heat[round(share * (len(theme.heat) - 1))]
            paint = f'fill="{fill}" stroke="{theme.line}" stroke-width="0.5"'
            parts.append(rectangle(x + 1, BARS_HEIGHT - height, BAR - 2, height, paint))
        else:
            text, top = style.UNKNOWN if mean else "0", BARS_HEIGHT - style.TEXT_SIZE
            parts.append(label(text, x + BAR / 2, top, style.TEXT_SIZE, theme.ink, "middle"))
    name = "each copy" if each == 1 else f"each {each:,}"
    return Sketch(name, BAR * len(means), BARS_HEIGHT, "".join(parts))


def thumbnail(numbers: NDArray[np.float64]) -> Sketch | None:
    """Return a matrix, or the first few of several, as pixels."""
    finite = numbers[np.isfinite(numbers)]
    within = bool(finite.size) and finite.min() >= 0 and finite.max() <= 1
    if within and numbers.ndim == 4 and numbers.shape[1] == 3:
        name, tiles = "images", [heatmap.grey(_few(x.transpose(1, 2, 0))) for x in numbers]
    else:
        planes = numbers.reshape(-1, *numbers.shape[-2:])[:MOST_TILES]
        name = "matrix" if len(planes) == 1 else "matrices"
        sums = numbers.sum(axis=-1)
        if within and numbers.shape[-1] > 1 and np.allclose(sums, 1, atol=1e-3):
            name, tiles = "shares", [heatmap.sequential(_few(p), 1.0) for p in planes]
        elif within and numbers.ndim == 4 and numbers.shape[1] == 1:
            name, tiles = "images", [heatmap.grey(_few(plane)) for plane in planes]
        else:
            span = float(np.abs(finite).max(initial=0.0)) or 1.0
            tiles = [heatmap.diverging(_few(plane), span) for plane in planes]
    tiles = tiles[:MOST_TILES]
    if not tiles or 0 in tiles[0].shape:
        return None
    sheet = _mosaic(tiles)
    high, wide = sheet.shape[:2]
    height = WIDTH * high / wide
    width = WIDTH if height <= HIGHEST else max(WIDTH * HIGHEST / height, WIDTH / 4)
    height = min(max(height, 8.0), HIGHEST)
    return Sketch(name, width, height, heatmap.image(sheet, 0, 0, width, height))


def _few(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subsample a plane to at most 40 × 40 evenly spaced pixels."""
    rows, columns = (
        np.linspace(0, extent - 1, min(extent, MOST_PIXELS)).round().astype(int)
        for extent in plane.shape[:2]
    )
    few: NDArray[np.float64] = plane[rows][:, columns]
    return few


def _mosaic(tiles: list[heatmap.Pixels]) -> heatmap.Pixels:
    """Arrange tiles in rows of four, separated by a white pixel."""
    columns = min(len(tiles), COLUMNS)
    high, wide, _ = tiles[0].shape
    rows = ceil(len(tiles) / columns)
    sheet = np.full((rows * (high + 1) - 1, columns * (wide + 1) - 1, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * (high + 1), column * (wide + 1)
        sheet[top : top + high, left : left + wide] = tile
    return sheet
