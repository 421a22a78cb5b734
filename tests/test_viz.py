"""`viz.draw`: what is on the picture, with Graphviz and without it."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import viz

HAS_DOT = shutil.which("dot") is not None
NAMESPACE = "{http://www.w3.org/2000/svg}"
BAD_NAME = 'a"b\\N<c>&:x\n\x00</svg>]]>é\\'

with_and_without_dot = pytest.mark.parametrize(
    "installed",
    [pytest.param(True, marks=pytest.mark.skipif(not HAS_DOT, reason="no dot here")), False],
    indirect=True,
)


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setenv("PATH", "")
    return bool(request.param)


def leaf(data: Any, name: str | None = None, requires_grad: bool = True) -> tg.Tensor:
    return tg.tensor(data, dtype=np.float64, requires_grad=requires_grad, name=name)


def neuron() -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    w, b, x, y = leaf(-0.4, "w"), leaf(0.3, "b"), leaf(2.0, "x", False), leaf(1.0, "y", False)
    loss = (tg.sigmoid(w * x + b) - y) ** 2
    loss.name = "L"
    return loss, w, b


def groups(svg: str) -> dict[str, str]:
    """The ids of an SVG's nodes and edges, and their classes."""
    found = ElementTree.fromstring(svg).iter(f"{NAMESPACE}g")
    classes = {group.get("id", ""): group.get("class") or "" for group in found}
    return {i: c for i, c in classes.items() if c.startswith(("node", "edge"))}


def texts(svg: str, within: str | None = None) -> list[str]:
    """The texts of an SVG, or of one of its groups."""
    root: Any = ElementTree.fromstring(svg)
    if within is not None:
        (root,) = [group for group in root.iter(f"{NAMESPACE}g") if group.get("id") == within]
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


@with_and_without_dot
def test_a_card_shows_name_shape_value_and_gradient(installed: bool) -> None:
    loss, w, _ = neuron()
    loss.backward()
    gradient = f"{w.grad.item():+.4f}".replace("-", "−")
    words = card(viz.draw(loss), "w")
    assert words == ["w", "scalar · float64", "value", "−0.4000", "∂L/∂w", gradient]


@with_and_without_dot
def test_gradients_on_the_picture_equal_central_differences(installed: bool) -> None:
    def loss_at(w: float, b: float) -> float:
        return float((1 / (1 + np.exp(-(2 * w + b))) - 1) ** 2)

    picture = viz.draw(neuron()[0])
    for name, dw, db in (("w", 1e-6, 0), ("b", 0, 1e-6)):
        slope = (loss_at(-0.4 + dw, 0.3 + db) - loss_at(-0.4 - dw, 0.3 - db)) / 2e-6
        words = card(picture, name)
        shown = words[words.index(f"∂L/∂{name}") + 1]
        assert float(shown.replace("−", "-")) == pytest.approx(slope, abs=5.1e-5)


@with_and_without_dot
def test_an_edge_shows_the_local_derivative_and_what_flows_back(installed: bool) -> None:
    x = leaf(3.0, "x")
    svg = viz.draw(x * x * 2.0).svg()
    assert texts(svg, "e_n1_0") == texts(svg, "e_n1_1") == ["x = +3.0000", "+6.0000"]
    assert texts(svg, "e_n4_0") == ["2", "+2.0000"]
    assert texts(svg, "e_n4_1") == texts(svg, "e_n1_n2") == []
    assert groups(svg)["e_n4_0"] == "edge argument"
    assert groups(svg)["e_n4_1"] == "edge argument grad-unneeded"
    assert groups(svg)["e_n1_n2"] == "edge output"


