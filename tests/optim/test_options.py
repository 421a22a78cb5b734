"""The options of every optimizer and schedule are checked where they are given."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn, optim
from tinygrad_gm.optim import lr_scheduler as schedules

OPTIMIZERS = [
    kind
    for kind in (getattr(optim, name) for name in optim.__all__)
    if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
]
SCHEDULES = {  # and what each cannot do without
    schedules.ConstantLR: {},
    schedules.CosineAnnealingLR: {"T_max": 5},
    schedules.CosineAnnealingWarmRestarts: {"T_0": 5},
    schedules.ExponentialLR: {"gamma": 0.5},
    schedules.LinearLR: {},
    schedules.MultiStepLR: {"milestones": [3]},
    schedules.NoamLR: {"d_model": 8, "warmup_steps": 4},
    schedules.OneCycleLR: {"max_lr": 0.5, "total_steps": 9},
    schedules.ReduceLROnPlateau: {},
    schedules.StepLR: {"step_size": 2},
}
NO_FLAG = ["no", None, 1, 0.5, tg.tensor(True)]
NO_NUMBER = ["a", None, True, 1j, tg.tensor(0.5), np.array(0.5), math.nan, math.inf, -math.inf]
BELOW_RANGE = [-1, -0.001]
NO_PAIR = [0.9, None, "ab", (0.9,), (0.9, 0.9, 0.9), {0.1, 0.2}, tg.tensor([0.9, 0.9])]
UNBOUNDED = {"dampening"}


def hostile(kind: Any, like: Any, name: str) -> list[Any]:
    """Values that an option, whose right values are like this one, must not have."""
    if isinstance(like, bool):
        return NO_FLAG
    if isinstance(like, str):
        return ["x", None, 1]
    if isinstance(like, tuple):
        entries = [(bad, 0.5) for bad in NO_NUMBER] + [(0.5, bad) for bad in NO_NUMBER]
        return [*NO_PAIR, *entries, (1.0, 0.5), (0.5, -0.1)]
    if isinstance(like, list):
        return [[bad] for bad in NO_NUMBER]
    bad = NO_NUMBER + ([] if name in UNBOUNDED else BELOW_RANGE)
    return [*bad, 1.5, -2] if isinstance(like, int) else bad


def refused(call: Any, owner: str, option: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{owner}: ")
    assert option in message
    assert "\n" not in message
    assert len(message) < 160


def options_of(kind: Any) -> Iterator[tuple[str, Any]]:
    for name, parameter in inspect.signature(kind).parameters.items():
        if name not in ("params", "optimizer") and parameter.default is not parameter.empty:
            yield name, parameter.default


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_option_of_an_optimizer_is_checked_at_once_and_in_a_group(kind: Any) -> None:
    checked = 0
    for name, default in options_of(kind):
        for bad in hostile(kind, default, name):
            first, second = nn.Parameter(tg.ones(2)), nn.Parameter(tg.ones(3))
            refused(lambda w=first, o={name: bad}: kind([w], **o), kind.__name__, name)
            group = {"params": [first], name: bad}
            refused(lambda g=group: kind([g]), kind.__name__, name)
            optimizer = kind([second])
            refused(lambda o=optimizer, g=group: o.add_param_group(g), kind.__name__, name)
            assert len(optimizer.param_groups) == 1
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("kind", SCHEDULES)
def test_every_option_of_a_schedule_is_checked(kind: Any) -> None:
    checked = 0
    for name, like in {**dict(options_of(kind)), **SCHEDULES[kind]}.items():
        if name in ("epochs", "steps_per_epoch"):  # None: total_steps is given
            continue
        for bad in hostile(kind, like, name):
            optimizer = optim.SGD([nn.Parameter(tg.ones(2))], lr=0.5)
            arguments = {**SCHEDULES[kind], name: bad}
            if (name, bad) in (("last_epoch", -1), ("total_steps", None)):
                continue
            option = "milestone" if name == "milestones" else name
            refused(lambda o=optimizer, a=arguments: kind(o, **a), kind.__name__, option)
            assert optimizer.param_groups[0]["lr"] == 0.5
            checked += 1
    assert checked > 8


def test_every_schedule_is_in_the_sweep() -> None:
    kinds = {getattr(schedules, name) for name in schedules.__all__}
    own = {
        schedules.LRScheduler,
        schedules.LambdaLR,
        schedules.SequentialLR,
        schedules.ChainedScheduler,
    }
    assert {k for k in kinds if isinstance(k, type)} - own == SCHEDULES.keys()


def test_the_number_of_steps_of_one_cycle_is_checked_in_either_form() -> None:
    optimizer = optim.SGD([nn.Parameter(tg.ones(2))])
    for bad in ("a", 0, 1.5, True):
        for arguments in ({"epochs": bad, "steps_per_epoch": 5}, {"epochs": 5}):
            full = {"steps_per_epoch": bad, **arguments}
            name = "epochs" if len(arguments) == 2 else "steps_per_epoch"
            call = lambda a=full: schedules.OneCycleLR(optimizer, 0.5, **a)  # noqa: E731
            refused(call, "OneCycleLR", name)


def test_a_lambda_must_be_a_function() -> None:
    optimizer = optim.SGD([nn.Parameter(tg.ones(2))])
    for bad in (0.5, [0.5], None, "a"):
        with pytest.raises(TypeError, match="LambdaLR: lr_lambda must be a function"):
            schedules.LambdaLR(optimizer, bad)


def test_sequential_milestones_are_whole_numbers() -> None:
    optimizer = optim.SGD([nn.Parameter(tg.ones(2))])
    two = [schedules.ConstantLR(optimizer), schedules.ConstantLR(optimizer)]
    for bad in ("a", 1.5, -1, None):
        refused(
            lambda b=bad: schedules.SequentialLR(optimizer, two, [b]), "SequentialLR", "mileston"
        )


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_parameters_without_an_order_are_refused(kind: Any) -> None:
    p, q = nn.Parameter(tg.ones(2)), nn.Parameter(tg.ones(2))
    for bad in ({p, q}, frozenset([p, q]), {"p": p}, nn.Linear(1, 1), None, 3):
        words = f"{kind.__name__}: params is a .*expected a list or another ordered iterable"
        with pytest.raises(TypeError, match=words):
            kind(bad)
        with pytest.raises(TypeError, match=words):
            kind([{"params": bad}])
        with pytest.raises(TypeError, match=words):
            kind([nn.Parameter(tg.ones(2))]).add_param_group({"params": bad})


def test_a_group_must_name_its_parameters() -> None:
    optimizer = optim.SGD([nn.Parameter(tg.ones(2))])
    for bad in ({"lr": 0.5}, [nn.Parameter(tg.ones(2))], None):
        with pytest.raises(TypeError, match='SGD: a group must be a dict with the key "params"'):
            optimizer.add_param_group(bad)


def test_numpy_scalars_become_python_numbers() -> None:
    w = nn.Parameter(tg.ones(2))
    betas = (np.float64(0.5), np.float32(0.75))
    optimizer = optim.Adam([w], lr=np.float64(0.5), betas=betas, eps=np.int64(0))
    group = optimizer.param_groups[0]
    assert [type(group[name]) for name in ("lr", "eps")] == [float, int]
    assert [type(beta) for beta in group["betas"]] == [float, float]
    schedule = schedules.StepLR(optimizer, np.int32(2), gamma=np.float64(0.5))
    assert (type(schedule.step_size), type(schedule.gamma)) == (int, float)


def test_the_decay_of_an_average_is_checked() -> None:
    model = nn.Linear(1, 1)
    for bad in [*NO_NUMBER, -0.5, 1.5]:
        refused(lambda b=bad: optim.EMA(model, decay=b), "EMA", "decay")
    for bad in NO_FLAG:
        refused(lambda b=bad: optim.EMA(model, warmup=b), "EMA", "warmup")
        refused(lambda b=bad: optim.EMA(model, use_buffers=b), "EMA", "use_buffers")
