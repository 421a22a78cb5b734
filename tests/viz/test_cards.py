"""The cards of large tensors: histograms and small pictures, the same on every engine."""

from __future__ import annotations

import base64
import io
import re
import shutil
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, optim, viz
from tinygrad_gm.viz import themes
from tinygrad_gm.viz.compose import heatmap, sketches
from tinygrad_gm.viz.compose.figure import WIDEST

SVG = "{http://www.w3.org/2000/svg}"
LIGHT = themes.THEMES["light"]
ENGINES = [
    pytest.param("dot", marks=pytest.mark.skipif(not shutil.which("dot"), reason="no dot")),
    pytest.param(
        "pygraphviz", marks=pytest.mark.skipif(not find_spec("pygraphviz"), reason="no pygraphviz")
    ),
    "builtin",
]


def cards(drawing: viz.Drawing) -> dict[str, ElementTree.Element]:
    """The groups of a drawing's variables, by the name on the card."""
    root = ElementTree.fromstring(drawing.svg())
    groups = [g for g in root.iter(f"{SVG}g") if g.get("class", "").startswith("node variable")]
    return {next(iter(g.iter(f"{SVG}text"))).text.replace("\xa0", " "): g for g in groups}


def drawn_sketches(card: ElementTree.Element) -> list[ElementTree.Element]:
    return [g for g in card.iter(f"{SVG}g") if g.get("class") == "sketch"]


def pixels(image: ElementTree.Element) -> np.ndarray:
    from PIL import Image

    kind, _, data = image.get("href", "").partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture.convert("RGB"))


def corners(card: ElementTree.Element) -> tuple[np.ndarray, np.ndarray]:
    """The left upper and the right lower corner of a card."""
    points = []
    for shape in card:
        if shape.tag == f"{SVG}polygon":
            points += [tuple(map(float, p.split(","))) for p in shape.get("points", "").split()]
        elif shape.tag == f"{SVG}rect":
            x, y, width, height = (float(shape.get(k, 0)) for k in ("x", "y", "width", "height"))
            points += [(x, y), (x + width, y + height)]
    return np.min(points, axis=0), np.max(points, axis=0)


@pytest.fixture(params=ENGINES)
def network(request: pytest.FixtureRequest) -> dict[str, ElementTree.Element]:
    images = tg.rand((8, 1, 8, 8))
    weight = nn.Parameter(tg.randn((1000, 1000)))
    kernel = tg.randn((4, 1, 3, 3), requires_grad=True)
    made = nn.functional.conv2d(images, kernel).reshape(8, -1)
    shares = tg.softmax(made, axis=-1)
    loss = shares.mean() + weight.sum()
    names = {"images": images, "w" * 60: weight, "kernel": kernel, "shares": shares}
    return cards(viz.draw(loss, names=names, engine=request.param, fit=None))


def test_a_card_is_never_wider_than_220_points(network) -> None:
    name = next(name for name in network if name.startswith("ww"))
    (left, _), (right, _) = corners(network[name])
    assert right - left <= WIDEST == 220


def test_every_sketch_lies_inside_its_card_and_over_no_text(network) -> None:
    count = 0
    for card in network.values():
        (left, top), (right, bottom) = corners(card)
        own = card.findall(f"{SVG}text")
        for sketch in drawn_sketches(card):
            count += 1
            x, y = map(float, re.findall(r"-?[\d.]+", sketch.get("transform", "")))
            image = sketch.find(f"{SVG}image")
            width = sketches.WIDTH if image is None else float(image.get("width"))
            height = sketches.BARS_HEIGHT + 9 if image is None else float(image.get("height"))
            assert left <= x < x + width <= right
            assert top <= y < y + height <= bottom
            for text in own:  # labels stand to the left, values above or below
                baseline, place = float(text.get("y")), float(text.get("x"))
                beside = place < x and text.get("text-anchor") == "start"
                assert beside or baseline <= y + 1 or baseline - 8 >= y + height
    assert count >= 8


def test_no_sketch_needs_a_file_or_the_network(network) -> None:
    for card in network.values():
        for element in card.iter():
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith("data:image/png;base64,")


def test_images_matrices_and_shares_are_told_apart(network) -> None:
    kinds = {
        name: [w for t in list(card.iter(f"{SVG}text"))[1:] if (w := t.text) in sketches.NAMES]
        for name, card in network.items()
    }
    assert kinds["images"] == ["histogram", "images"]
    assert kinds["kernel"] == ["histogram", "matrices"]
    assert kinds["shares"] == ["histogram", "shares"]


