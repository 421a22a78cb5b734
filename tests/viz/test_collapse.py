"""Big graphs are drawn closed: what stands for what, and nothing is cut off from anything."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import isnan, prod
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, viz
from tinygrad_gm.viz.fold.clusters import Links, Tree
from tinygrad_gm.viz.fold.collapse import check_size, fingerprint, repeats, rolled, smaller, visible
from tinygrad_gm.viz.graph.view import Group, Operation, Variable, View, look

Shape = tuple[int, ...]


class Block(nn.Module):
    def __init__(self, n: int, activation: Callable[[Any], Any] = tg.tanh) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(n, n), nn.Linear(n, n)
        self.activation = activation

    def forward(self, x: Any) -> Any:
        return x + self.fc2(self.activation(self.fc1(x)))


class Tower(nn.Module):
    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(tg.relu(x))


def tower(count: int = 12, odd: dict[int, nn.Module] | None = None) -> View:
    tg.manual_seed(0)
    blocks = [(odd or {}).get(i) or Block(4) for i in range(count)]
    model = Tower(blocks)
    loss = (model(tg.randn((3, 4))) ** 2).mean()
    return look([loss], dict(model.named_parameters()))


def encoder() -> View:
    tg.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 12)
    return look([model(tg.randn((2, 16, 64))).sum()], {})


def chain(length: int) -> View:
    y = tg.tensor([0.5, 0.25], requires_grad=True)
    for _ in range(length):
        y = tg.tanh(y)
    return look([y], {})


def scalar_graph(seed: int, steps: int) -> View:
    rng = np.random.default_rng(seed)
    known = [tg.tensor(float(v), requires_grad=True) for v in rng.normal(size=4)]
    for _ in range(steps):
        one, two = (known[i] for i in rng.integers(max(0, len(known) - 20), len(known), size=2))
        known.append([tg.tanh(one), tg.sin(one * two), one + two, one - 2.0][rng.integers(4)])
    return look(known[-2:], {})


def closed(view: View, most: int = 60) -> View:
    """The view in which modules are closed until at most `most` nodes are left."""
    return next(
        drawn
        for drawn in itertools.chain([rolled(view)], smaller(view))
        if len(drawn.nodes) <= most
    )


def groups(view: View) -> list[Group]:
    return [node for node in view.nodes if isinstance(node, Group)]


def reached(view: View) -> dict[str, set[str]]:
    """For each root's name the names of the leaves that are drawn and that it depends on."""
    arguments: dict[str, list[str]] = {}
    for edge in view.edges:
        arguments.setdefault(edge.head, []).append(edge.tail)
    names = {v.id: v.name for v in view.variables if v.role in ("parameter", "constant")}
    found = {}
    for root in (v for v in view.variables if v.is_root):
        seen, stack = {root.id}, [root.id]
        while stack:
            new = [tail for tail in arguments.get(stack.pop(), ()) if tail not in seen]
            seen.update(new)
            stack += new
        found[root.name] = {names[name] for name in seen if name in names}
    return found


def check(full: View, drawn: View) -> None:
    """The drawn view is a graph in topological order, and keeps what was reachable."""
    place = {node.id: i for i, node in enumerate(drawn.nodes)}
    assert len(place) == len(drawn.nodes)
    assert all(place[edge.tail] < place[edge.head] for edge in drawn.edges)
    assert len({edge.id for edge in drawn.edges}) == len(drawn.edges)
    whole, shown = reached(full), {v.name for v in drawn.variables}
    found = reached(drawn)
    assert found.keys() == whole.keys()
    assert all(found[root] >= whole[root] & shown for root in whole)
    hidden = sum(group.hidden for group in groups(drawn))
    assert hidden + len(drawn.operations) == len(full.operations)


# ------------------------------------------------------------------------------------- stacks


def test_twelve_equal_blocks_are_one_stack_with_a_size_for_each() -> None:
    full = tower()
    drawn = closed(full)
    check(full, drawn)
    (stack,) = groups(drawn)
    assert (stack.name, stack.kind, stack.count) == ("blocks.0 … blocks.11", "Block", 12)
    assert stack.parameters == 12 * 2 * (4 * 4 + 4)
    assert stack.shapes == (((3, 4),), ((3, 4),))
    assert len(stack.gradients) == 12
    for block, size in enumerate(stack.gradients):
        own = [v.gradient for v in full.variables if v.name.startswith(f"blocks.{block}.")]
        together = np.concatenate([gradient.reshape(-1) for gradient in own])
        assert size == pytest.approx(np.sqrt(np.mean(together.astype(float) ** 2)))


