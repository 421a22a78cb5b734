"""`viz.steps`: the frames against the engine's own record, and how each is drawn."""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viz_graphs import (
    GRAPHS,
    backward_steps,
    diamond,
    each_graph,
    groups,
    leaf,
    named,
    neuron,
    recorded,
    said,
    texts,
    updates,
)

import tinygrad_gm as tg
from tinygrad_gm import nn, optim, viz
from tinygrad_gm.viz import themes
from tinygrad_gm.viz.film import states
from tinygrad_gm.viz.film.captions import plain
from tinygrad_gm.viz.graph.view import look

# ----------------------------------------------------------------------------------- frames


@each_graph
def test_each_backward_frame_shows_what_the_engine_has_summed_by_then(
    make: Callable[[], tg.Tensor],
) -> None:
    loss = make()
    film = viz.steps(loss)
    names = {variable.id: variable.name for variable in look([loss], {}).variables}
    frames = [film.frames[k] for k in backward_steps(film)][1:]
    shown = [
        tuple({names[i] for i, s in f.states.items() if s == kind} for kind in ("partial", "final"))
        for f in frames
    ]
    assert shown == recorded(loss)


@each_graph
def test_the_last_backward_frame_holds_the_gradients_and_the_first_only_the_seed(
    make: Callable[[], tg.Tensor],
) -> None:
    loss = make()
    film = viz.steps(loss)
    seed, *_, last = (film.frames[k] for k in backward_steps(film))
    assert [float(value) for value in seed.sums.values()] == [1.0]
    variables = {v.id: v for v in look([loss], {}).variables}
    assert set(last.states.values()) == {"final"}
    for identity, total in last.sums.items():
        np.testing.assert_allclose(total, variables[identity].gradient, rtol=1e-12)


def test_values_appear_operation_by_operation() -> None:
    loss, _ = diamond()
    film = viz.steps(loss)
    names = {v.id: v.name for v in look([loss], {}).variables}
    forward = [frame for frame in film.frames if frame.phase == "forward"]
    known = [{names[i] for i in frame.known} for frame in forward]
    assert known == [{"x", "2"}, {"x", "2", "a"}, {"x", "2", "a", "b"}, {"x", "2", "a", "b", "L"}]
    assert said(film, 1) == "a = x × 2 = 1.5 × 2.0 = 3.0"
    assert said(film, 2) == "b = tanh(x) = tanh(1.5) = 0.9051"


def test_the_caption_writes_the_multiplication_and_the_sum_out() -> None:
    w = leaf(2.0, "w")
    m = named("m", w * 0.5)
    film = viz.steps(named("L", named("p", m * m) + named("q", w * 3.0) * 0.1))
    lines = [line for k in backward_steps(film) for line in said(film, k).splitlines()]
    assert "∂L/∂m += ∂L/∂p · ∂p/∂m = 1.0 · 1.0 = 1.0; contribution 1 of 2" in lines
    final = "∂L/∂m += ∂L/∂p · ∂p/∂m = 1.0 · 1.0 = 1.0; sum 1.0 + 1.0 = 2.0, complete with 2 of 2"
    assert final in lines
    assert "∂L/∂w += ∂L/∂q · ∂q/∂w = 0.1 · 3.0 = 0.3; contribution 1 of 2" in lines
    assert (
        "∂L/∂w += ∂L/∂m · ∂m/∂w = 2.0 · 0.5 = 1.0; sum 0.3 + 1.0 = 1.3, complete with 2 of 2"
    ) in lines


def test_a_sum_of_three_contributions_is_partial_twice() -> None:
    x = leaf(3.0, "x")
    film = viz.steps(named("L", x * 2.0 + x * 5.0 + x * 7.0))
    lines = [line for k in backward_steps(film) for line in said(film, k).splitlines()]
    mine = [line.partition("; ")[2] for line in lines if line.startswith("∂L/∂x +=")]
    assert mine == [
        "contribution 1 of 3",
        "partial sum 7.0 + 5.0 = 12.0 (2 of 3)",
        "sum 12.0 + 2.0 = 14.0, complete with 3 of 3",
    ]


