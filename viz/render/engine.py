"""Layout engines: the program `dot` of Graphviz, pygraphviz in a subprocess, and `layered`.

`layered` is used if the others are missing or fail. `normalize` makes one form of SVG of all three.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ..compose.figure import PADDING, Box, Figure
from ..compose.sketches import vacant
from ..themes import Theme
from . import bows, dot, svg, titles
from .raster import SCALE

TIMEOUT = 30.0  # seconds
BUILTIN = "builtin"
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
FADED = "0.85"  # opacity of dimmed groups: grey texts keep a contrast of 4.5:1
HINT = (
    "install Graphviz (apt install graphviz, brew install graphviz, winget install "
    "Graphviz.Graphviz, or conda install graphviz), or its library: pip install "
    "'tinygrad_gm[render]'"
)


# A long layout cannot be interrupted from Python, and a crash of the library ends its process.
_PYGRAPHVIZ = """
import pygraphviz, sys
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
if sys.argv[1] == "png":
    graph.graph_attr["dpi"] = sys.argv[2]
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""
_ENDS = {  # start and end of a complete file
    "svg": (b"<svg", b"</svg>"),
    "png": (b"\x89PNG", b"IEND"),
    "pdf": (b"%PDF", b"%%EOF"),
}
_GRAPHVIZ = "dot", "pygraphviz"  # in order of preference


class MissingEngine(RuntimeError):  # noqa: N818 (a name as of a built-in error)
    """A program needed for a picture is not installed; the message says how to install it."""


def check(name: str | None) -> None:
    """Raise ValueError for an unknown engine, MissingEngine for one that is not installed."""
    if name in (None, BUILTIN):
        return
    if name not in _GRAPHVIZ:
        known = ", ".join(f'"{engine}"' for engine in _GRAPHVIZ)
        raise ValueError(f'draw: unknown engine {name!r}; use {known} or "{BUILTIN}"')
    if _command(name, "svg") is None:
        raise MissingEngine(f"engine {name!r} is not installed: {HINT}")


def picture(figure: Figure, direction: str, name: str | None = None) -> str:
    """Return the SVG of a figure by an engine (see `render`), normalized."""
    rendered = render(dot.source(figure, direction), "svg", name)
    drawn = svg.draw(figure, direction) if rendered is None else rendered.decode()
    return normalize(drawn, figure)


def render(source: str, kind: str, name: str | None = None, scale: float = SCALE) -> bytes | None:
    """Render a DOT text with Graphviz; None if the built-in layout is to be used.

    Args:
        source: DOT text.
        kind: "svg", "png" or "pdf".
        name: the engine; None: the first that is installed and does not fail.
        scale: pixels of a PNG per pixel of the drawing.

    Raises:
        MissingEngine: the engine `name` is not installed.
        RuntimeError: it fails, writes an incomplete file, or takes more than 30 seconds.
    """
    check(name)
    if name is not None:
        return None if name == BUILTIN else _run(name, source, kind, scale)
    for engine in _GRAPHVIZ:
        if _command(engine, kind) is None:
            continue
        try:
            return _run(engine, source, kind, scale)
        except (OSError, RuntimeError) as error:
            warnings.warn(f"{error}; drawn with the next engine instead", stacklevel=3)
    return None


def _command(name: str, kind: str, scale: float = SCALE) -> list[str] | None:
    """Return the command that renders DOT text, None where it is not installed."""
    dpi = f"{96 * scale:g}"
    if name == "pygraphviz":
        return [sys.executable, "-c", _PYGRAPHVIZ, kind, dpi] if find_spec(name) else None
    program = shutil.which("dot")
    resolution = [f"-Gdpi={dpi}"] if kind == "png" else []
    return [program, f"-T{kind}", *resolution] if program else None


def _run(name: str, source: str, kind: str, scale: float) -> bytes:
    path = os.pathsep.join(filter(None, sys.path))  # pygraphviz is found where this process does
    environment = {**os.environ, "PYTHONPATH": path} if name == "pygraphviz" else None
    try:
        done = subprocess.run(
            _command(name, kind, scale) or [],
            input=source.encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} did not finish within {TIMEOUT:.0f} s") from error
    except subprocess.CalledProcessError as error:
        complaints = error.stderr.decode(errors="replace").strip().splitlines()
        complaint = complaints[-1 if name == "pygraphviz" else 0] if complaints else error
        raise RuntimeError(f"{name} failed: {complaint}") from error
    start, end = _ENDS[kind]
    if start not in done.stdout[:4096] or end not in done.stdout[-64:]:
        raise RuntimeError(f"{name} wrote {len(done.stdout)} bytes that are not a complete {kind}")
    return done.stdout


