"""Networks that no kernel was tuned on, to see how far the speed of the others is general."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .training import Step, inference, training, with_weights
from .vision import classifier


def infer_resnet(lib: Library) -> Step:
    """Three bottlenecks of ResNet-50 (He et al. 2016) on 1 × 256 × 56 × 56, no gradients."""
    nn = lib.nn

    class Bottleneck(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(256, 64, 1, bias=False), nn.BatchNorm2d(64)
            self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
            self.conv3, self.bn3 = nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256)

        def forward(self, x: Any) -> Any:
            h = lib.F.relu(self.bn1(self.conv1(x)))
            h = lib.F.relu(self.bn2(self.conv2(h)))
            return lib.F.relu(self.bn3(self.conv3(h)) + x)

    net = nn.Sequential(*(Bottleneck() for _ in range(3)))
    return inference(lib, with_weights(lib, net), (1, 256, 56, 56))


def infer_mobile(lib: Library) -> Step:
    """Inverted residual with squeeze (Tan & Le 2019), 40-240-40, 5×5, on 1 × 40 × 28 × 28."""
    nn = lib.nn

    class InvertedResidual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.expand = nn.Sequential(
                nn.Conv2d(40, 240, 1, bias=False), nn.BatchNorm2d(240), nn.SiLU()
            )
            self.depthwise = nn.Sequential(
                *(nn.Conv2d(240, 240, 5, padding=2, groups=240, bias=False),),
                *(nn.BatchNorm2d(240), nn.SiLU()),
            )
            self.squeeze = nn.Sequential(
                *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(240, 10, 1), nn.SiLU()),
                *(nn.Conv2d(10, 240, 1), nn.Sigmoid()),
            )
            self.project = nn.Sequential(nn.Conv2d(240, 40, 1, bias=False), nn.BatchNorm2d(40))

        def forward(self, x: Any) -> Any:
            h = self.depthwise(self.expand(x))
            return x + self.project(h * self.squeeze(h))

    return inference(lib, with_weights(lib, InvertedResidual()), (1, 40, 28, 28))


def unet1d(lib: Library) -> Step:
    """U-Net on plans of 16 steps (Janner et al. 2022), [32, 64, 128] channels, batch 32, Adam."""
    nn, F = lib.nn, lib.F

    def block(inputs: int, outputs: int) -> Any:
        return nn.Sequential(
            nn.Conv1d(inputs, outputs, 5, padding=2), nn.GroupNorm(8, outputs), nn.SiLU()
        )

    class Residual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.block1, self.block2 = block(inputs, outputs), block(outputs, outputs)
            self.time = nn.Linear(32, outputs)
            same = inputs == outputs
            self.skip = nn.Identity() if same else nn.Conv1d(inputs, outputs, 1)

        def forward(self, x: Any, time: Any) -> Any:
            h = self.block1(x) + self.time(F.silu(time))[:, :, None]
            return self.block2(h) + self.skip(x)

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.time = nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, 32))
            pairs = [(6, 32), (32, 64), (64, 128)]
            self.down = nn.ModuleList([Residual(*pair) for pair in pairs])
            self.deeper = nn.ModuleList([Residual(width, width) for _, width in pairs])
            self.shrink = nn.ModuleList([nn.Conv1d(n, n, 3, 2, 1) for n in (32, 64)])
            self.mid1, self.mid2 = Residual(128, 128), Residual(128, 128)
            pairs = [(256, 64), (128, 32)]
            self.up = nn.ModuleList([Residual(*pair) for pair in pairs])
            self.higher = nn.ModuleList([Residual(width, width) for _, width in pairs])
            self.grow = nn.ModuleList([nn.ConvTranspose1d(n, n, 4, 2, 1) for n in (64, 32)])
            self.last = nn.Sequential(block(32, 32), nn.Conv1d(32, 6, 1))

        def forward(self, x: Any, time: Any) -> Any:
            time, kept = self.time(time), []
            for level in range(3):
                x = self.deeper[level](self.down[level](x, time), time)
                kept.append(x)
                x = self.shrink[level](x) if level < 2 else x
            x = self.mid2(self.mid1(x, time), time)
            for level in range(2):
                x = self.up[level](lib.concat([x, kept.pop()], 1), time)
                x = self.grow[level](self.higher[level](x, time))
            return self.last(x)

    net = with_weights(lib, UNet())
    rng = np.random.default_rng(1)
    x, noise = (lib.images(rng.standard_normal((32, 6, 16), np.float32)) for _ in range(2))
    time = lib.tensor(rng.standard_normal((32, 32), np.float32))
    optimizer = lib.optim["Adam"](net.parameters(), lr=1e-4)
    return training(optimizer, lambda: F.mse_loss(net(x, time), noise))


def voxnet(lib: Library) -> Step:
    """VoxNet (Maturana & Scherer 2015): 3-D convolutions on 32³ voxels, batch 16, SGD."""
    nn = lib.nn
    net = nn.Sequential(
        *(nn.Conv3d(1, 32, 5, 2), nn.LeakyReLU(0.1)),
        *(nn.Conv3d(32, 32, 3), nn.LeakyReLU(0.1), nn.MaxPool3d(2)),
        *(nn.Flatten(), nn.Linear(6912, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    return classifier(lib, net, (16, 1, 32, 32, 32), "SGD", lr=0.001, momentum=0.9)
