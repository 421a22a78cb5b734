"""The U-Net with the weights of diffusers', and the steps of its schedulers with the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tinygrad_gm as tg
from tinygrad_gm.models.diffusion import DiffusionModel, Process, process, samplers, targets
from tinygrad_gm.models.unet import UNet2D

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
NAMES = {"noise": "epsilon", "x0": "sample", "v": "v_prediction"}

# channels, multipliers, blocks, levels with attention, classes
SIZES = [
    pytest.param(32, (1, 2, 2, 2), 2, (1,), None, id="ddpm-cifar10"),
    pytest.param(16, (1, 2, 4), 1, (2,), 10, id="digits"),
    pytest.param(64, (1, 1), 1, (0, 1), None, id="attention-everywhere"),
]


def both(channels, multipliers, blocks, attention, classes) -> tuple[UNet2D, Any]:
    """Ours, and diffusers' in the configuration of google/ddpm-cifar10-32 with these sizes."""
    attends = [level in attention for level in range(len(multipliers))]
    theirs = diffusers.UNet2DModel(
        sample_size=16,
        in_channels=3,
        out_channels=3,
        layers_per_block=blocks,
        block_out_channels=tuple(channels * multiplier for multiplier in multipliers),
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
        norm_num_groups=min(32, channels),
        attention_head_dim=None,
        flip_sin_to_cos=False,
        freq_shift=1,
        downsample_padding=0,
        norm_eps=1e-6,
        num_class_embeds=None if classes is None else classes + 1,
    ).eval()
    ours = UNet2D(
        channels=channels,
        multipliers=multipliers,
        blocks=blocks,
        attention=attention,
        num_classes=classes,
    ).eval()
    return ours, theirs


