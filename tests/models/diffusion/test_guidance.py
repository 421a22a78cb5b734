"""Guidance by classes and classifiers, and inpainting."""

from __future__ import annotations

import numpy as np
import pytest
from diffusion_models import Exact, Mixture

import tinygrad_gm as tg
from tinygrad_gm import Generator, data, nn
from tinygrad_gm.models import diffusion, lenet
from tinygrad_gm.models.diffusion import DiffusionModel, Process, guidance, samplers, targets


def two_models(target):
    """A process with the targets of two denoisers of other data, as functions of x_t and t."""
    process = Process(100, "cosine")
    parts = [Mixture([[m, 0.0]], 0.4, process) for m in (-1.0, 1.0)]
    return process, [Exact(process, part, target) for part in parts], parts


@pytest.mark.parametrize("name", ["noise", "x0", "v", "score", "velocity"])
def test_guidance_is_the_same_for_every_target(name):
    process, networks, (with_class, without) = two_models(name)
    x, t = tg.tensor(np.random.default_rng(0).normal(size=(90, 2))), tg.arange(90)
    alpha, sigma = process.alpha_sigma(t, x)
    y, other = (network(x, t) for network in networks)
    if name == "score":
        y, other = y / sigma, other / sigma
    found = targets.to_x0(name, 3 * y - 2 * other, x, alpha, sigma)
    wanted = guidance.classifier_free(with_class, without, 2.0)(x, t)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-9, atol=1e-9)


class Labelled(nn.Module):
    """A conditional network that returns its labels, and remembers them."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, x, t, labels):
        self.asked.append(labels.tolist())
        return tg.broadcast_to(labels.astype(x.dtype)[:, None], x.shape)


def test_a_guided_model_is_asked_with_the_class_and_with_none():
    model = DiffusionModel(Labelled(), 10, "cosine", target="x0", classes=4)
    x, t = tg.zeros((3, 2)), tg.zeros(3, tg.int64)
    found = model.denoiser(tg.tensor([0, 1, 3]), 0.5)(x, t)
    assert model.model.asked == [[0, 1, 3], [4, 4, 4]]
    assert found[:, 0].tolist() == [-2.0, -0.5, 2.5]  # 1.5 c − 0.5 · 4
    model.denoiser(tg.tensor([0, 1, 3]))(x, t)
    model.denoiser()(x, t)
    assert model.model.asked[2:] == [[0, 1, 3], [4, 4, 4]]


def test_a_tenth_of_the_labels_is_dropped_in_training():
    tg.manual_seed(0)
    model = DiffusionModel(Labelled(), 10, "cosine", classes=4)
    model.train_step(tg.zeros((10_000, 2)), tg.arange(10_000) % 4)
    (asked,) = model.model.asked
    changed = [label for number, label in enumerate(asked) if label != number % 4]
    assert set(changed) == {4}
    assert len(changed) == pytest.approx(1000, abs=120)


def test_classifier_guidance_samples_the_class_of_a_mixture():
    # two equal parts at ±1: the classifier ln p(right|x_0) is known, and w = 1 is Bayes' rule
    process = Process(200, "cosine")
    mixture = Mixture([[-1.0], [1.0]], 0.5, process)

    def differentiable(x, t):
        alpha, sigma = process.alpha_sigma(t, x)
        variance = alpha**2 * 0.25 + sigma**2
        centers = tg.tensor([-1.0, 1.0], tg.float64)
        away = x - alpha * centers  # (N, 2)
        shares = tg.softmax(-(away**2) / (2 * variance), axis=1)
        means = centers + alpha * 0.25 / variance * away
        return tg.sum(shares * means, axis=1, keepdims=True)

    def log_right(x0):
        return -tg.logaddexp(0.0, -8 * x0[:, 0])  # ln σ(2 · 1 · x / 0.25)

    x = tg.randn((2000, 1), tg.float64, generator=Generator(0))
    t = tg.full(2000, 60)
    np.testing.assert_allclose(differentiable(x, t).numpy(), mixture(x, t).numpy(), atol=1e-12)
    shares = []
    for weight in (0.0, 1.0, 3.0):
        guided = guidance.classifier(process, differentiable, log_right, weight)
        for end, _ in samplers.walk(process, guided, x, sampler="ddim", steps=50):
            found = end
        assert not found.requires_grad
        shares.append((found.numpy() > 0).mean())
    assert shares[0] == pytest.approx(0.5, abs=0.04)
    assert shares[1] > 0.9
    assert shares[2] > 0.97


def test_a_small_step_of_classifier_guidance_adds_the_gradient_of_the_classifier():
    process = Process(100, "cosine")
    x, t = tg.tensor(np.random.default_rng(0).normal(size=(6, 3))), tg.full(6, 30)

    def denoise(x, t):
        return 0.5 * x  # its derivative is 0.5

    def log_likelihood(x0):
        return -tg.sum(x0**2, axis=1)

    alpha, sigma = process.alpha_sigma(t, x)
    found = guidance.classifier(process, denoise, log_likelihood, 2.0)(x, t)
    wanted = 0.5 * x + 2.0 * sigma**2 / alpha * (-2 * 0.5 * x) * 0.5
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-13)
    # in terms of the score: s + w ∇ ln p
    before, after = (
        targets.convert(x0, "x0", "score", x, alpha, sigma) for x0 in (denoise(x, t), found)
    )
    np.testing.assert_allclose((after - before).numpy(), (2.0 * -0.5 * x).numpy(), atol=1e-12)


def test_the_lenet_of_the_package_guides_digits_to_a_class():
    class Given(nn.Module):  # predicts data as if there were no noise
        def forward(self, x, t):
            return x

    model = DiffusionModel(Given(), 50, "cosine", target="x0")
    images, _ = data.mnist_small().test[:20]
    x, t = 2 * images - 1, tg.full(20, 10)
    wanted = tg.full(20, 8)

    def log_probability(x0):
        return tg.log_softmax(lenet.pretrained()((x0 + 1) / 2), axis=1)[:, 8].numpy()

    found = diffusion.guided_by_lenet(model, wanted, 1.0)(x, t)
    assert not found.requires_grad
    gain = log_probability(found) - log_probability(x)
    assert (gain > -1e-4).all()
    assert np.median(gain) > 2


@pytest.mark.parametrize("sampler", samplers.SAMPLERS)
def test_inpainting_keeps_the_known_numbers_exactly_and_fills_in_the_rest(sampler):
    # two parts of a mixture: the known first coordinate tells the second
    tg.manual_seed(0)
    process = Process(100, "cosine")
    mixture = Mixture([[-1.0, -1.0], [1.0, 1.0]], 0.2, process)
    model = DiffusionModel(Exact(process, mixture), 100, "cosine")
    known = tg.tensor(mixture.draw(400))
    mask = tg.tensor([True, False])
    denoise = guidance.inpainted(model.denoiser(), known, mask)
    x = tg.randn(known.shape, tg.float64, generator=Generator(0))
    for end, _ in model.walk(
        x, denoise=denoise, sampler=sampler, repeats=2, generator=Generator(1)
    ):
        found = end.numpy()
    assert (found[:, 0] == known[:, 0].numpy()).all()
    assert (np.sign(found[:, 1]) == np.sign(known[:, 0].numpy())).mean() > 0.9
    assert (found[:, 1] != known[:, 1].numpy()).all()
