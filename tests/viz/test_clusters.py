"""Modules are frames around what they compute; ports gather what enters and leaves them."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import re
import shutil
import subprocess
import weakref
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, viz
from tinygrad_gm.models.lenet import LeNet5
from tinygrad_gm.viz.compose.figure import Figure, compose
from tinygrad_gm.viz.compose.nesting import framed
from tinygrad_gm.viz.fold.clusters import Tree
from tinygrad_gm.viz.fold.collapse import rolled, smaller, visible
from tinygrad_gm.viz.graph.view import View, look
from tinygrad_gm.viz.render import dot, svg
from tinygrad_gm.viz.render.layered import arrange

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="no dot here")
needs_pygraphviz = pytest.mark.skipif(find_spec("pygraphviz") is None, reason="not installed")
everywhere = pytest.mark.parametrize("direction", ["LR", "TB"])
NAMESPACE = "{http://www.w3.org/2000/svg}"


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x: Any) -> Any:
        return x + self.fc2(tg.tanh(self.fc1(x)))


class Residual(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(8) for _ in range(blocks))

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


class Fan(nn.Module):
    """Two heads read one trunk, and one reads the other."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.left, self.right = nn.Linear(4, 4), Block(4)

    def forward(self, x: Any) -> Any:
        h = self.trunk(x)
        left, right = self.left(h), self.right(h)
        return left * right + self.right(left) * h


def view_of(model: nn.Module, *shape: int) -> View:
    tg.manual_seed(0)
    x = tg.randn(shape)
    return look([(model(x) ** 2).mean()], {"x": x, **dict(model.named_parameters())})


def figure_of(view: View) -> Figure:
    return framed(compose(view), view)


def encoder() -> Figure:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    view = view_of(nn.TransformerEncoder(layer, 3), 2, 4, 8)
    return figure_of(visible(view, focus="layers.1"))


FIGURES = {
    "residual": lambda: figure_of(view_of(Residual(3), 4, 8)),
    "fan": lambda: figure_of(view_of(Fan(), 2, 3)),
    "lenet": lambda: figure_of(view_of(LeNet5(), 2, 1, 28, 28)),
    "encoder": encoder,
}
for_figures = pytest.mark.parametrize("name", FIGURES)


def without_ports(figure: Figure) -> Figure:
    source = {line.head: line.tail for line in figure.lines if line.classes == "shared"}

    def tail(name: str) -> str:
        return tail(source[name]) if name in source else name

    return replace(
        figure,
        boxes=tuple(box for box in figure.boxes if box.id not in source),
        lines=tuple(
            replace(line, tail=tail(line.tail)) for line in figure.lines if line.head not in source
        ),
        clusters=tuple(
            replace(cluster, boxes=tuple(name for name in cluster.boxes if name not in source))
            for cluster in figure.clusters
        ),
    )


def rendered(figure: Figure, direction: str) -> str:
    command = ["dot", "-Tsvg"]
    source = dot.source(figure, direction).encode()
    return subprocess.run(command, input=source, capture_output=True, check=True).stdout.decode()


# --------------------------------------------------------------------------------------- tree


def test_each_call_of_a_module_is_a_part_of_the_tree() -> None:
    view = view_of(LeNet5(), 2, 1, 28, 28)
    modules = Tree(view)
    calls = [(m.id, m.name, m.kind, m.depth) for m in modules.top.modules() if m.depth]
    assert calls == [
        ("c_conv1", "conv1", "Conv2d", 1),
        ("c_relu", "relu", "ReLU", 1),
        ("c_pool", "pool", "MaxPool2d", 1),
        ("c_conv2", "conv2", "Conv2d", 1),
        ("c_relu_2", "relu", "ReLU", 1),
        ("c_pool_2", "pool", "MaxPool2d", 1),
        ("c_fc1", "fc1", "Linear", 1),
        ("c_relu_3", "relu", "ReLU", 1),
        ("c_fc2", "fc2", "Linear", 1),
        ("c_relu_4", "relu", "ReLU", 1),
        ("c_fc3", "fc3", "Linear", 1),
    ]


