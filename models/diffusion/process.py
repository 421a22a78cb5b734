"""The noising process: schedules, x_t given x_0, and x_s given x_t and x_0.

The papers' steps t = 1 … T are 0 … T − 1 in the code, as in the notes, and the papers' x_0 has the
index −1, with ᾱ = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tinygrad_gm as tg
from tinygrad_gm import Tensor, nn


def linear_schedule(timesteps: int) -> Tensor:
    """β_1 … β_T in even steps from 1e-4 to 0.02 (Ho et al. 2020, section 4), float64.

    The paper's T is 1000. For another T the ends are multiplied by 1000/T, for the same amount of
    noise in total; for T < 20 a β would exceed 1.

    >>> f"{tg.cumulative_prod(1 - linear_schedule(1000))[-1].item():.3g}"
    '4.04e-05'
    """
    if timesteps < 20:
        raise ValueError(
            f"diffusion: timesteps must be at least 20 for the linear schedule, not {timesteps}"
        )
    scale = 1000 / timesteps
    ends = scale * 1e-4, scale * 0.02
    return tg.clip(tg.linspace(*ends, timesteps, dtype=tg.float64), 0, 0.999)


def cosine_schedule(timesteps: int) -> Tensor:
    """β_1 … β_T of Nichol and Dhariwal 2021 ("Improved DDPM", eq. 17), float64.

        ᾱ_t = f(t) / f(0),  f(t) = cos²((t/T + s) / (1 + s) · π/2),  s = 0.008

    so β_t = 1 − f(t) / f(t − 1), clipped to 0.999, since the last would be 1. The signal decreases
    evenly, while the linear schedule destroys small images long before T.

    >>> f"{cosine_schedule(1000)[0].item():.3e}"
    '4.128e-05'
    """
    t = tg.arange(timesteps + 1, dtype=tg.float64)
    angles = (t / timesteps + 0.008) / 1.008 * (math.pi / 2)
    f = tg.cos(angles) ** 2
    return tg.clip(1 - f[1:] / f[:-1], 0, 0.999)


def vdm_schedule(timesteps: int) -> Tensor:
    """β_1 … β_T for a logarithm of the signal-to-noise ratio that falls evenly, float64.

        ln SNR_t = ln ᾱ_t/(1 − ᾱ_t) = −γ_t,  ᾱ_t = σ(−γ_t),  γ from −10 to 10

    as in Kingma et al. 2021 ("Variational Diffusion Models", section 3 and figure 4b: their γ,
    before it is learned). Of the three schedules, only this one makes the bound exact for T → ∞.

    >>> products = tg.cumulative_prod(1 - vdm_schedule(3))
    >>> tg.log(products / (1 - products)).numpy().round(6).tolist()
    [10.0, 0.0, -10.0]
    """
    alpha_bar = tg.sigmoid(-tg.linspace(-10, 10, timesteps, dtype=tg.float64))
    return 1 - alpha_bar / tg.concat([tg.ones(1, tg.float64), alpha_bar[:-1]])


SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "linear": linear_schedule,
    "cosine": cosine_schedule,
    "vdm": vdm_schedule,
}


class Process(nn.Module):
    """x_t = α_t x_0 + σ_t ε with α_t = √ᾱ_t and σ_t = √(1 − ᾱ_t), for data of any rank.

    Args:
        timesteps: T.
        schedule: "linear", "cosine" or "vdm".

    Attributes:
        betas: β, (T,), a buffer, float64: 1 − ᾱ near 0 has few digits left in float32.
        alphas_cumprod: ᾱ, (T,), likewise.

    Raises ValueError for another schedule, or fewer than one step.

    >>> process = Process(100, "cosine")
    >>> x_t, noise = process.forward_diffusion(tg.zeros((5, 2)), tg.full(5, 99))
    >>> bool(tg.allclose(x_t, noise, atol=1e-3))
    True
    """

    betas: Tensor
    alphas_cumprod: Tensor

    def __init__(self, timesteps: int = 1000, schedule: str = "linear") -> None:
        super().__init__()
        if timesteps < 1:
            raise ValueError(f"diffusion: timesteps is {timesteps}; expected at least 1")
        if schedule not in SCHEDULES:
            raise ValueError(
                f"diffusion: schedule must be {', '.join(SCHEDULES)}, not {schedule!r}"
            )
        self.timesteps = timesteps
        betas = SCHEDULES[schedule](timesteps)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_cumprod", tg.cumulative_prod(1 - betas))

    def alpha_bar(self, t: Tensor, x: Tensor) -> Tensor:
        """ᾱ_t for each row of x, of shape (N, 1, …, 1) with the rank of x; 1 where t is −1."""
        found = tg.where(t < 0, 1.0, self.alphas_cumprod[tg.maximum(t, 0)])
        return found.reshape(-1, *[1] * (x.ndim - 1))

    def alpha_sigma(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """α_t and σ_t for each row of x, of shape (N, 1, …, 1), in the dtype of x."""
        alpha_bar = self.alpha_bar(t, x)
        return tg.sqrt(alpha_bar).astype(x.dtype), tg.sqrt(1 - alpha_bar).astype(x.dtype)

    def snr(self) -> Tensor:
        """The signal-to-noise ratio ᾱ_t/(1 − ᾱ_t) of each step, (T,)."""
        return self.alphas_cumprod / (1 - self.alphas_cumprod)

    def forward_diffusion(
        self, x0: Tensor, t: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x_t and the noise in it: √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

        Args:
            x0: data of any rank, (N, …).
            t: the step of each row, (N,), integers from 0 to T − 1.
            noise: ε, of the shape of x0; None: drawn.

        Raises ValueError for another t, noise of another shape, or x0 of integers.
        """
        if x0.ndim == 0 or x0.dtype.kind != "f":
            raise ValueError(
                "forward_diffusion: x0 must be floating-point data of shape (N, …), not "
                f"{x0.dtype} of shape {x0.shape}"
            )
        if t.shape != x0.shape[:1] or t.dtype.kind not in "iu":
            raise ValueError(
                f"forward_diffusion: t must be integers of shape ({len(x0)},), not {t.dtype} of "
                f"shape {t.shape}"
            )
        if len(t) and not 0 <= int(t.min()) <= int(t.max()) < self.timesteps:
            raise ValueError(
                f"forward_diffusion: t must lie in 0 … {self.timesteps - 1}; these lie in "
                f"{int(t.min())} … {int(t.max())}"
            )
        if noise is None:
            noise = tg.randn(x0.shape, x0.dtype, device=x0.device)
        if noise.shape != x0.shape:
            raise ValueError(
                f"forward_diffusion: noise has shape {noise.shape}; expected that of x0, {x0.shape}"
            )
        alpha, sigma = self.alpha_sigma(t, x0)
        return alpha * x0 + sigma * noise, noise

    def posterior(
        self, x0: Tensor, x_t: Tensor, t: Tensor, s: Tensor | None = None, eta: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Mean (N, …) and variance (N, 1, …, 1) of x_s, given x_t and x_0.

            x_s = α_s x_0 + √(σ_s² − σ²) ε + σ z,  z ~ N(0, I)
            σ = η (σ_s/σ_t) √(1 − ᾱ_t/ᾱ_s),  ε = (x_t − α_t x_0)/σ_t

        (Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", eqs. 7, 12 and 16.)

        Args:
            x0: data, or a prediction of them.
            x_t: the same with noise.
            t: the step of each row of x_t, (N,), at least 0.
            s: the step of each row of the result, (N,), −1 for data; None: t − 1.
            eta: η: 1 gives q(x_s|x_t, x_0), with μ̃_t and β̃_t for s = t − 1; 0 gives DDIM, in
                both directions: with s > t it adds noise.

        Raises ValueError for η outside [0, 1], or for s > t with η > 0.
        """
        s = t - 1 if s is None else s
        if not 0 <= eta <= 1:
            raise ValueError(f"diffusion: eta is {eta}; expected a number in [0, 1]")
        now, then = self.alpha_bar(t, x_t), self.alpha_bar(s, x_t)
        alpha, sigma = self.alpha_sigma(t, x_t)
        variance = tg.zeros_like(now)
        if eta > 0:  # for s > t the variance would be negative
            if bool(tg.any(s > t)):
                raise ValueError("diffusion: a step that adds noise needs eta = 0")
            variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
        rest = tg.sqrt(tg.maximum(1 - then - variance, 0.0)).astype(x_t.dtype)
        mean = tg.sqrt(then).astype(x_t.dtype) * x0 + rest * ((x_t - alpha * x0) / sigma)
        return mean, variance.astype(x_t.dtype)
