"""What the convolutional classifiers share: their images, their heads, their initial weights.

`alexnet.py`, `vgg.py`, `googlenet.py`, `resnet.py`, `mobilenet.py` and `efficientnet.py` are best
read in this order, which is that of their years.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from tinygrad_gm import Tensor, nn
from tinygrad_gm.kernels.windows import per_axis

WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


class ConvNet(nn.Module):
    """Base of the nets: images (N, in_channels, H, W) → logits (N, num_classes).

    Attributes:
        in_channels: number of channels of the images, 3 for colours.
        num_classes: number of classes.
        heads: the paths of the last layers, `Linear`, whose outputs are the logits.
        least_size: the smallest height and width of images.
    """

    heads: ClassVar[tuple[str, ...]]

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.in_channels, self.num_classes = in_channels, num_classes

    def checked(self, x: Tensor) -> Tensor:
        """Return the images; raise ValueError, in one line, for images that do not fit."""
        name = type(self).__name__
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"{name}: expected images (N, {self.in_channels}, H, W); got {x.shape}"
            )
        if min(x.shape[2:]) < self.least_size:
            raise ValueError(
                f"{name}: the images {x.shape} are too small; the smallest are "
                f"{self.least_size} × {self.least_size}"
            )
        return x

    @cached_property
    def least_size(self) -> int:
        """The smallest height and width for which every window has an input; see `least_size`."""
        return least_size(self)

    def replace_heads(self, num_classes: int) -> None:
        """Replace the last layers by new ones, for another number of classes."""
        parts = dict(self.named_modules())
        for path in self.heads:
            holder, _, name = path.rpartition(".")
            head = parts.get(path)
            if isinstance(head, nn.Linear):
                setattr(parts[holder], name, nn.Linear(head.in_features, num_classes))
        self.num_classes = num_classes


def least_size(model: nn.Module) -> int:
    """Return the smallest height and width of images for which every window has an input.

    From the last layer to the first: for m outputs, windows of k pixels at distance s with padding
    p on both sides need (m − 1)·s + k − 2p inputs, or s − 1 fewer if a last incomplete window
    counts (`ceil_mode`), which must begin in the image. An adaptive pool needs one. The layers are
    taken in the order in which the model has them; of parallel paths, which must fit each other
    anyway, all are taken: those that keep the size of one output do not change the result.

    >>> least_size(nn.Sequential(nn.Conv2d(1, 1, 5), nn.MaxPool2d(2), nn.Conv2d(1, 1, 5)))
    14
    """
    return max(_inputs(model, axis) for axis in (0, 1))


def _inputs(model: nn.Module, axis: int) -> int:
    least = 1
    for layer in reversed([*model.modules()]):
        if isinstance(layer, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)):
            least = 1
        elif isinstance(layer, WINDOWS):
            k, s, p, d = (
                per_axis("least_size", name, getattr(layer, name, 1), 2, least=0)[axis]
                for name in ("kernel_size", "stride", "padding", "dilation")
            )
            partial = s - 1 if getattr(layer, "ceil_mode", False) else 0
            steps = (least - 1) * s
            least = max(steps + d * (k - 1) + 1 - 2 * p - partial, steps + 1 - p, 1)
    return least


def convolutions(model: nn.Module) -> Iterator[nn.Conv2d]:
    """All convolutions of a model."""
    return (module for module in model.modules() if isinstance(module, nn.Conv2d))


def scaled(channels: float, width: float = 1.0, multiple: int = 1) -> int:
    """Return channels · width, rounded to a multiple, to at least one and to no less than 90 %.

    >>> scaled(64, 0.25), scaled(24, 0.75, multiple=8), scaled(1.4)
    (16, 24, 2)
    """
    wanted = channels * width
    rounded = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    return rounded if rounded >= 0.9 * wanted else rounded + multiple


def initialise(model: nn.Module, linear: float | None = None) -> None:
    """Draw the weights of all convolutions from N(0, 2/fan out), with biases of 0.

    A ReLU removes half of the variance of its inputs; the 2 restores it, so the gradients keep
    their size through the layers (He et al. 2015, "Delving Deep into Rectifiers", section 2.2).

    Args:
        model: the model.
        linear: standard deviation of the weights of its linear layers, whose biases are then 0;
            None: as they are.
    """
    for layer in convolutions(model):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for module in model.modules():
        if isinstance(module, nn.Linear) and linear is not None:
            nn.init.normal_(module.weight, std=linear)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
