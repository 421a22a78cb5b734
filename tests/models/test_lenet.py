"""LeNet-5: its layers, its recipe, and how well it reads digits that it has not seen."""

from __future__ import annotations

import re

import numpy as np
import pytest
from needs import needs_mnist

import tinygrad_gm as tg
from tinygrad_gm import data, nn
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.models import lenet
from tinygrad_gm.models.parts import mnist_like
from tinygrad_gm.training import Run
from tinygrad_gm.training.metrics import read_metrics

SMALL = lenet.Config(dataset="digits", images=96, epochs=1)


def trained(folder, make, split, config) -> float:
    """The accuracy on `split.test` after training on `split.train`."""
    tg.manual_seed(config.seed)
    model = make()
    with Run(folder, config) as run:
        lenet.fit(model, split, config, run)
    return lenet.accuracy(model, *split.test.tensors)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def test_the_layers_are_those_of_the_paper():
    shapes = {name: p.shape for name, p in lenet.LeNet5().named_parameters()}
    assert shapes == {
        "conv1.weight": (6, 1, 5, 5),
        "conv1.bias": (6,),
        "conv2.weight": (16, 6, 5, 5),
        "conv2.bias": (16,),
        "fc1.weight": (120, 400),
        "fc1.bias": (120,),
        "fc2.weight": (84, 120),
        "fc2.bias": (84,),
        "fc3.weight": (10, 84),
        "fc3.bias": (10,),
    }
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 61_706


def test_accuracy_counts_right_answers_in_evaluation_mode_and_keeps_the_mode():
    class Reader(nn.Module):
        def forward(self, x):
            assert not self.training
            return tg.one_hot(x[:, 0, 0, 0].astype(tg.int64), 10)

    model = Reader()
    images = tg.zeros((2500, 1, 28, 28))
    labels = tg.arange(2500) % 4
    assert lenet.accuracy(model, images, labels) == 0.25
    assert model.training


def test_the_logits_are_those_of_the_features_which_are_not_negative():
    tg.manual_seed(0)
    model, images = lenet.LeNet5(), tg.rand((3, 1, 28, 28))
    features = model.features(images)
    assert features.shape == (3, 84)
    assert features.numpy().min() == 0
    weight, bias = model.fc3.weight.numpy(), model.fc3.bias.numpy()
    np.testing.assert_allclose(model(images).numpy(), features.numpy() @ weight.T + bias, atol=1e-6)


def test_augmentation_changes_what_is_learned_from_and_is_the_same_for_the_same_seed(tmp_path):
    def weights(name: str, augment: bool) -> bytes:
        config = lenet.Config(dataset="digits", images=64, epochs=1, augment=augment)
        with Run(tmp_path / name, config) as run:
            lenet.train(config, run)
        return lenet.restore(tmp_path / name).conv1.weight.numpy().tobytes()

    first = weights("first", augment=True)
    assert weights("again", augment=True) == first
    assert weights("plain", augment=False) != first


def test_augmented_digits_are_moved_by_two_pixels_at_most_and_keep_their_ink():
    images, _ = data.mnist_small().train[:500]
    changed = lenet.augmentation(images, tg.Generator(0))
    assert changed.shape == images.shape
    assert changed.numpy().min() >= 0
    assert changed.numpy().max() <= 1
    ink, before = changed.numpy().sum((1, 2, 3)), images.numpy().sum((1, 2, 3))
    assert 0.75 < (ink / before).min() < (ink / before).max() < 1.3
    places = np.arange(28) - 13.5
    drift = [
        (array.numpy()[:, 0] * places[:, None]).sum((1, 2)) / array.numpy().sum((1, 2, 3))
        for array in (changed, images)
    ]
    assert 1.5 < np.abs(drift[0] - drift[1]).max() < 2.5  # MNIST centres each digit by its ink


def test_small_digits_are_enlarged_threefold_and_framed():
    images = mnist_like.load("digits").train.tensors[0].numpy()
    small = data.digits().train.tensors[0].numpy()
    assert images.shape == (1437, 1, 28, 28)
    for i, j in ((0, 0), (4, 3), (7, 7)):
        block = images[:, :, 2 + 3 * i : 5 + 3 * i, 2 + 3 * j : 5 + 3 * j]
        assert (block == small[:, :, i : i + 1, j : j + 1]).all()
    assert images[:, :, [0, 1, 26, 27]].sum() == images[..., [0, 1, 26, 27]].sum() == 0


