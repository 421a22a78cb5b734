"""A small layered layout: where boxes and lines go when Graphviz is not at hand.

The four steps of Sugiyama, Tagawa and Toda (1981): (1) every box gets a layer, later than all it
depends on; (2) a line that crosses layers gets a place in each, and its text is a box of its own,
in the layer before the line's end; (3) each layer is ordered by the mean position of its
neighbours, which leaves few crossings; (4) positions are drawn towards the neighbours' as far as
order and distances allow: for one layer an isotonic regression, which is solved exactly.

Here `u` runs along the layers and `v` across them; LR draws u to the right, TB downwards.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from itertools import pairwise
from math import dist, inf, sqrt

from .figure import Figure, Line

LAYER_GAP, GAP, TEXT_GAP = 22.0, 14.0, 3.0  # points between layers; places; a text and its line
LONGEST = 120  # layers in which a line claims a place; a longer one starts with a leap
SWEEPS = 12

Point = tuple[float, float]


@dataclass(eq=False)
class Place:
    """Something with a place in a layer: a box, a line's text, or a line passing through."""

    layer: int
    length: float = 0.0  # along u
    breadth: float = 0.0  # along v
    port: float = 0.0  # where its lines meet it, from the middle along v
    before: list[Place] = field(default_factory=list, repr=False)
    after: list[Place] = field(default_factory=list, repr=False)
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
    """Lay a figure out; `direction` is "LR" or "TB"."""
    across = direction == "LR"
    places = _layers(figure, across)
    roads = {line.id: _road(line, places, across) for line in figure.lines}
    layers: list[list[Place]] = [[] for _ in range(1 + max(p.layer for p in places.values()))]
    passing = (place for road in roads.values() for place in road[1:-1])
    for place in (*places.values(), *passing):
        layers[place.layer].append(place)
    _order(layers)
    bounds = _lengthwise(layers)
    breadth = _crosswise(layers)

    def point(u: float, v: float) -> Point:
        return (u, v) if across else (v, u)

    width, height = point(bounds[-1][1], breadth)
    layout = Layout(width, height, {}, {}, {})
    layout.boxes = {name: point(place.u, place.v) for name, place in places.items()}
    ends = _ends(figure, places)
    for line in figure.lines:
        tail, *between, head = roads[line.id]
        stops = [(tail.u + tail.length / 2, tail.v), (bounds[tail.layer][1], tail.v)]
        for place in between:
            stops += [(u, place.v + place.port) for u in bounds[place.layer]]
            if place.length:
                layout.texts[line.id] = point(place.u, place.v - TEXT_GAP / 2)
        stops += [(bounds[head.layer][0], ends[line.id][1]), ends[line.id]]
        apart = [stop for stop, after in pairwise(stops) if dist(stop, after) > 0.1]
        layout.lines[line.id] = [point(*stop) for stop in (*apart, stops[-1])]
    return layout


# ------------------------------------------------------------------------------------ layers


def _layers(figure: Figure, across: bool) -> dict[str, Place]:
    """Each box in the layer after the last that it depends on; leaves just before their reader."""
    places, spans = {}, {}
    for box in figure.boxes:
        length, breadth = (box.width, box.height) if across else (box.height, box.width)
        places[box.id] = Place(0, length, breadth)
        spans[box.id] = 1 if box.shape == "card" else 2  # before an operation a layer for texts
    arriving: dict[str, list[Line]] = {box.id: [] for box in figure.boxes}
    leaving: dict[str, list[Line]] = {box.id: [] for box in figure.boxes}
    for line in figure.lines:
        arriving[line.head].append(line)
        leaving[line.tail].append(line)
    for name, place in places.items():  # in topological order, as the boxes are
        if arriving[name]:
            place.layer = max(places[line.tail].layer for line in arriving[name]) + spans[name]
    for name, place in places.items():
        if leaving[name] and not arriving[name]:
            place.layer = min(places[line.head].layer - spans[line.head] for line in leaving[name])
    return places


def _road(line: Line, places: dict[str, Place], across: bool) -> list[Place]:
    """The line's places from its tail to its head; neighbours know each other."""
    tail, head = places[line.tail], places[line.head]
    first = max(tail.layer + 1, head.layer - LONGEST)
    road = [tail, *(Place(layer) for layer in range(first, head.layer)), head]
    if line.width:
        text = road[-2]
        extent = (line.width, line.height)
        text.length, text.breadth = extent if across else extent[::-1]
        text.breadth += TEXT_GAP
        text.port = text.breadth / 2
    for one, two in pairwise(road):
        one.after.append(two)
        two.before.append(one)
    return road


