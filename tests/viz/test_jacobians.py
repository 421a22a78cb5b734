"""The chain rule on the edges: Jacobians against differences, their words, and what adds up."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

import numpy as np
import pytest
from graphs import registry_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import REGISTRY, SMOOTH, call, prepared, slots_of
from samples import Sample

import tinygrad_gm as tg
from tinygrad_gm.engine.record import topological_order
from tinygrad_gm.viz.annotate import jacobians
from tinygrad_gm.viz.graph.view import Edge, Operation, View, look

STEP = 1e-5


def small(name: str, sample: Sample) -> bool:
    """Whether some argument's Jacobian on this sample has from 1 to 64 entries."""
    arrays = prepared(name, sample, grad=False)
    size = prod(call(name, arrays, sample.params).shape)
    return any(0 < sample.arrays[slot].size * size <= 64 for slot in slots_of(name, sample))


CALLS = [case for case in SMOOTH if small(*case.values)]


def measured(name: str, sample: Sample, slot: int) -> Any:
    """The Jacobian of the result in one argument by central differences."""

    def moved(place: int, step: float) -> Any:
        values = list(sample.arrays)
        values[slot] = values[slot].copy()
        values[slot][np.unravel_index(place, values[slot].shape)] += step
        arrays = prepared(name, Sample(tuple(values), sample.params), grad=False)
        return call(name, arrays, sample.params).numpy().reshape(-1)

    columns = [
        (moved(place, STEP) - moved(place, -STEP)) / (2 * STEP)
        for place in range(sample.arrays[slot].size)
    ]
    return np.array(columns).T


def drawn(name: str, sample: Sample, show: bool = False) -> tuple[View, Operation]:
    """The annotated view of a sample's call, and the operation in it."""
    arrays = prepared(name, sample)
    view = look([call(name, arrays, sample.params)], {})
    jacobians.annotate(view, show)
    return view, next(node for node in view.operations if node.op.name == name)


def edge_into(view: View, operation: Operation, slot: int) -> Edge:
    return next(edge for edge in view.edges if edge.id == f"e_{operation.id}_{slot}")


def agrees(word: str, matrix: Any) -> bool:
    """Whether a structure word is true of a matrix, whose zeros are exact."""
    there = matrix != 0
    rows, columns = there.sum(axis=1), there.sum(axis=0)
    square = matrix.shape[0] == matrix.shape[1]
    used = there[rows > 0].astype(float)
    near = np.linalg.matrix_power(used @ used.T + np.eye(len(used)), len(used)) > 0
    in_blocks = len(np.unique(near, axis=0)) > 1  # rows are joined by columns in groups
    off_diagonal = square and there[~np.eye(len(rows), dtype=bool)].any()
    binary = set(np.unique(matrix)) <= {0.0, 1.0}
    facts = {
        "zero": not there.any(),
        "identity": square and (matrix == np.eye(len(rows))).all(),
        "scaled identity": square and (matrix == matrix[0, 0] * np.eye(len(rows))).all(),
        "diagonal": square and not off_diagonal,
        "permutation": square and binary and (rows == 1).all() and (columns == 1).all(),
        "selection": binary and rows.max() <= 1 and columns.max() <= 1,
        "broadcast sum": rows.max() <= 1 and columns.max() > 1,
        "dense": bool(there.all()),
        "triangular": square and not np.triu(there, 1).any(),
        "block diagonal": in_blocks,
        "sparse": not there.all() and not in_blocks,
    }
    return bool(facts[word])


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), CALLS)
def test_the_jacobian_behind_a_label_is_that_of_differences(name: str, sample: Sample) -> None:
    view, operation = drawn(name, sample, show=True)
    seen = 0
    for slot in slots_of(name, sample):
        edge, wanted = edge_into(view, operation, slot), measured(name, sample, slot)
        assert edge.local
        if not 0 < wanted.size <= 64:
            assert "jacobian" not in edge.marks
            continue
        seen += 1
        found = edge.marks["jacobian"]
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        if wanted.size > 1:
            assert agrees(edge.marks["structure"], found), (edge.marks["structure"], found)
            assert edge.marks["local"].split(": ")[1].startswith("×".join(map(str, wanted.shape)))
            printed = [[number(text) for text in row] for row in edge.marks["matrix"]]
            assert is_rounded(printed, found, 3)
        else:
            last = number(edge.marks["local"].split(" = ")[-1])
            assert last is None or is_rounded(last, found.item(), 4)
    assert seen


def is_rounded(printed: Any, exact: Any, decimals: int) -> bool:
    """Whether numbers are printed with so many decimals, very small ones with two digits less."""
    size = np.abs(exact)
    unit = np.where(
        (size >= 1e-3) & (size < 1e5), 1.0, 100 * 10.0 ** np.floor(np.log10(size + 1e-300))
    )
    return bool((np.abs(np.asarray(printed) - exact) <= 0.501 * unit * 10.0**-decimals).all())