# ------------------------------------------------------------------------------ normalized SVG


def normalize(svg: str, figure: Figure) -> str:
    """Return the SVG of any engine in one form, ready for an HTML page.

    Groups with ids n…, e_… and c_… keep their classes and shapes; the tooltip is their `<title>`,
    which browsers show; links and comments are removed. The picture is never wider than its
    container.
    """
    root = _tree(svg[svg.index("<svg") :])
    parts: list[Any] = [*figure.boxes, *figure.lines, *figure.clusters]
    tooltips = {part.id: part.tooltip for part in parts}
    cards = {box.id: box for box in figure.boxes if box.rows}
    for group in root.iter(f"{{{SVG}}}g"):
        _unwrap(group)
        if group.get("id") in cards:
            _align(group, cards[group.get("id", "")])
            _sketch(group, cards[group.get("id", "")], figure.theme)
        _title(group, tooltips)
        if "dim" in group.get("class", "").split():
            group.set("opacity", FADED)
    bows.clear(root, figure)
    titles.clear(root)
    root.set("style", "max-width:100%;height:auto")
    root.set("role", "img")
    root.set("aria-label", f"graph of {len(figure.boxes)} nodes and {len(figure.lines)} edges")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def with_own_ids(svg: str) -> str:
    """Return an SVG whose ids and styles apply to no other picture in the same HTML page.

    Ids begin with a hash of the whole text and a hyphen, so equal pictures have equal ids. The
    selectors of a style sheet begin with the id of the root.
    """
    root = _tree(svg)
    own = "d" + hashlib.sha256(svg.encode()).hexdigest()[:10]
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, f"{own}-{value}")
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{own}-"))
    for sheet in root.iter(f"{{{SVG}}}style"):
        root.set("id", own)
        sheet.text = re.sub(r"([.\w][^,{}]*)(?=[,{])(?![^{]*\})", rf"#{own} \1", sheet.text or "")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _tree(svg: str) -> ElementTree.Element:
    """Return the tree of an SVG, which is written again without prefixes of namespaces."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.fromstring(svg)


def _unwrap(group: ElementTree.Element) -> None:
    """Replace the links of Graphviz, which carry tooltips, by the shapes in them."""
    shapes: list[ElementTree.Element] = []
    for child in group:
        if re.match(r"a_", child.get("id", "")):
            shapes += [shape for link in child for shape in link]
        else:
            shapes.append(child)
    group[:] = shapes


def _align(card: ElementTree.Element, box: Box) -> None:
    """Align the values of a card to the right, whatever the width of the font."""
    shapes = card.iter(f"{{{SVG}}}polygon")
    places = [x for shape in shapes for x, _ in titles.corners(shape.get("points", ""))]
    values = {line for row in box.rows for line in row.lines}
    for text in card.iter(f"{{{SVG}}}text") if places else ():
        words = (text.text or "").replace("\xa0", " ")
        if text.get("text-anchor") == "start" and words in values:
            text.set("text-anchor", "end")
            text.set("x", f"{max(places) - PADDING:.2f}")


def _sketch(card: ElementTree.Element, box: Box, theme: Theme) -> None:
    """Insert the sketches of a card into the empty cells that Graphviz has laid out."""
    sketches = [row.sketch for row in box.rows if row.sketch is not None]
    shapes = list(card.iter(f"{{{SVG}}}polygon"))
    cells = [shape for shape in shapes if shape.get("fill", "").upper() == vacant(theme)]
    points = [titles.corners(shape.get("points", "")) for shape in shapes]
    right = max((x for places in points for x, _ in places), default=0.0) - PADDING
    for sketch, cell in zip(sketches, cells, strict=False):
        heights = [y for _, y in titles.corners(cell.get("points", ""))]
        top = (min(heights) + max(heights) - sketch.height) / 2
        cell.set("fill", theme.paper)
        text = sketch.placed(right - sketch.width, top)
        card.append(ElementTree.fromstring(f'<svg xmlns="{SVG}">{text}</svg>')[0])


def _title(group: ElementTree.Element, tooltips: Mapping[str, str]) -> None:
    """Replace the title of a group, which Graphviz derives from ids, by the tooltip."""
    for title in group.findall(f"{{{SVG}}}title"):
        group.remove(title)
    tooltip = tooltips.get(group.get("id", ""), "")
    if tooltip:
        title = ElementTree.Element(f"{{{SVG}}}title")
        title.text = tooltip
        group.insert(0, title)
