"""Activations, choices and losses at the ends of their range, under gradients that are not finite.

Where PyTorch's number is a number or an infinity ours is the same; where it is NaN (−inf · 0, or
0 · inf) ours may be the limit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

SAME = ["relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "leaky_relu", "sigmoid", "tanh"]
SAME += ["elu", "selu", "celu", "softplus", "mish", "silu", "gelu", "softsign", "logsigmoid"]
UNARY = ["abs", "sign", "floor", "ceil", "round", "exp", "expm1", "sinh", "cosh", "atan", "erf"]
UNARY += ["square", "reciprocal", "sqrt", "log"]
PAIRS: dict[str, tuple[Any, Any]] = {
    **{name: (getattr(F, name), getattr(TF, name)) for name in SAME},
    **{name: (getattr(tg, name), getattr(torch, name)) for name in UNARY},
    "clip": (lambda x: tg.clip(x, -0.5, 1.0), lambda x: x.clamp(-0.5, 1.0)),
    "clip below": (lambda x: tg.clip(x, 0.0), lambda x: x.clamp(min=0.0)),
    "where": (lambda x: tg.where(x > 0, x, 0.0), lambda x: torch.where(x > 0, x, 0.0)),
    "pow 0": (lambda x: x**0, lambda x: x**0),
    "max": (lambda x: x[3:6].max(), lambda x: x[3:6].max()),
    "std of equals": (lambda x: (x[3:5] * 0).std(), lambda x: (x[3:5] * 0).std(correction=0)),
    "sort": (lambda x: tg.sort(x), lambda x: x.sort().values),
    "max_pool1d": (
        lambda x: F.max_pool1d(x[None, None], 2, 1),
        lambda x: TF.max_pool1d(x[None, None], 2, 1),
    ),
    **{
        name: (
            lambda x, name=name: getattr(F, name)(x, tg.zeros(8, x.dtype), reduction="none"),
            lambda x, name=name: getattr(TF, name)(
                x, torch.zeros(8, dtype=x.dtype), reduction="none"
            ),
        )
        for name in ("l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss")
    },
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.sweep
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("upstream", [1.0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_at_the_ends(name: str, upstream: float, dtype: str) -> None:
    ours, theirs = PAIRS[name]
    largest = float(np.finfo(dtype).max) / 8  # PyTorch's hardswish multiplies by 6 first
    points = [-math.inf, -largest, -1.0, -0.0, 0.0, 1.0, largest, math.inf]
    x = tg.tensor(points, dtype=dtype, requires_grad=True)
    t = torch.tensor(points, dtype=getattr(torch, dtype), requires_grad=True)
    out, wanted = ours(x), theirs(t)
    (slope,) = torch.autograd.grad(wanted, t, torch.full_like(wanted, upstream))
    assert_same(out.numpy(), wanted.detach().numpy())
    ways = [False, True] if upstream == 1.0 else [False]
    for create_graph in ways:
        seed = tg.full_like(out, upstream)
        (found,) = tg.grad(out, x, seed, retain_graph=True, create_graph=create_graph)
        assert_same(found.numpy(), slope.numpy())


def assert_same(found: Any, wanted: Any) -> None:
    """Equal to the last digits, wherever what is wanted is not NaN."""
    known = ~np.isnan(wanted)
    np.testing.assert_allclose(found[known], wanted[known], rtol=2e-6, atol=1e-7)
