"""Pictures from files, classified by networks of runs and by weights from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import needs_resnet20
from PIL import Image

import tinygrad_gm as tg
from tinygrad_gm.app import cli
from tinygrad_gm.data.files import find
from tinygrad_gm.models import classify, lenet, resnet
from tinygrad_gm.training import Run


def output(capsys: pytest.CaptureFixture[str], *argv: Any) -> tuple[int, str, str]:
    """The exit code, the standard output, and the complaint."""
    try:
        code = cli.main([str(word) for word in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, "\n".join(row for row in err.splitlines() if "tinygrad-gm" in row)


def digit_file(path: Path, index: int = 0, *, dark: bool = False) -> Path:
    """A test digit of `mnist_small` as a picture."""
    image = tg.data.mnist_small().test.tensors[0][index, 0].numpy()
    levels = np.rint(255 * (1 - image if dark else image)).astype(np.uint8)
    Image.fromarray(levels).save(path)
    return path


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LeNet's run with the weights of the package."""
    folder = tmp_path_factory.mktemp("lenet")
    config = lenet.Config(dataset="digits", images=32, epochs=0)
    with Run(folder, config) as run:
        lenet.train(config, run)
    path = folder / "checkpoint.safetensors"
    state = tg.load(path)
    tg.save(path, {**state, "model": lenet.pretrained().state_dict()})
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of an untrained ResNet-20 with 12 classes."""
    tg.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    tg.save(path, resnet.resnet20(num_classes=12).state_dict())
    return path


def test_a_digit_is_read_light_on_dark_and_with_a_flag_dark_on_light(
    reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = tg.data.mnist_small().test.tensors[1][0].item()
    light = digit_file(tmp_path / "light.png")
    dark = digit_file(tmp_path / "dark.png", dark=True)
    for path, *flags in ((light,), (dark, "--invert")):
        code, out, _ = output(capsys, "classify", "lenet", path, "--out", reader, *flags)
        first, *lines = out.splitlines()
        assert code == 0
        assert first == str(path)
        assert len(lines) == 5
        found = [re.fullmatch(r" +([\d.]+)%  (\d)", line) for line in lines]
        shares = [float(match[1]) for match in found if match]
        assert shares == sorted(shares, reverse=True)
        assert shares[0] > 90
        assert found[0] is not None
        assert int(found[0][2]) == label


def test_the_probabilities_are_those_of_the_network_on_the_prepared_picture(tmp_path: Path) -> None:
    config = resnet.Config(dataset="digits", images=64, width=0.25, epochs=1)
    with Run(tmp_path, config) as run:
        resnet.train(config, run)
    path = digit_file(tmp_path / "digit.png", 3)
    classifier = classify.of_run(resnet, tmp_path)
    found = classifier.likeliest(classifier.read(path), 10)
    x = (tg.data.mnist_small().test.tensors[0][3:4] - 0.1307) / 0.3081
    wanted = tg.softmax(resnet.restore(tmp_path)(x), axis=1)[0].numpy()
    for label, name, probability in found:
        assert name == str(label)
        assert probability == pytest.approx(wanted[label], rel=1e-4, abs=1e-6)


@needs_resnet20
def test_the_published_resnet20_names_photographs_of_cifar10(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = tg.data.cifar10().test.tensors
    places = [0, 300, 900, 1500]
    paths = []
    for place in places:
        pixels = np.rint(255 * images[place].numpy().transpose(1, 2, 0)).astype(np.uint8)
        paths.append(tmp_path / f"{place}.png")
        Image.fromarray(pixels).save(paths[-1])
    file = find("resnet20_cifar10.safetensors")
    code, out, _ = output(capsys, "classify", "resnet20", *paths, "--weights", file)
    assert code == 0
    best = [line.split() for line in out.splitlines()[1::6]]
    names = [classify.image_sets.CIFAR10[labels[place].item()] for place in places]
    assert [name for _, name in best] == names


def test_size_and_normalisation_are_the_reference_s_unless_flags_change_them(weights: Path) -> None:
    def sizes(**options: Any) -> tuple[Any, ...]:
        resize, crop, normalise = classify.of_weights(
            "resnet20", weights, **options
        ).preprocess.transforms
        return resize.size, crop.size, tuple(normalise.mean), tuple(normalise.std)

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert sizes() == (32, (32, 32), mean, std)
    assert sizes(crop_size=64) == (64, (64, 64), mean, std)
    assert sizes(resize_size=80, crop_size=64, mean=(0.5,), std=(0.25,)) == (
        *(80, (64, 64)),
        *((0.5,), (0.25,)),
    )


def test_classes_are_named_by_a_file_or_numbered(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, names = digit_file(tmp_path / "digit.png"), tmp_path / "names.txt"
    argv = ["classify", "resnet20", picture, "--weights", weights]
    assert re.search(r"%  class \d+\n", output(capsys, *argv)[1])
    names.write_text("\n".join(f"animal {letter}" for letter in "abcdefghijkl"))
    assert re.search(r"%  animal [a-l]\n", output(capsys, *argv, "--classes", names)[1])
    names.write_text("cat\ndog\n")
    code, _, complaint = output(capsys, *argv, "--classes", names)
    assert code == 1
    assert complaint.endswith("there are 2 names of classes; the network has 12")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["vae", "a.png"], "there is no classifier 'vae', only lenet, "),
        (["resnet50", "a.png"], "resnet50 needs --weights FILE"),
        (
            ["lenet", "a.png", "--crop-size", "28"],
            "--crop-size is for --weights; a run has its own",
        ),
        (["resnet20", "a.png", "--weights", "w", "--mean", "x"], "'x' is not a list such as"),
        (["resnet20", "a.png", "--weights", "w", "--out", "r"], "not allowed with argument"),
    ],
)
def test_a_wrong_combination_gives_exit_code_2_and_one_line(
    capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    code, out, complaint = output(capsys, "classify", *argv)
    assert (code, out) == (2, "")
    assert words in complaint
    assert len(complaint.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "a.png"),
        (lambda path: path.write_text("no picture"), "is not a picture"),
        (lambda path: path.write_bytes(path.read_bytes()[:150]), "truncated or damaged"),
    ],
)
def test_a_file_that_is_no_picture_gives_one_line(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, words: str
) -> None:
    path = digit_file(tmp_path / "a.png")
    change(path)
    code, out, complaint = output(capsys, "classify", "resnet20", path, "--weights", weights)
    assert code == 1
    assert out.splitlines() in ([], [str(path)])
    assert words in complaint
    assert len(complaint.splitlines()) == 1


def test_a_run_that_is_missing_is_answered_with_how_to_make_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, complaint = output(capsys, "classify", "lenet", "a.png", "--out", tmp_path)
    assert code == 1
    assert f"`tinygrad-gm train lenet --out {tmp_path}` takes about" in complaint


def test_weights_that_are_not_finite_give_one_line_instead_of_probabilities(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, state = digit_file(tmp_path / "a.png"), dict(tg.load(weights))
    tg.save(weights, {**state, "linear.bias": tg.full_like(state["linear.bias"], float("nan"))})
    code, out, complaint = output(capsys, "classify", "resnet20", picture, "--weights", weights)
    assert (code, out) == (1, "")
    assert "the logits of CifarResNet are not finite: its weights" in complaint


def test_weights_of_another_depth_give_the_first_three_differing_keys(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = digit_file(tmp_path / "a.png")
    code, _, complaint = output(capsys, "classify", "resnet32", picture, "--weights", weights)
    assert code == 2
    assert complaint.count(" is missing") == 3
    assert "does not fit resnet32: layer1.3.conv1.weight is missing; " in complaint
