"""Diffusion: the noising chain, its posterior, the samplers, the loss, its training."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from slopes import check_slopes

import tinygrad_gm as tg
from tinygrad_gm import Generator, nn
from tinygrad_gm.models import diffusion
from tinygrad_gm.models.denoisers import ConvDenoiser, MLPDenoiser, timestep_embedding
from tinygrad_gm.models.diffusion import DiffusionModel
from tinygrad_gm.models.gallery import diffusion as gallery
from tinygrad_gm.training import Run

SCHEDULES = [("linear", 1000), ("linear", 50), ("cosine", 1000), ("cosine", 100)]


class Silent(nn.Module):
    """A network that sees no noise anywhere, and remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, x, t):
        self.asked.append(t.numpy().copy())
        return tg.zeros_like(x)


class ExactMixture(nn.Module):
    """The perfect network for a mixture of equal Gaussians N(μ_k, σ² I): −√(1−ᾱ) times the score.

    q(x_t) is a mixture of N(√ᾱ μ_k, (ᾱσ² + 1 − ᾱ) I), whose score is a mean of those of its parts.
    """

    def __init__(self, centers, sigma, alphas_cumprod):
        super().__init__()
        self.centers, self.sigma, self.alphas = centers, sigma, alphas_cumprod.numpy()

    def forward(self, x, t):
        x, a = x.numpy(), self.alphas[t.numpy()][:, None, None]
        variance = a * self.sigma**2 + 1 - a
        away = x[:, None] - np.sqrt(a) * self.centers
        weight = -(away**2).sum(-1, keepdims=True) / (2 * variance)
        weight = np.exp(weight - weight.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        score = -(weight * away / variance).sum(1)
        return tg.tensor(-np.sqrt(1 - a[:, 0]) * score)


def chain(schedule="linear", timesteps=1000, network=None, **kwargs):
    """A model in float64, and the β_t and ᾱ_t of the papers (ᾱ_0 = 1 first)."""
    model = DiffusionModel(network or Silent(), timesteps, schedule, **kwargs)
    betas = model.betas.numpy()
    return model, betas, np.concatenate([[1.0], np.cumprod(1 - betas)])


def rows(timesteps, shape=(3,), seed=0):
    """For every t: the number t, and x_0 and ε of a shape, in float64."""
    rng = np.random.default_rng(seed)
    x0, noise = (tg.tensor(rng.normal(size=(timesteps, *shape))) for _ in range(2))
    return tg.arange(timesteps), x0, noise


# ------------------------------------------------------------------------------- the schedules


def test_the_linear_schedule_is_that_of_the_paper():
    betas = diffusion.linear_schedule(1000).numpy()
    assert betas[[0, -1]] == pytest.approx([1e-4, 0.02], rel=1e-15)
    assert np.diff(betas) == pytest.approx(np.full(999, (0.02 - 1e-4) / 999))
    assert np.prod(1 - betas) == pytest.approx(4.04e-5, rel=2e-3)  # known
    # E KL(q(x_T|x_0) ‖ N(0, 1)) per dimension, at |x_0| = 1: 2.0e-5 nats
    a = np.prod(1 - betas)
    assert 0.5 * (1 - a + a - 1 - math.log(1 - a)) == pytest.approx(2.0e-5, rel=0.02)


def test_a_linear_schedule_of_another_length_ends_in_as_much_noise():
    for timesteps in (50, 200, 4000):
        a = np.prod(1 - diffusion.linear_schedule(timesteps).numpy())
        assert math.log(a) == pytest.approx(math.log(4.04e-5), rel=0.2)


@pytest.mark.parametrize("timesteps", [1, 2, 10, 100, 1000])
def test_products_of_the_cosine_schedule_are_a_squared_cosine(timesteps):
    betas = diffusion.cosine_schedule(timesteps).numpy()
    t = np.arange(timesteps + 1) / timesteps
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    products = np.cumprod(1 - betas)
    np.testing.assert_allclose(products[:-1], f[1:-1] / f[0], rtol=1e-12)
    assert (betas == 0.999).sum() == 1
    assert betas[-1] == 0.999
    assert (np.diff(betas) > 0).all()


def test_the_first_step_of_the_cosine_schedule_is_the_published_one():
    assert diffusion.cosine_schedule(1000)[0].item() == pytest.approx(4.128e-5, rel=2e-4)


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


# ------------------------------------------------------------------------------- the chain


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
        model.predict_x0(x_t, t, noise)[:3].numpy(), x0[:3].numpy(), atol=1e-4
    )


