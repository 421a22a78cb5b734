"""DDPM's U-Net: names and sizes, what a pixel depends on, classes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from reference_keys import reference_keys
from slopes import check_slopes

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models.unet import Downsample, UNet2D

SMALL = {"channels": 8, "multipliers": (1, 2), "blocks": 1, "attention": (1,)}


def small(**kwargs):
    """A small network, with random numbers where it starts with zeros."""
    tg.manual_seed(0)
    model = UNet2D(1, 1, **{**SMALL, **kwargs}).eval()
    for parameter in model.parameters():
        if not parameter.numpy().any():
            nn.init.normal_(parameter, 0, 0.2)
    return model


def test_the_network_of_ddpm_for_cifar_has_35746307_parameters_with_the_names_of_diffusers():
    with nn.no_init():
        model = UNet2D()
    assert sum(parameter.size for parameter in model.parameters()) == 35_746_307
    found = [(k, v.shape, str(v.dtype)) for k, v in model.state_dict().items()]
    assert found == reference_keys("diffusers_unet_cifar")


def test_the_network_for_digits_has_less_than_a_million_parameters():
    model = UNet2D(1, 1, 16, (1, 2, 4), 1, (2,), num_classes=10)
    assert sum(parameter.size for parameter in model.parameters()) == 687_473


@pytest.mark.parametrize(
    ("size", "multipliers"), [((6, 10), (1, 2)), ((8, 4), (1, 1, 1)), ((3, 5), (2,))]
)
def test_images_of_every_size_that_can_be_halved_keep_their_size(size, multipliers):
    model = small(multipliers=multipliers, attention=(len(multipliers) - 1,))
    assert model(tg.zeros((2, 1, *size)), tg.arange(2)).shape == (2, 1, *size)


def test_an_untrained_network_predicts_nothing():
    model = UNet2D(1, 2, **SMALL)
    out = model(tg.randn((2, 1, 8, 8)), tg.arange(2)).numpy()
    assert np.ptp(out, axis=(0, 2, 3)) == pytest.approx([0, 0])  # the bias of each channel


def test_every_image_has_its_own_time_and_its_own_class():
    model = small(num_classes=3)
    x, t, label = tg.randn((3, 1, 8, 8)), tg.tensor([0, 500, 999]), tg.tensor([0, 2, 3])
    together = model(x, t, label).numpy()
    for i in range(3):
        alone = model(x[i : i + 1], t[i : i + 1], label[i : i + 1]).numpy()
        np.testing.assert_allclose(together[i : i + 1], alone, atol=2e-5)
    assert np.abs(model(x, t + 1, label).numpy() - together).max() > 1e-3
    assert np.abs(model(x, t, label * 0).numpy() - together)[1:].max() > 1e-3


def test_a_level_with_attention_sees_the_whole_image():
    def reaches(model):  # whether the first pixel depends on the last one
        x = tg.randn((1, 1, 32, 32), requires_grad=True)
        model(x, tg.tensor([3]))[0, 0, 0, 0].backward()
        return x.grad.numpy()[0, 0, -1, -1] != 0

    assert reaches(small())


def test_halving_pads_right_and_bottom_alone():
    layer = Downsample(1)
    nn.init.ones_(layer.conv.weight)
    nn.init.zeros_(layer.conv.bias)
    out = layer(tg.ones((1, 1, 4, 4))).numpy()[0, 0]
    np.testing.assert_allclose(out, [[9, 6], [6, 4]])


def test_dropout_acts_in_training_only():
    model = small(dropout=0.5)
    x, t = tg.randn((2, 1, 8, 8)), tg.arange(2)
    assert (model(x, t) == model(x, t)).all()
    model.train()
    assert (model(x, t) != model(x, t)).any()


def test_gradients_equal_central_differences():
    model = small(channels=2, num_classes=2).to(tg.float64)
    x, t = tg.randn((2, 1, 4, 4), tg.float64), tg.tensor([1, 7])
    check_slopes(model, lambda: (model(x, t, tg.tensor([0, 2])) ** 2).mean(), 1, bound=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: small()(tg.zeros((1, 1, 7, 8)), tg.zeros(1)),
            "images of 7 × 8 cannot be halved 1 times; expected multiples of 2",
        ),
        (
            lambda: small(multipliers=(1, 1, 1, 1))(tg.zeros((1, 1, 28, 28)), tg.zeros(1)),
            "images of 28 × 28 cannot be halved 3 times; expected multiples of 8",
        ),
        (
            lambda: small()(tg.zeros((1, 3, 8, 8)), tg.zeros(1)),
            r"expected images \(N, 1, H, W\); got \(1, 3, 8, 8\)",
        ),
        (lambda: small()(tg.zeros((8, 8)), tg.zeros(1)), r"expected images .*; got \(8, 8\)"),
        (
            lambda: small()(tg.zeros((1, 1, 8, 8)), tg.zeros(1), tg.tensor([1])),
            "a model without classes got labels",
        ),
        (
            lambda: small(num_classes=2)(tg.zeros((1, 1, 8, 8)), tg.zeros(1)),
            "a model with classes got no labels",
        ),
        (lambda: UNet2D(attention=(4,)), "attention at level 4; there are 4 levels"),
        (lambda: UNet2D(channels=48), "channels is 48; expected an even number up to 32 or a mul"),
        (lambda: UNet2D(channels=5), "channels is 5; expected an even number"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=f"UNet2D: {message}") as error:
        call()
    assert "\n" not in str(error.value)