def test_the_learning_rate_goes_through_one_cycle(tmp_path):
    with Run(tmp_path, SMALL) as run:
        lenet.train(lenet.Config(dataset="digits", images=640, epochs=1), run)
    rates = [line["lr"] for line in read_metrics(tmp_path) if "lr" in line]
    peak = int(np.argmax(rates))
    assert len(rates) == 20
    assert rates[0] == pytest.approx(4e-3 / 25)
    assert peak in (5, 6)
    assert rates[peak] == pytest.approx(4e-3, rel=0.05)
    assert rates[-1] < 1e-6
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)


def test_a_restored_model_is_the_trained_one_and_its_mistakes_are_shown(tmp_path):
    with Run(tmp_path, SMALL) as run:
        lenet.train(SMALL, run)
    unseen = mnist_like.load("digits").test
    found = lenet.accuracy(lenet.restore(tmp_path), *unseen.tensors)
    assert found == read_metrics(tmp_path)[-1]["test_accuracy"]
    assert (tmp_path / "mistakes.png").exists()


def test_the_pretrained_lenet_reads_digits_in_evaluation_mode_without_gradients():
    judge = lenet.pretrained()
    assert not judge.training
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    assert sum(parameter.size for parameter in judge.parameters()) == 61_706
    assert lenet.accuracy(judge, *data.mnist_small().test.tensors) >= 0.99


@needs_mnist
def test_the_pretrained_lenet_reads_993_of_1000_of_mnists_test_images():
    found = lenet.accuracy(lenet.pretrained(), *data.mnist().test.tensors)
    assert found >= 0.993
    assert f"{found:.2%}".replace("%", " %") in (lenet.pretrained.__doc__ or "")


def test_weights_that_are_missing_or_damaged_are_refused(tmp_path, monkeypatch):
    content = bytearray(lenet.WEIGHTS.read_bytes())
    monkeypatch.setattr(lenet, "WEIGHTS", tmp_path / "lenet.safetensors")
    with pytest.raises(
        FileNotFoundError, match=r"weights .*lenet.safetensors are missing; reinstall"
    ):
        lenet.pretrained()
    content[-1] ^= 1
    lenet.WEIGHTS.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"lenet.safetensors is damaged: its SHA-256 is"):
        lenet.pretrained()


@pytest.mark.slow
def test_small_digits_are_read_with_97_percent(tmp_path):
    """Seeds 0 to 4 read 98.9 to 99.4 %."""
    split = mnist_like.load("digits")
    config = lenet.Config(dataset="digits", epochs=10)
    assert trained(tmp_path, lenet.LeNet5, split, config) >= 0.97


@pytest.mark.slow
def test_a_thousand_held_back_images_are_read_with_925_of_1000(tmp_path):
    """Seeds 0 to 4 read 95.5 to 97.3 %: the spread, twice, below the middle of it."""
    assert trained(tmp_path, lenet.LeNet5, data.mnist_small(), lenet.Config()) >= 0.925


@needs_mnist
@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "peak", "wanted"), [(lenet.LeNet5, 4e-3, 0.970), (mlp, 8e-3, 0.940)]
)
def test_ten_thousand_images_teach_to_read_mnists_test_images(tmp_path, make, peak, wanted):
    """Batch 32, 2 epochs, one cycle; the mean over five seeds. PyTorch's LeNet: 97.2 – 97.5 %.

    The perceptron's peak was chosen on the 1,000 images that `mnist_small` holds back: 94.0 % with
    4e-3, 94.9 % with 8e-3, 94.5 % with 12e-3.
    """
    train, test = data.mnist()
    split = data.Split(data.TensorDataset(*train[:10_000]), test)
    accuracies = [
        trained(tmp_path / str(seed), make, split, lenet.Config(learning_rate=peak, seed=seed))
        for seed in range(5)
    ]
    print(f"{make.__name__}: {', '.join(f'{a:.2%}' for a in accuracies)}")
    assert np.mean(accuracies) >= wanted


@pytest.mark.parametrize("shape", [(1, 1, 20, 20), (3, 1, 32, 32), (1, 1, 28, 20)])
def test_images_of_another_size_are_refused_in_one_line(shape: tuple[int, ...]) -> None:
    words = f"LeNet5: expected images (N, 1, 28, 28); got {shape}"
    with pytest.raises(ValueError, match=re.escape(words)):
        lenet.LeNet5()(tg.zeros(shape))
