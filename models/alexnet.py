"""AlexNet, the deep convolutional network that won ImageNet 2012 (Krizhevsky et al. 2012).

**The idea.** LeNet-5 at scale: a thousand classes of photographs instead of ten digits, a thousand
times the parameters, trained on two GPUs. Section numbers are those of "ImageNet Classification
with Deep Convolutional Neural Networks". What made it trainable:

- ReLU, max(0, x) (3.1). The slope of tanh vanishes where a unit is sure; that of a ReLU stays 1. A
  small network reaches 25 % training error on CIFAR-10 in a sixth of the epochs (figure 1).
- Overlapping pooling (3.4): windows of 3 pixels at distance 2.
- Dropout (4.2): each of the 4,096 units of a fully connected layer is dropped with probability ½,
  since 58.6 of the 61.1 million parameters are in these layers, which would otherwise overfit.
- Augmentation (4.1): random crops of 224 × 224 pixels of the image and of its mirror image.

    3×224×224 → conv 11×11/4, pad 2 → 64×55×55  → pool → 64×27×27
              → conv 5×5, pad 2     → 192×27×27 → pool → 192×13×13
              → conv 3×3, pad 1     → 384×13×13 → conv 3×3 → 256×13×13 → conv 3×3 → 256×13×13
              → pool → 256×6×6 → 9216 → 4096 → 4096 → 1000

It has 61,100,840 parameters, and a unit of the last pool sees 195 × 195 pixels. This is the network
of Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", which
torchvision has: in that of 2012 each GPU had half of the channels (96, 256, 384, 384, 256 in all),
and strong units inhibited their neighbours (3.3, `nn.LocalResponseNorm`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from tinygrad_gm import Tensor, nn
from tinygrad_gm.training import option

from .parts import classifier
from .parts.convnet import ConvNet, scaled


class AlexNet(ConvNet):
    """Images (N, in_channels, H, W) → logits (N, num_classes).

    Args:
        num_classes: number of classes.
        in_channels: number of channels of the images.
        width: factor of all numbers of channels and of units.
        dropout: probability of dropping a unit of the fully connected layers.
        stride: that of the first convolution; 1 for images of 28 × 28 or 32 × 32.

    The smallest images have 63 × 63 pixels, or 21 × 21 with a stride of 1.

    >>> model = AlexNet(num_classes=10, width=1 / 16, stride=1)
    >>> model(tg.zeros((2, 3, 32, 32))).shape
    (2, 10)
    """

    heads = ("classifier.6",)

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.5,
        stride: int = 4,
    ) -> None:
        super().__init__(in_channels, num_classes)
        c1, c2, c3, c4, units = (scaled(c, width) for c in (64, 192, 384, 256, 4096))
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, 11, stride, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(c1, c2, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(c2, c3, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c3, c4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c4, c4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # the identity for 224 × 224 pixels
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(c4 * 6 * 6, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, units),
            nn.ReLU(),
            nn.Linear(units, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(self.checked(x)))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


alexnet = AlexNet


@dataclass(frozen=True)
class Config(classifier.Config):
    """The recipe of `classifier`, for an AlexNet; the defaults are for small images."""

    optimizer: str = option("adamw", "optimizer", choices=("sgd", "adamw"))
    learning_rate: float = option(1e-3, "learning rate at its peak")
    width: float = option(0.25, "factor of all numbers of channels")
    stride: int = option(1, "stride of the first convolution; 1 for small images")

    @property
    def network(self) -> str:
        return "alexnet"

    @property
    def options(self) -> dict[str, Any]:
        return {"width": self.width, "stride": self.stride}


TRAINING_TIME = "about 1 minute on two cores"
train, example = classifier.train, classifier.example
restore, judge = partial(classifier.restore, Config), partial(classifier.judge, Config)
