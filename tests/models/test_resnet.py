"""Residual networks: what a block computes, its shortcuts, and the plain network beside it."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models.resnet import (
    BasicBlock,
    Bottleneck,
    CifarResNet,
    Projection,
    ResNet,
    Subsample,
    resnet20,
)


def silent(block: nn.Module) -> nn.Module:
    """The block with F = 0: the last norm has the weight 0."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    nn.init.zeros_(norms[-1].weight)
    return block


@pytest.mark.parametrize("block", [BasicBlock(4, 4), Bottleneck(16, 4)])
def test_a_block_without_a_residual_is_the_identity(block: nn.Module) -> None:
    tg.manual_seed(0)
    x = tg.rand((2, 4 * type(block).expansion, 6, 6))
    assert (silent(block)(x) == x).all()


def test_a_plain_block_without_weights_is_zero() -> None:
    assert not silent(BasicBlock(4, 4, residual=False))(tg.rand((2, 4, 6, 6))).any()


def test_the_gradient_of_a_block_is_that_of_its_residual_plus_the_identity() -> None:
    tg.manual_seed(0)
    block = BasicBlock(3, 3).to(tg.float64).eval()
    x = tg.rand((1, 3, 5, 5), dtype=tg.float64) + 10  # the last ReLU is on
    x.requires_grad_()
    (whole,) = tg.grad(block(x).sum(), x)
    residual = tg.relu(block.bn1(block.conv1(x)))
    residual = block.bn2(block.conv2(residual))
    assert (residual.numpy() > -9).all()
    (part,) = tg.grad(residual.sum(), x)
    np.testing.assert_allclose(whole.numpy(), part.numpy() + 1, rtol=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (2, 4), (16, 32), (2, 5)])
def test_option_a_takes_every_second_pixel_and_surrounds_the_old_channels_with_zeros(
    inputs: int, outputs: int
) -> None:
    x = tg.rand((2, inputs, 7, 6))
    out = Subsample(inputs, outputs, 2)(x).numpy()
    expected = np.zeros((2, outputs, 4, 3), np.float32)
    before = (outputs - inputs) // 2
    expected[:, before : before + inputs] = x.numpy()[:, :, ::2, ::2]
    assert (out == expected).all()
    assert not [*Subsample(inputs, outputs, 2).parameters()]


def test_only_the_first_block_of_a_stage_projects() -> None:
    model = ResNet(Bottleneck, (2, 3), num_classes=10, width=1 / 16)
    found = {
        name: module for name, module in model.named_modules() if isinstance(module, Projection)
    }
    assert list(found) == ["layer1.0.downsample", "layer2.0.downsample"]
    assert [module[0].stride for module in found.values()] == [(1, 1), (2, 2)]
    assert model.fc.in_features == 4 * 2 * 4


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_the_depth_is_the_number_of_layers_with_weights(depth: int) -> None:
    model = CifarResNet(depth, width=1 / 8)
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


@pytest.mark.parametrize("depth", [2, 19, 21])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"depth is {depth}; it must be 6n \+ 2"):
        CifarResNet(depth)


def test_the_plain_network_has_the_same_parameters_and_no_shortcuts() -> None:
    tg.manual_seed(0)
    residual = resnet20(width=0.25).eval()
    plain = resnet20(width=0.25, residual=False).eval()
    plain.load_state_dict(residual.state_dict())
    for model in (residual, plain):  # F = 0 in all blocks but the first convolution
        for name, module in model.named_modules():
            if name.endswith("bn2"):
                nn.init.zeros_(module.weight)
    x = tg.rand((2, 3, 16, 16))
    bias = plain.linear.bias.numpy()
    assert (plain(x).numpy() == bias).all()
    assert (residual(x).numpy() != bias).all()


def test_without_norm_there_is_none_and_the_rest_is_the_same() -> None:
    with nn.no_init():
        names = [name for name, _ in resnet20(norm=False).named_parameters()]
        normed = [name for name, _ in resnet20().named_parameters()]
    assert names == [name for name in normed if "bn" not in name]
