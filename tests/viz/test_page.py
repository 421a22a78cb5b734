"""What a film is written to: the page, the GIF, the numbered pictures, a notebook's frame."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from viz_graphs import diamond, groups, leaf, named, network, neuron, texts

import tinygrad_gm as tg
from tinygrad_gm import viz
from tinygrad_gm.viz.film.captions import HIDE, SHOW
from tinygrad_gm.viz.graph.view import look
from tinygrad_gm.viz.render.raster import size

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BAD_NAME = "</script><script>document.title='run'</script>\"'&<b>\u2028\n{{svg}}"

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


def dumped(page: Path, k: int | str) -> str:
    """The page's elements after its script has run, in a browser without network."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"{page.as_uri()}#{k}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


def root_data(dom: str) -> dict[str, str]:
    (head,) = re.findall(r"<html[^>]*>", dom)
    return dict(re.findall(r'data-(\w+)="([^"]*)"', head))


def visible_text(dom: str) -> str:
    body = re.sub(r"<(script|style)\b.*?</\1>", "", dom, flags=re.S)
    return re.sub(r"<[^>]*>", "", body)


@pytest.mark.usefixtures("engine")
def test_the_page_refers_to_nothing_outside_and_is_small(tmp_path: Path) -> None:
    loss = network()
    assert len(look([loss], {}).nodes) >= 30
    page = viz.steps(loss).html(tmp_path / "film.html").read_text()
    assert "http" not in page
    assert not re.search(r"\b(src|href|action)\s*=(?!.data:)|@import|url\((?!#)", page)
    assert len(page.encode()) < 150_000


@needs_chromium
def test_the_page_opens_at_the_step_in_its_address(tmp_path: Path) -> None:
    film = viz.steps(neuron()[0], lr=0.5)
    page = film.html(tmp_path / "film.html")
    for k in (5, len(film) - 1):
        dom = dumped(page, k)
        data = root_data(dom)
        assert "error" not in data
        assert data["step"] == str(k)
        for line in film.frames[k].caption:
            text = line.replace(HIDE, "").replace(SHOW, "").replace("&", "&amp;")
            assert text in visible_text(dom)
        drawing = dom[dom.index("<svg") : dom.index("</svg>") + 6]
        shown = {
            g.get("id"): (g.get("class"), texts_of(g))
            for g in ElementTree.fromstring(drawing.replace("&nbsp;", " ")).iter("g")
        }
        for identity, group in groups(film.svg(k)).items():
            if re.match(r"n\d|e_n", identity):
                assert shown[identity] == (group.get("class"), texts(group))


def texts_of(group: Any) -> list[str]:
    return ["".join(t.itertext()) for t in group.iter("text")]


@needs_chromium
def test_predict_then_reveal_hides_the_next_number_until_asked(tmp_path: Path) -> None:
    film = viz.steps(neuron()[0])
    page = film.html(tmp_path / "film.html")
    k = 14  # × sends ∂L/∂w2 = −0.5617
    asking = page.read_text().replace(
        "</body>", "<script>document.getElementById('predict').click()</script></body>"
    )
    hidden, shown, left = (tmp_path / f"{name}.html" for name in ("hidden", "shown", "left"))
    hidden.write_text(asking)
    key = "<script>document.dispatchEvent(new KeyboardEvent('keydown',{key:'%s'}))</script></body>"
    shown.write_text(asking.replace("</body>", key % "Enter"))
    left.write_text(asking.replace("</body>", key % "ArrowLeft"))
    dom = dumped(hidden, k)
    assert "error" not in root_data(dom)
    assert "0.5617" not in visible_text(dom)
    assert "?" in visible_text(dom)
    dom = dumped(shown, k)
    assert visible_text(dom).count("0.5617") == 3  # caption, edge, card
    dom = dumped(left, k)
    assert root_data(dom) == {"step": "13"}
    assert "0.5617" not in visible_text(dom)


@needs_chromium
def test_hostile_names_do_not_run_and_break_nothing(tmp_path: Path) -> None:
    x = leaf(2.0, BAD_NAME)
    film = viz.steps(named(BAD_NAME * 3, x * x))
    page = film.html(tmp_path / "film.html")
    dom = dumped(page, 3)
    assert "error" not in root_data(dom)
    assert root_data(dom)["step"] == "3"
    assert "<title>Backpropagation" in dom
    for k in range(len(film)):
        ElementTree.fromstring(film.svg(k))


