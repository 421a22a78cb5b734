"""What every model promises: the same bits twice and after a stop, samples, drawings, refusals."""

from __future__ import annotations

import dataclasses
import inspect
import signal
from typing import Any

import numpy as np
import pytest
from small_models import SMALL

from tinygrad_gm import Generator, data, models
from tinygrad_gm.app import cli
from tinygrad_gm.app.commands.of_model import WISHES
from tinygrad_gm.app.commands.sample import WRITING
from tinygrad_gm.training import Run
from tinygrad_gm.training.metrics import read_metrics

CASES = [
    pytest.param(name, kwargs, id="-".join([name, *(str(v) for v in kwargs.values())]))
    for name, configs in SMALL.items()
    for kwargs in configs
]


def trained(folder, name: str, kwargs: dict[str, Any], *, resume: bool = False) -> Run:
    module = models.load(name)
    config = module.Config(**kwargs)
    with Run(folder, config, resume=resume) as run:
        module.train(config, run)
    return run


def content(folder) -> dict[str, bytes]:
    """All weights and metrics below a folder, by path."""
    kinds = ("*.safetensors", "metrics.jsonl")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in kinds
        for path in folder.rglob(kind)
    }


def test_every_model_is_here():
    assert set(SMALL) == set(models.NAMES)


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bytes(
    tmp_path, monkeypatch, name, kwargs
):
    whole = trained(tmp_path / "whole", name, kwargs)
    total = whole.step
    batches = 0
    serve = data.DataLoader.__iter__

    def stopping(loader):
        nonlocal batches
        for batch in serve(loader):
            batches += 1
            if batches in (1, total // 2 + 1):  # the first step, and the middle one
                signal.raise_signal(signal.SIGINT)
            yield batch

    monkeypatch.setattr(data.DataLoader, "__iter__", stopping)
    folder = tmp_path / "stopped"
    stops = 0
    while True:
        try:
            trained(folder, name, kwargs, resume=stops > 0)
            break
        except KeyboardInterrupt:
            stops += 1
            assert stops <= 2
    if name != "neuron":  # which has no loader, and is done at once
        assert stops == min(2, total)
    assert content(folder) == content(tmp_path / "whole")


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_a_restored_model_draws_the_same_samples_from_the_same_seed(tmp_path, name, kwargs):
    module = models.load(name)
    if not hasattr(module, "sample") or hasattr(module, "film"):  # whose samples are rollouts
        pytest.skip("not a generative model")
    trained(tmp_path, name, kwargs)
    first, again, other = (
        module.sample(module.restore(tmp_path), 5, Generator(seed)).numpy() for seed in (0, 0, 1)
    )
    assert len(first) == 5
    assert (first == again).all()
    assert (first != other).any()
    assert np.isfinite(first).all()
    if first.ndim == 5:
        assert first.shape == (5, kwargs["frames"], 1, 32, 32)
    elif first.ndim == 4:
        assert first.shape == (5, 1, 28, 28)
        assert first.min() >= 0
        assert first.max() <= 1
    else:
        assert first.shape == (5, 2)


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_a_restored_language_model_writes_the_same_text_from_the_same_seed(tmp_path, name, kwargs):
    module = models.load(name)
    if not hasattr(module, "generate") or name == "transformer":  # which translates a text
        pytest.skip("not a language model")
    trained(tmp_path, name, kwargs)
    first, again, other = (
        "".join(module.generate(module.restore(tmp_path), "T", 20, generator=Generator(seed)))
        for seed in (0, 0, 1)
    )
    assert len(first) == 20
    assert first == again != other
    evaluations = [line for line in read_metrics(tmp_path) if "validation_loss" in line]
    assert len(list((tmp_path / "samples").glob("step-*.txt"))) == len(evaluations) > 0


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_the_training_graph_of_a_model_can_be_drawn(name, kwargs):
    from tinygrad_gm import viz

    module = models.load(name)
    loss, leaves = module.example(module.Config(**kwargs))
    assert loss.shape == ()
    assert "<svg" in viz.draw(loss, names=leaves, engine="builtin").svg()


@pytest.mark.parametrize("name", models.NAMES)
def test_every_field_of_a_config_is_a_flag_that_is_explained(capsys, name):
    with pytest.raises(SystemExit):
        cli.main(["train", name, "--help"])
    text = capsys.readouterr().out
    for field in dataclasses.fields(models.load(name).Config):
        assert f"--{field.name.replace('_', '-')}" in text
        assert len(field.metadata["help"]) > 3


@pytest.mark.parametrize("name", models.NAMES)
def test_a_generative_model_offers_what_the_command_line_can_ask_for(name):
    module = models.load(name)
    if hasattr(module, "sample"):
        _, count, generator, *wishes = inspect.signature(module.sample).parameters
        assert (count, generator) == ("count", "generator")
        assert set(wishes) <= set(WISHES)
        assert module.TRAINING_TIME
        assert callable(module.restore)
    if hasattr(module, "generate"):
        _, prompt, *wishes = inspect.signature(module.generate).parameters
        flags = [flag.strip("-").replace("-", "_") for flag, *_ in WRITING]
        assert prompt == "prompt"
        assert set(wishes) <= {*flags, "generator"}
        assert module.TRAINING_TIME
        assert callable(module.restore)
        assert callable(module.judge)


BAD = [
    (name, field.name, word)
    for name in models.NAMES
    for field in dataclasses.fields(models.load(name).Config)
    for word in {int: ("many", "-1"), float: ("nan", "inf", "-0.1"), str: ("?",)}.get(
        type(field.default), ()
    )
]


@pytest.mark.parametrize(("name", "field", "word"), BAD)
def test_a_bad_flag_is_refused_in_one_line_before_anything_is_written(
    capsys, tmp_path, name, field, word
):
    folder, flag = tmp_path / "run", f"--{field.replace('_', '-')}"
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", name, "--out", str(folder), flag, word])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert flag in line
    assert word in line
    assert not folder.exists()


@pytest.mark.parametrize("flag", ["--latent-dim", "--hidden-dim", "--batch-size"])
def test_nothing_is_built_of_size_zero(capsys, flag):
    with pytest.raises(SystemExit):
        cli.main(["train", "vae", flag, "0"])
    assert f"{flag}: 0 is not a number ≥ 1" in capsys.readouterr().err