def test_noise_that_is_not_given_is_drawn_and_handed_back():
    model, _, _ = chain("cosine", 100)
    x0, t = tg.zeros((1000, 2)), tg.full(1000, 99)
    x_t, noise = model.forward_diffusion(x0, t)
    assert noise.shape == (1000, 2)
    assert noise.dtype == tg.float32
    np.testing.assert_allclose(x_t.numpy(), noise.numpy(), atol=1e-5)
    assert noise.numpy().std() == pytest.approx(1, abs=0.05)


# ------------------------------------------------------------------------------- the posterior


@pytest.mark.parametrize(("schedule", "timesteps"), SCHEDULES)
def test_the_posterior_is_the_same_from_the_data_and_from_the_noise(schedule, timesteps):
    model, betas, alpha_bar = chain(schedule, timesteps)
    t, x0, noise = rows(timesteps)
    x_t, _ = model.forward_diffusion(x0, t, noise)
    now, before, b = (v[:, None] for v in (alpha_bar[1:], alpha_bar[:-1], betas))
    x0, noise, x = x0.numpy(), noise.numpy(), x_t.numpy()
    from_data = (np.sqrt(before) * b * x0 + np.sqrt(1 - b) * (1 - before) * x) / (1 - now)
    from_noise = (x - b / np.sqrt(1 - now) * noise) / np.sqrt(1 - b)
    mean, variance = model.posterior(tg.tensor(x0), x_t, t)
    guessed, _ = model.posterior(model.predict_x0(x_t, t, tg.tensor(noise)), x_t, t)
    for found in (mean, guessed):
        np.testing.assert_allclose(found.numpy(), from_data, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.numpy(), from_noise, rtol=0, atol=1e-12)
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
    x = x0
    for t, s in itertools.pairwise(times):
        now, then = tg.full(5, t), tg.full(5, s)
        if t >= 0:
            x, _ = model.posterior(model.predict_x0(x, now, noise), x, now, then, eta=0.0)
        else:
            x, _ = model.forward_diffusion(x0, then, noise)
        assert np.isfinite(x.numpy()).all()
        if s >= 0:
            line, _ = model.forward_diffusion(x0, then, noise)
            np.testing.assert_allclose(x.numpy(), line.numpy(), atol=1e-11)
    np.testing.assert_allclose(x.numpy(), x0.numpy(), atol=1e-11)


# ------------------------------------------------------------------------------- sampling


def test_ddim_is_a_function_of_where_it_starts_and_ancestral_sampling_is_not():
    tg.manual_seed(0)
    model = DiffusionModel(MLPDenoiser(width=8), 20, "cosine")
    x = tg.randn((50, 2))

    def walked(eta, seed):
        *_, (end, guess) = model.walk(x, eta=eta, generator=Generator(seed))
        assert (end == guess).all()  # the last step is to the guess itself
        return end.numpy()

    assert (walked(0.0, 0) == walked(0.0, 1)).all()
    assert (walked(1.0, 0) == walked(1.0, 0)).all()
    assert (walked(1.0, 0) != walked(1.0, 1)).all()