def number(text: str) -> float | None:
    """A number as a drawing writes it."""
    try:
        return float(text.replace("−", "-"))
    except ValueError:
        return None


def test_every_differentiable_argument_of_every_operation_has_a_local_text() -> None:
    for op in REGISTRY.values():
        slots = [0] if op.variadic else [i for i in range(op.arity) if i in op.differentiable]
        texts = dict(enumerate(op.local))
        assert all(texts.get(slot) for slot in slots), op.name


def labels(*roots: Any, show: bool = False) -> list[Edge]:
    """The edges that a gradient flows back along, annotated."""
    view = look(roots, {})
    jacobians.annotate(view, show)
    return [edge for edge in view.edges if "local" in edge.marks]


def leaf(shape: Any, name: str = "x", low: float = 0.5, high: float = 2.0) -> tg.Tensor:
    values = np.random.default_rng(0).uniform(low, high, shape)
    return tg.tensor(values, requires_grad=True, name=name)


def test_a_single_number_has_formula_and_number_and_below_it_the_contribution() -> None:
    w, x = tg.tensor(-0.5, requires_grad=True, name="w"), tg.tensor(2.0, name="x")
    m = w * x
    m.name = "m"
    first, second = labels((m * m).sum())[:2]
    assert first.marks["local"] == "∂m/∂w = x = +2.0000"
    assert first.marks["flow"] == "−4.0000"
    assert second.marks["local"] == "∂t1/∂m = m = −1.0000"


def test_the_number_is_there_where_nothing_flows_back() -> None:
    w = tg.tensor(3.0, requires_grad=True, name="w")
    y = w * w
    (to_w, _, to_y) = labels(y * tg.tensor(0.0))
    assert to_w.marks["local"].endswith("= w = +3.0000")
    assert to_w.marks["flow"] == "0"
    assert to_y.marks["local"].endswith("= 0")


def test_a_tensor_has_formula_shape_and_structure() -> None:
    y = tg.exp(leaf((2, 3)))
    y.name = "y"
    (edge,) = labels(y)
    assert edge.marks["local"] == "∂y/∂x: 6×6 diagonal, exp x"


LARGE = [
    ("diagonal", lambda x: tg.exp(x)),
    ("diagonal", lambda x: x * x.detach()),
    ("scaled identity", lambda x: x * 2.5),
    ("identity", lambda x: x + 1.0),
    ("diagonal", lambda x: tg.relu(x - 1.2)),
    ("zero", lambda x: tg.floor(x)),
    ("permutation", lambda x: x.T),
    ("permutation", lambda x: tg.flip(x, 0)),
    ("selection", lambda x: x[1:, ::2]),
    ("selection", lambda x: tg.pad(x, ((1, 1), (0, 2)))),
    ("selection", lambda x: x.max(axis=1)),
    ("broadcast sum", lambda x: x[[0, 0, 1]]),
    ("broadcast sum", lambda x: x + np.ones((3, 20, 30))),
    ("broadcast sum", lambda x: x * np.random.default_rng(1).normal(size=(3, 20, 30))),
    ("block diagonal", lambda x: x.sum(axis=1)),
    ("block diagonal", lambda x: tg.softmax(x, axis=0)),
    ("block diagonal", lambda x: x @ np.random.default_rng(1).normal(size=(30, 20))),
    ("block diagonal", lambda x: tg.linear(np.random.default_rng(1).normal(size=(9, 30)), x)),
    ("triangular", lambda x: tg.cumulative_sum(x.flatten(), axis=0)),
    ("dense", lambda x: x.mean()),
    ("dense", lambda x: tg.norm(x)),
    ("sparse", lambda x: tg.conv(x[None, None], np.ones((1, 1, 3, 3)))),
]


@pytest.mark.parametrize(("word", "function"), LARGE)
def test_the_structure_of_a_large_jacobian_is_found_from_a_few_rows(
    word: str, function: Any
) -> None:
    words = [edge.marks.get("structure") for edge in labels(function(leaf((20, 30))))]
    assert word in words


def test_zeros_among_the_values_do_not_hide_the_structure() -> None:
    h = tg.relu(leaf((8, 6), low=-1.0, high=1.0))
    (edge,) = [e for e in labels(tg.linear(h, leaf((3, 6), "w"))) if "∂w" in e.marks["local"]]
    assert edge.marks["structure"] == "block diagonal"
    with np.errstate(all="ignore"):
        (edge,) = labels(tg.sqrt(tg.tensor([4.0, 0.0], requires_grad=True)))
    assert edge.marks["structure"] == "diagonal"


