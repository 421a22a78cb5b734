"""How do the optimizers differ?

They share the gradient g and differ in the step that they make of it (the equations are in
`tinygrad_gm.optim`). *Momentum* averages the gradients over time: along the valley they add up,
across it they alternate and cancel (Polyak 1964). *Nesterov's* method takes the gradient at the
point that the velocity leads to (Sutskever et al. 2013). *AdaGrad* divides each number of the
gradient by the root of the sum of its squares, so steep and flat directions get steps of the same
length, which shrink with time (Duchi et al. 2011). *RMSProp* replaces the sum by a running mean
(Tieleman and Hinton 2012), and *Adam* combines this with momentum (Kingma and Ba 2015).

The valley is f = ½ (u² + κ v²), κ times as steep across as along, with u and v the coordinates x
and y rotated by 30°. Gradient descent with the step η multiplies u by 1 − η and v by 1 − κη. So η
must be less than 2/κ, and u shrinks slowly. The methods that scale x and y separately would have no
difficulty at all in a valley along an axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Tensor, optim, pictures

if TYPE_CHECKING:
    from PIL.Image import Image

START = (-4.0, -1.2)
TILT = math.pi / 6
AXES = ((math.cos(TILT), math.sin(TILT)), (-math.sin(TILT), math.cos(TILT)))  # of u and v
FAR = 1e6  # a path that diverges ends here
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
    """The points (x, y) that an optimizer visits from `START`: steps + 1, or fewer if it diverges.

    >>> [(round(x, 6), round(y, 6)) for x, y in path("gradient descent", 0.5, 1, 1.0)]
    [(-4.0, -1.2), (-2.0, -0.6)]
    """
    point = tg.tensor(START, tg.float64, requires_grad=True)
    optimizer, visited = OPTIMIZERS[name]([point], rate), [START]
    while len(visited) <= steps and max(map(abs, visited[-1])) < FAR:
        optimizer.zero_grad()
        height(point, steepness).backward()
        optimizer.step()
        x, y = point.tolist()
        visited.append((x, y))
    return visited


def height(points: Tensor, steepness: float) -> Tensor:
    """f of points (…, 2)."""
    u, v = (points @ tg.tensor(axis, points.dtype) for axis in AXES)
    return 0.5 * (u * u + steepness * v * v)


def answer(folder: Path, *, steps: int = 100, steepness: float = 100.0) -> str:
    """Compare the paths of six optimizers, each with its best learning rate of 1, 2, 5 · 10ⁿ.

    The best rate is the one with the smallest mean of ln f over the steps.
    """
    walks: dict[str, Path2d] = {}
    heights: dict[str, list[float]] = {}
    lines = []
    for name in OPTIMIZERS:
        found = []
        for rate in RATES:
            walk = path(name, rate, steps, steepness)
            if len(walk) > steps:
                logs = tg.log10(height(tg.tensor(walk, tg.float64), steepness) + 1e-12).tolist()
                found.append((sum(logs), rate, logs, walk))
        _, rate, heights[name], walks[name] = min(found)
        goal = heights[name][0] - 3
        needed = next((str(i) for i, log in enumerate(heights[name]) if log < goal), "more")
        lines.append(
            f"{name}: learning rate {rate:g}, f {10 ** heights[name][-1]:.1e} after {steps} steps, "
            f"a thousandth of the start after {needed}"
        )
    falling = pictures.curves(
        {name: (range(steps + 1), logs) for name, logs in heights.items()},
        title="Height in the valley",
        x_label="step",
        y_label="log10 of f",
        size=(480, 400),
    )
    drawn = [_valley([*walks.values()], steepness), falling]
    pictures.panels(drawn, columns=2, path=folder / "descent.png")
    return "\n".join(lines)


def _valley(walks: list[Path2d], steepness: float) -> Image:
    """The paths over the contours of f."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = 960, 800  # twice the size, halved at the end
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    cos, sin = AXES[0]

    def place(x: float, y: float) -> tuple[float, float]:
        return 560 + 105 * x, 420 - 105 * y

    angles = np.linspace(0, 2 * math.pi, 361).tolist()
    for number in range(1, 12):
        along = 0.5 * number
        across = along / math.sqrt(steepness)
        contour = [
            place(u * cos - v * sin, u * sin + v * cos)
            for u, v in ((along * math.cos(a), across * math.sin(a)) for a in angles)
        ]
        draw.line(contour, "#CCCCCC", 2)
    for number, walk in enumerate(walks):
        colour = pictures.COLOURS[number]
        points = [place(x, y) for x, y in walk]
        draw.line(points, colour, 4, joint="curve")
        for x, y in points:
            draw.ellipse([(x - 5, y - 5), (x + 5, y + 5)], colour)
    x, y = place(*START)
    draw.ellipse([(x - 9, y - 9), (x + 9, y + 9)], "white", pictures.INK, 4)
    draw.rectangle([(0, 0), (width, 80)], "white")
    draw.rectangle([(0, height - 60), (width, height)], "white")
    large, small = ImageFont.load_default(30), ImageFont.load_default(24)
    draw.text((24, 22), "Paths from the circle to the minimum", pictures.INK, large)
    text = f"contours of f, {steepness:g} times as steep across as along"
    draw.text((width / 2, height - 12), text, pictures.INK, small, anchor="md")
    return picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
