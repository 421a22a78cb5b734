"""Recurrent cells: gates open and shut, long sequences, unread outputs, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg

rng = np.random.default_rng(0)


def leaf(values: Any) -> Any:
    return tg.tensor(np.asarray(values, np.float64), requires_grad=True)


def gates(i: float, f: float, g: float, o: float) -> Any:
    return leaf([[i, f, g, o]])


def test_lstm_gates_stand_in_pytorchs_order() -> None:
    cell = leaf([[2.0]])
    keep = tg.lstm_cell(gates(-1000, 1000, 5, 1000), cell)
    assert [part.item() for part in keep] == [pytest.approx(np.tanh(2.0)), 2.0]
    replace = tg.lstm_cell(gates(1000, -1000, 0.5, 1000), cell)
    assert replace[1].item() == pytest.approx(np.tanh(0.5))
    hidden, new = tg.lstm_cell(gates(1000, 1000, 0.5, -1000), cell)
    assert (hidden.item(), new.item()) == (0.0, pytest.approx(2 + np.tanh(0.5)))


def test_an_open_forget_gate_carries_the_gradient_of_the_cell_unchanged() -> None:
    start = cell = leaf(rng.normal(size=(2, 3)))
    carry = np.concatenate([np.full((2, 3), v) for v in (-1000.0, 1000.0, 0.0, 0.0)], axis=1)
    for _ in range(200):
        _, cell = tg.lstm_cell(tg.tensor(carry), cell)
    weights = rng.normal(size=(2, 3))
    (cell * weights).sum().backward()
    np.testing.assert_array_equal(start.grad.numpy(), weights)


def test_an_output_that_nobody_reads_counts_as_zero_gradient() -> None:
    values = rng.normal(size=(2, 8)), rng.normal(size=(2, 2))
    parts = []
    for weights in ((1.0, None), (None, 1.0), (1.0, 1.0)):
        x, c = map(leaf, values)
        outs = zip(tg.lstm_cell(x, c), weights, strict=True)
        sum(out.sum() for out, weight in outs if weight).backward()
        parts.append((x.grad.numpy(), c.grad.numpy()))
    for one, other, both in zip(*parts, strict=True):
        np.testing.assert_allclose(one + other, both, rtol=1e-12)


def test_gru_applies_the_reset_after_the_hidden_product() -> None:
    x = leaf([[1000.0, -1000.0, 0.25]])
    hidden = leaf([[0.0, 0.0, 0.5]])
    opened = tg.gru_cell(x, hidden, leaf([[3.0]]))
    assert opened.item() == pytest.approx(np.tanh(0.75))
    shut = tg.gru_cell(leaf([[-1000.0, -1000.0, 0.25]]), hidden, leaf([[3.0]]))
    assert shut.item() == pytest.approx(np.tanh(0.25))


def test_an_update_gate_at_1_keeps_the_state_and_its_gradient() -> None:
    h = leaf([[3.0]])
    out = tg.gru_cell(leaf([[0.0, 1000.0, 5.0]]), leaf([[0.0, 0.0, 5.0]]), h)
    out.backward()
    assert (out.item(), h.grad.item()) == (3.0, 1.0)


def test_one_step_makes_one_node_per_cell() -> None:
    hidden, cell = tg.lstm_cell(leaf(np.zeros((1, 4))), leaf([[1.0]]))
    assert hidden.node is not None
    assert cell.node is not None
    assert hidden.node.parents == cell.node.parents
    assert hidden.node.parents[0].plan.op.name == "lstm_cell"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: tg.lstm_cell(tg.ones((2, 8)), tg.ones((2, 3))),
            r"lstm_cell: expected gates \(…, 4·H\)",
        ),
        (lambda: tg.lstm_cell(tg.ones((2, 8)), tg.ones((3, 2))), r"got gates \(2, 8\)"),
        (
            lambda: tg.gru_cell(tg.ones((2, 6)), tg.ones((2, 3)), tg.ones((2, 2))),
            r"gru_cell: .*got gates \(2, 3\) and a state \(2, 2\)",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
