"""The page of a drawing: one HTML file with the boxes of all operations, modules and rolled loops.

`layout.js` places those that are visible, each time that the reader opens or closes a module;
`page.js` draws them and answers to pointer and keys.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from ..compose.compact import SmallWriter
from ..compose.figure import Box, Figure, Line, Writer, compose
from ..compose.nesting import title_of
from ..fold.clusters import Links, Module
from ..fold.contraction import Bundle, contract, owners
from ..fold.loops import EXPLANATION
from ..graph.view import Group, Operation, View
from ..render.html import ICON, filled, script_text
from ..render.svg import drawn_box
from ..style import elided
from ..themes import PAGE, variables
from .levels import Level, levels

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
    boxes, modules, lines, cards = [], [], [], {}
    for level in found:
        closed = _closed(level)
        for box in level.boxes.values():
            parts = _cards(box.id, level.tree.links, level.names)
            boxes.append(_drawn(box, box.id, level) | {"cards": parts, "call": box.id})
        for module in level.modules:
            box, card = closed[module]
            identity = level.own(module.id)
            shut = drawn is not view and not any(c.id in kept for c in module.operations())
            told = {"cards": [identity], "title": title_of(module), "shut": shut}
            modules.append(_drawn(box, module, level) | told)
            cards[identity] = _card(card)
        for frame in level.loops:
            modules.append(
                {
                    "id": frame.id,
                    "home": frame.home,
                    "rolls": level.number,
                    "title": frame.title,
                    "words": frame.title,
                    "copies": frame.copies,
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


def _closed(level: Level) -> dict[Module, tuple[Box, Box]]:
    """Return the box of each module when it is closed, and the card with its numbers."""
    depths: dict[int, list[Module]] = {}
    for module in level.modules:
        depths.setdefault(len(module.path), []).append(module)
    found = {}
    for modules in depths.values():  # no module is in another of its depth: one contraction
        bundles = [Bundle([list(module.operations())], (module,)) for module in modules]
        shut = contract(level.view, level.tree.links, owners(level.tree, bundles))
        groups = {node.id: node for node in shut.nodes if isinstance(node, Group)}
        small, large = SmallWriter(shut, PAGE, numbers=False), Writer(shut, PAGE)
        for module in modules:
            *_, last = module.operations()  # its id is that of the contracted node
            box, card = small.closed(groups[last.id]), large.group(groups[last.id])
            found[module] = replace(box, id=module.id), replace(card, id=module.id)
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


def _drawn(box: Box, part: str | Module, level: Level) -> dict[str, Any]:
    """Return the box of a part as SVG around (0, 0), and its texts for the search."""
    texts = [*box.title, box.subtitle, *box.notes, box.tooltip]
    return {
        "id": level.own(box.id),
        "home": level.home(part),
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
