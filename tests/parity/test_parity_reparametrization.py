"""spectral_norm and weight_norm against PyTorch's: keys, outputs, gradients, u and v over steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from differing import as_torch, compared
from drawing import Draw

import tinygrad_gm as tg
from tinygrad_gm import nn

CASES = 20
LAYERS = {"Linear": 0, "Conv1d": 1, "Conv2d": 2, "ConvTranspose1d": 1, "ConvTranspose2d": 2}


def drawn(name: str, d: Draw) -> tuple[Any, Any, Any]:
    """A layer of ours, PyTorch's with the same weights, and an input, in float64."""
    inputs, outputs, spatial = d.integer(1, 4), d.integer(2, 5), LAYERS[name]
    arguments = (inputs, outputs, *([d.integer(1, 3)] if spatial else []))
    ours = getattr(nn, name)(*arguments).to(tg.float64)
    theirs = getattr(torch.nn, name)(*arguments).double()
    theirs.load_state_dict({k: as_torch(v.numpy()) for k, v in ours.state_dict().items()})
    lead = (d.integer(1, 3), inputs)
    return ours, theirs, d.rng.standard_normal((*lead, *(4 for _ in range(spatial))))


def torch_norm(kind: str, module: Any, **options: Any) -> Any:
    """PyTorch's, without its advice to use another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return getattr(torch.nn.utils, kind)(module, **options)


def difference(ours: Any, theirs: Any, x: Any) -> str:
    """How outputs, gradients or states differ in one pass, or nothing."""
    a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, y_torch = ours(a), theirs(b)
    v = np.cos(np.arange(y.size)).reshape(y.shape)
    names, others = ([name for name, _ in m.named_parameters()] for m in (ours, theirs))
    assert names == others
    g = tg.grad([y], [a, *ours.parameters()], [tg.tensor(v)])
    g_torch = torch.autograd.grad([y_torch], [b, *theirs.parameters()], [torch.tensor(v)])
    state, state_torch = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(state_torch)
    return (
        compared("value", [y], [y_torch])
        or compared("gradient", list(g), list(g_torch))
        or compared("state", [*state.values()], [*state_torch.values()])
    )


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_equals_pytorchs(
    name: str, record_property: Callable[[str, int], None]
) -> None:
    for number in range(CASES):
        d = Draw(7, number)
        ours, theirs, x = drawn(name, d)
        steps = d.integer(1, 3)
        nn.spectral_norm(ours, n_power_iterations=steps)
        torch_norm("spectral_norm", theirs, n_power_iterations=steps)
        theirs.load_state_dict({k: as_torch(v.numpy()) for k, v in ours.state_dict().items()})
        for training in (True, True, False, True):
            complaint = difference(ours.train(training), theirs.train(training), x)
            assert not complaint, f"{name}, case {number}: {complaint}"
        nn.remove_spectral_norm(ours)
        torch.nn.utils.remove_spectral_norm(theirs)
        assert not difference(ours, theirs, x)
    record_property("cases", CASES)


@pytest.mark.parametrize("name", LAYERS)
def test_weight_norm_equals_pytorchs(
    name: str, record_property: Callable[[str, int], None]
) -> None:
    for number in range(CASES):
        d = Draw(8, number)
        ours, theirs, x = drawn(name, d)
        axis = d.one_of([0, 1, None])
        nn.weight_norm(ours, axis=axis)
        torch_norm("weight_norm", theirs, dim=axis)
        for change in (1.0, 1.5):
            with tg.no_grad():
                ours.weight_g *= change
            with torch.no_grad():
                theirs.weight_g *= change
            complaint = difference(ours, theirs, x)
            assert not complaint, f"{name}, case {number}, axis {axis}: {complaint}"
        nn.remove_weight_norm(ours)
        torch.nn.utils.remove_weight_norm(theirs)
        assert not difference(ours, theirs, x)
    record_property("cases", CASES)
