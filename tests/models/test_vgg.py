"""VGG: its stages, its norms, and small images."""

from __future__ import annotations

import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models.parts.convnet import convolutions
from tinygrad_gm.models.vgg import VGG, vgg16, vgg16_bn


@pytest.mark.parametrize("size", [28, 32])
def test_a_shallow_vgg_takes_small_images(size: int) -> None:
    model = VGG((1, 1, 1, 1), num_classes=2, in_channels=1, width=1 / 32).eval()
    assert model.least_size == 16
    assert model(tg.zeros((2, 1, size, size))).shape == (2, 2)


def test_vgg_16_has_thirteen_convolutions_in_five_stages() -> None:
    with nn.no_init():
        model = vgg16()
    channels = [conv.out_channels for conv in convolutions(model)]
    assert channels == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in model.features) == 5
    with nn.no_init():
        norms = [m for m in vgg16_bn().modules() if isinstance(m, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == channels
