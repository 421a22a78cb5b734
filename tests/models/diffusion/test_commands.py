"""`train`, `sample` and `judge` of diffusion models: what can be asked for, and what is refused."""

from __future__ import annotations

import pytest

from tinygrad_gm import data
from tinygrad_gm.app import cli
from tinygrad_gm.models import diffusion, dit
from tinygrad_gm.models.gallery import diffusion as gallery
from tinygrad_gm.training import Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of an unconditional model, of a conditional one, and of one of images, untrained."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"timesteps": 10, "width": 8, "epochs": 0}
    for name, kwargs in {
        "plain": {},
        "conditional": {"conditional": True, "target": "v"},
        "digits": {"dataset": "digits", "channels": 4, "conditional": True},
    }.items():
        config = diffusion.Config(**{**small, **kwargs})
        with Run(folder / name, config) as run, pytest.MonkeyPatch.context() as patch:
            patch.setattr(gallery, "write_pictures", lambda *_: None)
            diffusion.train(config, run)
    return folder


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
def test_every_sampler_can_be_asked_for(runs, capsys, sampler):
    argv = ["--out", str(runs / "plain"), "--sampler", sampler, "--steps", "5", "--seed", "1"]
    assert cli.main(["sample", "diffusion", *argv]) == 0
    assert "64 samples" in capsys.readouterr().out
    assert (runs / "plain" / "samples.png").exists()


def test_a_class_with_guidance_can_be_asked_for(runs, capsys):
    argv = ["--sampler", "ddim", "--eta", "0.5", "--class", "3", "--guidance", "1"]
    assert cli.main(["sample", "diffusion", "--out", str(runs / "conditional"), *argv]) == 0
    argv = ["--out", str(runs / "conditional"), *argv, "--count", "100"]
    assert cli.main(["judge", "diffusion", *argv]) == 0
    assert "of 8 modes" in capsys.readouterr().out


def test_a_transformer_has_the_same_flags_as_a_u_net(tmp_path, capsys):
    small = {"dataset": "digits", "timesteps": 10, "patch_size": 7, "width": 8, "depth": 1}
    config = dit.Config(**small, heads=2, epochs=0)
    with Run(tmp_path / "run", config) as run:
        dit.train(config, run)
    argv = ["--out", str(tmp_path / "run"), "--steps", "2", "--class", "3", "--guidance", "2"]
    assert cli.main(["sample", "dit", *argv, "--count", "4"]) == 0
    assert "4 samples" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["sample", "dit", *argv, "--class", "10"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot draw class 10: the model has the classes 0 to 9" in line


def test_judged_images_are_compared_with_the_classes_asked_for(runs, capsys, monkeypatch):
    train, test = data.mnist_small()
    small = data.Split(data.TensorDataset(*train[:200]), data.TensorDataset(*test[:200]))
    monkeypatch.setattr(data, "mnist", lambda: small)
    argv = ["--out", str(runs / "digits"), "--steps", "1", "--count", "30"]
    assert cli.main(["judge", "diffusion", *argv]) == 0
    assert "% are read as the class asked for" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("run", "argv", "message"),
    [
        ("plain", ["--sampler", "ddmi"], "the sampler must be ancestral, ddim, euler, heun"),
        ("plain", ["--sampler", "ddim", "--eta", "1.5"], "eta is 1.5; expected a number in [0, 1]"),
        ("plain", ["--sampler", "ddim", "--eta", "-0.1"], "eta is -0.1"),
        ("plain", ["--sampler", "ddim", "--eta", "nan"], "eta is nan"),
        ("plain", ["--sampler", "heun", "--eta", "0.5"], "eta is for the sampler ddim"),
        ("plain", ["--steps", "11"], "steps must lie in 1 … 10, not 11"),
        ("plain", ["--steps", "0"], "steps must lie in 1 … 10, not 0"),
        ("plain", ["--guidance", "1"], "guidance needs a conditional model"),
        ("plain", ["--class", "3"], "cannot draw class 3: the model has no classes"),
        ("conditional", ["--class", "8"], "cannot draw class 8: the model has the classes 0 to 7"),
        ("conditional", ["--class", "-1"], "cannot draw class -1"),
        ("conditional", ["--guidance", "inf"], "guidance is inf; expected a finite number"),
    ],
)
@pytest.mark.parametrize("command", ["sample", "judge"])
def test_what_a_model_cannot_do_is_refused_in_one_line(runs, capsys, command, run, argv, message):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "diffusion", "--out", str(runs / run), *argv])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_data_set_without_classes_has_no_conditional_model(tmp_path, capsys):
    argv = ["--dataset", "swiss_roll", "--conditional", "--out", str(tmp_path / "run")]
    assert cli.main(["train", "diffusion", *argv]) != 0
    assert "the data set swiss_roll has no classes" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_missing_dino_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GM_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    argv = ["--dataset", "dino", "--out", str(tmp_path / "run")]
    assert cli.main(["train", "diffusion", *argv]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "DatasaurusDozen.tsv is not in" in line
