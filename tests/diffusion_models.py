"""Networks and denoisers that are known exactly, for the tests of diffusion models."""

from __future__ import annotations

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models.diffusion import DiffusionModel, targets

SCHEDULES = [("linear", 1000), ("linear", 50), ("cosine", 1000), ("cosine", 100), ("vdm", 100)]


class Silent(nn.Module):
    """A network that sees no noise anywhere, and remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, x, t, labels=None):
        self.asked.append(t.numpy().copy())
        return tg.zeros_like(x)


class Mixture:
    """Equal Gaussians N(μ_k, σ² I) as data, and the exact mean of x_0 given x_t: a denoiser.

    Given the part k, x_0 and x_t are normal together, with the mean and variance of each known; the
    probability of k given x_t follows by Bayes' rule from q(x_t|k) = N(√ᾱ μ_k, (ᾱσ² + 1 − ᾱ) I).
    """

    def __init__(self, centers, sigma, process):
        self.centers, self.sigma = np.asarray(centers), sigma
        self.alphas = process.alphas_cumprod.numpy()

    def __call__(self, x, t):
        x, a = x.numpy(), self.alphas[t.numpy()][:, None]
        centers = self.centers[:, None]  # the parts first, for NumPy sums short rows slowly
        variance = a * self.sigma**2 + 1 - a
        away = x - np.sqrt(a) * centers
        weight = -np.einsum("knd,knd->kn", away, away) / (2 * variance[:, 0])
        weight = np.exp(weight - weight.max(0))
        weight /= weight.sum(0)
        means = centers + np.sqrt(a) * self.sigma**2 / variance * away
        return tg.tensor(np.einsum("kn,knd->nd", weight, means))

    def draw(self, count, seed=0):
        rng = np.random.default_rng(seed)
        centers = self.centers[rng.integers(len(self.centers), size=count)]
        return centers + self.sigma * rng.normal(size=centers.shape)


class Exact(nn.Module):
    """The network that predicts a target from the exact denoiser of data."""

    def __init__(self, process, denoise, target="noise"):
        super().__init__()
        self.process, self.denoise, self.target = [process], denoise, target  # no submodule

    def forward(self, x, t):
        alpha, sigma = self.process[0].alpha_sigma(t, x)
        y = targets.convert(self.denoise(x, t), "x0", self.target, x, alpha, sigma)
        return y * sigma if self.target == "score" else y


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
