"""The graph as data: JSON and back without a loss, and a program that is left as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.viz.graph import data
from tinygrad_gm.viz.graph.view import View, look


def leaf(values: Any, name: str | None = None, requires_grad: bool = True) -> tg.Tensor:
    return tg.tensor(values, dtype=np.float64, requires_grad=requires_grad, name=name)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x: Any) -> Any:
        return x + nn.functional.dropout(tg.relu(self.norm(self.fc(x))))


class Net(nn.Module):
    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block() for _ in range(blocks)])

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


def examples() -> dict[str, Any]:
    x, y = leaf(0.1, "x"), leaf([[1.0, np.nan, np.inf], [0.1, 0.2, 0.3]], "y")
    z = tg.tensor(1 / 3, requires_grad=True, name="single")
    batch = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
    first = tg.grad(tg.tanh(x), x, create_graph=True)[0]
    return {
        "product": viz.draw(x * x * z, jacobian=True, fit=None),
        "not finite": viz.draw((y * x).sum(), heat=True, check=True, fit=None),
        "second order": viz.draw(tg.grad(first, x, create_graph=True)[0], cost=True, fit=None),
        "model": viz.draw(Net(), batch, theme="dark", direction="TB", fit=None),
        "closed": viz.draw(Net(12), batch, depth=1, fit=None),
        "path": viz.draw(x * z + x, path_to=z, fit=None),
        "large": viz.draw((leaf(np.arange(5000.0)) * 0.1).sum(), fit=None),
        "numbers": viz.draw(x * 2 + 0.5 + tg.concat([y, y]).sum(), fit=None),
    }


@pytest.mark.sweep
@pytest.mark.parametrize("name", examples())
def test_json_and_back_gives_the_same_source_and_the_same_picture(
    name: str, tmp_path: Path
) -> None:
    picture = examples()[name]
    path = picture.save(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == [path]
    again = viz.load(path)
    assert again.source == picture.source
    assert again.json() == picture.json()
    assert repr(again) == repr(picture)


def equal(one: Any, two: Any) -> bool:
    if hasattr(one, "dtype"):
        return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()
    return bool(one == two)


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.1, 1 / 3, np.pi, 5e-324, 1.7976931348623157e308, -0.0, np.inf, -np.inf]),
        np.array([0.1, 3.4e38, 1e-45], np.float32),
        np.array([[0.1, 65504.0]], np.float16),
        np.array([2**62, -(2**63)]),
        np.array([True, False]),
        np.array([np.nan]),
        np.random.default_rng(0).normal(size=(30, 40)),
        np.zeros((0, 3)),
        np.array(2.5),
    ],
)
def test_every_number_comes_back_unrounded(values: np.ndarray) -> None:
    view = look([leaf(1.0) * 1.0], {})
    view.variables[0].value = values
    view.edges[0].upstream = [values, None]
    again, _ = data.loads(data.dumps(view, {}))
    assert equal(again.variables[0].value, values)
    assert equal(again.edges[0].upstream[0], values)
    assert again.edges[0].upstream[1] is None


def test_what_comes_back_is_what_was_looked_at() -> None:
    x = leaf([1.0, 2.0], "x")
    view = look([(x * x).sum()], {})
    again, settings = data.loads(data.dumps(view, {"theme": "dark"}))
    assert settings == {"theme": "dark"}
    assert [type(node) for node in again.nodes] == [type(node) for node in view.nodes]
    for one, two in zip((*view.nodes, *view.edges), (*again.nodes, *again.edges), strict=True):
        for name, value in vars(one).items():
            if name not in ("op", "params"):
                assert equal(value, vars(two)[name]), name


def test_json_is_strict() -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = examples()["not finite"].json()
    json.loads(text, parse_constant=refuse)


def saved(version: int, parts: Any) -> str:
    head = {"format": "tinygrad_gm drawing", "version": version, "remarks": []}
    return json.dumps({**head, "parts": parts})


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", "{}"),
        *(saved(3, []), saved(1, [{"is": "box"}]), saved(1, [{"is": "edge"}]), saved(1, 5)),
    ],
)
def test_a_file_that_is_no_drawing_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="not a drawing saved as JSON"):
        viz.load(tmp_path / "a.json")


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    picture = viz.draw(leaf([1.0, 2.0], "x") * 2.0, cost=True, fit=None)
    text = picture.json().replace('"version": 2', '"version": 1')
    text = text.replace('"argnum":', '"slot":').replace('"saved":', '"kept":')
    (tmp_path / "a.json").write_text(text)
    assert viz.load(tmp_path / "a.json").source == picture.source


# ------------------------------------------------------------------ the program is left alone


def arrays(view: View) -> list[Any]:
    return [variable.value for variable in view.variables]


def test_random_draws_and_masks_are_constants_of_the_record() -> None:
    x = leaf(np.ones(8), "x")
    loss = (nn.functional.dropout(x, 0.5) * tg.randn(8)).sum()
    state = tg.random.default_generator().get_state()
    one, two = look([loss], {}), look([loss], {})
    assert tg.random.default_generator().get_state() == state
    for first, second in zip(arrays(one), arrays(two), strict=True):
        np.testing.assert_array_equal(first, second)
    (result,) = [variable for variable in one.variables if variable.is_root]
    assert result.value == loss.item()


def test_a_drawing_leaves_a_models_statistics_its_gradients_and_the_random_numbers_alone() -> None:
    net, batch = Net(), np.random.default_rng(1).normal(size=(4, 3)).astype("f4")
    net(tg.tensor(batch)).sum().backward()
    kept = {name: t.numpy().copy() for name, t in net.state_dict().items()}
    buffers = {name: (id(t), t.version) for name, t in net.named_buffers()}
    grads = {name: t.grad for name, t in net.named_parameters()}
    state = tg.random.default_generator().get_state()
    picture = viz.draw(net, batch, fit=None)
    assert tg.random.default_generator().get_state() == state
    for name, t in net.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), kept[name])
    assert {name: (id(t), t.version) for name, t in net.named_buffers()} == buffers
    assert all(t.grad is grads[name] for name, t in net.named_parameters())
    assert "cluster" in picture.source


def test_a_model_is_drawn_with_the_names_of_its_modules_and_the_lines_of_the_program() -> None:
    picture = viz.draw(Net(), np.ones((4, 3), "f4"), fit=None)
    svg = picture.svg()
    titles = re.findall(r"<title>(.*?)</title>", svg, re.DOTALL)
    line = next(
        number
        for number, text in enumerate(Path(__file__).read_text().splitlines(), 1)
        if "tg.relu(self.norm" in text
    )
    assert any(title.startswith("relu") and f"{__file__}:{line}" in title for title in titles)
    assert any("blocks.1.fc.weight" in title for title in titles)
    assert any(title.startswith("x: constant") for title in titles)  # as forward calls its input
    assert '-c_blocks_1_fc"' in svg


def test_a_model_that_makes_nan_is_drawn_too() -> None:
    class Log(nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return {"log": tg.log(x) * y, "other": (y, 3)}

    x = leaf([-1.0, 1.0])
    picture = viz.draw(Log(), x, leaf([1.0, 2.0]), fit=None)
    assert "first-nonfinite" in picture.source
    with pytest.raises(TypeError, match="expected a Tensor from Bad, got 'nothing'"):
        viz.draw(type("Bad", (nn.Module,), {"forward": lambda self: "nothing"})(), fit=None)


def test_where_a_leaf_was_written_since_there_are_shapes_and_a_reason() -> None:
    w, x = leaf([0.5, 0.25], "w"), leaf([2.0, 3.0], "x", False)
    loss = (w * x).sum()
    with tg.no_grad():
        w -= 0.1
    picture = viz.draw(loss, fit=None)
    assert "values changed since: draw before the step" in re.sub(r"<BR/>", " ", picture.source)
    parts = json.loads(picture.json())["parts"]
    (saved_w,) = [part for part in parts if part.get("name") == "w"]
    assert saved_w["shape"] == [2]
    assert "value" not in saved_w
    assert "gradient" not in saved_w
