"""GoogLeNet, or Inception v1 (Szegedy et al. 2015, "Going Deeper with Convolutions").

**The idea.** How large should a window be? An *Inception* module takes all sizes at once and
concatenates their channels (section 4, figure 2b):

    x ─┬─ 1×1 ───────────────────┐
       ├─ 1×1 (reduce) ─── 3×3 ──┤
       ├─ 1×1 (reduce) ─── 5×5 ──┼─ concat
       └─ max 3×3 ──────── 1×1 ──┘

The convolutions 1×1 in front *reduce* the channels, which keeps the larger ones cheap. In the first
module, 192 channels become 16 before the 5×5 makes 32 of them: 192·16 + 25·16·32 = 15,872 weights
instead of 25·192·32 = 153,600. Instead of fully connected layers on 1024×7×7 numbers the mean of
each channel goes to a single linear layer (Lin et al. 2014, "Network in Network"). So 22 layers
have 6,624,904 parameters, a ninth of AlexNet's.

**Auxiliary heads** (section 5). Two small classifiers in the middle shorten the path of the
gradient; they are used in training only, and with them there are 13,004,888 parameters:

    L = CE(logits, label) + 0.3 · (CE(logits of head 1, label) + CE(logits of head 2, label))

    3×224×224 → conv 7×7/2 → 64×112×112 → pool → conv 1×1, conv 3×3 → 192×56×56 → pool
              → 3a 3b → 480×28×28 → pool → 4a 4b 4c 4d 4e → 832×14×14 → pool → 5a 5b → 1024×7×7
              → mean → 1024 → 1000        (heads after 4a and 4d)

The network is torchvision's, which differs from the paper:

- The branch for 5×5 is 3×3. (Its authors call it a known bug; their weights have it.)
- Batch norm follows each convolution; in the paper the convolutions have biases, and two local
  response norms are between the first layers.
- 20 % dropout before the last layer, in the paper 40 %.
- A head's pooling always gives 4×4; in the paper it has windows of 5×5 at distance 3, which is the
  same size for 14×14 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import option

from .parts import classifier
from .parts.convnet import ConvNet, initialise, scaled


class GoogLeNetOutputs(NamedTuple):
    """The logits of training, (N, num_classes) each: of the last layer, and of both heads."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class BasicConv2d(nn.Module):
    """y = relu(norm(conv(x))), which keeps the size of the images with a stride of 1."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, kernel, stride, padding=kernel // 2, bias=False
        )
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """The four branches, concatenated.

    Args:
        in_channels: number of channels of x.
        one: channels of the branch 1×1.
        three: channels of the reduction and of the result of the branch 3×3.
        five: those of the branch that is 5×5 in the paper.
        pool: channels of the branch with a maximum.

    >>> module = Inception(192, 64, (96, 128), (16, 32), 32)
    >>> module(tg.zeros((2, 192, 8, 8))).shape  # 64 + 128 + 32 + 32 channels
    (2, 256, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        one: int,
        three: tuple[int, int],
        five: tuple[int, int],
        pool: int,
    ) -> None:
        super().__init__()
        self.out_channels = one + three[1] + five[1] + pool
        self.branch1 = BasicConv2d(in_channels, one, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, three[0], 1), BasicConv2d(three[0], three[1], 3)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, five[0], 1), BasicConv2d(five[0], five[1], 3)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), BasicConv2d(in_channels, pool, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return tg.concat([branch(x) for branch in branches], axis=1)


class AuxiliaryHead(nn.Module):
    """Features (N, C, H, W) → logits (N, num_classes), for training."""

    def __init__(self, in_channels: int, num_classes: int, width: float, dropout: float) -> None:
        super().__init__()
        channels, units = scaled(128, width), scaled(1024, width)
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.conv = BasicConv2d(in_channels, channels, 1)
        self.fc1 = nn.Linear(channels * 4 * 4, units)
        self.fc2 = nn.Linear(units, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.avgpool(x)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(F.relu(self.fc1(x))))
        return logits


# Mean and deviation of each channel of ImageNet's images, with values in [0, 1].
IMAGENET = [[[[0.485]], [[0.456]], [[0.406]]], [[[0.229]], [[0.224]], [[0.225]]]]

# Table 1: channels of 1×1, of 3×3 and 5×5 with their reductions, and of the branch with a pool.
MODULES = {
    "3a": (64, (96, 128), (16, 32), 32),
    "3b": (128, (128, 192), (32, 96), 64),
    "4a": (192, (96, 208), (16, 48), 64),
    "4b": (160, (112, 224), (24, 64), 64),
    "4c": (128, (128, 256), (24, 64), 64),
    "4d": (112, (144, 288), (32, 64), 64),
    "4e": (256, (160, 320), (32, 128), 128),
    "5a": (256, (160, 320), (32, 128), 128),
    "5b": (384, (192, 384), (48, 128), 128),
}


class GoogLeNet(ConvNet):
    """Images (N, in_channels, H, W) → logits (N, num_classes), or in training GoogLeNetOutputs.

    Args:
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: factor of all numbers of channels and of units.
        aux_logits: whether there are auxiliary heads.
        transform_input: convert images with ImageNet's mean and deviation to a mean and a deviation
            of ½; the weights that torchvision publishes need that.
        dropout, dropout_aux: probability of dropping a unit before the last layer of the network,
            and of each auxiliary head.

    The smallest images have 15 × 15 pixels.

    >>> model = GoogLeNet(num_classes=10, width=1 / 16)
    >>> images = tg.zeros((2, 3, 32, 32))
    >>> [logits.shape for logits in model(images)], model.eval()(images).shape
    ([(2, 10), (2, 10), (2, 10)], (2, 10))
    """

    heads = ("fc", "aux1.fc2", "aux2.fc2")

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__(in_channels, num_classes)
        self.transform_input = transform_input

        def inception(inputs: int, name: str) -> Inception:
            one, three, five, pool = MODULES[name]
            a, b, c, d, e, f = (scaled(n, width) for n in (one, *three, *five, pool))
            return Inception(inputs, a, (b, c), (d, e), f)

        def head(inputs: int) -> AuxiliaryHead | None:
            return AuxiliaryHead(inputs, num_classes, width, dropout_aux) if aux_logits else None

        c1, c3 = scaled(64, width), scaled(192, width)
        self.conv1 = BasicConv2d(in_channels, c1, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(c1, c1, 1)
        self.conv3 = BasicConv2d(c1, c3, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(c3, "3a")
        self.inception3b = inception(self.inception3a.out_channels, "3b")
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(self.inception3b.out_channels, "4a")
        self.inception4b = inception(self.inception4a.out_channels, "4b")
        self.inception4c = inception(self.inception4b.out_channels, "4c")
        self.inception4d = inception(self.inception4c.out_channels, "4d")
        self.inception4e = inception(self.inception4d.out_channels, "4e")
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(self.inception4e.out_channels, "5a")
        self.inception5b = inception(self.inception5a.out_channels, "5b")
        self.aux1 = head(self.inception4a.out_channels)
        self.aux2 = head(self.inception4d.out_channels)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.inception5b.out_channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        x = self.checked(x)
        if self.transform_input:
            mean, deviation = (tg.tensor(row, x.dtype, x.device) for row in IMAGENET)
            x = x * (2 * deviation) + (2 * mean - 1)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        middle1 = self.inception4a(x)
        middle2 = self.inception4d(self.inception4c(self.inception4b(middle1)))
        x = self.maxpool4(self.inception4e(middle2))
        x = self.avgpool(self.inception5b(self.inception5a(x)))
        logits: Tensor = self.fc(self.dropout(x.flatten(1)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return GoogLeNetOutputs(logits, self.aux2(middle2), self.aux1(middle1))
        return logits


googlenet = GoogLeNet


@dataclass(frozen=True)
class Config(classifier.Config):
    """The recipe of `classifier`, for a GoogLeNet; the defaults are for small images."""

    width: float = option(0.25, "factor of all numbers of channels")

    @property
    def network(self) -> str:
        return "googlenet"

    @property
    def options(self) -> dict[str, Any]:
        return {"width": self.width}


TRAINING_TIME = "about 40 seconds on two cores"
train, example = classifier.train, classifier.example
restore, judge = partial(classifier.restore, Config), partial(classifier.judge, Config)
