"""The Datasaurus Dozen: reading, scale, noise, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data

TABLE = "dataset\tx\ty\n" + "".join(
    f"{name}\t{54.26 + 25 * x}\t{47.83 + 25 * y}\n"
    for name, points in {"dino": [(1, 0), (0, 2), (-1, -1)], "star": [(0, 0)]}.items()
    for x, y in points
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GM_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_points_are_drawn_from_the_set_shifted_and_scaled(folder):
    (folder / "DatasaurusDozen.tsv").write_text(TABLE, encoding="utf-8")
    points, labels = data.datasaurus("dino", 900, noise=0.0, generator=tg.Generator(0))
    assert (points.dtype, labels.dtype) == (tg.float32, tg.int64)
    known = np.array([(1, 0), (0, 2), (-1, -1)])
    np.testing.assert_allclose(points.numpy(), known[labels.numpy()], atol=1e-5)
    assert (np.abs(np.bincount(labels.numpy()) - 300) < 60).all()
    star, _ = data.datasaurus("star", 4000, noise=0.1, generator=tg.Generator(0))
    np.testing.assert_allclose(star.numpy().std(axis=0), 0.1, rtol=0.05)
    again, _ = data.datasaurus("star", 4000, noise=0.1, generator=tg.Generator(0))
    assert (star == again).all()


def test_a_missing_file_is_named_in_one_line_with_its_folder(folder):
    with pytest.raises(
        FileNotFoundError, match=r"DatasaurusDozen.tsv is not in .*, and is not dow"
    ):
        data.datasaurus()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.datasaurus("rex"), "the set must be one of dino, star, not 'rex'"),
        (lambda: data.datasaurus("dino", 0), "n must be at least 1, not 0"),
        (lambda: data.datasaurus("dino", 5, noise=-1.0), "noise must be at least 0, not -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, call, message):
    (folder / "DatasaurusDozen.tsv").write_text(TABLE, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        call()


def test_a_damaged_file_is_refused(folder):
    (folder / "DatasaurusDozen.tsv").write_text(TABLE + "dino\tone\t2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"DatasaurusDozen.tsv is damaged: could not convert"):
        data.datasaurus()
