"""The code of a time step: sines and cosines of several frequencies."""

from __future__ import annotations

import math

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Tensor


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