@with_and_without_dot
def test_no_gradient_yet_a_zero_one_and_none_needed_look_different(installed: bool) -> None:
    a, b, c = leaf(1.0, "a"), leaf(2.0, "b"), leaf(3.0, "c", False)
    loss = a * c + b * 0.0
    picture = viz.draw(loss)
    assert card(picture, "a")[-2:] == [".grad", "· not yet"]
    loss.backward()
    picture = viz.draw(loss)
    classes = {words[0]: groups(picture.svg())[i] for i, words in cards(picture).items()}
    assert "grad-there" in classes["a"]
    assert "grad-zero" in classes["b"]
    assert "grad-unneeded" in classes["c"]
    assert card(picture, "b")[-1] == "0"
    assert card(picture, "c")[-2:] == ["value", "+3.0000"]
    assert picture.source.count("dashed") >= 2


@with_and_without_dot
def test_gradients_added_up_over_two_passes_are_shown_beside_this_graphs(installed: bool) -> None:
    loss, w, _ = neuron()
    loss.backward(retain_graph=True)
    once = card(viz.draw(loss), "w")
    loss.backward()
    picture = viz.draw(loss)
    twice = card(picture, "w")
    assert twice[: len(once)] == once
    assert twice[len(once) :] == [".grad", f"{w.grad.item():+.4f}".replace("-", "−")]
    assert any(".grad: not from this graph alone" in text for text in texts(picture.svg()))


@with_and_without_dot
def test_a_tensor_with_many_elements_is_summed_up(installed: bool) -> None:
    w = leaf(np.tile([1.0, 2.0], 50), "w")
    picture = viz.draw((w * w).sum())
    assert card(picture, "w")[1:4] == ["(100,) · float64", "value", "+1.5000 ± 0.5000"]
    assert any("mean and standard deviation" in text for text in texts(picture.svg()))


@with_and_without_dot
def test_why_there_are_no_values_stands_below_the_picture(installed: bool) -> None:
    loss, w, _ = neuron()
    with tg.no_grad():
        w -= 0.1
    svg = viz.draw(loss).svg()
    assert "values changed since" in " ".join(texts(svg))
    assert "−0.8000" not in texts(svg)


@with_and_without_dot
def test_any_name_is_drawn_as_it_is(installed: bool) -> None:
    x = leaf(3.0, BAD_NAME)
    y = x * x
    y.name = "<b>"
    svg = viz.draw(y).svg()
    assert BAD_NAME.replace("\n", " ").replace("\x00", " ") in texts(svg)
    assert {"<b>", "∂(<b>)/∂(<b>)"} <= set(texts(svg))


