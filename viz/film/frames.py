"""One drawing, many frames: an SVG in which only classes and texts change.

`Stage` draws the graph once, with its final numbers, and gives an id to every text that changes. A
`Scene` holds for one frame the class of each group and the content of each text. Two scenes differ
in a few entries; a page needs only these differences. The code relies on the ids and classes of
groups alone, so it works with the SVG of every layout engine.
"""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gm.backend import to_device

from .. import style, themes
from ..compose.figure import Box, Figure, compose
from ..graph.view import View
from ..render import engine
from ..themes import Theme
from .recorder import Frame

Element = ElementTree.Element
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
MARGIN = 6.0  # points between a card's border and its numbers


class Scene(NamedTuple):
    """A frame as drawn: by id the classes of each group and the content of each text."""

    classes: dict[str, str]
    texts: dict[str, str]


class Stage:
    """The drawing of a view, which can show any of its frames."""

    def __init__(self, view: View, frames: Sequence[Frame], direction: str, theme: str) -> None:
        self.frames, self.view = frames, view
        self.theme = themes.theme(theme)
        self.variables = {variable.id: variable for variable in view.variables}
        self.top = next(variable.name for variable in view.variables if variable.is_root)
        figure, self.root = _drawing(view, direction, self.theme)
        self.groups = {
            group.get("id", ""): group
            for group in self.root.iter("g")
            if re.match(r"(node|edge)\b", group.get("class", ""))
        }
        self.base = {name: group.get("class", "") for name, group in self.groups.items()}
        self.texts: dict[str, Element] = {}
        self.rows: dict[str, tuple[list[str], list[str]]] = {}  # a card's value and gradient texts
        self.locals: list[str] = []  # the texts of local derivatives
        self.flows: dict[str, str] = {}  # by edge the text of its contribution
        for box in figure.boxes:
            self._tag_box(box)
        for line in figure.lines:
            self._tag_line(line.id, line.flow)
        self.final = {name: text.text or "" for name, text in self.texts.items()}
        self._place_badges()

    # ------------------------------------------------------------------------- preparation

    def _tag_box(self, box: Box) -> None:
        """Add classes to fills and borders, and ids to the texts of value and gradient."""
        group = self.groups[box.id]
        _tag_shapes(group)
        texts = itertools.islice(group.iter("text"), len(box.title) + bool(box.subtitle), None)
        right = _corner(group)[0] - MARGIN if box.rows else 0.0
        rows: dict[str, list[str]] = {"value": [], "gradient": []}
        for row in box.rows:
            kind = "value" if row.label == "value" else "gradient"
            if kind == "gradient" and not re.match("∂|gradient$", row.label):
                continue
            next(text for text in texts if _read(text) == row.label)
            for number, text in enumerate(itertools.islice(texts, len(row.lines))):
                text.attrib |= {"text-anchor": "end", "x": f"{right:.1f}"}
                rows[kind].append(self._tag_text(f"{box.id}_{kind}_{number}", text))
        self.rows[box.id] = rows["value"], rows["gradient"]

    def _tag_line(self, name: str, flow: str) -> None:
        group = self.groups[name]
        _tag_shapes(group)
        for title in group.findall("title"):
            group.remove(title)
        texts = list(group.iter("text"))
        if flow and texts:
            flowing = texts.pop()
            flowing.set("class", "flow")
            self.flows[name] = self._tag_text(f"{name}_flow", flowing)
        for number, text in enumerate(texts):
            self.locals.append(self._tag_text(f"{name}_local_{number}", text))
        if "grad-unneeded" not in self.base[name] and "output" not in self.base[name]:
            path = group.find("path")
            if path is not None and (arrow := _arrow_back(path.get("d", ""))):
                group.append(Element("path", {"class": "back", "d": arrow}))

    def _tag_text(self, name: str, text: Element) -> str:
        text.set("id", name)
        self.texts[name] = text
        return name

    def _place_badges(self) -> None:
        """Add a count of the contributions so far to each card that receives several."""
        for name, (_, due) in self.frames[-1].arrived.items():
            if due < 2:
                continue
            group = self.groups[name]
            right, top = _corner(group)
            badge = ElementTree.SubElement(group, "g", {"class": "badge"})
            width = 11.0 + 6 * len(str(due)) * 2
            left = right - width + 6
            box = {"x": f"{left:.1f}", "y": f"{top - 8:.1f}", "width": f"{width:.1f}"}
            ElementTree.SubElement(badge, "rect", {**box, "height": "14", "rx": "7"})
            place = {"x": f"{left + width / 2:.1f}", "y": f"{top + 2.3:.1f}"}
            text = ElementTree.SubElement(
                badge, "text", {**place, "text-anchor": "middle", "font-size": "9"}
            )
            self._tag_text(f"{name}_badge", text)

    # ------------------------------------------------------------------------------ scenes

    def scenes(self) -> Iterator[Scene]:
        """Yield the scene of each frame, in order."""
        return map(self.scene, self.frames)

    def scene(self, frame: Frame) -> Scene:
        """Return the classes of all groups and the contents of all tagged texts in a frame."""
        classes, texts = {}, dict.fromkeys(self.texts, "")
        outputs = {edge.head for edge in self.view.edges if edge.tail == frame.at}
        for name in self.base:
            extra: list[str] = []
            if name in self.variables:
                extra = self._looks(frame, name, name in outputs)
                self._write_card(frame, name, texts)
            elif name == frame.at:
                extra = ["current"]
            elif name in frame.moving:
                extra = ["moving", frame.phase]
            elif name.startswith("e_") and name in frame.sent:
                extra = ["sent"]
            classes[name] = " ".join(extra)
        if frame.phase != "forward":
            texts.update(self._final(self.locals))
        texts.update(self._final([self.flows[name] for name in frame.sent if name in self.flows]))
        return Scene(classes, texts)

    def _looks(self, frame: Frame, name: str, fresh: bool) -> list[str]:
        looks = []
        if frame.phase == "forward":
            looks.append("known" if name in frame.known else "unknown")
            looks += ["fresh"] * fresh
        elif name in frame.updated:
            looks.append("updated")
        elif name in frame.states:
            looks.append(frame.states[name])
            looks += ["source"] * fresh
        return looks + ["current"] * (name == frame.at)

    def _write_card(self, frame: Frame, name: str, texts: dict[str, str]) -> None:
        values, gradients = self.rows.get(name, ([], []))
        if name in frame.updated:
            texts.update(_fitted(self._final(values), frame.updated[name]))
        elif name in frame.known:
            texts.update(self._final(values))
        if gradients and frame.states.get(name) == "final":
            texts.update(self._final(gradients))
        elif gradients and name in frame.sums:
            texts.update(_fitted(self._final(gradients), frame.sums[name]))
        elif gradients and name in frame.states:
            texts[gradients[0]] = style.UNKNOWN
        elif gradients:
            texts.update(self._final(gradients))
        if f"{name}_badge" in texts:
            count, due = frame.arrived[name]
            texts[f"{name}_badge"] = f"{count}/{due}" if frame.phase != "forward" else ""

    def _final(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.final[name] for name in names}

    def paint(self, scene: Scene) -> Element:
        """Set the drawing to a scene; returns the same tree every time."""
        for name, classes in scene.classes.items():
            self.groups[name].set("class", f"{self.base[name]} {classes}".strip())
        for name, text in scene.texts.items():
            self.texts[name].text = text
        return self.root