def test_all_engines_leave_no_vacant_cell(network) -> None:
    for card in network.values():
        fills = [shape.get("fill", "").upper() for shape in card.iter()]
        assert sketches.vacant(LIGHT) not in fills


def test_a_matrix_is_blue_below_zero_and_orange_above() -> None:
    matrix = np.zeros((5, 5))
    matrix[0, 1], matrix[2, 3], matrix[4, 4] = -2, 2, np.nan
    sketch = sketches.thumbnail(matrix)
    assert sketch is not None
    assert sketch.label == "matrix"
    seen = pixels(ElementTree.fromstring(sketch.svg))
    assert tuple(seen[0, 1]) == heatmap.NEGATIVE
    assert tuple(seen[2, 3]) == heatmap.POSITIVE
    assert tuple(seen[4, 4]) == heatmap.NONFINITE
    assert tuple(seen[1, 1]) == (255, 255, 255)


def test_a_million_elements_become_few_pixels_and_as_many_bars_as_ever() -> None:
    array = np.random.default_rng(0).standard_normal((1000, 1000))
    bars, matrix = sketches.sketches(array, LIGHT)
    seen = pixels(ElementTree.fromstring(matrix.svg))
    assert seen.shape == (sketches.MOST_PIXELS, sketches.MOST_PIXELS, 3)
    assert len(matrix.svg) < 6000
    heights = re.findall(r"v-([\d.]+)h", bars.svg)
    assert len(heights) == sketches.BINS
    assert float(max(heights, key=float)) == sketches.BARS_HEIGHT


def test_bars_are_as_high_as_the_counts_say() -> None:
    flat = np.repeat([0.0, 24.0], [30, 10])
    bars = sketches.histogram(flat, LIGHT)
    assert bars is not None
    assert re.findall(r"M([\d.]+),20v-([\d.]+)", bars.svg) == [("0.0", "20.0"), ("96.0", "6.7")]


@pytest.mark.parametrize(
    ("array", "labels"),
    [
        (np.arange(16.0).reshape(4, 4), []),  # its elements are written out
        (np.zeros(100), []),
        (np.full(100, np.nan), []),
        (np.arange(100.0), ["histogram"]),
        (np.arange(100), []),
        (np.arange(100).reshape(10, 10) > 50, ["matrix"]),
        (np.linspace(0, 1, 600).reshape(2, 3, 10, 10), ["histogram", "images"]),
        (np.full((2, 5, 5), 0.2), ["shares"]),
        (np.zeros((0, 100, 100)), []),
        (np.arange(300, dtype=np.uint8).reshape(3, 1, 10, 10), ["images"]),
        (np.arange(2.0**6).reshape((2,) * 6), ["histogram"]),
        (np.array([np.inf, -np.inf] + [1.0, 2.0] * 20), ["histogram"]),
        (np.array([1e308, -1e308] * 20), []),  # too far apart
        (np.array([1.0, np.nextafter(1.0, 2.0)] * 20), []),  # too near,
    ],
)
def test_what_an_array_is_decides_how_it_is_sketched(array: np.ndarray, labels: list[str]) -> None:
    with np.errstate(all="ignore"):
        assert [sketch.label for sketch in sketches.sketches(array, LIGHT)] == labels


def test_a_film_hides_the_sketches_of_what_is_not_known_yet(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1))
    loss = model(tg.randn((4, 5))).square().mean()
    film = viz.steps(loss, optim.SGD(model.parameters(), lr=0.1))
    page = film.html(tmp_path / "film.html").read_text()
    assert 'class="sketch"' in page
    assert re.search(r"\.variable\.unknown g[^{]*\{visibility:hidden\}", page)
    assert len(page) < 150_000


def test_the_same_program_draws_the_same_sketches() -> None:
    def svg() -> str:
        tg.manual_seed(0)
        weight = tg.randn((30, 30), requires_grad=True)
        return viz.draw(weight.sum(), engine="builtin", fit=None).svg()

    assert svg() == svg()


def test_curves_and_grids_are_at_hand(tmp_path) -> None:
    assert viz.grid(tg.zeros((4, 8, 8)), scale=1).size == (22, 22)
    assert viz.curves({"loss": [3.0, 2.0]}, size=(300, 200)).size == (300, 200)
    lines = ['{"step": 1, "loss": 2.0}\n', '{"step": 2, "loss": 1.0}\n']
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    assert viz.curves(tmp_path).size == viz.curves(str(tmp_path)).size == (720, 320)
    with pytest.raises(TypeError, match="title is for series of numbers"):
        viz.curves(tmp_path, title="a run")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="has no metrics yet"):
        viz.curves(tmp_path)
