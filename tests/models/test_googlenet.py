"""GoogLeNet: the branches, the heads of training, and the images of torchvision's weights."""

from __future__ import annotations

import numpy as np
from convnets import shapes

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models.googlenet import GoogLeNet, GoogLeNetOutputs, Inception


def test_an_inception_module_concatenates_its_four_branches() -> None:
    tg.manual_seed(0)
    module = Inception(4, 2, (3, 5), (2, 3), 1).eval()
    x = tg.rand((2, 4, 6, 6))
    out = module(x)
    parts = [module.branch1(x), module.branch2(x), module.branch3(x), module.branch4(x)]
    assert out.shape == (2, module.out_channels, 6, 6) == (2, 11, 6, 6)
    assert (out.numpy() == np.concatenate([part.numpy() for part in parts], axis=1)).all()


def test_the_sizes_in_googlenet_are_those_of_the_docstring() -> None:
    model = GoogLeNet(num_classes=2, width=1 / 32)
    paths = "conv1 maxpool1 conv3 maxpool2 inception3b maxpool3 inception4e maxpool4 inception5b"
    found = shapes(model, tg.zeros((1, 3, 224, 224)), *paths.split())
    assert [shape[-1] for shape in found] == [112, 56, 56, 28, 28, 14, 14, 7, 7]


def test_googlenet_without_heads_has_6624904_parameters_and_one_output() -> None:
    with nn.no_init():
        model = GoogLeNet(aux_logits=False)
    assert sum(parameter.size for parameter in model.parameters()) == 6_624_904
    small = GoogLeNet(num_classes=3, width=1 / 32, aux_logits=False)
    assert small(tg.zeros((2, 3, 32, 32))).shape == (2, 3)


def test_the_heads_of_googlenet_answer_in_training_only() -> None:
    tg.manual_seed(0)
    model = GoogLeNet(num_classes=3, width=1 / 16)
    x = tg.rand((2, 3, 64, 64))
    outputs = model(x)
    assert isinstance(outputs, GoogLeNetOutputs)
    assert [logits.shape for logits in outputs] == [(2, 3)] * 3
    assert model.eval()(x).shape == (2, 3)
    for head in (outputs.aux_logits1, outputs.aux_logits2):
        (early,) = tg.grad(head.sum(), model.conv1.conv.weight, retain_graph=True)
        assert early.numpy().any()
    late = tg.grad(
        outputs.aux_logits1.sum(), model.inception4b.branch1.conv.weight, allow_unused=True
    )
    assert late == (None,)


def test_images_for_torchvisions_weights_get_a_mean_and_a_deviation_of_a_half() -> None:
    model = GoogLeNet(num_classes=3, width=1 / 16).eval()
    pixels = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    usual = (pixels - mean[:, None, None]) / deviation[:, None, None]
    expected = model(tg.tensor((pixels - 0.5) / 0.5)).numpy()
    model.transform_input = True
    np.testing.assert_allclose(model(tg.tensor(usual)).numpy(), expected, rtol=1e-4, atol=1e-6)
