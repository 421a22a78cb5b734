"""Calls of a module have a frame each; a loop is drawn as one step with its recurrence."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, viz
from tinygrad_gm.viz.compose.levels import figure_of
from tinygrad_gm.viz.fold.clusters import Tree
from tinygrad_gm.viz.fold.collapse import smaller
from tinygrad_gm.viz.fold.loops import looped
from tinygrad_gm.viz.graph.view import Edge, Group, Operation, View, look

STEPS = 5
ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(not here, reason=f"there is no {name} here"))
    for name, here in {
        "dot": shutil.which("dot") is not None,
        "pygraphviz": find_spec("pygraphviz") is not None,
        "builtin": True,
    }.items()
]


def lstm(steps: int = STEPS, of_x: bool = False) -> tuple[tg.Tensor, list[tg.Tensor]]:
    """The loss of an LSTM cell in a loop, and the hidden states."""
    tg.manual_seed(0)
    cell, head = nn.LSTMCell(8, 16), nn.Linear(16, 3)
    xs = tg.randn((steps, 4, 8), requires_grad=of_x)
    h = c = tg.zeros((4, 16))
    states = []
    for t in range(steps):
        h, c = cell(xs[t], (h, c))
        states.append(h)
    return F.cross_entropy(head(h), tg.tensor([0, 1, 2, 0])), states


def plain(steps: int = STEPS) -> tg.Tensor:
    """A loop outside of all modules."""
    tg.manual_seed(0)
    w, u = (tg.tensor(0.3 * tg.randn((8, 8)).numpy(), requires_grad=True) for _ in range(2))
    h, xs = tg.zeros((4, 8)), tg.randn((steps, 4, 8))
    for t in range(steps):
        h = tg.tanh(xs[t] @ w + h @ u)
    return (h * h).sum()


def titles(view: View, detail: str = "values") -> list[str]:
    return [cluster.title for cluster in figure_of(view, "light", detail).clusters]


def returning(view: View) -> list[Edge]:
    return [edge for edge in view.edges if "loop" in edge.marks]


def names(view: View) -> list[str]:
    return [operation.op.name for operation in view.operations]


# ------------------------------------------------------------------------------------ calls


def test_each_call_of_a_module_has_a_frame_with_its_number() -> None:
    view = look([lstm(3)[0]], {})
    assert titles(view, "full")[:3] == [f"LSTMCell · {k} of 3" for k in (1, 2, 3)]
    svg = viz.draw(lstm(3)[0], fit=None, engine="builtin").svg()
    texts = re.findall(r">(LSTMCell · \d of 3)</text>", svg)
    assert texts == [f"LSTMCell · {k} of 3" for k in (1, 2, 3)]


def test_calls_in_a_row_are_told_apart_and_counted_within_the_call_around_them() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.once = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.once(self.fc(self.fc(x)))

    model = Twice()
    loss = (model(model(tg.ones((1, 2)))) * 2.0).sum()
    called = [
        (".".join(module.path), *module.call) for module in Tree(look([loss], {})).top.modules()
    ]
    inner = [(".fc", 1, 2), (".fc", 2, 2), (".once", 1, 1)]
    assert called == [("", 1, 2), *inner, ("", 2, 2), *inner]


def test_a_loop_inside_of_one_call_is_not_several_calls() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(tg.randn((4, 4)))

        def forward(self, h: Any) -> Any:
            for _ in range(4):
                h = tg.tanh(h @ self.weight)
            return h

    view = look([Net()(tg.ones((2, 4))).sum()], {})
    assert titles(view, "full") == []
    assert titles(looped(view), "full") == ["4 steps"]


def test_the_backward_pass_of_a_call_has_the_number_of_the_call() -> None:
    cell = nn.RNNCell(2, 3)
    x = tg.ones((1, 2), requires_grad=True)
    (slope,) = tg.grad(cell(x, cell(x)).sum(), x, create_graph=True)
    view = look([(slope * slope).sum()], {})
    assert {"RNNCell · 1 of 2 (backward)", "RNNCell · 2 of 2 (backward)"} <= set(titles(view))


def test_a_closed_call_has_its_number() -> None:
    cell = nn.LSTMCell(8, 16)
    h, c = cell(tg.ones((4, 8)))
    loss = (cell(tg.ones((4, 8)), (h, c))[0] * h).sum()
    drawing = viz.draw(loss, collapse="cell", detail="values", fit=None)
    groups = [node.name for node in drawing._view.nodes if isinstance(node, Group)]
    assert groups == ["cell · 1 of 2", "cell · 2 of 2"]


# ------------------------------------------------------------------------------------ loops


@pytest.mark.parametrize("of_x", [False, True])
def test_a_cell_in_a_loop_is_drawn_once_with_its_recurrences(of_x: bool) -> None:
    loss, states = lstm(of_x=of_x)
    whole = look([loss], {})
    drawn = looped(whole)
    step = ["linear", "linear", "add", "lstm_cell"]
    assert names(whole) == (["getitem"] * of_x + step) * STEPS + ["linear", "cross_entropy"]
    assert names(drawn) == ["getitem"] * of_x + step + ["linear", "cross_entropy"]
    assert titles(drawn) == (["5 steps", "LSTMCell"] if of_x else ["LSTMCell  ×5"])
    hidden, memory = returning(drawn)
    heads = {operation.id: operation.op.name for operation in drawn.operations}
    assert [heads[edge.head] for edge in (hidden, memory)] == ["linear", "lstm_cell"]
    assert [edge.marks["loop"]["name"] for edge in (hidden, memory)] == ["h", "c"]
    assert hidden.marks["loop"]["steps"] == STEPS
    gradients = tg.grad(loss, states)  # of the real graph
    sizes = [np.sqrt(np.square(g.numpy(), dtype=float).mean()) for g in gradients]
    np.testing.assert_allclose(hidden.marks["loop"]["sizes"], sizes, rtol=1e-5)
    assert len(memory.marks["loop"]["sizes"]) == STEPS - 1  # nothing reads the last c


def test_without_recurrences_the_drawn_edges_lead_forward() -> None:
    for view in (look([lstm()[0]], {}), look([plain(12)], {})):
        drawn = looped(view)
        position = {node.id: number for number, node in enumerate(drawn.nodes)}
        assert len(position) == len(drawn.nodes) < len(view.nodes)
        assert len({edge.id for edge in drawn.edges}) == len(drawn.edges)
        for edge in drawn.edges:
            if "loop" in edge.marks:
                assert position[edge.tail] > position[edge.head]
            else:
                assert position[edge.tail] < position[edge.head]


def test_a_parameters_edge_into_a_loop_has_the_sum_of_its_contributions() -> None:
    drawn = looped(look([plain(6)], {}))
    drawn.complete()
    shared = [v for v in drawn.variables if v.role == "parameter"]
    assert len(shared) == 2
    for leaf in shared:
        (edge,) = (edge for edge in drawn.edges if edge.tail == leaf.id)
        np.testing.assert_allclose(edge.contribution, leaf.gradient, rtol=1e-5, atol=1e-6)


def test_a_plain_loop_is_found_without_a_module() -> None:
    drawn = looped(look([plain(12)], {}))
    assert names(drawn) == ["matmul", "matmul", "add", "tanh", "multiply", "sum"]
    assert titles(drawn) == ["12 steps"]
    (edge,) = returning(drawn)
    assert len(edge.marks["loop"]["sizes"]) == 12


def test_two_cells_in_one_loop_and_losses_of_each_step() -> None:
    tg.manual_seed(0)
    one, two, head = nn.RNNCell(4, 4), nn.GRUCell(4, 4), nn.Linear(4, 2)
    h = g = tg.zeros((2, 4))
    loss: Any = 0
    for x in tg.randn((6, 2, 4)).unstack():
        h = one(x, h)
        g = two(h, g)
        loss = loss + head(g).sum()
    drawn = looped(look([loss], {"loss": loss, "h": h, "g": g}))
    assert titles(drawn) == ["6 steps", "RNNCell", "GRUCell"]
    found = {edge.marks["loop"]["name"] for edge in returning(drawn)}
    assert found == {"h", "g", "loss", ""}  # the GRU reads its state twice
    (root,) = (variable for variable in drawn.variables if variable.is_root)
    assert root.name == "loss"


def test_results_of_all_steps_are_one_line() -> None:
    tg.manual_seed(0)
    cell = nn.RNNCell(4, 4)
    h, states = tg.zeros((2, 4)), []
    for x in tg.randn((4, 2, 4)).unstack():
        h = cell(x, h)
        states.append(h)
    drawn = looped(look([tg.stack(states).sum()], {}))
    assert [edge.marks["times"] for edge in drawn.edges if "times" in edge.marks] == [4]
    square = looped(look([(h * h).sum()], {}))
    assert [edge.argnum for edge in square.edges if edge.head == square.operations[-2].id] == [0, 1]
    for detail in ("full", "values", "shapes"):
        texts = [text for line in figure_of(drawn, "light", detail).lines for text in line.local]
        assert "4 ×" in texts


def test_the_state_at_the_start_may_be_a_parameter_that_each_step_reads() -> None:
    w = tg.tensor(0.5, requires_grad=True, name="w")
    z = w
    for _ in range(12):
        z = tg.tanh(z * w)
    drawn = looped(look([z], {"z": z}))
    assert names(drawn) == ["multiply", "tanh"]
    (edge,) = returning(drawn)
    slopes, value = [1.0], 0.5  # ∂z₁₂/∂zₖ by the chain rule
    values = [value := float(np.tanh(value * 0.5)) for _ in range(12)]
    for value in values[:0:-1]:
        slopes.append(slopes[-1] * (1 - value**2) * 0.5)
    np.testing.assert_allclose(edge.marks["loop"]["sizes"], slopes[::-1], rtol=1e-4)


def test_layers_with_weights_of_their_own_are_no_loop() -> None:
    h = tg.ones((2, 4))
    for weight in [tg.randn((4, 4), requires_grad=True) for _ in range(6)]:
        h = tg.tanh(h @ weight)
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(6)])
    for loss in (h.sum(), model(tg.ones((2, 4))).sum()):
        view = look([loss], {})
        assert looped(view) is view


def test_steps_that_differ_are_no_loop() -> None:
    w = tg.ones((4, 4), requires_grad=True)
    h = tg.ones((2, 4))
    for number in range(6):
        h = (tg.tanh if number % 3 else tg.sigmoid)(h @ w)
        h = h.reshape(2, 4) if number == 3 else h
    view = look([h.sum()], {})
    assert len(names(looped(view))) > 8
    first = h = tg.tanh(tg.ones((2, 4)) @ w)
    for _ in range(5):  # each step reads the first: the drawn one would read itself
        h = tg.tanh(h @ w) * first
    drawn = looped(look([h.sum()], {}))
    assert names(drawn) == ["matmul", "tanh", "matmul", "tanh", "multiply", "sum"]


def test_a_root_of_an_earlier_step_is_always_drawn() -> None:
    loss, states = lstm()
    for roots in ([loss, states[2]], [states[4], states[2]]):
        drawn = looped(look(roots, {}))
        assert sum(v.is_root for v in drawn.variables) == 2
    assert len(looped(look([loss, states[4]], {})).operations) == 6


def test_a_nan_of_an_earlier_step_is_marked_on_the_drawn_one() -> None:
    x = tg.tensor([1.0, 4.0], requires_grad=True)
    y = x
    with np.errstate(all="ignore"):
        for _ in range(8):
            y = tg.log(y * x)
        drawing = viz.draw(y.sum(), fit=(900, 300), detail="values")
    assert "first-nonfinite" in drawing.svg()


def test_the_backward_pass_of_a_loop_is_a_loop() -> None:
    x = tg.tensor(0.3, requires_grad=True)
    y = x
    for _ in range(8):
        y = tg.sin(y) * x
    (slope,) = tg.grad(y, x, create_graph=True)
    whole = look([slope], {})
    drawn = looped(whole)
    assert len(drawn.operations) < len(whole.operations) / 3
    orders = {node.order for node in drawn.nodes if isinstance(node, Operation)}
    assert orders == {0, 1}


def test_closed_modules_keep_the_recurrence() -> None:
    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(12)])

        def forward(self, h: Any) -> Any:
            return tg.tanh(self.net(h)) + h

    tg.manual_seed(0)
    step, h = Step(), tg.randn((2, 4))
    for _ in range(4):
        h = step(h)
    closed = next(smaller(looped(look([h.sum()], {"h": h}))))
    edges = returning(closed)
    assert edges
    assert any(isinstance(node, Group) for node in closed.nodes)
    alone = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(2)])
    for _ in range(6):
        h = alone(h)
    view = looped(look([h.sum()], {}))
    assert titles(view)[-1] == "1 · Sequential"


# --------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("of_x", [False, True])
def test_the_default_picture_shows_the_recurrence_and_a_cell_for_each_step(
    engine: str, of_x: bool
) -> None:
    drawing = viz.draw(lstm(of_x=of_x)[0], engine=engine)
    svg = drawing.svg()
    assert ">h, 5 steps<" in svg.replace("\xa0", " ")
    assert ">c, 5 steps<" in svg.replace("\xa0", " ")
    root = ElementTree.fromstring(svg)
    fills = set(drawing._figure.theme.heat)
    cells = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        if "recurrence" in group.get("class", ""):
            shapes = [shape for shape in group.iter() if shape.get("fill", "").upper() in fills]
            cells[len(shapes)] = [shape.get("fill", "").upper() for shape in shapes]
    assert sorted(cells) == [4, 5]
    levels = [drawing._figure.theme.heat.index(fill) for fill in cells[5]]
    assert levels == sorted(levels)  # the gradient vanishes towards the first step
    assert levels[0] < levels[-1]


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("detail", ["full", "values", "shapes"])
def test_a_recurrence_stays_beside_its_boxes_without_graphviz(detail: str, direction: str) -> None:
    drawn = looped(look([lstm()[0]], {}))
    svg = viz.Drawing(drawn, direction, engine="builtin", detail=detail).svg()
    size = [float(side) for side in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0]]
    for left, top in re.findall(r'class="cell"[^>]* x="([\d.-]+)" y="([\d.-]+)"', svg):
        assert 0 <= float(left) <= size[0]
        assert 0 <= float(top) <= size[1]


def test_the_page_and_the_file_of_a_loop_are_as_the_drawing(tmp_path: Path) -> None:
    picture = viz.draw(lstm()[0])
    assert viz.load(picture.save(tmp_path / "loop.json")).source == picture.source
    assert picture.save(tmp_path / "loop.html").stat().st_size > 1000


def test_many_steps_share_cells() -> None:
    w = tg.tensor(0.9, requires_grad=True)
    y = tg.tensor(1.0)
    for _ in range(300):
        y = tg.sin(y * w)
    (line,) = (
        line
        for line in figure_of(looped(look([y], {"y": y})), "light", "full").lines
        if line.is_recurrence
    )
    assert line.local == ("y, 300 steps",)
    assert len(line.cells) <= 24
