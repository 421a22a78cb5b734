"""Latte's stored outputs against its definition in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from test_parity_dit import Block, Final

GOLDEN = [  # of `tests/models/test_sora.py`
    [-0.856038, -3.191168, -1.016751, -3.08228],
    [-0.687246, 1.138954, -1.277331, 0.433881],
    [-0.74601, -0.646402, -0.324397, -0.794027],
]


class Theirs(torch.nn.Module):
    """Variant 1 of Ma et al.'s code: clips (N, T, C, H, W), without classes."""

    def __init__(self, side: int, frames: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.side, self.patch = side // patch, patch
        self.pos_embed = torch.nn.Parameter(torch.zeros(1, self.side**2, width))
        self.temp_embed = torch.nn.Parameter(torch.zeros(1, frames, width))
        self.x_embedder = torch.nn.ModuleDict({"proj": torch.nn.Conv2d(2, width, patch, patch)})
        mlp = (torch.nn.Linear(256, width), torch.nn.SiLU(), torch.nn.Linear(width, width))
        self.t_embedder = torch.nn.ModuleDict({"mlp": torch.nn.Sequential(*mlp)})
        self.blocks = torch.nn.ModuleList(Block(width, 2) for _ in range(depth))
        self.final_layer = Final(width, patch, 3)

    def forward(self, x: Any, t: Any) -> Any:
        n, frames = x.shape[:2]
        h = self.x_embedder["proj"](x.flatten(0, 1)).flatten(2).transpose(1, 2) + self.pos_embed
        places = h.shape[1]
        frequencies = torch.exp(-math.log(10000) * torch.arange(128, dtype=x.dtype) / 128)
        args = t[:, None].to(x.dtype) * frequencies[None]
        c = self.t_embedder["mlp"](torch.cat([torch.cos(args), torch.sin(args)], dim=-1))
        spatial, temporal = (c.repeat_interleave(count, 0) for count in (frames, places))
        for i in range(0, len(self.blocks), 2):
            h = self.blocks[i](h, spatial)
            h = h.reshape(n, frames, places, -1).transpose(1, 2).flatten(0, 1)
            h = self.blocks[i + 1](h + self.temp_embed if i == 0 else h, temporal)
            h = h.reshape(n, places, frames, -1).transpose(1, 2).flatten(0, 1)
        pixels = self.final_layer(h, spatial)
        pixels = pixels.reshape(-1, self.side, self.side, self.patch, self.patch, 3)
        images = torch.einsum("nhwpqc->nchpwq", pixels)
        return images.reshape(n, frames, 3, *[self.side * self.patch] * 2)


def test_the_golden_outputs_of_latte_are_pytorchs() -> None:
    model, k = Theirs(4, 3, 2, 8, 4).double(), 1
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            numbers = np.arange(k, k + parameter.numel(), dtype=np.float64)
            parameter.copy_(torch.tensor(np.sin(numbers**2) / 2).reshape(parameter.shape))
            k += parameter.numel()
        x = torch.tensor(np.cos(np.arange(192, dtype=np.float64) ** 2).reshape(2, 3, 2, 4, 4))
        y = model(x, torch.tensor([7, 250])).numpy()
    found = [y[place] for place in ((0, 0, 0, 0), (0, 2, 1, 3), (1, 1, 2, 2))]
    np.testing.assert_allclose(found, GOLDEN, atol=1e-6)