@pytest.mark.parametrize(
    "odd",
    [Block(4, tg.sin), nn.Sequential(Block(4)), nn.Linear(4, 4)],
    ids=["op", "depth", "class"],
)
def test_an_altered_block_is_left_out_of_the_stack(odd: nn.Module) -> None:
    full = tower(19, {9: odd})
    drawn = closed(full)
    check(full, drawn)
    assert [(g.name, g.count) for g in groups(drawn)] == [
        ("blocks.0 … blocks.8", 9),
        ("blocks.10 … blocks.18", 9),
    ]


def test_names_and_values_make_no_difference_but_what_is_computed_does() -> None:
    def prints(function: Callable[[Any, Any], Any], *shapes: Shape) -> Any:
        tensors = [tg.randn(shape, requires_grad=True) for shape in shapes]
        view = look([function(*tensors)], {"anything": tensors[0]})
        return fingerprint(view.operations, Links(view))

    first = prints(lambda x, w: tg.tanh(x @ w).sum(0), (2, 3), (3, 3))
    assert first == prints(lambda x, w: tg.tanh(x @ w).sum(0), (2, 3), (3, 3))
    assert first != prints(lambda x, w: tg.tanh(x @ w).sum(1), (2, 3), (3, 3))  # static argument
    assert first != prints(lambda x, w: tg.sin(x @ w).sum(0), (2, 3), (3, 3))  # operation
    assert first != prints(lambda x, w: tg.tanh(x @ w).sum(0), (2, 3), (3, 4))  # shape
    square = prints(lambda x, w: tg.tanh(x @ w) + x, (3, 3), (3, 3))
    assert square != prints(lambda x, w: tg.tanh(x @ w) + w, (3, 3), (3, 3))  # inner edge


def test_repeats_are_found_from_the_left_with_the_shortest_pattern() -> None:
    assert repeats("aaaa", 3) == [(0, 1, 4)]
    assert repeats("abcabcabcx", 3) == [(0, 3, 3)]
    assert repeats("abab", 3) == []
    assert repeats("", 3) == []
    rng = np.random.default_rng(0)
    for _ in range(30):
        word = "".join(rng.choice(list("ab"), size=20))
        for start, length, copies in repeats(word, 3):
            assert word[start : start + length * copies] == word[start : start + length] * copies


# ------------------------------------------------------------------------------- by themselves


def test_a_transformer_encoder_of_twelve_layers_is_drawn_with_few_nodes() -> None:
    full = encoder()
    assert len(full.nodes) > 1000
    drawn = closed(full)
    check(full, drawn)
    assert len(drawn.nodes) <= 60
    assert [group.count for group in groups(drawn)] == [12]


def test_a_small_graph_is_drawn_as_it_is() -> None:
    full = tower(3)
    assert visible(full) is full


def test_of_a_chain_of_ten_thousand_operations_the_ends_are_drawn() -> None:
    full = chain(10_000)
    drawn = closed(full)
    check(full, drawn)
    (middle,) = groups(drawn)
    shown = [node.id for node in drawn.operations]
    assert middle.name == "tanh"
    assert middle.kind == f"… {10_000 - len(shown):,} more operations"
    assert middle.count == middle.hidden == len(middle.gradients) == 10_000 - len(shown)
    ends = [node.id for node in full.operations]
    half = len(shown) // 2
    assert half
    assert shown == ends[:half] + ends[-half:]
    assert len(drawn.nodes) <= 60


def test_steps_of_a_loop_without_modules_are_one_node() -> None:
    w, y = tg.tensor([0.5, 0.2], requires_grad=True), tg.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(100):
        y = tg.tanh(y * w) + 1.0
    full = look([y], {"w": w})
    drawn = closed(full)
    check(full, drawn)
    (middle,) = groups(drawn)
    assert (middle.name, middle.count) == ("× → tanh → +", 98)
    assert middle.kind == "… 294 more operations"
    assert "w" in {v.name for v in drawn.variables}  # read by each step and by the ends


