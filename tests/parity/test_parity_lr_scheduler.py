"""Schedules against PyTorch's: the rates, momenta and betas of sixty steps.

Over a resumption, rates that are set by hand, and steps of several schedules in a random order.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from drawing import Draw

import tinygrad_gm as tg
from tinygrad_gm import optim

CASES, STEPS = 40, 60
COMPOSITES = ("ChainedScheduler", "SequentialLR")
NAMESAKES = sorted(
    name
    for name in optim.lr_scheduler.__all__
    if hasattr(torch.optim.lr_scheduler, name) and name != "LRScheduler"
)
Make = Callable[[Any, Any], Any]  # from a module of schedules and an optimizer


def options(name: str, d: Draw, groups: int) -> dict[str, Any]:
    """Random options of a schedule."""
    if name == "StepLR":
        return {"step_size": d.integer(1, 20), "gamma": d.number(0.1, 1.0)}
    if name == "MultiStepLR":
        milestones = [d.integer(0, 60) for _ in range(d.integer(0, 4))]
        return {"milestones": milestones, "gamma": d.number(0.1, 1.0)}
    if name == "ExponentialLR":
        return {"gamma": d.number(0.8, 1.0)}
    if name == "ConstantLR":
        return {"factor": d.number(0.1, 1.0), "total_iters": d.integer(1, 70)}
    if name == "LinearLR":
        factors = {"start_factor": d.number(0.1, 1.0), "end_factor": d.number(0.0, 1.0)}
        return {**factors, "total_iters": d.integer(1, 70)}
    if name == "CosineAnnealingLR":
        return {"T_max": d.integer(1, 70), "eta_min": d.one_of([0.0, 0.01])}
    if name == "CosineAnnealingWarmRestarts":
        lengths = {"T_0": d.integer(1, 20), "T_mult": d.integer(1, 3)}
        return {**lengths, "eta_min": d.one_of([0.0, 0.01])}
    if name == "LambdaLR":
        power = d.number(0.5, 1.0)
        functions = [lambda t: power**t, lambda t: 1 / (1 + t), lambda t: (1 + t) ** 0.5]
        return {"lr_lambda": functions[0] if d.chance(0.5) else functions[:groups]}
    if name == "OneCycleLR":
        each = d.chance(0.5)
        momenta = {"base_momentum": d.number(0.5, 0.8), "max_momentum": d.number(0.8, 0.95)}
        return {
            "max_lr": [d.number(0.1, 2.0) for _ in range(groups)] if each else 0.5,
            **({"total_steps": 61} if d.chance(0.5) else {"epochs": 8, "steps_per_epoch": 8}),
            "pct_start": d.number(0.05, 0.48),
            "anneal_strategy": d.one_of(["cos", "linear"]),
            "cycle_momentum": d.chance(0.7),
            **(momenta if d.chance(0.5) else {}),
            "div_factor": d.number(1.0, 30.0),
            "final_div_factor": d.number(1.0, 100.0),
            "three_phase": d.chance(0.5),
        }
    assert name == "ReduceLROnPlateau"
    return {
        "mode": d.one_of(["min", "max"]),
        "factor": d.number(0.1, 0.9),
        "patience": d.integer(0, 5),
        "threshold": d.one_of([1e-4, 0.1]),
        "threshold_mode": d.one_of(["rel", "abs"]),
        "cooldown": d.integer(0, 3),
        "min_lr": d.one_of([0.0, [d.number(0.0, 0.1) for _ in range(groups)]]),
    }


def draw(name: str, d: Draw, groups: int) -> Make:
    """How to make a schedule with random options, ours or PyTorch's."""
    if name in COMPOSITES:
        # OneCycleLR writes the initial rates that the others start from.
        parts = [n for n in NAMESAKES if n not in (*COMPOSITES, "ReduceLROnPlateau", "OneCycleLR")]
        makes = [draw(d.one_of(parts), d, groups) for _ in range(d.integer(1, 3))]
        if name == "ChainedScheduler":
            return lambda module, optimizer: module.ChainedScheduler(
                [make(module, optimizer) for make in makes]
            )
        milestones = sorted(int(m) for m in d.rng.choice(range(1, 50), len(makes) - 1, False))
        return lambda module, optimizer: module.SequentialLR(
            optimizer, [make(module, optimizer) for make in makes], milestones
        )
    given = options(name, d, groups)
    return lambda module, optimizer: getattr(module, name)(optimizer, **copy.deepcopy(given))


def facts(optimizer: Any) -> list[float]:
    """The rates and momenta of the groups."""
    found = []
    for group in optimizer.param_groups:
        found += [group["lr"], *group.get("betas", [group.get("momentum", 0.0)])]
    return found


def optimizers(d: Draw) -> tuple[Any, Any]:
    """Two optimizers with the same groups, ours and PyTorch's."""
    rates = [d.number(0.1, 1.0) for _ in range(d.integer(1, 3))]
    kind = d.one_of(["SGD", "Adam"])
    ours = [{"params": [tg.ones(1, requires_grad=True)], "lr": rate} for rate in rates]
    theirs = [{"params": [torch.ones(1, requires_grad=True)], "lr": rate} for rate in rates]
    return getattr(optim, kind)(ours), getattr(torch.optim, kind)(theirs)