def test_outputs_of_one_operation_and_reruns_are_followed_too() -> None:
    x = leaf([3.0, 1.0, 2.0], "x")
    values, _ = tg.topk(x, 2)
    film = viz.steps(named("L", (values * values).sum()))
    assert set(film.frames[-1].states.values()) == {"final"}

    w = leaf(0.5, "w")
    loss = named("L", tg.checkpoint(lambda v: tg.tanh(v * v), w) * w)
    film = viz.steps(loss)
    (identity,) = (v.id for v in look([loss], {}).variables if v.name == "w")
    expected = np.tanh(0.25) + 0.5 * (1 - np.tanh(0.25) ** 2)
    assert float(film.frames[-1].sums[identity]) == pytest.approx(expected, rel=1e-12)
    slope = 0.5 * (1 - np.tanh(0.25) ** 2)  # of tanh(w²) times w
    last = said(film, backward_steps(film)[-1])
    assert f"= {plain(0.5)} · {plain(2 * slope)} = {plain(slope)}; sum " in last

    with_two = tg.checkpoint(lambda v: v * v, w) * tg.checkpoint(lambda v: v + v, w) * w
    film = viz.steps(with_two)
    assert said(film, backward_steps(film)[-1]).endswith("the sum is 1.0 (3 of 3)")  # 8w³


# ----------------------------------------------------------------------------------- update


def fresh() -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
    w, b = leaf([0.5, -1.0, 2.0], "w"), leaf(0.25, "b")
    x = leaf([1.0, 3.0, -0.5], "x", False)
    return w, b, named("L", tg.square((w * x).sum() + b - 1.0))


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.01),
    "momentum": lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
    "dampened": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.5, maximize=True),
    "Nesterov": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: optim.Adam(p, lr=0.05),
    "AMSGrad": lambda p: optim.Adam(p, lr=0.05, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.2),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.05),
    "Lion": lambda p: optim.Lion(p, lr=0.05),
}


@pytest.mark.sweep
@pytest.mark.parametrize("steps_before", [0, 2])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_update_frames_show_the_weights_that_the_optimizer_would_give(
    make: Callable[[Any], optim.Optimizer], steps_before: int
) -> None:
    def stepped(count: int) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor, optim.Optimizer]:
        w, b, _ = fresh()
        optimizer = make([w, b])
        for _ in range(count):
            optimizer.zero_grad()
            loss_of(w, b).backward()
            optimizer.step()
        return w, b, loss_of(w, b), optimizer

    def loss_of(w: tg.Tensor, b: tg.Tensor) -> tg.Tensor:
        x = leaf([1.0, 3.0, -0.5], "x", False)
        return named("L", tg.square((w * x).sum() + b - 1.0))

    later_w, later_b, later_loss, _ = stepped(steps_before + 1)
    *_, loss, optimizer = stepped(steps_before)
    film = viz.steps(loss, optimizer)
    variables = look([loss], {}).variables
    last = film.frames[-1].updated
    for tensor, name in ((later_w, "w"), (later_b, "b")):
        (identity,) = (v.id for v in variables if v.name == name)
        np.testing.assert_allclose(last[identity], tensor.numpy(), rtol=1e-12)
        texts = "\n".join(said(film, k) for k in updates(film))
        steepest = int(np.argmax(np.abs([1.0, 3.0, -0.5])))
        new = later_w.numpy()[steepest] if name == "w" else later_b.item()
        assert re.search(rf"{plain(new)}\b", texts)
    new_loss = plain(later_loss.item())
    assert f"gives L = {new_loss};" in said(film, len(film) - 1)


def test_adams_frames_show_the_corrected_moments() -> None:
    w = leaf(0.5, "w")
    optimizer = optim.Adam([w], lr=0.1, betas=(0.8, 0.99))
    m = v = 0.0
    for t in (1, 2):
        g = 2 * w.item()
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g * g
        m_hat, v_hat = m / (1 - 0.8**t), v / (1 - 0.99**t)
        new = w.item() - 0.1 * m_hat / (np.sqrt(v_hat) + 1e-8)
        optimizer.zero_grad()
        loss = named("L", w * w)
        film = viz.steps(loss, optimizer)
        text = said(film, updates(film)[0])
        assert f"g = ∂L/∂w = {plain(g)}" in text
        assert re.search(rf"m̂ = m / \(1 − 0\.8(\^{t})?\) = {plain(m_hat)}$", text, re.M)
        assert re.search(rf"v̂ = v / \(1 − 0\.99(\^{t})?\) = {plain(v_hat)} ", text)
        assert text.endswith(f"= {plain(new)}")
        loss.backward()
        optimizer.step()
        assert w.item() == pytest.approx(new, rel=1e-12)


