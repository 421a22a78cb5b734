"""AlexNet: the sizes on the way through it, and small images."""

from __future__ import annotations

from convnets import shapes

import tinygrad_gm as tg
from tinygrad_gm.models.alexnet import AlexNet


def test_the_sizes_in_alexnet_are_those_of_the_docstring() -> None:
    model = AlexNet(num_classes=2, width=1 / 64)
    layers = [f"features.{number}" for number in (0, 2, 3, 5, 6, 8, 10, 12)]
    found = shapes(model, tg.zeros((1, 3, 224, 224)), *layers, "avgpool", "classifier.1")
    sides = [shape[-1] for shape in found]
    assert sides == [55, 27, 27, 13, 13, 13, 13, 6, 6, 64]


def test_alexnet_takes_small_images_with_a_stride_of_1() -> None:
    model = AlexNet(num_classes=2, in_channels=1, width=1 / 32, stride=1).eval()
    assert model.least_size == 21
    assert model(tg.zeros((2, 1, 28, 28))).shape == (2, 2)
