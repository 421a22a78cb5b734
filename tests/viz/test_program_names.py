"""Names of a program's variables on what has no other name, and in local derivatives."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, viz
from tinygrad_gm.engine.op import Op
from tinygrad_gm.viz.graph.names import named
from tinygrad_gm.viz.graph.view import Group, Variable

R = 0.5  # of the module


def leaf(*shape: int) -> tg.Tensor:
    return tg.ones(shape, requires_grad=True)


def names_of(drawing: viz.Drawing) -> list[str]:
    return [node.name for node in drawing._whole.nodes if isinstance(node, Variable)]


def test_cards_have_the_names_of_the_callers_variables() -> None:
    w, x = leaf(2), leaf(2)
    hidden = w * x
    loss = hidden.sum()
    assert names_of(viz.draw(loss)) == ["w", "x", "hidden", "loss"]
    assert names_of(viz.draw(loss, names=False)) == ["x1", "x2", "t1", "t2"]


def test_other_names_come_first_and_private_variables_do_not_count() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="weight")
    x, _hidden = leaf(2), leaf(2)
    loss = (w * x * _hidden).sum()
    assert names_of(viz.draw(loss, names={"total": loss})) == [
        "weight", "x", "t1", "x1", "t2", "total",
    ]  # fmt: skip


@pytest.mark.parametrize("given", ["locals", "pairs"])
def test_names_are_locals_or_pairs(given: str) -> None:
    def drawn() -> viz.Drawing:
        rate, w = 3, leaf(2)
        loss = (w * rate).sum()
        variables = locals()
        return draw(loss, variables if given == "locals" else variables.items())

    def draw(t: Any, variables: Any) -> viz.Drawing:  # has no variables of these names
        return viz.draw(t, names=variables)

    assert [name for name in names_of(drawn()) if not name.isdigit()] == ["w", "t1", "loss"]


def test_names_that_are_none_are_refused() -> None:
    with pytest.raises(TypeError, match=r"names: expected .*got 3"):
        viz.draw(leaf(2), names=3)  # type: ignore[arg-type]


def test_elements_of_lists_and_dicts_have_an_index() -> None:
    ws, table = [leaf(2), leaf(2)], {"b": leaf(2)}
    loss = (ws[0] * ws[1] + table["b"]).sum()
    assert {"ws[0]", "ws[1]", "table['b']"} <= set(names_of(viz.draw(loss)))


def test_a_slice_of_a_constant_has_the_name_of_the_whole_and_its_index() -> None:
    rng = np.random.default_rng(0)
    xs, array, w = tg.tensor(rng.random((5, 3, 2))), rng.random((4, 6, 2)), leaf(2)
    loss = (xs[3] * w).sum() + (xs[:, 2] * w).sum() + (w * array[:, 5]).sum()
    assert {"xs[3]", "xs[:, 2]", "array[:, 5]"} <= set(names_of(viz.draw(loss)))
    _, found = named(None, {"xs": xs})
    for t in range(5):
        assert found.name(xs[t]) == f"xs[{t}]"
        np.testing.assert_array_equal(xs[t].numpy(), xs.numpy()[t])
    assert found.name(xs[1:3]) is None
    assert found.name(xs + 1.0) is None
    assert found.name(xs[4, :, :1]) is None


def test_inputs_of_a_model_have_the_names_of_variables_or_else_of_arguments() -> None:
    model, images = nn.Linear(2, 3), tg.ones((4, 2))
    assert "images" in names_of(viz.draw(model, images))
    assert "x" in names_of(viz.draw(model, np.ones((4, 2), np.float32)))
    inputs = [tg.ones((4, 2))]
    names = names_of(viz.draw(model, *inputs))
    assert "x" in names
    assert "inputs[0]" not in names


def test_steps_name_cards_by_variables() -> None:
    w = leaf()
    loss = w * w
    assert "loss" in viz.steps(loss).svg(0)
    assert ">loss<" not in viz.steps(loss, names=False).svg(0)


def test_opened_operations_keep_the_names_of_variables() -> None:
    logits = leaf(3)
    share = tg.softmax(logits)
    loss = (share * share).sum()
    assert {"logits", "share", "loss"} <= set(names_of(viz.draw(loss, textbook=True)))


# ------------------------------------------------------------------------------------ models


def test_models_have_the_names_of_variables_and_tell_their_parameters_apart() -> None:
    G, D = (nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(2))
    loss = D(G(tg.ones((1, 2)))).sum()
    svg = viz.draw(loss, fit=None, engine="builtin").svg()
    titles = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert {"G", "D", "G.0.weight", "D.0.weight", "G.0.bias", "D.0.bias"} <= titles
    closed = viz.draw(loss, collapse="D")._view.nodes
    assert [node.name for node in closed if isinstance(node, Group)] == ["D"]


def test_a_parameter_that_no_other_shares_its_name_with_is_not_longer() -> None:
    cell, head = nn.LSTMCell(2, 3), nn.Linear(3, 1)
    hidden, _ = cell(tg.ones((1, 2)))
    loss = head(hidden).sum()
    assert {"weight_ih", "weight_hh", "weight"} <= set(names_of(viz.draw(loss)))


# ------------------------------------------------------------------------- local derivatives


def test_local_derivatives_have_the_weights_own_name() -> None:
    W1, x = leaf(3, 2), leaf(4, 2)
    y = F.linear(x, W1)
    loss = y.sum()
    texts = " ".join(edge.local for edge in viz.draw(loss)._whole.edges)
    assert "W1" in texts
    fc = nn.Linear(2, 3)
    loss = fc(x).sum()
    assert "weight" in [edge.local for edge in viz.draw(loss)._whole.edges]


STANDARD = set("nISPLhfgzs")  # counts, the identity, and quantities inside of an operation


def test_no_local_derivative_has_a_letter_for_an_argument_with_another_name() -> None:
    found = {value.op for value in vars(tg.ops).values() if isinstance(getattr(value, "op", 0), Op)}
    assert len(found) > 100
    for op in found:
        for text in op.local:
            letters = set(re.findall(r"(?<![A-Za-z_])[A-Za-z](?![A-Za-z_])", text))
            params = {*op.names, "r", "w"} if op.name == "rms_norm" else set(op.names)
            assert letters <= STANDARD | params, (op.name, text)


# -------------------------------------------------------------------------------- attention


def texts_of(loss: Any, **options: Any) -> list[str]:
    svg = viz.draw(loss, engine="builtin", **options).svg()
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("options", [{"detail": "full", "fit": None}, {}, {"depth": 0}])
def test_self_attention_says_that_query_key_and_value_are_one_tensor(options: Any) -> None:
    attention = nn.MultiheadAttention(8, 2)
    x, other = tg.ones((2, 5, 1, 8))
    same, _ = attention(x, x, x)
    assert "query = key = value" in texts_of(same.sum(), **options)
    cross, _ = attention(other, x, x)
    texts = texts_of(cross.sum(), **options)
    assert "query = key = value" not in texts
    if "depth" in options:
        assert "key = value" in texts


def test_the_function_of_attention_says_it_too() -> None:
    x = leaf(1, 2, 5, 4)
    y = F.scaled_dot_product_attention(x, x, x)
    assert "query = key = value" in texts_of(y.sum(), detail="shapes")
