"""Activations, saliency, Grad-CAM: against closed forms and finite differences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn
from tinygrad_gm.models import lenet
from tinygrad_gm.models.explain import activations, grad_cam, saliency
from tinygrad_gm.models.pretrained import architecture
from tinygrad_gm.models.resnet import CifarResNet, resnet50


@pytest.fixture(autouse=True)
def _seeded() -> None:
    tg.manual_seed(0)


def small_resnet(**options: Any) -> CifarResNet:
    return CifarResNet(8, width=0.5, **options)


def test_the_saliency_of_a_linear_classifier_is_the_largest_absolute_weight() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7))
    found = saliency(model, tg.rand((3, 4, 5)), 6)
    weights = model[1].weight.numpy()[6].reshape(3, 4, 5)
    np.testing.assert_array_equal(found.numpy(), np.abs(weights).max(axis=0))


def test_the_saliency_of_a_deep_network_is_that_of_finite_differences() -> None:
    model = small_resnet().to(tg.float64).eval()
    image = tg.randn((3, 8, 8), dtype=tg.float64)
    found = saliency(model, image, 4).numpy()

    def logit(pixels: Any) -> float:
        with tg.no_grad():
            return model(tg.tensor(pixels[None]))[0, 4].item()

    step = 1e-6
    for i, j in [(0, 0), (3, 5), (7, 2)]:
        slopes = []
        for channel in range(3):
            above, below = image.numpy().copy(), image.numpy().copy()
            above[channel, i, j] += step
            below[channel, i, j] -= step
            slopes.append(abs(logit(above) - logit(below)) / (2 * step))
        assert found[i, j] == pytest.approx(max(slopes), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_grad_cam_before_a_mean_and_a_linear_layer_is_the_class_activation_map(
    channels: int,
) -> None:
    model = small_resnet(in_channels=channels)
    image = tg.randn((channels, 32, 32))
    (*_, last) = activations(model, image)
    assert last.layer == "layer3"
    positive = 0
    for label in range(10):
        weights = model.linear.weight.numpy()[label]
        cam = np.maximum(np.tensordot(weights, last.maps.numpy(), axes=1), 0)
        found = grad_cam(model, "layer3", image, label).numpy()
        assert found.shape == (8, 8)
        np.testing.assert_allclose(found * 64, cam, rtol=1e-4, atol=1e-5)
        positive += cam.any()
    assert positive > 0


def test_grad_cam_of_pixels_is_the_gradient_s_mean_times_the_pixels() -> None:
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(2 * 3 * 3, 2))
    image = tg.randn((2, 3, 3))
    weights = model[2].weight.numpy()[1].reshape(2, 9).mean(axis=1)
    wanted = np.maximum(weights[0] * image.numpy()[0] + weights[1] * image.numpy()[1], 0)
    np.testing.assert_allclose(grad_cam(model, "0", image, 1).numpy(), wanted, rtol=1e-5, atol=1e-7)


def test_a_class_against_which_everything_speaks_has_a_map_of_zeros() -> None:
    model = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    model[3].weight.data = tg.tensor([[-1.0], [0.0]])
    for label in (0, 1):
        assert grad_cam(model, "0", tg.ones((1, 4, 4)), label).tolist() == [[0.0] * 4] * 4


def test_a_layer_that_is_called_twice_counts_at_its_last_feature_maps() -> None:
    model, image = lenet.pretrained(), tg.data.mnist_small().test.tensors[0][0]
    first, last = activations(model, image)
    assert (first.first, first.layer, first.maps.shape) == ("conv1", "relu", (6, 28, 28))
    assert (last.first, last.layer, last.maps.shape) == ("conv2", "relu", (16, 10, 10))
    maps = last.maps[None].requires_grad_()
    rest = model.relu(model.fc1(model.pool(maps).reshape(1, -1)))
    logits = model.fc3(model.relu(model.fc2(rest)))
    (gradient,) = tg.grad(logits[0, 6], maps)
    weights = gradient.numpy()[0].mean(axis=(1, 2))
    wanted = np.maximum(np.tensordot(weights, maps.numpy()[0], axes=1), 0)
    assert wanted.any()
    np.testing.assert_allclose(grad_cam(model, "relu", image, 6).numpy(), wanted, rtol=1e-4)


def test_activations_are_the_outputs_of_the_stages() -> None:
    model, image = small_resnet().eval(), tg.rand((3, 16, 16))
    found = activations(model, image)
    x = model.layer1(tg.relu(model.bn1(model.conv1(image[None]))))
    wanted = {"layer1": x, "layer2": (x := model.layer2(x)), "layer3": model.layer3(x)}
    assert [stage.layer for stage in found] == [*wanted]
    for stage in found:
        np.testing.assert_allclose(stage.maps.numpy(), wanted[stage.layer][0].numpy(), atol=1e-6)
        assert not stage.maps.requires_grad


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        ("alexnet", ["features.1", "features.4", "features.11"]),
        ("vgg11", ["features.1", "features.4", "features.9", "features.14", "features.19"]),
        ("googlenet", ["conv1", "conv3", "inception3b", "inception4e", "inception5b"]),
        ("resnet18", ["bn1", "layer1", "layer2", "layer3", "layer4"]),
        ("mobilenet_v1", [f"blocks.{n}" for n in range(5)]),
        ("mobilenet_v2", [f"features.{n}" for n in (1, 3, 6, 13, 18)]),
        ("efficientnet_b0", [f"features.{n}" for n in (1, 2, 3, 5, 8)]),
    ],
)
def test_every_network_has_its_stages(network: str, layers: list[str]) -> None:
    model, image = architecture(network)(width=1 / 16, num_classes=3), tg.rand((3, 96, 96))
    found = activations(model, image)
    assert [stage.layer for stage in found] == layers
    sizes = [stage.maps.shape[1] for stage in found]
    assert sizes == sorted(set(sizes), reverse=True)
    assert grad_cam(model, layers[-1], image, 2).shape == found[-1].maps.shape[1:]
    assert saliency(model, image, 2).shape == (96, 96)


def test_a_bottleneck_s_first_convolution_does_not_count_as_the_stage_before() -> None:
    found = activations(resnet50(width=1 / 16, num_classes=2), tg.rand((3, 64, 64)))
    assert [stage.layer for stage in found] == ["bn1", "layer1", "layer2", "layer3", "layer4"]


def test_nothing_changes_in_the_model() -> None:
    model = small_resnet()
    model.layer2.eval()
    model.linear.requires_grad_(False)
    state = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with tg.no_grad():
        activations(model, tg.rand((3, 16, 16)))
        saliency(model, tg.rand((3, 16, 16)), 0)
        grad_cam(model, "layer1", tg.rand((3, 16, 16)), 0)
    for failing in (activations, lambda m, x: grad_cam(m, "layer1", x, 0)):
        with pytest.raises(ValueError, match="expected images"):
            failing(model, tg.rand((1, 16, 16)))
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[name])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x: saliency(m, x, 10), "saliency: label 10 is not one of the classes 0 … 9"),
        (lambda m, x: grad_cam(m, "layer1", x, -1), "grad_cam: label -1 is not one of the classes"),
        (
            lambda m, x: grad_cam(m, "layer4", x, 0),
            "unknown layer 'layer4'; the layers are conv1, ",
        ),
        (
            lambda m, x: grad_cam(m, "linear", x, 0),
            "the model calls no layer 'linear' with an outp",
        ),
        (lambda m, x: saliency(m, x[None], 0), "expected an image (channels, H, W); got (1, 3, 8"),
        (lambda m, x: saliency(m, x[:1], 0), "CifarResNet: expected images (N, 3, H, W); got (1, "),
    ],
)
def test_mistakes_are_told_in_one_line(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        call(small_resnet(), tg.rand((3, 8, 8)))
    assert "\n" not in str(caught.value)
