"""What annotations found, as it is drawn: the same classes and texts by every engine."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import viz

ENGINES = [
    pytest.param("dot", marks=pytest.mark.skipif(not shutil.which("dot"), reason="no dot")),
    "builtin",
]
GROUP = "{http://www.w3.org/2000/svg}g"


def leaf(values: Any, name: str) -> tg.Tensor:
    return tg.tensor(values, dtype=np.float64, requires_grad=True, name=name)


def groups(svg: str) -> dict[str, tuple[set[str], list[str]]]:
    """By id the classes and the texts of every node and edge."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(GROUP):
        name = group.get("id", "").rpartition("-")[2]
        if name.startswith(("n", "e_")):
            texts = [text.replace("\xa0", " ").strip() for text in group.itertext()]
            found[name] = set(group.get("class", "").split()), texts
    return found


def network() -> tuple[tg.Tensor, tg.Tensor]:
    rng = np.random.default_rng(0)
    w = leaf(rng.normal(size=(3, 4)), "w")
    hidden = tg.relu(tg.linear(tg.tensor(rng.normal(size=(5, 4))), w, leaf([0.0, 0.0, -9.0], "b")))
    return (hidden * hidden).mean(), w


@pytest.mark.parametrize("engine", ENGINES)
def test_a_small_jacobian_is_a_table_on_its_edge(engine: str) -> None:
    p = tg.softmax(leaf([0.0, np.log(3.0)], "x"))  # 1/4 and 3/4: ± 3/16
    drawing = viz.draw(p, jacobian=True, engine=engine, fit=None)
    (texts,) = [texts for name, (_, texts) in groups(drawing.svg()).items() if name == "e_n1_0"]
    assert [text for text in texts if re.fullmatch(r"[+−]0\.\d{3}", text)] == [
        "+0.188", "−0.188", "−0.188", "+0.188",
    ]  # fmt: skip
    assert drawing.source.count('SIDES="LR"') == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_exactly_one_node_is_the_first_that_is_not_finite(engine: str) -> None:
    x = leaf([4.0, 0.0], "x")
    found = groups(viz.draw((tg.sqrt(x * x) * 3.0).sum(), engine=engine, fit=None).svg())
    first = [texts for classes, texts in found.values() if "first-nonfinite" in classes]
    assert len(first) == 1
    assert "√" in first[0]
    tainted = [name for name, (classes, _) in found.items() if "nonfinite" in classes]
    assert [name for name in tainted if name.startswith("n")] == ["n0", "n1", "n2"]  # x, ×, x·x


@pytest.mark.parametrize("engine", ENGINES)
def test_heat_dead_units_and_badges_are_rows_and_the_scale_is_a_legend(engine: str) -> None:
    loss, _ = network()
    svg = viz.draw(loss, heat=True, check=True, engine=engine, fit=None).svg()
    texts = [text for _, texts in groups(svg).values() for text in texts]
    assert texts.count("gradient RMS") == 6  # of every variable with a gradient
    assert "1 of 3" in texts
    assert sum(text.startswith("✓ ") for text in texts) == 2
    assert len(re.findall(r">[^<]* … [^<]*<", svg)) >= 5


@pytest.mark.parametrize("engine", ENGINES)
def test_costs_are_written_into_the_operations(engine: str) -> None:
    loss, _ = network()
    found = groups(viz.draw(loss, cost=True, engine=engine, fit=None).svg())
    linear = next(texts for _, texts in found.values() if "linear" in texts)
    assert f"{2 * 5 * 3 * 4 + 15} FLOP" in linear
    assert any("ms, back" in text for text in linear)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_orders_are_classes_and_words(engine: str) -> None:
    x = leaf(0.5, "x")
    (first,) = tg.grad(tg.tanh(x), x, create_graph=True)
    (second,) = tg.grad(first, x, create_graph=True)
    svg = viz.draw([first, second], engine=engine, fit=None).svg()
    found = [classes for name, (classes, _) in groups(svg).items() if name.startswith("n")]
    operations = [classes for classes in found if "operation" in classes]
    assert sum("order1" in classes for classes in operations) == 3
    assert sum("order2" in classes for classes in operations) == 6
    for word in ("forward", "first derivative", "second derivative"):
        assert f">{word}<" in svg


def test_an_opened_box_is_framed_and_a_path_may_lead_through_it() -> None:
    x = leaf([[1.0, 2.0]], "x")
    drawing = viz.draw(tg.softmax(x).max(), textbook=True, path_to=x, engine="builtin", fit=None)
    svg = drawing.svg()
    assert '-c_softmax"' in svg
    symbols = {text for _, texts in groups(svg).values() for text in texts}
    assert {"−", "exp", "Σ", "÷"} <= symbols


def test_marks_survive_a_round_trip_through_json(tmp_path: Any) -> None:
    loss, w = network()
    drawing = viz.draw(loss, heat=True, check=True, path_to=w, jacobian=True, fit=None)
    loaded = viz.load(drawing.save(tmp_path / "graph.json"))
    assert loaded.source == drawing.source
