"""EfficientNet: scaling depth, width and resolution together (Tan and Le 2019).

**The idea.** A network becomes more accurate if it is deeper, wider, or sees more pixels, but each
alone saturates: more pixels need more layers to see as far, and more channels for the finer
patterns ("EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", section 3.2).
*Compound scaling* lets all three grow in a fixed proportion, with one number φ (equation 3):

    depth d = α^φ,   width w = β^φ,   resolution r = γ^φ,   α = 1.2, β = 1.1, γ = 1.15.

The cost is proportional to d·w²·r², and α·β²·γ² ≈ 2, so each step of φ doubles it. The proportions
were found by a search with φ = 1; the networks B1 to B7 round them:

          width  depth  pixels  dropout   parameters
    B0     1.0    1.0     224     0.2      5,288,548
    B1     1.0    1.1     240     0.2      7,794,184
    B2     1.1    1.2     260     0.3      9,109,994
    B3     1.2    1.4     300     0.3     12,233,232
    B4     1.4    1.8     380     0.4     19,341,616
    B5     1.6    2.2     456     0.4     30,389,784
    B6     1.8    2.6     528     0.5     43,040,704
    B7     2.0    3.1     600     0.5     66,347,960

**The block** is MobileNetV2's inverted residual with SiLU activations and, before the projection,
*squeeze and excitation* (Hu et al. 2018, section 3): the mean of each channel, the squeeze, gives
through two small layers a factor in (0, 1) for each channel, the excitation:

    y_c = x_c · σ(W₂ silu(W₁ mean(x)))_c

**Stochastic depth** (Huang et al. 2016): in training, the residual of block l of L is dropped with
probability 0.2 · l/L, each image for itself, so the network is shallower and its gradients
stronger; later blocks are dropped more often, because all others need the first.

B0 came from a search for architectures (table 1), and is a list of stages. Names and numbers are
torchvision's, with its B5 to B7: the batch norms have eps 1e-3 and momentum 0.01.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import option

from .mobilenet import convolution
from .parts import classifier
from .parts.convnet import ConvNet, initialise, scaled

Norm = Callable[[int], nn.Module]


class SqueezeExcitation(nn.Module):
    """y = x · σ(fc2(silu(fc1(mean(x))))), one factor per image and channel.

    >>> SqueezeExcitation(8, 2)(tg.zeros((3, 8, 5, 5))).shape
    (3, 8, 5, 5)
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        factor: Tensor = tg.sigmoid(self.fc2(F.silu(self.fc1(self.avgpool(x)))))
        return x * factor


class MBConv(nn.Module):
    """The block: expansion 1×1, depthwise convolution, squeeze and excitation, projection 1×1.

    Args:
        in_channels: number of channels of x.
        channels: number of channels of y.
        kernel: size of the windows of the depthwise convolution.
        stride: its stride.
        expand: factor of the number of channels inside.
        drop: probability of dropping the residual.
        norm: makes a norm of a number of channels.

    >>> MBConv(16, 24, kernel=5, stride=2, expand=6, drop=0.1)(tg.zeros((2, 16, 8, 8))).shape
    (2, 24, 4, 4)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        stride: int,
        expand: int,
        drop: float,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        layer = partial(convolution, activation=nn.SiLU, norm=norm)
        inside = scaled(in_channels, expand, multiple=8)
        expansion = [layer(in_channels, inside, kernel=1)] if inside != in_channels else []
        self.block = nn.Sequential(
            *expansion,
            layer(inside, inside, kernel, stride, groups=inside),
            SqueezeExcitation(inside, max(1, in_channels // 4)),
            layer(inside, channels, kernel=1, activation=None),
        )
        self.stochastic_depth = nn.StochasticDepth(drop)
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return x + self.stochastic_depth(out) if self.shortcut else out


# Table 1: expansion, kernel, stride of the first block, channels, number of blocks.
B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class EfficientNet(ConvNet):
    """Images (N, in_channels, H, W) → logits (N, num_classes); `efficientnet_b0` … make B0 to B7.

    Args:
        width: w, the factor of all numbers of channels, which are rounded to multiples of 8.
        depth: d, the factor of the number of blocks of each stage, rounded up.
        dropout: probability of dropping a unit before the last layer.
        num_classes: number of classes.
        in_channels: number of channels of the images.
        stages: (expansion, kernel, stride of the first block, channels, blocks) for each stage.
        stride: that of the first convolution; 1 for images of 28 × 28 or 32 × 32.
        drop: probability of dropping the residual of the last block.
        norm: makes a norm of a number of channels.

    >>> model = efficientnet_b0(num_classes=10, width=0.25, stages=B0[:3], stride=1)
    >>> model(tg.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """

    heads = ("classifier.1",)

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
        num_classes: int = 1000,
        in_channels: int = 3,
        stages: Sequence[tuple[int, int, int, int, int]] = B0,
        stride: int = 2,
        drop: float = 0.2,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__(in_channels, num_classes)
        layer = partial(convolution, activation=nn.SiLU, norm=norm)
        inputs = scaled(32, width, multiple=8)
        self.features = nn.Sequential(layer(in_channels, inputs, stride=stride))
        counts = [math.ceil(depth * count) for *_, count in stages]
        before = 0
        for (expand, kernel, first_stride, channels, _), count in zip(stages, counts, strict=True):
            outputs = scaled(channels, width, multiple=8)
            stage = nn.Sequential()
            for number in range(count):
                block_stride = first_stride if number == 0 else 1
                rate = drop * before / sum(counts)
                stage.append(MBConv(inputs, outputs, kernel, block_stride, expand, rate, norm))
                inputs, before = outputs, before + 1
            self.features.append(stage)
        self.features.append(layer(inputs, 4 * inputs, kernel=1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * inputs, num_classes))
        initialise(self, linear=1 / math.sqrt(3 * num_classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(self.checked(x)))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


def compound(
    width: float, depth: float, dropout: float, norm: Norm = nn.BatchNorm2d
) -> Callable[..., EfficientNet]:
    """The network of a width, a depth and a dropout; other arguments are those of EfficientNet."""
    return partial(EfficientNet, width=width, depth=depth, dropout=dropout, norm=norm)


large = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)

efficientnet_b0 = compound(1.0, 1.0, dropout=0.2)
efficientnet_b1 = compound(1.0, 1.1, dropout=0.2)
efficientnet_b2 = compound(1.1, 1.2, dropout=0.3)
efficientnet_b3 = compound(1.2, 1.4, dropout=0.3)
efficientnet_b4 = compound(1.4, 1.8, dropout=0.4)
efficientnet_b5 = compound(1.6, 2.2, dropout=0.4, norm=large)
efficientnet_b6 = compound(1.8, 2.6, dropout=0.5, norm=large)
efficientnet_b7 = compound(2.0, 3.1, dropout=0.5, norm=large)


@dataclass(frozen=True)
class Config(classifier.Config):
    """The recipe of `classifier`, for an EfficientNet; the defaults are for small images."""

    scale: int = option(0, "compound scale: 0 for B0, to 7 for B7", least=0, most=7)
    width: float = option(0.25, "factor of all numbers of channels")
    stride: int = option(1, "stride of the first convolution; 1 for small images")

    @property
    def network(self) -> str:
        return f"efficientnet_b{self.scale}"

    @property
    def options(self) -> dict[str, Any]:
        return {"width": self.width, "stride": self.stride}


TRAINING_TIME = "about 2 minutes on two cores"
train, example = classifier.train, classifier.example
restore, judge = partial(classifier.restore, Config), partial(classifier.judge, Config)
