"""What a run logs: numbers under names, and a file that stays whole."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from small_run import Small, same_bytes

import tinygrad_gm as tg
from tinygrad_gm.training import Run, read_checkpoint
from tinygrad_gm.training.metrics import read_metrics


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
