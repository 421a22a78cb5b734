"""The steps as one HTML page: the drawing once, and for every step its differences.

The template `steps.html` holds texts, styles and script; the page loads no other file.
"""

from __future__ import annotations

import json
import linecache
import xml.etree.ElementTree as ElementTree
from html import escape
from pathlib import Path
from typing import Any

from .frames import Scene, Stage
from .states import PHASES, palette, sheet

TEMPLATE = Path(__file__).with_name("steps.html")
LONGEST_NAME = 60  # characters of a name in the page's title


def page(stage: Stage) -> str:
    """Return the whole page as HTML."""
    name = stage.top if len(stage.top) <= LONGEST_NAME else stage.top[:LONGEST_NAME] + "…"
    colours = palette(stage.theme)
    parts = {
        "title": f"Backpropagation of {escape(name)}, step by step",
        "variables": ";".join(f"--{name}:{colour}" for name, colour in colours.items()),
        "looks": sheet(colours),
        "svg": _svg(stage),
        "film": _script_text(_film(stage)),
    }
    before, *pieces = TEMPLATE.read_text(encoding="utf-8").split("{{")
    filled = (parts[key] + rest for key, rest in (piece.split("}}", 1) for piece in pieces))
    return before + "".join(filled)


def embedded(stage: Stage) -> str:
    """Return the page as an iframe for another page, such as a notebook."""
    *_, width, height = map(float, stage.root.get("viewBox", "0 0 1 1").split())
    high = round(min(max(height * min(4 / 3, 900 / width) + 380, 560), 900))
    return (
        f'<iframe srcdoc="{escape(page(stage))}" style="width:100%;height:{high}px;border:0" '
        'title="Backpropagation, step by step"></iframe>'
    )


def _svg(stage: Stage) -> str:
    """Return the drawing before the first step, without numbers."""
    root = stage.paint(Scene(dict.fromkeys(stage.groups, ""), dict.fromkeys(stage.texts, "")))
    width, height = root.get("viewBox", "0 0 1 1").split()[2:]
    attributes = {"viewBox": root.get("viewBox", ""), "data-width": width, "data-height": height}
    svg = ElementTree.Element("svg", {**attributes, "id": "drawing", "role": "img"})
    svg.set("aria-label", "the graph of the computation")
    svg.extend(root)
    return ElementTree.tostring(svg, encoding="unicode", short_empty_elements=False)


def _film(stage: Stage) -> dict[str, Any]:
    """Return the data of the script: for each step its caption and the changes to the drawing."""
    steps, before = [], Scene({}, {})
    for frame, scene in zip(stage.frames, stage.scenes(), strict=True):
        steps.append(
            {
                "phase": frame.phase,
                "caption": frame.caption,
                "classes": _changes(before.classes, scene.classes),
                "texts": _changes(before.texts, scene.texts),
                "at": frame.at,
                "where": frame.where,
            }
        )
        before = scene
    return {"phases": PHASES, "steps": steps, "code": _code(stage)}


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    return {name: now for name, now in after.items() if now != before.get(name, "")}


def _code(stage: Stage) -> list[tuple[str, str]]:
    """Return the source lines of the steps, sorted by file and line."""
    places = sorted({_place(frame.where) for frame in stage.frames if frame.where})
    lines = ((f"{file}:{line}", linecache.getline(file, line).rstrip()) for file, line in places)
    return [(where, text) for where, text in lines if text]


def _place(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return file, int(line)


def _script_text(data: Any) -> str:
    """Return JSON that is safe inside a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
