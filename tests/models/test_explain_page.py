"""The pages of `classify --explain`: one file without references, in which names are text."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.app import cli
from tinygrad_gm.data.transforms import ImageClassification
from tinygrad_gm.models import lenet, resnet
from tinygrad_gm.models.classify import Answer, Classifier
from tinygrad_gm.models.gallery.explain import filters, heat_map, page, shades, targets
from tinygrad_gm.training import Run

HOSTILE = "</title><script src='//evil'>&\"<img src=x onerror=alert(1)>"


class Seen(HTMLParser):
    """The tags with attributes, and the text, of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def pictures(self) -> list[Any]:
        sources = [values["src"] or "" for tag, values in self.tags if tag == "img"]
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        return [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))) for s in sources]


def classifier(channels: int = 3, classes: int = 4, **options: Any) -> Classifier:
    tg.manual_seed(0)
    model = resnet.CifarResNet(
        8, num_classes=classes, in_channels=channels, width=0.25, **options
    ).eval()
    prepare = ImageClassification(crop_size=32, resize_size=32, mean=0.5, std=0.25)
    return Classifier(model, channels, prepare, [f"class {n}" for n in range(classes)])


def page_of(found: Classifier, title: str = "cat.png") -> Seen:
    image = tg.randn((found.channels, 32, 32))
    return Seen(page(found, image, found.likeliest(image), title))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_page_shows_everything_and_refers_to_nothing(channels: int) -> None:
    seen = page_of(classifier(channels))
    # the image, the map, the saliency, 4 filters, and of 4, 8 and 16 channels at most 8
    assert len(seen.pictures()) == 3 + 4 + 4 + 8 + 8
    for _, values in seen.tags:
        assert not {"href", "srcset", "onload", "onerror"} & values.keys()
    assert "url(" not in seen.text
    assert "@import" not in seen.text
    assert not [tag for tag, _ in seen.tags if tag in ("script", "link", "iframe", "object")]
    for words in ("conv1 … layer1: 4 × 32 × 32", "layer3: 16 × 8 × 8", "Grad-CAM of layer3"):
        assert words in seen.text
    bars = [values["style"] for tag, values in seen.tags if tag == "i"]
    shares = [float(re.fullmatch(r"width:([\d.]+)%", bar or "")[1]) for bar in bars]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)


def test_names_of_classes_and_files_are_text() -> None:
    found = classifier()
    found = Classifier(found.model, 3, found.preprocess, [HOSTILE] * 4)
    plain, hostile = page_of(classifier()), page_of(found, f"{HOSTILE}\udcff.png")
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert hostile.text.count(HOSTILE) == 9  # title twice, heading, file, section, four answers
    assert f"{HOSTILE}?.png" in hostile.text


def test_a_class_without_any_evidence_has_a_grey_map_and_says_so() -> None:
    found = classifier()
    found.model.linear.weight.data = tg.zeros_like(found.model.linear.weight)
    seen = page_of(found)
    assert "Zero everywhere: at no position do the feature maps speak for this class." in seen.text
    pixels = np.asarray(seen.pictures()[1])
    assert (pixels == pixels[..., :1]).all()
    assert not (np.asarray(seen.pictures()[2]) - (0, 0, 4)).any()  # no saliency, either


def test_the_image_is_shown_as_it_was_before_it_was_normalised() -> None:
    found, pixels = classifier(), tg.rand((3, 32, 32))
    image = found.preprocess.normalize(pixels[None])[0]
    shown = Seen(page(found, image, found.likeliest(image), "a")).pictures()[0]
    assert np.abs(np.asarray(shown) / 255 - pixels.numpy().transpose(1, 2, 0)).max() < 0.003


def test_a_map_is_lightest_where_it_is_largest() -> None:
    cam = tg.zeros((4, 4))
    cam[1, 2] = 3.0
    drawn = np.asarray(heat_map(tg.full((1, 28, 28), 0.5), cam)).astype(int)
    assert drawn.shape == (224, 224, 3)
    row, column = np.unravel_index(drawn.sum(axis=-1).argmax(), (224, 224))
    assert 56 <= row < 112
    assert 112 <= column < 168
    assert (drawn[200:, :50] == drawn[200:, :50, :1]).all()


def test_shades_of_nothing_are_black_and_weights_of_nothing_grey() -> None:
    assert not (np.asarray(shades(tg.zeros((3, 3)))) - (0, 0, 4)).any()
    conv = nn.Conv2d(1, 2, 3)
    conv.weight.data = tg.concat([tg.zeros((1, 1, 3, 3)), tg.full((1, 1, 3, 3), -2.0)])
    assert filters(conv).numpy().mean(axis=(1, 2, 3)).tolist() == [0.5, 0.0]


def test_a_network_without_convolutions_cannot_be_explained() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    prepare = ImageClassification(crop_size=4, resize_size=4, mean=0.5, std=0.25)
    with pytest.raises(ValueError, match="explain: Sequential has no convolutions"):
        page(
            Classifier(model, 1, prepare, ["a", "b"]),
            tg.ones((1, 4, 4)),
            [Answer(0, "a", 1.0)],
            "x",
        )


def test_pages_have_the_names_of_the_pictures_and_do_not_replace_each_other(
    tmp_path: Path,
) -> None:
    images = [Path("a/1.png"), Path("b/1.jpg"), Path("1-2.png"), Path("c/1.png")]
    found = targets(images, tmp_path)
    names = [path.name for path in found if path]
    assert names == ["1.html", "1-2.html", "1-2-2.html", "1-3.html"]
    assert targets(images, None) == [None] * 4
    assert targets(images[:1], Path("x.HTML")) == [Path("x.HTML")]


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of an untrained LeNet and two pictures, as the working folder."""
    monkeypatch.chdir(tmp_path)
    config = lenet.Config(dataset="digits", images=32, epochs=0)
    with Run("runs/lenet", config) as run:
        lenet.train(config, run)
    for name in ("a.png", "b.png"):
        Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(name)
    return tmp_path


def command(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        code = cli.main(["classify", "lenet", *argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, "\n".join(row for row in err.splitlines() if "tinygrad-gm" in row)


def test_the_command_writes_a_page_for_each_picture(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, "a.png", "b.png", "--explain")
    assert code == 0
    assert f"explained in {os.path.join('explained', 'a.html')}" in out
    assert sorted(path.name for path in Path("explained").iterdir()) == ["a.html", "b.html"]
    assert command(capsys, "a.png", "--explain", "new/page.html")[0] == 0
    assert len(Seen(Path("new/page.html").read_text()).pictures()) == 3 + 6 + 6 + 8
    assert not (digits / "explained.html").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["a.png", "b.png", "--explain", "x.html"], "x.html is one page for 2 pictures; give a fo"),
        (["a.png", "--explain", "b.png"], "b.png is a file; give a folder or NAME.html, or name t"),
        (["--explain", "a.png"], "the following arguments are required: IMAGE"),
    ],
)
def test_a_wrong_place_for_the_pages_is_told_before_anything_is_written(
    digits: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    code, out, complaint = command(capsys, *argv)
    assert (code, out) == (2, "")
    assert words in complaint
    assert len(complaint.splitlines()) == 1
    assert {path.name for path in digits.iterdir()} == {"a.png", "b.png", "runs"}
