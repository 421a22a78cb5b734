"""MobileNet: convolutions that are cheap enough for a telephone (Howard et al. 2017).

**The idea.** A convolution filters and mixes the channels at once. A *depthwise separable* one does
it in two steps: *depthwise*, one window per channel, and *pointwise*, a convolution 1×1. With K × K
windows from M to N channels and F × F pixels the multiplications are

    convolution           K²·M·N·F²
    depthwise, pointwise  K²·M·F² + M·N·F²         the ratio: 1/N + 1/K²

("MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", section 3.1),
so for 3×3 windows it costs an eighth to a ninth. The *width multiplier* (section 3.3) scales all
numbers of channels, and so the cost by its square.

**MobileNetV1** (table 1): conv 3×3/2 to 32 channels, 13 separable convolutions with norm and ReLU6
after both steps, up to 1024×7×7, the mean, 1000 classes: 4,231,976 parameters (timm's, and its
names).

**MobileNetV2** (Sandler et al. 2018, "Inverted Residuals and Linear Bottlenecks"). A ReLU destroys
information in a space of few dimensions, not in one of many (section 3.2). So a block has few
channels at its ends, which the shortcut connects, and many inside; and its last convolution is
linear (section 3.3, table 1):

    C → 1×1, relu6 → tC → depthwise 3×3/s, relu6 → tC → 1×1, linear → C′

and x is added if s = 1 and C = C′. A bottleneck of ResNet is the other way around: wide, narrow,
wide. With t = 6 and 17 blocks (table 2) it has 3,504,872 parameters (torchvision's, and its names).

ReLU6 = min(max(x, 0), 6) keeps enough precision with numbers of 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import option

from .parts import classifier
from .parts.convnet import ConvNet, initialise, scaled


class SeparableConv2d(nn.Module):
    """y = relu6(norm(conv 1×1(relu6(norm(depthwise conv 3×3(x)))))).

    >>> layer = SeparableConv2d(32, 64, stride=2)
    >>> layer(tg.zeros((1, 32, 8, 8))).shape, layer.conv_dw.weight.size, layer.conv_pw.weight.size
    ((1, 64, 4, 4), 288, 2048)
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(
            in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False
        )
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv_pw = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv_dw(x)))
        return F.relu6(self.bn2(self.conv_pw(x)))


# The stages: channels, number of blocks, stride of the first one.
V1 = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))


class MobileNetV1(ConvNet):
    """Images (N, in_channels, H, W) → logits (N, num_classes).

    Args:
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: the width multiplier; channels are rounded to multiples of 8.
        stages: (channels, number of blocks, stride of the first block) for each stage.
        stride: that of the first convolution; 1 for images of 28 × 28 or 32 × 32.

    >>> model = MobileNetV1(num_classes=10, width=0.25, stages=((64, 1, 1), (128, 2, 2)))
    >>> model(tg.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """

    heads = ("classifier",)

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        stages: Sequence[tuple[int, int, int]] = V1,
        stride: int = 2,
    ) -> None:
        super().__init__(in_channels, num_classes)
        inputs = scaled(32, width, multiple=8)
        self.conv_stem = nn.Conv2d(in_channels, inputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.blocks = nn.Sequential()
        for channels, count, stage_stride in stages:
            outputs = scaled(channels, width, multiple=8)
            first = SeparableConv2d(inputs, outputs, stage_stride)
            rest = (SeparableConv2d(outputs, outputs) for _ in range(count - 1))
            self.blocks.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv_stem(self.checked(x))))
        x = self.avgpool(self.blocks(x))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


def convolution(
    in_channels: int,
    channels: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: Callable[[], nn.Module] | None = nn.ReLU6,
    norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
) -> nn.Sequential:
    """Convolution, norm and activation, which keep the size of the images with a stride of 1."""
    padding = kernel // 2
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, groups=groups, bias=False)
    last = [activation()] if activation else []
    return nn.Sequential(conv, norm(channels), *last)


class InvertedResidual(nn.Module):
    """The block of MobileNetV2.

    Args:
        in_channels: C, the number of channels of x.
        channels: C′, that of y.
        stride: s.
        expand: t, the factor of the number of channels inside.

    >>> block = InvertedResidual(16, 24, stride=2, expand=6)
    >>> block(tg.zeros((1, 16, 8, 8))).shape, block.conv[1][0].weight.shape
    ((1, 24, 4, 4), (96, 1, 3, 3))
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expand: int) -> None:
        super().__init__()
        inside = in_channels * expand
        expansion = [convolution(in_channels, inside, kernel=1)] if expand > 1 else []
        self.conv = nn.Sequential(
            *expansion,
            convolution(inside, inside, stride=stride, groups=inside),
            nn.Conv2d(inside, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


# Table 2: t, channels, number of blocks, stride of the first one.
V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(ConvNet):
    """Images (N, in_channels, H, W) → logits (N, num_classes).

    Args:
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: the width multiplier; channels are rounded to multiples of 8. The last convolution
            has 1,280 or more.
        stages: (t, channels, number of blocks, stride of the first block) for each stage.
        stride: that of the first convolution; 1 for images of 28 × 28 or 32 × 32.
        dropout: probability of dropping a unit before the last layer.

    >>> model = MobileNetV2(num_classes=10, width=0.25, stages=V2[:4], stride=1)
    >>> model(tg.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """

    heads = ("classifier.1",)

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        stages: Sequence[tuple[int, int, int, int]] = V2,
        stride: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(in_channels, num_classes)
        inputs = scaled(32, width, multiple=8)
        layers: list[nn.Module] = [convolution(in_channels, inputs, stride=stride)]
        for expand, channels, count, stage_stride in stages:
            outputs = scaled(channels, width, multiple=8)
            for number in range(count):
                block_stride = stage_stride if number == 0 else 1
                layers.append(InvertedResidual(inputs, outputs, block_stride, expand))
                inputs = outputs
        last = scaled(1280, max(width, 1.0), multiple=8)
        layers.append(convolution(inputs, last, kernel=1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        initialise(self, linear=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(self.checked(x)))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


mobilenet_v1, mobilenet_v2 = MobileNetV1, MobileNetV2


@dataclass(frozen=True)
class Config(classifier.Config):
    """The recipe of `classifier`, for a MobileNet; the defaults are for small images."""

    version: int = option(2, "version of MobileNet: 1 or 2", most=2)
    width: float = option(0.25, "factor of all numbers of channels")
    stride: int = option(1, "stride of the first convolution; 1 for small images")

    @property
    def network(self) -> str:
        return f"mobilenet_v{self.version}"

    @property
    def options(self) -> dict[str, Any]:
        return {"width": self.width, "stride": self.stride}


TRAINING_TIME = "about 80 seconds on two cores"
train, example = classifier.train, classifier.example
restore, judge = partial(classifier.restore, Config), partial(classifier.judge, Config)
