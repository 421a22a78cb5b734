"""The built-in layout: nothing overlaps, lines run forward, texts fit."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.viz import style
from tinygrad_gm.viz.compose.figure import Figure, compose
from tinygrad_gm.viz.graph.view import look
from tinygrad_gm.viz.render.layered import Place, _crossings, _rank, _settle, arrange


def leaf(data: Any) -> tg.Tensor:
    return tg.tensor(data, dtype=np.float64, requires_grad=True)


def figure(*roots: tg.Tensor) -> Figure:
    return compose(look(roots, {}))


def residual_net(blocks: int) -> Figure:
    rng = np.random.default_rng(blocks)
    x = leaf(rng.normal(size=(3, 4)))
    first = x
    for _ in range(blocks):
        x = x + tg.tanh(tg.linear(x, leaf(rng.normal(size=(4, 4))), leaf(np.zeros(4))))
    return figure(tg.cross_entropy(x * first, tg.tensor([0, 1, 2])))


def random_graph(seed: int) -> Figure:
    rng = np.random.default_rng(seed)
    known = [leaf(float(value)) for value in rng.normal(size=4)]
    for _ in range(25):
        one, two = (known[i] for i in rng.integers(len(known), size=2))
        known.append([tg.tanh(one), one * two, one + two, one - 2.0][rng.integers(4)])
    return figure(*known[-3:])


FIGURES = {
    "lone card": lambda: figure(leaf(1.0)),
    "square": lambda: figure((lambda x: x * x)(leaf(2.0))),
    "residual": lambda: residual_net(6),
    **{f"random {seed}": (lambda seed=seed: random_graph(seed)) for seed in range(6)},
}
everywhere = pytest.mark.parametrize("direction", ["LR", "TB"])
for_figures = pytest.mark.parametrize("name", FIGURES)


def rectangles(drawn: Figure, direction: str) -> dict[str, tuple[float, float, float, float]]:
    """Left, right, top and bottom of every box and every edge's text."""
    layout = arrange(drawn, direction)
    sizes = [(box.id, layout.boxes[box.id], box.width, box.height) for box in drawn.boxes]
    sizes += [
        (line.id, layout.texts[line.id], line.width, line.height)
        for line in drawn.lines
        if line.id in layout.texts
    ]
    return {name: (x - w / 2, x + w / 2, y - h / 2, y + h / 2) for name, (x, y), w, h in sizes}


@everywhere
@for_figures
def test_no_card_no_disc_and_no_text_overlaps_another(name: str, direction: str) -> None:
    for one, two in itertools.combinations(rectangles(FIGURES[name](), direction).values(), 2):
        apart_x = one[1] <= two[0] or two[1] <= one[0]
        apart_y = one[3] <= two[2] or two[3] <= one[2]
        assert apart_x or apart_y


@everywhere
@for_figures
def test_everything_lies_within_the_picture(name: str, direction: str) -> None:
    drawn = FIGURES[name]()
    layout = arrange(drawn, direction)
    for left, right, top, bottom in rectangles(drawn, direction).values():
        assert -1e-9 <= left < right <= layout.width + 1e-9
        assert -1e-9 <= top < bottom <= layout.height + 1e-9


@everywhere
@for_figures
def test_lines_run_forward_from_box_to_box(name: str, direction: str) -> None:
    drawn = FIGURES[name]()
    layout, places = arrange(drawn, direction), rectangles(drawn, direction)
    for line in drawn.lines:
        stops = layout.lines[line.id]
        along = [stop[direction == "TB"] for stop in stops]
        assert along == sorted(along)
        for box, (x, y) in ((line.tail, stops[0]), (line.head, stops[-1])):
            left, right, top, bottom = places[box]
            assert left - 1e-6 <= x <= right + 1e-6
            assert top - 1e-6 <= y <= bottom + 1e-6


@everywhere
@for_figures
def test_no_line_runs_through_a_box(name: str, direction: str) -> None:
    """Beside boxes a line runs straight; it bends between the layers, where there are none."""
    drawn = FIGURES[name]()
    layout = arrange(drawn, direction)
    sizes = {
        box.id: (box.width, box.height) if direction == "LR" else (box.height, box.width)
        for box in drawn.boxes
    }
    middles = {i: p if direction == "LR" else p[::-1] for i, p in layout.boxes.items()}
    for line in drawn.lines:
        stops = [s if direction == "LR" else s[::-1] for s in layout.lines[line.id]]
        for (start, v), (end, w) in itertools.pairwise(stops):
            for box, (length, breadth) in sizes.items():
                u, middle = middles[box]
                beside = min(end, u + length / 2) - max(start, u - length / 2) > 1e-6
                within = min(v, w) < middle + breadth / 2 and max(v, w) > middle - breadth / 2
                assert not (beside and within) or box in (line.tail, line.head)


