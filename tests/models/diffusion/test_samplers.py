"""The samplers, held against exact scores, exact flows and each other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from diffusion_models import Mixture, Silent

import tinygrad_gm as tg
from tinygrad_gm import Generator
from tinygrad_gm.models.diffusion import DiffusionModel, Process, samplers
from tinygrad_gm.models.diffusion.denoisers import MLPDenoiser

MIXTURE = [[-1.0, 0.5], [1.0, 0.5], [0.0, -1.2]], 0.3


def walked(process, denoise, x, **options):
    for moved, _ in samplers.walk(process, denoise, x, **options):
        x = moved
    return x


def moments(x):
    """Both coordinates, their squares and their product, for each point."""
    return np.concatenate([x, x**2, x[:, :1] * x[:, 1:]], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "sampler"),
    [
        ("linear", "ancestral"),
        ("vdm", "ddim"),
        ("cosine", "euler"),
        ("cosine", "heun"),
        ("linear", "euler-maruyama"),
    ],
)
def test_every_sampler_with_the_exact_score_of_a_mixture_recovers_its_moments(schedule, sampler):
    count, process = 10_000, Process(1000, schedule)
    mixture = Mixture(*MIXTURE, process)
    start = tg.randn((count, 2), tg.float64, generator=Generator(0))
    found = walked(process, mixture, start, sampler=sampler, generator=Generator(1)).numpy()
    truth = moments(mixture.draw(1_000_000))
    errors = moments(found).mean(axis=0) - truth.mean(axis=0)
    standard_errors = truth.std(axis=0) / math.sqrt(count)
    assert (np.abs(errors) < 3 * standard_errors).all()
    parts = np.linalg.norm(found[:, None] - mixture.centers, axis=2).argmin(axis=1)
    shares = np.bincount(parts, minlength=3) / count
    np.testing.assert_allclose(shares, 1 / 3, atol=3 * math.sqrt(2 / 9 / count))


def test_few_steps_of_every_sampler_end_near_the_mixture():
    process = Process(200, "cosine")
    mixture = Mixture(*MIXTURE, process)
    start = tg.randn((1000, 2), tg.float64, generator=Generator(0))
    for sampler in samplers.SAMPLERS:
        x = walked(process, mixture, start, sampler=sampler, steps=50, generator=Generator(1))
        away = np.linalg.norm(x.numpy()[:, None] - mixture.centers, axis=2)
        assert (away.min(axis=1) < 4 * mixture.sigma).all()
        np.testing.assert_allclose(np.bincount(away.argmin(axis=1)) / 1000, 1 / 3, atol=0.06)


def flow_of_a_gaussian(process, x, t, s, mean, sigma):
    """The exact flow of data N(mean, σ²), in which (x_t − α mean)/√(α²σ² + 1 − α²) is constant."""
    spreads = []
    for step in (t, s):
        a = process.alphas_cumprod[step].item()
        spreads.append((math.sqrt(a) * mean, math.sqrt(a * sigma**2 + 1 - a)))
    (center, spread), (other_center, other_spread) = spreads
    return other_center + other_spread * (x - center) / spread


@pytest.mark.parametrize(
    ("method", "order"),
    [
        (samplers.Flow(corrected=False), 1),
        (samplers.Flow(corrected=True), 2),
        (samplers.Flow(corrected=True, coordinates=samplers.KARRAS), 2),
        (samplers.DDIM(), 1),
    ],
    ids=["euler", "heun", "heun-karras", "ddim"],
)
@pytest.mark.parametrize("schedule", ["cosine", "vdm"])
def test_errors_of_heun_fall_with_the_square_of_the_step_and_of_euler_with_the_step(
    method, order, schedule
):
    process = Process(3840, schedule)
    gaussian = Mixture([[0.5]], 0.6, process)
    start, first, last = tg.tensor(np.linspace(-2, 2, 9)[:, None]), 3199, 639
    truth = flow_of_a_gaussian(process, start.numpy(), first, last, 0.5, 0.6)
    errors = []
    for steps in (40, 80, 160):
        x = start
        for t, s in itertools.pairwise(np.linspace(first, last, steps + 1).astype(int).tolist()):
            x, _ = method(process, gaussian, x, t, s)
        errors.append(np.abs(x.numpy() - truth).max())
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.12)


def test_eulers_method_in_the_coordinates_of_karras_is_ddim():
    process = Process(100, "linear")
    mixture = Mixture(*MIXTURE, process)
    x = tg.randn((20, 2), tg.float64, generator=Generator(0))
    euler = samplers.Flow(corrected=False, coordinates=samplers.KARRAS)
    for t, s in samplers.spaced(100, 7):
        moved, _ = euler(process, mixture, x, t, s)
        x, _ = samplers.DDIM()(process, mixture, x, t, s)
        np.testing.assert_allclose(moved.numpy(), x.numpy(), rtol=1e-9)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_ddim_with_eta_1_is_ancestral_sampling(schedule):
    process = Process(100, schedule)
    mixture = Mixture(*MIXTURE, process)
    x = tg.randn((20, 2), tg.float64, generator=Generator(0))
    both = [
        walked(process, mixture, x, sampler=name, eta=eta, generator=Generator(1)).numpy()
        for name, eta in (("ddim", 1.0), ("ancestral", 0.0))
    ]
    assert (both[0] == both[1]).all()
    # and a single step of it is the step of Ho et al., algorithm 2, with the same z
    t = 60
    rows = tg.full(20, t)
    alpha, sigma = (v.numpy() for v in process.alpha_sigma(rows, x))
    found, _ = samplers.DDIM(1.0)(process, mixture, x, t, t - 1, Generator(2))
    z = tg.randn((20, 2), tg.float64, generator=Generator(2)).numpy()
    noise = (x.numpy() - alpha * mixture(x, rows).numpy()) / sigma
    beta, before, now = (
        v[i].item()
        for v, i in (
            (process.betas, t),
            (process.alphas_cumprod, t - 1),
            (process.alphas_cumprod, t),
        )
    )
    mean = (x.numpy() - beta / math.sqrt(1 - now) * noise) / math.sqrt(1 - beta)
    wanted = mean + math.sqrt(beta * (1 - before) / (1 - now)) * z
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-13)


def test_an_inverted_walk_of_ddim_leads_back_to_the_data():
    process = Process(1000, "cosine")
    mixture = Mixture(*MIXTURE, process)
    x0 = tg.tensor(mixture.draw(200))
    errors = []
    for steps in (50, 200, 1000):
        noise = samplers.invert(process, mixture, x0, steps=steps)
        assert np.isfinite(noise.numpy()).all()
        back = walked(process, mixture, noise, sampler="ddim", steps=steps)
        errors.append(np.abs(back.numpy() - x0.numpy()).mean())
    assert errors[2] < errors[1] / 3 < errors[0] / 9
    assert errors[2] < 0.01
    # the noise of many data is normal
    assert noise.numpy().std() == pytest.approx(1, abs=0.1)


def test_a_repeated_step_adds_the_noise_that_it_took_away():
    process, calls = Process(50, "cosine"), []

    def denoise(x, t):
        calls.append(int(t[0]))
        return tg.zeros_like(x)  # data are all 0, so x_t is N(0, σ_t²)

    x = tg.randn((20_000, 1), generator=Generator(0))
    steps = list(samplers.walk(process, denoise, x, repeats=3, generator=Generator(1)))
    assert len(steps) == 50
    assert calls == [t for t in range(49, 0, -1) for _ in range(3)] + [0]
    for moved, t in zip([x for x, _ in steps[:-1]], range(48, -1, -1), strict=True):
        wanted = 1 - process.alphas_cumprod[t].item()
        assert moved.numpy().var() == pytest.approx(wanted, rel=0.06)


def test_ddim_is_a_function_of_where_it_starts_and_ancestral_sampling_is_not():
    tg.manual_seed(0)
    model = DiffusionModel(MLPDenoiser(width=8), 20, "cosine")
    x = tg.randn((50, 2))

    def walked(eta, seed):
        *_, (end, guess) = model.walk(x, sampler="ddim", eta=eta, generator=Generator(seed))
        assert (end == guess).all()  # the last step is to the guess itself
        return end.numpy()

    assert (walked(0.0, 0) == walked(0.0, 1)).all()
    assert (walked(1.0, 0) == walked(1.0, 0)).all()
    assert (walked(1.0, 0) != walked(1.0, 1)).all()


@pytest.mark.parametrize("steps", [None, 1, 2, 3, 7, 99, 100])
def test_any_number_of_steps_goes_from_the_last_time_to_the_data(steps):
    network = Silent()
    model = DiffusionModel(network, 100, "linear")
    sample = model.sample((4, 2), sampler="ddim", steps=steps, generator=Generator(0))
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


def test_guesses_of_the_data_are_clipped():
    model = DiffusionModel(Silent(), 100, "cosine", clip=1.0)
    for sampler in samplers.SAMPLERS:
        x = model.sample((50, 1, 4, 4), sampler=sampler, steps=5, generator=Generator(0))
        assert np.abs(x.numpy()).max() <= 1


def test_sampling_records_nothing_for_gradients():
    tg.manual_seed(0)
    model = DiffusionModel(MLPDenoiser(width=8), 5, "cosine")
    assert not model.sample((2, 2)).requires_grad
    for x, guess in model.walk(tg.randn((2, 2))):
        assert tg.is_grad_enabled()
        assert not x.requires_grad
        assert not guess.requires_grad
