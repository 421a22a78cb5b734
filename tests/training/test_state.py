"""Checkpoints with a right checksum and wrong contents, of other models and of other versions."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from small_models import SMALL

import tinygrad_gm as tg
from tinygrad_gm import data, models, nn, optim
from tinygrad_gm.app import cli
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.models import vae
from tinygrad_gm.training import Run, read_checkpoint
from tinygrad_gm.training.metrics import read_metrics


def trained(folder, name, kwargs=None):
    module = models.load(name)
    config = module.Config(**(kwargs or SMALL[name][0]))
    with Run(folder, config) as run:
        module.train(config, run)
    return folder


def flags(name):
    return [
        word
        for field, value in SMALL[name][0].items()
        for word in (f"--{field.replace('_', '-')}", str(value))
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def outcome(capsys, *argv: str) -> tuple[int, list[str]]:
    """The exit code, and the lines on stderr that are not progress."""
    try:
        code = cli.main(argv)
    except SystemExit as stop:
        code = stop.code
    return code, [line for line in capsys.readouterr().err.splitlines() if "tinygrad-gm" in line]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A small finished run of a few models, which are never written to."""
    folder = tmp_path_factory.mktemp("runs")
    return {name: trained(folder / name, name) for name in ("vae", "diffusion", "lenet")}


# ------------------------------------------------------------------- which model it is


def test_a_checkpoint_records_its_model_and_the_version_of_the_package(runs):
    for name, folder in runs.items():
        own = read_checkpoint(folder)["run"]
        assert (own["model"], own["version"]) == (name, tg.__version__)


def test_models_restore_finds_the_model_by_its_checkpoint(runs):
    for name, folder in runs.items():
        model, same = models.restore(folder), models.load(name).restore(folder)
        assert type(model) is type(same)
        for tensor, other in zip(model.parameters(), same.parameters(), strict=True):
            assert (tensor == other).all()


@pytest.mark.parametrize("command", ["sample", "judge"])
@pytest.mark.parametrize(("name", "other"), [("vae", "diffusion"), ("gan", "vae")])
def test_another_models_run_is_refused_in_one_line(runs, capsys, command, name, other):
    code, (line,) = outcome(capsys, command, name, "--out", str(runs[other]))
    assert code == 2
    assert line.endswith(f"restore: {runs[other]} holds a run of {other}, not of {name}")


def test_another_models_run_is_not_resumed(runs, capsys):
    before = contents(runs["lenet"])
    code, lines = outcome(capsys, "train", "vae", "--resume", "--out", str(runs["lenet"]))
    assert code == 2
    assert len(lines) == 1
    assert lines[0].endswith("holds a run of lenet, not of vae")
    assert contents(runs["lenet"]) == before


def test_a_run_of_a_users_own_is_not_taken_for_a_models(tmp_path):
    with Run(tmp_path, {"lr": 0.1}) as run:
        linear = nn.Linear(1, 1)
        loader = data.DataLoader(data.TensorDataset(tg.ones((4, 1))), 2)
        optimizer = optim.SGD(linear.parameters(), lr=0.1)
        run.fit(linear, optimizer, lambda batch, _: linear(batch[0]).sum(), loader, 1)
    assert read_checkpoint(tmp_path)["run"]["model"] is None
    with pytest.raises(CheckpointError, match="run of another kind: its checkpoint names no model"):
        models.restore(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"does not fit vae of version .*: its config has unknown fields: lr"
    ):
        vae.restore(tmp_path)


# ------------------------------------------------------------------- other versions


@dataclass(frozen=True)
class Older:
    """A config before a field was added."""

    width: int = 3


@dataclass(frozen=True)
class Newer:
    """The same, with it."""

    width: int = 3
    depth: int = field(default=2)


