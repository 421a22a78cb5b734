"""What a unit sees: the formula against published numbers, and against the gradient."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, viz
from tinygrad_gm.models.alexnet import AlexNet
from tinygrad_gm.models.googlenet import googlenet
from tinygrad_gm.models.lenet import LeNet5
from tinygrad_gm.models.mobilenet import MobileNetV1, MobileNetV2
from tinygrad_gm.models.resnet import (
    BasicBlock,
    CifarResNet,
    ResNet,
    resnet18,
    resnet20,
    resnet50,
)
from tinygrad_gm.models.vgg import VGG, vgg16

NARROW = {"num_classes": 2, "width": 1 / 64}  # the field does not depend on the channels


def positive(model: nn.Module) -> nn.Module:
    """The model with positive weights, whose contributions cannot cancel."""
    for parameter in model.parameters():
        parameter.data = tg.abs(parameter.detach()) + 0.1
    return model


def test_alexnets_last_pool_sees_195_pixels_in_steps_of_32() -> None:
    # Araujo, Norris and Sim 2019, table 1; the paddings add up to 2 + 2·8 + 3·16 = 66 pixels
    field = viz.receptive_field(AlexNet(**NARROW), "features.12")
    assert (field.size, field.stride, field.start) == ((195, 195), (32, 32), (-66, -66))


@pytest.mark.parametrize(
    ("layer", "size", "stride"), [(0, 11, 4), (2, 19, 8), (3, 51, 8), (5, 67, 16), (6, 99, 16)]
)
def test_every_layer_of_alexnet_sees_what_its_predecessors_let_through(
    layer: int, size: int, stride: int
) -> None:
    field = viz.receptive_field(AlexNet(**NARROW), f"features.{layer}")
    assert (field.size, field.stride) == ((size, size), (stride, stride))


@pytest.mark.parametrize(
    ("make", "layer", "size", "stride"),
    [
        (vgg16, "features.28", 196, 16),  # conv5_3
        (vgg16, "features.30", 212, 32),  # pool5
        (resnet18, "layer4", 435, 32),
        (resnet50, "layer4", 427, 32),  # its strides are those of the 3×3 convolutions
        (resnet20, "layer3", 81, 4),  # 1 + 7·2 + 2 + 5·4 + 4 + 5·8
        (googlenet, "inception3b", 59, 8),
        (MobileNetV1, "blocks", 315, 32),
        (MobileNetV2, "features.17", 491, 32),
    ],
)
def test_the_fields_of_the_networks_are_those_of_their_formulas(
    make: Callable[..., nn.Module], layer: str, size: int, stride: int
) -> None:
    model = make(**NARROW)
    field = viz.receptive_field(model, layer)
    assert (field.size, field.stride) == ((size, size), (stride, stride))


@pytest.mark.parametrize(
    ("make", "layer", "options"),
    [
        (AlexNet, "features.5", {"stride": 1}),
        (VGG, "features.8", {"stages": (1, 1, 1)}),
        (ResNet, "layer2", {"block": BasicBlock, "blocks": (1, 1)}),
        (CifarResNet, "layer2", {"depth": 8}),
        (MobileNetV2, "features.2", {"stride": 1}),
    ],
)
def test_the_gradient_reaches_all_of_the_field_in_small_networks(
    make: Callable[..., nn.Module], layer: str, options: dict[str, Any]
) -> None:
    """Means instead of maxima, which read one pixel; contributions that cannot cancel, and that
    are too small for the flat part of ReLU6.
    """
    tg.manual_seed(0)
    model = positive(make(**NARROW, **options))
    for parameter in model.parameters():
        parameter.data = parameter.detach() / 20
    for name, module in [*model.named_modules()]:
        if isinstance(module, nn.MaxPool2d):
            holder, _, part = name.rpartition(".")
            window = module.kernel_size, module.stride, module.padding
            setattr(dict(model.named_modules())[holder], part, nn.AvgPool2d(*window))
    field = viz.receptive_field(model, layer)
    first, last = field.computed[0]
    assert last - first + 1 == field.size[0]
    assert field.measured == field.computed


def test_slices_and_new_channels_are_part_of_the_formula() -> None:
    class Sliced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 1, 3), nn.Conv2d(3, 1, 2)

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            x = tg.pad(self.one(x)[:, :, 1::3, 2:], ((0, 0), (1, 1), (0, 0), (0, 0)))
            out: tg.Tensor = self.two(x)
            return out

    field = viz.receptive_field(positive(Sliced()), "two", (1, 1), input_shape=(1, 20, 20))
    assert (field.size, field.stride, field.start) == ((6, 4), (3, 1), (1, 2))
    assert field.measured == field.computed == ((4, 9), (3, 6))


def test_the_measured_support_is_the_computed_one() -> None:
    tg.manual_seed(0)
    layers = (
        nn.Conv2d(2, 3, (3, 5), stride=2, padding=1),
        nn.AvgPool2d(3, stride=2),
        nn.Conv2d(3, 2, 3, dilation=(2, 1)),
    )
    model = positive(nn.Sequential(*layers))
    inner = viz.receptive_field(model, "2", (1, 1), input_shape=(2, 60, 60))
    assert inner.size == (23, 17)  # 1 + 2·2·4 + 2·2 + 2 and 1 + 2·4 + 2·2 + 4
    assert inner.computed == ((3, 25), (3, 19))
    assert inner.measured == inner.computed
    assert (inner.gradient > 0).any(axis=0).sum() == 17  # dilation leaves rows out, no columns
    corner = viz.receptive_field(model, "2", (0, 0), input_shape=(2, 60, 60))
    assert corner.start == (-1, -1)
    assert corner.measured == corner.computed == ((0, 21), (0, 15))


def test_where_paths_meet_the_field_is_the_larger_one() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 5, padding=2)
            self.norm = nn.BatchNorm2d(1)
            self.last = nn.Conv2d(1, 1, 1)

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            out: tg.Tensor = self.last(tg.tanh(self.norm(self.two(self.one(x))) + x))
            return out

    model = Residual()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    model.train()
    field = viz.receptive_field(model, "last", (9, 9))
    assert (field.size, field.stride, field.start) == ((7, 7), (1, 1), (-3, -3))
    assert field.measured == field.computed == ((6, 12), (6, 12))
    assert model.training
    assert model.norm.training
    assert all(np.array_equal(before[k], v.numpy()) for k, v in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_spatial_axis_and_one_channel() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(3, 2, 5, dilation=2), nn.MaxPool1d(2), nn.Conv1d(2, 4, 3))
    field = viz.receptive_field(model, "2", (3, 5), samples=8)
    assert (field.size, field.stride, field.unit) == ((14,), (2,), (5,))
    assert field.measured == field.computed == ((10, 23),)


def test_functions_between_the_layers_count_too() -> None:
    assert viz.receptive_field(LeNet5(), "conv2").size == (14, 14)


@pytest.mark.parametrize(
    ("layer", "unit", "shape", "message"),
    [
        ("conv3", None, None, r"unknown layer 'conv3'; the layers are conv1, conv2, relu, pool"),
        ("fc1", None, (1, 28, 28), r"of layer 'fc1', got shape \(1, 120\)"),
        ("fc1", None, None, r"no input of up to 512 pixels reaches layer 'fc1'"),
        ("conv1", (28, 0), (1, 28, 28), r"unit \(28, 0\) is outside of the output"),
        ("conv1", (6, 0, 0), (1, 28, 28), r"unit \(6, 0, 0\) is outside of the output"),
        ("conv1", (1,), (1, 28, 28), r"expected a unit \(row, column\) or .*, got \(1,\)"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    layer: str, unit: tuple[int, ...] | None, shape: tuple[int, ...] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^receptive_field: .*{message}") as caught:
        viz.receptive_field(LeNet5(), layer, unit, input_shape=shape)
    assert "\n" not in str(caught.value)


def test_an_operation_that_mixes_all_places_is_named() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Softmax(axis=-1))
    with pytest.raises(ValueError, match="pointwise operations, got softmax of module '1'"):
        viz.receptive_field(model, "1")


def test_a_layer_that_is_never_called_is_named() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            out: tg.Tensor = self.used(x)
            return out

    with pytest.raises(ValueError, match="does not call layer 'idle'"):
        viz.receptive_field(Idle(), "idle")


def test_the_picture_shows_both_fields_and_says_what_they_are(tmp_path) -> None:
    field = viz.receptive_field(LeNet5(), "conv2", (3, 4), input_shape=(1, 28, 28))
    root = ElementTree.fromstring(field.svg())
    classes = [group.get("class") for group in root.iter("{http://www.w3.org/2000/svg}g")]
    assert {"computed", "measured", "units"} <= set(classes)
    text = " ".join(root.itertext())
    assert "computed: 14 × 14 pixels, rows 4 … 17, columns 6 … 19" in text
    assert repr(field) == "<ReceptiveField of unit (3, 4) of 'conv2': 14 × 14, stride 2>"
    assert field.save(tmp_path / "field.svg").read_text() == field.svg()
    assert field._repr_mimebundle_()["image/svg+xml"] == field.svg()
    with pytest.raises(ValueError, match=r"should end in \.svg or \.png"):
        field.save(tmp_path / "field.gif")


def test_a_unit_that_is_off_has_no_support() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    model[0].bias.data = tg.full((1,), -100.0)
    field = viz.receptive_field(model, "1")
    assert field.measured is None
    assert "the gradient is zero everywhere" in field.svg()
