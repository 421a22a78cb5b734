"""Nothing in a drawing overlaps anything: boxes measured in the laid-out SVG, on all engines."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest
from viz_graphs import GRAPHS

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, viz
from tinygrad_gm.viz import style

SVG = "{http://www.w3.org/2000/svg}"
INSTALLED = {"dot": shutil.which("dot"), "pygraphviz": find_spec("pygraphviz"), "builtin": True}


class Rectangle(NamedTuple):
    """Left, top, right, bottom, and what it is."""

    left: float
    top: float
    right: float
    bottom: float
    kind: str
    words: str

    def overlaps(self, other: Rectangle) -> bool:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 1.0 and down > 1.0


def around(points: Any, kind: str, words: str) -> Rectangle:
    xs, ys = zip(*points, strict=True)
    return Rectangle(min(xs), min(ys), max(xs), max(ys), kind, words)


def corners(text: str) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def of_text(text: Any, kind: str) -> Rectangle:
    """The box of a text, by the widths of the font that the pictures are drawn with."""
    words, size = text.text or "", float(text.get("font-size"))
    width = 0.9 * style.text_width(words.strip(), size, text.get("font-weight") == "bold")
    x, y = float(text.get("x")), float(text.get("y"))
    left = x - {"middle": width / 2, "end": width}.get(text.get("text-anchor"), 0.0)
    return Rectangle(left, y - 0.75 * size, left + width, y + 0.15 * size, kind, words)


def shapes_of(group: Any, kind: str, words: str) -> Iterator[Rectangle]:
    for shape in group:
        if shape.tag == f"{SVG}polygon":
            yield around(corners(shape.get("points")), kind, words)
        elif shape.tag == f"{SVG}rect":
            x, y, w, h = (float(shape.get(side)) for side in ("x", "y", "width", "height"))
            yield Rectangle(x, y, x + w, y + h, kind, words)
        elif shape.tag == f"{SVG}ellipse":
            x, y, a, b = (float(shape.get(side)) for side in ("cx", "cy", "rx", "ry"))
            yield Rectangle(x - a, y - b, x + a, y + b, kind, words)
        elif shape.tag == f"{SVG}path":
            yield around(corners(shape.get("d")), kind, words)


def curve(path: str) -> list[tuple[float, float]]:
    """Points on a path of cubic Bézier curves."""
    first, *rest = corners(path)
    points = [first]
    for start in range(0, len(rest) - 2, 3):
        a, b, c, d = (np.array(p) for p in (points[-1], *rest[start : start + 3]))
        for t in np.linspace(0, 1, 24)[1:]:
            points.append(
                tuple(
                    (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
                )
            )
    return points


def measured(svg: str) -> tuple[list[Rectangle], list[Rectangle], dict[str, Any]]:
    """Boxes, labels, titles and arrows' heads of a picture; titles; curves of the edges by id."""
    found: list[Rectangle] = []
    titles: list[Rectangle] = []
    curves: dict[str, Any] = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        kind = group.get("class", "").partition(" ")[0]
        name = group.get("id", "").rpartition("-")[2]
        texts = list(group.iter(f"{SVG}text"))
        if kind == "node" and "port" not in group.get("class", ""):
            found.append(max(shapes_of(group, "box", name), key=lambda r: r.right - r.left))
        elif kind == "edge":
            if texts:
                boxes = [of_text(text, "label") for text in texts]
                cells = [s for s in group if s.tag == f"{SVG}polygon"][1:]
                cells += [s for s in group if s.tag == f"{SVG}rect"]
                boxes += shapes_of(cells, "label", "cells")
                whole = [p for r in boxes for p in ((r.left, r.top), (r.right, r.bottom))]
                found.append(around(whole, "label", boxes[0].words))
            path = group.find(f"{SVG}path").get("d")
            curves[name] = curve(path)
            heads = [s for s in group if s.tag == f"{SVG}polygon"]  # and then cells of a label
            if heads:
                found.append(around(corners(heads[0].get("points")), "head", name))
            elif "shared" not in group.get("class", ""):
                x, y = curves[name][-1]
                found.append(Rectangle(x - 4, y - 2, x + 0, y + 2, "head", name))
        elif kind == "cluster":
            titles += [of_text(text, "title") for text in texts]
    return found + titles, titles, curves


def residual() -> Any:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return x + self.second(F.relu(self.first(x)))

    return (nn.Sequential(Block(), Block())(tg.randn((3, 4))) ** 2).mean()


def gan() -> Any:
    maker = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    judge = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    fake, one = maker(tg.randn((5, 4))), tg.ones((5, 1))
    loss = F.binary_cross_entropy_with_logits
    real = loss(judge(tg.randn((5, 2))), one)
    return [real + loss(judge(fake.detach()), tg.zeros((5, 1))), loss(judge(fake), one)]


