"""Every operation of the registry: values, derivatives, dtypes and memory order on its samples."""

from __future__ import annotations

import dis
import inspect
import types
from typing import Any

import numpy as np
import pytest
from cases import CASES
from registry import CALLS, REGISTRY, SMOOTH, THIRD_ORDER, call, prepared, slots_of
from samples import Sample

import tinygrad_gm as tg
from tinygrad_gm.engine.op import Vocabulary
from tinygrad_gm.engine.record import topological_order
from tinygrad_gm.testing import gradcheck


def definition(name: str, arrays: list[Any], params: tuple[Any, ...]) -> Any:
    op, reference = REGISTRY[name], CASES[name].reference
    out = reference(arrays, *params) if op.variadic else reference(*arrays, *params)
    return np.concatenate([part.ravel() for part in out]) if op.outputs != 1 else np.asarray(out)


def assert_close(found: Any, wanted: Any, bound: float) -> None:
    """|found − wanted| ≤ bound · max|wanted|, and equal where not finite."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(np.where(finite, 0, found), np.where(finite, 0, wanted))
    largest = np.max(np.abs(wanted[finite]), initial=1e-3)
    assert np.all(np.abs(found[finite] - 1.0 * wanted[finite]) <= bound * largest)


def test_every_operation_has_samples() -> None:
    without = [name for name in REGISTRY if name not in CASES or not CASES[name].samples]
    where = "add its definition in NumPy and its samples to tests/cases.py or a tests/cases_*.py"
    assert not without, f"{without[0]} has no samples: {where}"
    assert set(CASES) <= set(REGISTRY), "samples of an operation that is not registered"


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), CALLS)
def test_value_is_that_of_numpy(name: str, sample: Sample) -> None:
    out = call(name, prepared(name, sample), sample.params)
    wanted = definition(name, list(sample.arrays), sample.params)
    assert isinstance(out, tg.Tensor)
    assert_close(out.numpy(), wanted, 1e-12)
    assert out.dtype.kind == wanted.dtype.kind


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), CALLS)
def test_an_argument_by_keyword_is_the_argument_in_its_place(name: str, sample: Sample) -> None:
    op, arrays = REGISTRY[name], prepared(name, sample)
    if op.variadic:
        return
    values = [*arrays, *sample.params]
    by_place = op.primitive(*values)
    for first in range(1, len(values)):
        keywords = dict(zip(op.names[first:], values[first:], strict=False))
        by_keyword = op.primitive(*values[:first], **keywords)
        for one, other in zip(*map(parts, (by_place, by_keyword)), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def parts(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), CALLS)
def test_the_argument_arrays_are_not_changed(name: str, sample: Sample) -> None:
    arrays = prepared(name, sample)
    before = [np.array(array) for array in arrays if array is not None]
    out = call(name, arrays, sample.params)
    if out.requires_grad:
        out.backward(np.ones(out.shape))
    after = [np.array(array) for array in arrays if array is not None]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.sweep
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_gradient_is_that_of_differences(name: str, sample: Sample, order: int) -> None:
    def fn(*arrays: Any) -> Any:
        return call(name, list(arrays), sample.params)

    assert gradcheck(fn, prepared(name, sample), order)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("name", "sample"),
    THIRD_ORDER,
)
def test_third_order_of_elementwise_operations(name: str, sample: Sample) -> None:
    def fn(*arrays: Any) -> Any:
        return call(name, list(arrays), sample.params)

    assert gradcheck(fn, prepared(name, sample), 3, rtol=1e-4, atol=1e-6)


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), SMOOTH)
def test_float32_in_float32_out_and_float32_gradient(name: str, sample: Sample) -> None:
    params = tuple(np.float32 if param is np.float64 else param for param in sample.params)
    single = prepared(name, sample, np.float32)
    out = call(name, single, params)
    assert out.dtype == np.float32
    exact = [np.asarray(a, np.float64) if isinstance(a, tg.Tensor) else a for a in single]
    assert_close(out.numpy(), definition(name, exact, sample.params), 2e-6)

    upstream = np.random.default_rng(0).uniform(0.5, 1.5, out.shape)
    out.backward(upstream)
    double = prepared(name, sample)
    call(name, double, sample.params).backward(upstream)
    for slot in slots_of(name, sample):
        assert single[slot].grad.dtype == np.float32
        assert_close(single[slot].grad.numpy(), double[slot].grad.numpy(), 1e-5)


def is_channels_last(array: Any) -> bool:
    """Whether neighbours in memory are neighbours along axis 1 (axes of size 1 do not count)."""
    strides = [abs(step) for step in array.transpose(0, 2, 3, 1).strides]
    steps = [s for s, n in zip(strides, array.transpose(0, 2, 3, 1).shape, strict=True) if n > 1]
    return array.ndim == 4 and steps == sorted(steps, reverse=True)


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        call
        for call in CALLS
        if CASES[call.values[0]].elementwise or CASES[call.values[0]].keeps_order
        if any(np.ndim(array) == 4 for array in call.values[1].arrays)
    ],
)
def test_channels_last_in_channels_last_out(name: str, sample: Sample) -> None:
    arrays = prepared(name, sample)
    out = call(name, arrays, sample.params)
    assert is_channels_last(out.numpy())
    if out.requires_grad:
        upstream = np.ones((*out.shape[:1], *out.shape[2:], out.shape[1])).transpose(0, 3, 1, 2)
        out.backward(upstream)
        for slot in slots_of(name, sample):
            gradient = arrays[slot].grad.numpy()
            assert gradient.ndim < 4 or is_channels_last(gradient)


def test_every_elementwise_operation_has_a_channels_last_sample() -> None:
    exempt = {"to_device", "logical_and", "logical_or", "logical_xor", "logical_not"}
    exempt |= {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert"}
    for name, case in CASES.items():
        if case.elementwise and name not in exempt:
            shapes = [np.ndim(array) for sample in case.samples for array in sample.arrays]
            assert 4 in shapes, name


@pytest.mark.parametrize(
    ("name", "sample"),
    [call for call in CALLS if not REGISTRY[call.values[0]].differentiable],
)
def test_results_of_operations_without_rules_require_no_gradient(name: str, sample: Sample) -> None:
    arrays = [
        tg.asarray(a).requires_grad_(np.asarray(a).dtype.kind == "f") if np.ndim(a) else a
        for a in sample.arrays
    ]
    out = call(name, arrays, sample.params)
    assert not out.requires_grad
    assert out.node is None


# ------------------------------------------------------------------------------ the vocabulary


class Closed(Vocabulary):
    """The vocabulary and nothing else: what it serves is noted."""

    used: set[str]  # shared by both instances below

    def __getattr__(self, name: str) -> Any:
        assert name in REGISTRY, f"a rule asked for {name!r}, which is not in the vocabulary"
        self.used.add(name)
        return super().__getattr__(name)


def test_every_rule_runs_on_a_namespace_that_holds_only_the_vocabulary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Closed.used = set()
    spaces = {module: Closed(module) for module in (np, None)}
    monkeypatch.setattr(f"{tg.__name__}.engine.backward.vocabulary", spaces.__getitem__)
    for parameter in SMOOTH:
        name, sample = parameter.values
        arrays = prepared(name, sample)
        inputs = [arrays[slot] for slot in slots_of(name, sample)]
        first = tg.grad(call(name, arrays, sample.params).sum(), inputs, create_graph=True)
        rest = [(g * g).sum() for g in first if g.requires_grad]
        for gradient in rest:
            tg.grad(gradient, inputs, allow_unused=True, retain_graph=True)
    assert {"scatter", "broadcast_to", "exp", "permute_dims", "where"} < Closed.used


def globals_in(function: Any) -> dict[str, Any]:
    """Every global that a function, and the helpers of `ops` that it calls, refer to.

    A kernel is given its array module by the rule, so its globals do not count.
    """
    found: dict[str, Any] = {}
    codes = [function.__code__]
    for code in codes:
        codes.extend(const for const in code.co_consts if isinstance(const, types.CodeType))
        for step in dis.get_instructions(code):
            if step.opname == "LOAD_GLOBAL" and step.argval in function.__globals__:
                value = found[step.argval] = function.__globals__[step.argval]
                if inspect.isfunction(value) and ".ops." in value.__module__:
                    found |= globals_in(value)
    return found


def test_no_rule_reaches_past_the_vocabulary() -> None:
    rules = [rule for op in REGISTRY.values() for rule in (*op.rules, op.joint) if rule]
    assert len(rules) > 60
    for rule in rules:
        found = globals_in(rule)
        if "pad_widths" in found:  # reads a static parameter, never an array
            del found["np"]
        assert not [name for name, value in found.items() if value is np or hasattr(value, "op")]


# -------------------------------------------------------------------------------------- twins


TWINS = [call for call in SMOOTH if REGISTRY[call.values[0]].decomposition is not None]


def value_and_derivatives(name: str, sample: Sample) -> list[Any]:
    arrays = prepared(name, sample)
    inputs = [arrays[slot] for slot in slots_of(name, sample)]
    out = call(name, arrays, sample.params)
    weights = np.random.default_rng(1).uniform(0.5, 1.5, out.shape)
    first = tg.grad((out * weights).sum(), inputs, create_graph=True)
    total = sum((g * g).sum() for g in first)
    second = tg.grad(total, inputs, allow_unused=True) if total.requires_grad else first
    return [out, *first, *(g for g in second if g is not None)]


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), TWINS)
def test_a_twin_has_the_same_value_and_derivatives(name: str, sample: Sample) -> None:
    fused = value_and_derivatives(name, sample)
    with tg.textbook():
        textbook = value_and_derivatives(name, sample)
    for ours, twin in zip(fused, textbook, strict=True):
        assert_close(ours.numpy(), twin.numpy(), 1e-10)


@pytest.mark.parametrize(("name", "sample"), TWINS)
def test_textbook_records_the_twin(name: str, sample: Sample) -> None:
    with tg.textbook():
        out = call(name, prepared(name, sample), sample.params)
    kinds = {node.plan.op.name for node in topological_order(out)}
    assert name not in kinds
    assert kinds or name == "cumulative_prod"  # a product of one number is that number
    fused = call(name, prepared(name, sample), sample.params)
    nodes = [node.plan.op.name for node in topological_order(fused)]
    assert nodes[0] == name
    assert len(nodes) == 1 or REGISTRY[name].outputs != 1  # which `call` joins
