"""Denoisers that are changed in sampling: by a class, by the range of data, by known pixels.

All functions take denoisers, x_t and t → x_0, and return one, so they can be combined with each
other and with every sampler of `samplers`.

**Guidance.** By Bayes' rule the score of x_t given a class c is

    ∇ ln q(x_t|c) = ∇ ln q(x_t) + ∇ ln q(c|x_t)

*Classifier guidance* (Dhariwal and Nichol 2021, "Diffusion Models Beat GANs", algorithm 1) adds the
gradient of a classifier, times a weight. In terms of x_0 = (x_t + σ² ∇ ln q)/α that is

    x_0 + w (σ²/α) ∇ ln p(c|x_t)

*Classifier-free guidance* (Ho and Salimans 2022, eq. 6) uses a network that has learned both, with
a class and without. The difference of the two scores is the gradient of such a classifier, so

    ε = (1 + w) ε_c − w ε_∅

w = 0 is the conditional model. (Others write ε_∅ + s (ε_c − ε_∅), with s = 1 + w.) The weights add
up to 1 and all targets are linear in each other, so it is the same for x_0, v or the score.
"""

from __future__ import annotations

from collections.abc import Callable

import tinygrad_gm as tg
from tinygrad_gm import Tensor

from .process import Process
from .samplers import Denoiser


def classifier_free(conditional: Denoiser, unconditional: Denoiser, weight: float) -> Denoiser:
    """(1 + w) x_0 given the class − w x_0 without it.

    >>> one, zero = lambda x, t: tg.ones_like(x), lambda x, t: tg.zeros_like(x)
    >>> classifier_free(one, zero, 2.0)(tg.zeros(1), tg.zeros(1)).item()
    3.0
    """

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return (1 + weight) * conditional(x, t) - weight * unconditional(x, t)

    return denoise


def classifier(
    process: Process, denoise: Denoiser, log_likelihood: Callable[[Tensor], Tensor], weight: float
) -> Denoiser:
    """x_0 + w (σ²/α) ∇ ln p(c|x_0(x_t)), for a classifier of data without noise.

    The classifier judges the prediction of x_0, and the gradient by x_t goes through the network
    (Chung et al. 2023, "Diffusion Posterior Sampling", theorem 1), so no classifier of noisy data
    has to be trained.

    Args:
        process: the noising.
        denoise: the denoiser.
        log_likelihood: x_0 (N, …) → ln p(c|x_0) of the wanted class of each row, (N,).
        weight: w.
    """

    def guided(x: Tensor, t: Tensor) -> Tensor:
        with tg.enable_grad():
            x = x.detach().requires_grad_()
            x0 = denoise(x, t)
            (slope,) = tg.grad(tg.sum(log_likelihood(x0)), x)
        alpha, sigma = process.alpha_sigma(t, x)
        found: Tensor = x0.detach() + weight * (sigma**2 / alpha) * slope
        return found

    return guided


def clipped(denoise: Denoiser, limit: float) -> Denoiser:
    """Predictions of x_0 clipped to [−limit, limit], the range of data.

    At high noise a small error of ε is a large error of x_0, above all with few steps.
    """
    return lambda x, t: tg.clip(denoise(x, t), -limit, limit)


def inpainted(denoise: Denoiser, known: Tensor, mask: Tensor) -> Denoiser:
    """Predictions of x_0 with the known values of `known`, (N, …), where `mask` is true.

    With ancestral sampling the noisy values there are draws of q(x_s|x_t, x_0) for the true x_0.
    The last step of a sampler, to the prediction of x_0, returns the known values exactly.
    """
    return lambda x, t: tg.where(mask, known, denoise(x, t))
