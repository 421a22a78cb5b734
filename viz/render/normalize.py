"""One SVG from three engines: the same ids, classes, tooltips and texts, ready for an HTML page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

from ..compose.figure import PADDING, Box, Figure
from ..compose.sketches import vacant
from ..themes import Theme

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
FADED = "0.85"  # the opacity of what is dimmed: grey texts still stand out 4.5:1


def normalize(svg: str, figure: Figure) -> str:
    """The SVG of a figure by any engine, in the form that all have in common.

    Groups with ids n…, e_… and c_… keep their classes and their shapes; each has its tooltip as
    `<title>`, which is what browsers show, and links and comments are gone. The picture is never
    wider than what it is put into.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg[svg.index("<svg") :])
    tooltips: dict[str, str] = {box.id: box.tooltip for box in figure.boxes}
    tooltips |= {line.id: line.tooltip for line in figure.lines}
    tooltips |= {cluster.id: cluster.tooltip for cluster in figure.clusters}
    cards = {box.id: box for box in figure.boxes if box.rows}
    for group in root.iter(f"{{{SVG}}}g"):
        _unwrap(group)
        if group.get("id") in cards:
            _align(group, cards[group.get("id", "")])
            _sketch(group, cards[group.get("id", "")], figure.theme)
        _title(group, tooltips)
        if "dim" in group.get("class", "").split():
            group.set("opacity", FADED)
    root.set("style", "max-width:100%;height:auto")
    root.set("role", "img")
    root.set("aria-label", f"graph of {len(figure.boxes)} nodes and {len(figure.lines)} edges")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _unwrap(group: ElementTree.Element) -> None:
    """Put shapes where Graphviz has put links around them, which carry its tooltips."""
    shapes: list[ElementTree.Element] = []
    for child in group:
        if re.match(r"a_", child.get("id", "")):
            shapes += [shape for link in child for shape in link]
        else:
            shapes.append(child)
    group[:] = shapes


def _align(card: ElementTree.Element, box: Box) -> None:
    """Hold a card's values at its right side, however wide a reader's font makes them."""
    places = [x for shape in card.iter(f"{{{SVG}}}polygon") for x, _ in _corners(shape)]
    values = {line for row in box.rows for line in row.lines}
    for text in card.iter(f"{{{SVG}}}text") if places else ():
        words = (text.text or "").replace("\xa0", " ")
        if text.get("text-anchor") == "start" and words in values:
            text.set("text-anchor", "end")
            text.set("x", f"{max(places) - PADDING:.2f}")


def _sketch(card: ElementTree.Element, box: Box, theme: Theme) -> None:
    """Put a card's sketches where Graphviz has left room for them."""
    sketches = [row.sketch for row in box.rows if row.sketch is not None]
    shapes = list(card.iter(f"{{{SVG}}}polygon"))
    cells = [shape for shape in shapes if shape.get("fill", "").upper() == vacant(theme)]
    right = max((x for shape in shapes for x, _ in _corners(shape)), default=0.0) - PADDING
    for sketch, cell in zip(sketches, cells, strict=False):
        heights = [y for _, y in _corners(cell)]
        top = (min(heights) + max(heights) - sketch.height) / 2
        cell.set("fill", theme.paper)
        text = sketch.placed(right - sketch.width, top)
        card.append(ElementTree.fromstring(f'<svg xmlns="{SVG}">{text}</svg>')[0])


def _corners(polygon: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (corner.split(",") for corner in polygon.get("points", "").split())
    return [(float(x), float(y)) for x, y in pairs]


def _title(group: ElementTree.Element, tooltips: Mapping[str, str]) -> None:
    """Replace a group's title, which Graphviz makes of its own names, by the tooltip."""
    for title in group.findall(f"{{{SVG}}}title"):
        group.remove(title)
    tooltip = tooltips.get(group.get("id", ""), "")
    if tooltip:
        title = ElementTree.Element(f"{{{SVG}}}title")
        title.text = tooltip
        group.insert(0, title)