@pytest.mark.parametrize("steps", [None, 1, 2, 3, 7, 99, 100])
def test_any_number_of_steps_goes_from_the_last_time_to_the_data(steps):
    network = Silent()
    model = DiffusionModel(network, 100, "linear")
    sample = model.sample((4, 2), steps=steps, eta=0.0, generator=Generator(0))
    times = [int(t[0]) for t in network.asked]
    assert len(times) == (steps or 100)
    assert times[0] == 99
    assert all(a > b for a, b in itertools.pairwise(times))
    if steps is None:
        assert times == list(range(99, -1, -1))
    # without noise to take away, the walk divides by √ᾱ_T, whatever the steps
    start = tg.randn((4, 2), generator=Generator(0)).numpy()
    wanted = start / math.sqrt(model.alphas_cumprod[-1].item())
    np.testing.assert_allclose(sample.numpy(), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("steps", "eta", "shrunk"), [(None, 1.0, 0.12), (None, 0.0, 0.12), (50, 0.0, 0.25)]
)
def test_the_exact_score_of_a_mixture_samples_the_mixture(steps, eta, shrunk):
    centers, sigma = np.array([[-1.0, 0.5], [1.0, 0.5], [0.0, -1.2]]), 0.1
    model = DiffusionModel(Silent(), 200, "cosine")
    model.model = ExactMixture(centers, sigma, model.alphas_cumprod)
    x = tg.randn((6000, 2), tg.float64, generator=Generator(0))
    for moved, _ in model.walk(x, steps=steps, eta=eta, generator=Generator(1)):
        x = moved
    x = x.numpy()
    mode = ((x[:, None] - centers) ** 2).sum(-1).argmin(1)
    # the spread is a little too small, and the more so the fewer the steps
    np.testing.assert_allclose(np.bincount(mode) / 6000, 1 / 3, atol=0.03)
    for k, center in enumerate(centers):
        cloud = x[mode == k]
        np.testing.assert_allclose(cloud.mean(0), center, atol=0.015)
        np.testing.assert_allclose(cloud.std(0), sigma, rtol=shrunk)
    assert (np.linalg.norm(x - centers[mode], axis=1) < 0.5).all()


def test_guesses_of_the_data_are_clipped():
    model = DiffusionModel(Silent(), 100, "cosine", clip=1.0)
    for steps, eta in ((None, 1.0), (5, 0.0)):
        x = model.sample((50, 1, 4, 4), steps=steps, eta=eta, generator=Generator(0))
        assert np.abs(x.numpy()).max() <= 1


def test_sampling_records_nothing_for_gradients():
    tg.manual_seed(0)
    model = DiffusionModel(MLPDenoiser(width=8), 5, "cosine")
    assert not model.sample((2, 2)).requires_grad
    for x, guess in model.walk(tg.randn((2, 2))):
        assert tg.is_grad_enabled()
        assert not x.requires_grad
        assert not guess.requires_grad


# ------------------------------------------------------------------------------- the loss


