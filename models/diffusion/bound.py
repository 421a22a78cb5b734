"""The variational bound: how many nats, or bits per number, a diffusion model needs for data.

Jensen's inequality gives (Ho et al. 2020, eq. 5), with all terms in nats,

    −ln p(x_0) ≤ KL(q(x_T|x_0) ‖ N(0, I))                                           prior
                 + Σ_{t>1} E KL(q(x_{t−1}|x_t, x_0) ‖ p(x_{t−1}|x_t))               steps
                 − E ln p(x_0|x_1)                                                  decoder

**Steps.** Both normals have the variance β̃_t, so a term is ‖μ̃_t − μ‖²/(2 β̃_t). Both means are the
same function of x_t and of x_0 or its prediction x̂_0; the factor of x_0 is √ᾱ_{t−1} β_t/(1 − ᾱ_t).
With SNR_t = ᾱ_t/(1 − ᾱ_t) all factors together are a difference (Kingma et al. 2021, "Variational
Diffusion Models", eq. 14):

    ½ (SNR_{t−1} − SNR_t) ‖x_0 − x̂_0(x_t)‖²

In the errors of ε the factor is ½ (SNR_{t−1}/SNR_t − 1). With the linear schedule it is largest at
small t; with the cosine schedule it is largest at the last step, where it is 500 for T = 1000.

**Decoder.** β̃_1 is 0: the formula of the other steps is no density for t = 1. Instead it is

    p(x_0|x_1) ∝ q(x_1|x_0),  the normal N(x_0; x_1/α_1, 1/SNR_1)                   (ibid., eq. 8)

for which nothing has to be learned, or a normal around the prediction x̂_0(x_1) with a variance that
is chosen. For data with a finite number of levels, such as bytes, it is normalised over these
levels, and so it is a probability: it adds up to 1.

**Exact for T → ∞?** If SNR_1 is large, SNR_T small and all ratios SNR_{t−1}/SNR_t close to 1, as
with the schedule "vdm", the gap between the bound and −ln p falls with 1/T for the best x̂_0. With
the linear schedule the first ratios remain large, and so does the gap.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor

from .guidance import clipped
from .model import DiffusionModel


class Bound(NamedTuple):
    """The three parts of the bound for each of N data, in nats, (N,)."""

    prior: Tensor
    steps: Tensor
    decoder: Tensor

    @property
    def nats(self) -> Tensor:
        """The bound on −ln p of each, (N,)."""
        return self.prior + self.steps + self.decoder

    def bits_per_number(self, x0: Tensor) -> Tensor:
        """The bound in bits per number of x_0 (N, …), such as a pixel: bits/dim, (N,)."""
        return self.nats / (math.prod(x0.shape[1:]) * math.log(2))


@tg.no_grad()
def bound(
    model: DiffusionModel,
    x0: Tensor,
    labels: Tensor | None = None,
    *,
    draws: int | None = None,
    levels: int | None = None,
    variance: float | None = None,
    generator: Generator | None = None,
) -> Bound:
    """The bound on −ln p(x_0) of data, with new noise for each term.

    Args:
        model: the model.
        x0: data (N, …), as the network sees them.
        labels: the classes (N,), of a conditional model; None: no class.
        draws: number of steps t that are drawn for each row, one from each of as many equal parts
            of 2 … T, to estimate the sum; None: all are computed.
        levels: number of values that data can have, evenly spread from −1 to 1: 256 for bytes.
            None: data are real numbers, and p a density.
        variance: that of a decoder around x̂_0(x_1); None: the decoder q(x_1|x_0), normalised.
        generator: random generator; None: the default generator.

    >>> from tinygrad_gm.models.diffusion.denoisers import MLPDenoiser
    >>> model = DiffusionModel(MLPDenoiser(), timesteps=100, schedule="vdm")
    >>> bound(model, tg.zeros((5, 2)), draws=10).nats.shape
    (5,)
    """
    denoise = model.denoiser(labels)
    if model.clip is not None:
        denoise = clipped(denoise, model.clip)

    def noised(t: Tensor) -> Tensor:
        noise = tg.randn(x0.shape, x0.dtype, device=x0.device, generator=generator)
        return model.forward_diffusion(x0, t, noise)[0]

    snr, last = model.snr(), model.timesteps - 1
    total = tg.zeros(len(x0), tg.float64, device=x0.device)
    count = last if draws is None else draws
    for part in range(count if last else 0):
        shift = tg.rand(len(x0), device=x0.device, generator=generator) if draws else 0.5
        t = 1 + tg.minimum(((part + shift) * (last / count)), last - 1)
        t = tg.broadcast_to(t, (len(x0),)).astype(tg.int64)
        weight = (snr[t - 1] - snr[t]) / 2
        total = total + weight * _squares(x0 - denoise(noised(t), t)) * (last / count)
    first = tg.zeros(len(x0), tg.int64, device=x0.device)
    x1 = noised(first)
    mean = x1 / model.alpha_sigma(first, x0)[0] if variance is None else denoise(x1, first)
    spread = 1 / snr[0].item() if variance is None else variance
    log_p = log_normal(x0, mean, spread) if levels is None else log_mass(x0, mean, spread, levels)
    return Bound(_prior(model, x0), total, -_sums(log_p))


def log_normal(x: Tensor, mean: Tensor, variance: float) -> Tensor:
    """ln N(x; mean, variance) of each number."""
    return -((x - mean) ** 2) / (2 * variance) - 0.5 * math.log(2 * math.pi * variance)


def log_mass(x: Tensor, mean: Tensor, variance: float, levels: int) -> Tensor:
    """The logarithm of a normal density of each number, normalised over evenly spread levels.

    Args:
        x: numbers from −1 to 1, which are rounded to the nearest level.
        mean, variance: those of the normal.
        levels: number of levels from −1 to 1.

    >>> x = tg.linspace(-1, 1, 256)
    >>> round(tg.exp(log_mass(x, tg.full(256, 0.3), 0.01, 256)).sum().item(), 5)
    1.0
    """
    nearest = tg.round((x + 1) / 2 * (levels - 1)).astype(tg.int64)
    known = tg.linspace(-1, 1, levels, dtype=x.dtype, device=x.device)
    log_p = tg.log_softmax(-((known - mean[..., None]) ** 2) / (2 * variance), axis=-1)
    return tg.take_along_axis(log_p, nearest[..., None], axis=-1)[..., 0]


def _prior(model: DiffusionModel, x0: Tensor) -> Tensor:
    """KL(q(x_T|x_0) ‖ N(0, I)) of each row."""
    alpha_bar = model.alphas_cumprod[-1].item()
    variance = 1 - alpha_bar
    return _sums(alpha_bar * x0**2 + variance - 1 - math.log(variance)) / 2


def _sums(x: Tensor) -> Tensor:
    return tg.sum(x.reshape(len(x), -1).astype(tg.float64), axis=1)


def _squares(x: Tensor) -> Tensor:
    return _sums(x**2)