@pytest.mark.skipif(not HAS_DOT, reason="no dot here")
@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_both_engines_draw_the_same_ids_classes_and_texts(
    direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = leaf([[1.0, -2.0]], "a")
    loss = tg.cross_entropy(tg.concat([a, a * 2.0]), tg.tensor([0, 1])) + a.sum()
    picture = viz.draw(loss, direction=direction)
    by_dot = picture.svg()
    monkeypatch.setenv("PATH", "")
    by_us = picture.svg()
    assert groups(by_dot) == groups(by_us)
    assert sorted(texts(by_dot)) == sorted(texts(by_us))


@pytest.mark.skipif(not HAS_DOT, reason="no dot here")
def test_dot_has_nothing_to_complain_about() -> None:
    for loss in (neuron()[0], leaf(1.0, BAD_NAME) * 2.0, leaf(np.ones((3, 4))).sum()):
        source = viz.draw([loss, tg.exp(loss)]).source
        done = subprocess.run(["dot", "-Tsvg"], input=source.encode(), capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


SCRIPT = """
import tinygrad_gm as tg
from tinygrad_gm import viz
x = tg.tensor([1.0, 2.0], requires_grad=True)
w = tg.tensor([[0.5, 1.0], [2.0, 3.0]], requires_grad=True)
h = tg.tanh(w @ x) * 2.0
h = tg.concat([h, h[tg.tensor([0, 1])]])
print(viz.draw(h.sum() + (x * x).mean(), names={"w": w}).source)
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


def test_a_chain_of_ten_thousand_operations_is_drawn() -> None:
    y = leaf(1.0)
    for _ in range(10_000):
        y = y * 1.0001
    source = viz.draw(y).source
    assert len(re.findall(r"id=e_n\d+_0\b", source)) == 10_000


def test_drawing_changes_nobodys_gradient() -> None:
    loss, w, b = neuron()
    viz.draw(loss)
    assert w.grad is None
    assert b.grad is None
    loss.backward()
    grads = w.grad, b.grad
    values = [grad.item() for grad in grads]
    viz.draw(loss).source  # noqa: B018
    assert (w.grad, b.grad)[0] is grads[0]
    assert (w.grad, b.grad)[1] is grads[1]
    assert [grad.item() for grad in grads] == values


def test_a_drawing_is_of_the_moment_when_it_was_made(no_dot: None) -> None:
    loss, w, _ = neuron()
    picture = viz.draw(loss)
    before = picture.svg()
    with tg.no_grad():
        w -= 1.0
    assert picture.svg() == before


def test_names_may_be_those_of_a_module() -> None:
    model = tg.nn.Linear(2, 1)
    loss = model(tg.ones((1, 2))).sum()
    source = viz.draw(loss, names=model.named_parameters()).source
    assert "<B>weight</B>" in source
    assert "<B>bias</B>" in source


def test_saving_a_picture_writes_the_dot_text_beside_it(tmp_path: Path, no_dot: None) -> None:
    picture = viz.draw(neuron()[0])
    assert picture.save(tmp_path / "a.svg") == tmp_path / "a.svg"
    assert groups((tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert (tmp_path / "a.gv").read_text(encoding="utf-8") == picture.source
    picture.save(str(tmp_path / "b.dot"))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.gv", "a.svg", "b.dot"]


@with_and_without_dot
def test_a_png_comes_from_dot_or_from_resvg(installed: bool, tmp_path: Path) -> None:
    if not installed:
        pytest.importorskip("resvg_py")
    viz.draw(neuron()[0]).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.gv").exists()


def test_without_dot_and_resvg_the_error_says_what_to_install(
    tmp_path: Path, no_dot: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def no_resvg(name: str, *rest: Any) -> Any:
        if name == "resvg_py":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_resvg)
    with pytest.raises(RuntimeError, match=re.escape("pip install 'tinygrad_gm[render]'")):
        viz.draw(neuron()[0]).save(tmp_path / "a.png")
    assert (tmp_path / "a.gv").exists()


def test_without_dot_a_pdf_is_refused_and_the_dot_text_written(
    tmp_path: Path, no_dot: None
) -> None:
    with pytest.raises(RuntimeError, match="PDF needs Graphviz"):
        viz.draw(neuron()[0]).save(tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gv"]


@pytest.mark.skipif(not HAS_DOT, reason="no dot here")
def test_dot_makes_a_pdf(tmp_path: Path) -> None:
    viz.draw(neuron()[0]).save(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


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
    picture = viz.draw(neuron()[0])
    with pytest.warns(UserWarning, match=message):
        svg = picture.svg()
    assert groups(svg)


def test_a_notebook_gets_svg_and_text(no_dot: None) -> None:
    picture = viz.draw(neuron()[0])
    bundle = picture._repr_mimebundle_()
    assert groups(bundle["image/svg+xml"])
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == repr(picture) == "<Drawing: 15 nodes, 14 edges>"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3.0,), {}, TypeError, "a Tensor or a list of Tensors is wanted, not 3.0"),
        (([],), {}, TypeError, "a Tensor or a list of Tensors is wanted"),
        (([leaf(1.0), 2],), {}, TypeError, "a Tensor or a list of Tensors is wanted"),
        ((leaf(1.0),), {"direction": "up"}, ValueError, "direction is 'up'"),
        ((leaf(1.0),), {"names": {"w": 3}}, TypeError, r"names\['w'\] is no Tensor but a int"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        viz.draw(*arguments, **options)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should end in \.svg, \.png, \.pdf, \.gv or \.dot"):
        viz.draw(leaf(1.0) * 2.0).save(tmp_path / "a.jpeg")
    assert not list(tmp_path.iterdir())
