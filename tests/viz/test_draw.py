"""`viz.draw`: what is on the picture, with Graphviz and without it."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.viz import style
from tinygrad_gm.viz.render import raster

HAS_DOT = shutil.which("dot") is not None
NAMESPACE = "{http://www.w3.org/2000/svg}"
BAD_NAME = 'a"b\\N<c>&:x\n\x00</svg>]]>é\\'

HAS = {"dot": HAS_DOT, "pygraphviz": find_spec("pygraphviz") is not None, "builtin": True}

on_every_engine = pytest.mark.parametrize(
    "engine",
    [
        pytest.param(name, marks=pytest.mark.skipif(not here, reason=f"there is no {name} here"))
        for name, here in HAS.items()
    ],
    indirect=True,
)


def hide(engines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it look as if these engines were not installed."""
    if "dot" in engines:
        monkeypatch.setenv("PATH", "")
    if "pygraphviz" in engines:
        monkeypatch.setitem(sys.modules, "pygraphviz", None)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(("dot", "pygraphviz"), monkeypatch)


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only engine that is installed, besides the built-in one."""
    hide(tuple(name for name in HAS if name != request.param), monkeypatch)
    return str(request.param)


def leaf(data: Any, name: str | None = None, requires_grad: bool = True) -> tg.Tensor:
    return tg.tensor(data, dtype=np.float64, requires_grad=requires_grad, name=name)


def neuron() -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    w, b, x, y = leaf(-0.4, "w"), leaf(0.3, "b"), leaf(2.0, "x", False), leaf(1.0, "y", False)
    loss = (tg.sigmoid(w * x + b) - y) ** 2
    loss.name = "L"
    return loss, w, b


def groups(svg: str) -> dict[str, str]:
    """The ids of an SVG's nodes, edges and clusters, and their classes."""
    found = ElementTree.fromstring(svg).iter(f"{NAMESPACE}g")
    classes = {group.get("id", "").rpartition("-")[2]: group.get("class") or "" for group in found}
    return {i: c for i, c in classes.items() if c.startswith(("node", "edge", "cluster"))}


def titles(svg: str) -> dict[str, str]:
    """The tooltips of an SVG, by the id of what has them."""
    found = ElementTree.fromstring(svg).iter(f"{NAMESPACE}g")
    return {
        group.get("id", "").rpartition("-")[2]: group.findtext(f"{NAMESPACE}title", "")
        for group in found
    }


def faded(svg: str) -> set[str]:
    """The ids of what is dimmed."""
    found = ElementTree.fromstring(svg).iter(f"{NAMESPACE}g")
    return {g.get("id", "").rpartition("-")[2] for g in found if g.get("opacity")}


def texts(svg: str, within: str | None = None) -> list[str]:
    """The texts of an SVG, or of one of its groups."""
    root: Any = ElementTree.fromstring(svg)
    if within is not None:
        inner = root.iter(f"{NAMESPACE}g")
        (root,) = [g for g in inner if g.get("id", "").rpartition("-")[2] == within]
    found = ("".join(text.itertext()) for text in root.iter(f"{NAMESPACE}text"))
    return [text.replace("\xa0", " ") for text in found]


def cards(picture: viz.Drawing) -> dict[str, list[str]]:
    """The texts of every card, by id."""
    svg = picture.svg()
    return {i: texts(svg, i) for i, c in groups(svg).items() if "variable" in c}


def card(picture: viz.Drawing, name: str) -> list[str]:
    """The texts of the card with a name."""
    (found,) = [words for words in cards(picture).values() if words[0] == name]
    return found


@on_every_engine
def test_a_card_shows_name_shape_value_and_gradient(engine: str) -> None:
    loss, w, _ = neuron()
    loss.backward()
    gradient = f"{w.grad.item():+.4f}".replace("-", "−")
    words = card(viz.draw(loss, fit=None), "w")
    assert words == ["w", "scalar · float64", "value", "−0.4000", "∂L/∂w", gradient]


