"""A small layered layout of boxes and lines, for use without Graphviz.

The four steps of Sugiyama, Tagawa and Toda (1981): (1) every box gets a layer after all boxes it
depends on; (2) a line that crosses layers gets a place in each, and its text is a separate box in
the layer before the line's end; (3) each layer is ordered by the mean position of its neighbours,
which leaves few crossings; (4) positions move towards those of the neighbours, subject to order
and distances: for one layer an isotonic regression, solved exactly.

Clusters are laid out separately, the innermost first; each is one box in the cluster around it. A
line enters or leaves a cluster through a gate, a place of size zero on its border. A recurrence is
laid out like a line forward; one from a box to itself is a bow beside it.

`u` is the coordinate along the layers, `v` across them; LR draws u to the right, TB downwards.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import dist, inf, sqrt

from .. import style
from ..compose.figure import LEADING, Box, Cluster, Figure, Line

LAYER_GAP, GAP = 22.0, 14.0  # points between layers; between places of a layer
TEXT_GAP = 3.0  # between a text and its line
BOW = 16.0  # height of a line from a box to itself
RIM = 8.0  # padding of a cluster
LONGEST = 120  # layers in which a line gets a place; a longer line skips the first ones
SWEEPS = 12

Point = tuple[float, float]


@dataclass(eq=False)
class Place:
    """A place in a layer: a box, the text of a line, or a line passing through."""

    layer: int
    length: float = 0.0  # along u
    breadth: float = 0.0  # along v
    margin: float = 0.0  # at either side, part of the breadth
    port: float = 0.0  # offset of its lines from the middle along v
    before: list[Place] = field(default_factory=list, repr=False)
    after: list[Place] = field(default_factory=list, repr=False)
    gates: dict[Place, float] = field(default_factory=dict, repr=False)  # as `port`, of one line
    rank: float = 0.0
    u: float = 0.0
    v: float = 0.0

    def meets(self, other: Place) -> float:
        """Return the offset of the line to a neighbour from the middle along v."""
        return self.port + self.gates.get(other, 0.0)


@dataclass
class Layout:
    """Centres of boxes and texts, points of each line, frames of clusters; (x, y) by id."""

    width: float
    height: float
    boxes: dict[str, Point] = field(default_factory=dict)
    texts: dict[str, Point] = field(default_factory=dict)
    lines: dict[str, list[Point]] = field(default_factory=dict)
    clusters: dict[str, tuple[Point, Point]] = field(default_factory=dict)  # corner, extent


def arrange(figure: Figure, direction: str) -> Layout:
    """Compute the layout of a figure; `direction` is "LR" or "TB"."""
    across = direction == "LR"
    bows = [line for line in figure.lines if line.tail == line.head]
    forward = _forward(figure)
    whole, legs = _divide(replace(figure, lines=tuple(forward.values())))
    for line in bows:
        whole.room_of(line.head).bows.setdefault(line.head, []).append(line)
    whole.settle(across)
    whole.put(0.0, 0.0)

    def point(u: float, v: float) -> Point:
        return (u, v) if across else (v, u)

    layout = Layout(*point(whole.length, whole.breadth))
    for room in whole.all_within():
        if room.cluster:
            corner, extent = point(room.u, room.v), point(room.length, room.breadth)
            layout.clusters[room.cluster.id] = corner, extent
        for name, place in room.places.items():
            if name in room.boxes:
                layout.boxes[name] = point(room.u + place.u, room.v + place.v)
    for line in forward.values():
        stops = [(leg.room.u + u, leg.room.v + v) for leg in legs[line.id] for u, v in leg.stops]
        apart = [stop for stop, after in pairwise(stops) if dist(stop, after) > 0.1]
        layout.lines[line.id] = [point(*stop) for stop in (*apart, stops[-1])]
        last = legs[line.id][-1]
        if last.text:
            u, v = last.text.u, last.text.v - TEXT_GAP / 2
            layout.texts[line.id] = point(last.room.u + u, last.room.v + v)
    for line in figure.lines:
        if line.is_recurrence and line.id in forward and line.head != forward[line.id].head:
            layout.lines[line.id].reverse()
    sizes = {box.id: (box.width, box.height) for box in figure.boxes}
    for room in whole.all_within():
        for name, lines in room.bows.items():
            _bend(layout, name, sizes[name], lines, across)
    return layout


def _forward(figure: Figure) -> dict[str, Line]:
    """Return the lines between different boxes, each from the earlier to the later one."""
    position = {box.id: number for number, box in enumerate(figure.boxes)}
    found = {}
    for line in figure.lines:
        if line.is_recurrence and position[line.tail] > position[line.head]:
            found[line.id] = replace(line, tail=line.head, head=line.tail)
        elif line.tail != line.head:
            found[line.id] = line
    return found


def _breadth(line: Line, across: bool) -> float:
    """Return the room beside its box of a line from the box to itself."""
    return BOW + TEXT_GAP + (line.height if across else line.width)


def _bend(layout: Layout, name: str, size: Point, lines: Sequence[Line], across: bool) -> None:
    """Place the lines from a box to itself, with their texts: above it, or right of it in TB."""
    (x, y), (width, height) = layout.boxes[name], size
    edge = y - height / 2 if across else x + width / 2
    for line in lines:
        if across:
            ends = (x + width / 4, y - height / 2), (x, edge - BOW), (x - width / 4, y - height / 2)
            layout.texts[line.id] = x, edge - BOW - TEXT_GAP - line.height / 2
            edge -= _breadth(line, across)
        else:
            side = x + width / 2
            ends = (side, y + height / 4), (edge + BOW, y), (side, y - height / 4)
            layout.texts[line.id] = edge + BOW + TEXT_GAP + line.width / 2, y
            edge += _breadth(line, across)
        layout.lines[line.id] = list(ends)


# ------------------------------------------------------------------------------------- rooms


@dataclass(eq=False)
class _Leg:
    """The part of a line in one room, between boxes, inner rooms and gates."""

    room: _Room
    line: Line
    tail: str
    head: str
    is_last: bool
    text: Place | None = None
    stops: list[Point] = field(default_factory=list)

    @property
    def has_text(self) -> bool:
        """Return whether the text of its line is in this room."""
        return self.is_last and bool(self.line.width)


@dataclass(eq=False)
class _Room:
    """A cluster, or the whole picture, with its direct content; its corner is (0, 0)."""

    cluster: Cluster | None = None
    rooms: dict[str, _Room] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    legs: list[_Leg] = field(default_factory=list)
    bows: dict[str, list[Line]] = field(default_factory=dict)  # by box
    places: dict[str, Place] = field(default_factory=dict)
    length: float = 0.0
    breadth: float = 0.0
    u: float = 0.0
    v: float = 0.0

    def all_within(self) -> Iterator[_Room]:
        """Yield this room and all rooms in it."""
        yield self
        for room in self.rooms.values():
            yield from room.all_within()

    def room_of(self, box: str) -> _Room:
        """Return the room with a box directly in it."""
        return next(room for room in self.all_within() if box in room.boxes)

    def put(self, u: float, v: float) -> None:
        """Set its corner, and those of the rooms in it."""
        self.u, self.v = u, v
        for name, room in self.rooms.items():
            place = self.places[name]
            room.put(u + place.u - room.length / 2, v + place.v - room.breadth / 2)

    def settle(self, across: bool) -> None:
        """Lay out the rooms in it, then its direct content."""
        for name, room in self.rooms.items():
            room.settle(across)
            self.places[name] = Place(0, room.length, room.breadth)
        for name, box in self.boxes.items():
            length, breadth = (box.width, box.height) if across else (box.height, box.width)
            margin = sum(_breadth(line, across) for line in self.bows.get(name, ()))
            self.places[name] = Place(0, length, breadth + 2 * margin, margin)
        for name in dict.fromkeys(end for leg in self.legs for end in (leg.tail, leg.head)):
            self.places.setdefault(name, Place(0))
        self._layers()
        routes = [self._route(leg, across) for leg in self.legs]
        passing = (place for route in routes for place in route[1:-1])
        layers: list[list[Place]] = [
            [] for _ in range(1 + max(place.layer for place in self.places.values()))
        ]
        for place in (*self.places.values(), *passing):
            layers[place.layer].append(place)
        _order(layers)
        bounds = _lengthwise(layers)
        self.length, self.breadth = bounds[-1][1], _crosswise(layers)
        ends = self._ends(routes)
        for leg, route, end in zip(self.legs, routes, ends, strict=True):
            tail, *between, head = route
            v = tail.v + tail.meets(route[1])
            leg.stops = [(tail.u + tail.length / 2, v), (bounds[tail.layer][1], v)]
            for place in between:
                leg.stops += [(u, place.v + place.port) for u in bounds[place.layer]]
            leg.stops += [(bounds[head.layer][0], end[1]), end]
        if self.cluster:
            self._frame(self.cluster, across)

    def _is_short(self, leg: _Leg) -> bool:
        """Return whether a leg needs no extra layer, for a text or to the gate of an inner room."""
        return leg.head not in self.rooms and not leg.has_text

    def _layers(self) -> None:
        """Assign layers: each place after its last dependency, leaves just before their reader."""
        arriving: dict[str, list[_Leg]] = {name: [] for name in self.places}
        leaving: dict[str, list[_Leg]] = {name: [] for name in self.places}
        for leg in self.legs:
            arriving[leg.head].append(leg)
            leaving[leg.tail].append(leg)
        spans = dict.fromkeys(self.places, 1)
        for name, legs in arriving.items():  # a layer for texts, and one in which lines separate
            if legs[1:] or name in self.rooms or any(leg.has_text for leg in legs):
                spans[name] = 2
        missing = {name: len(legs) for name, legs in arriving.items()}
        ready = [name for name, count in missing.items() if not count]
        for name in ready:  # grows while iterated: a topological order
            for leg in leaving[name]:
                layer = self.places[name].layer + spans[leg.head]
                self.places[leg.head].layer = max(self.places[leg.head].layer, layer)
                missing[leg.head] -= 1
                if not missing[leg.head]:
                    ready.append(leg.head)
        for name, legs in leaving.items():
            if legs and not arriving[name]:
                self.places[name].layer = min(
                    self.places[leg.head].layer - (1 if self._is_short(leg) else spans[leg.head])
                    for leg in legs
                )
        entries = [name for name in self.places if name.startswith(_IN)]
        exits = [name for name in self.places if name.startswith(_OUT)]
        for place in self.places.values():
            place.layer += bool(entries)
        for name in entries:
            self.places[name].layer = 0
        last = max((p.layer for name, p in self.places.items() if name not in exits), default=0)
        for name in exits:
            self.places[name].layer = last + 1
        first = min((place.layer for place in self.places.values()), default=0)
        for place in self.places.values():
            place.layer -= first

    def _route(self, leg: _Leg, across: bool) -> list[Place]:
        """Return the places of a leg from tail to head, linked as neighbours."""
        tail, head = self.places[leg.tail], self.places[leg.head]
        first = max(tail.layer + 1, head.layer - LONGEST)
        route = [tail, *(Place(layer) for layer in range(first, head.layer)), head]
        if leg.has_text:
            leg.text = text = route[-2]
            extent = (leg.line.width, leg.line.height)
            text.length, text.breadth = extent if across else extent[::-1]
            text.breadth += TEXT_GAP
            text.port = text.breadth / 2
        for one, two in pairwise(route):
            one.after.append(two)
            two.before.append(one)
        for end, near, gate in ((leg.tail, route[1], _OUT), (leg.head, route[-2], _IN)):
            if end in self.rooms:
                room = self.rooms[end]
                offset = room.places[gate + leg.line.id].v - room.breadth / 2
                self.places[end].gates[near] = offset
        return route

    def _ends(self, routes: list[list[Place]]) -> list[Point]:
        """Return the end point of each leg at its head; several are spread over the side."""
        arriving: dict[str, list[int]] = {}
        ends: list[Point] = [(0.0, 0.0)] * len(routes)
        for number, leg in enumerate(self.legs):
            arriving.setdefault(leg.head, []).append(number)
        for name, numbers in arriving.items():
            head = self.places[name]
            numbers.sort(key=lambda number: routes[number][-2].rank)
            for position, number in enumerate(numbers):
                breadth = head.breadth - 2 * head.margin
                offset = breadth * 0.35 * (2 * (position + 0.5) / len(numbers) - 1)
                depth = head.length / 2
                if name in self.rooms:
                    offset = head.meets(routes[number][-2])
                elif name in self.boxes and self.boxes[name].shape == "circle":
                    depth = sqrt(depth**2 - offset**2)
                ends[number] = (head.u - depth, head.v + offset)
        return ends

    def _frame(self, cluster: Cluster, across: bool) -> None:
        """Add padding and title, and extend the lines from the gates to the border."""
        gates = [place for name, place in self.places.items() if name.startswith((_IN, _OUT))]
        title, leading = cluster.width, LEADING * style.TEXT_SIZE + RIM
        if across:
            u, v = RIM + max(0.0, title - self.length) / 2, leading + RIM
        else:  # lines pass on the right of the title
            nearest = min((place.v for place in gates), default=inf)
            u, v = leading + RIM, max(RIM, title + 2 * RIM - nearest)
        for place in self.places.values():
            place.u, place.v = place.u + u, place.v + v
        for leg in self.legs:
            if leg.text:
                leg.text.u, leg.text.v = leg.text.u + u, leg.text.v + v
        length, breadth = self.length, self.breadth
        self.length = max(length, title if across else 0.0) + RIM + (RIM if across else u)
        self.breadth = max(breadth + v, 0.0 if across else title + RIM) + RIM
        for leg in self.legs:
            leg.stops = [(stop_u + u, stop_v + v) for stop_u, stop_v in leg.stops]
            if leg.tail.startswith(_IN):
                leg.stops.insert(0, (0.0, leg.stops[0][1]))
            if leg.head.startswith(_OUT):
                leg.stops.append((self.length, leg.stops[-1][1]))


_IN, _OUT = "> ", "< "  # prefixes of the names of gates, before the id of their line


def _divide(figure: Figure) -> tuple[_Room, dict[str, list[_Leg]]]:
    """Return the rooms of a figure, and for each line its legs from tail to head."""
    whole = _Room()
    chains = {"": [whole]}  # the rooms around a box or cluster, outermost first
    for cluster in figure.clusters:
        outer = chains[cluster.parent]
        room = outer[-1].rooms[cluster.id] = _Room(cluster)
        chains[cluster.id] = [*outer, room]
        for name in cluster.boxes:
            chains[name] = chains[cluster.id]
    for box in figure.boxes:
        chains.setdefault(box.id, [whole])[-1].boxes[box.id] = box
    legs: dict[str, list[_Leg]] = {}
    for line in figure.lines:
        outward, inward = chains[line.tail], chains[line.head]
        shared = sum(one is two for one, two in zip(outward, inward, strict=False))
        tails = [*(room.cluster.id for room in outward[shared:] if room.cluster), line.tail]
        heads = [*(room.cluster.id for room in inward[shared:] if room.cluster), line.head]
        way = legs[line.id] = []
        for room, tail in zip(outward[: shared - 1 : -1], tails[::-1], strict=False):
            way.append(_Leg(room, line, tail, _OUT + line.id, is_last=False))
        way.append(_Leg(inward[shared - 1], line, tails[0], heads[0], is_last=len(heads) == 1))
        for room, head in zip(inward[shared:], heads[1:], strict=True):
            way.append(_Leg(room, line, _IN + line.id, head, is_last=head == line.head))
        for leg in way:
            leg.room.legs.append(leg)
    return whole, legs


# ------------------------------------------------------------------------------------- order


def _order(layers: list[list[Place]]) -> None:
    """Order layers by the mean rank of neighbours, forward and backward; keep the best order."""
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
    """Return the number of crossings of lines between a layer and the next."""
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
    """Return start and end of each layer along u; its places are centred in it."""
    bounds, start = [], 0.0
    for layer in layers:
        end = start + max(place.length for place in layer)
        for place in layer:
            place.u = (start + end) / 2
        bounds.append((start, end))
        start = end + LAYER_GAP
    return bounds


def _crosswise(layers: list[list[Place]]) -> float:
    """Set v of every place, close to its neighbours; return the total breadth."""
    for layer in layers:
        _settle(layer, [0.0 for _ in layer])
    for turn in range(SWEEPS + 1):  # the last one backward, so that arguments are near their reader
        for layer in layers if turn % 2 else reversed(layers):
            targets = []
            for place in layer:
                near = place.before if turn % 2 else place.after
                total = sum(p.v + p.meets(place) - place.meets(p) for p in near)
                targets.append(total / len(near) if near else place.v)
            _settle(layer, targets)
    top = min(layer[0].v - layer[0].breadth / 2 for layer in layers)
    for layer in layers:
        for place in layer:
            place.v -= top
    return max(layer[-1].v + layer[-1].breadth / 2 for layer in layers)


def _settle(layer: list[Place], targets: list[float]) -> None:
    """Set the positions nearest to `targets` (least squares) that keep order and distances.

    With the distances subtracted, the positions need only not decrease: isotonic regression, by
    pooling neighbours that violate it (Ayer et al. 1955).
    """
    shifts = [0.0]
    for one, two in pairwise(layer):
        shifts.append(shifts[-1] + (one.breadth + two.breadth) / 2 + GAP)
    pools: list[tuple[float, int]] = []  # (mean, count)
    for target, shift in zip(targets, shifts, strict=True):
        mean, count = target - shift, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    means = (mean for mean, count in pools for _ in range(count))
    for place, mean, shift in zip(layer, means, shifts, strict=True):
        place.v = mean + shift
