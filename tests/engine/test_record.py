"""The record: its order, what it holds and lets go, and running it again."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.engine.record import Node, topological_order
from tinygrad_gm.engine.replay import replay


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


@pytest.fixture
def _no_gc() -> Iterator[None]:
    """Whatever is freed now is freed by reference counting."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --------------------------------------------------------------------------- its order


def test_nodes_come_oldest_first_and_after_their_parents() -> None:
    x = leaf(1.0)
    a = x * 2
    b = a + x
    c = (a * b).exp()
    nodes = topological_order(c)
    assert [node.plan.op.name for node in nodes] == ["multiply", "add", "multiply", "exp"]
    place = {id(node): i for i, node in enumerate(nodes)}
    for node in nodes:
        for parent in node.parents:
            assert not isinstance(parent, Node) or place[id(parent)] < place[id(node)]


def test_parents_are_nodes_leaves_and_constants_as_they_were_passed() -> None:
    x, constant = leaf([1.0]), np.ones(1)
    a = x * constant
    b = a + 2.0
    assert a.node.parents[0] is x
    assert a.node.parents[1] is constant
    assert b.node.parents == (a.node, 2.0)


def test_the_name_of_a_result_lives_on_its_node() -> None:
    y = leaf(1.0) * 2
    y.name = "twice"
    assert y.node.name == y.name == "twice"


# ------------------------------------------------------------------------------- replay


def test_replay_gives_every_nodes_value() -> None:
    x, w = leaf([[1.0, 2.0]]), leaf(np.ones((3, 2)))
    h = tg.tanh(tg.linear(x, w))
    parts = tg.concat([h, h[:, :1] * 2.0], axis=1)
    loss = tg.cross_entropy(parts, [1]) + tg.split(h.max(axis=1), 1)[0].sum()
    values = replay(loss)
    assert list(values) == topological_order(loss)
    np.testing.assert_array_equal(values[h.node].value, h.numpy())
    np.testing.assert_array_equal(values[parts.node].value, parts.numpy())
    np.testing.assert_array_equal(values[loss.node].value, loss.numpy())
    assert x.grad is None


def test_replay_works_after_backward_has_freed_the_record() -> None:
    x = leaf([0.5, 1.0])
    y = (x.exp() * x).sum()
    y.backward()
    assert replay(y)[y.node].value == pytest.approx(y.item())


def test_replay_of_several_outputs() -> None:
    @tg.op(lambda g, x: 2 * g[0] * x + g[1], outputs=2)
    def square_and_same(xp: Any, x: Any) -> Any:
        return x * x, x + 0.0

    square, same = square_and_same(leaf([3.0]))
    total = (square + same).sum()
    assert replay(total)[total.node].value == 12.0


def test_replay_of_what_needs_the_promoted_arguments() -> None:
    x = leaf([1.0, 2.0])
    y = (np.float32(2.0) * x + [1, 2] + np.array([1, 2]) + True).sum()
    assert replay(y)[y.node].value == y.item() == 14.0


def test_replay_refuses_values_that_have_changed() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with tg.no_grad():
        x -= 0.5
    with pytest.raises(RuntimeError, match="replay: values changed since: draw before the step"):
        replay(y)


def test_large_constants_are_dropped_by_backward_and_replay_says_so() -> None:
    x, large = leaf(np.ones(5000)), tg.tensor(np.ones(5000))
    watched = weakref.ref(large)
    y = (x * large).sum()
    del large
    assert watched() is not None
    y.backward()
    assert watched() is None
    with pytest.raises(RuntimeError, match="replay: backward freed a large constant"):
        replay(y)


def test_large_constants_are_kept_where_the_graph_is_retained_and_small_ones_always() -> None:
    x = leaf(np.ones(5000))
    y = (x * tg.tensor(np.ones(5000))).sum()
    y.backward(retain_graph=True)
    assert replay(y)[y.node].value == 5000.0
    z = (leaf(np.ones(50)) * tg.tensor(np.ones(50))).sum()
    z.backward()
    assert replay(z)[z.node].value == 50.0


# ------------------------------------------------------------------------------- memory


