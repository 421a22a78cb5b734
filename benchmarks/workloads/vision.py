"""Convolutional networks on pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..libraries import Library
from .small import adversarial
from .training import Step, training, with_weights


def lenet(lib: Library) -> Step:
    """Two 3×3 convolutions (32, 64 channels) with pools on 28×28, 3136-128-10, batch 64, Adam."""
    nn = lib.nn
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    return classifier(lib, net, (64, 1, 28, 28), "Adam", lr=1e-3)


def resnet20(lib: Library) -> Step:
    """ResNet-20 for CIFAR (He et al. 2015, §4.2; option A), batch 32, SGD with momentum."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.stride, self.extra = stride, (width - inputs) // 2

        def forward(self, x: Any) -> Any:
            h = lib.F.relu(self.bn1(self.conv1(x)))
            h = self.bn2(self.conv2(h))
            if self.stride > 1:
                x = lib.F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
            return lib.F.relu(h + x)

    widths = [16] * 3 + [32] * 3 + [64] * 3
    blocks = [
        Block(before, width, 2 if width > before else 1)
        for before, width in zip([16, *widths], widths, strict=False)
    ]
    net = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *blocks,
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )
    return classifier(lib, net, (32, 3, 32, 32), "SGD", lr=0.01, momentum=0.9)


def mobile(lib: Library) -> Step:
    """Four depthwise-separable blocks (Howard et al. 2017) on 16 × 64 × 32 × 32, SGD."""
    nn = lib.nn
    block = [
        *(lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False),),
        *(lambda: nn.BatchNorm2d(64), lambda: nn.ReLU6()),
        *(lambda: nn.Conv2d(64, 64, 1, bias=False), lambda: nn.BatchNorm2d(64), lambda: nn.ReLU6()),
    ]
    net = nn.Sequential(
        *(make() for make in block * 4),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )
    return classifier(lib, net, (16, 64, 32, 32), "SGD", lr=0.01, momentum=0.9)


def dcgan(lib: Library) -> Step:
    """DCGAN (Radford et al. 2016) at 32×32 with 64 channels, batch 32, two Adams."""
    nn = lib.nn

    def up(inputs: int, outputs: int, *how: int) -> list[Any]:
        conv = nn.ConvTranspose2d(inputs, outputs, 4, *how, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    def down(inputs: int, outputs: int) -> list[Any]:
        conv = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]

    generator = nn.Sequential(
        *up(100, 256, 1, 0),
        *up(256, 128, 2, 1),
        *up(128, 64, 2, 1),
        *(nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2)),
        *down(64, 128),
        *down(128, 256),
        *(nn.Conv2d(256, 1, 4), nn.Flatten()),
    )
    rng = np.random.default_rng(1)
    real = lib.images(rng.uniform(-1, 1, (32, 3, 32, 32)).astype(np.float32))
    noise = lib.images(rng.standard_normal((32, 100, 1, 1), np.float32))
    return adversarial(lib, generator, discriminator, real, noise)


def classifier(
    lib: Library, net: Any, shape: tuple[int, ...], optimizer: str, **options: float
) -> Step:
    """Pictures (N, C, *spatial) of random numbers in ten classes."""
    with_weights(lib, net)
    pixels, classes = pictures(shape)
    x, target = lib.images(pixels), lib.tensor(classes)
    steps = lib.optim[optimizer](net.parameters(), **options)
    return training(steps, lambda: lib.F.cross_entropy(net(x), target))


def pictures(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Random numbers of this shape (N, …) and their classes."""
    rng = np.random.default_rng(1)
    return rng.standard_normal(shape, np.float32), rng.integers(0, 10, shape[0])
