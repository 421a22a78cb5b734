"""The page of a drawing: one HTML file with the boxes of all operations, modules and rolled loops.

`layout.js` places those that are visible, each time that the reader opens or closes a module;
`page.js` draws them and answers to pointer and keys.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ..compose.compact import SmallWriter
from ..compose.figure import Box, Figure, Line, Writer, compose
from ..compose.nesting import title_of
from ..fold.clusters import Links
from ..fold.contraction import Bundle, contract, owners
from ..fold.loops import EXPLANATION
from ..graph.view import Group, Operation, View
from ..render.html import ICON, filled, script_text
from ..render.svg import drawn_box
from ..style import elided
from ..themes import PAGE, variables
from .levels import Level, levels
from .runs import runs_of

HERE = Path(__file__).parent
LONGEST_TITLE = 60  # characters of a name in the page's title


def page(view: View, drawn: View, theme: str, detail: str, direction: str | None) -> str:
    """Return a drawing as an HTML page that loads no other file.

    Args:
        view: the whole graph.
        drawn: the graph with the modules closed that the page shows closed at first; the view
            itself: as many are open as fit the window.
        theme: "light" follows the light or dark setting of the reader; others are fixed.
        detail: "shapes" or "values", of the boxes; the cards always have all numbers.
        direction: "LR", "TB", or None: the one that suits the window.
    """
    roots = ", ".join(variable.name for variable in view.variables if variable.is_root)
    parts = {
        "title": escape(f"The graph of {elided(roots, LONGEST_TITLE)}"),
        "icon": ICON,
        "light": variables(theme),
        "dark": variables("dark" if theme == "light" else theme),
        "scheme": {"light": "light dark", "dark": "dark"}.get(theme, "light"),
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "layout": (HERE / "layout.js").read_text(encoding="utf-8"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
        "data": script_text(graph(view, drawn, detail) | {"direction": direction}),
    }
    return filled(HERE / "page.html", parts)


def graph(view: View, drawn: View, detail: str) -> dict[str, Any]:
    """Return boxes, lines, modules, loops and cards of a view as plain data.

    A card has the numbers of a variable or of a closed module; a box has those of what it shows.
    """
    found, full = levels(view, detail == "values"), compose(view, PAGE)
    whole, kept = found[0], set[str]()
    if drawn is not view:
        kept = {node.id for node in drawn.nodes if isinstance(node, Operation)}
    boxes: list[dict[str, Any]] = []
    modules: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    cards: dict[str, Any] = {}
    for level in found:
        closable = _closable(level)
        closed = _closed(level, closable)
        for box in level.boxes.values():
            shown = {"cards": _cards(box.id, level.tree.links, level.names), "call": box.id}
            boxes.append(_drawn(box, level.own(box.id), level.home(box.id), level) | shown)
        for part in closable:
            box, cards[part.id] = closed[part.id]
            shut = drawn is not view and not any(call.id in kept for call in part.bundle.calls)
            kind = "module" if part.bundle.modules else "run"
            told = {"cards": [part.id], "title": part.title, "shut": shut, "kind": kind}
            modules.append(_drawn(box, part.id, part.home, level) | told)
        for frame in level.loops:
            modules.append(
                {
                    "id": frame.id,
                    "home": level.home(frame),
                    "rolls": level.number,
                    "title": frame.title,
                    "words": frame.title,
                    "copies": frame.copies,
                    "kind": "loop",
                    "cards": [],
                }
            )
        position = {name: number for number, name in enumerate(level.boxes)}
        lines += [_line(line, level, position) for line in level.lines()]
    return {
        "boxes": boxes,
        "modules": modules,
        "lines": lines,
        "cards": {box.id: _card(box) for box in full.boxes if box.shape == "card"} | cards,
        "calls": _calls(view, full),
        "legend": [{**key.look._asdict(), "meaning": key.text} for key in whole.figure.legend],
        "remarks": [*whole.figure.caption, *[EXPLANATION] * (len(found) > 1)],
    }


class _Closable(NamedTuple):
    """A module or a run of operations that the reader can close."""

    id: str
    home: str  # the id of the frame around it, or ""
    title: str
    bundle: Bundle


def _closable(level: Level) -> list[_Closable]:
    runs = runs_of(level)  # first, because it moves modules
    return [
        *(
            _Closable(
                level.own(module.id),
                level.home(module),
                title_of(module),
                Bundle([list(module.operations())], (module,)),
            )
            for module in level.modules
        ),
        *(_Closable(run.id, run.home, run.title, Bundle([run.calls])) for run in runs),
    ]


def _closed(level: Level, parts: Sequence[_Closable]) -> dict[str, tuple[Box, dict[str, Any]]]:
    """Return by id the box of each part when it is closed, and the card with its numbers."""
    layers: list[tuple[set[str], list[_Closable]]] = []  # parts not nested in each other
    for part in parts:
        calls = {call.id for call in part.bundle.calls}
        layer = next((layer for layer in layers if layer[0].isdisjoint(calls)), None)
        if layer is None:
            layers.append((calls, [part]))
        else:
            layer[0].update(calls)
            layer[1].append(part)
    found = {}
    for _, layer_parts in layers:  # one contraction for each
        owner = owners(level.tree, [part.bundle for part in layer_parts])
        shut = contract(level.view, level.tree.links, owner)
        groups = {node.id: node for node in shut.nodes if isinstance(node, Group)}
        small, large = SmallWriter(shut, PAGE, numbers=False), Writer(shut, PAGE)
        for part in layer_parts:
            *_, last = part.bundle.calls  # its id is that of the contracted node
            group = groups[last.id]
            if not part.bundle.modules:
                group = replace(group, name=part.title)
            found[part.id] = small.closed(group), _card(large.group(group))
    return found


def _line(line: Line, level: Level, position: Mapping[str, int]) -> dict[str, Any]:
    """Return a line with its texts; a recurrence from its head, which is the earlier box."""
    back = line.is_recurrence and position[line.tail] >= position[line.head]
    tail, head = (line.head, line.tail) if back else (line.tail, line.head)
    return {
        "tail": level.own(tail),
        "head": level.own(head),
        "back": back,
        "local": line.local,
        "cells": line.cells,
        "flow": line.flow,
        "width": line.width,
        "height": line.height,
        "dashed": line.dashed,
    }


def _drawn(box: Box, identity: str, home: str, level: Level) -> dict[str, Any]:
    """Return a box as SVG around (0, 0), and its texts for the search."""
    texts = [*box.title, box.subtitle, *box.notes, box.tooltip]
    return {
        "id": identity,
        "home": home,
        "rolls": level.number,
        "name": " ".join(box.title),
        "words": "\n".join(filter(None, texts)),
        "width": box.width,
        "height": box.height,
        "svg": drawn_box(box, 0.0, 0.0, PAGE),
    }


def _cards(name: str, links: Links, boxes: set[str]) -> list[str]:
    """Return the ids of the variables that a box shows: a leaf, or results and parameters."""
    if name in links.variables:
        return [name]
    made = [edge.head for edge in links.results.get(name, ())]
    read = [edge.tail for edge in links.arguments.get(name, ())]
    return made + [leaf for leaf in read if leaf not in boxes and leaf not in links.maker]


def _card(box: Box) -> dict[str, Any]:
    """Return the texts and sketches of a card."""
    rows: list[dict[str, Any]] = []
    for row in box.rows:
        entry: dict[str, Any] = {"label": row.label, "lines": row.lines}
        if row.sketch is not None:
            size = {"width": row.sketch.width, "height": row.sketch.height}
            entry["sketch"] = size | {"svg": row.sketch.placed(0.0, 0.0)}
        rows.append(entry)
    return {"title": box.title[0], "subtitle": box.subtitle, "rows": rows}


def _calls(view: View, full: Figure) -> dict[str, Any]:
    """Return the call of each operation, its line in the program, and its arguments."""
    variables = {variable.id: variable for variable in view.variables}
    calls: dict[str, Any] = {}
    for operation in view.operations:
        file, _, line = operation.where.rpartition(":")
        calls[operation.id] = {
            "text": operation.call,
            "where": operation.where,
            "code": linecache.getline(file, int(line)).strip() if file else "",
            "arguments": [],
        }
    for arrow in full.lines:
        if arrow.head in calls and arrow.tail in variables:
            calls[arrow.head]["arguments"].append(
                {
                    "name": variables[arrow.tail].name,
                    "local": " ".join(arrow.local),
                    "matrix": arrow.matrix,
                    "flow": arrow.flow,
                }
            )
    return calls
