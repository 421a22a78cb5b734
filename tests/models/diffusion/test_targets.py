"""The targets of the network: conversions, Tweedie's formula, weights of the errors."""

from __future__ import annotations

import numpy as np
import pytest
from diffusion_models import SCHEDULES, Mixture, rows

import tinygrad_gm as tg
from tinygrad_gm.models.diffusion import Process, targets

NAMES = tuple(targets.TARGETS)


def states(schedule, timesteps):
    """x_0, ε, x_t, α and σ for every t but the last of the cosine schedule, with its α of 5e-5."""
    process = Process(timesteps, schedule)
    t, x0, noise = rows(timesteps)
    x_t, _ = process.forward_diffusion(x0, t, noise)
    return process, x0, noise, x_t, *process.alpha_sigma(t, x0)


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("wanted", NAMES)
def test_every_target_turns_into_every_other_and_back(source, wanted):
    _, x0, noise, x_t, alpha, sigma = states("linear", 1000)
    first = targets.target(source, x0, noise, alpha, sigma)
    second = targets.convert(first, source, wanted, x_t, alpha, sigma)
    known = targets.target(wanted, x0, noise, alpha, sigma)
    np.testing.assert_allclose(second.numpy(), known.numpy(), rtol=1e-12, atol=1e-12)
    back = targets.convert(second, wanted, source, x_t, alpha, sigma)
    np.testing.assert_allclose(back.numpy(), first.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_conversions_lose_as_many_digits_as_the_signal_is_smaller_than_the_noise(name):
    _, x0, noise, x_t, alpha, sigma = states("cosine", 1000)
    y = targets.target(name, x0, noise, alpha, sigma)
    for find, truth in ((targets.to_x0, x0), (targets.to_noise, noise)):
        error = np.abs((find(name, y, x_t, alpha, sigma) - truth).numpy())
        assert (error < 2e-15 / (alpha * sigma).numpy()).all()


def test_the_targets_are_those_of_the_papers():
    _, x0, noise, x_t, alpha, sigma = states("linear", 100)
    y = {name: targets.target(name, x0, noise, alpha, sigma).numpy() for name in NAMES}
    a, s, x, e, x_t = (v.numpy() for v in (alpha, sigma, x0, noise, x_t))
    np.testing.assert_allclose(y["v"], a * e - s * x, atol=1e-14)
    np.testing.assert_allclose(x, a * x_t - s * y["v"], atol=1e-13)
    np.testing.assert_allclose(e, s * x_t + a * y["v"], atol=1e-13)
    np.testing.assert_allclose(y["score"], -(x_t - a * x) / s**2, rtol=1e-10)
    # a straight line from x_0 to ε passes through x_t/(α + σ) at σ/(α + σ)
    along = s / (a + s)
    np.testing.assert_allclose(x_t / (a + s), x + along * y["velocity"], atol=1e-13)


def test_the_score_of_a_mixture_gives_its_mean_by_tweedies_formula():
    process = Process(100, "cosine")
    mixture = Mixture([[-1.0, 0.5], [1.0, 0.5]], 0.3, process)
    x, t = tg.tensor(np.random.default_rng(0).normal(size=(50, 2))), tg.full(50, 40)
    alpha, sigma = process.alpha_sigma(t, x)

    def log_density(x):
        variance = alpha.numpy() ** 2 * 0.09 + sigma.numpy() ** 2
        away = ((x[:, None] - alpha.numpy()[:, None] * mixture.centers) ** 2).sum(-1)
        return np.log(np.exp(-away / (2 * variance)).sum(-1))

    steps = 1e-5 * np.eye(2)
    slopes = [
        (log_density(x.numpy() + step) - log_density(x.numpy() - step)) / 2e-5 for step in steps
    ]
    score = tg.tensor(np.stack(slopes, axis=1))
    found = targets.to_x0("score", score, x, alpha, sigma)
    np.testing.assert_allclose(found.numpy(), mixture(x, t).numpy(), atol=1e-8)


@pytest.mark.parametrize(("schedule", "timesteps"), SCHEDULES)
def test_the_weights_of_the_bound_are_those_of_the_posteriors(schedule, timesteps):
    process = Process(timesteps, schedule)
    betas, alpha_bar = (v.numpy() for v in (process.betas, process.alphas_cumprod))
    now, before, beta = alpha_bar[1:], alpha_bar[:-1], betas[1:]
    variance = beta * (1 - before) / (1 - now)
    known = {
        "x0": before * beta**2 / (2 * variance * (1 - now) ** 2),
        "noise": beta**2 / (2 * variance * (1 - beta) * (1 - now)),
        "score": beta**2 / (2 * variance * (1 - beta)),
    }
    snr = alpha_bar / (1 - alpha_bar)
    np.testing.assert_allclose(known["x0"], (snr[:-1] - snr[1:]) / 2, rtol=1e-8)
    for name, wanted in known.items():
        found = targets.weights(process, name, "bound").numpy() / timesteps
        np.testing.assert_allclose(found[1:], wanted, rtol=1e-8)
        assert found[0] == 0


def test_the_weight_of_a_step_for_the_noise_is_largest_where_the_docstring_says():
    linear, cosine = (
        targets.weights(Process(1000, name), "noise", "bound").numpy()[1:] / 1000
        for name in ("linear", "cosine")
    )
    assert (np.diff(linear[:100]) < 0).all()
    assert linear.argmax() == 0
    assert cosine.argmax() == len(cosine) - 1
    assert cosine[-1] == pytest.approx(499.5, rel=1e-5)  # ½ (1/α_T − 1), and α_T is 0.001


@pytest.mark.parametrize("loss", ["min-snr", "bound"])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "vdm"])
def test_weighted_errors_are_the_same_for_every_target(loss, schedule):
    process, x0, noise, x_t, alpha, sigma = states(schedule, 100)
    guess = x0 + tg.tensor(np.random.default_rng(1).normal(size=x0.shape))
    errors = []
    for name in NAMES:
        truth = targets.target(name, x0, noise, alpha, sigma)
        y = targets.convert(guess, "x0", name, x_t, alpha, sigma)
        weights = targets.weights(process, name, loss)[:, None]
        errors.append((weights * (y - truth) ** 2).numpy())
    for other in errors[1:]:
        np.testing.assert_allclose(other, errors[0], rtol=1e-7, atol=1e-12)


def test_the_weights_of_min_snr_are_those_of_the_paper():
    process = Process(1000, "cosine")
    snr = process.snr().numpy()
    low = np.minimum(snr, 5)
    for name, wanted in (("x0", low), ("noise", low / snr), ("v", low / (snr + 1))):
        found = targets.weights(process, name, "min-snr").numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
