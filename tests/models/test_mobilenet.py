"""MobileNet: what a separable convolution costs, the blocks, the width multiplier."""

from __future__ import annotations

import numpy as np
import pytest
from convnets import multiplications

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models.mobilenet import (
    V2,
    InvertedResidual,
    MobileNetV1,
    MobileNetV2,
    SeparableConv2d,
)
from tinygrad_gm.models.parts.convnet import convolutions, scaled


def test_a_separable_convolution_costs_1_nth_and_a_ninth_of_a_whole_one() -> None:
    x = tg.zeros((1, 32, 7, 7))
    separable = multiplications(SeparableConv2d(32, 64), x)
    whole = multiplications(nn.Conv2d(32, 64, 3, padding=1), x)
    assert whole == 9 * 32 * 64 * 49
    assert separable / whole == pytest.approx(1 / 64 + 1 / 9)


def test_mobilenets_cost_what_their_papers_say() -> None:
    x = tg.zeros((1, 3, 224, 224))
    with nn.no_init():
        first, second = MobileNetV1().eval(), MobileNetV2().eval()
    assert round(multiplications(first, x) / 1e6) == 569  # V1, table 4
    assert round(multiplications(second, x) / 1e6) == 301  # V2, table 4: 300M


def test_a_separable_convolution_is_two_convolutions() -> None:
    tg.manual_seed(0)
    layer = SeparableConv2d(3, 5).eval()
    x = tg.randn((2, 3, 6, 6)).numpy()
    depth, point = layer.conv_dw.weight.numpy(), layer.conv_pw.weight.numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    inner = np.einsum("nchwij,cij->nchw", views, depth[:, 0]) / np.sqrt(1 + 1e-5)
    outer = np.einsum("nchw,oc->nohw", inner.clip(0, 6), point[:, :, 0, 0]) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), outer.clip(0, 6), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "added"),
    [(8, 8, 1, True), (8, 8, 2, False), (8, 16, 1, False)],
)
def test_a_block_adds_its_input_where_it_can_and_ends_without_an_activation(
    inputs: int, outputs: int, stride: int, added: bool
) -> None:
    tg.manual_seed(0)
    block = InvertedResidual(inputs, outputs, stride, expand=6).eval()
    x = tg.randn((2, inputs, 4, 4))
    inner = block.conv(x).numpy()
    assert inner.min() < 0
    assert (block(x).numpy() == (inner + x.numpy() if added else inner)).all()
    assert isinstance(block.conv[-1], nn.BatchNorm2d)


def test_a_block_without_expansion_has_two_convolutions() -> None:
    assert len([*convolutions(InvertedResidual(32, 16, 1, expand=1))]) == 2
    assert len([*convolutions(InvertedResidual(16, 24, 2, expand=6))]) == 3


@pytest.mark.parametrize(
    ("channels", "width", "multiple", "found"),
    [
        (32, 1.0, 8, 32),
        (24, 0.75, 8, 24),  # 18 is nearer to 16, which is less than 90 %
        (16, 0.25, 8, 8),
        (320, 1.4, 8, 448),
        (32, 0.35, 8, 16),
        (64, 0.25, 1, 16),
        (1, 0.1, 1, 1),
    ],
)
def test_scaled_numbers_of_channels(channels: int, width: float, multiple: int, found: int) -> None:
    assert scaled(channels, width, multiple) == found


def test_a_narrow_mobilenet_keeps_its_last_convolution() -> None:
    with nn.no_init():
        narrow, wide = MobileNetV2(width=0.5), MobileNetV2(width=1.4)
    assert narrow.classifier[1].in_features == 1280
    assert wide.classifier[1].in_features == 1792
    assert sum(p.size for p in narrow.parameters()) == 1_968_680  # torchvision's


def test_small_images_keep_more_pixels_with_fewer_stages_and_a_stride_of_1() -> None:
    model = MobileNetV2(num_classes=10, in_channels=1, width=0.25, stages=V2[:5], stride=1)
    assert model.features(tg.zeros((1, 1, 28, 28))).shape == (1, 1280, 4, 4)
