"""The dtypes of results, for every operation of the registry: float16 is computed in float32, and
no operation gives a dtype that the project does not have.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from registry import CALLS, REGISTRY, call, prepared, slots_of
from samples import Sample

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "bool"]
PRECISION = 2.0**-10  # the distance from 1 to the next float16


def half(values: Any) -> Any:
    """Values of float16 precision."""
    return np.asarray(values).astype(np.float16).astype(np.float64)


def halved(sample: Sample) -> Sample:
    arrays = [
        half(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in sample.arrays
    ]
    return Sample(tuple(arrays), sample.params, sample.smooth)


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), CALLS)
def test_float16_is_computed_in_float32_and_rounded_once(name: str, sample: Sample) -> None:
    sample = halved(sample)
    results = []
    for dtype in (np.float16, np.float32):
        with np.errstate(all="ignore"):
            arrays = prepared(name, sample, dtype)
            out = call(name, arrays, sample.params)
            slots = slots_of(name, sample)
            gradients: Any = ()
            if out.requires_grad:
                seed = half(np.random.default_rng(0).uniform(-1, 1, out.shape)).astype(out.dtype)
                gradients = tg.grad(
                    out, [arrays[slot] for slot in slots], tg.tensor(seed), allow_unused=True
                )
        results.append((out, [g for g in gradients if g is not None]))
    (short, short_gradients), (long, long_gradients) = results
    if not REGISTRY[name].own_dtype:
        assert short.dtype == (np.float16 if long.dtype == np.float32 else long.dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(short.numpy(), long.numpy().astype(short.dtype))
    for found, wanted in zip(short_gradients, long_gradients, strict=True):
        assert found.dtype == np.float16
        largest = np.abs(wanted.numpy()).max(initial=1e-3)
        np.testing.assert_allclose(
            found.numpy(), wanted.numpy(), rtol=0, atol=8 * PRECISION * largest
        )


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_no_operation_gives_a_dtype_that_the_project_does_not_have(name: str, dtype: str) -> None:
    samples = [call.values[1] for call in CALLS if call.values[0] == name]
    for sample in samples:
        arrays = [
            tg.asarray(np.nan_to_num(np.abs(a), posinf=2.0).astype(dtype))
            if slot in slots_of(name, sample)
            else a
            for slot, a in enumerate(sample.arrays)
        ]
        with np.errstate(all="ignore"), contextlib.suppress(Exception):
            op = REGISTRY[name]
            out = (
                op.primitive(arrays, *sample.params)
                if op.variadic
                else op.primitive(*arrays, *sample.params)
            )
            for part in out if isinstance(out, tuple) else (out,):
                assert str(part.dtype) in (*FLOATS, *INTEGERS)


def of_half(values: Any) -> Any:
    return tg.tensor(np.asarray(values, np.float16))


def test_mean_and_norm_of_float16_reach_beyond_its_largest_number() -> None:
    assert of_half(np.ones(70_000)).mean().item() == 1.0
    assert tg.norm(of_half([300.0, 400.0])).item() == 500.0
    assert of_half([-300.0, 300.0]).std().item() == 300.0


def test_layer_norm_of_float16_is_that_of_float32() -> None:
    assert F.layer_norm(of_half([400.0, -400.0]), (2,)).tolist() == [1.0, -1.0]  # PyTorch's


def test_attention_of_float16_with_scores_beyond_its_largest_number() -> None:
    q = of_half([[300.0, 300.0]])
    k = of_half([[300.0, 300.0], [0.0, 0.0]])
    out = F.scaled_dot_product_attention(q, k, of_half([[1.0], [2.0]]))
    assert out.tolist() == [[1.0]]


def test_gradient_of_a_broadcast_float16_counts_beyond_2048() -> None:
    bias = tg.zeros(1, dtype=tg.float16, requires_grad=True)
    (tg.zeros((5000, 1), dtype=tg.float16) + bias).sum().backward()
    assert bias.grad.item() == 5000.0
    assert bias.grad.dtype == np.float16