@pytest.mark.parametrize("seed", range(8))
def test_irregular_graphs_keep_their_connections(seed: int) -> None:
    full = scalar_graph(seed, 400)
    drawn = closed(full)
    check(full, drawn)
    assert len(full.nodes) > 200
    assert len(drawn.nodes) <= 60


@pytest.mark.parametrize("seed", range(20))
def test_random_models_keep_their_connections_however_they_are_closed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tg.manual_seed(seed)
    modules = [Block(4), nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), Block(4)), nn.Dropout(0.5)]
    model = nn.ModuleList(modules)
    known = [tg.randn((2, 4)), tg.randn((2, 4), requires_grad=True)]
    for _ in range(12):
        one, two = (known[i] for i in rng.integers(len(known), size=2))
        known.append([model[rng.integers(4)](one), one * two][rng.integers(2)])
    full = look(known[-3:], dict(model.named_parameters()))
    paths = {m.name for m in Tree(full).top.modules()}
    chosen = sorted(rng.choice(sorted(paths), size=min(2, len(paths)), replace=False).tolist())
    some: list[dict[str, Any]] = [{"collapse": chosen}, *({"focus": path} for path in chosen)]
    for options in ({"depth": 1}, {"depth": 2}, *some):
        check(full, visible(full, **options))


# ---------------------------------------------------------------------------------- as wanted


