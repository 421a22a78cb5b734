"""Clips from files: layouts of arrays, films, damage."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tinygrad_gm import data

BYTES = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
WANTED = BYTES.transpose(0, 3, 1, 2) / np.float32(255)


def saved(path, array):
    np.save(path, array)
    return path


def test_an_array_is_read_in_any_order_of_channels_as_intensities(tmp_path):
    layouts = [BYTES, BYTES.transpose(0, 3, 1, 2), WANTED.astype(np.float64)]
    for number, array in enumerate(layouts):
        clip = data.video(saved(tmp_path / f"{number}.npy", array))
        assert (clip.shape, clip.dtype) == ((4, 3, 6, 5), np.float32)
        np.testing.assert_allclose(clip.numpy(), WANTED, atol=1e-7)
    grey = data.video(saved(tmp_path / "grey.npy", BYTES[..., 0]))
    assert (grey.numpy() == WANTED[:, :1]).all()


def test_the_only_array_of_an_archive_is_read(tmp_path):
    np.savez(tmp_path / "clip.npz", v=BYTES)
    assert (data.video(tmp_path / "clip.npz").numpy() == WANTED).all()
    np.savez(tmp_path / "two.npz", a=BYTES, b=BYTES)
    with pytest.raises(ValueError, match=r"two\.npz must hold one array; it has a, b"):
        data.video(tmp_path / "two.npz")


def test_a_film_is_read_frame_by_frame_grey_as_one_channel(tmp_path):
    frames = [Image.fromarray(np.full((6, 5), level, np.uint8)) for level in (0, 90, 255)]
    path = tmp_path / "film.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    clip = data.video(path)
    assert clip.shape == (3, 1, 6, 5)
    assert np.abs(clip.numpy()[:, 0, 0, 0] * 255 - [0, 90, 255]).max() < 0.01
    red = [Image.new("RGB", (5, 6), colour) for colour in ("red", "blue")]
    red[0].save(path, save_all=True, append_images=red[1:])
    assert data.video(path).numpy()[:, :, 0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npy", np.zeros((3, 4), np.uint8), r"shape \(3, 4\); expected \(T, H, W\)"),
        ("a.npy", np.zeros((3, 4, 4, 2), np.uint8), "with 1 or 3 channels"),
        ("a.npy", np.zeros((0, 4, 4), np.uint8), "with 1 or 3 channels"),
        ("a.npy", np.full((3, 4, 4), 2.0), r"float64; expected bytes, or floats in \[0, 1\]"),
        ("a.npy", np.full((3, 4, 4), np.nan), r"floats in \[0, 1\]"),
        ("a.npy", np.zeros((3, 4, 4), np.int64), "holds int64"),
        ("a.npy", b"rubbish", "damaged"),
        ("a.npz", b"PK rubbish", "damaged"),
        ("a.gif", b"rubbish", "truncated or damaged"),
        ("a.mp4", b"", r"is not a \.npy, \.npz or \.gif file"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path, name, content, words):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(ValueError, match=words) as refusal:
        data.video(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    for name in ("a.npy", "a.gif"):
        with pytest.raises(FileNotFoundError, match=name):
            data.video(tmp_path / name)
