"""The toy distributions have the centres, spreads and curves that they are known by."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data


def g(seed=0):
    return tg.Generator(seed)


@pytest.mark.parametrize(
    ("make", "modes", "std"),
    [
        (data.gaussians_ring, 8, 0.01414),
        (data.gaussians_ring, 5, 0.01414),
        (data.gaussians_grid, 25, 0.01768),
        (data.gaussians_grid, 9, 0.01768),
    ],
)
def test_each_mode_has_its_mean_its_spread_and_its_share(make, modes, std):
    n = modes * 400
    found = make(modes, n, g())
    points, labels, centers = (t.numpy() for t in found[:3])
    assert (points.shape, points.dtype, labels.dtype) == ((n, 2), np.float32, np.int64)
    assert centers.shape == (modes, 2)
    assert np.bincount(labels).tolist() == [400] * modes
    assert found.std == pytest.approx(std, abs=5e-6)
    for k in range(modes):
        own = points[labels == k].astype(np.float64)
        assert np.abs(own.mean(0) - centers[k]).max() < 4 * std / 20  # standard errors
        assert np.abs(own.std(0) / std - 1).max() < 4 / math.sqrt(800)
    assert abs(np.corrcoef((points - centers[labels]).T)[0, 1]) < 4 / math.sqrt(n)


def test_the_ring_has_radius_root_two_and_the_grid_its_spacing():
    ring = data.gaussians_ring(8, 10, g()).centers.numpy()
    np.testing.assert_allclose(np.hypot(*ring.T), math.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(ring[2], [0, math.sqrt(2)], atol=1e-6)
    gaps = np.linalg.norm(ring - np.roll(ring, 1, 0), axis=1)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-5)
    grid = data.gaussians_grid(25, 10, g()).centers.numpy()
    ticks = np.array([-2, -1, 0, 1, 2]) * 0.7071
    for column in grid.T:
        np.testing.assert_allclose(np.unique(column.round(5)), ticks, atol=1e-4)
    assert len(np.unique(grid.round(4), axis=0)) == 25


def test_moons_without_noise_lie_on_their_half_circles():
    points, labels = data.moons(1001, noise=0.0, generator=g())
    (x, y), labels = points.numpy().T, labels.numpy()
    assert np.bincount(labels).tolist() == [501, 500]
    up, down = labels == 0, labels == 1
    np.testing.assert_allclose(np.hypot(x[up], y[up]), 1, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(x[down] - 1, y[down] - 0.5), 1, rtol=1e-6)
    assert y[up].min() >= -1e-6
    assert y[down].max() <= 0.5 + 1e-6


def test_the_roll_without_noise_is_a_spiral_of_one_and_a_half_turns():
    points, t = data.swiss_roll(5000, noise=0.0, generator=g())
    (x, y), t = points.numpy().T.astype(np.float64), t.numpy()
    np.testing.assert_allclose(np.hypot(x, y) * 10, t, rtol=1e-5)
    np.testing.assert_allclose(np.exp(1j * np.arctan2(y, x)), np.exp(1j * t), atol=1e-5)
    assert (1.5 * math.pi, 4.5 * math.pi) == pytest.approx((t.min(), t.max()), abs=0.02)


def test_moons_and_roll_lie_on_scikit_learns_curves():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs, labels = datasets.make_moons(2000, noise=None)
    ours, kinds = data.moons(2000, noise=0.0, generator=g())
    for k in (0, 1):
        a, b = theirs[labels == k], ours.numpy()[kinds.numpy() == k]
        distances = np.linalg.norm(a[:, None] - b[None], axis=2)
        assert max(distances.min(0).max(), distances.min(1).max()) < 0.05
    theirs, t = datasets.make_swiss_roll(2000, random_state=0)
    ours, s = data.swiss_roll(2000, noise=0.0, generator=g())
    np.testing.assert_allclose(theirs[:, 0] / 10, t * np.cos(t) / 10)
    assert np.abs(np.sort(t) - np.sort(s.numpy())).max() < 0.5
    theirs = theirs[:, [0, 2]] / 10
    distances = np.linalg.norm(theirs[:, None] - ours.numpy()[None], axis=2)
    assert max(distances.min(0).max(), distances.min(1).max()) < 0.05


@pytest.mark.parametrize("make", [data.moons, data.swiss_roll])
def test_noise_has_the_standard_deviation_it_is_given(make):
    clean, noisy = (make(4000, noise, g())[0].numpy() for noise in (0.0, 0.25))
    difference = noisy - clean  # the same draws come first
    assert np.abs(difference.std(0) / 0.25 - 1).max() < 4 / math.sqrt(8000)
    assert np.abs(difference.mean(0)).max() < 4 * 0.25 / math.sqrt(4000)


@pytest.mark.parametrize(
    "make", [data.moons, data.swiss_roll, data.gaussians_ring, data.gaussians_grid]
)
def test_a_seed_repeats_the_points_and_another_does_not(make):
    first, second, other = (make(generator=g(seed))[0].numpy() for seed in (3, 3, 4))
    assert (first == second).all()
    assert (first != other).any()
    tg.manual_seed(3)
    assert (make()[0].numpy() == first).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: data.moons(0), "moons: n must be at least 1, not 0"),
        (lambda: data.swiss_roll(5, -1.0), "swiss_roll: noise must be at least 0"),
        (lambda: data.moons(5, math.nan), "noise must be at least 0, not nan"),
        (lambda: data.gaussians_ring(0), "gaussians_ring: modes must be at least 1"),
        (lambda: data.gaussians_grid(24), "modes must be a square number, not 24"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
