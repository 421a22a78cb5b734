"""Graphs as text, and the texts of nodes, plans and operations."""

import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz


def test_a_tree_has_every_node_once_and_refers_to_shared_ones():
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    h = (w * 3.0).tanh()
    y = (h * h).sum(axis=0)
    y.name = "loss"
    assert viz.tree(y, names=False).splitlines() == [
        "loss = sum(·, axis=0)  () float32",
        "multiply(·, ·)  (2,) float32",
        "├─ [1] tanh(·)  (2,) float32",
        "│  multiply(·, 3.0)  (2,) float32",
        "│  w  (2,) float32, leaf",
        "└─ [1] tanh, above",
    ]
    named = viz.tree(y).splitlines()
    assert named[2] == "├─ [1] h = tanh(·)  (2,) float32"
    assert named[-1] == "└─ [1] h, above"


def test_branches_stand_beside_each_other_and_constants_in_the_line():
    net = nn.Linear(3, 2)
    x = tg.ones((5, 3))
    lines = viz.tree(net(x) / net(x).sum(), names=False).splitlines()
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
    assert len(viz.tree(x, fit=None).splitlines()) == 5001
    assert viz.tree(x).splitlines()[1:] == [
        "├─ x at the start  () float32, leaf",
        "└─ ↺ [1] x, 5,000 steps",
        "(4 of 15,001 nodes; fit=None writes all)",
    ]
    with pytest.raises(TypeError, match=r"viz.tree: t must be a Tensor, not a list"):
        viz.tree([x])


def lstm() -> tg.Tensor:
    tg.manual_seed(0)
    cell, head = nn.LSTMCell(8, 16), nn.Linear(16, 3)
    xs = tg.randn((20, 4, 8))
    h = c = tg.zeros((4, 16))
    for x in xs.unstack():
        h, c = cell(x, (h, c))
    return head(h).sum()


def encoder() -> tg.Tensor:
    tg.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0)
    return nn.TransformerEncoder(layer, 12)(tg.randn((5, 1, 16))).sum()


def wide() -> tg.Tensor:
    name = "a long name " * 20
    parts = [tg.tensor(1.0, requires_grad=True, name=name) for _ in range(5)]
    return tg.stack(parts).sum()


@pytest.mark.parametrize("loss", [lstm, encoder, wide])
def test_a_tree_fits_a_terminal(loss):
    lines = viz.tree(loss()).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 60
    assert max(map(len, viz.tree(loss(), fit=60).splitlines())) <= 60


def test_a_long_line_is_shortened_and_nothing_closed():
    conv = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU())
    loss = conv(tg.ones((2, 2, 5, 5))).sum()
    whole, short = viz.tree(loss, fit=None).splitlines(), viz.tree(loss, fit=50).splitlines()
    assert len(whole) == len(short)
    assert "padding=" in whole[2]
    assert short[2] == "conv(float32 (2,…), ·, ·, …)  (2, 4, 3, 3) float32"


def test_a_loop_and_equal_layers_are_written_once():
    lines = viz.tree(lstm()).splitlines()
    assert [line.strip("│ ") for line in lines if "lstm_cell(" in line] == [
        "[2] lstm_cell(·, ·)  (4, 16) float32, (4, 16) float32"
    ]
    assert [line.partition("↺")[2] for line in lines if "↺" in line] == [
        " [1] h, 20 steps",
        " [2] c, 20 steps",
    ]
    assert lines[-1].endswith("fit=None writes all)")
    whole = viz.tree(lstm(), fit=None)
    assert whole.count("lstm_cell(") == 20
    assert "fit=None" not in whole
    assert "×12 · TransformerEncoderLayer()  (5, 1, 16)" in viz.tree(encoder())


def test_a_tree_computes_no_value():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.tanh(x).sum()
    with tg.no_grad():
        x *= 2.0
    assert viz.tree(y).startswith("y = sum(·)")


def test_each_output_of_several_is_a_line():
    out = nn.LSTM(2, 3)(tg.ones((4, 1, 2)))[0]
    lines = viz.tree(out).splitlines()
    assert lines[0] == "out = output 0 of  (4, 1, 3) float32"
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
