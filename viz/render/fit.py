"""Which direction, detail and closed modules make a picture fit a box: `viz.draw(…, fit=…)`.

Candidates are laid out from the most detailed to the smallest; the first that fits with text of 11
pixels is drawn. A quick bound rejects most candidates without a layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from math import floor
from typing import NamedTuple

from ..compose.figure import Figure
from ..compose.levels import DETAILS, figure_of
from ..fold.collapse import rolled, smaller
from ..fold.loops import looped
from ..graph.view import Variable, View
from . import engine, raster

POINT = 4 / 3  # pixels
SMALLEST = 11 / 12  # factor by which a picture may shrink: its smallest text is 12 pixels high
LEAST = {  # square pixels of a node with its gaps
    "full": 9000.0,
    "values": 2800.0,
    "shapes": 2000.0,
    "table": 1500.0,  # a line of a table
}
STEPS = {"full": 155.0, "values": 50.0, "shapes": 48.0}  # pixels along a path, for each operation
START, LINE = (75.0, 30.0), 16.0  # of a table, across and down; of a line of it
DIRECTIONS = ("LR", "TB")
LEFT_OUT = {
    "values": 'local derivatives and pictures of arrays; detail="full" shows them',
    "shapes": 'values and gradients; detail="values" or "full" shows them',
}

Box = tuple[float, float]  # width and height in pixels


@dataclass(frozen=True)
class Choice:
    """A view in a detail and a direction, its figure, and its SVG if it has been laid out.

    With `tables` the operations of a straight chain share a box.
    """

    view: View
    detail: str
    direction: str
    tables: bool
    figure: Figure
    svg: str = ""


@dataclass(frozen=True)
class Wish:
    """What the caller asks for; None: to be chosen."""

    fit: Box | None = None
    detail: str | None = None
    direction: str | None = None
    may_close: bool = True  # whether modules may be closed beyond what the caller names
    tables: bool = False  # without a box: whether chains of operations share a box


def check_fit(fit: object) -> None:
    """Raise ValueError unless `fit` is None or a width and a height in pixels."""
    if fit is None:
        return
    sides = list(fit) if isinstance(fit, Sequence) else []
    if len(sides) != 2 or not all(isinstance(side, (int, float)) and side > 0 for side in sides):
        raise ValueError(
            f"draw: fit is {fit!r:.60}; use (width, height) in pixels, or None to leave nothing out"
        )


def choose(view: View, wish: Wish, theme: str, name: str | None) -> Choice:
    """Return the first candidate that fits; without a box the one asked for, else full and LR."""
    fit = wish.fit
    if fit is None:
        detail, direction = wish.detail or "full", wish.direction or "LR"
        figure = figure_of(view, theme, detail, wish.tables)
        return Choice(view, detail, direction, wish.tables, figure)
    directions = DIRECTIONS if wish.direction is None else (wish.direction,)
    best: Candidate | None = None
    closest = 0.8
    for candidate in _candidates(view, wish):
        last = candidate
        figure = figure_of(candidate.view, theme, candidate.detail, candidate.tables)
        possible = [way for way in directions if _may_fit(figure, way, fit)]
        laid = [_laid_out(candidate, way, figure, name) for way in possible]
        for choice in sorted(laid, key=lambda choice: -_scale(choice.svg, fit)):
            if _scale(choice.svg, fit) >= SMALLEST:
                return replace(choice, svg=_shrunk(choice.svg, min(_scale(choice.svg, fit), 1.0)))
            if _scale(choice.svg, fit) > closest:
                best, closest = candidate, _scale(choice.svg, fit)
    drawn, detail, tables = best or last
    remark = f"larger than {_words(fit)}: fit=None or another detail=, direction= or depth="
    drawn = replace(drawn, remarks=[*drawn.remarks, remark])
    figure = figure_of(drawn, theme, detail, tables)
    candidate = Candidate(drawn, detail, tables)
    ways = [_laid_out(candidate, way, figure, name) for way in directions]
    return max(ways, key=lambda choice: _scale(choice.svg, fit))


class Candidate(NamedTuple):
    """What may be drawn: a view, a detail, and whether chains of operations share a box."""

    view: View
    detail: str
    tables: bool


def _candidates(view: View, wish: Wish) -> Iterator[Candidate]:
    """Yield candidates from the most detailed to the smallest, with what they leave out.

    All the graph and the one with equal modules rolled come in each detail before more is closed. A
    graph with loops is unrolled in the first detail only: rolled, a loop shows its recurrence.
    """
    assert wish.fit is not None
    details = [detail for detail in DETAILS if wish.detail in (None, detail)]
    loops = looped(view) if wish.may_close else view
    short = rolled(loops) if wish.may_close else view
    rolls = list({id(drawn): drawn for drawn in (loops, short)}.values())
    closing = smaller(loops) if wish.may_close else iter(())
    small = [detail for detail in details if detail != "full" or wish.detail == "full"]
    pairs = chain(
        product(details[:1], [view] if loops is not view else []),
        product(details, rolls),
        ((detail, drawn) for drawn in closing for detail in small),
    )
    last: Candidate | None = None
    for detail, drawn in pairs:
        for tables in (False,) if detail == "full" else (False, True):
            candidate = Candidate(drawn, detail, tables)
            if _is_possible(candidate, wish.fit):
                yield candidate._replace(view=_told(drawn, view, detail, wish))
                last = None
            else:
                last = candidate
    if last is not None:
        yield last._replace(view=_told(last.view, view, last.detail, wish))


def _is_possible(candidate: Candidate, fit: Box) -> bool:
    """Return False if a view has too many operations for a box, in one way or another."""
    drawn = candidate.view
    calls = [node.id for node in drawn.nodes if not isinstance(node, Variable)]
    least = LEAST["table" if candidate.tables else candidate.detail]
    if len(calls) * least > fit[0] * fit[1]:
        return False
    starts, lines = _longest(drawn)
    width, height = (side / SMALLEST for side in fit)
    if not candidate.tables:
        return lines * STEPS[candidate.detail] <= max(width, height)
    return starts * START[0] <= width or starts * START[1] + lines * LINE <= height


def _longest(view: View) -> tuple[int, int]:
    """Return how many boxes and how many operations are on the longest path, at least.

    Operations share a box if each reads the result of the one before alone.
    """
    calls = {node.id for node in view.nodes if not isinstance(node, Variable)}
    maker = {edge.head: edge.tail for edge in view.edges if edge.tail in calls}
    before: dict[str, set[str]] = {call: set() for call in calls}
    after: dict[str, set[str]] = {call: set() for call in calls}
    for edge in view.edges:
        tail = edge.tail if edge.tail in calls else maker.get(edge.tail)
        if edge.head in calls and tail is not None and "loop" not in edge.marks:
            before[edge.head].add(tail)
            after[tail].add(edge.head)
    starts: dict[str, int] = {}
    lines: dict[str, int] = {}
    for node in view.nodes:
        if node.id in calls:
            tails = before[node.id]
            continues = len(tails) == 1 and all(len(after[tail]) == 1 for tail in tails)
            starts[node.id] = max((starts[tail] for tail in tails), default=0) + (not continues)
            lines[node.id] = max((lines[tail] for tail in tails), default=0) + 1
    return max(starts.values(), default=0), max(lines.values(), default=0)


def _told(drawn: View, view: View, detail: str, wish: Wish) -> View:
    """Return the view with a line about what it leaves out."""
    closed = "" if drawn is view else f"{len(drawn.nodes):,} of {len(view.nodes):,} nodes"
    hidden = LEFT_OUT.get(detail, "") if wish.detail is None else ""
    assert wish.fit is not None
    start = f"to fit {_words(wish.fit)}"
    if closed and hidden:
        text = f'{start}: {closed}, no {hidden.split(";")[0]}; detail="full", fit=None shows all'
    elif closed:
        text = f"{start}: {closed}; fit=None shows all"
    elif hidden:
        text = f"{start}: no {hidden}"
    else:
        return drawn
    return replace(drawn, remarks=[*drawn.remarks, text])


def _may_fit(figure: Figure, direction: str, fit: Box) -> bool:
    """Return False if a figure is too large for a box in every layout."""
    width, height = (side / POINT / SMALLEST for side in fit)
    area = sum((box.width + 6) * (box.height + 6) for box in figure.boxes)
    area += sum(line.width * line.height for line in figure.lines)
    if area > width * height:
        return False
    along = width if direction == "LR" else height
    gap = 13.0 if figure.is_compact else 21.0
    ends: dict[str, float] = {}
    arriving: dict[str, list[tuple[str, float]]] = {}
    for line in figure.lines:
        text = line.width if direction == "LR" else line.height
        arriving.setdefault(line.head, []).append((line.tail, text))
    for box in figure.boxes:
        before = arriving.get(box.id, ())
        start = max((ends.get(tail, 0.0) + gap + text for tail, text in before), default=0.0)
        ends[box.id] = start + (box.width if direction == "LR" else box.height)
    return max(ends.values(), default=0.0) <= along


def _laid_out(candidate: Candidate, way: str, figure: Figure, name: str | None) -> Choice:
    view, detail, tables = candidate
    return Choice(view, detail, way, tables, figure, engine.picture(figure, way, name))


def _scale(svg: str, fit: Box) -> float:
    """Return the factor by which a picture may grow in the box; below 1 it must shrink."""
    return min(room / side for room, side in zip(fit, raster.size(svg), strict=True))


def _shrunk(svg: str, factor: float) -> str:
    """Return a picture with its width and height multiplied by a factor."""
    end = svg.index(">")
    size = r'( (?:width|height)=")([\d.]+)pt"'
    return re.sub(size, lambda m: f'{m[1]}{floor(float(m[2]) * factor)}pt"', svg[:end]) + svg[end:]


def _words(fit: Box) -> str:
    return f"{fit[0]:g} × {fit[1]:g}"
