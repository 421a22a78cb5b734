"""The diffusion model: its loss, its networks, what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from diffusion_models import Silent
from slopes import check_slopes

import tinygrad_gm as tg
from tinygrad_gm import Generator, nn
from tinygrad_gm.models import diffusion
from tinygrad_gm.models.diffusion import DiffusionModel
from tinygrad_gm.models.diffusion.denoisers import MLPDenoiser
from tinygrad_gm.models.parts.timesteps import timestep_embedding
from tinygrad_gm.models.unet import UNet2D


@pytest.mark.parametrize("shape", [(3,), (1, 4, 4)])
def test_the_loss_is_the_mean_squared_error_of_the_noise(shape):
    # predicting no noise has an error of ε² = 1 on average, predicting all of it an error of 0
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


def test_gradients_of_the_loss_equal_central_differences():
    tg.manual_seed(0)
    model = DiffusionModel(MLPDenoiser(width=5, time_dim=4), 10, "cosine")
    x0 = tg.randn((6, 2), tg.float64)
    model.to(tg.float64)

    def value():
        with tg.random.using(Generator(3)):
            return model.train_step(x0)

    check_slopes(model, value, bound=1e-7)


def test_times_become_sines_then_cosines_from_fast_to_slow():
    code = timestep_embedding(tg.tensor([0, 3, 999]), 6).numpy()
    for row, t in zip(code, (0, 3, 999), strict=True):
        angles = t * np.array([1, 1e-2, 1e-4])
        np.testing.assert_allclose(row, [*np.sin(angles), *np.cos(angles)], atol=1e-4)


def test_networks_begin_with_a_guess_of_the_right_shape_that_learns():
    tg.manual_seed(0)
    for network, shape, last in (
        (MLPDenoiser(width=16), (64, 2), "model.layers.8.weight"),
        (UNet2D(1, 1, channels=8), (8, 1, 32, 32), "model.conv_out.weight"),
    ):
        model = DiffusionModel(network, 10, "cosine")
        loss = model.train_step(tg.randn(shape))
        loss.backward()
        # the last layer begins at 0, and hides the others in the first step
        silent = {n for n, p in model.named_parameters() if not np.abs(p.grad.numpy()).max() > 0}
        assert last not in silent
        np.testing.assert_allclose(loss.item(), 1, atol=0.4)


def test_each_row_of_a_batch_is_judged_by_its_own_time_alone():
    tg.manual_seed(0)
    network = UNet2D(1, 1, channels=8, multipliers=(1, 2, 4), blocks=1, attention=(2,))
    for parameter in network.parameters():
        if not parameter.numpy().any():
            nn.init.normal_(parameter, 0, 0.1)
    x, t = tg.randn((3, 1, 28, 28)), tg.tensor([0, 5, 9])
    together = network(x, t).numpy()
    for i in range(3):
        alone = network(x[i : i + 1], t[i : i + 1]).numpy()
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)
    assert np.abs(network(x, t + 1).numpy() - together).max() > 1e-4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: DiffusionModel(m.model, 0), "timesteps is 0; expected at least 1"),
        (
            lambda m: DiffusionModel(m.model, 10, "linear"),
            "at least 20 for the linear schedule, not 10",
        ),
        (
            lambda m: DiffusionModel(m.model, 10, "square"),
            "linear, cosine, vdm, not 'square'",
        ),
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
        (lambda m: m.sample((1, 2), sampler="ddim", eta=1.5), "eta is 1.5"),
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
        (lambda m: DiffusionModel(m.model, 10, "cosine", target="noice"), "not 'noice'"),
        (lambda m: DiffusionModel(m.model, 10, "cosine", loss="l2"), "not 'l2'"),
        (lambda m: m.sample((1, 2), sampler="ddmi"), "sampler must be ancestral, .*, not 'ddmi'"),
        (lambda m: m.sample((1, 2), eta=0.5), "eta is for the sampler ddim; ancestral has none"),
        (lambda m: m.sample((1, 2), repeats=0), "repeats is 0; expected at least 1"),
        (lambda m: m.sample((1, 2), guidance=1.0), "guidance needs a conditional model"),
        (
            lambda m: DiffusionModel(m.model, 9, "cosine", classes=2).train_step(tg.zeros((1, 2))),
            "needs the class of each sample",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(DiffusionModel(Silent(), 9, "cosine"))
    assert "\n" not in str(error.value)