class Mixed(nn.Module):
    """Four modules, and four operations beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = nn.Linear(4, 6), Block(6), nn.Linear(6, 6)
        self.head = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 1))

    def forward(self, x: Any) -> Any:
        x = F.relu(self.stem(x))
        return self.head(tg.exp(self.left(x) * self.right(x)))


def mixed() -> View:
    tg.manual_seed(0)
    model = Mixed()
    return look([model(tg.randn((5, 4))).sum()], dict(model.named_parameters()))


def test_at_depth_1_there_are_the_models_modules_and_the_free_operations() -> None:
    full = mixed()
    drawn = visible(full, depth=1)
    check(full, drawn)
    assert [group.name for group in groups(drawn)] == ["stem", "left", "right", "head"]
    assert [operation.op.name for operation in drawn.operations] == [
        "relu",
        "multiply",
        "exp",
        "sum",
    ]
    calls = sum(group.count for group in groups(drawn)) + len(drawn.operations)
    assert calls == 4 + 4
    head = groups(drawn)[-1]
    assert (head.kind, head.hidden, head.parameters) == ("Sequential", 3, 6 * 3 + 3 + 3 + 1)
    assert head.shapes == (((5, 6),), ((5, 1),))


def test_depth_0_closes_the_model_and_a_large_depth_nothing() -> None:
    full = mixed()
    (model,) = groups(visible(full, depth=0))
    assert (model.name, model.kind) == ("Mixed", "Mixed")
    assert model.parameters == sum(prod(v.shape) for v in full.variables if v.role == "parameter")
    assert visible(full, depth=9) is full


def test_collapse_takes_paths_or_a_function_of_the_path() -> None:
    full = mixed()
    listed = visible(full, collapse=["left.fc1", "head"])
    by_function = visible(full, collapse=lambda path: path in ("left.fc1", "head"))
    assert [g.name for g in groups(listed)] == ["left.fc1", "head"]
    assert [n.id for n in by_function.nodes] == [n.id for n in listed.nodes]
    check(full, listed)


def test_focus_opens_one_module_and_closes_the_others() -> None:
    full = tower()
    drawn = visible(full, focus="blocks.1")
    check(full, drawn)
    assert [g.name for g in groups(drawn)] == ["blocks.0", "blocks.2 … blocks.11", "head"]
    assert {v.name for v in drawn.variables} >= {
        f"blocks.1.{layer}.{name}" for layer in ("fc1", "fc2") for name in ("weight", "bias")
    }
    inner = visible(full, focus="blocks.1.fc2")
    assert [g.name for g in groups(inner)][:2] == ["blocks.0", "blocks.1.fc1"]
    check(full, inner)


def test_masks_are_drawn_with_their_module_and_inputs_outside_of_it() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 3), nn.Dropout(0.5))
    x = tg.randn((2, 3), requires_grad=True)
    drawn = visible(look([model(x)], {"x": x}), depth=1)
    assert {v.name for v in drawn.variables if v.role != "result"} == {"x"}
    assert len(groups(drawn)) == 3


def test_a_shared_parameter_stays_outside_of_all_that_read_it() -> None:
    shared = nn.Linear(4, 4)
    one, two = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    one[0].weight = two[0].weight = shared.weight
    model = nn.Sequential(one, two)
    full = look([model(tg.ones((2, 4))).sum()], {"shared": shared.weight})
    drawn = visible(full, depth=1)
    check(full, drawn)
    assert "shared" in {v.name for v in drawn.variables}
    assert [g.parameters for g in groups(drawn)] == [4, 4]


def test_what_flows_back_into_a_closed_module_is_summed() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(Block(4))
    x = tg.randn((3, 4), requires_grad=True)
    full = look([(model(x) ** 2).sum()], {"x": x})
    drawn = visible(full, depth=1)
    source = next(v for v in drawn.variables if v.name == "x")
    (edge,) = [edge for edge in drawn.edges if edge.tail == source.id]
    np.testing.assert_allclose(edge.contribution, source.gradient, rtol=1e-6)


def test_what_annotations_found_inside_is_said_of_the_whole() -> None:
    full = mixed()
    of_head = [node for node in full.nodes if node.path[1:2] == ("head",)]
    for node in full.nodes:
        inside = node in of_head
        if isinstance(node, Operation):
            node.marks |= {
                "cost": {"flops": 10.0, "saved": 8.0},
                **({"dim": True} if inside else {}),
            }
        elif node.role == "parameter":
            node.marks |= {"heat": 0.75 if inside else 0.25, "heat_range": (1e-3, 1.0)}
            node.marks |= {"dim": True} if inside else {}
        elif inside:
            node.marks["dim"] = True
    exp = next(o for o in full.operations if o.op.name == "tanh" and o.path[1] == "left")
    exp.marks["nonfinite"] = "first"
    for operation in full.operations[full.operations.index(exp) + 1 :]:
        operation.marks["nonfinite"] = "tainted"
    stem, left, right, head = groups(visible(full, depth=1))
    assert left.marks["nonfinite"] == "first"
    assert "nonfinite" not in stem.marks
    assert right.marks["nonfinite"] == head.marks["nonfinite"] == "tainted"
    assert (stem.marks["heat"], head.marks["heat"]) == (0.25, 0.75)
    assert head.marks["cost"] == {"flops": 30.0, "saved": 24.0}
    assert "dim" in head.marks
    assert "dim" not in left.marks


def test_unknown_gradients_are_no_numbers() -> None:
    w = tg.tensor([1.0, 2.0])
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for parameter in model.parameters():
        parameter.requires_grad = False
    x = tg.randn((2, 2), requires_grad=True)
    y = model(x) * w
    with tg.no_grad():
        x += 1.0  # the values are those of another moment now
    drawn = visible(look([y], {}), depth=1)
    assert all(isnan(size) for group in groups(drawn) for size in group.gradients)


def test_a_root_inside_a_closed_module_is_drawn() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    out = model(tg.ones((1, 2)))
    drawn = visible(look([out.sum(), out], {}), depth=0)
    assert [type(node) for node in drawn.nodes] == [Variable, Group, Variable, Operation, Variable]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": -1}, "expected a depth of 0 .whole models., 1 .* got -1"),
        (
            {"focus": "blocks.12"},
            "focus names an unknown module 'blocks.12'; use one such as blo",
        ),
        ({"collapse": ["block.1"]}, "collapse names an unknown module 'block.1'"),
    ],
)
def test_modules_that_are_not_there_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        visible(tower(2), **options)


def test_more_than_two_thousand_visible_nodes_are_refused() -> None:
    full = chain(1500)
    with pytest.raises(ValueError, match=r"3,001 nodes are too many.*depth=.*focus=.*force=True"):
        check_size(len(full.nodes), force=False)
    check_size(len(full.nodes), force=True)
    check_size(2000, force=False)


def test_a_drawing_of_too_many_nodes_has_a_source_and_no_picture() -> None:
    y = tg.tensor(0.5, requires_grad=True)
    for _ in range(1100):
        y = tg.tanh(y)
    picture = viz.draw(y, depth=1, fit=None)
    assert picture.source.count("tanh") > 1100
    with pytest.raises(ValueError, match=r"2,201 nodes are too many.*force=True"):
        picture.svg()
    assert ">y, 1,100 steps<" in viz.draw(y).svg()


def test_draw_closes_what_it_is_told_to() -> None:
    tg.manual_seed(0)
    model = Mixed()
    loss = model(tg.randn((5, 4))).sum()
    assert "left.fc1" in viz.draw(loss, engine="builtin", fit=None).svg()
    closed = viz.draw(loss, depth=1, engine="builtin", fit=None).svg()
    assert "left.fc1" not in closed
    assert "Block" in closed
    assert "left.fc1" in viz.draw(loss, focus="left", engine="builtin", fit=None).svg()


def test_equal_programs_are_closed_in_the_same_way() -> None:
    ids = [[n.id for n in closed(tower()).nodes] for _ in range(2)]
    assert ids[0] == ids[1]
    assert all(int(a[1:]) < int(b[1:]) for a, b in itertools.pairwise(ids[0]))


class Words(nn.Module):
    """A language model: the indices are read twice, by the first operations of two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(10, 4), nn.Embedding(10, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, ids: Any) -> Any:
        return self.head(self.words(ids) + self.places(ids))