@on_every_engine
def test_gradients_on_the_picture_equal_central_differences(engine: str) -> None:
    def loss_at(w: float, b: float) -> float:
        return float((1 / (1 + np.exp(-(2 * w + b))) - 1) ** 2)

    picture = viz.draw(neuron()[0], fit=None)
    for name, dw, db in (("w", 1e-6, 0), ("b", 0, 1e-6)):
        slope = (loss_at(-0.4 + dw, 0.3 + db) - loss_at(-0.4 - dw, 0.3 - db)) / 2e-6
        words = card(picture, name)
        shown = words[words.index(f"∂L/∂{name}") + 1]
        assert float(shown.replace("−", "-")) == pytest.approx(slope, abs=5.1e-5)


@on_every_engine
def test_an_edge_shows_the_local_derivative_and_what_flows_back(engine: str) -> None:
    x = leaf(3.0, "x")
    svg = viz.draw(x * x * 2.0, fit=None).svg()
    assert texts(svg, "e_n1_0") == texts(svg, "e_n1_1") == ["∂t1/∂x = x = +3.0000", "+6.0000"]
    assert texts(svg, "e_n4_0") == ["∂t2/∂t1 = 2", "+2.0000"]
    assert texts(svg, "e_n4_1") == texts(svg, "e_n1_n2") == []
    assert groups(svg)["e_n4_0"] == "edge argument"
    assert groups(svg)["e_n4_1"] == "edge argument grad-unneeded"
    assert groups(svg)["e_n1_n2"] == "edge output"


@on_every_engine
def test_no_gradient_yet_a_zero_one_and_none_needed_look_different(engine: str) -> None:
    a, b, c = leaf(1.0, "a"), leaf(2.0, "b"), leaf(3.0, "c", False)
    loss = a * c + b * 0.0
    picture = viz.draw(loss, fit=None)
    assert card(picture, "a")[-2:] == [".grad", "· not yet"]
    loss.backward()
    picture = viz.draw(loss, fit=None)
    classes = {words[0]: groups(picture.svg())[i] for i, words in cards(picture).items()}
    assert "grad-there" in classes["a"]
    assert "grad-zero" in classes["b"]
    assert "grad-unneeded" in classes["c"]
    assert card(picture, "b")[-1] == "0"
    assert card(picture, "c")[-2:] == ["value", "+3.0000"]
    assert picture.source.count("dashed") >= 2


@on_every_engine
def test_gradients_added_up_over_two_passes_are_shown_beside_this_graphs(engine: str) -> None:
    loss, w, _ = neuron()
    loss.backward(retain_graph=True)
    once = card(viz.draw(loss, fit=None), "w")
    loss.backward()
    picture = viz.draw(loss, fit=None)
    twice = card(picture, "w")
    assert twice[: len(once)] == once
    assert twice[len(once) :] == [".grad", f"{w.grad.item():+.4f}".replace("-", "−")]
    assert any(".grad: other backward passes" in text for text in texts(picture.svg()))


@on_every_engine
def test_a_tensor_with_many_elements_is_summed_up(engine: str) -> None:
    w = leaf(np.tile([1.0, 2.0], 50), "w")
    picture = viz.draw((w * w).sum(), fit=None)
    assert card(picture, "w")[1:4] == ["(100,) · float64", "value", "+1.5000 ± 0.5000"]
    assert any("mean and standard deviation" in text for text in texts(picture.svg()))


@on_every_engine
def test_why_there_are_no_values_stands_below_the_picture(engine: str) -> None:
    loss, w, _ = neuron()
    with tg.no_grad():
        w -= 0.1
    svg = viz.draw(loss, fit=None).svg()
    assert "values changed since" in " ".join(texts(svg))
    assert "−0.8000" not in texts(svg)


@on_every_engine
def test_any_name_is_drawn_as_it_is(engine: str) -> None:
    x = leaf(3.0, BAD_NAME)
    y = x * x
    y.name = "<b>"
    svg = viz.draw(y, fit=None).svg()
    assert BAD_NAME.replace("\n", " ").replace("\x00", " ") in texts(svg)
    assert {"<b>", "∂(<b>)/∂(<b>)"} <= set(texts(svg))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return x + self.second(tg.relu(self.first(x)))


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("name", [name for name, here in HAS.items() if here and name != "builtin"])
def test_all_engines_draw_the_same_ids_classes_tooltips_and_texts(
    name: str, direction: str
) -> None:
    a = leaf([[1.0, -2.0]], "a")
    model = nn.Sequential(Block(), Block())
    out = model(tg.concat([a, a * 2.0])) * tg.tensor([np.nan, 1.0])
    loss = tg.cross_entropy(out, tg.tensor([0, 1])) + a.sum()
    pictures = [
        viz.draw(
            loss, direction=direction, engine=engine, heat=True, path_to=a, check=True, fit=None
        )
        for engine in (name, "builtin")
    ]
    theirs, ours = (picture.svg() for picture in pictures)
    assert groups(theirs) == groups(ours)
    assert any("cluster" in classes for classes in groups(ours).values())
    assert sorted(texts(theirs)) == sorted(texts(ours))
    assert titles(theirs) == titles(ours)
    assert faded(theirs) == faded(ours) != set()
    assert "<a " not in theirs