def vae() -> Any:
    x = tg.rand((3, 8))
    mean, logvar = nn.Linear(8, 2)(x), nn.Linear(8, 2)(x)
    z = mean + tg.exp(0.5 * logvar) * tg.randn((3, 2))
    found = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 8))(z)
    return F.mse_loss(found, x) - 0.5 * (1 + logvar - mean**2 - tg.exp(logvar)).sum()


def second_order() -> Any:
    w, x = tg.randn((4, 3), requires_grad=True), tg.randn((5, 4), requires_grad=True)
    (slope,) = tg.grad(tg.tanh(x @ w).sum(), x, create_graph=True)
    return (slope**2).sum()


def unrolled() -> Any:
    cell, h = nn.RNNCell(3, 4), tg.zeros((2, 4))
    for x in tg.randn((4, 2, 3)):
        h = cell(x, h)
    return h.sum()


def shared() -> Any:
    layer = nn.Linear(3, 3)
    return layer(tg.tanh(layer(tg.randn((2, 3))))).sum()


def irregular(seed: int) -> Callable[[], Any]:
    def make() -> Any:
        rng = np.random.default_rng(seed)
        known = [tg.tensor(v, requires_grad=True, name=f"x{i}") for i, v in enumerate((0.3, -1.2))]
        for _ in range(9):
            one, two = (known[i] for i in rng.integers(len(known), size=2))
            known.append([tg.tanh(one), one * two, one + two, tg.sin(two)][rng.integers(4)])
        return sum(known[2:], known[0])

    return make


def model(*layers: Callable[[], nn.Module], shape: tuple[int, ...]) -> Callable[[], Any]:
    return lambda: nn.Sequential(*(layer() for layer in layers))(tg.randn(shape)).mean()


PROGRAMS: dict[str, Callable[[], Any]] = {
    **GRAPHS,
    "residual": residual,
    "gan": gan,
    "vae": vae,
    "second order": second_order,
    "unrolled": unrolled,
    "shared": shared,
    "irregular 0": irregular(0),
    "irregular 1": irregular(1),
    "irregular 2": irregular(2),
    "perceptron": model(lambda: nn.Linear(4, 4), nn.Tanh, lambda: nn.Linear(4, 2), shape=(3, 4)),
    "convolution": model(
        lambda: nn.Conv2d(1, 2, 3), nn.ReLU, lambda: nn.MaxPool2d(2), shape=(1, 1, 8, 8)
    ),
    "norms": model(lambda: nn.LayerNorm(4), lambda: nn.Linear(4, 4), nn.GELU, shape=(3, 4)),
    "attention": lambda: (lambda x: nn.MultiheadAttention(4, 2)(x, x, x)[0].sum())(
        tg.randn((3, 1, 4))
    ),
    "encoder": model(lambda: nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0), shape=(3, 1, 8)),
    "softmax": lambda: F.cross_entropy(nn.Linear(3, 4)(tg.randn((2, 3))), tg.tensor([0, 3])),
}


def test_there_are_twenty_programs() -> None:
    assert len(PROGRAMS) == 20


@pytest.mark.sweep
@pytest.mark.parametrize("engine", INSTALLED)
@pytest.mark.parametrize("options", [{"fit": None}, {"direction": "TB"}], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_overlaps_anything(name: str, options: dict[str, Any], engine: str) -> None:
    if not INSTALLED[engine]:
        pytest.skip(f"{engine} is not installed")
    tg.manual_seed(0)
    found, titles, curves = measured(viz.draw(PROGRAMS[name](), engine=engine, **options).svg())
    kinds = {"box", "label", "title", "head"}
    assert {r.kind for r in found} <= kinds
    wrong = [
        f"{one.kind} {one.words!r} and {two.kind} {two.words!r}"
        for one, two in combinations(found, 2)
        if {one.kind, two.kind} not in ({"head"}, {"head", "box"}) and one.overlaps(two)
    ]
    for title in titles:
        for edge, points in curves.items():
            inside = [
                title.left < x < title.right and title.top < y < title.bottom for x, y in points
            ]
            if any(inside):
                wrong.append(f"title {title.words!r} and edge {edge}")
    assert not wrong


@pytest.mark.parametrize("engine", INSTALLED)
def test_no_line_crosses_the_text_of_a_recurrence(engine: str) -> None:
    if not INSTALLED[engine]:
        pytest.skip(f"{engine} is not installed")
    tg.manual_seed(0)
    cell, h = nn.LSTMCell(8, 16), tg.zeros((4, 16))
    c = h
    for x in tg.randn((5, 4, 8)):
        h, c = cell(x, (h, c))
    found, _, curves = measured(viz.draw(nn.Linear(16, 3)(h).sum(), engine=engine).svg())
    labels = [r for r in found if r.kind == "label" and r.words.endswith("steps")]
    assert {label.words for label in labels} == {"h, 5 steps", "c, 5 steps"}
    for label in labels:
        crossing = [
            edge
            for edge, points in curves.items()
            for x, y in points
            if label.left < x < label.right and label.top < y < label.bottom
        ]
        assert not crossing
