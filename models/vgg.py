"""VGG: depth from small convolutions (Simonyan and Zisserman 2015).

**The idea.** Every convolution is 3×3, the smallest that has a left, a right, an above and a below,
and there are many of them. A unit of two such layers sees 5×5 pixels, of three 7×7; but with C
channels in and out

    three layers 3×3: 3 · 9C² = 27C² weights, three ReLUs
    one layer 7×7:        49C² weights, one ReLU

so the stack has fewer parameters and is more non-linear ("Very Deep Convolutional Networks for
Large-Scale Image Recognition", section 2.3). The plan is uniform: stages of convolutions that keep
the size, each followed by a maximum over 2×2, after which the channels are doubled:

    3×224×224 → 64×224×224 → 128×112×112 → 256×56×56 → 512×28×28 → 512×14×14
              → pool → 512×7×7 → 25088 → 4096 → 4096 → 1000

    layers  convolutions per stage   parameters    with batch norm
        11  1 1 2 2 2   (table 1, A)  132,863,336      132,868,840
        13  2 2 2 2 2   (B)           133,047,848      133,053,736
        16  2 2 3 3 3   (D)           138,357,544      138,365,992
        19  2 2 4 4 4   (E)           143,667,240      143,678,248

The fully connected layers have 123.6 million of these. The paper had to train the shallowest
network first, to start the others from it (section 3.1). Batch norm (Ioffe and Szegedy 2015), which
is not in the paper, and initial weights of the right variance (He et al. 2015) made that
unnecessary. A unit of the last convolution of VGG-16 sees 196 × 196 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import option

from .parts import classifier
from .parts.convnet import ConvNet, initialise, scaled


class VGG(ConvNet):
    """Images (N, in_channels, H, W) → logits (N, num_classes).

    Args:
        stages: number of convolutions per stage.
        norm: batch norm after each convolution.
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: factor of all numbers of channels and of units.
        dropout: probability of dropping a unit of the fully connected layers.

    The smallest images have 32 × 32 pixels, or 2^S for S stages.

    >>> model = VGG((1, 1, 2), num_classes=10, in_channels=1, width=1 / 16)
    >>> model(tg.zeros((2, 1, 28, 28))).shape
    (2, 10)
    """

    heads = ("classifier.6",)

    def __init__(
        self,
        stages: Sequence[int],
        norm: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(in_channels, num_classes)
        layers: list[nn.Module] = []
        inputs = in_channels
        for stage, count in enumerate(stages):
            channels = scaled(min(64 * 2**stage, 512), width)
            for _ in range(count):
                layers.append(nn.Conv2d(inputs, channels, 3, padding=1))
                layers += [nn.BatchNorm2d(channels), nn.ReLU()] if norm else [nn.ReLU()]
                inputs = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)  # the identity for 224 × 224 pixels
        units = scaled(4096, width)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * 7 * 7, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, num_classes),
        )
        initialise(self, linear=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(self.checked(x)))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
STAGES = {11: A, 13: B, 16: D, 19: E}

vgg11: Callable[..., VGG] = partial(VGG, stages=A)
vgg13: Callable[..., VGG] = partial(VGG, stages=B)
vgg16: Callable[..., VGG] = partial(VGG, stages=D)
vgg19: Callable[..., VGG] = partial(VGG, stages=E)
vgg11_bn: Callable[..., VGG] = partial(VGG, stages=A, norm=True)
vgg13_bn: Callable[..., VGG] = partial(VGG, stages=B, norm=True)
vgg16_bn: Callable[..., VGG] = partial(VGG, stages=D, norm=True)
vgg19_bn: Callable[..., VGG] = partial(VGG, stages=E, norm=True)


@dataclass(frozen=True)
class Config(classifier.Config):
    """The recipe of `classifier`, for a VGG; the defaults are for small images."""

    optimizer: str = option("adamw", "optimizer", choices=("sgd", "adamw"))
    learning_rate: float = option(1e-3, "learning rate at its peak")
    depth: int = option(11, "number of layers: 11, 13, 16 or 19")
    norm: bool = option(True, "batch norm after each convolution")
    stages: int = option(4, "number of stages; 5 are for 32 × 32 pixels or more", most=5)
    width: float = option(0.25, "factor of all numbers of channels")

    @property
    def network(self) -> str:
        return f"vgg{self.depth}{'_bn' if self.norm else ''}"

    @property
    def options(self) -> dict[str, Any]:
        return {"width": self.width, "stages": STAGES[self.depth][: self.stages]}


TRAINING_TIME = "about 80 seconds on two cores"
train, example = classifier.train, classifier.example
restore, judge = partial(classifier.restore, Config), partial(classifier.judge, Config)