@pytest.mark.skipif(not HAS_DOT, reason="there is no dot here")
def test_dot_has_nothing_to_complain_about() -> None:
    for loss in (neuron()[0], leaf(1.0, BAD_NAME) * 2.0, leaf(np.ones((3, 4))).sum()):
        source = viz.draw([loss, tg.exp(loss)], fit=None).source
        done = subprocess.run(["dot", "-Tsvg"], input=source.encode(), capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


SCRIPT = """
import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.viz import style
from tinygrad_gm.viz.render import raster
x = tg.tensor([1.0, 2.0], requires_grad=True)
w = tg.tensor([[0.5, 1.0], [2.0, 3.0]], requires_grad=True)
h = tg.tanh(w @ x) * 2.0
h = tg.concat([h, h[tg.tensor([0, 1])]])
print(viz.draw(h.sum() + (x * x).mean(), names={"w": w}, fit=None).source)
"""


def test_the_same_graph_gives_the_same_text_in_every_process() -> None:
    written = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True
        )
        written.append(done.stdout)
    assert written[0] == written[1]
    assert b"e_n" in written[0]


@pytest.mark.slow
def test_a_chain_of_ten_thousand_operations_is_drawn_closed() -> None:
    y = leaf(1.0)
    for _ in range(10_000):
        y = y * 1.0001
    picture = viz.draw(y)
    drawn = groups(picture.svg())
    assert len([classes for classes in drawn.values() if classes.startswith("node")]) <= 60


def test_a_chain_of_too_many_operations_is_drawn_whole_if_forced() -> None:
    y = leaf(1.0)
    for _ in range(1500):  # 3,001 nodes; 2,000 are drawn without being forced
        y = y * 1.0001
    whole = viz.draw(y, force=True, fit=None)
    assert len(re.findall(r"id=e_n\d+_0\b", whole.source)) == 1500


def test_drawing_changes_nobodys_gradient() -> None:
    loss, w, b = neuron()
    viz.draw(loss, fit=None)
    assert w.grad is None
    assert b.grad is None
    loss.backward()
    grads = w.grad, b.grad
    values = [grad.item() for grad in grads]
    viz.draw(loss, fit=None).source  # noqa: B018
    assert (w.grad, b.grad)[0] is grads[0]
    assert (w.grad, b.grad)[1] is grads[1]
    assert [grad.item() for grad in grads] == values


def test_a_drawing_is_of_the_moment_when_it_was_made(no_engine: None) -> None:
    loss, w, _ = neuron()
    picture = viz.draw(loss, fit=None)
    before = picture.svg()
    with tg.no_grad():
        w -= 1.0
    assert picture.svg() == before


def test_names_may_be_those_of_a_module() -> None:
    model = tg.nn.Linear(2, 1)
    loss = model(tg.ones((1, 2))).sum()
    source = viz.draw(loss, names=model.named_parameters(), fit=None).source
    assert "<B>weight</B>" in source
    assert "<B>bias</B>" in source


