"""Graphs as text, and the texts of nodes, plans and operations."""

import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz


def test_a_tree_has_every_node_once_and_refers_to_shared_ones():
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    h = (w * 3.0).tanh()
    y = (h * h).sum(axis=0)
    y.name = "loss"
    assert viz.tree(y).splitlines() == [
        "loss = sum(·, axis=0)  () float32",
        "multiply(·, ·)  (2,) float32",
        "├─ [1] tanh(·)  (2,) float32",
        "│  multiply(·, 3.0)  (2,) float32",
        "│  w  (2,) float32, leaf",
        "└─ [1] tanh, above",
    ]


def test_branches_stand_beside_each_other_and_constants_in_the_line():
    net = nn.Linear(3, 2)
    x = tg.ones((5, 3))
    lines = viz.tree(net(x) / net(x).sum()).splitlines()
    assert lines[:4] == [
        "divide(·, ·)  (5, 2) float32",
        "├─ linear(float32 (5, 3), ·, ·)  (5, 2) float32",
        "│  ├─ [1] weight  (2, 3) float32, leaf",
        "│  └─ [2] bias  (2,) float32, leaf",
    ]
    assert lines[4:] == [
        "└─ sum(·)  () float32",
        "   linear(float32 (5, 3), ·, ·)  (5, 2) float32",
        "   ├─ [1] weight, above",
        "   └─ [2] bias, above",
    ]


def test_a_leaf_is_its_own_tree_and_a_deep_graph_is_one_too():
    assert viz.tree(tg.ones(2)) == "tensor  (2,) float32, constant"
    x = tg.ones((), requires_grad=True)
    for _ in range(5000):
        x = x + 1.0
    assert len(viz.tree(x).splitlines()) == 5001
    with pytest.raises(TypeError, match=r"viz.tree: t must be a Tensor, not a list"):
        viz.tree([x])


def test_each_output_of_several_is_a_line():
    out = nn.LSTM(2, 3)(tg.ones((4, 1, 2)))[0]
    lines = viz.tree(out).splitlines()
    assert lines[0] == "output 0 of  (4, 1, 3) float32"
    assert lines[1].startswith("lstm_sequence(·")


def test_nodes_plans_and_operations_say_what_they_are():
    x, y = (tg.tensor([1.0, 1.0], requires_grad=True, name=name) for name in "xy")
    z = x * y * 2.0
    assert repr(tg.multiply.op) == "<op multiply(x, y): ∂/∂x = y; ∂/∂y = x>"
    inner = z.node.parents[0]
    assert repr(inner) == f"<node {inner.seq}: multiply(x (2,), y (2,)) → (2,) float32>"
    assert repr(z.node).endswith(f"multiply(node {inner.seq}, 2.0) → (2,) float32>")
    assert repr(inner.plan) == "<plan of multiply: gradient of x, y; saves x, y>"
    assert repr(tg.sum(x).node.plan) == (
        "<plan of sum: gradient of x; saves axis, keepdims, x.shape>"
    )
    assert repr(tg.concat([x, y]).node.plan).startswith("<plan of concat: gradient of")
