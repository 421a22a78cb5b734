"""Runs that are killed or stopped: the same bits at the end as without."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import killed_run
import numpy as np
import pytest
from small_run import LASTING, Small, same_bytes

from tinygrad_gm.training import read_checkpoint
from tinygrad_gm.training.metrics import read_metrics

KILLS = np.random.default_rng(0).permutation(400)[:10] + 1


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    killed_run.train_short(folder)
    return folder


def killed(folder: Path, moment: int, kind: str = "any", training: str = "short") -> bool:
    """Whether a process that trained there killed itself at that moment."""
    command = [sys.executable, killed_run.__file__, str(folder), training, kind, str(moment)]
    return subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL


def test_two_runs_with_one_seed_end_with_the_same_bytes(uninterrupted, tmp_path):
    killed_run.train_short(tmp_path)
    assert same_bytes(tmp_path, uninterrupted)


@pytest.mark.sweep
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
