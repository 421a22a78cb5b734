"""Networks that predict the noise in data: `network(x_t, t)` returns the noise in x_t.

x_t (N, …) are data with noise, and t (N,) is the integer step, encoded by sines and cosines.
`diffusion.DiffusionModel` takes any such network.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn


def timestep_embedding(t: Tensor, dim: int, period: float = 10_000.0) -> Tensor:
    """Sines and cosines (N, dim) of steps (N,), with dim / 2 frequencies.

    Vaswani et al. 2017, section 3.5, with all sines before all cosines, as in Ho et al. The high
    frequencies resolve single steps, the low ones the rough position.

    >>> timestep_embedding(tg.tensor([0, 1]), 4).round(2).tolist()
    [[0.0, 0.0, 1.0, 1.0], [0.8399999737739563, 0.0, 0.5400000214576721, 1.0]]
    """
    half = dim // 2
    frequencies = np.exp(-math.log(period) * np.arange(half) / max(half - 1, 1))
    angles = t[:, None].astype(tg.float32) * tg.tensor(frequencies, tg.float32, device=t.device)
    return tg.concat([tg.sin(angles), tg.cos(angles)], axis=1)


class Mix(nn.Module):
    """a x_t + b h: the sum of x_t and the output h of a network, with weights learned from t.

    Where x_t is almost only noise, x_t is the result, and the error of a layer that reproduced it
    would exceed the rest of the data. After Karras et al. 2022 ("Elucidating the Design Space of
    Diffusion-Based Generative Models", section 5), who derive the weights.
    """

    def __init__(self, time_dim: int) -> None:
        super().__init__()
        self.shares = nn.Linear(time_dim, 2)
        nn.init.zeros_(self.shares.weight)
        self.shares.bias = nn.Parameter(tg.tensor([0.0, 1.0]))

    def forward(self, x: Tensor, found: Tensor, code: Tensor) -> Tensor:
        shares = self.shares(code).reshape(len(x), 2, *[1] * (x.ndim - 1))
        mixed: Tensor = shares[:, 0] * x + shares[:, 1] * found
        return mixed


class MLPDenoiser(nn.Module):
    """Points (N, dim) and steps (N,) → noise (N, dim): four hidden layers with SiLU.

    >>> model = MLPDenoiser()
    >>> model(tg.zeros((5, 2)), tg.arange(5)).shape, sum(p.size for p in model.parameters())
    ((5, 2), 54340)
    """

    def __init__(self, dim: int = 2, width: int = 128, time_dim: int = 32) -> None:
        super().__init__()
        self.time_dim = time_dim
        sizes = [dim + time_dim, *[width] * 4]
        hidden = [(nn.Linear(a, b), nn.SiLU()) for a, b in itertools.pairwise(sizes)]
        self.layers = nn.Sequential(*sum(hidden, ()), nn.Linear(width, dim))
        self.mix = Mix(time_dim)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        code = timestep_embedding(t, self.time_dim)
        noise: Tensor = self.mix(x, self.layers(tg.concat([x, code], axis=1)), code)
        return noise


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut; the embedding of the step is added between them.

    Shapes: x (N, inputs, H, W), code of the step (N, time_dim); output (N, outputs, H, W).
    """

    def __init__(self, inputs: int, outputs: int, time_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_dim, outputs)
        self.norm2 = nn.GroupNorm(8, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        nn.init.zeros_(self.conv2.weight)  # the block starts as its shortcut

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(code)[:, :, None, None]
        out: Tensor = self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))
        return out


class ConvDenoiser(nn.Module):
    """Grey images (N, 1, H, W), sides divisible by 4, and steps (N,) → noise (N, 1, H, W).

    A small U-Net: residual blocks at half the resolution, at a quarter with twice the channels, and
    at half again, with a skip connection from the first ones. The pixels of a 2 × 2 patch are four
    channels, so no convolution runs at full resolution.

    >>> model = ConvDenoiser(channels=32)
    >>> model(tg.zeros((2, 1, 28, 28)), tg.arange(2)).shape
    (2, 1, 28, 28)
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        if channels < 8 or channels % 8:
            raise ValueError(f"ConvDenoiser: channels is {channels}; expected a multiple of 8")
        self.channels, time_dim = channels, 4 * channels
        self.time = nn.Sequential(
            nn.Linear(channels, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim), nn.SiLU()
        )
        self.first = nn.Conv2d(4, channels, 3, padding=1)
        self.down = ResidualBlock(channels, channels, time_dim)
        self.halve = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.middle1 = ResidualBlock(2 * channels, 2 * channels, time_dim)
        self.middle2 = ResidualBlock(2 * channels, 2 * channels, time_dim)
        self.double = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.up = ResidualBlock(2 * channels, channels, time_dim)
        self.norm = nn.GroupNorm(8, channels)
        self.last = nn.Conv2d(channels, 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        self.mix = Mix(time_dim)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        code = self.time(timestep_embedding(t, self.channels))
        fine = self.down(self.first(F.pixel_unshuffle(x, 2)), code)
        coarse = self.middle2(self.middle1(self.halve(fine), code), code)
        h = self.up(tg.concat([self.double(coarse), fine], axis=1), code)
        found = F.pixel_shuffle(self.last(F.silu(self.norm(h))), 2)
        noise: Tensor = self.mix(x, found, code)
        return noise
