"""Runs: training step by step, and clear words about what went wrong."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

import pytest
from PIL import Image
from small_run import Small, same_bytes

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim, pictures
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.training import DivergenceError, Run, progress, read_checkpoint
from tinygrad_gm.training.metrics import read_metrics

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


def test_a_part_that_a_step_keeps_in_evaluation_mode_stays_in_it_after_a_picture(tmp_path):
    small, modes = Small(tmp_path), []
    small.model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))
    small.optimizer = optim.SGD(small.model.parameters(), lr=0.1)

    def loss(batch, generator):
        if small.run.step == 0:
            small.model[1].eval()
        modes.append((small.model.training, small.model[1].training))
        return small.loss(batch, generator)

    def sample(generator):
        assert not small.model.training
        return tg.zeros((1, 3, 3))

    small.run.fit(
        small.model, small.optimizer, loss, small.loader, 1, sample=sample, sample_every=2
    )
    assert modes == [(True, False)] * 4


def test_without_a_number_of_steps_a_picture_is_drawn_after_each_epoch(tmp_path):
    picture = pictures.curves({"a": [1.0, 2.0]}, size=(200, 100))
    Small(tmp_path).fit(epochs=2, sample=lambda generator: picture)
    sheets = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in sheets] == ["step-000004.png", "step-000008.png"]
    with Image.open(sheets[0]) as drawn:
        assert drawn.size == (200, 100)


def test_a_text_is_written_as_a_text(tmp_path):
    Small(tmp_path).fit(epochs=2, sample=lambda generator: "O Romeo, ∂L\n")
    sheets = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in sheets] == ["step-000004.txt", "step-000008.txt"]
    assert sheets[0].read_text(encoding="utf-8") == "O Romeo, ∂L\n"
    assert not (tmp_path / "samples.gif").exists()


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
