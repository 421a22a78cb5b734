"""A small layered layout: where boxes and lines go when Graphviz is not at hand.

The four steps of Sugiyama, Tagawa and Toda (1981): (1) every box gets a layer, later than all it
depends on; (2) a line that crosses layers gets a place in each, and its text is a box of its own in
the layer before the line's end; (3) each layer is ordered by the mean position of its neighbours, to
have few crossings; (4) positions are drawn towards the neighbours' as far as order and distances
allow, which for one layer is an isotonic regression and is solved exactly.

Here `u` runs along the layers and `v` across them; LR draws u to the right, TB downwards.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import pi, cos, sin

from .figure import Box, Figure, Line

LAYER_GAP, GAP = 22.0, 14.0  # points between layers, and between the boxes of one
ARGUMENT_SPAN = 2  # layers from a variable to its operation: one for the text between
SWEEPS = 12

Point = tuple[float, float]


@dataclass(eq=False)
class Place:
    """Something with a place in a layer: a box, a line's text, or a line passing through."""

    layer: int
    length: float = 0.0  # along u
    breadth: float = 0.0  # along v
    port: float = 0.0  # where its lines meet it, from the middle along v
    before: list[Place] = field(default_factory=list)
    after: list[Place] = field(default_factory=list)
    rank: float = 0.0
    u: float = 0.0
    v: float = 0.0


@dataclass
class Layout:
    """Middles of boxes and texts, and the points that each line passes, by id, as (x, y)."""

    width: float
    height: float
    boxes: dict[str, Point]
    texts: dict[str, Point]
    lines: dict[str, list[Point]]


def arrange(figure: Figure, direction: str) -> Layout:
    """Lay a figure out."""
    across = direction == "LR"
    places = _layers(figure, across)
    roads = {line.id: _road(line, places, across) for line in figure.lines}
    everything = {id(p): p for p in places.values()} | {
        id(p): p for road in roads.values() for p in road
    }
    layers: list[list[Place]] = [[] for _ in range(1 + max(p.layer for p in everything.values()))]
    for place in everything.values():
        layers[place.layer].append(place)
    _order(layers)
    end = _lengthwise(layers)
    breadth = _crosswise(layers)

    def point(u: float, v: float) -> Point:
        return (u, v) if across else (v, u)

    width, height = point(end, breadth)
    boxes = {box.id: point(places[box.id].u, places[box.id].v) for box in figure.boxes}
    texts, lines = {}, {}
    arrivals = _arrivals(figure, places, roads)
    for line in figure.lines:
        tail, *between, head = roads[line.id]
        stops = [(tail.u + tail.length / 2, tail.v)]
        for place in between:
            ends = {place.u - place.length / 2, place.u + place.length / 2}
            stops += [(u, place.v + place.port) for u in sorted(ends)]
            if place.length:
                texts[line.id] = point(place.u, place.v)
        stops.append(arrivals[line.id])
        lines[line.id] = [point(*stop) for stop in stops]
    return Layout(width, height, boxes, texts, lines)


# ------------------------------------------------------------------------------------ layers


def _layers(figure: Figure, across: bool) -> dict[str, Place]:
    """Each box in the layer after the last that it depends on; leaves just before their reader."""
    places = {}
    for box in figure.boxes:
        length, breadth = (box.width, box.height) if across else (box.height, box.width)
        places[box.id] = Place(0, length, breadth)
    arriving: dict[str, list[Line]] = {box.id: [] for box in figure.boxes}
    leaving: dict[str, list[Line]] = {box.id: [] for box in figure.boxes}
    for line in figure.lines:
        arriving[line.head].append(line)
        leaving[line.tail].append(line)
    for box in figure.boxes:  # they come in topological order
        before = [places[line.tail].layer + _span(line) for line in arriving[box.id]]
        places[box.id].layer = max(before, default=0)
    for box in figure.boxes:
        if not arriving[box.id] and leaving[box.id]:
            after = (places[line.head].layer - _span(line) for line in leaving[box.id])
            places[box.id].layer = min(after)
    return places


def _span(line: Line) -> int:
    return ARGUMENT_SPAN if line.classes.startswith("argument") else 1


def _road(line: Line, places: dict[str, Place], across: bool) -> list[Place]:
    """The line's places from its tail to its head, one a layer; neighbours know each other."""
    tail, head = places[line.tail], places[line.head]
    road = [tail, *(Place(layer) for layer in range(tail.layer + 1, head.layer)), head]
    if line.width:
        text = road[-2]
        text.length, text.breadth = (
            (line.width, line.height) if across else (line.height, line.width)
        )
        text.port = text.breadth / 2
    for one, two in zip(road, road[1:], strict=False):
        one.after.append(two)
        two.before.append(one)
    return road


# ------------------------------------------------------------------------------------ order


def _order(layers: list[list[Place]]) -> None:
    """Order every layer by its neighbours' mean rank, to and fro; keep the best order seen."""

    def sweep(order: Sequence[list[Place]], neighbours: Callable[[Place], list[Place]]) -> None:
        for layer in order:
            keys = {}
            for place in layer:
                near = neighbours(place)
                keys[id(place)] = (
                    sum(p.rank for p in near) / len(near) if near else place.rank
                )
            layer.sort(key=lambda place: keys[id(place)])
            _rank(layer)

    for layer in layers:
        _rank(layer)
    best, fewest = [list(layer) for layer in layers], None
    for turn in range(SWEEPS):
        if turn % 2:
            sweep(layers, lambda place: place.before)
        else:
            sweep(layers[::-1], _after_by_slot)
        crossings = sum(map(_crossings, layers))
        if fewest is None or crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best
    for layer in layers:
        _rank(layer)


def _rank(layer: list[Place]) -> None:
    for position, place in enumerate(layer):
        place.rank = position / len(layer)
