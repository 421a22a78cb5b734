"""The generated call: when it is used, and that it does what the general one does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES
from registry import REGISTRY, prepared, slots_of

import tinygrad_gm as tg
from tinygrad_gm.engine import call as general

FLOATING = [
    (name, sample)
    for name, case in CASES.items()
    for sample in case.samples[:1]
    if slots_of(name, sample) and not REGISTRY[name].always_expands
]


def results(name: str, arrays: list[Any], params: tuple[Any, ...]) -> tuple[Any, ...]:
    op = REGISTRY[name]
    out = op.primitive(arrays, *params) if op.variadic else op.primitive(*arrays, *params)
    return out if isinstance(out, tuple) else (out,)


def test_tensors_of_one_floating_dtype_take_the_generated_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(general, "compute", None)
    for name, sample in FLOATING:
        results(name, prepared(name, sample), sample.params)
        with tg.no_grad():
            results(name, prepared(name, sample), sample.params)


def test_arguments_by_keyword_take_the_generated_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "compute", None)
    x = tg.ones((2, 4), requires_grad=True)
    assert tg.concat([x, x], axis=1).shape == (2, 8)
    assert tg.concat(x, x, x).shape == (6, 4)
    assert [part.shape for part in tg.split(x, 2, axis=-1)] == [(2, 2), (2, 2)]
    assert tg.sum(x, axis=0).shape == (4,)


def test_the_generated_call_leaves_the_record_of_the_general_one() -> None:
    for name, sample in FLOATING:
        arrays = prepared(name, sample)
        generated = results(name, arrays, sample.params)
        with tg.detect_anomaly():
            expected = results(name, arrays, sample.params)
        for one, other in zip(generated, expected, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
            assert one.requires_grad == other.requires_grad
            if one.requires_grad:
                assert facts_of(one.node) == facts_of(other.node)
                if REGISTRY[name].outputs != 1:  # each result is a part of one node's
                    assert facts_of(one.node.parents[0]) == facts_of(other.node.parents[0])


def facts_of(node: Any) -> tuple[Any, ...]:
    return node.plan, node.params, node.shape, node.dtype, len(node.saved)


def test_operations_of_any_number_of_arrays_take_other_dtypes_and_numbers() -> None:
    x = tg.tensor([1.0, 2.0])
    assert tg.concat([x, np.ones(1, np.float32)]).tolist() == [1, 2, 1]
    assert tg.concat([x, tg.tensor([3])]).dtype == np.float32
    assert tg.concat([x, tg.tensor([3.0], dtype=tg.float64)]).dtype == np.float64
    assert tg.stack([x, x.astype(tg.float16)]).dtype == np.float32


def test_only_the_arguments_that_need_it_get_a_gradient() -> None:
    x, y = tg.ones((2,), requires_grad=True), tg.ones((2,))
    out = tg.concat([y, x, y, x * 2])
    (out * tg.tensor([0.0, 0, 1, 2, 0, 0, 3, 4])).sum().backward()
    assert x.grad.tolist() == [1 + 6, 2 + 8]
    assert y.grad is None
