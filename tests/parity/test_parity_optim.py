"""Optimizers against PyTorch's: fifty steps with the same gradients, from the same start."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from differing import compared
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


def moments(d: Draw) -> dict[str, Any]:
    """Options of Adam's relatives."""
    return {
        "lr": d.one_of([0.1, 1e-3]),
        "betas": d.one_of([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)]),
        "eps": d.one_of([1e-8, 1e-3]),
        "weight_decay": d.one_of([0.0, 0.0, 0.1]),
    }


def adam(d: Draw) -> dict[str, Any]:
    """Options of Adam and AdamW."""
    return {**moments(d), "amsgrad": d.chance(0.5)}


def decoupled(d: Draw) -> dict[str, Any]:
    """Options of RAdam."""
    return {**moments(d), "decoupled_weight_decay": d.chance(0.5)}


def nadam(d: Draw) -> dict[str, Any]:
    """Options of NAdam."""
    return {**decoupled(d), "momentum_decay": d.one_of([4e-3, 0.1, 0.0])}


def adagrad(d: Draw) -> dict[str, Any]:
    """Options of Adagrad, but for `initial_accumulator_value`, PyTorch's one option for all."""
    return {
        "lr": d.one_of([0.1, 1e-3]),
        "lr_decay": d.one_of([0.0, 0.1]),
        "eps": d.one_of([1e-10, 1e-3]),
        "weight_decay": d.one_of([0.0, 0.0, 0.1]),
    }


def rmsprop(d: Draw) -> dict[str, Any]:
    """Options of RMSprop."""
    return {
        "lr": d.one_of([0.1, 1e-3]),
        "alpha": d.one_of([0.99, 0.5]),
        "eps": d.one_of([1e-8, 1e-3]),
        "momentum": d.one_of([0.0, 0.9]),
        "centered": d.chance(0.5),
        "weight_decay": d.one_of([0.0, 0.0, 0.1]),
    }


def adadelta(d: Draw) -> dict[str, Any]:
    """Options of Adadelta."""
    return {
        "lr": d.one_of([1.0, 0.1]),
        "rho": d.one_of([0.9, 0.5]),
        "eps": d.one_of([1e-6, 1e-3]),
        "weight_decay": d.one_of([0.0, 0.0, 0.1]),
    }


OPTIONS: dict[str, Callable[[Draw], dict[str, Any]]] = {
    "Adadelta": adadelta,
    "Adagrad": adagrad,
    "Adam": adam,
    "AdamW": adam,
    "Adamax": moments,
    "NAdam": nadam,
    "RAdam": decoupled,
    "RMSprop": rmsprop,
    "SGD": sgd,
}