def test_plain_descent_shows_the_step_of_the_given_length() -> None:
    w = leaf(3.0, "w")
    film = viz.steps(named("L", w * w), lr=0.25)
    assert said(film, updates(film)[0]) == "w ← w − lr · ∂L/∂w = 3.0 − 0.25 · 6.0 = 1.5"
    assert "gives L = 2.25; it was 9.0: it fell" in said(film, len(film) - 1)
    too_far = viz.steps(named("L", w * w), lr=2.0)
    assert "it rose" in said(too_far, len(too_far) - 1)


def test_nothing_of_the_users_changes() -> None:
    w = leaf([1.0, 2.0], "w")
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    (w * w).sum().backward()
    optimizer.step()
    loss = (w * w).sum()
    before = copy.deepcopy(optimizer.state_dict())
    value, gradient, written = w.numpy().copy(), w.grad, w.version
    film = viz.steps(loss, optimizer)
    film.svg(-1)
    assert w.grad is gradient
    assert w.version == written
    np.testing.assert_array_equal(w.numpy(), value)
    np.testing.assert_array_equal(gradient.numpy(), [2.0, 4.0])
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, state in before["state"].items():
        for name, kept in state.items():
            np.testing.assert_array_equal(
                np.asarray(after["state"][number][name]), np.asarray(kept)
            )
    loss.backward()  # the record is whole


def test_parameters_that_the_optimizer_does_not_hold_stay() -> None:
    _, b, loss = fresh()
    film = viz.steps(loss, optim.SGD([b], lr=0.1))
    names = {v.id: v.name for v in look([loss], {}).variables}
    assert [names[i] for i in film.frames[-1].updated] == ["b"]


# ---------------------------------------------------------------------------------- drawing


def places(svg: str) -> list[tuple[str, ...]]:
    """Everything that says where something is."""
    keys = ("id", "x", "y", "points", "d", "cx", "cy", "r", "rx", "width", "height", "transform")
    groups = [
        g
        for g in ElementTree.fromstring(svg).iter()
        if (g.get("class") or "").startswith(("node", "edge"))
    ]
    parts = [part for group in groups for part in group.iter()]
    for part in parts:
        part.set("id", part.get("id", "").rpartition("-")[2])  # each frame has ids of its own
    return [tuple(part.get(key, "") for key in keys) for part in parts]


@pytest.mark.sweep
@pytest.mark.usefixtures("engine")
@each_graph
def test_nothing_jumps_from_frame_to_frame(make: Callable[[], tg.Tensor]) -> None:
    film = viz.steps(make(), direction="TB" if make is GRAPHS["diamond"] else "LR")
    first, *others = [places(film.svg(k)) for k in range(len(film))]
    assert len(first) > 10
    assert all(other == first for other in others)
    boxes = {ElementTree.fromstring(film.svg(k)).get("viewBox") for k in range(len(film))}
    assert len(boxes) == 1


@pytest.mark.usefixtures("engine")
def test_the_pictures_show_the_states_by_class_number_and_count() -> None:
    loss, _ = diamond()
    film = viz.steps(loss, lr=0.05)
    (x,) = (v.id for v in look([loss], {}).variables if v.name == "x")
    seed = backward_steps(film)[0]
    cards = [groups(film.svg(k))[x] for k in (0, seed, seed + 2, seed + 3, len(film) - 1)]
    kinds = [(card.get("class") or "").split()[-1] for card in cards]
    assert kinds == ["known", "untouched", "partial", "final", "updated"]
    gradient = 2 * np.tanh(1.5) + 3 * (1 - np.tanh(1.5) ** 2)
    untouched, partial, final, updated = map(texts, cards[1:])
    assert "·" in untouched
    assert "0/2" in untouched
    assert f"+{3 * (1 - np.tanh(1.5) ** 2):.4f}" in partial
    assert "1/2" in partial
    assert f"+{gradient:.4f}" in final
    assert "2/2" in final
    assert f"+{1.5 - 0.05 * gradient:.4f}" in updated
    moving = [i for i, g in groups(film.svg(seed + 2)).items() if "moving" in g.get("class")]
    assert moving == list(film.frames[seed + 2].moving)


@pytest.mark.usefixtures("engine")
def test_tensors_may_be_called_as_the_rows_of_their_cards_are() -> None:
    gradient = leaf(3.0, "gradient")
    film = viz.steps(named("value", gradient * 2.0))
    cards = [texts(groups(film.svg(k))["n0"]) for k in (0, 2, 3)]
    assert [card[:2] for card in cards] == [["gradient", "scalar · float64"]] * 3
    assert [card[-1] for card in cards] == ["·", "·", "+2.0000"]
    assert cards[0][3] == "+3.0000"


