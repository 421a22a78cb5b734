"""Runs: the same bits after every kind of interruption, and clear words about what went wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import killed_run
import numpy as np
import pytest
from PIL import Image

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim, pictures
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.training import DivergenceError, Run, progress, read_checkpoint
from tinygrad_gm.training.metrics import read_metrics

LASTING = ("checkpoint.safetensors", "metrics.jsonl", "config.json")
KILLS = np.random.default_rng(0).permutation(400)[:10] + 1


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    killed_run.train_short(folder)
    return folder


def same_bytes(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in LASTING)


def killed(folder: Path, moment: int, kind: str = "any", training: str = "short") -> bool:
    """Whether a process that trained there killed itself at that moment."""
    command = [sys.executable, killed_run.__file__, str(folder), training, kind, str(moment)]
    return subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL


# ------------------------------------------------------------------- interruptions


def test_two_runs_with_one_seed_end_with_the_same_bytes(uninterrupted, tmp_path):
    killed_run.train_short(tmp_path)
    assert same_bytes(tmp_path, uninterrupted)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("moment", KILLS.tolist())
def test_a_run_killed_and_resumed_ends_with_the_same_bytes(uninterrupted, tmp_path, moment):
    assert killed(tmp_path, moment)
    if (tmp_path / "checkpoint.safetensors").exists():
        read_checkpoint(tmp_path)  # at no moment is there one that cannot be read
    killed_run.train_short(tmp_path)
    assert same_bytes(tmp_path, uninterrupted)
    assert set(os.listdir(tmp_path)) == {*LASTING, "log.jsonl", "curves.png"}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_run_killed_again_and_again_gets_to_the_same_end(uninterrupted, tmp_path):
    for moment in (40, 75, 120, 61, 90):
        assert killed(tmp_path, moment)
    killed_run.train_short(tmp_path)
    assert same_bytes(tmp_path, uninterrupted)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_two_thousand_steps_killed_at_twenty_moments_end_with_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    killed_run.train_long(whole)
    assert len(read_metrics(whole)) == 2000 + 20
    rng, steps = np.random.default_rng(0), [0]
    for kind in rng.permutation(["write"] * 7 + ["rename"] * 6 + ["step"] * 7).tolist():
        latest = {"write": 600, "rename": 8, "step": 220}[kind]
        assert killed(broken, int(rng.integers(1, latest)), kind, "long")
        if (broken / "checkpoint.safetensors").exists():
            steps.append(read_checkpoint(broken)["run"]["step"])
    assert steps == sorted(steps)  # no kill threw a checkpoint away
    assert 500 < steps[-1] < 2000
    killed_run.train_long(broken)
    assert same_bytes(whole, broken)
    sheets = [f"step-{step:06}.png" for step in range(250, 2001, 250)]
    assert sorted(os.listdir(broken / "samples")) == sheets
    assert all(
        (whole / name).read_bytes() == (broken / name).read_bytes()
        for name in ("curves.png", *(f"samples/{sheet}" for sheet in sheets))
    )
    saved = read_checkpoint(broken)
    assert set(saved) == {"run", "model", "optimizer", "schedule", "ema"}
    assert saved["model"]["1.num_batches_tracked"].item() == 2000


def test_a_half_written_line_of_the_metrics_is_cut_off(uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    for name in ("metrics.jsonl", "log.jsonl"):
        with open(tmp_path / name, "a") as file:
            file.write('{"step": 99, "lo')
    assert len(read_metrics(tmp_path)) == len(read_metrics(uninterrupted))
    killed_run.train_short(tmp_path)
    assert same_bytes(tmp_path, uninterrupted)
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in log]
    assert events[-2:] == ["resume", "finish"]


class Small:
    """A straight line to learn, and a folder to learn it in."""

    def __init__(self, folder, resume=True, config=None, **options):
        tg.manual_seed(0)
        x = tg.linspace(-1, 1, 32).reshape(-1, 1)
        whole = data.TensorDataset(x, 2 * x + 1)
        self.loader = data.DataLoader(whole, 8, shuffle=True, prefetch=2)
        self.model = nn.Linear(1, 1)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.run = Run(folder, config, resume=resume, **options)
        self.before_step = lambda step: None

    def loss(self, batch, generator):
        self.before_step(self.run.step)
        x, y = batch
        return ((self.model(x) - y) ** 2).mean()

    def fit(self, epochs=3, **options):
        self.run.fit(self.model, self.optimizer, self.loss, self.loader, epochs, **options)
        return self


@pytest.mark.parametrize("interrupted_step", [0, 5, 7, 11])
def test_ctrl_c_saves_says_how_to_go_on_and_changes_nothing(
    tmp_path, capsys, monkeypatch, interrupted_step
):
    Small(tmp_path / "whole").fit()
    small = Small(tmp_path / "broken", command="train --resume")
    small.before_step = lambda step: (
        signal.raise_signal(signal.SIGINT) if step == interrupted_step else None
    )
    with pytest.raises(KeyboardInterrupt):
        small.fit()
    said = capsys.readouterr().err
    assert f"after step {interrupted_step + 1}, and saved; to resume: train --resume" in said
    assert read_checkpoint(tmp_path / "broken")["run"]["step"] == interrupted_step + 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    Small(tmp_path / "broken").fit()
    assert same_bytes(tmp_path / "whole", tmp_path / "broken")


def test_without_a_command_the_one_that_was_typed_is_repeated(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "my script.py", "--resume"])
    small = Small(tmp_path)
    small.before_step = lambda step: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        small.fit()
    assert "to resume: python 'my script.py' --resume" in capsys.readouterr().err


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    small = Small(tmp_path)

    def impatient(step):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    small.before_step = impatient
    with pytest.raises(KeyboardInterrupt):
        small.fit()
    assert not small.run.checkpoint.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ------------------------------------------------------------------- training


def test_fit_is_the_loop_that_one_would_write(tmp_path):
    small = Small(tmp_path).fit(epochs=2)
    tg.manual_seed(0)
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = data.DataLoader(small.loader.dataset, 8, shuffle=True)
    losses = []
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert [line["loss"] for line in read_metrics(tmp_path)] == losses
    assert small.model.weight.tolist() == model.weight.tolist()


def test_fit_with_schedule_clipping_and_average_is_the_loop_that_one_would_write(tmp_path):
    def helpers(model, optimizer):
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return schedule, optim.EMA(model, 0.5)

    small = Small(tmp_path)
    schedule, ema = helpers(small.model, small.optimizer)
    small.fit(epochs=2, schedule=schedule, ema=ema, clip_norm=0.5)
    tg.manual_seed(0)
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule, mean = helpers(model, optimizer)
    lines = []
    again = data.DataLoader(small.loader.dataset, 8, shuffle=True)
    for x, y in [*again, *again]:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        norm = optim.clip_grad_norm_(model.parameters(), 0.5)
        lr = optimizer.param_groups[0]["lr"]
        lines.append({"loss": loss.item(), "grad_norm": norm.item(), "lr": lr})
        optimizer.step()
        schedule.step()
        mean.update()
    found = read_metrics(tmp_path)
    assert [{name: line[name] for name in lines[0]} for line in found] == lines
    assert [line["lr"] for line in found] == pytest.approx([0.1 * 0.9**t for t in range(8)])
    assert max(line["grad_norm"] for line in found) > 0.5
    assert ema.model.weight.tolist() == mean.model.weight.tolist() != model.weight.tolist()
    assert set(read_checkpoint(tmp_path)) == {"run", "model", "optimizer", "schedule", "ema"}


def test_metrics_number_steps_and_epochs_from_one_and_hold_no_times(tmp_path):
    Small(tmp_path).fit(epochs=2, on_epoch=lambda epoch: {"tenfold": 10 * epoch})
    lines = read_metrics(tmp_path)
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert [line["epoch"] for line in steps] == [1] * 4 + [2] * 4
    assert [line for line in lines if "tenfold" in line] == [
        {"step": 4, "epoch": 1, "tenfold": 10},
        {"step": 8, "epoch": 2, "tenfold": 20},
    ]
    assert all(set(line) <= {"step", "epoch", "loss", "tenfold"} for line in lines)


def test_everything_random_in_a_step_comes_from_seed_epoch_and_batch(tmp_path):
    small, drawn = Small(tmp_path), []

    def loss(batch, generator):
        drawn.append((generator.uniform(2).tolist(), tg.rand(2).tolist()))
        return small.loss(batch, generator)

    small.run.fit(small.model, small.optimizer, loss, small.loader, epochs=2)
    for number, found in enumerate(drawn):
        generator = tg.Generator((0, number // 4, number % 4))
        assert found == (generator.uniform(2).tolist(), generator.uniform(2).tolist())


def test_a_loader_that_was_looked_at_trains_as_one_that_was_not(tmp_path):
    Small(tmp_path / "one").fit()
    small = Small(tmp_path / "two")
    next(iter(small.loader))
    list(small.loader)
    small.fit()
    assert same_bytes(tmp_path / "one", tmp_path / "two")


def test_steps_and_callbacks_that_go_through_the_loader_change_neither_epochs_nor_order(tmp_path):
    Small(tmp_path / "plain").fit(epochs=3)

    def nosy(small):
        def look(_):
            for batch in small.loader:
                del batch

        small.before_step = lambda step: look(step) if step % 3 == 0 else None
        return look

    small = Small(tmp_path / "nosy")
    small.fit(epochs=3, on_epoch=nosy(small))
    for epochs in (1, 3):
        small = Small(tmp_path / "resumed")
        small.fit(epochs=epochs, on_epoch=nosy(small))
    assert small.run.step == 12
    for name in ("nosy", "resumed"):
        assert read_metrics(tmp_path / name) == read_metrics(tmp_path / "plain")
    states = [read_checkpoint(tmp_path / name)["run"]["loader"] for name in ("nosy", "resumed")]
    assert states[0] == states[1]


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path):
    trained = Small(tmp_path).fit()
    again = Small(tmp_path)
    again.before_step = lambda step: pytest.fail("there was a step")
    again.fit()
    assert again.run.step == trained.run.step == 12
    assert again.model.weight.item() == trained.model.weight.item()


def test_more_epochs_go_on_where_fewer_ended(tmp_path):
    Small(tmp_path / "at once").fit(epochs=4)
    Small(tmp_path / "in two").fit(epochs=2)
    small = Small(tmp_path / "in two").fit(epochs=3)
    small.fit(epochs=4)
    assert same_bytes(tmp_path / "at once", tmp_path / "in two")


def test_no_epochs_leave_the_model_as_it_was_and_a_checkpoint(tmp_path):
    small = Small(tmp_path)
    before = small.model.weight.item()
    small.fit(epochs=0)
    assert small.run.step == 0
    assert read_checkpoint(tmp_path)["model"]["weight"].item() == before


def test_the_model_is_in_training_mode_in_every_step(tmp_path):
    small, modes = Small(tmp_path), []
    small.before_step = lambda step: modes.append(small.model.training)
    small.fit(epochs=3, on_epoch=lambda epoch: small.model.eval() and None)
    assert modes == [True] * 12


def test_train_takes_steps_of_any_kind_and_saves_all_their_parts(tmp_path):
    def adversaries(folder):
        tg.manual_seed(0)
        parts = {}
        for name in ("generator", "critic"):
            parts[name] = nn.Linear(1, 1)
            parts[f"{name}_optimizer"] = optim.Adam(parts[name].parameters(), lr=0.1)
        loader = data.DataLoader(data.TensorDataset(tg.linspace(0, 1, 12).reshape(-1, 1)), 4)

        def step(batch, generator):
            (real,) = batch
            false = parts["generator"](generator.normal(real.shape))
            metrics = {}
            for name, loss in (
                ("critic", lambda f: (parts["critic"](f) - parts["critic"](real)).mean()),
                ("generator", lambda f: (parts["critic"](f) ** 2).mean()),
            ):
                parts[f"{name}_optimizer"].zero_grad()
                metrics[name] = loss(false if name == "generator" else false.detach())
                metrics[name].backward()
                parts[f"{name}_optimizer"].step()
            return metrics

        return Run(folder, resume=True), step, parts, loader

    run, step, parts, loader = adversaries(tmp_path / "whole")
    run.train(step, parts, loader, epochs=4)
    run, step, parts, loader = adversaries(tmp_path / "parts")
    run.train(step, parts, loader, epochs=1)
    run, step, parts, loader = adversaries(tmp_path / "parts")
    run.train(step, parts, loader, epochs=4)
    assert same_bytes(tmp_path / "whole", tmp_path / "parts")
    assert set(read_checkpoint(tmp_path / "whole")) == {"run", *parts}


def test_a_schedule_by_epochs_is_a_part_that_on_epoch_steps(tmp_path):
    def train(folder, epochs):
        small = Small(folder)
        schedule = optim.lr_scheduler.ReduceLROnPlateau(small.optimizer, patience=0)
        parts = {"model": small.model, "optimizer": small.optimizer, "schedule": schedule}

        def step(batch, generator):
            small.optimizer.zero_grad()
            loss = small.loss(batch, generator)
            loss.backward()
            small.optimizer.step()
            return {"loss": loss, "lr": small.optimizer.param_groups[0]["lr"]}

        small.run.train(step, parts, small.loader, epochs, on_epoch=lambda e: schedule.step(1.0))

    train(tmp_path / "whole", 4)
    for epochs in (1, 2, 4):
        train(tmp_path / "parts", epochs)
    assert same_bytes(tmp_path / "whole", tmp_path / "parts")
    rates = [line["lr"] for line in read_metrics(tmp_path / "whole")]
    assert rates == pytest.approx([0.1] * 8 + [0.01] * 4 + [0.001] * 4)


def test_pictures_are_drawn_from_the_same_noise_and_leave_no_trace_in_the_training(tmp_path):
    Small(tmp_path / "without").fit()
    small, seen = Small(tmp_path / "with"), []

    def sample(generator):
        seen.append((generator.normal(1).item(), tg.rand(1).item(), small.model.training))
        assert not small.model(tg.zeros((1, 1))).requires_grad
        return tg.zeros((4, 3, 3))

    def loss(batch, generator):
        assert small.model.training
        return small.loss(batch, generator)

    small.run.fit(
        small.model, small.optimizer, loss, small.loader, 3, sample=sample, sample_every=5
    )
    sheets = sorted(path.name for path in (tmp_path / "with" / "samples").iterdir())
    assert sheets == ["step-000005.png", "step-000010.png"]
    assert seen[0] == seen[1]
    assert not seen[0][2]
    assert same_bytes(tmp_path / "with", tmp_path / "without")


def test_without_a_number_of_steps_a_picture_is_drawn_after_each_epoch(tmp_path):
    picture = pictures.curves({"a": [1.0, 2.0]}, size=(200, 100))
    Small(tmp_path).fit(epochs=2, sample=lambda generator: picture)
    sheets = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in sheets] == ["step-000004.png", "step-000008.png"]
    with Image.open(sheets[0]) as drawn:
        assert drawn.size == (200, 100)


def test_the_pictures_of_a_training_become_a_film_at_its_end(tmp_path):
    shade = iter((0.0, 1.0))
    Small(tmp_path / "two").fit(epochs=2, sample=lambda g: tg.full((1, 4, 4), next(shade)))
    with Image.open(tmp_path / "two" / "samples.gif") as film:
        assert film.n_frames == 2
    Small(tmp_path / "one").fit(epochs=1, sample=lambda generator: tg.zeros((1, 4, 4)))
    assert not (tmp_path / "one" / "samples.gif").exists()


def test_a_stage_is_a_run_inside_another_that_is_resumed_with_it(tmp_path):
    def train(epochs, resume):
        with Run(tmp_path, {"lr": 0.1}, resume=resume) as run, run.stage("second") as stage:
            model = nn.Linear(1, 1)
            x = tg.ones((4, 1))
            stage.fit(
                model,
                optim.SGD(model.parameters(), lr=0.1),
                lambda batch, generator: tg.square(model(batch[0])).sum(),
                data.DataLoader(data.TensorDataset(x), 2),
                epochs,
            )
            return stage

    assert train(1, resume=False).folder == tmp_path / "second"
    with pytest.raises(FileExistsError, match="already contains a run"):
        train(2, resume=False)
    assert train(2, resume=True).step == 4
    assert read_checkpoint(tmp_path / "second")["run"]["config"] == {"lr": 0.1}


def test_a_schedule_that_wants_a_number_is_refused_with_advice(tmp_path):
    small = Small(tmp_path)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(small.optimizer)
    with pytest.raises(TypeError, match="needs a metric after each epoch: pass it to `train`"):
        small.fit(schedule=schedule)


@pytest.mark.parametrize("option", ["sample_every", "checkpoint_every"])
def test_every_no_steps_is_refused(tmp_path, option):
    with pytest.raises(ValueError, match=rf"{option} is 0; expected at least 1"):
        Small(tmp_path).fit(**{option: 0})


def test_curves_are_drawn_at_the_end_and_not_when_there_is_nothing_to_draw(tmp_path):
    Small(tmp_path / "one").fit(epochs=2, on_epoch=lambda epoch: {"test_loss": 1.0})
    Small(tmp_path / "none").fit(epochs=0)
    assert (tmp_path / "one" / "curves.png").exists()
    assert not (tmp_path / "none" / "curves.png").exists()


def test_log_appends_lines_without_a_training(tmp_path):
    with Run(tmp_path) as run:
        run.log({"epoch": 1, "mse": tg.tensor(0.25)})
        run.log({"epoch": 2, "mse": 0.125})
    assert read_metrics(tmp_path) == [{"epoch": 1, "mse": 0.25}, {"epoch": 2, "mse": 0.125}]
    with Run(tmp_path) as run:
        run.log({"epoch": 1})
    assert read_metrics(tmp_path) == [{"epoch": 1}]


def test_the_config_is_written_and_read_back(tmp_path):
    @dataclass
    class Config:
        width: int = 3
        betas: tuple[float, float] = (0.9, 0.999)

    Small(tmp_path, config=Config()).fit(epochs=1)
    written = {"width": 3, "betas": [0.9, 0.999]}
    assert json.loads((tmp_path / "config.json").read_text()) == written
    assert read_checkpoint(tmp_path)["run"]["config"] == written
    Small(tmp_path, config=Config())  # the same one, though JSON made a list of the tuple


def test_a_log_file_gets_a_plain_line_and_a_terminal_a_bar(tmp_path, capsys, monkeypatch):
    Small(tmp_path / "plain").fit(epochs=1, on_epoch=lambda epoch: {"accuracy": 0.5})
    said = capsys.readouterr().err
    assert "plain: step 4 of 4: loss " in said
    assert "00:00:00 left" in said
    assert "plain: epoch 1 of 1: accuracy 0.5" in said
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Small(tmp_path / "bar").fit(epochs=1, on_epoch=lambda epoch: {"accuracy": 0.5})
    said = capsys.readouterr().err
    assert "bar: 100%" in said
    assert "4/4" in said
    assert "loss " in said
    assert "epoch 1 of 1: accuracy 0.5" in said


# ------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("value", [tg.nan, tg.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_weights_and_checkpoint(tmp_path, value):
    small = Small(tmp_path).fit(epochs=1)
    weights = small.model.weight.item()
    checkpoint = small.run.checkpoint.read_bytes()
    small.loader.dataset.tensors[1]._data[:] = value
    with pytest.raises(
        DivergenceError, match=r"loss is (nan|inf) after 4 steps; the last checkpoint is"
    ):
        small.fit(epochs=2)
    assert small.model.weight.item() == weights
    assert small.run.checkpoint.read_bytes() == checkpoint


def test_a_metric_that_is_not_finite_is_named(tmp_path):
    small = Small(tmp_path)
    with pytest.raises(DivergenceError, match=r"accuracy is nan after 4 steps.*no checkpoint"):
        small.fit(on_epoch=lambda epoch: {"accuracy": float("nan")})


def test_changed_fields_of_the_config_are_named_with_both_values(tmp_path):
    Small(tmp_path, config={"lr": 0.1, "seed": 0, "old": 1}).fit(epochs=1)
    with pytest.raises(ValueError, match=r"lr was 0\.1 and is 0\.2, old was 1 and is 'absent'"):
        Small(tmp_path, config={"lr": 0.2, "seed": 0})


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    small = Small(tmp_path).fit(epochs=1)
    before = small.run.checkpoint.read_bytes()
    with pytest.raises(FileExistsError, match="already contains a run; resume it"):
        Small(tmp_path, resume=False)
    assert small.run.checkpoint.read_bytes() == before


def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"cannot make the folder .*file: file exists"):
        Run(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match=r"cannot make the folder .*: not a directory"):
        Run(tmp_path / "file" / "run")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=r"cannot write .*config\.json: permission denied"):
        Run(tmp_path)


def test_another_model_than_the_checkpoints_is_refused(tmp_path):
    small = Small(tmp_path).fit(epochs=1)
    again = Small(tmp_path)
    again.model = nn.Linear(1, 2)
    again.optimizer = optim.SGD(again.model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match=r"weight: \(1, 1\) in the state, \(2, 1\) here"):
        again.fit()
    run = Run(tmp_path, resume=True)
    with pytest.raises(
        ValueError, match=r"the parts are critic; the checkpoint in .* has model, optimizer"
    ):
        run.train(lambda batch, generator: {}, {"critic": nn.Linear(1, 1)}, small.loader, 1)
    with pytest.raises(ValueError, match='"run" of a part is reserved'):
        run.train(lambda batch, generator: {}, {"run": nn.Linear(1, 1)}, small.loader, 1)


def test_metrics_that_someone_shortened_are_noticed(tmp_path):
    Small(tmp_path).fit(epochs=1)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"metrics\.jsonl has 0 bytes, but had \d+"):
        Small(tmp_path)


def test_checkpoints_that_are_missing_damaged_or_foreign_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint in .*train a model there first"):
        read_checkpoint(tmp_path)
    small = Small(tmp_path).fit(epochs=1)
    good = small.run.checkpoint.read_bytes()
    small.run.checkpoint.write_bytes(good[:-1])
    with pytest.raises(CheckpointError, match="is truncated"):
        Small(tmp_path)
    tg.save(small.run.checkpoint, nn.Linear(1, 1).state_dict())
    with pytest.raises(CheckpointError, match="not the checkpoint of a run"):
        Small(tmp_path)


def test_names_that_every_line_has_are_refused_as_metrics(tmp_path):
    small = Small(tmp_path)
    with pytest.raises(ValueError, match="the metric name 'epoch' is reserved"):
        small.fit(on_epoch=lambda epoch: {"epoch": 3})


def test_a_config_that_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(TypeError, match="the config must contain plain values only"):
        Run(tmp_path, {"model": nn.Linear(1, 1)})


def test_the_time_that_is_left_may_be_more_than_a_day(capsys, monkeypatch):
    clock = iter((0.0, 100.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    progress.progress("run", 1001).advance({"loss": 1.0})
    assert "27:46:40 left" in capsys.readouterr().err


# ------------------------------------------------------------------- what is logged


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0.5", "'bad' is '0.5'; expected a number, or a Tensor of one element"),
        (None, "'bad' is None; expected a number"),
        ([1.0], r"'bad' is \[1.0\]; expected a number"),
        ({}, r"'bad' is {}; expected a number"),
        (1j, "'bad' is 1j; expected a number"),
        (10**400, "'bad' is beyond the largest float; expected a number"),
        (tg.ones(3), r"'bad' is of shape \(3,\); expected a number"),
        (np.array(["a"]), "'bad' is 'a'; expected a number"),
    ],
)
def test_a_metric_that_is_no_number_is_refused_by_name(tmp_path, value, words):
    with Run(tmp_path) as run:
        run.log({"good": 1.0})
        with pytest.raises(TypeError, match=f"log: {words}"):
            run.log({"good": 2.0, "bad": value})
    assert read_metrics(tmp_path) == [{"good": 1.0}]
    small = Small(tmp_path / "fit")
    with pytest.raises(TypeError, match=f"train: {words}"):
        small.fit(on_epoch=lambda epoch: {"bad": value})


@pytest.mark.parametrize("value", [tg.nan, -tg.inf, np.float32("nan"), tg.tensor(tg.inf)])
def test_a_logged_number_is_finite(tmp_path, value):
    with (
        Run(tmp_path) as run,
        pytest.raises(ValueError, match=r"log: 'bad' is (nan|-?inf); expected a fin"),
    ):
        run.log({"bad": value})


@pytest.mark.parametrize("name", ["step", "epoch"])
@pytest.mark.parametrize("value", [-1, 1.5, True])
def test_a_logged_step_is_a_whole_number(tmp_path, name, value):
    with (
        Run(tmp_path) as run,
        pytest.raises(ValueError, match=rf"log: '{name}' is .*; expected an int ≥ 0"),
    ):
        run.log({name: value, "loss": 1.0})


def test_a_name_that_is_no_string_is_refused(tmp_path):
    with Run(tmp_path) as run, pytest.raises(TypeError, match="log: 3 is the name of a metric"):
        run.log({3: 1.0})


def test_numbers_of_every_kind_and_size_are_logged_and_drawn(tmp_path):
    numbers = {"a": 1e308, "b": -1e308, "c": np.float32(0.5), "d": True, "e": 5e-324, "f": 2**70}
    Small(tmp_path).fit(on_epoch=lambda epoch: {**numbers, "g": (-1) ** epoch * 1e308})
    assert (tmp_path / "curves.png").exists()
    assert read_metrics(tmp_path)[-1]["f"] == 2**70


@pytest.mark.parametrize("line", ["{", "[1]", '"loss"', '{"step": 0, "loss": "a"}', "\xff"])
def test_a_spoilt_line_of_the_metrics_is_a_warning_at_the_end(tmp_path, line):
    with Run(tmp_path) as run:
        run.log({"step": 0, "loss": 3.0})
        with open(tmp_path / "metrics.jsonl", "a", encoding="latin-1") as file:
            file.write(f"{line}\n")
        small = Small(tmp_path / "other")
        with pytest.warns(RuntimeWarning, match=r"a picture of .* could not .*line 2 of .*metrics"):
            run.fit(small.model, small.optimizer, small.loss, small.loader, 1)
        small.run.close()
    assert read_checkpoint(tmp_path)["run"]["step"] == 4
    events = [
        json.loads(line)["event"] for line in (tmp_path / "log.jsonl").read_text().split("\n")[:-1]
    ]
    assert events[-1] == "finish"


def test_a_picture_that_cannot_be_made_is_a_warning_and_the_training_goes_on(tmp_path):
    Small(tmp_path / "without").fit()
    small = Small(tmp_path / "with")

    def sample(generator):
        raise IndexError("no such image")

    with pytest.warns(RuntimeWarning, match=r"after step \d+: IndexError no such image") as warned:
        small.fit(sample=sample, on_epoch=lambda epoch: small.model.training and None)
    assert len(warned) == 3
    assert same_bytes(tmp_path / "with", tmp_path / "without")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_a_line_that_a_full_disk_takes_in_part_is_taken_back(tmp_path):
    """A limit on the size of files gives short writes and then refuses, as a full disk does."""
    import resource

    with Run(tmp_path) as run:
        run.log({"step": 1, "loss": 1.0})
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(
            resource.RLIMIT_FSIZE, ((tmp_path / "metrics.jsonl").stat().st_size + 7, hard)
        )
        try:
            with pytest.raises(OSError, match=r"cannot write .*metrics\.jsonl: file too large"):
                run.log({"step": 2, "loss": 2.0})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert read_metrics(tmp_path) == [{"step": 1, "loss": 1.0}]
        run.log({"step": 3, "loss": 3.0})
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == [
        '{"step": 1, "loss": 1.0}',
        '{"step": 3, "loss": 3.0}',
    ]
