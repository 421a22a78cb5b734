"""A tiny DiT whose weights a formula gives, and its outputs as PyTorch computes them."""

from __future__ import annotations

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm.models.dit import DiT, position_code_2d

SIZES = {
    "input_size": 6,
    "patch_size": 2,
    "in_channels": 3,
    "out_channels": 6,
    "width": 8,
    "depth": 2,
    "heads": 2,
    "num_classes": 4,
}
IMAGES = np.sin(np.arange(2 * 3 * 6 * 6, dtype=np.float64) ** 2).reshape(2, 3, 6, 6)
TIMES, LABELS = [7, 950], [1, 4]  # the second image has no class
PLACES = [(0, 0), (0, 5), (1, 3)]  # image and channel of the outputs
# The second row of pixels, of PyTorch 2.13 in float64; `tests/parity` computes them again.
GOLDEN = [
    [0.013412, 2.671279, -0.268608, 2.545172, -0.103081, 2.623022],
    [2.376337, 0.395151, 2.724839, 0.259269, 2.528927, 0.354677],
    [-11.081013, 3.756371, -11.155497, 3.856518, -9.974274, 2.775241],
]


def golden() -> DiT:
    """The network whose weights are ½ sin k², k = 1, 2, …, over all trained parameters in order."""
    model, k = DiT(**SIZES), 1
    for parameter in model.to(tg.float64).parameters():
        if parameter.requires_grad:
            numbers = np.arange(k, k + parameter.size, dtype=np.float64)
            parameter.data = np.sin(numbers**2).reshape(parameter.shape) / 2
            k += parameter.size
    side = SIZES["input_size"] // SIZES["patch_size"]
    model.pos_embed.data = position_code_2d(side, SIZES["width"])[None].data
    return model
