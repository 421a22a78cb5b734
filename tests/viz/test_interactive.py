"""The page of a drawing: what it contains, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import ask, needs_chromium

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.viz.interactive.page import graph

HOSTILE = "</script><script>document.title='run'</script>\"'&<b>{{data}}"


def network() -> tuple[tg.Tensor, tg.Tensor]:
    """The loss of two blocks, one of them with an inner block, and its input; both named badly."""
    tg.manual_seed(0)
    inner = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    model = nn.Sequential(
        nn.Sequential(nn.Linear(4, 8), nn.Tanh()), nn.Sequential(inner, nn.GELU(), nn.Linear(8, 1))
    )
    x = tg.tensor(np.ones((3, 4)), name=HOSTILE)
    loss = (model(x) ** 2.0).mean()
    loss.name = f"L{HOSTILE}"
    return loss, x


def data_of(page: Path) -> dict[str, Any]:
    (text,) = re.findall(r'type="application/json">(.*?)</script>', page.read_text(), re.S)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return viz.draw(network()[0]).save(tmp_path_factory.mktemp("drawn") / "graph.html")


def test_the_page_refers_to_no_other_file(page: Path) -> None:
    text = page.read_text()
    assert "http" not in text
    assert not re.search(r"\b(src|href|action)\s*=(?!\\?.data:)|@import|url\((?!#)", text)
    assert len(text.encode()) < 200_000


def test_cards_have_values_gradients_derivatives_and_the_line_of_the_program() -> None:
    w = tg.tensor(3.0, requires_grad=True, name="w")
    with tg.detect_anomaly():
        loss = w * w
    view = viz.draw(loss)._whole
    drawn = graph(view, view, "values")
    (product,) = drawn["calls"].values()
    assert product["code"] == "loss = w * w"
    assert re.fullmatch(r".*test_interactive\.py:\d+", product["where"])
    assert [each["flow"] for each in product["arguments"]] == ["+3.0000", "+3.0000"]
    (leaf,) = [box["cards"] for box in drawn["boxes"] if box["name"] == "w"]
    rows = {row["label"]: row["lines"] for row in drawn["cards"][leaf[0]]["rows"]}
    assert rows["value"] == ("+3.0000",)
    assert ("+6.0000",) in rows.values()  # the gradient


def test_modules_that_the_caller_closes_are_closed_at_first_and_can_be_opened(
    tmp_path: Path,
) -> None:
    loss, _ = network()
    page = viz.draw(loss, collapse=["1"]).save(tmp_path / "graph.html")
    shut = {module["title"].split(" ")[0]: module["shut"] for module in data_of(page)["modules"]}
    assert shut == {"0": False, "1": True, "1.0": True}
    assert len(data_of(page)["calls"]) == 9  # all of them


def test_the_details_decide_what_boxes_show(tmp_path: Path) -> None:
    loss, _ = network()
    words = {}
    for detail in ("shapes", "values"):
        found = data_of(viz.draw(loss, detail=detail).save(tmp_path / f"{detail}.html"))
        words[detail] = " ".join(box["words"] for box in found["boxes"])
    assert "∂" not in words["shapes"]
    assert "∂" in words["values"]


SEEN = """
  const all = document.getElementById("all"), panel = document.getElementById("about");
  const ids = kind => [...all.querySelectorAll(kind)].map(e => e.dataset.id);
  const named = text => [...all.querySelectorAll(".item, .title")].find(
    e => e.getAttribute("aria-label").startsWith(text));
  const disjoint = () => {
    const boxes = [...all.querySelectorAll(".item .node > :first-child")].map(
      e => e.getBoundingClientRect());
    return boxes.every((a, i) => boxes.slice(i + 1).every(b =>
      a.right <= b.left + .5 || b.right <= a.left + .5 || a.bottom <= b.top + .5
      || b.bottom <= a.top + .5));
  };
  const forward = () => {  // whether all lines run in the direction of the layout
    const way = layout.width, ends = layout.legs.map(({points}) => [points[0], points.at(-1)]);
    return ends.every(([a, b]) => across ? b[0] > a[0] - .1 : b[1] > a[1] - .1);
  };
  const seen = {small: small(), faults: await faults(), title: document.title, states: []};
  const state = () => seen.states.push([ids(".item").length, ids(".title").length, disjoint(),
    forward()]);
  document.getElementById("close").click();
  state();
  named("1").focus();
  key("Enter", document.activeElement);
  state();
  seen.focus = document.activeElement.getAttribute("aria-label");
  key("Enter", document.activeElement);
  state();
  document.getElementById("open").click();
  state();
  document.getElementById("turn").click();
  state();
  document.getElementById("close").click();
  const words = document.getElementById("words");
  words.value = "relu";
  words.dispatchEvent(new Event("input"));
  document.getElementById("search").requestSubmit();
  seen.found = document.getElementById("found").textContent;
  seen.panel = panel.textContent;
  seen.kept = document.getElementById("panel").getBoundingClientRect().height > 100;
  const now = all.querySelector(".item.now").getBoundingClientRect();
  seen.visible = now.left >= 0 && now.right <= innerWidth && now.top >= 0
    && now.bottom <= innerHeight;
  seen.way = [...all.querySelectorAll(".item.way")].map(e => e.getAttribute("aria-label"));
  seen.rest = all.querySelectorAll(".item:not(.way)").length;
  key("Escape");
  seen.dimmed = all.classList.contains("dimmed");
  const before = all.getAttribute("transform");
  key("+");
  key("ArrowLeft");
  seen.moved = before !== all.getAttribute("transform");
  key("0");
  const svg = document.getElementById("drawing");
  svg.setPointerCapture = () => {};  // there is no pointer behind the events below
  const place = () => [...all.getAttribute("transform").matchAll(/[-\\d.]+/g)].map(Number);
  const send = (type, id, x, y) => svg.dispatchEvent(new PointerEvent(type, {
    pointerId: id, clientX: x, clientY: y, bubbles: true}));
  const at = place();
  svg.dispatchEvent(new WheelEvent("wheel", {deltaY: -100, clientX: 99, clientY: 200}));
  const wheeled = place();
  send("pointerdown", 1, 100, 200);
  send("pointermove", 1, 130, 210);
  const dragged = place();
  send("pointerdown", 2, 180, 210);
  send("pointermove", 2, 230, 210);  // from 50 to 100 pixels apart
  const pinched = place();
  send("pointerup", 1, 130, 210);
  send("pointerup", 2, 230, 210);
  svg.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  seen.scales = [wheeled[2] / at[2], dragged[2] / wheeled[2], pinched[2] / dragged[2]];
  seen.drag = [dragged[0] - wheeled[0], dragged[1] - wheeled[1]];
  seen.labels = [...all.querySelectorAll("text")].map(e => e.textContent).join("\\n");
  return seen;