# ------------------------------------------------------------------------------------ helpers


def _drawing(view: View, direction: str, theme: Theme) -> tuple[Figure, Element]:
    """Return the figure with the final numbers, and its SVG as a tree without namespaces."""
    for variable in view.variables:
        variable.stored = variable.gradient  # no extra row for gradients of other passes
    figure = replace(compose(view, theme), caption=(), legend=())
    root = ElementTree.fromstring(engine.picture(figure, direction))
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib.pop("font-family", None)
        for name in [name for name in element.attrib if name.startswith(XLINK)]:
            value = element.attrib.pop(name)
            if name == f"{XLINK}href":
                element.set("href", value)
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    return figure, root


def _tag_shapes(group: Element) -> None:
    """Add classes to a group's own shapes: fills, borders, lines and arrowheads."""
    is_edge = group.get("class", "").startswith("edge")
    for shape in group:
        if shape.tag not in ("polygon", "rect", "ellipse", "circle", "path"):
            continue
        if is_edge:
            shape.set("class", "wire" if shape.tag == "path" else "tip")
        elif shape.get("fill") not in (None, "none", "transparent"):
            shape.set("class", "ground")
        else:
            shape.set("class", "rim")


def _read(text: Element) -> str:
    return "".join(text.itertext()).replace("\xa0", " ")


def _fitted(final: Mapping[str, str], array: Any) -> dict[str, str]:
    """Describe an array in the given lines; a number is about as wide as its final text."""
    lines = style.describe(array)
    array = np.asarray(to_device(array, "cpu"), float)
    if array.size == 1:
        (room,) = map(len, final.values())
        digits = (style.number(array.item(), decimals) for decimals in (4, 3, 2))
        lines = (min(digits, key=lambda text: max(len(text), room + 1)),)
    elif len(lines) > len(final):
        lines = (f"{style.number(array.mean())} ± {style.number(array.std()).lstrip('+')}",)
    return dict(zip(final, lines, strict=False))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def _corner(group: Element) -> tuple[float, float]:
    """Return the upper right corner of a card."""
    rights, tops = [], []
    for shape in group.iter():
        if shape.tag == "polygon":
            numbers = _numbers(shape.get("points", ""))
            rights.append(max(numbers[::2]))
            tops.append(min(numbers[1::2]))
        elif shape.tag == "rect":
            x, y, width = (float(shape.get(key, 0)) for key in ("x", "y", "width"))
            rights.append(x + width)
            tops.append(y)
    return max(rights), min(tops)


def _arrow_back(path: str) -> str:
    """Return the path of a small arrowhead at the start of an edge, pointing away from it."""
    numbers = _numbers(path)
    if len(numbers) < 4:
        return ""
    start = np.array(numbers[:2])
    points = np.array(numbers[: len(numbers) // 2 * 2]).reshape(-1, 2)
    away = [offset for offset in points - start if np.hypot(*offset) > 1]
    if not away:
        return ""
    along = away[0] / np.hypot(*away[0])
    across = np.array([-along[1], along[0]])
    corners = [start - along, start + 8 * along + 4 * across, start + 8 * along - 4 * across]
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in corners) + "z"
