"""Names from hell: none breaks DOT, SVG or HTML, on any engine, and none runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.viz.compose.figure import card_title

NAMESPACE = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</svg><script>alert(1)</script>",
    "</title></style></textarea><b>",
    "<!-- comment",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml version='1.0'?>",
    "<!DOCTYPE html>",
    "&amp;",
    "&lt;b&gt;",
    "&#x41;",
    "&nosuchentity;",
    "&",
    "<",
    ">",
    "<b>bold</b>",
    "<TABLE><TR><TD>cell</TD></TR></TABLE>",
    '"',
    '""',
    "'",
    "`${alert(1)}`",
    '" onload="alert(1)',
    "' onload='alert(1)",
    "javascript:alert(1)",
    "\\",
    "\\N",
    "\\G\\E\\T\\H\\L",
    "\\n\\l\\r",
    'end\\"',
    "a:b",
    "n0:port:ne",
    "a -> b;",
    "}",
    "{a|b|<port>c}",
    "]; evil [label=x",
    "// comment",
    "# line",
    "digraph",
    "two\nlines",
    "\r\n\t\x00\x07\x1b[31m",
    "\ud800 half a pair",
    "\ufffe\uffff",
    "😀👩‍👩‍👧‍👦🇪🇺",
    "é̀̂" + "\u0301" * 50,
    "\u202e right to left",
    " ",
    "x" * 10_000,
    "重み" * 500,
    "%s %d {0} {name}",
]
ENGINES = {
    "dot": shutil.which("dot") is not None,
    "pygraphviz": find_spec("pygraphviz") is not None,
    "builtin": True,
}


def shown(name: str) -> str:
    """What stands on a card, or in a frame, of a name."""
    return "".join(c if c.isprintable() else " " for c in name)


def hostile_graph() -> tg.Tensor:
    """A sum over tensors with these names, half of them in modules with these names."""
    total = tg.tensor(0.0)
    for name in HOSTILE:
        x = tg.tensor(1.0, requires_grad=True, name=name)
        total = total + x * x
    total.name = HOSTILE[0]
    return total


class Named(nn.Module):
    """Modules and parameters whose names are hostile."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = []
        for name in HOSTILE:
            module = nn.Linear(1, 1)
            setattr(self, name, module)
            self.inner.append(name)

    def forward(self, x: Any) -> Any:
        for name in self.inner:
            x = getattr(self, name)(x)
        return x


def test_there_are_fifty_of_them() -> None:
    assert len(set(HOSTILE)) >= 50


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(name, marks=pytest.mark.skipif(not here, reason=f"there is no {name} here"))
        for name, here in ENGINES.items()
    ],
)
@pytest.mark.parametrize("kind", ["tensors", "modules"])
def test_no_name_breaks_an_svg_or_runs(kind: str, engine: str) -> None:
    if kind == "tensors":
        picture = viz.draw(hostile_graph(), force=True, engine=engine, fit=None)
    else:
        picture = viz.draw(Named(), tg.ones((1, 1)), force=True, engine=engine, fit=None)
    svg = picture.svg()
    root = ElementTree.fromstring(svg)
    tags = {element.tag.removeprefix(NAMESPACE) for element in root.iter()}
    known = {"svg", "g", "title", "path", "polygon", "polyline", "ellipse", "rect", "circle"}
    assert tags <= known | {"text", "defs", "marker", "tspan", "linearGradient", "stop", "line"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or name.endswith("href")]
    drawn = [g.get("id", "") for g in root.iter(f"{NAMESPACE}g")]
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch(r"[\w.-]+", name) for name in drawn), drawn
    titles = " ".join(title.text or "" for title in root.iter(f"{NAMESPACE}title"))
    words = " ".join("".join(text.itertext()) for text in root.iter(f"{NAMESPACE}text"))
    words = words.replace("\xa0", " ")
    for name in HOSTILE:
        assert shown(name) in titles
        if kind == "tensors":
            assert card_title(shown(name)).strip() in words


@pytest.mark.parametrize("kind", ["tensors", "modules"])
@pytest.mark.skipif(not ENGINES["dot"], reason="there is no dot here")
def test_dot_has_nothing_to_complain_about(kind: str) -> None:
    if kind == "tensors":
        picture = viz.draw(hostile_graph(), force=True, fit=None)
    else:
        picture = viz.draw(Named(), tg.ones((1, 1)), force=True, fit=None)
    done = subprocess.run(["dot", "-Tsvg"], input=picture.source.encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


class Scripts(HTMLParser):
    """The tags of a page with what a browser would take for a program in their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.suspects = 0, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.suspects += [tag] * (tag in ("img", "b", "textarea", "iframe"))
        for name, value in attrs:
            if name.startswith("on") or "javascript:" in (value or "")[:20]:
                self.suspects.append(f"{tag} {name}")


def test_no_name_breaks_a_page_of_steps(tmp_path: Path) -> None:
    plain = tg.tensor(1.0, requires_grad=True, name="x")
    pages = []
    for loss in (plain * plain, hostile_graph()):
        page = Scripts()
        page.feed(viz.steps(loss).html(tmp_path / "a.html").read_text(encoding="utf-8"))
        pages.append(page)
    assert pages[0].scripts == pages[1].scripts
    assert sorted(set(pages[1].suspects)) == sorted(set(pages[0].suspects))


def test_names_survive_json(tmp_path: Path) -> None:
    picture = viz.draw(hostile_graph(), force=True, fit=None)
    assert viz.load(picture.save(tmp_path / "a.json")).source == picture.source
