"""A cut by `.detach()` is drawn: a dashed edge from what was detached to the constant."""

from __future__ import annotations

import gc
import weakref

import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz


def cut(view: object) -> list[tuple[str, str]]:
    names = {v.id: v.name for v in view.variables}  # type: ignore[attr-defined]
    ops = [o for o in view.operations if o.op.name == "detach"]  # type: ignore[attr-defined]
    edges = view.edges  # type: ignore[attr-defined]
    tails = [names[e.tail] for o in ops for e in edges if e.head == o.id]
    return list(
        zip(tails, [names[e.head] for o in ops for e in edges if e.tail == o.id], strict=True)
    )


@pytest.mark.parametrize("depth", [None, 0, 1])
@pytest.mark.parametrize("both", [True, False])
def test_the_cut_of_a_gan_is_a_dashed_edge(both: bool, depth: int | None) -> None:
    generator = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    judge = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())
    fake = generator(tg.ones((4, 2)))
    fake.name = "fake"
    d_loss, g_loss = judge(fake.detach()).mean(), judge(fake).mean()
    drawing = viz.draw([d_loss, g_loss] if both else d_loss, depth=depth, fit=None)
    if depth is None:
        assert [tail for tail, _ in cut(drawing._view)] == ["fake"]
    dashed = [line for line in drawing._figure.lines if line.dashed]
    assert dashed
    drawing.svg()


def test_a_detached_leaf_and_a_tensor_that_is_gone() -> None:
    x = tg.tensor(3.0, requires_grad=True, name="x")
    c = x.detach()
    c.name = "c"
    assert cut(viz.draw(x * c, fit=None)._view) == [("x", "c")]
    y = x * 2.0
    alive, c = weakref.ref(y), y.detach()
    gc.disable()
    del y
    gc.enable()
    assert alive() is None  # no cycle, and the alias does not keep it
    assert cut(viz.draw(x * c, fit=None)._view) == []


def test_a_cut_inside_a_module_stays_inside() -> None:
    class Cut(nn.Module):
        def forward(self, x: tg.Tensor) -> tg.Tensor:
            y = tg.tanh(x)
            self.seen = y
            return y * y.detach()

    model = nn.Sequential(Cut(), nn.Linear(2, 2))
    out = model(tg.ones((1, 2)).requires_grad_())
    view = viz.draw(out, fit=None)._view
    (operation,) = [o for o in view.operations if o.op.name == "detach"]
    assert operation.path == ("", "0")
    drawing = viz.draw(out, depth=1, fit=None)
    assert [n.name for n in drawing._view.nodes if hasattr(n, "hidden")] == ["0", "1"]
