"""The noising process: schedules, the leap to any step, the posterior."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from diffusion_models import SCHEDULES, Silent, chain, rows

import tinygrad_gm as tg
from tinygrad_gm.models.diffusion import DiffusionModel, process, targets


def test_the_linear_schedule_is_that_of_the_paper():
    betas = process.linear_schedule(1000).numpy()
    assert betas[[0, -1]] == pytest.approx([1e-4, 0.02], rel=1e-15)
    assert np.diff(betas) == pytest.approx(np.full(999, (0.02 - 1e-4) / 999))
    assert np.prod(1 - betas) == pytest.approx(4.04e-5, rel=2e-3)  # known
    # E KL(q(x_T|x_0) ‖ N(0, 1)) per dimension, at |x_0| = 1: 2.0e-5 nats
    a = np.prod(1 - betas)
    assert 0.5 * (1 - a + a - 1 - math.log(1 - a)) == pytest.approx(2.0e-5, rel=0.02)


def test_a_linear_schedule_of_another_length_ends_in_as_much_noise():
    for timesteps in (50, 200, 4000):
        a = np.prod(1 - process.linear_schedule(timesteps).numpy())
        assert math.log(a) == pytest.approx(math.log(4.04e-5), rel=0.2)


@pytest.mark.parametrize("timesteps", [1, 2, 10, 100, 1000])
def test_products_of_the_cosine_schedule_are_a_squared_cosine(timesteps):
    betas = process.cosine_schedule(timesteps).numpy()
    t = np.arange(timesteps + 1) / timesteps
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    products = np.cumprod(1 - betas)
    np.testing.assert_allclose(products[:-1], f[1:-1] / f[0], rtol=1e-12)
    assert (betas == 0.999).sum() == 1
    assert betas[-1] == 0.999
    assert (np.diff(betas) > 0).all()


def test_the_first_step_of_the_cosine_schedule_is_the_published_one():
    assert process.cosine_schedule(1000)[0].item() == pytest.approx(4.128e-5, rel=2e-4)


def test_the_vdm_schedule_has_evenly_falling_logarithms_of_the_signal_to_noise_ratio():
    snr = chain("vdm", 101)[0].snr().numpy()
    np.testing.assert_allclose(np.log(snr), np.linspace(10, -10, 101), atol=1e-9)


@pytest.mark.parametrize(("schedule", "timesteps"), SCHEDULES)
def test_the_state_dict_holds_the_schedule_and_to_converts_it(schedule, timesteps):
    model, betas, alpha_bar = chain(schedule, timesteps)
    state = model.state_dict()
    assert set(state) == {"betas", "alphas_cumprod"}
    np.testing.assert_array_equal(state["betas"].numpy(), betas)
    np.testing.assert_allclose(state["alphas_cumprod"].numpy(), alpha_bar[1:], rtol=1e-12)
    other = DiffusionModel(Silent(), timesteps, "cosine" if schedule == "linear" else "linear")
    other.load_state_dict(state)
    assert (other.alphas_cumprod == model.alphas_cumprod).all()
    assert list(model.parameters()) == []
    assert model.to(tg.float32).betas.dtype == tg.float32
    assert model.alphas_cumprod.dtype == tg.float32


@pytest.mark.parametrize(("schedule", "timesteps"), SCHEDULES)
def test_the_leap_to_any_time_is_composed_of_single_steps(schedule, timesteps):
    model, betas, _ = chain(schedule, timesteps)
    mean, variance = 1.0, 0.0  # of x_t, for x_0 = 1
    one, none = tg.ones((1, 1), tg.float64), tg.zeros((1, 1), tg.float64)
    for t, beta in enumerate(betas):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        now = tg.tensor([t])
        signal, _ = model.forward_diffusion(one, now, none)
        noise, _ = model.forward_diffusion(none, now, one)
        assert signal.item() == pytest.approx(mean, abs=1e-12)
        assert noise.item() ** 2 == pytest.approx(variance, abs=1e-12)


def test_many_walks_of_single_steps_end_where_the_leap_does():
    model, betas, _ = chain("linear", 50)
    rng = np.random.default_rng(0)
    x = np.full(200_000, 1.5)
    for beta in betas[:20]:
        x = math.sqrt(1 - beta) * x + math.sqrt(beta) * rng.standard_normal(len(x))
    leap, _ = model.forward_diffusion(
        tg.full((200_000, 1), 1.5, tg.float64), tg.full(200_000, 19), None
    )
    for moment in (np.mean, np.std):
        assert moment(leap.numpy()) == pytest.approx(moment(x), abs=0.01)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 4, 3), (1, 2, 3, 4)])
@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_each_row_gets_its_own_noise_level_in_data_of_any_rank(shape, dtype):
    # As many rows as columns: what is broadcast along the wrong axis would pass unseen.
    model, _, alpha_bar = chain("cosine", 4)
    t, x0, noise = (v if v.dtype.kind == "i" else v.astype(dtype) for v in rows(4, shape))
    x_t, same = model.forward_diffusion(x0, t, noise)
    assert same is noise
    assert x_t.shape == x0.shape
    assert x_t.dtype == dtype
    for i in range(4):
        a = alpha_bar[i + 1]
        wanted = math.sqrt(a) * x0[i].numpy() + math.sqrt(1 - a) * noise[i].numpy()
        np.testing.assert_allclose(x_t[i].numpy(), wanted, atol=1e-6)
    np.testing.assert_allclose(
        targets.to_x0("noise", noise, x_t, *model.alpha_sigma(t, x_t))[:3].numpy(),
        x0[:3].numpy(),
        atol=1e-4,
    )


def test_noise_that_is_not_given_is_drawn_and_handed_back():
    tg.manual_seed(0)
    model, _, _ = chain("cosine", 100)
    x0, t = tg.zeros((1000, 2)), tg.full(1000, 99)
    x_t, noise = model.forward_diffusion(x0, t)
    assert noise.shape == (1000, 2)
    assert noise.dtype == tg.float32
    np.testing.assert_allclose(x_t.numpy(), noise.numpy(), atol=1e-5)
    assert noise.numpy().std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("schedule", "timesteps"), SCHEDULES)
def test_the_posterior_is_the_same_from_the_data_and_from_the_noise(schedule, timesteps):
    model, betas, alpha_bar = chain(schedule, timesteps)
    t, x0, noise = rows(timesteps)
    x_t, _ = model.forward_diffusion(x0, t, noise)
    now, before, b = (v[:, None] for v in (alpha_bar[1:], alpha_bar[:-1], betas))
    x0, noise, x = x0.numpy(), noise.numpy(), x_t.numpy()
    from_data = (np.sqrt(before) * b * x0 + np.sqrt(1 - b) * (1 - before) * x) / (1 - now)
    from_noise = (x - b / np.sqrt(1 - now) * noise) / np.sqrt(1 - b)
    from_score = (x + b * (-noise / np.sqrt(1 - now))) / np.sqrt(1 - b)
    mean, variance = model.posterior(tg.tensor(x0), x_t, t)
    found_x0 = targets.to_x0("noise", tg.tensor(noise), x_t, *model.alpha_sigma(t, x_t))
    guessed, _ = model.posterior(found_x0, x_t, t)
    for found in (mean, guessed):
        np.testing.assert_allclose(found.numpy(), from_data, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.numpy(), from_noise, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.numpy(), from_score, rtol=0, atol=1e-12)
    np.testing.assert_allclose(variance.numpy(), b * (1 - before) / (1 - now), atol=1e-12)
    assert variance[0].item() == 0
    precision = (1 - b[1:]) / b[1:] + 1 / (1 - before[1:])
    np.testing.assert_allclose(variance[1:].numpy(), 1 / precision, rtol=1e-9)


def test_the_posterior_is_what_bayes_rule_says_on_a_grid():
    model, betas, alpha_bar = chain("linear", 50)
    t, x0, x_t = 17, 0.4, -0.9
    x = np.linspace(-8, 8, 200_001)
    log_p = -((x_t - math.sqrt(1 - betas[t]) * x) ** 2) / (2 * betas[t])
    log_p -= (x - math.sqrt(alpha_bar[t]) * x0) ** 2 / (2 * (1 - alpha_bar[t]))
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean, variance = model.posterior(
        *(tg.tensor([[v]], tg.float64) for v in (x0, x_t)), tg.tensor([t])
    )
    assert mean.item() == pytest.approx((p * x).sum(), abs=1e-9)
    assert variance.item() == pytest.approx((p * x**2).sum() - (p * x).sum() ** 2, abs=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_every_eta_keeps_the_noise_level_of_the_time_it_goes_to(eta):
    # x_s = a x_0 + b ε + σ z, with a² = ᾱ_s and b² + σ² = 1 − ᾱ_s (Song et al., lemma 1)
    model, _, alpha_bar = chain("cosine", 100)
    one, none = tg.ones((1, 1), tg.float64), tg.zeros((1, 1), tg.float64)
    for t, s in ((99, 80), (50, 49), (30, 3), (40, -1), (0, -1)):
        now, then = tg.tensor([t]), tg.tensor([s])
        spread = []
        for x0, noise in ((one, none), (none, one)):
            x_t, _ = model.forward_diffusion(x0, now, noise)
            mean, variance = model.posterior(x0, x_t, now, then, eta)
            spread.append(mean.item())
        assert spread[0] == pytest.approx(math.sqrt(alpha_bar[s + 1]), abs=1e-12)
        assert spread[1] ** 2 + variance.item() == pytest.approx(1 - alpha_bar[s + 1], abs=1e-12)


def test_ddim_goes_to_any_noise_and_back_without_a_trace():
    model, _, _ = chain("linear", 1000)
    rng = np.random.default_rng(0)
    x0, noise = (tg.tensor(rng.normal(size=(5, 2, 3))) for _ in range(2))
    times = [-1, 0, 10, 500, 999, 500, 10, 0, -1]

    def clean(x, t):
        return targets.to_x0("noise", noise, x, *model.alpha_sigma(t, x))

    x = x0
    for t, s in itertools.pairwise(times):
        now, then = tg.full(5, t), tg.full(5, s)
        if t >= 0:
            x, _ = model.posterior(clean(x, now), x, now, then, eta=0.0)
        else:
            x, _ = model.forward_diffusion(x0, then, noise)
        assert np.isfinite(x.numpy()).all()
        if s >= 0:
            line, _ = model.forward_diffusion(x0, then, noise)
            np.testing.assert_allclose(x.numpy(), line.numpy(), atol=1e-11)
    np.testing.assert_allclose(x.numpy(), x0.numpy(), atol=1e-11)
