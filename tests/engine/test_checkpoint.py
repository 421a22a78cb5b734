"""checkpoint: the plain call's values and gradients, bit for bit, in less memory."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.engine import modes
from tinygrad_gm.engine.record import topological_order
from tinygrad_gm.engine.replay import replay
from tinygrad_gm.testing import gradcheck


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def kinds(out: Any) -> list[str]:
    return [node.plan.op.name for node in topological_order(out)]


# ------------------------------------------------------------------------------------ memory


def gelu(x: Any) -> Any:
    return 0.5 * x * (1.0 + tg.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def dropout(x: Any) -> Any:
    return x * tg.bernoulli(tg.full(x.shape, 0.9)) / 0.9


def peak_and_gradients(layer: Any, segment: int, checkpointed: bool) -> tuple[int, list[Any]]:
    """24 layers of 128 on a batch of 4096: the peak beyond the parameters, and the gradients."""
    tg.manual_seed(0)
    parameters = [
        (leaf32(0.09 * tg.randn((128, 128)).numpy()), leaf32(np.zeros(128))) for _ in range(24)
    ]
    h = tg.randn((4096, 128))

    def layers(first: int) -> Any:
        def run(h: Any) -> Any:
            for weight, bias in parameters[first : first + segment]:
                h = layer(tg.linear(h, weight, bias))
            return h

        return run

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for first in range(0, 24, segment):
        h = tg.checkpoint(layers(first), h) if checkpointed else layers(first)(h)
    (h * h).mean().backward()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak, [t.grad.numpy() for pair in parameters for t in pair]


def leaf32(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float32, requires_grad=True)


@pytest.mark.parametrize(
    ("layer", "segment", "share"), [(lambda x: dropout(gelu(x)), 3, 0.4), (tg.tanh, 4, 0.55)]
)
def test_peak_memory_is_a_fraction_and_gradients_are_equal_bit_for_bit(
    layer: Any, segment: int, share: float
) -> None:
    plain, wanted = peak_and_gradients(layer, segment, False)
    peak, found = peak_and_gradients(layer, segment, True)
    assert peak <= share * plain
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_after_the_call_only_arguments_and_results_are_held() -> None:
    made: list[Any] = []

    def fn(x: Any) -> Any:
        inner = tg.exp(x)
        made.append(weakref.ref(inner.node.saved[0].base or inner))
        made.append(weakref.ref(inner))
        return inner * inner

    gc.disable()
    try:
        y = tg.checkpoint(fn, leaf([1.0, 2.0]) * 1.0)
        assert all(ref() is None for ref in made)
    finally:
        gc.enable()
    assert kinds(y) == ["multiply", "checkpoint"]


# --------------------------------------------------------------------------------- gradients


def test_a_closed_over_weight_gets_its_gradient_though_no_argument_requires_one() -> None:
    weight, x = leaf([2.0, 3.0]), tg.tensor([0.5, 1.0], dtype=tg.float64)
    y = tg.checkpoint(lambda x: tg.exp(x * weight), x)
    assert y.requires_grad
    y.sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), x.numpy() * np.exp(x.numpy() * [2.0, 3.0]))


def test_grad_and_second_order_through_a_closed_over_weight() -> None:
    weight, x = leaf([2.0, 3.0]), leaf([0.5, 1.0])

    def fn(x: Any, weight: Any) -> Any:
        return tg.checkpoint(lambda x: tg.tanh(x * weight) * weight, x)

    assert gradcheck(fn, (x, weight))
    assert gradcheck(fn, (x, weight), order=2)
    assert gradcheck(fn, (x, weight), order=3, rtol=1e-4, atol=1e-6)
    plain = tg.grad((tg.tanh(x * weight) * weight).sum(), [weight])
    (found,) = tg.grad(fn(x, weight).sum(), [weight])
    np.testing.assert_array_equal(found.numpy(), plain[0].numpy())


def test_grad_to_a_closed_over_result_and_to_what_lies_behind_it() -> None:
    w, x = leaf([2.0, 3.0]), leaf([0.5, 1.0])
    doubled = w * 2.0
    y = tg.checkpoint(lambda x: x * doubled, x).sum()
    in_w, in_doubled = tg.grad(y, [w, doubled])
    assert (in_w.tolist(), in_doubled.tolist()) == ([1.0, 2.0], [0.5, 1.0])
    assert x.grad is None


def test_several_arguments_results_and_keywords() -> None:
    x, y, z = leaf([1.0, 2.0]), leaf([3.0, 4.0]), leaf([5.0, 6.0])
    counts = tg.tensor([1, 2])

    def fn(x: Any, scale: float, y: Any, *, z: Any, shift: float, counts: Any) -> Any:
        return x * y * scale, z + shift, counts + 1, None, x.detach()

    def total(call: Any) -> Any:
        out = call(x, 2.0, y, z=z, shift=1.0, counts=counts)
        assert isinstance(out, tuple)
        assert [getattr(part, "requires_grad", None) for part in out] == [
            True, True, False, None, False,
        ]  # fmt: skip
        return (out[0] * out[1] * out[2]).sum()

    plain = tg.grad(total(fn), [x, y, z])
    found = tg.grad(total(lambda *a, **k: tg.checkpoint(fn, *a, **k)), [x, y, z])
    for ours, theirs in zip(found, plain, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_result_that_nobody_reads_and_a_list_of_results() -> None:
    x = leaf([1.0, 2.0])
    parts = tg.checkpoint(lambda x: [x * 2.0, tg.exp(x), x], x)
    assert isinstance(parts, list)
    (parts[0] + parts[2]).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_checkpoint_inside_a_checkpoint() -> None:
    w, x = leaf([2.0, 3.0]), leaf([0.5, 1.0])
    runs: list[str] = []

    def inner(h: Any) -> Any:
        runs.append("inner")
        return tg.tanh(h * w)

    def outer(h: Any) -> Any:
        runs.append("outer")
        return tg.checkpoint(inner, h + 1.0) * w

    assert gradcheck(lambda x, w: tg.checkpoint(outer, x), (x, w))
    assert gradcheck(lambda x: tg.checkpoint(outer, x), x, order=2)
    runs.clear()
    tg.checkpoint(outer, x).sum().backward()
    assert runs == ["outer", "inner", "outer", "inner", "inner"]
    runs.clear()
    tg.grad(tg.checkpoint(outer, x).sum(), w)
    assert runs == ["outer", "inner", "outer", "inner", "inner"]


def test_grad_runs_again_only_what_lies_on_a_path_to_an_input() -> None:
    w, x, runs = leaf([2.0, 3.0]), leaf([0.5, 1.0]), list[str]()

    def segment(h: Any) -> Any:
        runs.append("run")
        return tg.tanh(h * w)

    early = x * 1.0
    late = tg.checkpoint(segment, early) * 2.0
    aside = tg.checkpoint(lambda h: segment(h) + x, late)
    loss = (late * late + aside).sum()
    runs.clear()
    for inputs, count in ((late, 1), (early, 2), (w, 2), (x, 2)):
        tg.grad(loss, inputs, retain_graph=True)
        assert len(runs) == count
        runs.clear()


def test_backward_twice_needs_a_retained_record() -> None:
    x = leaf([1.0, 2.0])
    y = tg.checkpoint(lambda x: x * x, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match="freed by an earlier backward pass"):
        y.backward()


def test_a_module_is_checkpointed_with_its_parameters() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = tg.randn((5, 3))
    plain = tg.grad((model(x) ** 2).sum(), list(model.parameters()))
    found = tg.grad((tg.checkpoint(model, x) ** 2).sum(), list(model.parameters()))
    for ours, theirs in zip(found, plain, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


# ------------------------------------------------------------------------------------- modes


def test_the_second_run_draws_the_same_numbers_and_disturbs_nobodys() -> None:
    def fn(x: Any) -> Any:
        return x * tg.bernoulli(tg.full((1000,), 0.5)) + tg.randn((1000,)) * x

    streams = []
    for call in (fn, lambda x: tg.checkpoint(fn, x)):
        tg.manual_seed(7)
        x = leaf32(np.ones(1000))
        y = call(x)
        between = tg.randn(3).tolist()
        y.sum().backward()
        streams.append((x.grad.tolist(), between, tg.randn(3).tolist()))
    assert streams[0] == streams[1]


def test_under_another_generator_the_second_run_uses_that_one() -> None:
    x = leaf32(np.ones(100))
    with tg.random.using(tg.Generator(3)):
        y = tg.checkpoint(lambda x: x * tg.rand((100,)), x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_the_second_run_is_in_the_textbook_mode_of_the_first_and_knows_what_it_is() -> None:
    seen: list[tuple[bool, str, bool]] = []

    def fn(x: Any) -> Any:
        y = tg.softmax(x)
        seen.append((modes.textbook_mode.get(), y.op, modes.rerunning.get()))
        return y

    with tg.textbook():
        y = tg.checkpoint(fn, leaf([1.0, 2.0]))
    y[0].backward()
    z = tg.checkpoint(fn, leaf([1.0, 2.0]))
    with tg.textbook():
        z[0].backward()
    assert seen == [
        (True, "divide", False),
        (True, "divide", True),
        (False, "softmax", False),
        (False, "softmax", True),
    ]


def test_under_no_grad_or_without_variables_nothing_is_recorded() -> None:
    w, x = leaf([1.0]), tg.tensor([2.0])
    with tg.no_grad():
        assert not tg.checkpoint(lambda x: x * w, x).requires_grad
    y = tg.checkpoint(lambda x: x * 2.0, x)
    assert y.node is None
    y = tg.checkpoint(lambda x: x * w, x)
    with tg.no_grad():
        y.backward()
    assert w.grad.tolist() == [2.0]


def test_the_frame_of_the_record_is_kept_around_the_second_run() -> None:
    places: list[Any] = []

    class Noting(nn.Module):
        def forward(self, x: Any) -> Any:
            places.append(modes.scope.get())
            return tg.exp(x)

    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Noting()

        def forward(self, x: Any) -> Any:
            return tg.checkpoint(self.inside, x)

    Around()(leaf([1.0])).sum().backward()
    first, second = places
    assert (first.name, first.parent.kind) == ("inside", "Around")
    assert (second.name, second.parent.kind, second.parent.name) == (
        "inside", "expanded", "checkpoint",
    )  # fmt: skip
    assert second.parent.parent.kind == "Around"


# --------------------------------------------------------------------------- record and errors


def test_writes_into_arguments_and_closed_over_weights_are_refused() -> None:
    for target in (0, 1):
        leaves = leaf([1.0, 2.0]), leaf([3.0, 4.0])
        w = leaves[1]
        y = tg.checkpoint(lambda x, w=w: x * w, leaves[0]).sum()
        with tg.no_grad():
            leaves[target][0] = 9.0
        with pytest.raises(RuntimeError, match=r"that `checkpoint` read was written since"):
            y.backward()


def test_replay_and_drawings_show_a_checkpoint_as_one_box_with_its_weights() -> None:
    w, x = leaf([2.0, 3.0]), leaf([0.5, 1.0])
    y = tg.checkpoint(lambda x: tg.exp(x * w), x).sum()
    values = [replayed.value for replayed in replay(y).values()]
    np.testing.assert_allclose(values[0], np.exp([1.0, 3.0]))
    source = viz.draw(y, names={"w": w, "x": x}).source
    assert "⟲" in source or "checkpoint" in source
    first, second = tg.checkpoint(lambda x: (x * w, x + w), x)
    assert len(replay(first * second)) == 4


def test_a_function_that_is_not_the_same_twice_is_refused() -> None:
    sizes = iter([2, 3])
    x = leaf([1.0, 2.0, 3.0])
    y = tg.checkpoint(lambda x: x[: next(sizes)] * 2.0, x)
    with pytest.raises(RuntimeError, match="checkpoint: the function returned"):
        y.sum().backward()


def test_a_function_that_returns_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="checkpoint: the function returned dict"):
        tg.checkpoint(lambda x: {"x": x}, leaf([1.0]))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    tg.manual_seed(0)
