"""The paths from a root to a variable: which they are, how many, and what their products sum to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import viz
from tinygrad_gm.viz.annotate import jacobians, paths
from tinygrad_gm.viz.graph.view import Variable, View, look


def leaf(value: Any, name: str) -> tg.Tensor:
    return tg.tensor(value, dtype=np.float64, requires_grad=True, name=name)


def highlighted(root: Any, tensor: tg.Tensor) -> tuple[View, Variable]:
    view = look([root] if isinstance(root, tg.Tensor) else root, {})
    jacobians.annotate(view)
    target = paths.find(view, tensor)
    paths.highlight(view, target)
    return view, target


def neuron() -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    w, b = leaf(-0.4, "w"), leaf(0.3, "b")
    loss = (tg.sigmoid(w * 2.0 + b) - 1.0) ** 2 + w * w
    loss.name = "L"
    return loss, w, b


def test_the_products_along_all_paths_sum_to_the_gradient() -> None:
    loss, w, b = neuron()
    loss.backward(retain_graph=True)
    for parameter, count in ((w, 3), (b, 1)):
        _, target = highlighted(loss, parameter)
        found = target.marks["paths"]
        assert found["count"] == len(found["products"]) == count
        assert found["sum"] == pytest.approx(parameter.grad.item(), rel=1e-12)
        assert sum(found["products"]) == pytest.approx(found["sum"], rel=1e-12)


def test_the_products_are_written_out() -> None:
    w = leaf(3.0, "w")
    loss = w * w * 2.0
    loss.name = "L"
    view, target = highlighted(loss, w)
    assert target.marks["paths"]["products"] == [6.0, 6.0]
    assert view.remarks == [
        "2 paths from w to L, drawn thick",
        "via t1: 2.0 × 3.0 = 6.0",
        "via t1: 2.0 × 3.0 = 6.0",
        "the sum: 12.0 = ∂L/∂w",
    ]


def test_what_lies_on_no_path_is_dimmed() -> None:
    loss, _, b = neuron()
    view, _ = highlighted(loss, b)
    by_name = {v.name: v.marks for v in view.variables}
    assert "path" in by_name["b"]
    assert "path" in by_name["L"]
    assert "dim" in by_name["w"]
    symbols = [op.op.symbol for op in view.operations if "path" in op.marks]
    assert symbols == ["+", "σ", "−", "^", "+"]
    lit = [edge for edge in view.edges if "path" in edge.marks]
    assert len(lit) == 10  # into and out of each of the five
    assert all(
        ("path" in part.marks) != ("dim" in part.marks) for part in (*view.nodes, *view.edges)
    )


def test_paths_are_counted_not_followed_one_by_one() -> None:
    w = leaf(0.5, "w")
    y = w
    for _ in range(40):
        y = y * 0.5 + y * 0.25
    y.backward(retain_graph=True)
    _, target = highlighted(y, w)
    assert target.marks["paths"]["count"] == 2**40
    assert "products" not in target.marks["paths"]
    assert target.marks["paths"]["sum"] == pytest.approx(w.grad.item(), rel=1e-12)


@pytest.mark.parametrize("steps", [3, 12])
def test_sums_over_paths_of_random_scalar_graphs(steps: int) -> None:
    for seed in range(25):
        rng = np.random.default_rng([seed, steps])
        a, b = leaf(rng.uniform(0.5, 1.5), "a"), leaf(rng.uniform(0.5, 1.5), "b")
        values = [a, b]
        for _ in range(steps):
            x, y = (values[rng.integers(len(values))] for _ in range(2))
            values.append(
                [x * y, x + tg.tanh(y), x / (1.0 + y * y), tg.sin(x) - y][rng.integers(4)]
            )
        root = values[-1] * values[-2] + a * b
        wanted = tg.grad(root, [a, b], retain_graph=True)
        for tensor, gradient in zip((a, b), wanted, strict=True):
            _, target = highlighted(root, tensor)
            found, scale = target.marks["paths"]["sum"], max(1.0, abs(gradient.item()))
            assert found == pytest.approx(gradient.item(), rel=1e-12, abs=1e-12 * scale)


def test_a_result_may_be_the_target_and_tensors_have_no_products() -> None:
    x = leaf([1.0, 2.0], "x")
    h = tg.tanh(x)
    view, target = highlighted((h * h).sum(), h)
    assert target.marks["paths"] == {"count": 2}
    assert view.remarks == [f"2 paths from {target.name} to t3, drawn thick"]
    assert "dim" in next(v for v in view.variables if v.name == "x").marks


def test_a_tensor_of_another_graph_is_refused() -> None:
    loss, _, _ = neuron()
    with pytest.raises(ValueError, match="not part of this graph"):
        highlighted(loss, leaf(1.0, "other"))
    with pytest.raises(TypeError, match="path_to must be a Tensor, not 'w'"):
        viz.draw(loss, path_to="w", fit=None)


def test_several_roots_are_summed() -> None:
    w = leaf(2.0, "w")
    roots = [w * 3.0, w * w]
    _, target = highlighted(roots, w)
    assert target.marks["paths"]["sum"] == pytest.approx(7.0, rel=1e-12)


def test_a_constant_leads_nowhere() -> None:
    x, w = tg.tensor(2.0, name="x"), leaf(3.0, "w")
    _, target = highlighted(w * x, x)
    assert target.marks["paths"] == {"count": 0}
