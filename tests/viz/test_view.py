"""The graph as data: its shape, and numbers held against closed forms and central differences."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.ops import registry
from tinygrad_gm.viz.graph.view import Edge, Variable, View, look


def leaf(data: Any, name: str | None = None, requires_grad: bool = True) -> tg.Tensor:
    return tg.tensor(data, dtype=np.float64, requires_grad=requires_grad, name=name)


def neuron() -> tuple[tg.Tensor, dict[str, tg.Tensor]]:
    """(σ(w·x + b) − y)² with the weight used once more as its own regulariser."""
    w, b = leaf(-0.4, "w"), leaf(0.3, "b")
    x, y = leaf(2.0, "x", False), leaf(1.0, "y", False)
    z = w * x + b
    z.name = "z"
    loss = (tg.sigmoid(z) - y) ** 2 + w * w
    loss.name = "L"
    return loss, {"w": w, "b": b, "x": x, "y": y}


def find(view: View, name: str) -> Variable:
    (found,) = [variable for variable in view.variables if variable.name == name]
    return found


def into(view: View, operation: str) -> list[Edge]:
    found = next(node for node in view.operations if node.op.name == operation)
    return [edge for edge in view.edges if edge.head == found.id]


def test_there_is_a_node_per_variable_and_operation_and_an_edge_per_argument() -> None:
    loss, _ = neuron()
    view = look([loss], {})
    assert [operation.op.symbol for operation in view.operations] == list("×+σ−^×+")
    roles = Counter(variable.role for variable in view.variables)
    assert roles == {"parameter": 2, "constant": 2, "number": 1, "result": 7}
    assert len([edge for edge in view.edges if edge.argnum is not None]) == 13
    assert len([edge for edge in view.edges if edge.argnum is None]) == 7


def test_ids_count_the_topological_order() -> None:
    loss, _ = neuron()
    view = look([loss], {})
    assert [node.id for node in view.nodes] == [f"n{i}" for i in range(len(view.nodes))]
    position = {node.id: i for i, node in enumerate(view.nodes)}
    assert all(position[edge.tail] < position[edge.head] for edge in view.edges)
    assert len({edge.id for edge in view.edges}) == len(view.edges)


@pytest.mark.parametrize("twice", [lambda x: x * x, lambda x: tg.concat([x, x]).sum()])
def test_an_argument_given_twice_has_two_edges(twice: Any) -> None:
    view = look([twice(leaf([2.0], "x"))], {})
    operation = view.operations[0]
    edges = [edge for edge in view.edges if edge.tail == find(view, "x").id]
    assert [edge.id for edge in edges] == [f"e_{operation.id}_0", f"e_{operation.id}_1"]


def test_gradients_of_leaves_equal_central_differences() -> None:
    loss, leaves = neuron()
    view = look([loss], {})

    def value(**moved: float) -> float:
        v = {name: t.item() for name, t in leaves.items()} | moved
        p = 1 / (1 + np.exp(-(v["w"] * v["x"] + v["b"])))
        return float((p - v["y"]) ** 2 + v["w"] ** 2)

    for name in ("w", "b"):
        at, h = leaves[name].item(), 1e-6
        slope = (value(**{name: at + h}) - value(**{name: at - h})) / (2 * h)
        assert find(view, name).gradient == pytest.approx(slope, rel=1e-8)
    assert find(view, "x").gradient is None


def test_gradients_and_values_of_results_are_those_of_the_formula() -> None:
    loss, _ = neuron()
    z = find(look([loss], {}), "z")
    p = 1 / (1 + np.exp(0.5))
    assert z.value == pytest.approx(-0.5, rel=1e-12)
    assert z.gradient == pytest.approx(2 * (p - 1) * p * (1 - p), rel=1e-12)


def mlp() -> tg.Tensor:
    rng = np.random.default_rng(0)
    x = leaf(rng.normal(size=(5, 3)))
    w, b = leaf(rng.normal(size=(4, 3))), leaf(rng.normal(size=4))
    hidden = tg.tanh(tg.linear(x, w, b))
    logits = hidden @ w + (hidden * hidden).sum(1, True) / 2.0
    return tg.cross_entropy(logits, tg.tensor([0, 1, 2, 0, 1])) + (b * b).mean()


@pytest.mark.parametrize("build", [lambda: neuron()[0], mlp])
def test_a_gradient_is_the_sum_of_the_contributions_to_it(build: Any) -> None:
    view = look([build()], {})
    checked = 0
    for variable in view.variables:
        sent = [edge.contribution for edge in view.edges if edge.tail == variable.id]
        sent = [contribution for contribution in sent if contribution is not None]
        if sent:
            np.testing.assert_allclose(sum(sent), variable.gradient, rtol=1e-12)
            checked += 1
    assert checked >= 7


def test_gradients_in_the_view_are_those_that_backward_stores() -> None:
    loss = mlp()
    view = look([loss], {})
    loss.backward()
    after = look([loss], {})
    for one, two in zip(view.variables, after.variables, strict=True):
        if one.role == "parameter":
            assert one.stored is None
            np.testing.assert_allclose(two.stored, one.gradient, rtol=1e-12)
        np.testing.assert_array_equal(one.value, two.value)


def point_of(name: str) -> tuple[float, ...]:
    """Where an operation of one number or two is smooth."""
    return (1.37,) if name == "acosh" else (0.37, 0.61)[: registry[name].arity]


def scalar_operations() -> list[str]:
    """The operations that make a number with a gradient of one number or two."""
    names = []
    for name, op in registry.items():
        if op.arity <= 2 and op.required <= op.arity and not op.variadic:
            try:
                out = op.primitive(*map(leaf, point_of(name)))
            except (IndexError, TypeError, ValueError):
                continue
            if out.shape == () and out.requires_grad:
                names.append(name)
    return sorted(names)


@pytest.mark.parametrize("name", scalar_operations())
def test_the_local_derivative_on_an_edge_is_the_slope_in_number_and_in_words(name: str) -> None:
    op = registry[name]
    point = point_of(name)
    out = op.primitive(*map(leaf, point))
    for slot, edge in enumerate(into(look([3.0 - out], {}), name)):
        high, low = (
            op.primitive(*(leaf(v + h * (i == slot)) for i, v in enumerate(point))).item()
            for h in (1e-6, -1e-6)
        )
        slope = (high - low) / 2e-6
        assert edge.contribution / edge.upstream == pytest.approx(slope, abs=1e-6)
        words = op.local[slot] if slot < len(op.local) else ""
        written = op.forward.__module__.endswith(("elementwise", "choosing"))
        if written and words and " or " not in words:
            values = dict(zip(op.names, op.defaults, strict=True)) | {"out": out.item()}
            values |= dict(zip(op.arrays, point, strict=True))
            assert evaluate(words, values) == pytest.approx(slope, abs=1e-6), words


def evaluate(words: str, values: dict[str, float]) -> float:
    """The number that a local derivative in the notation of the drawings stands for."""
    text = words.replace("tan²x", "tan(x)²").replace("tanh²x", "tanh(x)²").replace("σ(", "σ*(")
    signs = {"−": "-", "·": "*", "²": "**2", "^": "**", "⌊": "floor(", "⌋": ")"}
    for sign, python in signs.items():
        text = text.replace(sign, python)
    text = re.sub(r"\|(\w+)\|", r"abs(\1)", text)
    text = re.sub(r"√(\w+|\(.*?\))", r"sqrt(\1)", text)
    text = re.sub(r"\[(.*)\]", r"float(\1)", text)
    text = re.sub(r"\b([a-z]+) (\w+)", r"\1(\2)", text)
    text = re.sub(r"(\d)([a-z(])", r"\1*\2", text)
    names: dict[str, Any] = {"ln": np.log, "float": float, "σ": 1 / (1 + np.exp(-values["x"]))}
    return float(eval(text, {"__builtins__": {}}, vars(np) | names | values))


def test_local_derivatives_speak_of_the_drawn_variables() -> None:
    w, h = leaf(2.0, "w"), leaf(3.0, "hidden")
    view = look([tg.exp(w * h) + tg.square(h)], {})
    assert [edge.local for edge in into(view, "multiply")] == ["hidden", "w"]
    assert into(view, "exp")[0].local == "exp t1"
    assert into(view, "square")[0].local == "2·hidden"
    assert into(look([w**2], {}), "pow")[0].local == "2·w^(2−1)"
    assert into(look([w * -2.0], {}), "multiply")[0].local == "−2"
    assert into(look([w / leaf(1.0, "a+b")], {}), "divide")[0].local == "1/(a+b)"


def test_unnamed_variables_are_named_in_order_and_never_like_a_named_one() -> None:
    x, y = leaf(1.0), leaf(2.0, "x1")
    view = look([x * y + tg.tensor(3.0) * x], {})
    names = [variable.name for variable in view.variables]
    assert names == ["x2", "x1", "t1", "c1", "t2", "t3"]


def test_given_names_win_and_reach_results_too() -> None:
    x = leaf(1.0, "x")
    y = tg.exp(x)
    view = look([y * y], {"weight": x, "power": y})
    assert [variable.name for variable in view.variables] == ["weight", "power", "t1"]


def test_looking_changes_nothing_of_the_users() -> None:
    loss, leaves = neuron()
    loss.backward()
    grads = {name: t.grad for name, t in leaves.items()}
    values = {name: t.numpy().copy() for name, t in leaves.items()}
    gradients = {name: None if g is None else g.numpy().copy() for name, g in grads.items()}
    written = {name: t.version for name, t in leaves.items()}
    kept = loss.node.saved
    look([loss], {"other": leaves["w"]})
    for name, t in leaves.items():
        assert t.grad is grads[name]
        assert t.name == name
        assert t.version == written[name]
        np.testing.assert_array_equal(t.numpy(), values[name])
        if t.grad is not None:
            np.testing.assert_array_equal(t.grad.numpy(), gradients[name])
    assert loss.node.saved is kept


def test_a_record_can_still_be_walked_after_it_was_drawn() -> None:
    loss, leaves = neuron()
    look([loss], {})
    loss.backward()
    look([loss], {})
    assert leaves["w"].grad.item() == find(look([loss], {}), "w").gradient


def test_a_leaf_written_since_leaves_the_shapes_and_a_reason() -> None:
    loss, leaves = neuron()
    leaves["w"].data -= 0.1
    view = look([loss], {})
    assert any("values changed since" in remark for remark in view.remarks)
    assert find(view, "w").value is None
    assert find(view, "z").value is None
    assert find(view, "z").shape == ()
    assert find(view, "b").value == 0.3
    assert all(edge.contribution is None for edge in view.edges)


def test_a_large_constant_freed_by_backward_leaves_the_shapes_and_a_reason() -> None:
    w = leaf(np.ones(5000), "w")
    loss = (w * np.ones(5000)).sum()
    loss.backward()
    view = look([loss], {})
    assert any("large constant" in remark for remark in view.remarks)
    assert find(view, "c1").shape == (5000,)
    assert find(view, "c1").value is None
    assert find(view, "w").stored is not None


def test_several_roots_share_one_view_and_give_the_gradient_of_their_sum() -> None:
    x = leaf(3.0, "x")
    a, b = x * x, tg.exp(x)
    view = look([a, b], {})
    assert sum(variable.is_root for variable in view.variables) == 2
    assert find(view, "x").gradient == pytest.approx(6 + np.exp(3), rel=1e-12)
    nested = look([a, a * 2.0], {})
    assert find(nested, "x").gradient == pytest.approx(18, rel=1e-12)


def test_a_root_of_several_elements_gives_the_gradient_of_their_sum() -> None:
    x = leaf([1.0, 2.0], "x")
    np.testing.assert_allclose(find(look([x * x], {}), "x").gradient, [2, 4])


def test_an_operation_with_several_outputs_is_one_node_with_a_result_each() -> None:
    def double_and_join_rule(g: Any, x: Any) -> Any:
        parts = [0 * x if part is None else part for part in g[:1]]
        joined = 0 * x if g[1] is None else g[1][: len(x)] + g[1][len(x) :]
        return 2 * parts[0] + joined

    @tg.op(double_and_join_rule, outputs=2)
    def double_and_join(xp: Any, x: Any) -> Any:
        return 2 * x, xp.concatenate([x, x])

    x = leaf([1.0, 2.0], "x")
    doubled, joined = double_and_join(x)
    joined.name = "joined"
    view = look([(doubled * doubled).sum() + joined.sum()], {})
    (operation,) = [node for node in view.operations if node.op.name == "double_and_join"]
    results = [edge.head for edge in view.edges if edge.tail == operation.id]
    parts = [variable for variable in view.variables if variable.part is not None]
    assert sorted(results) == sorted(part.id for part in parts)
    assert {part.name: part.part for part in parts} == {"t1": 0, "joined": 1}
    np.testing.assert_array_equal(find(view, "joined").value, [1, 2, 1, 2])
    np.testing.assert_allclose(find(view, "x").gradient, [8 + 2, 16 + 2])


def test_an_operation_that_always_expands_shows_the_gradient_below_it() -> None:
    @tg.op(decomposition=lambda x: x * x + 1.0, arity=1)
    def parabola(xp: Any, x: Any) -> Any:
        return x * x + 1.0

    x = leaf(3.0, "x")
    view = look([parabola(x) * 2.0], {})
    assert [node.op.name for node in view.operations] == ["parabola", "multiply"]
    assert find(view, "x").gradient == pytest.approx(12.0)


def test_an_array_read_twice_is_one_variable_and_a_number_read_twice_two() -> None:
    x, mask = leaf([1.0, 2.0]), np.array([1.0, 0.0])
    view = look([(x * mask * mask * 2.0 * 2.0).sum()], {})
    assert Counter(variable.role for variable in view.variables)["constant"] == 1
    assert Counter(variable.role for variable in view.variables)["number"] == 2


def test_an_argument_left_out_has_no_edge() -> None:
    view = look([tg.linear(leaf(np.ones((2, 3))), leaf(np.ones((4, 3)))).sum()], {})
    assert [edge.argnum for edge in into(view, "linear")] == [0, 1]


def test_a_lone_tensor_is_a_lone_card_and_the_reason_is_given() -> None:
    with tg.no_grad():
        result = leaf(1.0) * 2.0
    view = look([result], {})
    assert [variable.role for variable in view.variables] == ["constant"]
    assert any("no operation is recorded" in remark for remark in view.remarks)


def test_a_power_of_a_function_is_apart_from_a_long_name() -> None:
    x = tg.tensor(0.5, requires_grad=True, name="x")
    view = look([tg.tanh(tg.tanh(x))], {})
    assert [edge.local for edge in view.edges if edge.local] == ["1−tanh²x", "1−tanh² t1"]