def test_names_are_those_of_the_state_dict() -> None:
    model = Residual(2)
    figure = figure_of(view_of(model, 4, 8))
    modules = {name for name, module in model.named_modules() if name and name != "blocks"}
    assert {c.title.partition(" · ")[0] for c in figure.clusters} == modules
    parents = {cluster.id: cluster.parent for cluster in figure.clusters}
    assert parents["c_blocks_1_fc2"] == "c_blocks_1"
    assert parents["c_blocks_1"] == ""


def test_parameters_are_in_their_modules_and_inputs_outside() -> None:
    model = Residual(2)
    view = view_of(model, 4, 8)
    home = Tree(view).home
    places = {v.name: home[v.id].name for v in view.variables if v.role != "result"}
    for name, _ in model.named_parameters():
        assert places[name] == name.rpartition(".")[0]
    assert places["x"] == ""


def test_a_second_derivative_has_calls_of_its_own() -> None:
    layer = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    x = tg.ones((1, 2), requires_grad=True)
    (gradient,) = tg.grad(layer(x).sum(), [x], create_graph=True)
    view = look([gradient.sum()], {})
    orders = {m.order for m in Tree(view).top.modules()}
    assert orders == {0, 1}
    titles = [cluster.title for cluster in figure_of(view).clusters]
    assert any(title.endswith("(backward)") for title in titles)


def test_two_models_have_a_frame_each_and_one_has_none() -> None:
    one, two = nn.Sequential(nn.Linear(2, 2)), Residual(1)
    x = tg.ones((1, 2))
    loss = one(x).sum() + two(tg.ones((1, 8))).sum()
    titles = [cluster.title for cluster in figure_of(look([loss], {})).clusters]
    assert {"Sequential", "Residual"} <= set(titles)
    alone = [cluster.title for cluster in figure_of(look([one(x).sum()], {})).clusters]
    assert alone == ["0 · Linear"]


# -------------------------------------------------------------------------------------- ports


def test_what_a_module_reads_twice_enters_it_through_one_port() -> None:
    figure = figure_of(view_of(Residual(2), 4, 8))
    ports = {box.id: box.classes for box in figure.boxes if box.shape == "point"}
    assert list(ports.values()) == ["port in", "port in"]
    for port in ports:
        assert [line.head for line in figure.lines].count(port) == 1
        assert [line.tail for line in figure.lines].count(port) == 2
    inside = {name for c in figure.clusters if c.id.count("_") == 2 for name in c.boxes}
    assert ports.keys() <= inside


def test_what_leaves_a_module_for_several_leaves_it_through_one_port() -> None:
    figure = figure_of(view_of(Fan(), 2, 3))
    ports = {box.id for box in figure.boxes if box.classes == "port out"}
    assert any(port.startswith("p_out_c_trunk_") for port in ports)


@for_figures
def test_ports_only_lead_lines_and_change_none(name: str) -> None:
    figure = FIGURES[name]()
    plain = without_ports(figure)
    drawn = {(line.id, line.tail, line.head) for line in plain.lines}
    view_lines = {line.id for line in figure.lines if line.classes != "shared"}
    assert {line[0] for line in drawn} == view_lines
    boxes = {box.id for box in plain.boxes}
    assert all(tail in boxes and head in boxes for _, tail, head in drawn)
    place = {box.id: i for i, box in enumerate(figure.boxes)}
    assert all(place[line.tail] < place[line.head] for line in figure.lines)


@needs_dot
def test_ports_more_than_halve_the_height_of_a_residual_net() -> None:
    figure = replace(figure_of(view_of(Residual(3), 4, 8)), legend=(), caption=())

    def height(drawn: Figure) -> float:
        found = re.search(r'<svg [^>]*height="([0-9.]+)pt"', rendered(drawn, "LR"))
        assert found
        return float(found[1])

    with_ports, without = height(figure), height(without_ports(figure))
    assert with_ports <= 0.5 * without
    assert arrange(figure, "LR").height <= 0.5 * without


# ------------------------------------------------------------------------------------- layout


Frame = tuple[float, float, float, float]


