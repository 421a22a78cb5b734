"""The lessons: what they compare, what they measure, and their answers in a small size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import data, nn
from tinygrad_gm.models import lessons
from tinygrad_gm.models.lenet import LeNet5
from tinygrad_gm.models.lessons import (
    degradation,
    descent,
    gradients,
    overfitting,
    saturation,
    shift,
    sparsity,
)
from tinygrad_gm.models.lessons.measuring import error, fit, gradient_rms
from tinygrad_gm.models.parts import image_sets
from tinygrad_gm.models.resnet import CifarResNet

DIGITS = {"dataset": "digits", "images": 64}
SMALL: dict[str, dict[str, Any]] = {
    "shift": {**DIGITS, "epochs": 1},
    "overfitting": {**DIGITS, "epochs": 1, "held_out": 50},
    "saturation": {**DIGITS, "epochs": 1},
    "degradation": {**DIGITS, "epochs": 1, "images": 128, "judged": 50, "depths": (8,)},
    "gradients": {**DIGITS, "depth": 8},
    "descent": {"steps": 5},
    "sparsity": {"count": 20, "steps": 5, "strengths": 3},
    "adding": {"length": 6, "hidden": 3, "steps": 100, "batch_size": 2, "judged": 20},
}
LINES = {"shift": 2, "overfitting": 5, "saturation": 4, "degradation": 2, "gradients": 4}
LINES |= {"adding": 3, "descent": 6, "sparsity": 2}


@pytest.mark.parametrize("name", lessons.NAMES)
def test_a_lesson_draws_its_answer_and_returns_a_figure_for_each_network(
    name: str, tmp_path: Path
) -> None:
    settings = SMALL[name]
    text = lessons.load(name).answer(tmp_path, **settings)
    lines = text.splitlines()
    assert len(lines) == len({line.partition(":")[0] for line in lines}) == LINES[name]
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert picture.size in [(720, 400), (960, 400)]
    assert (
        lessons.load(name).answer(tmp_path, **settings) == text
    )  # the runs are read, not repeated


def test_an_unknown_lesson_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"^there is no lesson 'shfit', only .*'shift'\?$"):
        lessons.load("shfit")


# ----------------------------------------------------------------------------- measuring


def test_fit_returns_means_over_epochs_and_errors_after_them(tmp_path: Path) -> None:
    """With a learning rate of 0 every figure is that of the initial network."""
    train, test = (
        data.TensorDataset(*part[:64]) for part in image_sets.load("digits", held_out=64)
    )
    tg.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    found = fit(
        tmp_path / "run", model, train, {"test": test}, epochs=2, batch_size=16, learning_rate=0.0
    )
    images, labels = train.tensors
    wanted = F.cross_entropy(model(images), labels).item()
    assert found["loss"] == pytest.approx([wanted] * 2, rel=1e-5)
    assert found["error"] == pytest.approx([error(model(images), labels)] * 2)
    images, labels = test.tensors
    right = (model(images).numpy().argmax(axis=1) == labels.numpy()).mean()
    assert found["test"] == pytest.approx([100 * (1 - right)] * 2)


def test_the_gradients_of_a_linear_layer_are_those_of_the_closed_form() -> None:
    """∂L/∂W = (softmax(z) − onehot(y))ᵀ x / N."""
    tg.manual_seed(0)
    model, x, labels = nn.Linear(5, 3), tg.randn((4, 5)), np.array([0, 2, 1, 1])
    z = x.numpy() @ model.weight.numpy().T + model.bias.numpy()
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    gradient = (p - np.eye(3)[labels]).T @ x.numpy() / 4
    (found,) = gradient_rms(model, x, tg.tensor(labels))
    assert found == pytest.approx(np.sqrt((gradient**2).mean()), rel=1e-5)


# -------------------------------------------------------------------- what is compared


def test_the_convolutional_network_does_not_notice_a_shift_that_the_dense_one_does() -> None:
    """Without biases the background is 0; features end 7 pixels around the digits, in the frame."""
    tg.manual_seed(0)
    images, labels = image_sets.load("digits", 8).train.tensors
    digits = data.TensorDataset(F.pad(images[..., 6:-6, 6:-6], (6, 6, 6, 6)), labels)
    still, moved = (shift.shifted(digits, pixels).tensors[0] for pixels in (0, 4))
    assert (still[..., :-4].numpy() == moved[..., 4:].numpy()).all()
    conv, dense = shift.convolutional(), shift.dense()
    for name, parameter in conv.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    np.testing.assert_allclose(conv(still).numpy(), conv(moved).numpy(), atol=1e-6)
    assert abs(dense(still) - dense(moved)).max().item() > 0.01


def test_the_networks_of_the_shift_have_the_parameters_that_they_say() -> None:
    for build, count in ((shift.dense, 103_114), (shift.convolutional, 23_946)):
        assert f"{count:,} parameters" in (build.__doc__ or "")
        assert sum(p.size for p in build().parameters()) == count


def test_dropout_changes_the_training_of_lenet_and_not_its_predictions() -> None:
    tg.manual_seed(0)
    model, x = LeNet5(), tg.rand((4, 1, 28, 28))
    before = model(x).numpy()
    model = overfitting.with_dropout(model)
    assert abs(model(x).numpy() - before).max() > 0.01
    np.testing.assert_array_equal(model.eval()(x).numpy(), before)


def test_the_first_layer_of_twenty_gets_no_gradient_through_sigmoids() -> None:
    batch = image_sets.load("digits", 64).train.tensors
    tg.manual_seed(0)
    sigmoid = gradient_rms(saturation.network(20, F.sigmoid), *batch)
    relu = gradient_rms(saturation.network(20, F.relu), *batch)
    remedies = [
        gradient_rms(saturation.network(20, F.sigmoid, norm, not norm), *batch)
        for norm in (True, False)
    ]
    assert len(sigmoid) == 20
    assert sigmoid[0] < 1e-9 * sigmoid[-1]
    for other in (relu, *remedies):
        assert other[0] > 1e-4 * other[-1]


@pytest.mark.parametrize("function", [F.sigmoid, F.relu])
def test_a_residual_layer_adds_its_input(function: Any) -> None:
    layer, x = saturation.Layer(3, 3, function, residual=True), tg.rand((2, 3))
    wanted = x + function(layer.linear(x))
    np.testing.assert_allclose(layer(x).numpy(), wanted.numpy(), rtol=1e-6)


def test_without_norm_the_plain_net_of_56_layers_has_a_tenth_of_the_gradient_or_less() -> None:
    batch = degradation.reduced(image_sets.load("digits", 16).train, "digits").tensors
    first = {}
    for residual in (False, True):
        tg.manual_seed(0)
        model = CifarResNet(56, in_channels=1, width=0.5, residual=residual, norm=False)
        values = gradient_rms(model, *batch)
        assert len(values) == 56
        first[residual] = values[0]
    assert 0 < first[False] <= 0.1 * first[True]


def test_images_are_reduced_to_16_by_16_pixels() -> None:
    part = data.TensorDataset(tg.ones((2, 1, 28, 28)), tg.tensor([1, 2]))
    images, labels = degradation.reduced(part, "mnist").tensors
    assert images.shape == (2, 1, 16, 16)
    np.testing.assert_allclose(images.numpy(), (1 - 0.1307) / 0.3081, rtol=1e-5)
    assert labels.tolist() == [1, 2]


def test_the_gradients_are_of_all_four_networks(tmp_path: Path) -> None:
    text = gradients.answer(tmp_path, dataset="digits", images=16, depth=8)
    for kind in ("plain", "residual"):
        for norm in ("no norm", "batch norm"):
            assert f"{kind}, {norm}: first layer" in text


# ------------------------------------------------------------- optimizers and penalties


def test_gradient_descent_shrinks_both_axes_of_the_valley_by_their_factors() -> None:
    """In the coordinates of the valley, u ← (1 − η) u and v ← (1 − κη) v."""
    rate, steepness = 0.015, 100.0
    walk = np.array(descent.path("gradient descent", rate, 20, steepness))
    u, v = (walk @ np.array(axis) for axis in descent.AXES)
    k = np.arange(21)
    np.testing.assert_allclose(u, u[0] * (1 - rate) ** k, rtol=1e-9)
    np.testing.assert_allclose(v, v[0] * (1 - steepness * rate) ** k, rtol=1e-6, atol=1e-12)


def test_a_path_that_diverges_ends_early() -> None:
    walk = descent.path("gradient descent", 1.0, 100, 100.0)
    assert len(walk) < 10
    assert max(map(abs, walk[-1])) >= descent.FAR > max(map(abs, walk[-2]))


@pytest.mark.parametrize("strength", [0.1, 0.7, 5.0])
def test_the_weights_of_uncorrelated_inputs_have_their_closed_forms(strength: float) -> None:
    generator = np.random.default_rng(0)
    q, _ = np.linalg.qr(generator.normal(size=(50, 4)))
    x = np.sqrt(50) * q  # XᵀX = N·I
    y = x @ [2.0, -1.0, 0.5, 0.0] + generator.normal(size=50)
    free = x.T @ y / 50
    closed = {
        "L1": np.sign(free) * np.maximum(np.abs(free) - strength, 0),
        "L2": free / (1 + strength),
    }
    for penalty, wanted in closed.items():
        found = sparsity.fit(tg.tensor(x), tg.tensor(y), penalty, strength).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-9)
        if penalty == "L1":
            assert ((found == 0) == (wanted == 0)).all()
