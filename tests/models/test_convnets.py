"""The convolutional classifiers: the parameters of their papers, their names, their images."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from reference_keys import reference_keys

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.models.parts.convnet import ConvNet, convolutions, initialise, least_size
from tinygrad_gm.models.pretrained import ARCHITECTURES, architecture

COUNTS = {
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet": 13_004_888,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
}
LEAST = {  # of torchvision's documentation where that has a size
    **{name: 63 if name == "alexnet" else 15 if name == "googlenet" else 1 for name in COUNTS},
    **{name: 32 for name in COUNTS if name.startswith("vgg")},
}
KEYS = {
    **{name: name for name in ("alexnet", "vgg11", "vgg16_bn", "googlenet")},
    **{name: name for name in ("resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0")},
    "mobilenet_v1": "timm_mobilenetv1_100",
}


def shrunk(name: str) -> ConvNet:
    """A network with few channels, for 10 classes."""
    tg.manual_seed(0)
    return architecture(name)(num_classes=10, width=1 / 16)


def test_every_architecture_is_counted() -> None:
    assert set(COUNTS) == set(LEAST) == set(ARCHITECTURES)


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_the_parameters_of_its_reference_and_counting_allocates_none(
    name: str,
) -> None:
    tracemalloc.start()
    with nn.no_init():
        model = architecture(name)()
    assert sum(parameter.size for parameter in model.parameters()) == COUNTS[name]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    largest = max(parameter.size for parameter in model.parameters())
    kept = sum(parameter.data.numpy().base.nbytes for parameter in model.parameters())
    assert kept == 4 * len([*model.parameters()])
    assert most < 4 * largest + 20_000_000  # the modules; one array at a time is asked for


@pytest.mark.parametrize("name", KEYS)
def test_the_state_dict_has_the_names_shapes_and_dtypes_of_the_reference(name: str) -> None:
    with nn.no_init():
        state = architecture(name)().state_dict()
    found = [(key, tensor.shape, str(tensor.dtype)) for key, tensor in state.items()]
    assert found == reference_keys(KEYS[name])


@pytest.mark.parametrize("name", COUNTS)
def test_a_shrunk_network_classifies_images_of_its_least_size_and_learns_from_larger_ones(
    name: str,
) -> None:
    model, least = shrunk(name), LEAST[name]
    assert model.least_size == least
    assert model.eval()(tg.zeros((2, 3, least, least))).shape == (2, 10)
    model.train()
    images = tg.randn((4, 3, max(least, 32), max(least, 32)))
    out = model(images)
    logits = out if isinstance(out, tg.Tensor) else out[0]
    assert logits.shape == (4, 10)
    (logits**2).sum().backward()
    first = next(model.parameters())
    assert first.grad is not None
    assert float(tg.abs(first.grad).max()) > 0


@pytest.mark.parametrize("name", [name for name in LEAST if LEAST[name] > 1])
def test_images_below_the_least_size_are_refused_and_would_not_fit(name: str) -> None:
    model, least = shrunk(name).eval(), LEAST[name]
    small = tg.zeros((1, 3, least - 1, least))
    with pytest.raises(ValueError, match=rf"are too small; the smallest are {least} × {least}$"):
        model(small)
    vars(model)["least_size"] = 1
    with pytest.raises(ValueError, match=r"(conv|pool)"):
        model(small)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("shape", [(2, 1, 64, 64), (3, 64, 64)])
def test_images_of_other_channels_are_refused_in_one_line(name: str, shape: tuple) -> None:
    with nn.no_init():
        model = architecture(name)()
    with pytest.raises(ValueError, match=r"expected images \(N, 3, H, W\); got \(") as caught:
        model(tg.zeros(shape))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["alexnet", "googlenet", "resnet18", "resnet20", "mobilenet_v2", "efficientnet_b0"]
)
def test_the_training_graph_of_a_network_can_be_drawn(name: str) -> None:
    from tinygrad_gm import viz

    model = shrunk(name)
    out = model(tg.zeros((2, 3, 64, 64)))
    logits = out[0] if isinstance(out, tuple) else out
    loss = F.cross_entropy(logits, tg.tensor([0, 1]))
    assert "<svg" in viz.draw(loss, depth=1, engine="builtin").svg()


@pytest.mark.parametrize("name", COUNTS)
def test_the_head_can_be_replaced(name: str) -> None:
    with nn.no_init():
        model = architecture(name)()
    before = model.state_dict()
    model.replace_heads(7)
    after = model.state_dict()
    assert model.num_classes == 7
    assert list(after) == list(before)
    new = {key for key in after if after[key].shape != before[key].shape}
    assert new == {f"{head}.{part}" for head in model.heads for part in ("weight", "bias")}
    assert all(after[f"{head}.bias"].shape == (7,) for head in model.heads)


@pytest.mark.parametrize(
    ("layers", "least"),
    [
        ([nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(3, 2, 1)], 1),
        ([nn.Conv2d(1, 1, 11, stride=4, padding=2), nn.MaxPool2d(3, 2)], 15),
        ([nn.Conv2d(1, 1, (1, 5)), nn.AvgPool2d((7, 1))], 7),
        ([nn.Conv2d(1, 1, 3, dilation=4)], 9),
        ([nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(3, 2, ceil_mode=True)], 4),
        ([nn.MaxPool2d(2, 2, ceil_mode=True), nn.Conv2d(1, 1, 3)], 5),
        ([nn.MaxPool2d(3, 3, 1, ceil_mode=True), nn.Conv2d(1, 1, 2)], 3),
        ([nn.Conv2d(1, 1, 5), nn.AdaptiveAvgPool2d(3), nn.Conv2d(1, 1, 3)], 5),
    ],
)
def test_the_least_size_is_the_smallest_that_the_layers_take(
    layers: list[nn.Module], least: int
) -> None:
    model = nn.Sequential(*layers)
    assert least_size(model) == least
    model(tg.zeros((1, 1, least, least)))
    with pytest.raises(ValueError, match=r"(conv|pool)"):
        model(tg.zeros((1, 1, least - 1, least - 1)))


def test_initial_weights_have_the_variance_of_he_et_al() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 128, 3))
    initialise(model)
    for conv in convolutions(model):
        weight = conv.weight.numpy()
        assert weight.std() == pytest.approx(np.sqrt(2 / (len(weight) * 9)), rel=0.02)
        assert not conv.bias.numpy().any()