"""


@pytest.mark.parametrize("width", [360, 1440])
@needs_chromium
def test_the_drawing_answers_keys_search_and_clicks_and_hostile_names_stay_text(
    page: Path, width: int
) -> None:
    seen = ask(page, SEEN, width)
    assert seen["small"] == []
    assert seen["faults"] == []
    assert seen["title"].startswith("The graph of L</script>")
    items = [each[0] for each in seen["states"]]
    titles = [each[1] for each in seen["states"]]
    assert all(each[2:] == [True, True] for each in seen["states"])
    assert titles == [0, 1, 0, 3, 3]
    # closed: x, two modules, ^2 and mean; open: one Linear and Tanh, three in the inner one, two
    assert items == [5, 7, 5, 10, 10]
    assert seen["focus"].startswith("1 · Sequential")
    assert seen["found"] == "1 of 1"
    assert "relu" in seen["panel"].lower()
    assert "value" in seen["panel"]
    assert seen["kept"]
    assert seen["visible"]
    assert len(seen["way"]) == 6  # itself, the Linear after it, GELU, Linear, ^2, mean
    assert seen["rest"] == 3
    assert not seen["dimmed"]
    assert seen["moved"]
    assert seen["scales"] == pytest.approx([np.exp(0.2), 1.0, 2.0], rel=1e-3)
    assert seen["drag"] == pytest.approx([30, 10])
    assert "<b>" in seen["labels"]


class Twice(nn.Module):
    """A loop over a cell, and a layer; called in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.RNNCell(3, 3), nn.Linear(3, 3)

    def forward(self, x: tg.Tensor, h: tg.Tensor) -> tg.Tensor:
        for _ in range(4):
            h = self.cell(x, h)
        return self.out(h).tanh()


def loops() -> Any:
    """The drawing of five calls, in each of which a cell is called four times."""
    tg.manual_seed(0)
    net, h, xs = Twice(), tg.zeros((2, 3)), tg.randn((5, 2, 3))
    for t in range(5):
        h = net(xs[t], h)
    return viz.draw((h * h).mean())


