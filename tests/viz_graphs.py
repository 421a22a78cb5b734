"""Small graphs that the tests of the drawn steps play, and what to ask of a film."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import viz
from tinygrad_gm.models import neuron as neuron_model
from tinygrad_gm.viz.film.captions import HIDE, SHOW


def leaf(data: Any, name: str | None = None, requires_grad: bool = True) -> tg.Tensor:
    return tg.tensor(data, dtype=np.float64, requires_grad=requires_grad, name=name)


def named(name: str, tensor: tg.Tensor) -> tg.Tensor:
    tensor.name = name
    return tensor


def neuron() -> tuple[tg.Tensor, dict[str, tg.Tensor]]:
    return neuron_model.example(neuron_model.Config())


def neuron_with_names() -> tg.Tensor:
    x1, w1, x2, w2 = (
        leaf(1.0, "x1", False),
        leaf(0.1, "w1"),
        leaf(2.0, "x2", False),
        leaf(-0.2, "w2"),
    )
    m1, m2 = named("m1", x1 * w1), named("m2", x2 * w2)
    z = named("z", named("m", m1 + m2) + leaf(0.0, "b"))
    return named("L", tg.square(named("d", named("p", tg.sigmoid(z)) - leaf(1.0, "y", False))))


def diamond() -> tuple[tg.Tensor, tg.Tensor]:
    x = leaf(1.5, "x")
    return named("L", named("a", x * 2.0) * named("b", tg.tanh(x))), x


def three_readers() -> tg.Tensor:
    w, x = leaf(-0.4, "w"), leaf(2.0, "x")
    m, r = named("m", w * x), named("r", w * w)
    return named("L", named("s", named("q", tg.sigmoid(m)) + r) * x)


def vectors() -> tg.Tensor:
    w, x = leaf([[0.5, -1.0], [2.0, 0.25]], "w"), leaf([1.0, 3.0], "x")
    h = named("h", tg.tanh(named("z", w @ x)))
    both = named("both", tg.concat([h, h]))
    return named("L", named("squares", both * both).sum())


def network() -> tg.Tensor:
    """Thirty nodes and a few more."""
    x = leaf(0.3, "x", False)
    z = [named(f"z{i}", leaf(0.1 * i - 0.2, f"w{i}") * x) for i in range(4)]
    h = [named(f"h{i}", tg.tanh(z[i])) for i in range(4)]
    total = named("total", named("p", h[0] * h[1]) + named("q", h[2] * h[3]))
    return named("L", tg.square(named("d", total - 1.0)))


GRAPHS = {
    "neuron": neuron_with_names,
    "diamond": lambda: diamond()[0],
    "three readers": three_readers,
    "vectors": vectors,
    "network": network,
}
each_graph = pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)


def said(film: viz.Steps, k: int) -> str:
    return "\n".join(film.frames[k].caption).replace(HIDE, "").replace(SHOW, "")


def backward_steps(film: viz.Steps) -> list[int]:
    return [k for k, frame in enumerate(film.frames) if frame.phase == "backward"]


def updates(film: viz.Steps) -> list[int]:
    return [k for k, frame in enumerate(film.frames) if frame.phase == "update"]


def recorded(loss: tg.Tensor) -> list[tuple[set[str], set[str]]]:
    """The names with a partial and with a complete sum after each operation, by an observer."""
    events: list[tuple[Any, Any]] = []
    loss.backward(observer=lambda node, slot, *_: events.append((node, node.parents[slot])))
    due = Counter(parent.name for _, parent in events)
    seen: Counter[str] = Counter()
    moments = []
    for place, (node, parent) in enumerate(events):
        seen[parent.name] += 1
        if place + 1 == len(events) or events[place + 1][0] is not node:
            partial = {name for name in seen if seen[name] < due[name]}
            moments.append((partial, {"L"} | seen.keys() - partial))
    return moments


def groups(svg: str) -> dict[str, Any]:
    tree = ElementTree.fromstring(svg)
    drawn = [g for g in tree.iter() if g.tag.endswith("}g") and g.get("class")]
    return {g.get("id", "").rpartition("-")[2]: g for g in drawn}


def texts(group: Any) -> list[str]:
    return ["".join(t.itertext()) for t in group.iter() if t.tag.endswith("}text")]