# ------------------------------------------------------------------------------------- order


def _order(layers: list[list[Place]]) -> None:
    """Order every layer by its neighbours' mean rank, to and fro; keep the best order seen."""
    for layer in layers:
        _rank(layer)
    best, fewest = [list(layer) for layer in layers], inf
    for turn in range(SWEEPS):
        for layer in layers if turn % 2 else reversed(layers):
            keys = {place: _mean_rank(place, backward=turn % 2 == 0) for place in layer}
            layer.sort(key=keys.__getitem__)
            _rank(layer)
        crossings = sum(map(_crossings, layers))
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best
    for layer in layers:
        _rank(layer)


def _rank(layer: list[Place]) -> None:
    for position, place in enumerate(layer):
        place.rank = (position + 0.5) / len(layer)


def _mean_rank(place: Place, backward: bool) -> float:
    if backward:  # an operation's arguments stay in their order
        ranks = [p.rank + 1e-6 * p.before.index(place) for p in place.after]
    else:
        ranks = [p.rank for p in place.before]
    return sum(ranks) / len(ranks) if ranks else place.rank


def _crossings(layer: list[Place]) -> int:
    """How many pairs of lines cross between a layer and the next."""
    seen: list[float] = []
    count = 0
    for place in layer:
        for rank in (ranks := [p.rank for p in place.after]):
            count += len(seen) - bisect_right(seen, rank)
        for rank in ranks:
            insort(seen, rank)
    return count


# --------------------------------------------------------------------------------- positions


def _lengthwise(layers: list[list[Place]]) -> list[tuple[float, float]]:
    """Where each layer starts and ends along u; its places stand in its middle."""
    bounds, start = [], 0.0
    for layer in layers:
        end = start + max(place.length for place in layer)
        for place in layer:
            place.u = (start + end) / 2
        bounds.append((start, end))
        start = end + LAYER_GAP
    return bounds


def _crosswise(layers: list[list[Place]]) -> float:
    """Give every place its v, pulled towards its neighbours'; returns the breadth of all."""
    for layer in layers:
        _settle(layer, [0.0 for _ in layer])
    for turn in range(SWEEPS + 1):  # the last one backward: arguments gather around their reader
        for layer in layers if turn % 2 else reversed(layers):
            wanted = []
            for place in layer:
                near = place.before if turn % 2 else place.after
                total = sum(p.v + p.port for p in near)
                wanted.append(total / len(near) - place.port if near else place.v)
            _settle(layer, wanted)
    top = min(layer[0].v - layer[0].breadth / 2 for layer in layers)
    for layer in layers:
        for place in layer:
            place.v -= top
    return max(layer[-1].v + layer[-1].breadth / 2 for layer in layers)


def _settle(layer: list[Place], wanted: list[float]) -> None:
    """The positions nearest to the wanted ones (least squares) that keep order and distances.

    With the distances subtracted, the positions need only not decrease: isotonic regression, by
    pooling neighbours that violate it (Ayer et al. 1955).
    """
    shifts = [0.0]
    for one, two in pairwise(layer):
        shifts.append(shifts[-1] + (one.breadth + two.breadth) / 2 + GAP)
    pools: list[tuple[float, int]] = []  # (mean, count)
    for wish, shift in zip(wanted, shifts, strict=True):
        mean, count = wish - shift, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    means = (mean for mean, count in pools for _ in range(count))
    for place, mean, shift in zip(layer, means, shifts, strict=True):
        place.v = mean + shift


def _ends(figure: Figure, places: dict[str, Place]) -> dict[str, Point]:
    """Where each line meets its head: several spread over the side of it, none upon another."""
    arriving: dict[str, list[str]] = {}
    circles = {box.id for box in figure.boxes if box.shape == "circle"}
    ends = {}
    for line in figure.lines:
        arriving.setdefault(line.head, []).append(line.id)
    for name, lines in arriving.items():
        head = places[name]
        order = sorted(range(len(lines)), key=lambda i: head.before[i].rank)
        for position, i in enumerate(order):
            offset = head.breadth * 0.35 * (2 * (position + 0.5) / len(lines) - 1)
            depth = head.length / 2
            if name in circles:
                depth = sqrt(depth**2 - offset**2)
            ends[lines[i]] = (head.u - depth, head.v + offset)
    return ends