def frames_and_boxes(figure: Figure, direction: str) -> tuple[dict[str, Frame], dict[str, Frame]]:
    """Left, right, top and bottom of every cluster, and of every box and text."""
    layout = arrange(figure, direction)
    frames = {
        name: (x, x + width, y, y + height)
        for name, ((x, y), (width, height)) in layout.clusters.items()
    }
    sizes = [(b.id, layout.boxes[b.id], b.width, b.height) for b in figure.boxes]
    sizes += [
        (line.id, layout.texts[line.id], line.width, line.height)
        for line in figure.lines
        if line.id in layout.texts
    ]
    return frames, {n: (x - w / 2, x + w / 2, y - h / 2, y + h / 2) for n, (x, y), w, h in sizes}


def within(one: Frame, two: Frame) -> bool:
    return two[0] <= one[0] and one[1] <= two[1] and two[2] <= one[2] and one[3] <= two[3]


def apart(one: Frame, two: Frame) -> bool:
    across, along = one[1] <= two[0] or two[1] <= one[0], one[3] <= two[2] or two[3] <= one[2]
    return across or along


@everywhere
@for_figures
def test_clusters_hold_what_is_theirs_and_nothing_overlaps(name: str, direction: str) -> None:
    figure = FIGURES[name]()
    frames, boxes = frames_and_boxes(figure, direction)
    around = {n: c.id for c in figure.clusters for n in c.boxes}
    parents = {cluster.id: cluster.parent for cluster in figure.clusters}

    def chain(cluster: str) -> list[str]:
        return [cluster, *chain(parents[cluster])] if cluster else []

    assert all(apart(one, two) for one, two in itertools.combinations(boxes.values(), 2))
    for box in figure.boxes:
        inside = chain(around.get(box.id, ""))
        for cluster, frame in frames.items():
            assert (within if cluster in inside else apart)(boxes[box.id], frame)
    for one, two in itertools.combinations(frames, 2):
        if two in chain(one):
            assert within(frames[one], frames[two])
        elif one in chain(two):
            assert within(frames[two], frames[one])
        else:
            assert apart(frames[one], frames[two])


@everywhere
@for_figures
def test_titles_fit_into_their_frames_and_meet_no_line(name: str, direction: str) -> None:
    figure = FIGURES[name]()
    layout = arrange(figure, direction)
    for cluster in figure.clusters:
        (left, top), (width, _) = layout.clusters[cluster.id]
        assert cluster.width <= width
        right = left + 8 + cluster.width
        for stops in layout.lines.values():
            for x, y in stops:
                assert not (left < x < right and top + 1 < y < top + 12)


@everywhere
@for_figures
def test_lines_through_clusters_run_forward_and_are_whole(name: str, direction: str) -> None:
    figure = FIGURES[name]()
    layout = arrange(figure, direction)
    _, boxes = frames_and_boxes(figure, direction)
    for line in figure.lines:
        stops = layout.lines[line.id]
        along = [stop[direction == "TB"] for stop in stops]
        assert all(a <= b + 1e-6 for a, b in itertools.pairwise(along))
        for end, (x, y) in ((line.tail, stops[0]), (line.head, stops[-1])):
            left, right, top, bottom = boxes[end]
            assert left - 1 <= x <= right + 1
            assert top - 1 <= y <= bottom + 1


# ------------------------------------------------------------------------------------- engines


def groups(text: str, kind: str) -> dict[str, str]:
    found = ElementTree.fromstring(text).iter(f"{NAMESPACE}g")
    classes = {group.get("id", "").rpartition("-")[2]: group.get("class") or "" for group in found}
    return {name: words for name, words in classes.items() if words.split()[:1] == [kind]}


@needs_dot
@everywhere
@for_figures
def test_both_engines_draw_the_same_clusters_nodes_and_edges(name: str, direction: str) -> None:
    figure = FIGURES[name]()
    by_dot, by_us = rendered(figure, direction), svg.draw(figure, direction)
    for kind in ("cluster", "node", "edge"):
        assert groups(by_dot, kind) == groups(by_us, kind)
    assert groups(by_us, "cluster").keys() == {cluster.id for cluster in figure.clusters}


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("dot", marks=needs_dot),
        pytest.param("pygraphviz", marks=needs_pygraphviz),
        "builtin",
    ],
)
def test_draw_has_the_same_clusters_and_ports_with_every_engine(engine: str) -> None:
    model = Residual(2)
    loss = model(tg.ones((2, 8))).sum()
    text = viz.draw(loss, focus="blocks.1", engine=engine, fit=None).svg()
    assert groups(text, "cluster").keys() == {"c_blocks_1", "c_blocks_1_fc1", "c_blocks_1_fc2"}
    classes = groups(text, "node").values()
    assert sum(words == "node port in" for words in classes) == 1
    assert sum(words == "node group" for words in classes) == 1


