"""Line charts as SVG, whose colours the style sheet of the page chooses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 344, 230  # pixels; the texts are 12 pixels high in the narrowest window
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 38
TICKS = 4  # largest number of intervals of an axis


def chart(series: Mapping[str, Points], x_label: str, spoken: str) -> str:
    """Return a chart of lines by name; a series of one point is a dot.

    Args:
        series: at most three lines of (x, y), with finite numbers.
        x_label: the text below the horizontal axis.
        spoken: description of the chart for readers who do not see it.
    """
    flat = [point for points in series.values() for point in points]
    x_ticks = round_numbers(min(x for x, _ in flat), max(x for x, _ in flat))
    y_ticks = round_numbers(min(y for _, y in flat), max(y for _, y in flat))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * _ROOM

    parts = []
    for y in y_ticks:
        _, height = place(x_ticks[0], y)
        parts.append(f'<path class="rule" d="M{LEFT},{height:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, height + 4, f"{y:g}", "end"))
    for x in x_ticks:
        across, _ = place(x, y_ticks[0])
        parts.append(_text(across, HEIGHT - BOTTOM + 17, f"{x:g}", "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label, "middle"))
    for number, (name, points) in enumerate(series.items()):
        places = [place(*point) for point in points]
        path = " ".join(f"{across:.1f},{height:.1f}" for across, height in places)
        if len(places) > 1:
            parts.append(f'<polyline class="line{number}" points="{path}"/>')
        else:
            (across, height) = places[0]
            parts.append(f'<circle class="dot{number}" cx="{across:.1f}" cy="{height:.1f}" r="4"/>')
        row = TOP + 10 + 18 * number
        key = f'<path class="line{number}" d="M{WIDTH - RIGHT - 20},{row - 4}h18"/>'
        parts += [key, _text(WIDTH - RIGHT - 26, row, name, "end")]
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(spoken)}">{"".join(parts)}</svg>'
    )


_ROOM = HEIGHT - TOP - BOTTOM


def round_numbers(low: float, high: float) -> list[float]:
    """Return evenly spaced round numbers around an interval, at least two.

    >>> from tinygrad_gm.app.quickstart.charts import round_numbers
    >>> round_numbers(107.7, 241.0)
    [100.0, 150.0, 200.0, 250.0]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(m * power for m in (1, 2, 2.5, 5, 10, 20) if m * power >= span / TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * n, 12) for n in range(first, max(last, first + 1) + 1)]


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
