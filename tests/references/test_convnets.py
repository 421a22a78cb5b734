"""Convolutional classifiers with the weights of torchvision's and timm's: logits and gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torchvision.models.resnet import BasicBlock

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.models.googlenet import GoogLeNet
from tinygrad_gm.models.parts.convnet import ConvNet
from tinygrad_gm.models.pretrained import ARCHITECTURES, architecture

torch.set_num_threads(1)


class CifarResNet(torch.nn.Sequential):
    """The ResNet for CIFAR-10, of torchvision's basic blocks with shortcuts of option A."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.relu = torch.nn.ReLU()
        inputs = 16
        for number, channels in enumerate((16, 32, 64)):
            shortcut = Shortcut() if number else None
            stage = [BasicBlock(inputs, channels, 2 if number else 1, shortcut)]
            stage += [BasicBlock(channels, channels) for _ in range((depth - 2) // 6 - 1)]
            setattr(self, f"layer{number + 1}", torch.nn.Sequential(*stage))
            inputs = channels
        self.pool, self.flatten = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        self.linear = torch.nn.Linear(64, 10)


class Shortcut(torch.nn.Module):
    """Every second pixel, and as many new channels of zeros as there were."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        quarter = x.shape[1] // 2
        return torch.nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))


def reference(name: str) -> torch.nn.Module:
    """The reference of a network, with random weights and statistics, without dropout."""
    with torch.device("meta"):  # without initial weights, which would be overwritten
        if name == "mobilenet_v1":
            model = timm.create_model("mobilenetv1_100")
        elif name in ("resnet20", "resnet32", "resnet44", "resnet56"):
            model = CifarResNet(int(name.removeprefix("resnet")))
        elif name == "googlenet":
            model = torchvision.models.googlenet(init_weights=False)
        else:
            model = getattr(torchvision.models, name)()
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    for key, tensor in model.state_dict().items():
        if tensor.ndim > 1:  # a variance of 2 / fan out, as torchvision's initial weights
            bound = math.sqrt(6 / len(tensor) / math.prod(tensor.shape[2:]))
            tensor.uniform_(-bound, bound)
        elif key.endswith(("weight", "running_var")):
            tensor.uniform_(0.75, 1.25)
        elif tensor.ndim:
            tensor.uniform_(-0.1, 0.1)
        else:
            tensor.zero_()
    for module in model.modules():
        if isinstance(module, (torch.nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    return model


def with_weights_of(theirs: torch.nn.Module, name: str, **options: Any) -> ConvNet:
    """Our network with the weights of the reference, without dropout."""
    with nn.no_init():
        model = architecture(name)(**options)
    model.load_state_dict({key: tensor.numpy() for key, tensor in theirs.state_dict().items()})
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def images(count: int, size: int) -> np.ndarray:
    """Standard normal images, in float64."""
    return np.random.default_rng(0).standard_normal((count, 3, size, size))


def error(ours: Any, theirs: torch.Tensor) -> float:
    """The largest difference, as a multiple of the largest value."""
    expected = theirs.detach().numpy()
    assert ours.shape == expected.shape
    return float(np.abs(ours.numpy() - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_logits_are_those_of_the_reference(name: str, record_property: Any) -> None:
    theirs = reference(name).eval()
    ours = with_weights_of(theirs, name).eval()
    x = images(1, 224).astype(np.float32)
    with torch.no_grad(), tg.no_grad():
        found = error(ours(tg.tensor(x)), theirs(torch.from_numpy(x)))
    record_property("error", found)
    assert found < 1e-4


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_of_the_first_and_the_last_layer_in_training_are_those_of_the_reference(
    name: str, record_property: Any
) -> None:
    """In float64: a ReLU or a maximum switches at a tie, and so PyTorch's own gradients in float32
    differ from those in float64 by up to 7 % (ResNet-152).
    """
    theirs = reference(name).train()
    ours = with_weights_of(theirs, name).train().to(tg.float64)
    x, labels = images(4, 64), np.arange(4)
    logits, expected = ours(tg.tensor(x)), theirs.double()(torch.from_numpy(x))
    loss, their_loss = tg.tensor(0.0), torch.tensor(0.0)
    for a, b in zip(listed(logits), listed(expected), strict=True):
        loss = loss + F.cross_entropy(a, tg.tensor(labels))
        their_loss = their_loss + torch.nn.functional.cross_entropy(b, torch.from_numpy(labels))
    ends = ends_of(ours)
    own, their_own = dict(ours.named_parameters()), dict(theirs.named_parameters())
    gradients = tg.grad(loss, [own[key] for key in ends])
    their_gradients = torch.autograd.grad(their_loss, [their_own[key] for key in ends])
    found = max(error(a, b) for a, b in zip(gradients, their_gradients, strict=True))
    record_property("error", found)
    assert found < 1e-6


def listed(outputs: Any) -> list[Any]:
    """The logits of a network, and those of auxiliary heads if it has any."""
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def ends_of(model: ConvNet) -> list[str]:
    """The names of the weights of the first convolution and of the heads."""
    first = next(name for name, _ in model.named_parameters())
    return [first, *(f"{head}.weight" for head in model.heads)]


def test_the_images_of_published_weights_are_converted_as_torchvision_does() -> None:
    theirs = reference("googlenet").eval()
    theirs.transform_input = True
    ours = with_weights_of(theirs, "googlenet", transform_input=True).eval()
    assert isinstance(ours, GoogLeNet)
    x = images(1, 64).astype(np.float32)
    with torch.no_grad(), tg.no_grad():
        assert error(ours(tg.tensor(x)), theirs(torch.from_numpy(x))) < 1e-4