@everywhere
@for_figures
def test_lines_end_on_the_rim_of_a_disc(name: str, direction: str) -> None:
    drawn = FIGURES[name]()
    layout, boxes = arrange(drawn, direction), {box.id: box for box in drawn.boxes}
    for line in drawn.lines:
        if boxes[line.head].shape == "circle":
            radius = math.dist(layout.lines[line.id][-1], layout.boxes[line.head])
            assert radius == pytest.approx(boxes[line.head].width / 2)


@everywhere
@for_figures
def test_a_line_runs_along_its_text_and_not_through_it(name: str, direction: str) -> None:
    drawn = FIGURES[name]()
    layout, places = arrange(drawn, direction), rectangles(drawn, direction)
    for line in drawn.lines:
        if line.id in layout.texts:
            left, right, top, bottom = places[line.id]
            start, end = (left, right) if direction == "LR" else (top, bottom)
            edge = bottom if direction == "LR" else right
            stops = [s if direction == "LR" else s[::-1] for s in layout.lines[line.id]]
            near = ((a - 1e-6, v, b + 1e-6) for (a, v), (b, _) in itertools.pairwise(stops))
            (at,) = {v for a, v, b in near if a <= start < end <= b}
            assert edge < at < edge + 4


def test_two_lines_of_one_argument_are_two_curves_to_two_points() -> None:
    layout = arrange(FIGURES["square"](), "LR")
    one, two = layout.lines["e_n1_0"], layout.lines["e_n1_1"]
    assert one[-1] != two[-1]
    assert layout.texts["e_n1_0"][1] < layout.texts["e_n1_1"][1]


def test_a_chain_is_drawn_on_one_straight_line() -> None:
    y = leaf(0.3)
    for _ in range(5):
        y = tg.tanh(y)
    heights = {round(y, 6) for _, y in arrange(figure(y), "LR").boxes.values()}
    assert len(heights) == 1


def test_texts_of_cards_fit_into_them() -> None:
    x = tg.tensor(np.ones((4, 4)), requires_grad=True, name="a.very.long.name.of.a.parameter" * 3)
    for box in figure((x * x).sum(1)).boxes:
        if box.shape != "card":
            continue
        assert style.text_width(box.title[0], style.NAME_SIZE, bold=True) < box.width
        assert style.text_width(box.subtitle, style.SMALL_SIZE) < box.width
        for row in box.rows:
            label = style.text_width(row.label, style.TEXT_SIZE)
            assert all(label + style.text_width(t, style.TEXT_SIZE) < box.width for t in row.lines)


def test_positions_are_the_nearest_that_keep_order_and_distance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        places = [Place(0, breadth=float(b)) for b in rng.uniform(0, 30, size=6)]
        wanted = rng.normal(scale=60, size=6)
        _settle(places, wanted.tolist())
        found = np.array([place.v for place in places])
        rooms = [(a.breadth + b.breadth) / 2 + 14 for a, b in itertools.pairwise(places)]
        assert (np.diff(found) >= np.array(rooms) - 1e-9).all()
        for _ in range(200):  # no feasible neighbour is nearer
            other = found + rng.normal(scale=3, size=6)
            if (np.diff(other) >= rooms).all():
                assert ((other - wanted) ** 2).sum() >= ((found - wanted) ** 2).sum()


def test_crossings_are_counted() -> None:
    left, right = [Place(0) for _ in range(3)], [Place(1) for _ in range(3)]
    _rank(right)
    for a, b in [(0, 2), (1, 1), (2, 0), (2, 1)]:
        left[a].after.append(right[b])
    assert _crossings(left) == 4


@pytest.mark.slow
def test_a_variable_that_is_read_far_away_does_not_fill_the_layout() -> None:
    w = y = leaf(0.5)
    for _ in range(300):
        y = tg.tanh(y) * w
    layout = arrange(figure(y), "LR")
    assert sum(map(len, layout.lines.values())) < 200_000