@pytest.mark.parametrize("shape", [(3,), (1, 4, 4)])
def test_the_loss_is_the_mean_squared_error_of_the_noise(shape):
    # whoever sees no noise errs by ε² = 1 on average, and whoever sees it all by nothing
    tg.manual_seed(0)
    x0 = tg.randn((20_000 // math.prod(shape), *shape))
    model = DiffusionModel(Silent(), 10, "cosine")
    assert model.train_step(x0).item() == pytest.approx(1, abs=0.05)

    class Knowing(nn.Module):
        def forward(self, x_t, t):
            a = model.alpha_bar(t, x_t).astype(x_t.dtype)
            return (x_t - tg.sqrt(a) * x0) / tg.sqrt(1 - a)

    model.model = Knowing()
    assert model.train_step(x0).item() == pytest.approx(0, abs=1e-9)


def test_all_times_are_drawn_equally_often_one_for_each_row():
    tg.manual_seed(0)
    network = Silent()
    DiffusionModel(network, 8, "cosine").train_step(tg.zeros((16_000, 2)))
    counts = np.bincount(network.asked[0], minlength=8)
    assert len(counts) == 8
    assert (np.abs(counts - 2000) < 5 * math.sqrt(2000)).all()


def test_the_terms_of_the_bound_are_squared_errors_of_the_noise_with_a_weight():
    model, betas, alpha_bar = chain("linear", 1000)
    t, x0, noise = rows(1000)
    guess = noise + tg.tensor(np.random.default_rng(1).normal(size=noise.shape))
    x_t, _ = model.forward_diffusion(x0, t, noise)
    truth, variance = model.posterior(x0, x_t, t)
    mean, _ = model.posterior(model.predict_x0(x_t, t, guess), x_t, t)
    variance, betas = variance[1:, 0].numpy(), betas[1:]  # of the first step it is 0
    kl = ((truth - mean) ** 2).sum(1)[1:].numpy() / (2 * variance)
    weight = betas**2 / (2 * variance * (1 - betas) * (1 - alpha_bar[2:]))
    np.testing.assert_allclose(kl, weight * ((guess - noise) ** 2).sum(1)[1:].numpy(), rtol=1e-8)
    assert (np.diff(weight[:100]) < 0).all()
    # as a weight of the error of x_0 it is half the loss of signal to noise in this step
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    error = ((x0 - model.predict_x0(x_t, t, guess)) ** 2).sum(1)[1:].numpy()
    np.testing.assert_allclose(kl, (snr[:-1] - snr[1:]) / 2 * error, rtol=1e-8)


def test_gradients_of_the_loss_equal_central_differences():
    tg.manual_seed(0)
    model = DiffusionModel(MLPDenoiser(width=5, time_dim=4), 10, "cosine")
    x0 = tg.randn((6, 2), tg.float64)
    model.to(tg.float64)

    def value():
        with tg.random.using(Generator(3)):
            return model.train_step(x0)

    check_slopes(model, value, bound=1e-7)


# ------------------------------------------------------------------------------- networks


def test_times_become_sines_then_cosines_from_fast_to_slow():
    code = timestep_embedding(tg.tensor([0, 3, 999]), 6).numpy()
    for row, t in zip(code, (0, 3, 999), strict=True):
        angles = t * np.array([1, 1e-2, 1e-4])
        np.testing.assert_allclose(row, [*np.sin(angles), *np.cos(angles)], atol=1e-4)


def test_networks_begin_with_a_guess_of_the_right_shape_that_learns():
    tg.manual_seed(0)
    for network, shape in ((MLPDenoiser(width=16), (8, 2)), (ConvDenoiser(8), (8, 1, 28, 28))):
        model = DiffusionModel(network, 10, "cosine")
        loss = model.train_step(tg.randn(shape))
        loss.backward()
        silent = {n for n, p in model.named_parameters() if not np.abs(p.grad.numpy()).max() > 0}
        if isinstance(network, MLPDenoiser):
            assert not silent
        else:  # its last layer begins at 0, and hides the others in the first step
            assert "model.last.weight" not in silent
            np.testing.assert_allclose(loss.item(), 1, atol=0.1)


def test_each_row_of_a_batch_is_judged_by_its_own_time_alone():
    tg.manual_seed(0)
    network = ConvDenoiser(8)
    for parameter in network.parameters():
        if not parameter.numpy().any():
            nn.init.normal_(parameter, 0, 0.1)
    x, t = tg.randn((3, 1, 28, 28)), tg.tensor([0, 5, 9])
    together = network(x, t).numpy()
    for i in range(3):
        alone = network(x[i : i + 1], t[i : i + 1]).numpy()
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)
    assert np.abs(network(x, t + 1).numpy() - together).max() > 1e-4


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: DiffusionModel(m.model, 0), "timesteps is 0; expected at least 1"),
        (
            lambda m: DiffusionModel(m.model, 10, "linear"),
            "at least 20 for the linear schedule, not 10",
        ),
        (lambda m: DiffusionModel(m.model, 10, "square"), "linear or cosine, not 'square'"),
        (
            lambda m: m.forward_diffusion(tg.zeros((2, 2)), tg.tensor([0, 9])),
            "in 0 … 8; these lie in 0 … 9",
        ),
        (
            lambda m: m.forward_diffusion(tg.zeros((2, 2)), tg.tensor([-1, 0])),
            "these lie in -1 … 0",
        ),
        (lambda m: m.forward_diffusion(tg.zeros((2, 2)), tg.tensor([0])), r"of shape \(1,\)"),
        (lambda m: m.forward_diffusion(tg.zeros((2, 2)), tg.zeros(2)), "not float32 of shape"),
        (
            lambda m: m.forward_diffusion(tg.zeros((2, 2)), tg.tensor([0, 1]), tg.zeros(2)),
            r"noise has shape \(2,\); expected that of x0, \(2, 2\)",
        ),
        (
            lambda m: m.forward_diffusion(tg.zeros((2, 2), tg.uint8), tg.tensor([0, 1])),
            r"floating-point data of shape \(N, …\), not uint8 of shape \(2, 2\)",
        ),
        (lambda m: m.sample((1, 2), steps=10), "steps must lie in 1 … 9, not 10"),
        (lambda m: m.sample((1, 2), steps=0), "steps must lie in 1 … 9, not 0"),
        (lambda m: m.sample((1, 2), eta=1.5), "eta is 1.5"),
        (
            lambda m: m.posterior(
                tg.zeros((1, 2)), tg.zeros((1, 2)), tg.tensor([1]), tg.tensor([4])
            ),
            "a step that adds noise needs eta = 0",
        ),
        (lambda m: diffusion.loss(m, tg.zeros((3, 3))), r"points of shape \(N, 2\)"),
        (lambda m: diffusion.loss(m, tg.full((3, 2), math.nan)), "must be finite"),
        (lambda m: diffusion.loss(m, tg.full((3, 1, 28, 28), 255.0)), "divide bytes by 255"),
        (lambda m: diffusion.loss(m, tg.zeros((3, 1, 32, 32))), r"shape \(N, 1, 28, 28\); got"),
        (lambda m: ConvDenoiser(12), "channels is 12; expected a multiple of 8"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(DiffusionModel(Silent(), 9, "cosine"))
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------- training


def test_a_restored_model_has_the_averaged_weights_and_the_pictures_are_there(tmp_path):
    config = diffusion.Config(
        timesteps=10, width=8, epochs=2, batch_size=4096, sample_every=50, dataset="moons"
    )
    with Run(tmp_path, config) as run:
        diffusion.train(config, run)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    model = diffusion.restore(tmp_path)
    with tg.random.using(Generator(config.seed)):
        unseen, _ = diffusion.points2d.Draws("moons", 0).batch(range(2000))
    assert diffusion.evaluate(model, unseen) == metrics[-1]["test_loss"]
    rates = [line["lr"] for line in metrics if "lr" in line]
    assert max(rates) == pytest.approx(config.learning_rate, rel=0.05)
    assert rates[-1] < 1e-3 * config.learning_rate
    names = {path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".gif")}
    assert names == {
        "curves.png",
        "denoising.gif",
        "denoising.png",
        "noising.png",
        "samples.gif",
        "samples.png",
    }


