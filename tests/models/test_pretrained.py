"""Weights from files: the real ones of a ResNet-20, other classes, and files that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from needs import needs_resnet20

import tinygrad_gm as tg
from tinygrad_gm import models
from tinygrad_gm.data.files import find
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.models.pretrained import ARCHITECTURES, architecture

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

KINDS = (
    *("alexnet", "vgg11_bn", "googlenet", "resnet18"),
    *("mobilenet_v1", "mobilenet_v2", "efficientnet_b0"),
)


@pytest.fixture
def weights(tmp_path):
    """The file of an untrained small ResNet-20, and the network."""
    tg.manual_seed(0)
    model = architecture("resnet20")(width=0.25)
    for buffer in model.buffers():
        if buffer.ndim:
            buffer += tg.rand(buffer.shape)
    path = tmp_path / "weights.safetensors"
    tg.save(path, model.state_dict())
    return path, model.eval()


@needs_resnet20
def test_the_trained_resnet20_reads_1807_of_2000_images_of_cifar10() -> None:
    path, images = find("resnet20_cifar10.safetensors"), find("cifar10_sub.npz")
    assert path is not None
    assert images is not None
    model = models.load_pretrained("resnet20", path)
    with np.load(images) as file:
        pixels, labels = file["x_test"], file["y_test"]
    x = ((pixels / np.float32(255) - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
    with tg.no_grad():
        parts = [model(tg.tensor(x[i : i + 200])).numpy() for i in range(0, len(x), 200)]
    logits = np.concatenate(parts)
    np.testing.assert_allclose(logits[0, :4], [15.86324, 3.46587, 1.45185, -4.83971], atol=1e-4)
    assert (logits.argmax(1) == labels).sum() == 1807


def test_a_loaded_network_is_the_saved_one_in_evaluation_mode(weights) -> None:
    path, model = weights
    again = models.load_pretrained("resnet20", path, width=0.25)
    x = tg.rand((2, 3, 16, 16))
    assert not again.training
    assert (again(x) == model(x)).all()
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_the_counters_of_batch_norms_may_be_missing_and_nothing_else(weights) -> None:
    path, model = weights
    state = model.state_dict()
    tg.save(path, {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    models.load_pretrained("resnet20", path, width=0.25)
    tg.save(path, {k: v for k, v in state.items() if k != "bn1.running_var"})
    with pytest.raises(CheckpointError, match=r"does not fit resnet20: bn1.running_var is missing"):
        models.load_pretrained("resnet20", path, width=0.25)


def test_another_number_of_classes_leaves_the_head_new_and_says_so(weights, capsys) -> None:
    path, model = weights
    same = models.load_pretrained("resnet20", path, 10, width=0.25)
    assert not capsys.readouterr().err
    tg.manual_seed(1)
    other = models.load_pretrained("resnet20", path, 3, width=0.25)
    (line,) = capsys.readouterr().err.splitlines()
    assert "has 10 classes; the head of resnet20 for 3 classes is new" in line
    assert other.num_classes == 3
    assert other.linear.weight.shape == (3, 16)
    assert other.linear.weight.numpy().std() > 0
    x = tg.rand((2, 3, 16, 16))
    assert other(x).shape == (2, 3)
    other.linear = same.linear
    assert (other(x) == model(x)).all()


def test_by_default_the_classes_are_those_of_the_file(weights) -> None:
    path, model = weights
    model.replace_heads(4)
    tg.save(path, model.state_dict())
    assert models.load_pretrained("resnet20", path, width=0.25).num_classes == 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "resnet32",
            {"width": 0.25},
            "layer1.3.conv1.weight is missing; layer1.3.bn1.weight is missing; "
            "layer1.3.bn1.bias is missing; and 57 more",
        ),
        (
            "resnet20",
            {"width": 0.5},
            r"conv1.weight is \(4, 3, 3, 3\), not \(8, 3, 3, 3\); bn1.weight is \(4,\), "
            r"not \(8,\); bn1.bias is \(4,\), not \(8,\); and \d+ more",
        ),
    ],
)
def test_weights_of_another_depth_or_width_are_refused_in_one_line(
    weights, name, options, message
) -> None:
    with pytest.raises(CheckpointError, match=rf" does not fit {name}: {message}$") as caught:
        models.load_pretrained(name, weights[0], **options)
    assert "\n" not in str(caught.value)


def test_weights_of_a_deeper_network_are_refused_too(weights) -> None:
    path, _ = weights
    tg.save(path, architecture("resnet32")(width=0.25).state_dict())
    message = "layer1.3.conv1.weight is unknown; layer1.3.bn1.weight is unknown; "
    with pytest.raises(CheckpointError, match=message):
        models.load_pretrained("resnet20", path, width=0.25)


def test_an_unknown_network_is_refused_with_the_nearest(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"no network 'resnet200', .*; did you mean 'resnet20'\?"):
        models.load_pretrained("resnet200", tmp_path / "none.safetensors")


def test_a_missing_file_and_a_file_of_another_kind_are_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.safetensors does not exist"):
        models.load_pretrained("resnet20", tmp_path / "none.safetensors")
    path = tmp_path / "other.safetensors"
    tg.save(path, {"model": {"conv1.weight": tg.zeros(3)}, "epoch": 3})
    with pytest.raises(CheckpointError, match=r"conv1.weight is missing; "):
        models.load_pretrained("resnet20", path)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_network_gets_its_body_from_a_file_and_new_heads(
    name, tmp_path, capsys
) -> None:
    tg.manual_seed(0)
    narrow = {"width": 1 / 16}
    trained = architecture(name)(num_classes=6, **narrow).eval()
    path = tmp_path / "weights.safetensors"
    tg.save(path, trained.state_dict())
    x = tg.rand((2, 3, 64, 64))
    again = models.load_pretrained(name, path, **narrow)
    np.testing.assert_allclose(again(x).numpy(), trained(x).numpy(), rtol=1e-5, atol=1e-6)
    assert not capsys.readouterr().err
    state, found = trained.state_dict(), models.load_pretrained(name, path, 3, **narrow)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert found(x).shape == (2, 3)
    for key, tensor in found.state_dict().items():
        if key.rpartition(".")[0] in found.heads:
            assert len(tensor) == 3
        else:
            assert (tensor == state[key]).all()


def test_every_network_is_named_by_its_module() -> None:
    for name in ARCHITECTURES:
        assert callable(architecture(name))