@pytest.fixture(autouse=True)
def wide_numbers() -> Iterator[None]:
    """PyTorch keeps NAdam's product of momenta in the default dtype: float64 here."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_every_optimizer_with_a_namesake_is_compared() -> None:
    assert {n for n in optim.__all__ if hasattr(torch.optim, n)} - {
        "Optimizer",
        "lr_scheduler",
    } == {*OPTIONS}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_argument_has_pytorchs_default(name: str) -> None:
    ours, theirs = (
        {n: p.default for n, p in inspect.signature(getattr(m, name)).parameters.items()}
        for m in (optim, torch.optim)
    )
    of_their_engine = {"foreach", "fused", "capturable", "differentiable"}
    assert ours == {n: default for n, default in theirs.items() if n not in of_their_engine}
    positional = [n for n in theirs if n in ours]
    assert [n for n in ours if n not in ("maximize",)] == [n for n in positional if n != "maximize"]


@pytest.mark.parametrize("name", OPTIONS)
def test_fifty_steps_equal_pytorchs(
    name: str, share: Callable[[int], range], record_property: Callable[[str, int], None]
) -> None:
    options, numbers = OPTIONS[name], share(CASES)
    for number in numbers:
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
        more = {"initial_accumulator_value": d.one_of([0.0, 0.5])} if name == "Adagrad" else {}
        more["maximize"] = maximize
        mine = getattr(optim, name)([side[0] for side in sides], **more)
        torchs = getattr(torch.optim, name)([side[1] for side in sides], **more)
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
    record_property("cases", len(numbers))


def assert_close(ours: list[Any], theirs: list[Any], words: str) -> None:
    """Equal to 1e-6: each engine's gradients have roundings of their own."""
    for a, b in zip(ours, theirs, strict=True):
        expected = b.detach().numpy()
        np.testing.assert_allclose(a.numpy(), expected, rtol=1e-6, atol=1e-7, err_msg=words)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_random_quadratic_goes_down_as_pytorchs_does(
    name: str, share: Callable[[int], range], record_property: Callable[[str, int], None]
) -> None:
    """½ xᵀA x − bᵀx of a random positive definite A, its gradients from each engine itself."""
    numbers = share(20)
    for number in numbers:
        d = Draw(3, number)
        root, b = d.rng.normal(size=(6, 6)), d.rng.normal(size=6)
        a = root @ root.T / 6 + np.eye(6)
        start, given = d.rng.normal(size=6), {**OPTIONS[name](d), "lr": 0.02}
        x, y = tg.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
        mine = getattr(optim, name)([x], **given)
        torchs = getattr(torch.optim, name)([y], **given)
        for _ in range(STEPS):
            for z, module, optimizer in ((x, tg.tensor, mine), (y, torch.tensor, torchs)):
                optimizer.zero_grad()
                (0.5 * z @ (module(a) @ z) - z @ module(b)).backward()
                optimizer.step()
        assert_close([x], [y], f"{name}, seed (3, {number}), {given}")
    record_property("cases", len(numbers))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_small_perceptron_trains_as_pytorchs_does(
    name: str, share: Callable[[int], range], record_property: Callable[[str, int], None]
) -> None:
    """Two groups; the last layer is left out of every third step, so its gradients are None."""
    numbers = share(10)
    for number in numbers:
        d = Draw(4, number)
        tg.manual_seed(number)
        hidden, last = nn.Linear(3, 8, dtype=tg.float64), nn.Linear(8, 2, dtype=tg.float64)
        others = torch.nn.Linear(3, 8), torch.nn.Linear(8, 2)
        for ours, theirs in zip((hidden, last), others, strict=True):
            theirs.load_state_dict(
                {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
            )
        x, target = d.rng.normal(size=(16, 3)), d.rng.normal(size=(16, 2))
        given = [{**OPTIONS[name](d), "lr": lr} for lr in (0.01, 0.002)]
        mine = getattr(optim, name)(
            [{"params": m.parameters(), **g} for m, g in zip((hidden, last), given, strict=True)]
        )
        torchs = getattr(torch.optim, name)(
            [{"params": m.parameters(), **g} for m, g in zip(others, given, strict=True)]
        )
        sides = (
            (tg.tensor(x), tg.tensor(target), tg.tanh, (hidden, last), mine),
            (torch.tensor(x), torch.tensor(target), torch.tanh, others, torchs),
        )
        for step in range(STEPS):
            for inputs, wanted, tanh, (first, second), optimizer in sides:
                optimizer.zero_grad()
                middle = tanh(first(inputs))
                output = middle[:, :2] if step % 3 == 2 else second(middle)
                ((output - wanted) ** 2).mean().backward()
                optimizer.step()
        mine_now = [*hidden.parameters(), *last.parameters()]
        theirs_now = [p for module in others for p in module.parameters()]
        assert_close(mine_now, theirs_now, f"{name}, seed (4, {number}), {given}")
    record_property("cases", len(numbers))


MORE = {
    "Adam": {"amsgrad": True},
    "AdamW": {"amsgrad": True},
    "RMSprop": {"centered": True, "momentum": 0.9},
    "SGD": {"momentum": 0.9},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_state_of_pytorchs_is_loaded_by_its_names_and_gone_on_with(name: str) -> None:
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape) for shape in ((3, 2), (4,), ())]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in starts]
    torchs = getattr(torch.optim, name)(theirs, lr=0.05, **MORE.get(name, {}))
    gradients = [[rng.normal(size=a.shape) for a in starts] for _ in range(10)]
    for gs in gradients[:5]:
        for p, g in zip(theirs, gs, strict=True):
            p.grad = torch.tensor(g)
        torchs.step()
    ours = [nn.Parameter(tg.tensor(p.detach().numpy().copy())) for p in theirs]
    mine = getattr(optim, name)(ours, lr=0.7)
    given = torchs.state_dict()
    states = {
        number: {n: v.numpy().copy() for n, v in state.items() if v is not None}
        for number, state in given["state"].items()
    }
    mine.load_state_dict({"state": states, "param_groups": given["param_groups"]})
    assert mine.param_groups[0]["lr"] == 0.05
    own = mine.state_dict()["state"]
    assert all({*state} <= {*own[number]} for number, state in states.items())
    for gs in gradients[5:]:
        for p, q, g in zip(ours, theirs, gs, strict=True):
            p.grad, q.grad = tg.tensor(g), torch.tensor(g)
        mine.step()
        torchs.step()
    assert not compared("value", ours, theirs)
    for number, state in torchs.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                np.testing.assert_allclose(
                    mine.state_dict()["state"][number][key].numpy(), value.numpy(), rtol=1e-9
                )


def test_clipping_equals_pytorchs(record_property: Callable[[str, int], None]) -> None:
    """Norms of several orders, bounds above and below them, NaN, infinity, missing gradients."""
    count = 100
    for number in range(count):
        d = Draw(6, number)
        arrays = [d.rng.normal(size=d.shape((0, 3), empty=0)) for _ in range(d.integer(1, 4))]
        for array in arrays:
            if array.ndim and d.chance(0.1):
                array.flat[0] = d.one_of([np.nan, np.inf, -np.inf])
        order, bound = d.one_of([1.0, 2.0, 3.0, np.inf, 0.0]), d.one_of([0.0, 0.1, 1.0, 100.0])
        ours = [nn.Parameter(tg.tensor(a)) for a in arrays]
        theirs = [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
        for p, q, array in zip(ours, theirs, arrays, strict=True):
            if p is ours[0] or d.chance(0.8):  # without any gradient PyTorch fails
                p.grad, q.grad = tg.tensor(array), torch.tensor(array)
        if d.chance(0.7):
            norms = [nn.utils.clip_grad_norm_(ours, bound, order)]
            others = [torch.nn.utils.clip_grad_norm_(theirs, bound, order)]
            assert not compared("value", norms, others), f"seed (6, {number})"
        else:
            nn.utils.clip_grad_value_(ours, bound)
            torch.nn.utils.clip_grad_value_(theirs, bound)
        pairs = [(p.grad, q.grad) for p, q in zip(ours, theirs, strict=True) if q.grad is not None]
        assert not compared("value", [a for a, _ in pairs], [b for _, b in pairs]), (
            f"seed (6, {number}), order {order}, bound {bound}"
        )
    record_property("cases", count)
