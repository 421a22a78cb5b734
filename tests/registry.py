"""The registry's samples as parameters of tests, and how an operation is called on one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES
from samples import Sample

import tinygrad_gm as tg

REGISTRY = tg.ops.registry
CALLS = [
    pytest.param(name, sample, id=f"{name}-{i}")
    for name, case in CASES.items()
    for i, sample in enumerate(case.samples)
]


def slots_of(name: str, sample: Sample) -> list[int]:
    """The arrays of a sample that can have a gradient."""
    op = REGISTRY[name]
    return [
        slot
        for slot, array in enumerate(sample.arrays)
        if slot in op.differentiable and getattr(array, "dtype", None) == np.float64
    ]


SMOOTH = [
    call for call in CALLS if (sample := call.values[1]).smooth and slots_of(call.values[0], sample)
]


THIRD_ORDER = [
    call
    for call in SMOOTH
    if CASES[call.values[0]].elementwise and max(map(np.size, call.values[1].arrays)) <= 6
]


def prepared(name: str, sample: Sample, dtype: Any = np.float64, grad: bool = True) -> list[Any]:
    """A sample's arrays as Tensors in their memory layout, those of floats as leaves of `dtype`."""
    arrays: list[Any] = list(sample.arrays)
    for slot, array in enumerate(arrays):
        if isinstance(array, np.ndarray) and array.dtype.kind == "f":
            arrays[slot] = tg.asarray(array.astype(dtype, copy=False))
    for slot in slots_of(name, sample):
        arrays[slot].requires_grad_(grad)
    return arrays


def call(name: str, arrays: list[Any], params: tuple[Any, ...]) -> Any:
    """The result; that of several outputs as one row of numbers."""
    op = REGISTRY[name]
    out = op.primitive(arrays, *params) if op.variadic else op.primitive(*arrays, *params)
    return tg.concat([part.flatten() for part in out]) if op.outputs != 1 else out
