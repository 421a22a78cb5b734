"""Titles of frames, moved along the top of their frame to where no line crosses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree.ElementTree import Element

from .. import style

SVG = "{http://www.w3.org/2000/svg}"
ROOM = 5.0  # points around a title
SAMPLES = 16  # points on a curve

Point = tuple[float, float]
Span = tuple[float, float]


def clear(root: Element) -> None:
    """Move each title of a frame that a line crosses to the nearest free place beside it."""
    groups = list(root.iter(f"{SVG}g"))
    frames = [group for group in groups if group.get("class", "").startswith("cluster")]
    edges = (
        [group for group in groups if group.get("class", "").startswith("edge")] if frames else []
    )
    lines = [corners(path.get("d", "")) for edge in edges for path in edge.iter(f"{SVG}path")]
    texts = [box_of(text) for edge in edges for text in edge.iter(f"{SVG}text")]
    for frame in frames:
        title = next(frame.iter(f"{SVG}text"), None)
        shapes = [shape for shape in frame if shape.tag != f"{SVG}text"]
        xs = [x for shape in shapes for x, _ in outline(shape)]
        if title is None or not xs:
            continue
        (left, right), (top, bottom) = box_of(title)
        taken = [span for line in lines for span in _within(line, top, bottom)]
        taken += [across for across, (high, low) in texts if high < bottom and low > top]
        place = _free(left, right - left, (min(xs) + ROOM, max(xs) - ROOM), taken)
        if place is not None and place != left:
            title.set("x", f"{place:.2f}")
            title.set("text-anchor", "start")


def _free(start: float, width: float, room: Span, taken: list[Span]) -> float | None:
    """Return the start nearest to the present one at which a title touches nothing, if any."""
    starts = [
        start,
        *(right + ROOM for _, right in taken),
        *(left - ROOM - width for left, _ in taken),
    ]
    free = [
        place
        for place in starts
        if (place == start or (room[0] <= place and place + width <= room[1]))
        and all(right <= place - 1 or left >= place + width + 1 for left, right in taken)
    ]
    return min(free, key=lambda place: abs(place - start), default=None)


def _within(line: list[Point], top: float, bottom: float) -> Iterator[Span]:
    """Yield where a path of Bézier curves runs between two heights, piece by piece."""
    for start in range(0, len(line) - 3, 3):
        curve = line[start : start + 4]
        if min(y for _, y in curve) > bottom or max(y for _, y in curve) < top:
            continue
        points = [_at(curve, step / SAMPLES) for step in range(SAMPLES + 1)]
        for (x, y), (end_x, end_y) in pairwise(points):
            if min(y, end_y) > bottom or max(y, end_y) < top:
                continue
            slope = (end_x - x) / (end_y - y) if end_y != y else 0.0
            clipped = [x + (min(max(v, top), bottom) - y) * slope for v in (y, end_y)]
            ends = clipped if end_y != y else [x, end_x]
            yield min(ends), max(ends)


def _at(curve: list[Point], t: float) -> Point:
    weights = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
    x, y = (sum(w * p[axis] for w, p in zip(weights, curve, strict=True)) for axis in (0, 1))
    return x, y


def points_on(line: list[Point]) -> list[Point]:
    """Return points on a path of Bézier curves."""
    starts = range(0, len(line) - 3, 3)
    return [_at(line[k : k + 4], step / SAMPLES) for k in starts for step in range(SAMPLES + 1)]


def corners(text: str) -> list[Point]:
    """Return the points in the attribute `points` of a polygon or `d` of a path."""
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def outline(shape: Element) -> list[Point]:
    """Return points that enclose a shape."""
    if shape.tag == f"{SVG}ellipse":
        x, y, across, down = (float(shape.get(name, 0)) for name in ("cx", "cy", "rx", "ry"))
        return [(x - across, y - down), (x + across, y + down)]
    if shape.tag == f"{SVG}rect":
        x, y, w, h = (float(shape.get(side, 0)) for side in ("x", "y", "width", "height"))
        return [(x, y), (x + w, y + h)]
    return corners(shape.get("points") or shape.get("d") or "")


def box_of(text: Element) -> tuple[Span, Span]:
    """Return where a text begins and ends, and its top and bottom."""
    size, bold = float(text.get("font-size", 0)), text.get("font-weight") == "bold"
    width = style.text_width((text.text or "").strip(), size, bold)
    x, y = float(text.get("x", 0)), float(text.get("y", 0))
    left = x - {"middle": width / 2, "end": width}.get(text.get("text-anchor", ""), 0.0)
    return (left, left + width), (y - size, y + 0.3 * size)