@pytest.mark.usefixtures("engine")
def test_numbers_are_not_in_the_picture_before_their_step() -> None:
    loss, _ = neuron()
    film = viz.steps(loss)
    first = film.svg(0)
    assert "0.3300" not in first  # L
    assert "0.5617" not in first  # ∂L/∂w2
    assert "0.3300" in film.svg(7)
    assert "0.5617" not in film.svg(8)
    assert "0.5617" in film.svg(14)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_each_theme_has_all_the_colours(theme: str) -> None:
    film = viz.steps(diamond()[0], theme=theme)
    svg = film.svg(5)
    assert "$" not in svg
    palette = states.palette(themes.theme(theme))
    for text, ground in (("ink", "partial"), ("ink", "final"), ("ink", "updated"), ("ink", "work")):
        assert contrast(palette[text], palette[ground]) >= 4.5
    for phase in ("forward", "backward", "update"):  # as the ground of a button, and as text
        assert contrast(palette[phase], palette["paper"]) >= 4.5


def contrast(one: str, two: str) -> float:
    """WCAG 2.2's contrast ratio."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted(map(luminance, (one, two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# ---------------------------------------------------------------------------------- refusals


def test_what_cannot_be_followed_is_refused_in_a_sentence() -> None:
    x = leaf([1.0, 2.0], "x")
    with pytest.raises(TypeError, match="steps: loss must be a Tensor, not 3"):
        viz.steps(3)
    with pytest.raises(ValueError, match=r"shape \(2,\); make it one number"):
        viz.steps(x * x)
    with pytest.raises(ValueError, match="no operation is recorded"):
        viz.steps(leaf(1.0))
    with tg.no_grad(), pytest.raises(ValueError, match="no operation is recorded"):
        viz.steps((x * x).sum())
    with pytest.raises(ValueError, match="direction is 'RL'"):
        viz.steps((x * x).sum(), direction="RL")
    with pytest.raises(ValueError, match='theme is "pink"'):
        viz.steps((x * x).sum(), theme="pink")
    long = x.sum()
    for _ in range(250):
        long = long * 1.5
    with pytest.raises(ValueError, match="nodes are too many"):
        viz.steps(long)
    loss = (x * x).sum()
    with tg.no_grad():
        x -= 0.5
    with pytest.raises(RuntimeError, match="draw before the step"):
        viz.steps(loss)


def test_a_layer_with_its_parameters_is_followed_by_name() -> None:
    tg.manual_seed(0)
    model = nn.Linear(2, 1, dtype=np.float64)
    loss = tg.square(model(leaf([[1.0, 2.0]], "x", False))).sum()
    film = viz.steps(loss, optim.SGD(model.parameters(), lr=0.1), model.named_parameters())
    text = "\n".join(said(film, k) for k in updates(film))
    assert "weight has 2 elements; shown is weight[0, 1], with the largest |g|" in text
    assert "bias ← bias − lr ·" in text


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_the_steps_of_an_empty_tensor(shape: tuple[int, ...], tmp_path: Path) -> None:
    x, w = tg.zeros(shape, requires_grad=True), tg.tensor(2.0, requires_grad=True)
    film = viz.steps((x * w).sum() + w * w, lr=0.5, names=locals())
    sums = film.frames[-1].sums
    names = {v.name: v.id for v in film._stage.variables.values()}
    assert (sums[names["x"]].shape, sums[names["w"]]) == (shape, 4.0)  # d(0 + w²)/dw = 2w
    assert film.frames[-1].updated[names["w"]] == 0.0  # 2 − 0.5 · 4
    assert "gives t4 = \x020\x03; it was 4.0" in film.frames[-1].caption[0]
    assert len(film.svgs(tmp_path)) == len(film)
    film.html(tmp_path / "empty.html")
    with pytest.raises(ValueError, match=r"the loss has shape .*; make it one number"):
        viz.steps(x * w)


@pytest.mark.parametrize("make", [None, tg.optim.SGD, tg.optim.Adam, tg.optim.Lion])
def test_a_parameter_without_elements_takes_part_and_is_not_moved(make):
    empty, w = (tg.tensor(values, requires_grad=True) for values in ([], 2.0))
    optimizer = None if make is None else make([empty, w], lr=0.5)
    film = viz.steps((empty * w).sum() + w * w, optimizer, names=locals())
    assert [frame.phase for frame in film.frames].count("update") == 2  # w, and the new loss
    assert all(film.svg(k).rstrip().endswith("</svg>") for k in (0, -1))
