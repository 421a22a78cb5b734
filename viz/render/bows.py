"""Lines from a box to itself, moved to its other side where their text is crossed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.etree.ElementTree import Element

from ..compose.figure import Figure
from .titles import SVG, Point, box_of, corners, outline, points_on

GAP = 2.0  # points around a text


class Extent(NamedTuple):
    """Left, top, right and bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Extent) -> bool:
        """Return whether two extents have a point in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def holds(self, other: Extent) -> bool:
        """Return whether another extent is inside."""
        ends = self.left <= other.left and other.right <= self.right
        return ends and self.top <= other.top and other.bottom <= self.bottom

    def mirrored(self, around: Extent, across: bool) -> Extent:
        """Return the extent on the other side of another one."""
        x, y = around.left + around.right, around.top + around.bottom
        if across:
            return Extent(x - self.right, self.top, x - self.left, self.bottom)
        return Extent(self.left, y - self.bottom, self.right, y - self.top)


def clear(root: Element, figure: Figure) -> None:
    """Move each line from a box to itself whose text another line or box crosses, if that helps."""
    bows = {line.id: line.head for line in figure.lines if line.tail == line.head}
    if not bows:
        return
    groups = {group.get("id", ""): group for group in root.iter(f"{SVG}g")}
    for name, head in bows.items():
        if name in groups and head in groups:
            _clear(groups[name], groups[head], groups.values())


def _clear(bow: Element, box: Element, groups: Iterable[Element]) -> None:
    shapes = list(bow.iter(f"{SVG}polygon"))
    label = [*bow.iter(f"{SVG}text"), *shapes[1:]]
    path = bow.find(f"{SVG}path")
    if not label or path is None:
        return
    text, around = _extent(label), _extent(_shapes(box))
    others = [group for group in groups if group is not bow and group is not box]
    middle = (text.left + text.right) / 2 - (around.left + around.right) / 2
    height = (text.top + text.bottom) / 2 - (around.top + around.bottom) / 2
    across = abs(middle) > abs(height)
    there = text.mirrored(around, across)
    if _hits(there, around, others) >= _hits(text, around, others):
        return
    total = around.left + around.right if across else around.top + around.bottom
    path.set("d", _mirrored(path.get("d", ""), total, across))
    for head in shapes[:1]:
        head.set("points", _mirrored(head.get("points", ""), total, across))
    shift = there.left - text.left, there.top - text.top
    for part in label:
        if part.tag == f"{SVG}text":
            for axis, by in zip("xy", shift, strict=True):
                part.set(axis, f"{float(part.get(axis, 0)) + by:.2f}")
        else:
            moved = ((x + shift[0], y + shift[1]) for x, y in corners(part.get("points", "")))
            part.set("points", _written(moved))


def _hits(text: Extent, box: Extent, others: Iterable[Element]) -> int:
    """Return how many lines, boxes, texts and borders a text at this place would touch."""
    wide = Extent(text.left - GAP, text.top - GAP, text.right + GAP, text.bottom + GAP)
    hits = 0
    for group in others:
        kind = group.get("class", "").partition(" ")[0]
        labels = list(group.findall(f"{SVG}text")) if kind != "node" else []
        if kind == "graph" or not (shapes := _shapes(group)):
            continue
        hits += sum(_extent([label]).overlaps(wide) for label in labels)
        if kind == "edge":
            path = group.find(f"{SVG}path")
            line = [] if path is None else points_on(corners(path.get("d", "")))
            hits += any(Extent(x, y, x, y).overlaps(wide) for x, y in line)
        else:
            extent = _extent(shapes)
            inside = kind == "cluster" and extent.holds(box)
            hits += not extent.holds(wide) if inside else extent.overlaps(wide)
    return hits


def _shapes(group: Element) -> list[Element]:
    return [shape for shape in group if shape.tag in {f"{SVG}{kind}" for kind in _OUTLINED}]


_OUTLINED = "path", "polygon", "rect", "ellipse"


def _extent(parts: Iterable[Element]) -> Extent:
    points: list[Point] = []
    for part in parts:
        if part.tag == f"{SVG}text":
            (left, right), (top, bottom) = box_of(part)
            points += [(left, top), (right, bottom)]
        else:
            points += outline(part)
    xs, ys = zip(*points, strict=True)
    return Extent(min(xs), min(ys), max(xs), max(ys))


def _mirrored(text: str, total: float, across: bool) -> str:
    """Return the points of a path or a polygon, mirrored at the middle of `total`."""

    def mirror(match: re.Match[str]) -> str:
        x, y = float(match[1]), float(match[2])
        return _written([(total - x, y) if across else (x, total - y)])

    return re.sub(r"(-?\d+\.?\d*),(-?\d+\.?\d*)", mirror, text)


def _written(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