def test_saving_a_picture_writes_the_dot_text_beside_it(tmp_path: Path, no_engine: None) -> None:
    picture = viz.draw(neuron()[0], fit=None)
    assert picture.save(tmp_path / "a.svg") == tmp_path / "a.svg"
    assert groups((tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert (tmp_path / "a.gv").read_text(encoding="utf-8") == picture.source
    picture.save(str(tmp_path / "b.dot"))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.gv", "a.svg", "b.dot"]


def without_resvg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)


@on_every_engine
def test_a_png_comes_from_resvg(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    viz.draw(neuron()[0], fit=None).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.gv").exists()


@on_every_engine
def test_without_resvg_a_png_comes_from_graphviz(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_resvg(monkeypatch)
    picture = viz.draw(neuron()[0], fit=None)
    if engine == "builtin":
        with pytest.raises(RuntimeError, match=re.escape("pip install 'tinygrad_gm[render]'")):
            picture.png()
    else:
        assert picture.png().startswith(b"\x89PNG")


def test_a_png_has_the_scale_asked_for_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_engine: None
) -> None:
    pytest.importorskip("resvg_py")
    picture = viz.draw(neuron()[0])
    made = []
    rasterize = raster.rasterize
    monkeypatch.setattr(raster, "rasterize", lambda *a, **k: made.append(1) or rasterize(*a, **k))
    widths = []
    for scale in (1.0, 2.0, 2.0, None, None):
        with Image.open(picture.save(tmp_path / "a.png", scale=scale)) as png:
            widths.append(png.width)
    width, _ = raster.size(picture.svg())
    assert np.abs(np.array(widths) - width * np.array([1, 2, 2, 1.5, 1.5])).max() <= 1
    assert len(made) == 3
    with pytest.raises(ValueError, match=r"save: scale= is for \.png files"):
        picture.save(tmp_path / "a.svg", scale=2.0)
    with pytest.raises(ValueError, match=r"png: scale is 0"):
        picture.png(0)


def test_a_png_is_at_most_8000_pixels_wide_unless_a_scale_is_given(no_engine: None) -> None:
    pytest.importorskip("resvg_py")
    x = leaf(0.5, "x")
    for _ in range(80):
        x = tg.tanh(x)
    picture = viz.draw(x, fit=None, detail="shapes")
    width, _ = raster.size(picture.svg())
    assert width * raster.SCALE > 8000
    with pytest.warns(UserWarning, match=r"png: drawn at scale=.*8,000 pixels") as said:
        png = picture.png()
    assert said[0].filename == __file__
    assert Image.open(io.BytesIO(png)).width in (8000, 8001)
    wide = raster.scale_of(f'<svg width="{3 * width:.0f}pt" height="9pt">', 0.5)
    assert wide == 0.5


def test_without_any_font_on_the_machine_a_png_has_its_texts(no_engine: None) -> None:
    pytest.importorskip("resvg_py")
    name = "∂weights×2"
    svg = viz.draw(leaf(0.25, name) * 2.0, fit=None).svg()
    png = raster.rasterize(svg, system_fonts=False)
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    (text,) = [t for t in ElementTree.fromstring(svg).iter(f"{NAMESPACE}text") if t.text == name]
    size, middle, base = (float(text.get(key, 0)) for key in ("font-size", "x", "y"))
    moved = re.search(r"translate\(([\d.]+),([\d.]+)", svg)
    assert moved is not None
    middle, base = middle + float(moved[1]), base + float(moved[2])
    scale, half = raster.SCALE * 96 / 72, 0.45 * style.text_width(name, size, bold=True)
    rows = picture[int(scale * (base - size)) : int(scale * (base + size / 4))]
    edges = np.linspace(scale * (middle - half), scale * (middle + half), len(name) + 1).astype(int)
    for left, right in pairwise(edges):  # there is ink all along the label: no sign is missing
        assert (rows[:, left:right] < 100).sum() > 10


def test_without_graphviz_a_pdf_is_refused_and_the_dot_text_written(
    tmp_path: Path, no_engine: None
) -> None:
    with pytest.raises(viz.MissingEngine, match=r"a PDF .*apt.*brew.*winget.*conda.*pip"):
        viz.draw(neuron()[0], fit=None).save(tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gv"]


@on_every_engine
def test_graphviz_makes_a_pdf(engine: str, tmp_path: Path) -> None:
    if engine == "builtin":
        pytest.skip("the built-in layout makes no PDF")
    viz.draw(neuron()[0], fit=None).save(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["dot", "pygraphviz"])
def test_an_engine_asked_for_by_name_is_not_replaced(name: str, no_engine: None) -> None:
    hint = rf"engine '{name}' is not installed: .*apt.*brew.*winget.*conda.*pip"
    with pytest.raises(viz.MissingEngine, match=hint):
        viz.draw(neuron()[0], engine=name, fit=None)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (subprocess.CalledProcessError(1, "dot", stderr=b"syntax error\nmore"), "syntax error;"),
        (subprocess.TimeoutExpired("dot", 30), "dot did not finish within 30 s;"),
    ],
)
def test_a_dot_that_fails_is_reported_and_replaced(
    failure: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*command: Any, **options: Any) -> Any:
        raise failure

    monkeypatch.setattr(shutil, "which", lambda name: f"/nowhere/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    picture = viz.draw(neuron()[0], fit=None)
    with pytest.warns(UserWarning, match=message):
        svg = picture.svg()
    assert groups(svg)


def test_with_no_engine_and_no_resvg_there_are_still_pictures_and_pages(
    no_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_resvg(monkeypatch)
    loss, w, _ = neuron()
    for options in ({}, {"theme": "dark", "direction": "TB"}, {"path_to": w, "cost": True}):
        assert groups(viz.draw(loss, **options, fit=None).svg())
    page = viz.steps(loss).html(tmp_path / "steps.html").read_text(encoding="utf-8")
    assert "<svg" in page


def test_a_notebook_gets_svg_and_text(no_engine: None) -> None:
    picture = viz.draw(neuron()[0], fit=None)
    bundle = picture._repr_mimebundle_()
    assert groups(bundle["image/svg+xml"])
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == repr(picture) == "<Drawing: 15 nodes, 14 edges>"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (3.0,),
            {},
            TypeError,
            "or a Module with inputs, got 3.0",
        ),
        (([],), {}, TypeError, "a Tensor, a list of Tensors or a Module"),
        (([leaf(1.0), 2],), {}, TypeError, "a Tensor, a list of Tensors or a Module"),
        ((leaf(1.0), leaf(1.0)), {}, TypeError, "expected no inputs with a Tensor, got 1"),
        ((leaf(1.0),), {"theme": "sepia"}, ValueError, 'theme is "sepia"'),
        ((leaf(1.0),), {"engine": "neato"}, ValueError, "unknown engine 'neato'"),
        ((leaf(1.0),), {"direction": "up"}, ValueError, "direction is 'up'"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        viz.draw(*arguments, **options, fit=None)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"should end in \.svg, \.png, \.pdf, \.html, \.json, \.gv or \.dot"
    ):
        viz.draw(leaf(1.0) * 2.0, fit=None).save(tmp_path / "a.jpeg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"<svg", b"<?xml version='1.0'?><svg><g></g>", b"words"])
def test_a_program_that_writes_less_than_a_whole_file_is_followed_by_the_next(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: Any, **options: Any) -> Any:
        return subprocess.CompletedProcess(command, 0, content, b"")

    monkeypatch.setattr(shutil, "which", lambda name: f"/nowhere/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    x = leaf(3.0)
    words = f"dot wrote {len(content)} bytes that are not a complete svg"
    with pytest.warns(UserWarning, match=f"{words}; drawn with the next engine instead"):
        picture = viz.draw(x * x, fit=None).svg()
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    with pytest.raises(RuntimeError, match=words):
        viz.draw(x * x, engine="dot", fit=None).svg()
    with pytest.raises(RuntimeError, match="not a complete pdf"):
        viz.draw(x * x, engine="dot", fit=None).pdf()


def test_what_is_not_a_tensor_gives_no_name() -> None:
    weight, count, words = leaf(3.0), 3, ["words"]
    loss = weight * weight * count
    names = viz.draw(loss, names=locals(), fit=None).source
    assert "weight" in names
    assert "loss" in names
    assert "words" not in names
    assert words


def test_pygraphviz_draws_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = """
import os
class AGraph:
    def __init__(self, string):
        self.text = string
    def draw(self, format, prog):
        assert self.text.startswith("digraph computation {")
        return f"%PDF {format} {prog} {os.getpid()} %%EOF".encode()
"""
    (tmp_path / "pygraphviz.py").write_text(stand_in)
    monkeypatch.syspath_prepend(tmp_path)
    made = viz.draw(leaf(1.0) * 2.0, engine="pygraphviz", fit=None).pdf().split()
    assert made[:3] == [b"%PDF", b"pdf", b"dot"]
    assert int(made[3]) != os.getpid()
