"""What a drawing finds wrong: vanishing gradients, the birthplace of NaN, dead units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.viz.annotate import diagnosis
from tinygrad_gm.viz.graph.view import Group, View, look
from tinygrad_gm.viz.themes import THEMES


def leaf(values: Any, name: str | None = None) -> tg.Tensor:
    return tg.tensor(values, dtype=np.float64, requires_grad=True, name=name)


def looked_at(root: tg.Tensor) -> View:
    with np.errstate(all="ignore"):
        return look([root], {})


def marked(view: View) -> tuple[list[str], set[str]]:
    """The operations or leaves marked as the first, and the operations marked as tainted."""
    diagnosis.nonfinite(view)
    first = [n for n in view.nodes if n.marks.get("nonfinite") == "first"]
    tainted = [n for n in view.operations if n.marks.get("nonfinite") == "tainted"]
    return [n.op.name if hasattr(n, "op") else n.name for n in first], {n.op.name for n in tainted}


def test_a_nan_born_forward_is_marked_where_it_is_born() -> None:
    x, w = leaf([1.0, -2.0], "x"), leaf([3.0, 4.0], "w")
    with np.errstate(all="ignore"):
        loss = (tg.exp(w) + tg.tanh(tg.log(x))).sum()
    view = looked_at(loss)
    assert marked(view) == (["log"], {"tanh", "add", "sum"})
    clean = [op for op in view.operations if "nonfinite" not in op.marks]
    assert [op.op.name for op in clean] == ["exp"]
    assert any("`log` makes NaN at [1]" in remark for remark in view.remarks)


def test_an_infinity_that_turns_into_nan_later_is_marked_where_it_was_an_infinity() -> None:
    x = leaf([0.0, 1.0])
    with np.errstate(all="ignore"):
        loss = ((1.0 / x) * 0.0).sum()
    assert marked(looked_at(loss)) == (["divide"], {"multiply", "sum"})


@pytest.mark.parametrize("times", [1.0, 3.0])
def test_a_nan_born_only_backward_is_marked_at_the_root_of_zero(times: float) -> None:
    x = leaf([4.0, 0.0], "x")
    loss = (tg.sqrt(x * x) * times).sum()
    view = looked_at(loss)
    assert marked(view) == (["sqrt"], {"multiply"})
    assert [op.op.name for op in view.operations if op.marks.get("nonfinite")] == [
        "multiply",
        "sqrt",
    ]
    assert any("in the backward pass `sqrt` sends ∞ at [1]" in text for text in view.remarks)
    (variable,) = [v for v in view.variables if v.name == "x"]
    assert variable.marks["nonfinite"] == "tainted"


def test_where_both_branches_are_fine_forward_the_root_is_found() -> None:
    x = leaf([0.0, 1.0])
    loss = tg.where(x > 0, tg.sqrt(x), x).sum()  # 0 · ∞ is NaN at the first element
    assert marked(looked_at(loss))[0] == ["sqrt"]


def test_a_leaf_with_nan_is_marked_itself() -> None:
    view = looked_at((leaf([1.0, np.nan], "w") * 2.0).sum())
    assert marked(view) == (["w"], {"multiply", "sum"})


def test_a_mask_of_minus_infinity_is_no_fault() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    masked = tg.where(tg.tensor([[True, False], [True, True]]), x, -np.inf)
    assert marked(looked_at((tg.softmax(masked) * x).sum())) == ([], set())


def test_a_clean_graph_has_no_marks_and_no_remarks() -> None:
    view = looked_at(tg.tanh(leaf([1.0, 2.0])).sum())
    assert marked(view) == ([], set())
    assert not view.remarks


def test_only_the_first_of_two_births_is_marked_first() -> None:
    x = leaf([-1.0])
    with np.errstate(all="ignore"):
        loss = (tg.log(x) + tg.sqrt(x)).sum()
    assert marked(looked_at(loss)) == (["log"], {"sqrt", "add", "sum"})


def test_heat_is_the_logarithm_of_the_root_mean_square() -> None:
    a, b, c = leaf(np.ones((2, 3)), "a"), leaf(np.ones(50), "b"), leaf([1.0], "c")
    view = looked_at((a * 1e-4).sum() + (b * 1e-2).sum() + (c * 0.0).sum())
    diagnosis.heat(view)
    found = {v.name: v.marks for v in view.variables}
    assert found["a"]["rms"] == pytest.approx(1e-4)
    assert found["b"]["rms"] == pytest.approx(1e-2)
    assert found["a"]["heat"] == pytest.approx(0.0)
    assert found["b"]["heat"] == pytest.approx(0.5)
    assert found["c"]["rms"] == 0
    assert "heat" not in found["c"]
    assert max(marks.get("heat", 0) for marks in found.values()) == 1.0
    assert any("0.0001 (pale) to 1 (full" in remark for remark in view.remarks)


def test_heat_of_gradients_whose_squares_vanish_is_not_zero() -> None:
    a = leaf([1.0, 1.0], "a")
    view = looked_at((a * 1e-300).sum())
    diagnosis.heat(view)
    (marks,) = [v.marks for v in view.variables if v.name == "a"]
    assert marks["rms"] == pytest.approx(1e-300)


def test_units_that_are_zero_for_the_whole_batch_are_counted() -> None:
    x = leaf([[1.0, -1.0, 2.0], [3.0, -2.0, -1.0]])
    images = leaf(np.where(np.arange(3)[:, None, None] == 1, -1.0, 1.0) * np.ones((2, 3, 4, 4)))
    view = looked_at(tg.relu(x).sum() + tg.relu(images).sum() + tg.relu(-x * x).sum())
    diagnosis.dead_units(view)
    found = [(v.marks["dead"], v.marks["units"]) for v in view.variables if "dead" in v.marks]
    assert found == [(1, 3), (1, 3), (3, 3)]


def test_the_largest_gradient_has_the_strongest_colour_and_infinity_too() -> None:
    x = leaf([1.0, 4.0], "x")
    y = tg.sqrt(x * 0.0)  # its derivative at 0 is infinite
    loss = (y * x + 100.0 * x).sum()
    with np.errstate(all="ignore"):
        drawing = viz.draw(loss, heat=True, fit=None)
    sizes = {v.id: v.marks["rms"] for v in drawing._view.variables if "rms" in v.marks}
    grounds = {box.id: box.look.ground for box in drawing._figure.boxes}
    infinite = [identity for identity, size in sizes.items() if size == np.inf]
    finite = [v.id for v in drawing._view.variables if "heat" in v.marks and sizes[v.id] < np.inf]
    strongest = THEMES["light"].heat[-1]
    assert infinite
    assert {grounds[i] for i in (*infinite, max(finite, key=sizes.__getitem__))} == {strongest}


def test_a_root_that_others_read_has_a_colour_and_one_that_none_reads_has_not() -> None:
    x = leaf(2.0, "x")
    h = x * 3.0
    loss = h * 50.0
    view = look([h, loss], {"h": h, "loss": loss})
    diagnosis.heat(view)
    heats = {v.name: v.marks.get("heat") for v in view.variables}
    assert heats["h"] == 0.0  # 51, and x has 153
    assert heats["x"] == 1.0
    assert heats["loss"] is None


def test_a_closed_module_is_as_warm_as_the_size_it_shows() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 4), nn.Sigmoid())
    drawing = viz.draw(model, tg.randn((5, 6)) * 0.01, heat=True, depth=1, fit=None)
    groups = [node for node in drawing._view.nodes if isinstance(node, Group)]
    last = groups[-1]
    assert last.gradients == [1.0]  # of the root, which the last sigmoid makes
    grounds = {box.id: box.look.ground for box in drawing._figure.boxes}
    warmest = max(groups, key=lambda group: max(group.gradients))
    assert all(grounds[group.id] in THEMES["light"].heat for group in groups)
    assert grounds[warmest.id] == THEMES["light"].heat[-1]


def test_the_ends_of_the_scale_may_be_the_ends_of_all_numbers() -> None:
    low, high = np.finfo(float).tiny, np.finfo(float).max
    texts = diagnosis.levels(low, high, 5)
    assert texts[0].startswith("2.2e−308 … ")
    assert texts[-1].endswith(" … 1.8e+308")
    assert diagnosis.warmth(1.0, low, high) == pytest.approx(0.5, abs=0.01)
