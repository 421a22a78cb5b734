"""Derivatives of derivatives: which operation belongs to which order, counted by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.viz.annotate import orders
from tinygrad_gm.viz.graph.view import View, look


def leaf(value: Any, name: str = "x") -> tg.Tensor:
    return tg.tensor(value, dtype=np.float64, requires_grad=True, name=name)


def told(*roots: tg.Tensor) -> View:
    view = look(roots, {})
    orders.tell(view)
    return view


def counts(view: View) -> dict[str, int]:
    return dict(Counter(operation.marks["order"] for operation in view.operations))


def derivatives(y: tg.Tensor, x: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    (first,) = tg.grad(y, x, create_graph=True)
    (second,) = tg.grad(first, x, create_graph=True)
    return first, second


def test_tanh_to_second_order_has_the_operations_counted_by_hand() -> None:
    x = leaf(0.5)
    first, second = derivatives(tg.tanh(x), x)
    # order 1, the rule g − g·(out·out): out·out, g·…, g − …
    assert counts(told(first)) == {"forward": 1, "first derivative": 3}
    # order 2: back through both factors of out·out (two products and their sum), and through tanh
    # again: the same rule, three operations. What comes back to out·out is a constant.
    view = told(first, second)
    assert counts(view) == {"forward": 1, "first derivative": 3, "second derivative": 6}
    tanh = np.tanh(0.5)
    assert view.variables[-1].value == pytest.approx(-2 * tanh * (1 - tanh**2), rel=1e-14)
    assert view.variables[-1].is_root


def test_every_operation_of_the_second_pass_belongs_to_the_second_order() -> None:
    x = leaf(0.5)
    _, second = derivatives(tg.tanh(x), x)  # its graph reads only tanh of what came before
    assert counts(told(second)) == {"forward": 1, "second derivative": 6}


def test_what_a_rule_makes_of_a_cube_is_of_its_order() -> None:
    x = leaf(2.0)
    y = x * x * x
    first, second = derivatives(y, x)
    view = told(y, first, second)
    assert [op.order for op in view.operations] == sorted(op.order for op in view.operations)
    assert {op.order for op in view.operations} == {0, 1, 2}
    assert view.variables[-1].value == pytest.approx(12.0, rel=1e-14)


def test_a_forward_pass_after_a_derivative_is_forward_again() -> None:
    x = leaf([1.0, 2.0])
    (slope,) = tg.grad((x**3).sum(), x, create_graph=True)
    penalty = ((slope * slope).sum() - 1.0) ** 2
    view = told(penalty)
    assert [op.marks["order"] for op in view.operations][-4:] == ["forward"] * 4
    assert counts(view)["first derivative"] >= 2


def test_results_and_edges_have_the_order_of_their_operation() -> None:
    x = leaf(0.5)
    view = told(*derivatives(tg.tanh(x), x))
    order = {node.id: node.order for node in view.nodes}
    for edge in view.edges:
        inside = edge.tail if edge.argnum is None else edge.head
        assert edge.order == order[inside]
        assert edge.marks["order"] == orders.word(edge.order)
        if edge.argnum is None:
            assert order[edge.head] == order[edge.tail]


def test_a_graph_without_derivatives_has_no_orders() -> None:
    view = told(tg.tanh(leaf(0.5)) * 2.0)
    assert all("order" not in part.marks for part in (*view.nodes, *view.edges))