def test_digits_are_sampled_in_the_range_of_pixels_and_drawn_in_sheets(tmp_path):
    config = diffusion.Config(
        dataset="digits", timesteps=5, channels=8, epochs=1, batch_size=512, sample_every=3
    )
    with Run(tmp_path, config) as run:
        diffusion.train(config, run)
    model = diffusion.restore(tmp_path)
    for steps in (None, 3):
        images = diffusion.sample(model, 3, Generator(0), steps=steps).numpy()
        assert images.shape == (3, 1, 28, 28)
        assert images.min() >= 0
        assert images.max() <= 1
    arcs = gallery.interpolate(model, 2, Generator(0))
    assert arcs.shape == (22, 1, 28, 28)
    sheets = {path.name for path in tmp_path.glob("*.png")} - {"curves.png"}
    assert sheets == {
        "denoising.png",
        "interpolation.png",
        "noising.png",
        "samples.png",
        "steps.png",
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_part_of_the_ring_gets_its_share_of_samples(tmp_path, seed):
    config = diffusion.Config(seed=seed)
    with Run(tmp_path, config) as run:
        diffusion.train(config, run)
    assert run.step == 6000
    points = diffusion.sample(diffusion.restore(tmp_path), 2500, Generator(0)).numpy()
    centers = tg.data.gaussians_ring(8, n=8).centers.numpy()
    away = np.linalg.norm(points[:, None] - centers, axis=2)
    near = away.min(1) < 0.3
    shares = np.bincount(away.argmin(1)[near], minlength=8) / 2500
    assert near.mean() >= 0.95
    assert shares.min() >= 0.08
    assert shares.max() <= 0.17