def a_step(folder, config, resume=True, epochs=1):
    with Run(folder, config, resume=resume) as run:
        tg.manual_seed(0)
        model = nn.Linear(1, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        loader = data.DataLoader(data.TensorDataset(tg.ones((4, 1))), 2)
        run.fit(model, optimizer, lambda batch, _: model(batch[0]).square().sum(), loader, epochs)
    return run


def test_a_field_that_a_config_has_got_since_takes_its_default_on_resume(tmp_path):
    a_step(tmp_path, Older())
    assert a_step(tmp_path, Newer(), epochs=2).step == 4
    assert read_checkpoint(tmp_path)["run"]["config"] == {"width": 3, "depth": 2}


def test_another_value_for_a_new_field_is_a_change(tmp_path):
    a_step(tmp_path, Older())
    with pytest.raises(ValueError, match="depth was 2 and is 5"):
        a_step(tmp_path, Newer(depth=5))


def test_a_field_that_a_config_has_no_longer_is_named(tmp_path):
    a_step(tmp_path, Newer())
    with pytest.raises(ValueError, match=r"saved by version .*depth was 2 and is 'absent'"):
        a_step(tmp_path, Older())


def altered(source: Path, target: Path, change) -> Path:
    """A copy of a run whose checkpoint is another, with the right checksum for it."""
    shutil.copytree(source, target)
    path = target / "checkpoint.safetensors"
    state = tg.load(path)
    change(state)
    tg.save(path, state)
    return target


def test_a_model_is_restored_without_the_fields_that_its_run_did_not_know(runs, tmp_path):
    def change(state):
        for name in ("warm_up", "beta", "conditional"):
            del state["run"]["config"][name]
        for name in ("model", "version", "stands_on"):  # as in version 0.1.0
            del state["run"][name]

    model = vae.restore(altered(runs["vae"], tmp_path / "old", change))
    for tensor, other in zip(
        model.parameters(), vae.restore(runs["vae"]).parameters(), strict=True
    ):
        assert (tensor == other).all()


def test_a_removed_field_is_told_in_one_line(runs, tmp_path, capsys):
    def change(state):
        state["run"]["version"] = "0.0.7"
        state["run"]["config"]["swish"] = True

    folder = altered(runs["vae"], tmp_path / "old", change)
    code, (line,) = outcome(capsys, "sample", "vae", "--out", str(folder))
    assert code == 2
    assert "made by version 0.0.7, does not fit vae" in line
    assert "its config has unknown fields: swish" in line


# ------------------------------------------------------------------- trained longer


def full(folder, epochs, schedule=None):
    """A training with all the parts that a run can have."""
    with Run(folder, {"width": 2, "epochs": epochs}, resume=True) as run:
        tg.manual_seed(0)
        model = nn.Linear(2, 1)
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        loader = data.DataLoader(data.TensorDataset(tg.ones((4, 2))), 2, shuffle=True)
        run.fit(
            model,
            optimizer,
            lambda batch, _: model(batch[0] + 0.1 * tg.randn((2, 2))).square().sum(),
            loader,
            epochs,
            schedule=(schedule or one_cycle)(optimizer, 2 * epochs),
            ema=optim.EMA(model, 0.9),
            clip_norm=1.0,
        )
    return folder


def one_cycle(optimizer, steps):
    return optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)


def decay(optimizer, steps):
    return optim.lr_scheduler.ExponentialLR(optimizer, 0.9)


def test_a_finished_run_is_trained_longer_with_the_bits_of_one_long_run(tmp_path):
    full(tmp_path / "whole", 5, decay)
    full(full(tmp_path / "longer", 2, decay), 5, decay)
    for name in ("metrics.jsonl", "checkpoint.safetensors"):
        whole, longer = ((tmp_path / kind / name).read_bytes() for kind in ("whole", "longer"))
        assert whole == longer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder", "vae", "gan", "vqvae"])
def test_a_model_without_a_schedule_trained_longer_is_the_one_of_a_long_run(tmp_path, name):
    module, config = models.load(name), {**SMALL[name][0], "epochs": 2}
    trained(tmp_path / "whole", name, config)
    trained(tmp_path / "longer", name, {**config, "epochs": 1})
    with Run(tmp_path / "longer", module.Config(**config), resume=True) as run:
        module.train(module.Config(**config), run)
    whole, longer = (
        (
            tg.load(tmp_path / kind / "checkpoint.safetensors"),
            [line for line in read_metrics(tmp_path / kind) if not set(line) & {"test_loss"}],
        )
        for kind in ("whole", "longer")
    )
    assert whole[1] == longer[1]
    assert whole[0].keys() == longer[0].keys()
    for key in whole[0].keys() - {"run"}:
        assert described(whole[0][key]) == described(longer[0][key])


def described(value):
    """A state as something that `==` compares to the bit."""
    if isinstance(value, tg.Tensor):
        return value.dtype.name, value.shape, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: described(entry) for key, entry in value.items()}
    return value


def test_a_schedule_over_all_epochs_goes_on_along_the_longer_curve(tmp_path):
    full(tmp_path / "whole", 6)
    full(full(tmp_path / "longer", 3), 6)
    whole, longer = (
        [line["lr"] for line in read_metrics(tmp_path / kind)] for kind in ("whole", "longer")
    )
    assert longer[6:] == whole[6:]
    assert longer[5] < 1e-6 < longer[6]  # the first cycle had ended


def test_fewer_epochs_and_other_changes_are_still_refused(runs, capsys):
    folder = str(runs["vae"])
    shorter = [*flags("vae"), "--epochs", "1"]
    code, (line,) = outcome(capsys, "train", "vae", "--resume", "--out", folder, *shorter)
    assert code == 1
    assert "epochs was 2 and is 1" in line


def test_a_stage_starts_again_when_the_run_that_it_stands_on_has_gone_on(tmp_path):
    def both(first, second):
        with Run(tmp_path, resume=True) as run:
            model = nn.Linear(1, 1)
            optimizer = optim.SGD(model.parameters(), lr=0.1)
            loader = data.DataLoader(data.TensorDataset(tg.ones((4, 1))), 2)

            def loss(batch, _):
                return model(batch[0]).square().sum()

            run.fit(model, optimizer, loss, loader, first)
            with run.stage("second") as stage:
                begun = len(read_metrics(stage.folder)) if stage._state else 0
                stage.fit(model, optimizer, loss, loader, second)
        return begun, stage.step

    assert both(1, 1) == (0, 2)
    assert both(1, 2) == (2, 4)
    assert both(2, 2) == (0, 4)
    assert len(read_metrics(tmp_path / "second")) == 4