class Conditioned(nn.Module):
    """Its second input is read by no module's first operation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = Gate(), nn.Linear(4, 3)

    def forward(self, x: Any, given: Any) -> Any:
        return self.head(self.inner(x, given["gate"]))


class Gate(nn.Module):
    def forward(self, x: Any, gate: Any) -> Any:
        return tg.tanh(x * 2.0) * gate


@pytest.mark.parametrize("depth", [None, 0, 1, 2])
@pytest.mark.parametrize("array", [True, False])
@pytest.mark.parametrize(
    ("make", "name", "readers"),
    [
        (lambda: nn.Embedding(10, 4), "input", 1),
        (lambda: nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 3)), "x", 1),
        (lambda: nn.Sequential(nn.Sequential(nn.Embedding(10, 4)), nn.Linear(4, 3)), "x", 1),
        (Words, "ids", 2),
    ],
)
def test_indices_are_an_input_at_every_depth(
    make: Callable[[], nn.Module], name: str, readers: int, array: bool, depth: int | None
) -> None:
    ids = np.array([[1, 2, 3]])
    drawn = viz.draw(make(), ids if array else tg.tensor(ids), depth=depth, fit=None)._view
    (given,) = [v for v in drawn.variables if v.name == name]
    assert (given.shape, given.dtype) == ((1, 3), np.int64)
    heads = [edge.head for edge in drawn.edges if edge.tail == given.id]
    assert len(heads) == (1 if depth == 0 else readers)
    assert set(heads) <= {node.id for node in drawn.nodes if not isinstance(node, Variable)}
    assert heads[0] == next(n.id for n in drawn.nodes if not isinstance(n, Variable))


@pytest.mark.parametrize("depth", [0, 1])
def test_the_indices_of_a_recorded_loss_are_drawn_outside_of_what_reads_them(depth: int) -> None:
    ids = tg.tensor(np.array([[1, 2, 3]]), name="ids")
    drawn = visible(look([Words()(ids).sum()], {}), depth=depth)
    assert [v.name for v in drawn.variables if v.role == "constant"] == ["ids"]


@pytest.mark.parametrize("depth", [None, 0, 1, 2])
def test_every_input_of_a_model_is_drawn_wherever_it_is_read(depth: int | None) -> None:
    x, gate = tg.ones((2, 4)).requires_grad_(), tg.full((2, 4), 0.5)
    gate.name = "gate"
    view = viz.draw(Conditioned(), x, {"gate": gate}, depth=depth, fit=None)._view
    for name in ("x", "gate"):
        (given,) = [v for v in view.variables if v.name == name]
        assert any(edge.tail == given.id for edge in view.edges)