@pytest.mark.parametrize(("channels", "multipliers", "blocks", "attention", "classes"), SIZES)
@pytest.mark.parametrize("direction", ["ours get theirs", "theirs get ours"])
def test_outputs_and_gradients_are_those_of_diffusers(
    channels, multipliers, blocks, attention, classes, direction, record_property
):
    ours, theirs = both(channels, multipliers, blocks, attention, classes)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.08, value.shape).astype(np.float32)
        for name, value in theirs.state_dict().items()
    }
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: tuple(value.shape) for name, value in theirs.state_dict().items()
    }
    if direction == "ours get theirs":
        theirs.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
        ours.load_state_dict(
            {name: tg.tensor(value.numpy()) for name, value in theirs.state_dict().items()}
        )
    else:
        ours.load_state_dict({name: tg.tensor(value) for name, value in weights.items()})
        theirs.load_state_dict(
            {name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()}
        )
    x = rng.normal(size=(3, 3, 16, 16)).astype(np.float32)
    t, labels = np.array([0, 17, 999]), np.array([0, 3, 10])
    found, known = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    if classes is None:
        out, wanted = ours(found, tg.tensor(t)), theirs(known, torch.tensor(t)).sample
    else:
        out = ours(found, tg.tensor(t), tg.tensor(labels))
        wanted = theirs(known, torch.tensor(t), torch.tensor(labels)).sample
    error = np.abs(out.numpy() - wanted.detach().numpy()).max()
    record_property("error", error)
    assert error < 1e-4
    out.square().mean().backward()
    wanted.square().mean().backward()
    np.testing.assert_allclose(found.grad.numpy(), known.grad.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("timesteps", [100, 1000])
def test_schedules_are_those_of_diffusers(timesteps):
    found = process.cosine_schedule(timesteps).numpy()
    scheduler = diffusers.DDPMScheduler(timesteps, beta_schedule="squaredcos_cap_v2")
    np.testing.assert_allclose(found, scheduler.betas.numpy(), rtol=0, atol=1e-7)
    if timesteps == 1000:
        linear = diffusers.DDPMScheduler(1000, beta_schedule="linear").betas.numpy()
        np.testing.assert_allclose(process.linear_schedule(1000).numpy(), linear, atol=1e-7)


def in_float64(scheduler: Any, schedule: str) -> None:
    """Give a scheduler its schedule in float64: in float32, 1 − ᾱ_1 = 1e-4 has three digits."""
    chain = Process(1000, schedule)
    scheduler.betas = torch.tensor(chain.betas.numpy())
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.tensor(chain.alphas_cumprod.numpy())


def states(seed: int = 0) -> tuple[Any, Any, Any]:
    """A state x_t, an output of the network, and noise: (4, 3, 5) each, float32."""
    rng = np.random.default_rng(seed)
    x, y, z = (rng.normal(size=(4, 3, 5)).astype(np.float32) for _ in range(3))
    return x, y, z


def step(sampler, chain: Process, target: str, t: int, s: int, monkeypatch) -> Any:
    """A step of our sampler, with the output and the noise of `states`."""
    x, y, z = states()
    monkeypatch.setattr(samplers, "_noise", lambda x, generator: tg.tensor(z))

    def denoise(x_t: tg.Tensor, times: tg.Tensor) -> tg.Tensor:
        return targets.to_x0(target, tg.tensor(y), x_t, *chain.alpha_sigma(times, x_t))

    return sampler(chain, denoise, tg.tensor(x), t, s)[0].numpy()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("t", [0, 1, 500, 900])
def test_a_step_of_ancestral_sampling_is_that_of_ddpm(schedule, target, t, monkeypatch):
    theirs = diffusers.DDPMScheduler(
        1000,
        beta_schedule=SCHEDULES[schedule],
        variance_type="fixed_small",
        clip_sample=False,
        prediction_type=NAMES[target],
    )
    in_float64(theirs, schedule)
    x, y, z = states()
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *args, **kw: torch.tensor(z)
    )
    known = theirs.step(torch.tensor(y), t, torch.tensor(x)).prev_sample.numpy()
    found = step(samplers.DDIM(1.0), Process(1000, schedule), target, t, t - 1, monkeypatch)
    np.testing.assert_allclose(found, known, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("t", [0, 20, 480, 900])
def test_a_step_of_ddim_is_that_of_diffusers(schedule, target, eta, t, monkeypatch):
    theirs = diffusers.DDIMScheduler(
        1000,
        beta_schedule=SCHEDULES[schedule],
        clip_sample=False,
        prediction_type=NAMES[target],
    )
    in_float64(theirs, schedule)
    theirs.set_timesteps(50)
    x, y, z = states()
    known = theirs.step(
        torch.tensor(y), t, torch.tensor(x), eta=eta, variance_noise=torch.tensor(z)
    ).prev_sample.numpy()
    sampler = samplers.DDIM(eta)
    found = step(sampler, Process(1000, schedule), target, t, max(t - 20, -1), monkeypatch)
    np.testing.assert_allclose(found, known, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("target", NAMES)
def test_a_walk_of_heuns_method_in_the_coordinates_of_karras_is_that_of_diffusers(target):
    theirs = diffusers.HeunDiscreteScheduler(
        1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        prediction_type=NAMES[target],
        timestep_spacing="leading",
    )
    theirs.set_timesteps(20)
    model = DiffusionModel(tg.nn.Identity(), 1000, "linear")
    times = sorted({int(t) for t in theirs.timesteps}, reverse=True)
    assert times == list(range(950, -1, -50))

    def denoise(x: tg.Tensor, t: tg.Tensor) -> tg.Tensor:  # of data that are N(0.3, 0.25)
        alpha, sigma = model.alpha_sigma(t, x)
        return 0.3 + 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * (x - 0.3 * alpha)

    x, _, _ = states()
    ours, y = tg.tensor(x), torch.tensor(x) * (theirs.sigmas[0] ** 2 + 1) ** 0.5
    heun = samplers.Flow(corrected=True, coordinates=samplers.KARRAS)
    for t, s in zip(times, [*times[1:], -1], strict=True):
        ours, _ = heun(model, denoise, ours, t, s)
    for t in theirs.timesteps:
        scaled = tg.tensor(theirs.scale_model_input(y, t).numpy())
        rows = tg.full(len(x), int(t))
        alpha, sigma = model.alpha_sigma(rows, scaled)
        output = targets.convert(denoise(scaled, rows), "x0", target, scaled, alpha, sigma)
        y = theirs.step(torch.tensor(output.numpy()), t, y).prev_sample
    np.testing.assert_allclose(ours.numpy(), y.numpy(), rtol=1e-5, atol=1e-5)