def alive(build: Any) -> tuple[Any, list[Any]]:
    """The result of build, and weak references to the arrays of the tensors it puts into a list."""
    held: list[Any] = []
    result = build(held)
    return result, [weakref.ref(tensor._data) for tensor in held]


@pytest.mark.usefixtures("_no_gc")
def test_a_record_is_freed_by_reference_counting() -> None:
    x = leaf(np.ones(3))

    def build(held: list[Any]) -> Any:
        a = x * 2
        b = tg.exp(a)
        c = tg.softmax(b + a)
        held += [a, b, c]
        return (c * c).sum()

    loss, arrays = alive(build)
    assert arrays[2]() is not None  # c: read by the last product
    del loss
    assert [array() for array in arrays] == [None] * 3


@pytest.mark.usefixtures("_no_gc")
def test_backward_frees_what_was_kept() -> None:
    x = leaf(np.ones(3))

    def build(held: list[Any]) -> Any:
        a = x.exp()
        held.append(a)
        return (a * a).sum()

    loss, (array,) = alive(build)
    loss.backward()
    assert array() is None
    assert loss.item() > 0


@pytest.mark.usefixtures("_no_gc")
def test_higher_orders_by_grad_leave_no_cycles() -> None:
    x = leaf(np.full(3, 0.5))

    def build(held: list[Any]) -> Any:
        a = tg.tanh(x)
        b = tg.cross_entropy(a * a, 0) + tg.prod(a)
        (first,) = tg.grad(b, x, create_graph=True)
        (second,) = tg.grad(first.sum(), x, create_graph=True)
        held += [a, b, first, second]
        return second.sum()

    total, arrays = alive(build)
    total.backward()
    del total
    assert [array() for array in arrays] == [None] * 4


@pytest.mark.usefixtures("_no_gc")
def test_backward_with_create_graph_makes_a_cycle_that_clearing_grad_breaks() -> None:
    x = leaf([1.0])
    (x**3).sum().backward(create_graph=True)
    array = weakref.ref(x.grad._data)
    del x
    assert array() is not None  # as its docstring says: prefer tg.grad
    gc.collect()
    assert array() is None


@pytest.mark.usefixtures("_no_gc")
def test_a_failed_backward_pass_leaves_the_record_freeable() -> None:
    @tg.op(lambda g: 1 / 0)
    def broken(xp: Any, x: Any) -> Any:
        return x + 0.0

    a = leaf(1.0).exp()
    array = weakref.ref(a._data)
    y = broken(a * a)
    with pytest.raises(ZeroDivisionError):
        y.backward()
    del a, y
    assert array() is None


@pytest.mark.slow
@pytest.mark.usefixtures("_no_gc")
def test_a_chain_of_a_million_operations_runs_and_is_freed() -> None:
    length = 1_000_000
    x = y = leaf(1.0)
    before = sys.getallocatedblocks()
    for _ in range(length):
        y = y + 1e-6
    assert y.item() == pytest.approx(2.0)
    y.backward()
    assert x.grad.item() == 1.0
    assert sys.getallocatedblocks() - before > length
    del y
    assert sys.getallocatedblocks() - before < length / 100


@pytest.mark.slow
@pytest.mark.usefixtures("_no_gc")
def test_ten_thousand_training_steps_do_not_grow() -> None:
    rng = np.random.default_rng(0)
    data, target = tg.tensor(rng.normal(size=(8, 4)).astype(np.float32)), rng.integers(0, 2, 8)
    weights = [
        tg.tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True)
        for shape in [(6, 4), (6,), (2, 6), (2,)]
    ]

    def train(steps: int) -> float:
        for _ in range(steps):
            hidden = tg.tanh(tg.linear(data, weights[0], weights[1]))
            loss = tg.cross_entropy(tg.linear(hidden, weights[2], weights[3]), target)
            for weight in weights:
                weight.grad = None
            loss.backward()
            with tg.no_grad():
                for weight in weights:
                    weight -= 0.05 * weight.grad
        return float(loss.item())

    train(100)
    before = sys.getallocatedblocks()
    assert train(10_000) < 0.1
    assert sys.getallocatedblocks() - before < 1000