# ------------------------------------------------------------------- hostile contents

WRONG = (
    None,
    True,
    -1,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    2**70,
    10**30,
    "3",
    "",
    [],
    {},
    [[1]],
    {"a": 1},
    (1, 2),
    np.zeros(3, np.float32),
    np.zeros((0, 5), np.float32),
    np.zeros((2, 2), np.int64),
    np.zeros((), np.bool_),
    np.full((4, 4), np.nan),
)


def places(state, path=()):
    """The paths of all entries of a nested state."""
    for key, value in state.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def drawn(options, rng):
    return options[int(rng.integers(len(options)))]


def spoil(state, rng):
    """Remove, rename or replace an entry of a state, half of the time one of the run's own."""
    paths = sorted(places(state), key=str)
    own = [path for path in paths if path[0] == "run"]
    *above, name = drawn(own if rng.random() < 0.5 else paths, rng)
    place = state
    for key in above:
        place = place[key]
    kind = int(rng.integers(4))
    if kind == 0:
        del place[name]
    elif kind == 1:
        place[f"{name}x"] = place.pop(name)
    elif kind == 2:
        value = state
        for key in drawn(paths, rng):
            value = value[key]
        place[name] = copy.deepcopy(value)
    else:
        place[name] = drawn(WRONG, rng)


def hostile(source: Path, folder: Path, number: int) -> Path:
    """A copy of a run with a spoilt checkpoint, whose checksum is right."""
    return altered(source, folder, lambda state: spoil(state, np.random.default_rng(number)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers near the largest
def test_250_hostile_checkpoints_are_resumed_or_refused_and_the_folder_left_alone(tmp_path):
    source, refused = full(tmp_path / "source", 2), 0
    for number in range(250):
        folder = hostile(source, tmp_path / str(number), number)
        before = contents(folder)
        try:
            full(folder, 3)
        except (ValueError, RuntimeError) as error:
            words = str(error)
        else:
            words = ""
        if words:
            refused += 1
            if "OneCycleLR: step 7" not in words:  # of a position that is only too early
                assert str(folder) in words or words.startswith("load_state_dict")
                assert contents(folder) == before
        shutil.rmtree(folder)
    assert refused > 100


HOSTILE = [
    pytest.param(command, name, numbers, marks=marks, id=f"{command}-{name}-{len(numbers)}")
    for command in ("sample", "judge")
    for name in ("vae", "diffusion")
    for numbers, marks in ((range(10), ()), (range(10, 60), pytest.mark.slow))
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers near the largest
@pytest.mark.parametrize(("command", "name", "numbers"), HOSTILE)
def test_hostile_checkpoints_are_used_or_refused_in_one_line(
    runs, tmp_path, capsys, monkeypatch, command, name, numbers
):
    few = data.Split(*(data.TensorDataset(*part[:50]) for part in data.mnist_small()))
    monkeypatch.setattr(data, "mnist", lambda: few)
    refused = 0
    for number in numbers:
        folder = hostile(runs[name], tmp_path / str(number), number)
        before = contents(folder)
        code, lines = outcome(capsys, command, name, "--count", "2", "--out", str(folder))
        assert code in (0, 2) or (command == "judge" and code == 1), (number, lines)
        assert len(lines) == (code != 0), (number, lines)
        if code == 2:
            refused += 1
            assert str(folder) in lines[0]
        if code:
            assert contents(folder) == before
        shutil.rmtree(folder)
    assert refused > len(numbers) // 3


def test_a_run_without_a_data_set_is_judged_by_the_default_one(runs, tmp_path, capsys):
    def change(state):
        del state["run"]["config"]["dataset"]

    folder = altered(runs["diffusion"], tmp_path / "run", change)
    assert outcome(capsys, "judge", "diffusion", "--count", "100", "--out", str(folder)) == (0, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_dim", 10**9),
        ("latent_dim", 10**15),
        ("hidden_dim", "16"),
        ("hidden_dim", -16),
        ("hidden_dim", 16.0),
        ("network", "transformer"),
        ("conditional", 1),
        ("beta", float("nan")),
    ],
)
def test_a_config_that_no_model_can_have_is_refused_by_name(runs, tmp_path, capsys, name, value):
    def change(state):
        state["run"]["config"][name] = value

    folder = altered(runs["vae"], tmp_path / "run", change)
    code, (line,) = outcome(capsys, "sample", "vae", "--out", str(folder))
    assert code == 2
    assert "does not fit vae" in line


def test_a_config_with_too_many_layers_is_refused_before_they_are_built(tmp_path, capsys):
    trained(tmp_path / "source", "pixelcnn", {**SMALL["pixelcnn"][0], "epochs": 0})

    def change(state):
        state["run"]["config"]["layers"] = 10**9

    folder = altered(tmp_path / "source", tmp_path / "run", change)
    code, (line,) = outcome(capsys, "sample", "pixelcnn", "--out", str(folder))
    assert code == 2
    assert "its layers 1000000000 is not a number from 1 to 1000" in line
