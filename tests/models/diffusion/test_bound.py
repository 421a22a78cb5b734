"""The bound on ln p: closed forms for a Gaussian, divergences, decoders."""

from __future__ import annotations

import math

import numpy as np
import pytest
from diffusion_models import Exact, Mixture, Silent, chain, rows

import tinygrad_gm as tg
from tinygrad_gm import Generator, nn
from tinygrad_gm.models.diffusion import DiffusionModel, Process, targets
from tinygrad_gm.models.diffusion.bound import bound, log_mass, log_normal


def of_gaussian(timesteps, schedule, mean=0.3, sigma=0.5):
    """The exact model of data N(mean, σ²)."""
    process = Process(timesteps, schedule)
    denoise = Mixture([[mean]], sigma, process)
    return DiffusionModel(Exact(process, denoise), timesteps, schedule)


@pytest.fixture
def exact_moments(monkeypatch):
    """Data and noise at one standard deviation on each side: as all terms are of second degree,
    their means over these four rows are those over N(mean, σ²) and N(0, 1).
    """
    noise = tg.tensor([[1.0], [-1.0], [1.0], [-1.0]], tg.float64)
    monkeypatch.setattr(tg, "randn", lambda *args, **kwargs: noise)
    return tg.tensor([[0.8], [0.8], [-0.2], [-0.2]], tg.float64)


ENTROPY = 0.5 * math.log(2 * math.pi * math.e * 0.25)


@pytest.mark.parametrize(
    ("steps", "gap"),
    [(100, 0.406), (1000, 0.0384), pytest.param(10_000, 0.0039, marks=pytest.mark.slow)],
)
def test_the_gap_of_the_bound_of_a_gaussian_falls_with_the_number_of_steps(
    exact_moments, steps, gap
):
    # `steps` transitions need one more level of noise; the gaps are known from closed forms
    model = of_gaussian(steps + 1, "vdm")
    found = bound(model, exact_moments).nats.numpy().mean() - ENTROPY
    assert found == pytest.approx(gap, abs=6e-5 if steps > 100 else 6e-4)


def test_the_gap_of_the_linear_schedule_remains(exact_moments):
    gaps = [
        bound(of_gaussian(steps, "linear"), exact_moments).nats.numpy().mean() - ENTROPY
        for steps in (500, 1000, 2000)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > 0.289  # half of Euler's constant


def test_the_terms_of_the_bound_are_divergences_of_the_posteriors():
    model, _, alpha_bar = chain("linear", 1000)
    t, x0, noise = rows(1000)
    guess = noise + tg.tensor(np.random.default_rng(1).normal(size=noise.shape))
    x_t, _ = model.forward_diffusion(x0, t, noise)
    guessed = targets.to_x0("noise", guess, x_t, *model.alpha_sigma(t, x_t))
    truth, variance = model.posterior(x0, x_t, t)
    mean, _ = model.posterior(guessed, x_t, t)
    variance = variance[1:, 0].numpy()  # of the first step it is 0
    kl = ((truth - mean) ** 2).sum(1)[1:].numpy() / (2 * variance)
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    error = ((x0 - guessed) ** 2).sum(1)[1:].numpy()
    np.testing.assert_allclose(kl, (snr[:-1] - snr[1:]) / 2 * error, rtol=1e-8)


@pytest.mark.parametrize("variance", [1e-6, 1e-4, 0.01, 1.0])
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.1234, 1.0])
def test_the_decoder_of_bytes_adds_up_to_1(mean, variance):
    levels = tg.linspace(-1, 1, 256, dtype=tg.float64)
    log_p = log_mass(levels, tg.full(256, mean, tg.float64), variance, 256).numpy()
    assert np.isfinite(log_p).all()
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)


def test_a_wide_decoder_of_bytes_is_the_density_times_the_width_of_a_level():
    x = tg.linspace(-1, 1, 256, dtype=tg.float64)
    mean = tg.zeros(256, tg.float64)
    wanted = log_normal(x, mean, 0.01).numpy() + math.log(2 / 255)
    np.testing.assert_allclose(log_mass(x, mean, 0.01, 256).numpy(), wanted, atol=1e-9)


def test_drawn_steps_estimate_the_whole_sum():
    model = of_gaussian(60, "vdm")
    rng = np.random.default_rng(0)
    x0 = tg.tensor(rng.normal(0.3, 0.5, size=(4000, 1)))
    whole, part, one = (
        bound(model, x0, draws=draws, generator=Generator(0)) for draws in (None, 10, 1)
    )
    for found in (part, one):
        error = (found.steps - whole.steps).numpy()
        assert abs(error.mean()) < 3 * error.std() / math.sqrt(len(error))
    assert part.steps.numpy().std() < one.steps.numpy().std()
    assert (whole.prior.numpy() == part.prior.numpy()).all()
    bits = whole.bits_per_number(x0).numpy()
    np.testing.assert_allclose(bits, whole.nats.numpy() / math.log(2))


def test_a_decoder_around_the_prediction_is_a_bound_too():
    model = of_gaussian(200, "vdm")
    x0 = tg.tensor(np.random.default_rng(0).normal(0.3, 0.5, size=(4000, 1)))
    free, chosen = (
        bound(model, x0, variance=variance, generator=Generator(0)).nats.numpy().mean()
        for variance in (None, 4.5e-5)
    )
    assert chosen == pytest.approx(free, abs=0.05)
    assert min(free, chosen) > ENTROPY


def test_bytes_need_fewer_bits_if_the_model_knows_them():
    # 2 × 2 images, all pixels equal to level 200: a model that knows it needs almost no bits
    class Knowing(nn.Module):
        def forward(self, x, t):
            return tg.full(x.shape, 2 * 200 / 255 - 1, x.dtype)

    model = DiffusionModel(Knowing(), 50, "cosine", target="x0")
    x0 = tg.full((8, 1, 2, 2), 2 * 200 / 255 - 1)
    found = bound(model, x0, levels=256, variance=1e-6, generator=Generator(0))
    np.testing.assert_allclose(found.steps.numpy(), 0, atol=1e-9)
    np.testing.assert_allclose(found.decoder.numpy(), 0, atol=1e-4)
    model.model = Silent()
    assert (bound(model, x0, levels=256).bits_per_number(x0).numpy() > 1).all()
