"""A drawing fits a box, and says what it leaves out."""

from __future__ import annotations

import re
import shutil
from html import unescape
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from benchmarks.drawn_nets import nets
from tinygrad_gm import nn, optim, viz
from tinygrad_gm.models.unet import UNet2D
from tinygrad_gm.viz.annotate import jacobians
from tinygrad_gm.viz.graph.view import look


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
    scale = width / float(re.findall(r'viewBox="0.00 0.00 ([\d.]+)', svg)[0])
    sizes = [float(points) for points in re.findall(r'font-size="([\d.]+)', svg)]
    assert min(sizes) * scale >= 11


@pytest.mark.parametrize(
    ("layers", "left_out"),
    [(1, "no local derivatives"), (16, "no values and gradients"), (40, "fit=None shows all")],
)
def test_what_is_left_out_is_said_in_one_line(layers: int, left_out: str) -> None:
    lines = re.findall(r">(to fit 1600[^<]*)<", viz.draw(network(layers)).svg())
    assert len(lines) == 1
    assert left_out in lines[0]


def test_values_are_left_out_before_operations_are_closed() -> None:
    w = tg.tensor(0.5, requires_grad=True, name="w")
    z = w
    for function in (tg.tanh, tg.sin, tg.cos, tg.sigmoid, tg.exp, tg.tanh):
        z = function(z * w)
    svg = viz.draw(z).svg()
    assert len(re.findall(r">×<", svg)) == 6
    assert "nodes" not in re.findall(r">(to fit 1600[^<]*)<", svg)[0]


@pytest.mark.parametrize("engine", ["dot", "builtin"])
def test_operations_in_a_row_are_the_lines_of_a_table(engine: str) -> None:
    if engine == "dot" and not shutil.which("dot"):
        pytest.skip("dot is not installed")
    loss = network()
    w = next(v.value for v in look([loss], {}).variables if v.name == "10.weight")
    svg = viz.draw(loss, engine=engine).svg()
    (table,) = re.findall(r'<g id="[^"]*" class="node operation table">.*?</g>', svg, re.DOTALL)
    texts = [text.replace("\xa0", "").strip() for text in re.findall(r">([^<]+)</text>", table)]
    assert [t for t in texts if "·" in t] == [
        f"{i} · {'Linear' if i % 2 == 0 else 'ReLU'}" for i in range(12)
    ]
    assert (texts.count("weight"), texts.count("(16, 16)")) == (6, 6)
    assert f"{np.sqrt(np.mean(w**2)):.3f}" in texts
    assert "in a box of several operations each one reads the result of the one above" in svg


def test_the_levels_of_a_u_net_and_its_skips_are_visible() -> None:
    net = UNet2D(3, 3, channels=16, multipliers=(1, 2), blocks=1, attention=(1,))
    source = viz.draw(net(tg.ones((1, 3, 8, 8)), tg.tensor([3])).sum()).source
    levels = "down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1"
    lines = [line for line in source.splitlines() if re.match(r"\s*n\d+ \[label", line)]
    boxes = {level: next(line.split()[0] for line in lines if level in line) for level in levels}
    assert len(set(boxes.values())) == 5
    for one, two in ((0, 1), (0, 4), (1, 2), (1, 3), (2, 3), (3, 4)):
        assert f"{boxes[levels[one]]} -> {boxes[levels[two]]} [" in source


def test_local_derivatives_are_computed_only_where_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(jacobians, "annotate", lambda *arguments: calls.append(arguments))
    viz.draw(network())
    assert not calls
    viz.draw(network(), detail="full")
    assert calls


TORCHVIEW = {  # area in square points of torchview 0.2.7's picture, with its defaults
    "lstm": 704 * 774,
    "gpt": 606 * 864,
    "resnet": 386 * 654,
    "mlp": 132 * 864,
    "attention": 315 * 342,
    "unet": 413 * 2246,
}


