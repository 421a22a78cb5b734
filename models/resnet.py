"""ResNet: residual learning (He et al. 2016, "Deep Residual Learning for Image Recognition").

**The problem.** A deeper plain network has a larger *training* error than a shallower one: the
paper's 56 layers are worse than its 20 (figure 1). That is not overfitting, and not for want of
weights, since additional layers that were the identity would do no harm. They are hard to find:
stacked layers with ReLUs do not easily become the identity.

**The idea.** A block computes the difference from the identity, the *residual* F:

    y = relu(F(x; W) + x)                    ∂y/∂x = I + ∂F/∂x  (where the ReLU is on)

(section 3.1, equation 1). The identity is now the weights W = 0, and is where a block starts. The
gradient has a path through all blocks that no weight attenuates, so the first layers learn as
fast as the last.

**The blocks** (figure 5). A basic block is two convolutions 3×3. A *bottleneck* is 1×1, which
reduces the channels to a quarter, 3×3, and 1×1, which restores them: three layers for the price of
two. Each convolution is followed by batch norm, and all but the last by a ReLU. Where the number of
channels doubles, the number of pixels is divided by 4 by a stride of 2; there x is

- projected by a convolution 1×1 with stride 2 (option B; `Projection`), or
- reduced to every second pixel, with zeros in the new channels (option A; `Subsample`), which
  adds no parameters.

**ImageNet** (table 1), images 3×224×224:

    conv 7×7/2 → 64×112×112 → max 3×3/2 → 64×56×56 → stages of blocks, the channels doubling:
    64×56×56 → 128×28×28 → 256×14×14 → 512×7×7 → mean → 512 → 1000

    layers  blocks                  parameters
        18  basic       2 2 2 2     11,689,512
        34  basic       3 4 6 3     21,797,672
        50  bottleneck  3 4 6 3     25,557,032
       101  bottleneck  3 4 23 3    44,549,160
       152  bottleneck  3 8 36 3    60,192,808

A bottleneck's output has four times the channels: 256, 512, 1024, 2048. Its stride is that of the
3×3 convolution, as in torchvision; in the paper it is that of the first 1×1.

**CIFAR-10** (section 4.2), images 3×32×32: a convolution 3×3, three stages of n basic blocks with
16×32×32, 32×16×16 and 64×8×8, the mean, 10 classes; 6n + 2 layers. With 20, 32, 44 and 56 layers
it has 269,722, 464,154, 658,586 and 853,018 parameters. `CifarResNet(..., residual=False)` is the
plain network of the comparison.

The names of the parameters are those of torchvision and, for CIFAR-10, of the weights of Idelbayev
(github.com/akamaster/pytorch_resnet_cifar10).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import option

from .parts import classifier
from .parts.convnet import ConvNet, initialise, scaled


class BasicBlock(nn.Module):
    """y = relu(F(x) + shortcut(x)), F = norm ∘ conv 3×3 ∘ relu ∘ norm ∘ conv 3×3.

    Args:
        in_channels: number of channels of x.
        channels: number of channels of y.
        stride: 1, or 2 for half of the height and the width, of the first convolution.
        downsample: the shortcut where x and y differ in shape; None: x itself.
        residual: False: y = relu(F(x)), a plain block.

    >>> BasicBlock(16, 32, 2, Subsample(16, 32, 2))(tg.zeros((5, 16, 8, 8))).shape
    (5, 32, 4, 4)
    """

    expansion: ClassVar[int] = 1  # channels of the output, in multiples of `channels`

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample, self.residual = downsample, residual

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.residual:
            out = out + (x if self.downsample is None else self.downsample(x))
        return F.relu(out)


class Bottleneck(nn.Module):
    """y = relu(F(x) + shortcut(x)), with F of convolutions 1×1, 3×3 (strided) and 1×1.

    The arguments are those of `BasicBlock`, but y has 4 · channels channels.

    >>> Bottleneck(256, 64)(tg.zeros((5, 256, 8, 8))).shape
    (5, 256, 8, 8)
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Projection(nn.Sequential):
    """Option B: a convolution 1×1 with the block's stride, and batch norm."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        conv = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
        super().__init__(conv, nn.BatchNorm2d(channels))


class Subsample(nn.Module):
    """Option A: every second pixel; half of the new channels, zero, before the old ones, half
    after them.

    >>> Subsample(1, 3, 2)(tg.arange(9.0).reshape(1, 1, 3, 3)).tolist()[0][1]
    [[0.0, 2.0], [6.0, 8.0]]
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        before = (channels - in_channels) // 2
        self.stride, self.new = stride, (before, channels - in_channels - before)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.new))


