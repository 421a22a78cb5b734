"""Badges on leaves: right rules pass, a false rule is found exactly below it; and opened boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registry import SMOOTH, call, prepared

import tinygrad_gm as tg
from tinygrad_gm.viz.annotate import check
from tinygrad_gm.viz.graph import textbook
from tinygrad_gm.viz.graph.view import View, look


def leaf(shape: Any, name: str, dtype: Any = np.float64, seed: int = 0) -> tg.Tensor:
    values = np.random.default_rng([seed, len(name)]).uniform(0.5, 1.5, shape)
    return tg.tensor(values, dtype=dtype, requires_grad=True, name=name)


@tg.op(lambda g, x: 3 * g * x, local=["2x"])
def wrong_square(xp: Any, x: Any) -> Any:
    return x * x


def checked(root: tg.Tensor) -> dict[str, str]:
    """The verdict on each leaf."""
    with np.errstate(all="ignore"):
        view = look([root], {})
        check.differences(view, [root])
    return {v.name: v.marks["check"]["verdict"] for v in view.variables if "check" in v.marks}


@pytest.mark.parametrize("shape", [(2,), (5, 7)])
def test_a_false_rule_shows_on_exactly_the_leaves_below_it(shape: Any) -> None:
    a, b, c, d = (leaf(shape, name, seed=i) for i, name in enumerate("abcd"))
    loss = (wrong_square(a * tg.tanh(b)) * c).sum() + (c * d).mean()
    assert checked(loss) == {"a": "✗", "b": "✗", "c": "✓", "d": "✓"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_with_right_rules_passes(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.normal(size=(8, 5)), dtype=dtype)
    weights = [leaf((6, 5), "first", dtype), leaf(6, "bias", dtype), leaf((3, 6), "second", dtype)]
    hidden = tg.tanh(tg.linear(x, weights[0], weights[1]))
    loss = tg.cross_entropy(tg.linear(hidden, weights[2]), tg.tensor([0, 1, 2, 0, 1, 2, 0, 1]))
    assert checked(loss) == {"first": "✓", "bias": "✓", "second": "✓"}


def test_float32_inside_is_checked_with_larger_steps() -> None:
    x = leaf(4, "x")
    y = x.astype(np.float32)
    assert checked((y * y).sum()) == {"x": "✓"}
    assert checked(wrong_square(y).sum()) == {"x": "✗"}


def test_at_a_kink_there_is_nothing_to_compare_with() -> None:
    x = tg.tensor([0.0, 1.0], dtype=np.float64, requires_grad=True, name="x")
    w = leaf(2, "w")
    assert checked((tg.relu(x) * w).sum()) == {"x": "kink", "w": "✓"}


def test_every_sample_of_the_registry_passes() -> None:
    for name, sample in (case.values for case in SMOOTH[::7]):
        arrays = prepared(name, sample)
        out = call(name, arrays, sample.params)
        weights = np.cos(np.arange(np.prod(out.shape))).reshape(out.shape)
        verdicts = checked((out * weights).sum())
        assert set(verdicts.values()) <= {"✓"}, (name, verdicts)


def test_a_leaf_that_was_written_since_is_not_checked() -> None:
    w = leaf(2, "w")
    loss = (w * w).sum()
    with tg.no_grad():
        w -= 1.0
    view = look([loss], {})
    check.differences(view, [loss])
    assert view.remarks[-1] == "not checked: values changed since: draw before the step"


def test_checking_changes_nothing() -> None:
    w = leaf(2, "w")
    before = w.numpy().copy()
    checked((w * w).sum())
    np.testing.assert_array_equal(w.numpy(), before)
    assert w.grad is None


# --------------------------------------------------------------------------- opened boxes


def names_of(view: View) -> list[str]:
    return [operation.op.name for operation in view.operations]


def test_softmax_opens_into_exponentials_and_a_quotient() -> None:
    x = leaf((2, 3), "x")
    p = tg.softmax(x)
    (root,), names, _ = textbook.opened([(p * x).sum()], {"p": p, "x": x})
    view = look([root], names)
    assert names_of(view) == ["subtract", "exp", "sum", "divide", "multiply", "sum"]
    assert [operation.path for operation in view.operations] == [("softmax",)] * 4 + [()] * 2
    divided = next(v for v in view.variables if v.name == "p")
    np.testing.assert_allclose(divided.value, p.numpy(), rtol=1e-14)


def test_opened_graphs_have_the_values_and_gradients_of_the_closed_ones() -> None:
    x, w, b = leaf((4, 5), "x"), leaf((3, 5), "w"), leaf(3, "b")
    hidden = tg.gelu(tg.ops.layer_norm(x)) + tg.checkpoint(tg.sigmoid, x)
    h, c = tg.ops.lstm_cell(tg.concat([hidden, hidden, hidden, x], axis=1), x)
    loss = tg.cross_entropy(tg.linear(h + c, w, b), tg.tensor([0, 1, 2, 0]))
    (root,), _, _ = textbook.opened([loss], {})
    closed, view = look([loss], {}), look([root], {})
    fused = {"gelu", "layer_norm", "lstm_cell", "linear", "cross_entropy", "checkpoint"}
    assert fused <= set(names_of(closed))
    assert not fused & set(names_of(view))
    assert root.item() == pytest.approx(loss.item(), rel=1e-12)
    for name in "xwb":
        one, two = (next(v for v in seen.variables if v.name == name) for seen in (closed, view))
        np.testing.assert_allclose(two.gradient, one.gradient, rtol=1e-9, atol=1e-12)


def test_opening_where_values_changed_is_refused() -> None:
    w = leaf(2, "w")
    loss = tg.softmax(w).sum()
    with tg.no_grad():
        w -= 1.0
    with pytest.raises(RuntimeError, match="textbook: values changed since"):
        textbook.opened([loss], {})