def test_a_stack_shows_a_cell_for_each_copy_and_a_long_one_a_cell_for_several() -> None:
    full = view_of(Residual(12), 4, 8)
    drawn = rolled(full)
    (card,) = [box for box in compose(drawn).boxes if "stack" in box.classes]
    assert card.title[0].endswith("×12")
    (strip,) = [row.sketch for row in card.rows if row.sketch]
    assert strip.svg.count("<rect") == 12
    assert strip.svg in svg.draw(figure_of(drawn), "LR")
    y = tg.tensor([0.5, 0.2], requires_grad=True)
    for _ in range(1000):
        y = tg.tanh(y)
    chain = next(smaller(look([y], {})))
    (card,) = [box for box in compose(chain).boxes if "stack" in box.classes]
    (strip,) = [row.sketch for row in card.rows if row.sketch]
    heights = [float(height) for height in re.findall('height="([^"]+)"', strip.svg)]
    assert 1 < len(heights) <= 24
    assert heights == sorted(heights)  # the nearer to the root, the larger the gradient


@pytest.mark.parametrize("engine", [pytest.param("dot", marks=needs_dot), "built in"])
def test_a_chain_of_ten_thousand_operations_has_a_picture(engine: str) -> None:
    y = tg.tensor(0.5, requires_grad=True)
    for _ in range(10_000):
        y = tg.tanh(y)
    figure = figure_of(next(smaller(look([y], {}))))
    text = rendered(figure, "LR") if engine == "dot" else svg.draw(figure, "LR")
    assert "… 9,992 more" in text
    assert len(groups(text, "node")) <= 60


HOSTILE = [
    'a"b',
    "<script>alert(1)</script>",
    "\\N\\l",
    "line\nbreak",
    "é∂💥",
    "x" * 10_000,
    "a:b&c;",
]


@needs_dot
@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_of_a_module_breaks_a_picture(name: str) -> None:
    model = nn.Module()
    setattr(model, name, nn.Linear(2, 2))
    layer = vars(model)[name]
    view = look([F.relu(layer(tg.ones((1, 2)))).sum()], {})
    for drawn in (view, visible(view, depth=1)):
        figure = figure_of(drawn)
        for text in (rendered(figure, "LR"), svg.draw(figure, "LR")):
            ElementTree.fromstring(text)
            assert "<script" not in text


# ------------------------------------------------------------------------- several models


def titles_of(*roots: tg.Tensor) -> list[str]:
    return [cluster.title for cluster in figure_of(look(roots, {})).clusters]


def test_two_models_of_one_class_have_a_frame_each() -> None:
    a, b = nn.Linear(2, 3), nn.Linear(2, 3)
    x, y = tg.ones((1, 2)), tg.ones((1, 2))
    loss = F.mse_loss(a(x), b(y))
    view = look([loss], {"x": x, "y": y})
    clusters = figure_of(view).clusters
    assert [cluster.title for cluster in clusters] == ["Linear", "Linear 2"]
    names = {variable.id: variable.name for variable in view.variables}
    for cluster in clusters:
        inside = {names[box] for box in cluster.boxes if box in names}
        assert {f"{cluster.title}.weight", f"{cluster.title}.bias"} < inside
        assert not {"x", "y"} & inside


def test_frames_of_two_models_hold_the_same_parts_twice() -> None:
    one, two = (nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(2))
    loss = (one(tg.ones((1, 2))) + two(tg.ones((1, 2)))).sum()
    assert titles_of(loss) == [
        "Sequential", "0 · Linear", "1 · Tanh", "Sequential 2", "0 · Linear", "1 · Tanh",
    ]  # fmt: skip
    drawn = viz.draw(loss, depth=0, fit=None)._view
    groups = [node.name for node in drawn.nodes if hasattr(node, "hidden")]
    assert groups == ["one", "two"]  # of the variables
    drawn = viz.draw(loss, depth=0, fit=None, names=False)._view
    groups = [node.name for node in drawn.nodes if hasattr(node, "hidden")]
    assert groups == ["Sequential", "Sequential 2"]


