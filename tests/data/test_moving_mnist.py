"""Moving MNIST: digits keep their speed and their brightness, and turn round at the walls."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data
from tinygrad_gm.data import files
from tinygrad_gm.data.moving_mnist import _placed, _reflected


@pytest.fixture(autouse=True)
def _only_the_bundled_digits(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD_GM_DATA", str(tmp_path))
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path)


def films(*args, seed=0, **options):
    return data.moving_mnist(*args, generator=tg.Generator(seed), **options).numpy()


def centroids(frames):
    """The centres of brightness (y, x), shape (n, frames, 2)."""
    frames = frames[:, :, 0].astype(np.float64)
    places = np.arange(frames.shape[-1])
    total = frames.sum((2, 3))
    y, x = (frames.sum(3) * places).sum(2) / total, (frames.sum(2) * places).sum(2) / total
    return np.stack([y, x], -1)


def test_the_films_have_the_promised_shape_dtype_and_range():
    found = films(6)
    assert (found.shape, found.dtype) == ((6, 17, 1, 32, 32), np.float32)
    assert found.min() == 0
    assert 0.5 < found.max() <= 1
    assert films(2, 3, 64, 2, 28).shape == (2, 3, 1, 64, 64)


def test_a_digit_keeps_its_brightness_in_every_frame():
    mass = films(50).astype(np.float64).sum((2, 3, 4))
    np.testing.assert_allclose(mass, np.broadcast_to(mass[:, :1], mass.shape), rtol=1e-5)


def test_a_digit_moves_with_a_constant_speed_within_the_bounds_until_it_meets_a_wall():
    steps = np.linalg.norm(np.diff(centroids(films(300, frames=2)), axis=1), axis=-1)[:, 0]
    assert steps.max() <= 2.5 + 1e-4
    free = np.diff(centroids(films(80, size=200, frames=9)), axis=1)  # walls far away
    speeds = np.linalg.norm(free, axis=-1)
    constant = np.ptp(speeds, axis=1) < 1e-3
    assert constant.mean() > 0.8
    assert speeds[constant].min() >= 1.5 - 1e-3
    assert speeds[constant].max() <= 2.5 + 1e-3
    assert abs(speeds[constant].mean() - 2.0) < 4 * (1 / np.sqrt(12)) / np.sqrt(constant.sum())


def test_motion_is_smooth_to_a_fraction_of_a_pixel():
    steps = np.diff(centroids(films(20, size=100, frames=9, speed=(0.3, 0.3))), axis=1)
    lengths = np.linalg.norm(steps, axis=-1)
    straight = np.ptp(lengths, axis=1) < 1e-3
    assert straight.sum() > 10
    np.testing.assert_allclose(lengths[straight], 0.3, atol=1e-3)


def test_reflection_equals_a_walk_in_tiny_steps_that_turns_round_at_the_walls():
    rng = np.random.default_rng(1)
    for room, velocity in ((16, 2.3), (5, 7.7), (3, -1.1), (16, 40.0)):
        start = rng.random() * room
        place, direction, count = start, velocity / 1000, 20
        walked = [start]
        for _ in range(count):
            for _ in range(1000):
                place += direction
                if place < 0 or place > room:
                    place = -place if place < 0 else 2 * room - place
                    direction = -direction
            walked.append(place)
        found = _reflected(start + velocity * np.arange(count + 1), room)
        np.testing.assert_allclose(found, walked, atol=1e-8)


def test_a_digit_touches_the_walls_and_never_leaves_the_frame():
    places = _reflected(np.linspace(-100, 100, 20001), 16)
    assert (places.min(), places.max()) == (0, 16)
    square = np.ones((1, 1, 4, 4), np.float32)
    for y, x in ((0, 0), (6, 6), (0, 6), (2.25, 3.5)):
        frame = _placed(square, np.array([[[y, x]]], float), 10)[0, 0]
        assert frame.sum() == pytest.approx(16)
        assert frame.shape == (10, 10)
    assert (_placed(square, np.array([[[6.0, 6.0]]]), 10)[0, 0, 6:, 6:] == 1).all()


def test_a_shift_by_a_fraction_is_the_bilinear_mean_of_its_neighbours():
    rng = np.random.default_rng(2)
    digit = rng.random((1, 1, 5, 5)).astype(np.float32)
    frame = _placed(digit, np.array([[[2.25, 3.0]]]), 12)[0, 0]
    wanted = np.zeros((12, 12))
    wanted[2:7, 3:8] += 0.75 * digit[0, 0]
    wanted[3:8, 3:8] += 0.25 * digit[0, 0]
    np.testing.assert_allclose(frame, wanted, atol=1e-6)


def test_a_digit_of_its_own_size_is_one_of_mnist():
    images = data.mnist_small().train.tensors[0].numpy()[:, 0]
    found = films(3, frames=4, size=28, digit_size=28)  # no room to move
    for film in found:
        distances = np.abs(images - film[0, 0]).max((1, 2))
        assert distances.min() < 1e-6
        assert (film == film[:1]).all()


def test_scaling_averages_areas():
    images = data.mnist_small().train.tensors[0].numpy()[:, 0]
    halves = images.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    for film in films(3, frames=1, size=14, digit_size=14):
        assert np.abs(halves - film[0, 0]).max((1, 2)).min() < 1e-5


def test_overlapping_digits_show_the_brighter_pixel():
    both = films(4, frames=1, size=28, digits=2, digit_size=28)[:, 0, 0]
    images = data.mnist_small().train.tensors[0].numpy()[:, 0]
    drawn = tg.Generator(0).integers(0, len(images), (4, 2)).numpy()
    np.testing.assert_allclose(both, images[drawn].max(1), atol=1e-6)


def test_labels_name_the_digits_that_are_shown():
    train = data.mnist_small().train
    found, labels = data.moving_mnist(*(40, 3, 28, 2, 28), labels=True, generator=tg.Generator(0))
    drawn = tg.Generator(0).integers(0, len(train), (40, 2))
    images, wanted = train[drawn]
    assert (labels.shape, labels.dtype) == ((40, 2), np.int64)
    assert (labels.numpy() == wanted.numpy()).all()
    both = images.numpy().max(axis=1)[:, 0]
    np.testing.assert_allclose(found.numpy()[:, 0, 0], both, atol=1e-6)


def test_test_films_show_test_digits():
    test = data.mnist_small().test.tensors[0].numpy()[:, 0]
    for film in films(3, frames=1, size=28, digit_size=28, split="test"):
        assert np.abs(test - film[0, 0]).max((1, 2)).min() < 1e-6
    with pytest.raises(ValueError, match="split must be 'train' or 'test', not 'valid'"):
        films(1, split="valid")


def test_the_whole_mnist_is_used_where_its_file_is(tmp_path):
    levels = {"train": 40, "test": 200}
    arrays = {}
    for part, n in (("train", 60), ("test", 10)):
        arrays[f"x_{part}"] = np.full((n, 784), levels[part], np.uint8)
        arrays[f"y_{part}"] = np.full(n, 7, np.uint8)
    np.savez(tmp_path / "mnist_full.npz", **arrays)
    for split, level in levels.items():
        found, labels = data.moving_mnist(2, frames=1, split=split, labels=True)
        assert found.numpy().max() == pytest.approx(level / 255)
        assert labels.tolist() == [[7], [7]]


def test_a_seed_repeats_the_films_and_the_films_differ():
    first, second, other = films(3, seed=5), films(3, seed=5), films(3, seed=6)
    assert (first == second).all()
    assert (first != other).any()
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "n must be at least 1, not 0"),
        ({"frames": 0}, "frames must be at least 1"),
        ({"digits": 0}, "digits must be at least 1"),
        ({"size": 15}, "a digit of 16 pixels does not fit a frame of 15"),
        ({"speed": (2.0, 1.0)}, r"0 ≤ a ≤ b, not \(2.0, 1.0\)"),
        ({"speed": (-1.0, 1.0)}, "0 ≤ a ≤ b"),
    ],
)
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        data.moving_mnist(**{"n": 1, **options})