def test_the_gif_has_as_many_frames_as_there_are_steps(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    from PIL import Image

    film = viz.steps(diamond()[0])
    with Image.open(film.gif(tmp_path / "film.gif", seconds=1.0)) as picture:
        assert picture.n_frames == len(film)  # type: ignore[attr-defined]
        lengths = []
        for k in range(len(film)):
            picture.seek(k)
            lengths.append(picture.info["duration"])
    assert lengths == [1000] * (len(film) - 1) + [3000]


def test_the_pictures_are_numbered(tmp_path: Path) -> None:
    film = viz.steps(diamond()[0])
    paths = film.svgs(tmp_path / "frames")
    assert [path.name for path in paths] == [f"step-{k:03}.svg" for k in range(len(film))]
    assert paths[4].read_text() == film.svg(4)
    with pytest.raises(IndexError):
        film.svg(len(film))
    first = film.save(tmp_path / "new" / "film.svg")
    assert first.name == "film-000.svg"
    assert first.read_text() == film.svg(0)
    assert film.save(tmp_path / "folder") == tmp_path / "folder"
    assert len(list(first.parent.iterdir())) == len(list((tmp_path / "folder").iterdir()))


def test_pngs_of_the_steps_have_the_scale_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    from PIL import Image

    film = viz.steps(diamond()[0])
    first = film.save(tmp_path / "film.png", scale=0.5)
    assert len(list(tmp_path.iterdir())) == len(film)
    width, height = size(film.svg(0))
    with Image.open(first) as picture:
        assert picture.size == pytest.approx((width / 2, height / 2), abs=1)


def test_an_unknown_suffix_names_those_that_there_are(tmp_path: Path) -> None:
    film = viz.steps(diamond()[0])
    with pytest.raises(ValueError, match=r"should end in \.html, \.gif, \.png or \.svg, or name"):
        film.save(tmp_path / "film.mp4")
    with pytest.raises(ValueError, match=r"scale= is for \.png files"):
        film.save(tmp_path / "film.gif", scale=2.0)


def test_a_notebook_shows_the_page_in_a_frame_of_its_own() -> None:
    film = viz.steps(diamond()[0])
    bundle = film._repr_mimebundle_()
    assert bundle["text/plain"] == f"<Steps: {len(film)} frames>"
    assert bundle["text/html"].startswith("<iframe srcdoc=")
    assert "<script" not in bundle["text/html"]  # but escaped, inside the frame


def test_the_users_lines_stand_beside_the_steps(tmp_path: Path) -> None:
    x = leaf(2.0, "x")
    with tg.detect_anomaly():
        loss = tg.tanh(x * x)  # here
    film = viz.steps(loss)
    places = {frame.where for frame in film.frames if frame.where}
    (where,) = places
    assert where.rpartition(":")[0].endswith(Path(__file__).name)
    page = film.html(tmp_path / "film.html").read_text()
    found = re.search(r'<script id="film"[^>]*>(.*?)</script>', page, re.S)
    assert found is not None
    assert json.loads(found[1])["code"] == [[where, "        loss = tg.tanh(x * x)  # here"]]


@pytest.mark.parametrize("engine", ["builtin", None])
def test_two_pictures_in_one_page_share_no_id_and_no_style(engine: str | None) -> None:
    x = tg.tensor(3.0, requires_grad=True, name="x")
    light, dark = (
        viz.draw(x * x, theme=theme, engine=engine, fit=None) for theme in ("light", "dark")
    )
    film = viz.steps(x * x, names={"x": x})
    pictures = [light.svg(), dark.svg(), film.svg(0), film.svg(2)]
    ids: list[str] = []
    for svg in pictures:
        own = re.findall(r'\bid="([^"]*)"', svg)
        assert len(own) == len(set(own)) > 5
        assert set(re.findall(r"url\(#([^)]*)\)", svg)) <= set(own)
        for style in re.findall(r"<style>(.*?)</style>", svg, re.S):
            root = own[0]
            for selectors in re.findall(r"([^{}]+)\{[^{}]*\}", style):
                assert all(each.strip().startswith(f"#{root} .") for each in selectors.split(","))
        ids += own
    assert len(ids) == len(set(ids))
    assert light.svg() == viz.draw(x * x, engine=engine, fit=None).svg()
