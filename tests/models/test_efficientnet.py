"""EfficientNet: compound scaling, the blocks, squeeze and excitation, stochastic depth."""

from __future__ import annotations

import numpy as np
import pytest
from convnets import multiplications

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models import efficientnet
from tinygrad_gm.models.efficientnet import MBConv, SqueezeExcitation, efficientnet_b0


def test_b0_costs_what_its_paper_says() -> None:
    with nn.no_init():
        model = efficientnet_b0().eval()
    assert multiplications(model, tg.zeros((1, 3, 224, 224))) / 1e9 == pytest.approx(0.39, abs=0.01)


@pytest.mark.parametrize(("step", "blocks"), [(0, 16), (1, 23), (4, 32), (7, 55)])
def test_deeper_networks_have_more_blocks_whose_drop_rate_grows_linearly(
    step: int, blocks: int
) -> None:
    with nn.no_init():
        model = getattr(efficientnet, f"efficientnet_b{step}")()
    rates = [m.stochastic_depth.p for m in model.modules() if isinstance(m, MBConv)]
    np.testing.assert_allclose(rates, 0.2 * np.arange(blocks) / blocks)


@pytest.mark.parametrize(("step", "eps", "momentum"), [(4, 1e-5, 0.1), (5, 1e-3, 0.01)])
def test_the_norms_of_the_large_networks_are_torchvisions(
    step: int, eps: float, momentum: float
) -> None:
    with nn.no_init():
        model = getattr(efficientnet, f"efficientnet_b{step}")()
    norms = {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {(eps, momentum)}


def test_an_excitation_is_one_factor_per_image_and_channel() -> None:
    tg.manual_seed(0)
    layer = SqueezeExcitation(4, 2)
    x = tg.randn((3, 4, 5, 5)).numpy()
    squeezed = x.mean(axis=(2, 3)) @ layer.fc1.weight.numpy()[:, :, 0, 0].T + layer.fc1.bias.numpy()
    silu = squeezed / (1 + np.exp(-squeezed))
    logits = silu @ layer.fc2.weight.numpy()[:, :, 0, 0].T + layer.fc2.bias.numpy()
    expected = x / (1 + np.exp(-logits))[:, :, None, None]
    np.testing.assert_allclose(layer(tg.tensor(x)).numpy(), expected, rtol=1e-5)


def test_a_dropped_block_is_the_identity_for_its_image() -> None:
    tg.manual_seed(0)
    block = MBConv(8, 8, kernel=3, stride=1, expand=2, drop=0.5)
    x = tg.randn((64, 8, 4, 4))
    out = block(x).numpy()
    same = (out == x.numpy()).reshape(64, -1)
    assert (same.all(axis=1) | ~same.any(axis=1)).all()
    assert 0.3 < same[:, 0].mean() < 0.7
    certain = MBConv(8, 8, kernel=3, stride=1, expand=2, drop=0.0)
    assert not (certain(x).numpy() == x.numpy()).any()


def test_the_squeeze_is_a_quarter_of_the_blocks_input() -> None:
    block = MBConv(24, 40, kernel=5, stride=2, expand=6, drop=0.0)
    assert block.block[2].fc1.weight.shape == (6, 144, 1, 1)
    assert block.block[1][0].kernel_size == (5, 5)