STATES = """
  const all = document.getElementById("all");
  const labels = kind => [...all.querySelectorAll(kind)].map(e => e.getAttribute("aria-label"));
  const click = label => [...all.querySelectorAll(".title, .item")].find(
    e => e.getAttribute("aria-label").startsWith(label)).dispatchEvent(
    new MouseEvent("click", {bubbles: true}));
  const states = [];
  const state = () => states.push({
    titles: labels(".title"), items: labels(".item"),
    recurrences: [...all.querySelectorAll(".line text")].map(e => e.textContent)
      .filter(text => text.includes("steps")),
    cells: all.querySelectorAll(".line rect").length,
    // boxes outside of their frame, and lines to what is not drawn
    astray: [...layout.boxes].filter(([id, [x, y]]) => things.get(id).around.some(outer => {
      const frame = layout.frames.get(outer);
      return x < frame.x || y < frame.y || x > frame.x + frame.width || y > frame.y + frame.height;
    })).length,
    lost: layout.lines.filter(({tail, head}) =>
      !layout.boxes.has(tail) || !layout.boxes.has(head)).length,
  });
  state();
"""

ROLLED = (
    STATES
    + """
  const found = {small: small(), faults: await faults(), states};
  click("net  ×5"); state();
  click("net · 3 of 5"); state();
  click("net  ×5"); state();
  click("cell  ×4"); state();
  click("cell · 2 of 4"); state();
  document.getElementById("turn").click(); state();
  const words = document.getElementById("words");
  words.value = "xs[3]";
  words.dispatchEvent(new Event("input"));
  document.getElementById("search").requestSubmit(); state();
  found.now = all.querySelector(".item.now").getAttribute("aria-label");
  document.getElementById("close").click(); state();
  return found;
"""
)


@needs_chromium
def test_a_loop_is_drawn_as_one_step_and_opens_to_all(tmp_path: Path) -> None:
    seen = ask(loops().save(tmp_path / "loops.html"), ROLLED)
    assert seen["small"] == []
    assert seen["faults"] == []
    states = seen["states"]
    assert [state["astray"] + state["lost"] for state in states] == [0] * len(states)
    rolled, steps, third, again, inner, second, turned, found, shut = states
    assert rolled["titles"] == ["net  ×5", "cell  ×4"]
    # h at the start, xs; four operations of the cell, out, tanh; ×, mean
    assert len(rolled["items"]) == 10
    assert sorted(rolled["recurrences"]) == ["h, 4 steps", "h, 5 steps"]
    assert rolled["cells"] == 9
    assert steps["titles"] == ["net  ×5"]
    assert [text[:12] for text in steps["items"] if "net ·" in text] == [
        f"net · {k} of 5" for k in range(1, 6)
    ]
    assert steps["recurrences"] == []
    assert third["titles"] == ["net  ×5", "net · 3 of 5"]
    assert again == rolled
    assert inner["titles"] == rolled["titles"]
    assert sum("cell ·" in text for text in inner["items"]) == 4
    assert inner["recurrences"] == ["h, 5 steps"]
    assert second["titles"] == ["net  ×5", "cell  ×4", "cell · 2 of 4"]
    assert sorted(turned["items"]) == sorted(second["items"])
    assert seen["now"].startswith("xs[3]")
    assert found["titles"][0] == "net  ×5"
    assert shut["titles"] == ["net  ×5", "cell  ×4"]


@needs_chromium
def test_a_long_run_of_operations_is_closed_between_its_ends(tmp_path: Path) -> None:
    x = tg.tensor(0.5, requires_grad=True)
    y = x
    for k in range(200):  # the Thue–Morse sequence: nothing comes three times in a row
        y = tg.sin(y) if bin(k).count("1") % 2 else tg.tanh(y)
    script = STATES + 'click("… 190 more"); state(); click("66 … 125"); state(); return states;'
    closed, parts, one = ask(viz.draw(y).save(tmp_path / "run.html"), script)
    assert [state["astray"] + state["lost"] for state in (closed, parts, one)] == [0, 0, 0]
    assert len(closed["items"]) == 1 + 5 + 1 + 5  # x and the ends
    assert parts["titles"] == ["… 190 more"]
    inner = [text.split(" operations")[0] for text in parts["items"] if " operations" in text]
    assert sorted(inner) == ["126 … 185", "186 … 195", "6 … 65", "66 … 125"]
    assert one["titles"] == ["… 190 more", "66 … 125"]
    assert len(one["items"]) == 11 + 3 + 60