def compare(names: list[str], d: Draw, *, by_hand: bool, where: str) -> None:
    """Step schedules of these names on one optimizer in a random order, and PyTorch's with them."""
    mine, torchs = optimizers(d)
    makes = [draw(name, d, len(mine.param_groups)) for name in names]
    schedules = [make(optim.lr_scheduler, mine) for make in makes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are no steps of the optimizer
        others = [make(torch.optim.lr_scheduler, torchs) for make in makes]
        found, expected = [facts(mine)], [facts(torchs)]
        resume = d.integer(0, STEPS)
        for step in range(STEPS):
            if step == resume:
                saved = copy.deepcopy(([one.state_dict() for one in schedules], mine.state_dict()))
                schedules = [make(optim.lr_scheduler, mine) for make in makes]
                for schedule, state in zip(schedules, saved[0], strict=True):
                    schedule.load_state_dict(state)
                mine.load_state_dict(saved[1])
            if by_hand and d.chance(0.1):
                turn, rate = d.integer(0, len(mine.param_groups) - 1), d.number(0.1, 1.0)
                mine.param_groups[turn]["lr"] = torchs.param_groups[turn]["lr"] = rate
            turn = d.integer(0, len(names) - 1)
            plateau = names[turn] == "ReduceLROnPlateau"
            numbers = [round(d.rng.normal(), 1)] if plateau else []
            schedules[turn].step(*numbers)
            others[turn].step(*numbers)
            found.append(facts(mine))
            expected.append(facts(torchs))
            assert schedules[turn].get_last_lr() == [group["lr"] for group in mine.param_groups]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14, err_msg=where)


@pytest.mark.parametrize("name", NAMESAKES)
def test_the_rates_of_sixty_steps_equal_pytorchs(
    name: str, record_property: Callable[[str, int], None]
) -> None:
    for number in range(CASES):
        compare([name], Draw(5, number), by_hand=False, where=f"{name}, seed (5, {number})")
    record_property("cases", CASES)


@pytest.mark.parametrize("name", NAMESAKES)
def test_rates_set_by_hand_are_followed_or_replaced_as_in_pytorch(
    name: str, record_property: Callable[[str, int], None]
) -> None:
    for number in range(CASES):
        compare([name], Draw(9, number), by_hand=True, where=f"{name}, seed (9, {number})")
    record_property("cases", CASES)


def test_schedules_of_one_optimizer_act_together_as_pytorchs(
    record_property: Callable[[str, int], None],
) -> None:
    known = [name for name in NAMESAKES if name != "OneCycleLR"]  # it writes initial rates
    for number in range(10 * CASES):
        d = Draw(10, number)
        names = [d.one_of(known) for _ in range(d.integer(2, 3))]
        compare(names, d, by_hand=d.chance(0.5), where=f"{names}, seed (10, {number})")
    record_property("cases", 10 * CASES)


def test_a_schedule_taken_up_by_last_epoch_equals_pytorchs(
    record_property: Callable[[str, int], None],
) -> None:
    # PyTorch's CosineAnnealingWarmRestarts forgets which of its cycles it was in.
    others = (*COMPOSITES, "ReduceLROnPlateau", "CosineAnnealingWarmRestarts")
    names = [name for name in NAMESAKES if name not in others]
    for number in range(5 * CASES):
        d = Draw(11, number)
        mine, torchs = optimizers(d)
        name = d.one_of(names)
        given = options(name, d, len(mine.param_groups)) | {"last_epoch": d.integer(0, 20)}
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for module, optimizer in ((optim, mine), (torch.optim, torchs)):
                for group in optimizer.param_groups:
                    group |= {"initial_lr": 0.9, "max_lr": 2.0, "min_lr": 0.1}
                    group |= {"max_momentum": 0.9, "base_momentum": 0.8}
                schedule = getattr(module.lr_scheduler, name)(optimizer, **given)
                rates = [facts(optimizer)]
                for _ in range(30):
                    schedule.step()
                    rates.append(facts(optimizer))
                found.append(rates)
        where = f"{name}, seed (11, {number})"
        np.testing.assert_allclose(*found, rtol=1e-10, atol=1e-14, err_msg=where)
    record_property("cases", 5 * CASES)


def test_one_cycle_ends_where_pytorchs_does() -> None:
    mine = optim.SGD([tg.ones(1, requires_grad=True)])
    schedule = optim.lr_scheduler.OneCycleLR(mine, 1.0, total_steps=7)
    torchs = torch.optim.SGD([torch.ones(1, requires_grad=True)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = torch.optim.lr_scheduler.OneCycleLR(torchs, 1.0, total_steps=7)
        for _ in range(7):
            schedule.step()
            other.step()
        assert abs(schedule.get_last_lr()[0] - other.get_last_lr()[0]) < 1e-12
        for one in (schedule, other):
            with pytest.raises(ValueError, match="step"):
                one.step()
