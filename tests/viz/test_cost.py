"""Costs: operations counted by hand or by counting products of ones, memory against known sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.engine.memory import saved_bytes
from tinygrad_gm.engine.record import topological_order
from tinygrad_gm.viz.annotate import cost
from tinygrad_gm.viz.graph.view import Operation, View, look


def leaf(*shape: int) -> tg.Tensor:
    values = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    return tg.tensor(values, requires_grad=True)


def ones(*shape: int) -> tg.Tensor:
    return tg.ones(shape, dtype=np.float64, requires_grad=True)


def measured(*roots: tg.Tensor) -> View:
    view = look(roots, {})
    cost.measure(view, topological_order(*roots))
    return view


def of(view: View, name: str) -> Operation:
    return next(operation for operation in view.operations if operation.op.name == name)


def test_a_product_of_matrices_takes_2mnk_operations() -> None:
    view = measured(leaf(5, 7) @ leaf(7, 3))
    assert of(view, "matmul").marks["cost"]["flops"] == 2 * 5 * 3 * 7
    batched = measured(leaf(2, 4, 5, 7) @ leaf(7, 3))
    assert of(batched, "matmul").marks["cost"]["flops"] == 2 * 8 * 5 * 3 * 7


BILINEAR = {
    "matmul": lambda: ones(3, 4) @ ones(4),
    "linear": lambda: tg.linear(ones(2, 3, 4), ones(5, 4)),
    "conv": lambda: tg.conv(ones(2, 4, 7, 8), ones(6, 2, 3, 2), stride=(2, 1), groups=2),
    "conv_transpose": lambda: tg.ops.conv_transpose(
        ones(2, 4, 5, 3), ones(4, 3, 3, 2), stride=2, groups=2
    ),
    "conv_weight_gradient": lambda: tg.ops.conv_weight_gradient(
        ones(2, 4, 7, 8), ones(2, 6, 3, 7), (3, 2), (2, 1), 0, 1, 2
    ),
    "contract": lambda: tg.einsum("bij,bjk->ki", ones(2, 3, 4), ones(2, 4, 5)),
}


@pytest.mark.parametrize("name", BILINEAR)
def test_products_are_counted_as_products_of_ones_count_them(name: str) -> None:
    out = BILINEAR[name]()  # of ones: every product of two numbers adds 1 to the sum
    found = sum(
        operation.marks["cost"]["flops"]
        for operation in measured(out).operations
        if operation.op.name == name
    )
    assert found == 2 * out.sum().item()


def test_a_bias_costs_one_operation_per_result() -> None:
    flops = of(measured(tg.linear(leaf(2, 4), leaf(3, 4), leaf(3))), "linear").marks["cost"][
        "flops"
    ]
    assert flops == 2 * 2 * 3 * 4 + 2 * 3


def test_attention_costs_its_two_products_and_a_softmax() -> None:
    out = tg.ops.attention(leaf(2, 5, 4), leaf(2, 7, 4), leaf(2, 7, 3))
    flops = of(measured(out), "attention").marks["cost"]["flops"]
    assert flops == 2 * 2 * 5 * 7 * 4 + 2 * 5 * 7 + 2 * 2 * 5 * 7 * 3


def test_elementwise_work_costs_an_operation_per_element_and_moving_numbers_none() -> None:
    x = leaf(3, 4)
    view = measured((tg.exp(x) + x.T.reshape(3, 4)[:, [0, 1, 2, 3]]).sum())
    flops = {operation.op.name: operation.marks["cost"]["flops"] for operation in view.operations}
    assert flops == {
        "exp": 12, "permute_dims": 0, "reshape": 0, "getitem": 0, "add": 12, "sum": 12,
    }  # fmt: skip


def test_every_operation_of_the_registry_has_a_count() -> None:
    from cases import CASES
    from registry import REGISTRY, call, prepared, slots_of

    for name, case in CASES.items():
        if not REGISTRY[name].differentiable:
            continue
        sample = next(s for s in case.samples if slots_of(name, s))
        view = measured(call(name, prepared(name, sample), sample.params))
        assert of(view, name).marks["cost"]["flops"] >= 0


def test_tanh_keeps_its_result_and_addition_nothing() -> None:
    x = leaf(10, 10)
    view = measured(tg.tanh(x + 1.0).sum())
    saved = {operation.op.name: operation.marks["cost"]["saved"] for operation in view.operations}
    assert saved == {"add": 0, "tanh": 800, "sum": 0}


def test_views_of_one_array_are_counted_once_and_leaves_not_at_all() -> None:
    x = leaf(10, 10)
    h = tg.exp(x)  # saved by exp, and as three views of it by both products
    out = (h.T * h).sum() + (h.reshape(100) * x.reshape(100)).sum()
    assert saved_bytes(out) == 800


def mlp() -> tg.Tensor:
    x, target = leaf(8, 5), tg.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    hidden = tg.relu(tg.ops.batch_norm(tg.linear(x, leaf(6, 5), leaf(6)))[0])
    return tg.cross_entropy(tg.linear(hidden, leaf(3, 6)), target)


def recurrent() -> tg.Tensor:
    h, c = tg.ops.lstm_sequence(leaf(4, 2, 12), leaf(2, 3), leaf(2, 3), leaf(12, 3))
    return (tg.concat([h[-1], h[0]]).sum() + tg.softmax(c).max(axis=1)).sum()


@pytest.mark.parametrize("build", [mlp, recurrent])
def test_the_bytes_of_all_operations_sum_to_the_count_of_the_record(build: Any) -> None:
    out = build()
    view = measured(out)
    costs = [operation.marks["cost"] for operation in view.operations]
    assert sum(c["saved"] for c in costs) == saved_bytes(out) > 0
    assert all(c["forward"] > 0 and c["backward"] > 0 for c in costs)
    assert view.remarks[-1].startswith("all operations together: ")
    out.backward()
    assert saved_bytes(out) == 0


def test_where_values_are_unknown_there_are_no_times() -> None:
    w = leaf(3)
    out = (w * w).sum()
    with tg.no_grad():
        w -= 1.0
    marks = of(measured(out), "multiply").marks["cost"]
    assert marks == {"flops": 3, "saved": 0}
