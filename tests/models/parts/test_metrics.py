"""Measures of generative models, against closed forms, definitions and cases that must fail."""

from __future__ import annotations

import re

import numpy as np
import pytest
from needs import needs_mnist

import tinygrad_gm as tg
from tinygrad_gm import Generator, data
from tinygrad_gm.app import cli
from tinygrad_gm.models.parts import metrics, mnist_like


def normal(rng, dimensions=6, rank=None):
    factor = rng.normal(size=(dimensions, rank or dimensions))
    return rng.normal(size=dimensions), factor @ factor.T


def test_the_frechet_distance_is_that_of_the_paper():
    """Eq. 6, with the trace of a root as the sum of the roots of the product's eigenvalues."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        (mean1, cov1), (mean2, cov2) = normal(rng), normal(rng)
        roots = np.sqrt(np.linalg.eigvals(cov1 @ cov2).astype(complex))
        wanted = ((mean1 - mean2) ** 2).sum() + np.trace(cov1 + cov2) - 2 * roots.sum().real
        assert abs(roots.imag).max() < 1e-6
        found = metrics.frechet_distance(mean1, cov1, mean2, cov2)
        assert found == pytest.approx(wanted, rel=1e-9)
        assert found == pytest.approx(metrics.frechet_distance(mean2, cov2, mean1, cov1), rel=1e-12)


def test_the_frechet_distance_of_normals_with_common_axes_is_that_of_their_widths():
    """Then C₁ and C₂ commute, and tr(C₁ + C₂ − 2 (C₁ C₂)^½) = Σ (σ₁ − σ₂)²; one is flat."""
    rng = np.random.default_rng(1)
    axes, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    sigma1, sigma2 = np.array([0.0, 1, 2, 3, 4]), np.array([2.0, 0, 2, 1, 1e-4])
    found = metrics.frechet_distance(
        np.zeros(5), axes * sigma1**2 @ axes.T, np.ones(5), axes * sigma2**2 @ axes.T
    )
    assert found == pytest.approx(5 + ((sigma1 - sigma2) ** 2).sum(), rel=1e-7)


def test_the_frechet_distance_to_itself_is_zero_and_it_does_not_depend_on_the_axes():
    rng = np.random.default_rng(2)
    mean, cov = normal(rng, 84, rank=20)
    assert metrics.frechet_distance(mean, cov, mean, cov) == pytest.approx(0, abs=1e-9)
    other_mean, other_cov = normal(rng, 84)
    turn, _ = np.linalg.qr(rng.normal(size=(84, 84)))
    once = metrics.frechet_distance(mean, cov, other_mean, other_cov)
    turned = metrics.frechet_distance(
        turn @ mean + 3, turn @ cov @ turn.T, turn @ other_mean + 3, turn @ other_cov @ turn.T
    )
    assert once == pytest.approx(turned, rel=1e-9)


@pytest.mark.parametrize("measure", [metrics.lenet_distance, metrics.classes])
@pytest.mark.parametrize(
    ("images", "words"),
    [
        (tg.zeros((5, 784)), r"shape \(N, 1, 28, 28\); got \(5, 784\)"),
        (tg.zeros((5, 3, 32, 32)), r"shape \(N, 1, 32, 32\); got \(5, 3, 32, 32\)"),
        (tg.full((5, 1, 28, 28), 255.0), "divide bytes by 255"),
        (tg.full((5, 1, 32, 32), -1.0), r"expected pixels in \[0, 1\]"),
        (tg.full((5, 1, 28, 28), float("nan")), r"expected pixels in \[0, 1\]"),
    ],
)
def test_what_is_no_image_is_not_judged(measure, images, words):
    with pytest.raises(ValueError, match=words):
        measure(images)


def test_the_classes_are_those_of_the_digits_and_a_margin_does_not_matter():
    images, labels = data.mnist_small().test.tensors
    found = metrics.classes(images)
    shares = np.bincount(labels.numpy(), minlength=10) / 1000
    assert found.purity > 0.95
    assert abs(found.shares.numpy() - shares).max() <= 0.01
    assert found.shares.numpy().sum() == pytest.approx(1)
    framed = metrics.classes(mnist_like.framed(images))
    assert framed.purity == found.purity
    assert (framed.shares == found.shares).all()


def test_halves_of_two_digits_are_less_pure_than_digits():
    images, _ = data.mnist_small().test.tensors
    mixed = tg.concat([images[:500, :, :14], images[500:, :, 14:]], axis=2)
    assert metrics.classes(mixed).purity < metrics.classes(images).purity - 0.2


@needs_mnist
def test_other_training_images_are_as_far_as_the_floor_and_noise_is_far_away():
    train, _ = data.mnist()
    some, _ = train[20_000:21_000]
    found = metrics.lenet_distance(some)
    assert found.n == 1000
    assert found.floor == pytest.approx(4.2, rel=0.2)  # by a LeNet-5 of PyTorch's
    assert found.value == pytest.approx(found.floor, rel=0.5)
    again = metrics.lenet_distance(train[:1000][0])
    assert again.value == again.floor == found.floor
    noise = tg.rand((1000, 1, 28, 28), generator=Generator(0))
    assert metrics.lenet_distance(noise).value > 50 * found.floor
    same = tg.repeat(some[:2], 500, axis=0)
    assert metrics.lenet_distance(same).value > 20 * found.floor


@needs_mnist
def test_the_distance_of_all_test_images_to_themselves_is_zero_and_too_few_are_refused():
    images, _ = data.mnist().test.tensors
    assert metrics.lenet_distance(images).value == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match=r"expected 2 to 60,000 images; got 1"):
        metrics.lenet_distance(images[:1])


@needs_mnist
def test_a_report_of_images_has_the_number_and_the_floor_beside_the_distance():
    images, _ = data.mnist_small().train[:300]
    distance, purity, classes = metrics.report(mnist_like.framed(images), "mnist").splitlines()
    pattern = r"LeNet distance (\S+) \(n = 300; of 300 training images (\S+)\)"
    value, floor = re.fullmatch(pattern, distance).groups()
    assert value == floor  # they are the first training images
    assert re.match(r"9\d\.\d % are of one class", purity)
    assert re.fullmatch(r"classes( \d+\.\d){10} %", classes)


def test_points_are_counted_to_the_nearest_centre_within_the_radius():
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(500, 2)), rng.normal(size=(7, 2))
    wanted = [0] * 7
    for point in points:
        distances = [float(np.hypot(*(point - center))) for center in centers]
        if min(distances) <= 0.4:
            wanted[int(np.argmin(distances))] += 1
    counts = metrics.mode_counts(tg.tensor(points), tg.tensor(centers), radius=0.4)
    assert counts.tolist() == wanted
    assert 0 < sum(wanted) < 500


@pytest.mark.parametrize(("dataset", "modes"), [("ring", 8), ("grid", 25)])
def test_draws_from_the_mixture_itself_cover_all_modes_evenly(dataset, modes):
    tg.manual_seed(0)
    points = {"ring": data.gaussians_ring, "grid": data.gaussians_grid}[dataset](modes, 5000).points
    found = metrics.modes(points, dataset)
    assert found.covered == modes
    assert found.shares.numpy() == pytest.approx(np.full(modes, 1 / modes), abs=1e-6)
    within_3_sigma = 1 - np.exp(-4.5)  # of a round normal in the plane
    assert found.sharp == pytest.approx(within_3_sigma, abs=4 * np.sqrt(0.011 * 0.989 / 5000))


def test_a_lost_mode_and_points_in_between_are_seen():
    centers = data.gaussians_ring(8, 8).centers
    points = tg.concat([tg.repeat(centers[:6], 40, axis=0), centers[6:7], tg.zeros((159, 2))])
    found = metrics.modes(points, "ring")
    assert found.covered == 6  # of the seventh there is one point of 400, and 4 are wanted
    assert found.shares.tolist() == pytest.approx([0.1] * 6 + [1 / 400, 0])
    assert found.sharp == pytest.approx(241 / 400)
    assert str(found).startswith("6 of 8 modes have at least 4 of the 400 points within 0.1\n60.")


def test_only_a_mixture_has_modes():
    with pytest.raises(ValueError, match="the data set must be ring or grid, not 'moons'"):
        metrics.modes(tg.zeros((5, 2)), "moons")
    with pytest.raises(ValueError, match=r"expected points of shape \(N, 2\); got \(5, 3\)"):
        metrics.modes(tg.zeros((5, 3)), "ring")


def test_the_bound_rises_from_the_elbo_to_the_likelihood_of_a_linear_gaussian_model():
    """z ~ N(0, 1), x ~ N(z, ½), so x ~ N(0, 3/2); q(z|x) = N(x/2, ½), which is too wide."""
    rng = np.random.default_rng(0)
    x, k, draws = np.array([-1.0, 0.3, 2.0]), 50, 20_000
    z = x / 2 + np.sqrt(0.5) * rng.normal(size=(draws, k, 3))

    def log_normal(value, mean, variance):
        return -0.5 * (np.log(2 * np.pi * variance) + (value - mean) ** 2 / variance)

    weights = log_normal(x, z, 0.5) + log_normal(z, 0, 1) - log_normal(z, x / 2, 0.5)
    truth = log_normal(x, 0, 1.5)
    kl = 0.5 * (1.5 - 1 - np.log(1.5)) + 0.5 * (x / 2 - 2 * x / 3) ** 2 * 3  # to N(2x/3, 1/3)

    def bound(k):
        flat = np.moveaxis(weights[:, :k], 1, 0).reshape(k, -1)
        return metrics.importance_weighted_bound(tg.tensor(flat)).numpy().reshape(draws, 3).mean(0)

    assert bound(1) == pytest.approx(truth - kl, abs=0.03)
    assert bound(50) == pytest.approx(truth, abs=0.01)
    assert (bound(1) < bound(5)).all()
    assert (bound(5) < bound(50)).all()


def test_the_bound_does_not_overflow_and_has_a_gradient():
    log_weights = tg.tensor([[-1e4, 900.0], [-1e4, 0.0]], dtype=tg.float64, requires_grad=True)
    bound = metrics.importance_weighted_bound(log_weights)
    assert bound.tolist() == pytest.approx([-1e4, 900 - np.log(2)])
    bound.sum().backward()
    assert log_weights.grad.numpy() == pytest.approx(np.array([[0.5, 1], [0.5, 0]]))
    with pytest.raises(ValueError, match=r"expected log_weights of shape \(k, N\); got \(4,\)"):
        metrics.importance_weighted_bound(tg.zeros(4))


def test_the_command_line_judges_points_and_says_what_it_cannot(capsys, tmp_path):
    for dataset in ("ring", "moons"):
        argv = ["train", "gan", "--network", "plane", "--dataset", dataset, "--epochs", "1"]
        small = ["--hidden-dim", "4", "--batch-size", "8", "--out", str(tmp_path / dataset)]
        assert cli.main([*argv, *small]) == 0
    capsys.readouterr()
    argv = ["judge", "gan", "--count", "700", "--out"]
    assert cli.main([*argv, str(tmp_path / "ring")]) == 0
    out = capsys.readouterr().out
    assert re.match(r"\d of 8 modes have at least 7 of the 700 points within 0.1\n", out)
    assert cli.main([*argv, str(tmp_path / "ring")]) == 0
    assert capsys.readouterr().out == out
    assert cli.main([*argv, str(tmp_path / "moons")]) == 1
    assert "the data set must be ring or grid, not 'moons'" in capsys.readouterr().err