@pytest.mark.skipif(not shutil.which("dot"), reason="dot is not installed")
@pytest.mark.parametrize("name", TORCHVIEW)
def test_shapes_take_at_most_three_times_the_area_of_torchview(name: str) -> None:
    tg.manual_seed(0)
    model, inputs = nets(tg)[name]()
    width, height = size(viz.draw(model, *inputs, detail="shapes").svg())
    assert width * height * (3 / 4) ** 2 <= 3 * TORCHVIEW[name]


def summary(array: Any) -> str:
    mean, deviation = np.mean(array, dtype=float), np.std(array, dtype=float)
    first = f"{mean:+.4f}" if abs(mean) >= 1e-3 else f"{mean:+.2e}"
    return f"{first} ± {deviation:.4f}".replace("-", "−")


def rms(array: Any) -> str:
    return f"RMS {np.sqrt(np.mean(np.square(array, dtype=float))):.3f}"


def test_full_detail_without_a_box_shows_every_name_number_and_derivative() -> None:
    tg.manual_seed(0)
    x, w = tg.randn((5, 4)), tg.randn((4, 6), requires_grad=True)
    b = tg.randn(6, requires_grad=True)
    z = x @ w + b
    y = tg.tanh(z)
    loss = (y * y).mean()
    names = {"x": x, "w": w, "b": b, "z": z, "y": y, "loss": loss}
    svg = viz.draw(loss, names=names, detail="full", fit=None).svg()
    shown = {unescape(text) for text in re.findall(r">([^<]+)</text>", svg)}
    shown = {text.replace("\xa0", " ") for text in shown}
    to_w, to_b, to_z, to_y = tg.grad(loss, [w, b, z, y])
    wanted = {"x", "w", "b", "z", "y", "loss", "@", "+", "tanh", "×", "mean"}
    wanted |= {"(5, 4) · float32", "(4, 6) · float32", "(6,) · float32", "(5, 6) · float32"}
    wanted |= {summary(array.numpy()) for array in (x, w, b, z, y, to_w, to_b, to_z, to_y)}
    wanted |= {"scalar · float32", f"{loss.item():+.4f}", "+1.0000"}
    wanted |= {"∂loss/∂w", "∂loss/∂b", "∂loss/∂z", "∂loss/∂y", "histogram", "matrix"}
    wanted |= {"∂y/∂z: 30×30 diagonal, 1−tanh²z", "∂z/∂b: 30×6 broadcast sum, 1"}
    wanted |= {"∂loss/∂t2: 1×30 dense, 1/n"}
    wanted |= {rms(array.numpy()) for array in (to_w, to_b, to_z)}
    wanted |= {rms(np.full(30, 1 / 30))}
    assert wanted - shown == set()


def test_a_drawing_shows_the_numbers_of_its_moment() -> None:
    w = tg.tensor([3.0, 4.0], requires_grad=True, name="w")
    loss = (w * w).sum()
    picture = viz.draw(loss)
    loss.backward()
    optim.SGD([w], lr=0.25).step()
    assert w.tolist() == [1.5, 2.0]
    assert ">+3.000" in picture.svg()


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


def test_the_caption_names_a_root_only_by_a_name_that_is_drawn() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    loss = tg.tanh(x).sum()
    for root, names, of in (
        (loss, None, "loss"),
        (loss, False, "the root"),
        (tg.tanh(x), False, "the sum of all elements of the roots"),
    ):
        svg = viz.draw(root, detail="values", names=names).svg()
        assert f"the gradient of {of}; of several" in unescape(svg)


def test_a_long_name_of_an_operation_takes_two_lines_and_is_not_shortened() -> None:
    x = tg.zeros(2, requires_grad=True)
    d_loss = F.binary_cross_entropy_with_logits(x, tg.ones(2))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", viz.draw(d_loss, detail="shapes").svg())
    assert {"d_loss = binary cross entropy", "with logits"} <= set(texts)


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
