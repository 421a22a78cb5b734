"""The command line as a user types it: what it prints, writes and refuses."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from tinygrad_gm import data, models
from tinygrad_gm.app import cli
from tinygrad_gm.models import vae
from tinygrad_gm.training import read_checkpoint
from tinygrad_gm.viz.film import stills

SMALL = ["--epochs", "1", "--hidden-dim", "8", "--latent-dim", "2"]


def run(capsys, *argv: str) -> tuple[int, str, str]:
    try:
        code = cli.main(argv)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_every_command_has_help_that_ends_with_an_example(capsys, command):
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    assert re.search(rf"example: tinygrad-gm {' '.join(command)}", out.splitlines()[-1])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trian"], "invalid choice: 'trian'"),
        (["train", "vea"], "no model 'vea'.*did you mean 'vae'"),
        (["train", "vae", "--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["train", "vae", "--epochs", "three"], "--epochs: invalid int value: 'three'"),
        (["sample", "neuron"], "neuron is not a generative model"),
        (["sample", "vae", "--count", "0"], "--count is 0"),
        (
            ["draw", "neuron", "--steps", "--depth", "1"],
            "--depth and --engine cannot be combined with --steps",
        ),
        (["draw", "neuron", "--steps", "-o", "a.pdf"], r"writes .html, .gif, .png, .svg or a fo"),
        (["draw", "neuron", "-o", "a.gif"], "a .gif shows the steps; it needs --steps"),
        (["draw", "neuron", "--scale", "2"], "--scale is for a .png, not neuron.svg"),
        (["draw", "neuron", "--scale", "-1"], "--scale: expected a positive number, got '-1'"),
        (["draw", "neuron", "--theme", "pink"], "invalid choice: 'pink'"),
        (["draw", "dragon"], "no model 'dragon', only neuron, lenet, "),
        (["sample", "lenet"], "lenet is not a generative model"),
        (["lesson", "pooling"], "invalid choice: 'pooling'"),
        (["info", "all"], "unrecognized arguments: all"),
    ],
)
def test_a_wrong_argument_gives_exit_code_2_and_one_plain_line(capsys, argv, words):
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.search(words, err)


def test_the_models_are_listed_each_with_a_line(capsys):
    code, out, _ = run(capsys, "models")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(models.NAMES)


def test_the_neuron_prints_the_worked_example(capsys, tmp_path):
    code, out, _ = run(capsys, "train", "neuron", "--out", str(tmp_path))
    assert code == 0
    assert "weights [0.1036, -0.1425], bias -0.0167, mse [0.3033, 0.2942]" in out
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {"epoch": 2, "mse": 0.2942}


def test_a_lesson_prints_its_figures_and_writes_its_picture(capsys, tmp_path):
    folder = tmp_path / "new" / "lesson"
    code, out, _ = run(capsys, "lesson", "gradients", "--out", str(folder))
    assert code == 0
    assert "plain, no norm: first layer" in out
    assert f"written to {folder / 'gradients.png'}" in out
    assert (folder / "gradients.png").exists()


def test_a_vae_is_trained_sampled_and_not_overwritten(capsys, tmp_path):
    folder = str(tmp_path / "vae")
    assert run(capsys, "train", "vae", "--out", folder, *SMALL)[0] == 0
    code, out, _ = run(capsys, "sample", "vae", "--out", folder, "--count", "3")
    assert code == 0
    assert f"{folder}/samples.png" in out
    code, _, err = run(capsys, "train", "vae", "--out", folder, *SMALL)
    assert code == 1
    assert "already contains a run" in err
    assert "--resume" in err
    code, _, err = run(capsys, "train", "vae", "--out", folder, "--resume", *SMALL, "--seed", "1")
    assert code == 1
    assert "seed was 0 and is 1" in err
    assert run(capsys, "train", "vae", "--out", folder, "--resume", *SMALL)[0] == 0


def test_a_lenet_is_trained_and_another_data_set_is_refused(capsys, tmp_path):
    argv = ["train", "lenet", "--images", "64", "--epochs", "1", "--dataset"]
    code, out, err = run(capsys, *argv, "digits", "--out", str(tmp_path / "run"))
    assert code == 0
    assert f"written to {tmp_path / 'run'}" in out
    assert "epoch 1 of 1: test_accuracy 0." in err
    assert {"curves.png", "mistakes.png"} <= {path.name for path in (tmp_path / "run").iterdir()}
    code, _, err = run(capsys, *argv, "letters", "--out", str(tmp_path / "other"))
    assert code == 2
    assert "invalid choice: 'letters'" in err


def test_sampling_without_a_checkpoint_says_how_to_make_one_and_how_long_that_takes(
    capsys, tmp_path
):
    code, _, err = run(capsys, "sample", "vae", "--out", str(tmp_path))
    assert code == 1
    assert f"`tinygrad-gm train vae --out {tmp_path}` takes about" in err
    assert len(err.splitlines()) == 1


def test_an_output_folder_that_cannot_be_made_is_named(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "train", "neuron", "--out", str(tmp_path / "file" / "run"))
    assert code == 1
    assert "cannot make the folder" in err
    assert len(err.splitlines()) == 1


@pytest.mark.sweep
@pytest.mark.parametrize("model", models.NAMES)
def test_a_models_graph_is_drawn_and_its_text_is_written(capsys, tmp_path, model):
    path = tmp_path / f"{model}.svg"
    assert run(capsys, "draw", model, "--out", str(path))[0] == 0
    assert ET.parse(path).getroot().tag.endswith("svg")
    assert path.with_suffix(".gv").read_text().lstrip().startswith(("digraph", "//"))


def drawn(capsys, tmp_path, name: str, *flags: str) -> bytes:
    path = tmp_path / name
    code, out, err = run(capsys, "draw", "neuron", "-o", str(path), *flags)
    assert (code, out, err) == (0, f"written to {path}\n", "")
    return path.read_bytes() if path.is_file() else b""


def test_every_kind_of_picture_can_be_asked_for(capsys, tmp_path, monkeypatch):
    assert json.loads(drawn(capsys, tmp_path, "a.json"))["format"] == "tinygrad_gm drawing"
    assert b"digraph" in drawn(capsys, tmp_path, "a.gv")
    assert b"<svg" in drawn(capsys, tmp_path, "b.html", "--steps")
    drawn(capsys, tmp_path, "steps", "--steps", "--theme", "dark", "--direction", "TB")
    assert len(list((tmp_path / "steps").glob("*.svg"))) > 10
    numbered = run(capsys, "draw", "neuron", "--steps", "-o", str(tmp_path / "c.svg"))
    assert numbered == (0, f"written to {tmp_path / 'c-000.svg'}\n", "")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "draw", "neuron", "--steps")[0] == 0
    assert (tmp_path / "neuron.html").exists()


def test_a_drawn_model_has_the_lines_of_its_file(capsys, tmp_path):
    path = tmp_path / "lenet.html"
    assert run(capsys, "draw", "lenet", "-o", str(path))[0] == 0
    page = path.read_text()
    assert "= self.fc3(self.features(x))" in page
    assert re.search(r"models/lenet\.py:\d+", page)


def test_a_picture_of_dots_is_made_where_resvg_is_installed(capsys, tmp_path):
    pytest.importorskip("resvg_py")
    assert drawn(capsys, tmp_path, "a.png").startswith(b"\x89PNG")


def test_an_animation_of_the_steps_can_be_asked_for(capsys, tmp_path, monkeypatch):
    dots = io.BytesIO()
    Image.new("RGB", (4, 4)).save(dots, "PNG")
    monkeypatch.setattr(stills, "rasterize", lambda svg: dots.getvalue())
    with Image.open(io.BytesIO(drawn(capsys, tmp_path, "a.gif", "--steps"))) as film:
        assert film.format == "GIF"


@pytest.mark.skipif(shutil.which("dot") is None, reason="there is no dot here")
def test_a_pdf_is_made_by_the_engine_that_is_asked_for(capsys, tmp_path):
    assert drawn(capsys, tmp_path, "a.pdf", "--engine", "dot").startswith(b"%PDF")


def test_the_flags_of_a_drawing_change_it(capsys, tmp_path):
    flags = ("--theme", "dark"), ("--direction", "LR"), ("--direction", "TB")
    assert len({drawn(capsys, tmp_path, "a.svg", *flag) for flag in flags}) == 3
    builtin = drawn(capsys, tmp_path, "a.svg", "--engine", "builtin")
    assert (builtin == drawn(capsys, tmp_path, "a.svg")) == (shutil.which("dot") is None)
    path = tmp_path / "lenet.svg"
    assert run(capsys, "draw", "lenet", "--depth", "1", "-o", str(path))[0] == 0
    assert 'class="node group' in path.read_text()


def test_a_missing_engine_gives_exit_code_2_and_the_hint(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    for engine in ("dot", "pygraphviz"):
        argv = ["draw", "neuron", "-o", str(tmp_path / "a.svg"), "--engine", engine]
        code, out, err = run(capsys, *argv)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert all(word in err for word in (engine, "apt", "brew", "winget", "conda", "pip"))
    code, _, err = run(capsys, "draw", "neuron", "-o", str(tmp_path / "a.pdf"))
    assert code == 2
    assert "a PDF needs Graphviz" in err


def test_info_names_versions_and_engines(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert {"tinygrad_gm", "python", "numpy", "dot", "cupy"} <= {
        line.split()[0] for line in out.splitlines()
    }


def test_the_module_can_be_run():
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_gm", "models"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("neuron")


@pytest.mark.slow
def test_the_tour_leaves_a_page_with_everything_inside_and_a_vae_of_120_nats(capsys, tmp_path):
    assert run(capsys, "quickstart", "--out", str(tmp_path))[0] == 0
    page = (tmp_path / "index.html").read_text()
    assert len(page) < 2_000_000
    assert "tinygrad-gm quickstart --out" in page
    for name in (
        "neuron.html",
        "vae-graph.html",
        "vae/checkpoint.safetensors",
        "vae/metrics.jsonl",
    ):
        assert (tmp_path / name).exists()
    assert read_checkpoint(tmp_path / "vae")["run"]["config"] == vars(vae.Config())
    unseen = data.mnist_small().test.tensors
    model = vae.restore(tmp_path / "vae")
    for seed in range(2):
        assert vae.evaluate(model, *unseen, seed=seed)["loss"] <= 120
