"""The page of the quickstart: its parts, and how it behaves in a browser."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import ask, needs_chromium

from tinygrad_gm import data
from tinygrad_gm.app.quickstart import neuron, sprites
from tinygrad_gm.app.quickstart.charts import chart
from tinygrad_gm.app.quickstart.page import write_page
from tinygrad_gm.models import vae
from tinygrad_gm.training import Run

COMMAND = "tinygrad-gm quickstart --out '<b>a&b'"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a small model, trained for two epochs."""
    folder = tmp_path_factory.mktemp("tour")
    config = vae.Config(epochs=2, images=512, hidden_dim=16, latent_dim=4)
    with Run(folder / "vae", config) as run:
        vae.train(config, run)
    (folder / "time.json").write_text(json.dumps({"seconds": 12.4, "processor_seconds": 20.6}))
    write_page(folder, COMMAND)
    return folder / "index.html"


def test_the_page_is_one_small_file_with_title_icon_command_and_time(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) < 2_000_000
    assert "http" not in re.sub(r"base64,[^\"') ]*", "", text)
    assert "<title>tinygrad_gm: backpropagation" in text
    assert 'rel="icon" href="data:image/svg+xml;base64,' in text
    assert "tinygrad-gm quickstart --out &#x27;&lt;b&gt;a&amp;b&#x27;" in text
    assert "<dd>12 s</dd>" in text
    assert "<dd>21 s</dd>" in text
    assert text.count("<li><code>") == 5
    assert "{{" not in text


def test_the_links_of_the_page_lead_to_files(page: Path) -> None:
    links = re.findall(r'href="(?!data:)([^"]*)"', page.read_text())
    documents = [link for link in links if link.endswith(".md")]
    assert len(documents) >= 5
    assert all((page.parent / link).exists() for link in documents)


@pytest.mark.parametrize("width", [390, 1440])
@needs_chromium
def test_the_page_is_readable_in_the_first_screen_and_answers_keys(page: Path, width: int) -> None:
    script = """
      const seen = {small: small(), texts: texts().length, steps: [], faults: await faults()};
      for (const name of ["ArrowRight", "ArrowRight", "ArrowLeft"]) {
        key(name);
        seen.steps.push(document.documentElement.dataset.step);
      }
      document.querySelectorAll("#phases button")[1].click();
      seen.caption = document.querySelector(".captions .now").textContent;
      seen.inside = [...document.querySelectorAll(".node")].every(e => {
        const {left, right} = e.getBoundingClientRect();
        return left >= 0 && right <= innerWidth;
      });
      const digit = document.getElementById("digit");
      const place = () => getComputedStyle(digit).backgroundPosition;
      seen.places = [place()];
      for (const slider of document.querySelectorAll("#codes input")) {
        slider.value = slider.value === "0" ? 1 : 0;
        slider.dispatchEvent(new Event("input"));
        seen.places.push(place());
      }
      const sprites = [getComputedStyle(digit).backgroundImage.length];
      document.querySelectorAll(".starts button")[1].click();
      seen.sprites = sprites.concat(getComputedStyle(digit).backgroundImage.length);
      const epoch = document.getElementById("epoch");
      epoch.value = 1;
      epoch.dispatchEvent(new Event("input"));
      seen.epoch = document.getElementById("epoch-text").textContent;
      return seen;
    """
    seen = ask(page, script, width)
    assert seen["small"] == []
    assert seen["faults"] == []
    assert seen["texts"] > 20
    assert seen["steps"] == ["1", "2", "1"]
    assert "the backward pass starts here" in seen["caption"]
    assert seen["inside"]
    assert len(set(seen["places"])) == 4
    assert len(set(seen["sprites"])) == 2
    assert seen["epoch"] == "epoch 1 of 2"


def test_the_film_of_the_neuron_has_the_numbers_of_the_worked_example() -> None:
    film = neuron.film()
    ids = {node["name"]: node["id"] for node in film["nodes"]}
    end = film["steps"][-1]
    # p = σ(−0.3) = 0.4256, ∂L/∂w = 2 (p − 1) p (1 − p) x = −0.2809 x
    assert end["values"][ids["p"]] == "0.4256"
    assert [end["gradients"][ids[name]] for name in ("w1", "w2", "b")] == [
        "−0.2809",
        "−0.5617",
        "−0.2809",
    ]
    assert end["values"][ids["w2"]] == "0.0809"  # −0.2 + 0.5 · 0.5617


def test_a_sprite_has_the_images_row_by_row_in_sixteen_greys() -> None:
    from PIL import Image

    images = np.zeros((3, 28, 28))
    images[1], images[2] = 1.0, 0.4
    with Image.open(io.BytesIO(sprites.sprite(images, 2))) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape == (56, 56)
    assert [pixels[0, 0], pixels[0, 28], pixels[28, 0], pixels[28, 28]] == [0, 255, 102, 0]


def test_the_samples_in_the_sprite_are_those_of_the_last_sheet(page: Path) -> None:
    from PIL import Image

    png, frames = sprites.samples(page.parent / "vae")
    (last, *_) = sorted((page.parent / "vae" / "samples").glob("*.png"), reverse=True)
    with Image.open(io.BytesIO(png)) as sheet, Image.open(last) as drawn:
        digits, levels = np.asarray(sheet.convert("L"), int), np.asarray(drawn.convert("L"), int)
    assert (frames, digits.shape) == (2, (2 * 5 * 28, 8 * 28))
    left = 2 + 58 * 3  # the fourth digit of the first row, each pixel twice
    ours, theirs = digits[140:168, 84:112], levels[2:58:2, left : left + 56 : 2]
    assert np.abs(ours - theirs).max() <= 9  # half a level of sixteen


def test_a_slider_at_its_start_shows_about_the_image_itself(page: Path) -> None:
    from PIL import Image

    model = vae.restore(page.parent / "vae")
    images, _ = data.mnist_small().test[:1]
    (png,), (code,) = sprites.sliders(model, images)
    mu, _ = model.encode(images.reshape(1, -1))
    stops = np.linspace(-3, 3, 9)
    moved = mu.numpy().copy()
    moved[0, code["axes"]] = stops[code["starts"]]
    assert np.abs(moved - mu.numpy()).max() <= 0.375 + 1e-6
    row, middle, column = code["starts"]
    left = 28 * (9 * middle + column)
    with Image.open(io.BytesIO(png)) as picture:
        digit = np.asarray(picture.convert("L"))[28 * row : 28 * row + 28, left : left + 28] / 255
    import tinygrad_gm as tg

    expected = vae.render(model, tg.tensor(moved)).numpy()[0, 0]
    assert np.abs(digit - expected).max() <= 1 / 30 + 1e-3


def test_a_chart_places_its_points_on_round_scales() -> None:
    svg = chart({"<a>": [(0.0, 100.0), (20.0, 250.0)], "b": [(20.0, 110.0)]}, "epoch", "falls")
    (line,) = re.findall(r'<polyline class="line0" points="([^"]*)"', svg)
    assert line == "40.0,192.0 332.0,12.0"  # corners of the axes
    assert "&lt;a&gt;" in svg
    assert svg.count("<circle") == 1