def test_a_copy_of_a_model_is_another_model_and_a_second_call_is_not() -> None:
    calls = ["Linear · 1 of 3", "Linear · 2 of 3", "Linear · 3 of 3"]
    model = nn.Linear(2, 2)
    target = copy.deepcopy(model)
    x = tg.ones((1, 2))
    assert titles_of((model(x) - target(x)).sum()) == ["Linear", "Linear 2"]
    assert titles_of((model(x) * 2.0 - model(tg.tanh(model(x)))).sum()) == calls


def test_models_of_one_class_survive_json(tmp_path: Path) -> None:
    a, b = nn.Linear(2, 3), nn.Linear(2, 3)
    x = tg.ones((1, 2))
    drawing = viz.draw((a(x) * b(x)).sum(), fit=None)
    assert viz.load(drawing.save(tmp_path / "two.json")).source == drawing.source


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first

    def forward(self, x: Any) -> Any:
        return self.second(tg.tanh(self.first(x)))


def test_a_shared_layer_has_its_first_name() -> None:
    layer = nn.Linear(3, 3)
    x = tg.ones((1, 3))
    assert titles_of(Shared()(x)) == ["first · 1 of 2", "first · 2 of 2"]
    assert titles_of(nn.Sequential(layer, nn.Tanh(), layer)(x)) == [
        "0 · 1 of 2", "1 · Tanh", "0 · 2 of 2",
    ]  # fmt: skip
    holder = nn.Module()
    holder.layers = nn.ModuleList([nn.Tanh(), layer, layer])
    assert titles_of(holder.layers[2](x)) == ["layers.1 · Linear"]
    assert [name for name, _ in Shared().named_parameters()] == ["first.weight", "first.bias"]


def pickled(model: nn.Module) -> Any:
    return pickle.loads(pickle.dumps(model))


class Decoder(nn.Module):
    def __init__(self, table: nn.Module) -> None:
        super().__init__()
        self.table = table

    def forward(self, x: Any) -> Any:
        return self.table(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 3)
        self.decoder = Decoder(self.embed)

    def forward(self, x: Any) -> Any:
        return self.decoder(tg.tanh(self.embed(x)))


@pytest.mark.parametrize("copied", [lambda model: model, copy.deepcopy, pickled])
def test_a_layer_of_two_parents_has_the_name_that_its_caller_gives_it(copied: Any) -> None:
    model = copied(Tied())
    x = tg.ones((1, 3))
    for _ in range(2):
        assert titles_of(model(x)) == [
            "embed · Linear", "decoder · Decoder", "decoder.table · Linear",
        ]  # fmt: skip
    assert titles_of(model.decoder(x)) == ["decoder · Decoder", "decoder.table · Linear"]
    tied = Tied()
    assert titles_of(tied.embed(x)) == ["embed · Linear"]  # called by no parent: the first name
    names = {v.name for v in look([model(x)], {}).variables}
    assert {"embed.weight", "embed.bias"} < names  # as in the state dict


def test_layers_of_one_model_in_another_have_the_names_of_the_one_that_is_called() -> None:
    one, two = (nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(2))
    x = tg.ones((1, 3))
    assert titles_of(nn.Sequential(one[0], two[0])(x)) == ["0 · Linear", "1 · Linear"]
    assert titles_of(two(x)) == ["0 · Linear", "1 · Tanh"]
    model = nn.Module()
    model.layers = nn.ModuleList(one)
    model.layers.insert(0, nn.Linear(3, 3))
    assert titles_of(model.layers[1](x)) == ["0 · Linear"]  # held first by `one`
    assert titles_of(model.layers[0](x)) == ["layers.0 · Linear"]
    copied = copy.deepcopy(model)
    assert titles_of(copied.layers[1](x)) == ["layers.1 · Linear"]


def test_a_record_keeps_no_model_alive_and_names_remain() -> None:
    model, x = Tied(), tg.ones((1, 3))
    loss, alive = model(x), weakref.ref(model)
    gc.disable()
    del model
    gc.enable()
    assert alive() is None  # no cycle
    assert titles_of(loss)[0] == "embed · Linear"