class ResNet(ConvNet):
    """The network for ImageNet; `resnet18` … `resnet152` make those of the paper.

    Args:
        block: BasicBlock or Bottleneck.
        blocks: number of blocks per stage; the first stage keeps the size, each other halves it.
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: factor of all numbers of channels; the first stage has 64 · width.

    Shapes: x (N, in_channels, H, W), y (N, num_classes), the logits.

    >>> model = ResNet(BasicBlock, (1, 1), num_classes=10, width=0.25)
    >>> model(tg.zeros((2, 3, 32, 32))).shape, model.layer2(tg.zeros((1, 16, 8, 8))).shape
    ((2, 10), (1, 32, 4, 4))
    """

    heads = ("fc",)

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        blocks: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
    ) -> None:
        super().__init__(in_channels, num_classes)
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = [f"layer{number}" for number in range(1, len(blocks) + 1)]
        inputs = channels
        for number, name in enumerate(self.stages):
            outputs = channels * 2**number
            stride = 2 if number else 1
            setattr(self, name, _stage(block, inputs, outputs, blocks[number], stride))
            inputs = outputs * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(self.checked(x)))))
        for name in self.stages:
            x = getattr(self, name)(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(
    block: type[BasicBlock | Bottleneck], inputs: int, channels: int, count: int, stride: int
) -> nn.Sequential:
    """`count` blocks, of which the first has the stride."""
    outputs = channels * block.expansion
    same = stride == 1 and inputs == outputs
    first = block(inputs, channels, stride, None if same else Projection(inputs, outputs, stride))
    return nn.Sequential(first, *(block(outputs, channels) for _ in range(count - 1)))


class CifarResNet(ConvNet):
    """The network for CIFAR-10; `resnet20` … `resnet56` make those of the paper.

    Args:
        depth: number of layers with weights, 6n + 2.
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: factor of all numbers of channels; the stages have 16, 32 and 64 times `width`.
        residual: False: without shortcuts, the plain network.
        norm: False: without batch norm.

    Shapes: x (N, in_channels, H, W), y (N, num_classes), the logits.

    Raises:
        ValueError: the depth is not 6n + 2.

    >>> model = CifarResNet(20)
    >>> model(tg.zeros((2, 3, 32, 32))).shape, sum(p.size for p in model.parameters())
    ((2, 10), 269722)
    """

    heads = ("linear",)

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 3,
        width: float = 1.0,
        residual: bool = True,
        norm: bool = True,
    ) -> None:
        super().__init__(in_channels, num_classes)
        count, rest = divmod(depth - 2, 6)
        if count < 1 or rest:
            raise ValueError(f"CifarResNet: depth is {depth}; it must be 6n + 2: 8, 14, 20, …")
        channels = [scaled(16 * 2**number, width) for number in range(3)]

        def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            shortcut = Subsample(inputs, outputs, stride) if residual and stride > 1 else None
            first = BasicBlock(inputs, outputs, stride, shortcut, residual)
            rest = (BasicBlock(outputs, outputs, residual=residual) for _ in range(count - 1))
            return nn.Sequential(first, *rest)

        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.layer1 = stage(channels[0], channels[0], 1)
        self.layer2 = stage(channels[0], channels[1], 2)
        self.layer3 = stage(channels[1], channels[2], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels[2], num_classes)
        initialise(self)
        if not norm:
            self.apply(_without_norm)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(self.checked(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(self.avgpool(x).flatten(1))
        return logits


def _without_norm(module: nn.Module) -> None:
    for name, child in [*module.named_children()]:
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.Identity())


resnet18: Callable[..., ResNet] = partial(ResNet, block=BasicBlock, blocks=(2, 2, 2, 2))
resnet34: Callable[..., ResNet] = partial(ResNet, block=BasicBlock, blocks=(3, 4, 6, 3))
resnet50: Callable[..., ResNet] = partial(ResNet, block=Bottleneck, blocks=(3, 4, 6, 3))
resnet101: Callable[..., ResNet] = partial(ResNet, block=Bottleneck, blocks=(3, 4, 23, 3))
resnet152: Callable[..., ResNet] = partial(ResNet, block=Bottleneck, blocks=(3, 8, 36, 3))
resnet20: Callable[..., CifarResNet] = partial(CifarResNet, depth=20)
resnet32: Callable[..., CifarResNet] = partial(CifarResNet, depth=32)
resnet44: Callable[..., CifarResNet] = partial(CifarResNet, depth=44)
resnet56: Callable[..., CifarResNet] = partial(CifarResNet, depth=56)


@dataclass(frozen=True)
class Config(classifier.Config):
    """The recipe of `classifier`, for a residual network."""

    depth: int = option(20, "number of layers: 20, 32, 44 or 56; or 18, 34, 50, 101 or 152")
    width: float = option(1.0, "factor of all numbers of channels")

    @property
    def network(self) -> str:
        return f"resnet{self.depth}"

    @property
    def options(self) -> dict[str, Any]:
        return {"width": self.width}


TRAINING_TIME = "about 80 seconds on two cores"
train, example = classifier.train, classifier.example
restore, judge = partial(classifier.restore, Config), partial(classifier.judge, Config)
