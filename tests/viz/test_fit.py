"""A drawing fits a box, and says what it leaves out."""

from __future__ import annotations

import re
from typing import Any

import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, viz


def network(layers: int = 6) -> tg.Tensor:
    tg.manual_seed(0)
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Linear(16, 16), nn.ReLU()]
    loss: tg.Tensor = F.mse_loss(nn.Sequential(*parts)(tg.randn((8, 16))), tg.randn((8, 16)))
    return loss


def size(svg: str) -> tuple[float, float]:
    """Width and height in pixels."""
    start = svg[: svg.index(">")]
    width, height = (re.findall(rf' {side}="(\d+)pt"', start)[0] for side in ("width", "height"))
    return float(width) * 4 / 3, float(height) * 4 / 3


@pytest.mark.parametrize("layers", [1, 6, 40])
def test_a_picture_fits_the_box_with_text_of_at_least_eleven_pixels(layers: int) -> None:
    svg = viz.draw(network(layers)).svg()
    width, height = size(svg)
    assert width <= 1600
    assert height <= 900
    sizes = [float(points) for points in re.findall(r'font-size="([\d.]+)', svg)]
    assert min(sizes) * 4 / 3 >= 11


@pytest.mark.parametrize(
    ("layers", "left_out"),
    [(1, "no local derivatives"), (6, "no values and gradients"), (40, "fit=None shows all")],
)
def test_what_is_left_out_is_said_in_one_line(layers: int, left_out: str) -> None:
    lines = re.findall(r">(to fit 1600[^<]*)<", viz.draw(network(layers)).svg())
    assert len(lines) == 1
    assert left_out in lines[0]


def test_values_are_left_out_before_operations_are_closed() -> None:
    w = tg.tensor(0.5, requires_grad=True, name="w")
    z = w
    for _ in range(6):
        z = tg.tanh(z * w)
    svg = viz.draw(z).svg()
    assert len(re.findall(r">tanh<|= tanh<", svg)) == 6
    assert "nodes" not in re.findall(r">(to fit 1600[^<]*)<", svg)[0]


def test_a_picture_that_fits_whole_says_nothing() -> None:
    x = tg.tensor(2.0, requires_grad=True, name="x")
    svg = viz.draw(tg.tanh(x)).svg()
    assert "to fit" not in svg
    assert "∂t1/∂x" in svg


def test_without_a_box_nothing_is_left_out() -> None:
    svg = viz.draw(network(40), fit=None).svg()
    assert "to fit" not in svg
    assert len(re.findall(r">linear<", svg)) == 40


@pytest.mark.parametrize("detail", ["shapes", "values", "full"])
@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_what_is_asked_for_is_kept_even_if_it_does_not_fit(detail: str, direction: str) -> None:
    svg = viz.draw(network(), fit=(200, 100), detail=detail, direction=direction).svg()
    width, _ = size(svg)
    assert width > 200
    assert "larger than 200 × 100" in svg
    assert ("∂" in svg) == (detail != "shapes")


def test_a_small_box_names_the_operation_its_result_and_its_parameters() -> None:
    w = tg.ones((3, 2), requires_grad=True)
    x = tg.ones((4, 2), requires_grad=True)
    y = tg.tanh(x) @ w.T * 0.5
    y.name = "y"
    svg = viz.draw(y.sum(), detail="shapes", fit=None, engine="builtin").svg()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"tanh", "(4, 2)", "y = × 0.5", "(4, 3)"} <= set(texts)
    values = viz.draw(y.sum(), detail="values", fit=None, engine="builtin").svg()
    assert ">0.762 · ∂ 1.500<" in values  # tanh(1), 3 · 0.5


@pytest.mark.parametrize("detail", ["shapes", "values", "full"])
def test_inputs_that_all_meet_in_one_operation_are_drawn_without_graphviz(detail: str) -> None:
    one, two = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    svg = viz.draw((one * two).sum(), detail=detail, engine="builtin").svg()
    assert svg.count('class="node variable') >= 2


@pytest.mark.parametrize("fit", [(0, 5), "big", (1,), 3])
def test_a_box_that_is_none_is_refused(fit: Any) -> None:
    with pytest.raises(ValueError, match=r"draw: fit is .*width, height"):
        viz.draw(tg.ones(2, requires_grad=True).sum(), fit=fit)


def test_an_unknown_detail_is_refused() -> None:
    with pytest.raises(ValueError, match=r"draw: detail is 'all'.*shapes"):
        viz.draw(tg.ones(2, requires_grad=True).sum(), detail="all")


def test_a_saved_drawing_keeps_detail_and_direction(tmp_path: Any) -> None:
    picture = viz.draw(network())
    assert viz.load(picture.save(tmp_path / "net.json")).source == picture.source
