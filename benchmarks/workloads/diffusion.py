"""Denoisers: a U-Net and a diffusion Transformer, trained to predict noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .training import Step, training, with_weights


def unet(lib: Library) -> Step:
    """1×32×32, 32 channels × (1, 2, 2), GroupNorm, SiLU, time, attention at 8×8, batch 32, Adam."""
    nn, F = lib.nn, lib.F

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.norm1, self.conv1 = nn.GroupNorm(8, inputs), nn.Conv2d(inputs, outputs, 3, 1, 1)
            self.time = nn.Linear(128, outputs)
            self.norm2, self.conv2 = nn.GroupNorm(8, outputs), nn.Conv2d(outputs, outputs, 3, 1, 1)
            same = inputs == outputs
            self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

        def forward(self, x: Any, time: Any) -> Any:
            h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
            return self.conv2(F.silu(self.norm2(h))) + self.skip(x)

    class Attention(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm = nn.GroupNorm(8, width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            n, c, height, width = x.shape
            rows = lib.permute(self.norm(x), (0, 2, 3, 1)).reshape(n, height * width, c)
            q, k, v = lib.split(self.qkv(rows), 3)
            y = self.proj(F.scaled_dot_product_attention(q, k, v))
            return x + lib.permute(y.reshape(n, height, width, c), (0, 3, 1, 2))

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.time = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 128))
            self.first = nn.Conv2d(1, 32, 3, 1, 1)
            self.down1, self.shrink1 = Residual(32, 32), nn.Conv2d(32, 32, 3, 2, 1)
            self.down2, self.shrink2 = Residual(32, 64), nn.Conv2d(64, 64, 3, 2, 1)
            self.mid1, self.attention, self.mid2 = Residual(64, 64), Attention(64), Residual(64, 64)
            self.grow2, self.up2 = nn.Conv2d(64, 64, 3, 1, 1), Residual(128, 64)
            self.grow1, self.up1 = nn.Conv2d(64, 32, 3, 1, 1), Residual(64, 32)
            self.norm, self.last = nn.GroupNorm(8, 32), nn.Conv2d(32, 1, 3, 1, 1)

        def forward(self, x: Any, time: Any) -> Any:
            time = F.silu(self.time(time))
            first = self.down1(self.first(x), time)
            second = self.down2(self.shrink1(first), time)
            h = self.mid1(self.shrink2(second), time)
            h = self.mid2(self.attention(h), time)
            h = self.grow2(F.interpolate(h, scale_factor=2, mode="nearest"))
            h = self.up2(lib.concat([h, second], 1), time)
            h = self.grow1(F.interpolate(h, scale_factor=2, mode="nearest"))
            h = self.up1(lib.concat([h, first], 1), time)
            return self.last(F.silu(self.norm(h)))

    net = with_weights(lib, UNet())
    rng = np.random.default_rng(1)
    x, noise = (lib.images(rng.standard_normal((32, 1, 32, 32), np.float32)) for _ in range(2))
    time = lib.tensor(rng.standard_normal((32, 32), np.float32))
    optimizer = lib.optim["Adam"](net.parameters(), lr=1e-4)
    return training(optimizer, lambda: F.mse_loss(net(x, time), noise))


def dit(lib: Library) -> Step:
    """Diffusion Transformer (Peebles & Xie 2023): 64 tokens, 128 wide, 4 layers, adaLN-Zero."""
    nn, F = lib.nn, lib.F

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(128, elementwise_affine=False)
            self.norm2 = nn.LayerNorm(128, elementwise_affine=False)
            self.qkv, self.proj = nn.Linear(128, 384), nn.Linear(128, 128)
            self.mlp = nn.Sequential(
                nn.Linear(128, 512), nn.GELU(approximate="tanh"), nn.Linear(512, 128)
            )
            self.modulation = nn.Linear(128, 768)

        def forward(self, x: Any, condition: Any) -> Any:
            count, length, _ = x.shape
            parts = lib.split(self.modulation(condition)[:, None], 6)
            shift1, scale1, gate1, shift2, scale2, gate2 = parts
            h = self.norm1(x) * (1 + scale1) + shift1
            q, k, v = (
                lib.permute(part.reshape(count, length, 4, 32), (0, 2, 1, 3))
                for part in lib.split(self.qkv(h), 3)
            )
            y = lib.permute(F.scaled_dot_product_attention(q, k, v), (0, 2, 1, 3))
            x = x + gate1 * self.proj(y.reshape(count, length, 128))
            return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)

    class DiT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.time = nn.Linear(16, 128), nn.Linear(64, 128)
            self.blocks = nn.ModuleList([Block() for _ in range(4)])
            self.norm, self.last = nn.LayerNorm(128), nn.Linear(128, 16)

        def forward(self, tokens: Any, time: Any) -> Any:
            x, condition = self.embed(tokens), F.silu(self.time(time))
            for block in self.blocks:
                x = block(x, condition)
            return self.last(self.norm(x))

    net = with_weights(lib, DiT())
    rng = np.random.default_rng(1)
    x, noise = (lib.tensor(rng.standard_normal((32, 64, 16), np.float32)) for _ in range(2))
    time = lib.tensor(rng.standard_normal((32, 64), np.float32))
    optimizer = lib.optim["AdamW"](net.parameters(), lr=1e-4)
    return training(optimizer, lambda: F.mse_loss(net(x, time), noise))
