"""The gradients of a whole model, held against central differences at a few places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn


def check_slopes(
    module: nn.Module, value: Callable[[], tg.Tensor], places: int = 3, bound: float = 1e-6
) -> None:
    """Compare the gradients of `value()` at `places` random entries of each parameter.

    The module is best in float64, in which differences can be trusted.
    """
    value().backward()
    rng = np.random.default_rng(0)
    for name, parameter in module.named_parameters():
        array, slope = parameter.data.numpy(), parameter.grad.numpy()
        for _ in range(places):
            i = tuple(rng.integers(0, array.shape))
            kept, values = array[i], []
            for step in (1e-6, -1e-6):
                array[i] = kept + step
                values.append(value().item())
            array[i] = kept
            assert slope[i] == pytest.approx((values[0] - values[1]) / 2e-6, abs=bound), name