def test_a_checkpoint_that_closes_over_a_weight_can_be_drawn() -> None:
    w, x = leaf(3, "w"), leaf(3, "x")
    (edge, *_) = labels(tg.checkpoint(lambda v: tg.tanh(v) * w, x))
    assert edge.marks["structure"] == "diagonal"


def test_few_rows_say_no_more_than_all_rows_do(monkeypatch: pytest.MonkeyPatch) -> None:
    different = []
    for name, sample in (case.values for case in CALLS):
        whole, operation = drawn(name, sample)
        with monkeypatch.context() as patch:
            patch.setattr(jacobians, "WHOLE", 0)
            few, _ = drawn(name, sample)
        for slot in slots_of(name, sample):
            one, two = (edge_into(view, operation, slot).marks for view in (whole, few))
            words = one.get("structure"), two.get("structure")
            if words[0] != words[1] and words != ("block diagonal", "sparse"):
                different.append((name, *words))
    assert {name for name, *_ in different} <= {"scatter"}, different  # most of its rows are empty


def test_a_small_jacobian_is_printed_on_demand_only() -> None:
    assert all("matrix" not in edge.marks for edge in labels(tg.exp(leaf(2))))
    (edge,) = labels(tg.softmax(tg.tensor([0.0, 0.0], requires_grad=True)), show=True)
    assert edge.marks["matrix"] == (("+0.250", "−0.250"), ("−0.250", "+0.250"))
    assert all("matrix" not in edge.marks for edge in labels(tg.exp(leaf((3, 3))), show=True))


def test_drawing_a_jacobian_leaves_the_graph_alone() -> None:
    x = leaf((2, 3))
    out = (tg.softmax(x) * tg.checkpoint(tg.tanh, x)).sum()
    labels(out, show=True)
    assert x.grad is None
    out.backward()
    assert x.grad is not None


def test_a_large_graph_is_looked_at_only_as_far_as_the_work_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jacobians, "WORK", 100)
    (edge,) = labels(tg.exp(leaf(1000)))
    assert edge.marks["local"].endswith(": 1000×1000 diagonal, exp x")  # known of exp
    (edge,) = labels(cube(leaf(1000)))
    assert edge.marks["local"].endswith(": 1000×1000, 3x²")


@tg.op(lambda g, x: 3 * g * x * x, local=["3x²"])
def cube(xp: Any, x: Any) -> Any:
    return x * x * x


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), CALLS)
def test_what_is_known_of_an_operation_is_true_of_its_numbers(name: str, sample: Sample) -> None:
    view, operation = drawn(name, sample)
    into_results = [edge.head for edge in view.edges if edge.tail == operation.id]
    results = [variable.shape for variable in view.variables if variable.id in into_results]
    for slot in slots_of(name, sample):
        found = edge_into(view, operation, slot).marks.get("jacobian")
        word = jacobians.known(operation.op, slot, sample.arrays[slot].shape, results)
        if word and found is not None and found.size > 1:
            read_once = word == "broadcast sum" and (found != 0).sum(axis=1).max() <= 1
            assert read_once or agrees(word, found), (word, found)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(registry_graphs(), st.integers(0, 10_000))
def test_drawn_contributions_sum_to_the_gradient(function: Any, seed: int) -> None:
    x = tg.tensor(np.random.default_rng(seed).uniform(-2, 2, 6), requires_grad=True)
    loss = function(x)
    view = look([loss], {})
    order = [node for node in topological_order(loss) if node.plan.op.outputs == 1]
    results = [v for v in view.variables if v.role == "result"]
    assert len(order) == len(results)
    inner = [tg.engine.record.wrap(v.value, node) for node, v in zip(order, results, strict=True)]
    wanted = tg.grad(loss, [x, *inner], retain_graph=True, allow_unused=True)
    leaves = [v for v in view.variables if v.role == "parameter"]
    sums: Counter[str] = Counter()
    for edge in view.edges:
        if edge.contribution is not None:
            sums[edge.tail] = sums[edge.tail] + edge.contribution
    for variable, gradient in zip([*leaves, *results], wanted, strict=True):
        if gradient is None or variable.is_root or variable.id not in sums:
            continue
        scale = np.abs(gradient.numpy()).max(initial=1.0)
        np.testing.assert_allclose(sums[variable.id], gradient.numpy(), rtol=0, atol=1e-12 * scale)
    loss.backward()
    (drawn_leaf,) = leaves
    scale = np.abs(x.grad.numpy()).max(initial=1.0)
    np.testing.assert_allclose(sums[drawn_leaf.id], x.grad.numpy(), rtol=0, atol=1e-12 * scale)
