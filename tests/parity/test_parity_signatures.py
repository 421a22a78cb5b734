"""The parameters of `nn.functional`: PyTorch's names, order and defaults."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch.nn.functional as torch_functional

import tinygrad_gm.nn.functional as F

SHARED = [name for name in F.__all__ if hasattr(torch_functional, name)]
OURS_ALONE = {
    "drop_connect",
    "entropy",
    "kl_normal",
    "l1_penalty",
    "l2_penalty",
    "stochastic_depth",
}

RENAMED = {"dim": "axis", "keepdim": "keepdims"}  # one word in the whole library
LEFT_OUT = {  # parameters of PyTorch's that are not offered: why
    "size_average": "deprecated there: `reduction` says it",
    "reduce": "deprecated there: `reduction` says it",
    "_stacklevel": "of a warning about a missing dim",
    "inplace": "an operation never writes into its argument",
    "out": "an operation never writes into its argument",
    "dtype": "x.astype(dtype) before the call does the same",
    "max_norm": "would change the weight in a forward pass",
    "norm_type": "of max_norm",
    "scale_grad_by_freq": "no rescaled gradients",
    "sparse": "no sparse gradients",
    "recompute_scale_factor": "scale_factor is always used as given",
    "antialias": "no filter before downsampling",
    "enable_gqa": "repeat the heads of key and value",
    ("huber_loss", "weight"): 'reduction="none" and a product',
    ("l1_loss", "weight"): 'reduction="none" and a product',
    ("mse_loss", "weight"): 'reduction="none" and a product',
}
DEFAULTS = {  # (function, parameter): our default, where PyTorch's differs
    ("softmax", "axis"): -1,  # None there warns and guesses
    ("log_softmax", "axis"): -1,
}


def theirs(name: str) -> list[tuple[str, Any]]:
    """The parameters of PyTorch's function and their defaults, from its signature or docstring."""
    function = getattr(torch_functional, name)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        parameters = ()
    if parameters and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters):
        return [(p.name, p.default) for p in parameters]
    text = re.search(rf"\b{name}\(([^)]*)\)", inspect.getdoc(function) or "")
    assert text, name
    pairs = [part.partition("=") for part in text[1].split(",")]
    empty = inspect.Parameter.empty
    return [(key.strip(), eval(value) if sign else empty) for key, sign, value in pairs]


@pytest.mark.parametrize("name", SHARED)
def test_parameters_have_pytorchs_names_order_and_defaults(name: str) -> None:
    ours = [(p.name, p.default) for p in inspect.signature(getattr(F, name)).parameters.values()]
    offered = [(k, v) for k, v in theirs(name) if not {k, (name, k)} & LEFT_OUT.keys()]
    renamed = [(RENAMED.get(k, k), v) for k, v in offered]
    assert ours == [(k, DEFAULTS.get((name, k), v)) for k, v in renamed]


def test_every_listed_difference_exists() -> None:
    assert {*F.__all__} - {*SHARED} == OURS_ALONE
    left_out = {k for name in SHARED for key, _ in theirs(name) for k in (key, (name, key))}
    assert left_out >= {*LEFT_OUT}
