"""Optimizers against PyTorch's: fifty steps with the same gradients, from the same start."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from comparer import compared
from drawing import Draw

import tinygrad_gm as tg
from tinygrad_gm import nn, optim

CASES, STEPS = 60, 50


def sgd(d: Draw) -> dict[str, Any]:
    """Options of SGD."""
    momentum = d.one_of([0.0, 0.5, 0.9])
    nesterov = bool(momentum) and d.chance(0.5)
    return {
        "lr": d.one_of([0.1, 0.01]),
        "momentum": momentum,
        "nesterov": nesterov,
        "dampening": 0.0 if nesterov or not momentum else d.one_of([0.0, 0.3]),
        "weight_decay": d.one_of([0.0, 0.0, 0.1]),
    }


def adam(d: Draw) -> dict[str, Any]:
    """Options of Adam."""
    return {
        "lr": d.one_of([0.1, 1e-3]),
        "betas": d.one_of([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)]),
        "eps": d.one_of([1e-8, 1e-3]),
        "amsgrad": d.chance(0.5),
        "weight_decay": d.one_of([0.0, 0.0, 0.1]),
    }


@pytest.mark.parametrize(("name", "options"), [("SGD", sgd), ("Adam", adam)], ids=["SGD", "Adam"])
def test_fifty_steps_equal_pytorchs(
    name: str,
    options: Callable[[Draw], dict[str, Any]],
    record_property: Callable[[str, int], None],
) -> None:
    for number in range(CASES):
        d = Draw(2, number)
        groups = [options(d) for _ in range(d.integer(1, 3))]
        maximize = d.chance(0.2)
        starts = [[d.rng.normal(size=d.shape((0, 3))) for _ in range(3)] for _ in groups]
        ours = [[nn.Parameter(tg.tensor(a)) for a in arrays] for arrays in starts]
        theirs = [[torch.nn.Parameter(torch.tensor(a)) for a in arrays] for arrays in starts]
        for_each = zip(ours, theirs, groups, strict=True)
        sides = [
            ({"params": mine, **given}, {"params": torchs, **given})
            for mine, torchs, given in for_each
        ]
        mine = getattr(optim, name)([side[0] for side in sides], maximize=maximize)
        torchs = getattr(torch.optim, name)([side[1] for side in sides], maximize=maximize)
        pairs = list(zip(chain(*ours), chain(*theirs), strict=True))
        for _ in range(STEPS):
            for parameter, other in pairs:
                gradient = None if d.chance(0.1) else d.rng.normal(size=parameter.shape)
                parameter.grad = None if gradient is None else tg.tensor(gradient)
                other.grad = None if gradient is None else torch.tensor(gradient)
            mine.step()
            torchs.step()
        complaint = compared("value", *map(list, zip(*pairs, strict=True)))
        assert not complaint, f"{name}, seed (2, {number}), {groups}: {complaint}"
    record_property("cases", CASES)


def test_the_state_of_a_parameter_has_pytorchs_names() -> None:
    for name, more in (("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True})):
        values = np.linspace(-1, 1, 5)
        w, v = tg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        mine = getattr(optim, name)([w], lr=0.1, **more)
        torchs = getattr(torch.optim, name)([v], lr=0.1, **more)
        for parameter, optimizer in ((w, mine), (v, torchs)):
            (parameter * parameter).sum().backward()
            optimizer.step()
        (state,) = torchs.state_dict()["state"].values()
        (own,) = mine.state_dict()["state"].values()
        assert {*state} <= {*own}
