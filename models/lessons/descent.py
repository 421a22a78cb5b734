"""How do the optimizers differ?

They share the gradient g and differ in the step that they make of it (the equations are in
`tinygrad_gm.optim`). *Momentum* averages the gradients over time: along the valley they add up,
across it they alternate and cancel (Polyak 1964). *Nesterov's* method takes the gradient at the
point that the velocity leads to (Sutskever et al. 2013). *AdaGrad* divides each number of the
gradient by the root of the sum of its squares, so steep and flat directions get steps of the same
length, which shrink with time (Duchi et al. 2011). *RMSProp* replaces the sum by a running mean
(Tieleman and Hinton 2012), and *Adam* combines this with momentum (Kingma and Ba 2015).

The valley is f(x, y) = ½ (x² + κ y²), κ times as steep across as along. Gradient descent with the
step η multiplies x by 1 − η and y by 1 − κη. So η must be less than 2/κ, and x shrinks slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import optim, pictures

if TYPE_CHECKING:
    from PIL.Image import Image

START = (-4.0, 1.0)
OPTIMIZERS: dict[str, Callable[[Any, float], optim.Optimizer]] = {
    "gradient descent": lambda p, lr: optim.SGD(p, lr),
    "momentum": lambda p, lr: optim.SGD(p, lr, momentum=0.9),
    "Nesterov": lambda p, lr: optim.SGD(p, lr, momentum=0.9, nesterov=True),
    "AdaGrad": lambda p, lr: optim.Adagrad(p, lr),
    "RMSProp": lambda p, lr: optim.RMSprop(p, lr),
    "Adam": lambda p, lr: optim.Adam(p, lr),
}
RATES = [digit * 10.0**power for power in (-3, -2, -1, 0) for digit in (1, 2, 5)]
Path2d = list[tuple[float, float]]


def path(name: str, rate: float, steps: int, steepness: float) -> Path2d:
    """The points that an optimizer visits from `START`, with both ends: steps + 1 points.

    >>> path("gradient descent", 0.5, 1, 2.0)
    [(-4.0, 1.0), (-2.0, 0.0)]
    """
    point = tg.tensor(START, tg.float64, requires_grad=True)
    curvature = tg.tensor([1.0, steepness], tg.float64)
    optimizer, visited = OPTIMIZERS[name]([point], rate), [START]
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * curvature * point * point).sum().backward()
        optimizer.step()
        x, y = point.tolist()
        visited.append((x, y))
    return visited


def height(point: tuple[float, float], steepness: float) -> float:
    """f of a point; infinite far away."""
    x, y = point
    return 0.5 * (x * x + steepness * y * y) if max(abs(x), abs(y)) < 1e100 else math.inf


def answer(folder: Path, *, steps: int = 100, steepness: float = 100.0) -> str:
    """Compare the paths of six optimizers, each with its best learning rate of 1, 2, 5 · 10ⁿ.

    The best rate is the one with the smallest mean of ln f over the steps.
    """
    found: dict[str, tuple[float, Path2d]] = {}
    for name in OPTIMIZERS:
        trials = [(rate, path(name, rate, steps, steepness)) for rate in RATES]
        found[name] = min(trials, key=lambda trial: _slowness(trial[1], steepness))
    falling = pictures.curves(
        {
            name: (range(steps + 1), [_log10(height(p, steepness)) for p in points])
            for name, (_, points) in found.items()
        },
        title="Height in the valley",
        x_label="step",
        y_label="log10 of f",
        size=(480, 400),
    )
    walks = [points for _, points in found.values()]
    drawn = [_valley(walks, steepness), falling]
    pictures.panels(drawn, columns=2, path=folder / "descent.png")
    start = height(START, steepness)
    lines = []
    for name, (rate, points) in found.items():
        heights = [height(point, steepness) for point in points]
        needed = next((str(i) for i, f in enumerate(heights) if f < 1e-3 * start), "more")
        lines.append(
            f"{name}: learning rate {rate:g}, f {heights[-1]:.1e} after {steps} steps, "
            f"a thousandth of the start after {needed}"
        )
    return "\n".join(lines)


def _slowness(points: Path2d, steepness: float) -> float:
    return sum(_log10(height(point, steepness), math.inf) for point in points)


def _log10(value: float, beyond: float = math.nan) -> float:
    return math.log10(max(value, 1e-12)) if math.isfinite(value) else beyond


def _valley(walks: list[Path2d], steepness: float) -> Image:
    """The paths over the contours of f, which are ellipses; x and y have scales of their own."""
    from PIL import Image, ImageDraw, ImageFont

    width, below = 960, 700  # twice the size, halved at the end
    picture = Image.new("RGB", (width, 800), "white")
    draw = ImageDraw.Draw(picture)

    def place(x: float, y: float) -> tuple[float, float]:
        return 480 + 90 * x, 400 - 210 * y

    angles = np.linspace(0, 2 * math.pi, 181).tolist()
    for level in (0.5, 2.0, 5.0, 12.0, 24.0, 40.0, 58.0, 80.0):
        a, b = math.sqrt(2 * level), math.sqrt(2 * level / steepness)
        contour = [place(a * math.cos(angle), b * math.sin(angle)) for angle in angles]
        draw.line(contour, "#CCCCCC", 2)
    for number, walk in enumerate(walks):
        points = [place(x, y) for x, y in walk if max(abs(x), abs(y)) < 50]
        colour = pictures.COLOURS[number]
        draw.line(points, colour, 4, joint="curve")
        for x, y in points:
            draw.ellipse([(x - 5, y - 5), (x + 5, y + 5)], colour)
    x, y = place(*START)
    draw.ellipse([(x - 9, y - 9), (x + 9, y + 9)], "white", pictures.INK, 4)
    draw.rectangle([(0, 0), (width, 90)], "white")
    draw.rectangle([(0, below), (width, 800)], "white")
    draw.text(
        (24, 22), "Paths from the circle to the minimum", pictures.INK, ImageFont.load_default(30)
    )
    text = f"f(x, y) = (x² + {steepness:g} y²) / 2, contours; y is enlarged"
    draw.text((480, 788), text, pictures.INK, ImageFont.load_default(24), anchor="md")
    return picture.resize((480, 400), Image.Resampling.LANCZOS)
