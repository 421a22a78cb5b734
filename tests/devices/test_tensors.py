"""Every operation on a GPU: on the stand-in for CuPy everywhere, on CuPy where there is a GPU."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from cases import CASES
from device_double import CUPY
from devices import on_device, same
from registry import CALLS, REGISTRY, call, slots_of
from samples import Sample

import tinygrad_gm as tg


def moved(name: str, sample: Sample, device: str) -> tuple[list[Any], list[Any]]:
    """The arrays of a sample on a device, and those among them that are leaves with a gradient."""
    arrays = [
        tg.asarray(on_device(a, device)) if isinstance(a, np.ndarray) else a for a in sample.arrays
    ]
    leaves = [arrays[slot].requires_grad_() for slot in slots_of(name, sample)]
    return arrays, leaves


def upstream(out: Any) -> Any:
    """A gradient for a result, on its device."""
    numbers = np.random.default_rng(0).uniform(0.5, 1.5, out.shape)
    return tg.tensor(numbers, dtype=out.dtype, device=out.device)


STAYING = [param for param in CALLS if param.values[0] != "to_device"]


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "sample"), STAYING)
def test_value_and_gradients_are_those_of_the_cpu(name: str, sample: Sample, device: str) -> None:
    results = []
    for place in ("cpu", device):
        arrays, leaves = moved(name, sample, place)
        out = call(name, arrays, on_device(sample.params, place))
        assert out.device == place
        gradients = []
        if out.requires_grad:
            out.backward(upstream(out))
            gradients = [leaf.grad for leaf in leaves]
        assert {g.device for g in gradients if g is not None} <= {place}
        results.append([out, *gradients])
    for found, wanted in zip(*reversed(results), strict=True):
        same(found, wanted)


FIRST_SMOOTH = {
    name: next(iter(smooth))
    for name, case in CASES.items()
    if (smooth := [s for s in case.samples if s.smooth and slots_of(name, s)])
}


@pytest.mark.sweep
@pytest.mark.parametrize("name", FIRST_SMOOTH)
def test_second_derivatives_are_those_of_the_cpu(name: str, device: str) -> None:
    sample = FIRST_SMOOTH[name]
    results = []
    for place in ("cpu", device):
        arrays, leaves = moved(name, sample, place)
        out = call(name, arrays, on_device(sample.params, place))
        gradients = tg.grad((out * out).sum(), leaves, create_graph=True)
        norms = [(g * g).sum() for g in gradients if g is not None and g.requires_grad]
        if norms:
            sum(norms[1:], norms[0]).backward()
        results.append([out, *gradients, *(leaf.grad for leaf in leaves)])
    for found, wanted in zip(*reversed(results), strict=True):
        same(found, wanted)


@pytest.mark.sweep
@pytest.mark.parametrize(
    "name", [name for name, op in REGISTRY.items() if op.decomposition is not None]
)
def test_textbook_twins_are_those_of_the_cpu(name: str, device: str) -> None:
    for sample in CASES[name].samples:
        results = []
        for place in ("cpu", device):
            arrays, leaves = moved(name, sample, place)
            with tg.textbook():
                out = call(name, arrays, on_device(sample.params, place))
            if out.requires_grad:
                out.backward(upstream(out))
            results.append([out, *(leaf.grad for leaf in leaves)])
        for found, wanted in zip(*reversed(results), strict=True):
            same(found, wanted)


INDICES = np.array([1, 3])
WITH_INDICES = {
    "getitem": lambda x, i: x[i],
    "set": lambda x, i: x.__setitem__(i, 0.0),
    "take": lambda x, i: tg.take(x, i, 0),
    "take_along_axis": lambda x, i: tg.take_along_axis(x, i, 0),
    "scatter": lambda x, i: tg.ops.scatter(x[:2], i, (3,)),
    "scatter_add": lambda x, i: tg.scatter_add(x, i, x[:2], 0),
    "embedding": lambda x, i: tg.embedding(x.reshape(3, 1), i),
    "cross_entropy": lambda x, i: tg.cross_entropy(tg.stack([x, x]), i),
    "nll_loss": lambda x, i: tg.nll_loss(tg.stack([x, x]), i),
}


@pytest.mark.parametrize("name", WITH_INDICES)
@pytest.mark.parametrize("shift", [0, -7])
def test_an_index_out_of_range_is_refused(name: str, shift: int, device: str) -> None:
    x, indices = tg.arange(3.0, device=device), tg.tensor(INDICES + shift, device=device)
    with pytest.raises(
        IndexError, match=r"out of bounds for axis 0 with size 3|in \[0, 3\); got \[-?\d"
    ):
        WITH_INDICES[name](x, indices)


def test_operands_on_two_devices_are_named(device: str) -> None:
    x, y = tg.ones(2), tg.ones(2, device=device)
    for call_of_two in (lambda: x * y, lambda: tg.matmul(y, x), lambda: tg.where(x > 0, y, y)):
        with pytest.raises(ValueError, match=rf"(multiply|matmul|where): .*cpu and {device}"):
            call_of_two()


def test_cuda_is_there(device: str) -> None:
    assert tg.cuda.is_available()
    assert tg.cuda.device_count() >= 1


@pytest.mark.parametrize("function", [np.exp, np.sum, np.where, np.asarray, np.sort, np.add.reduce])
def test_the_stand_in_and_numpy_do_not_mix(function: Any) -> None:
    there, here = CUPY.asarray([1.0, 2.0]), np.ones(2)
    with pytest.raises(TypeError):
        function(there)
    for mixed in (lambda: there + here, lambda: here + there, lambda: CUPY.add(there, here)):
        with pytest.raises(TypeError):
            mixed()
    with pytest.raises(TypeError):
        here += there
    with pytest.raises(TypeError):
        there[:] = here
    assert (there * np.float32(2) + 1).get().tolist() == [3.0, 5.0]
    assert there[CUPY.asarray([2, -3])].get().tolist() == [1.0, 2.0]  # around, as in CuPy


def test_no_cuda_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not tg.cuda.is_available()
    with pytest.raises(RuntimeError, match=r"needs CuPy: pip install"):
        tg.ones(2, device="cuda")


def test_every_operation_is_among_them() -> None:
    assert {param.values[0] for param in STAYING} == set(CASES) - {"to_device"}


def test_to_moves_values_there_and_gradients_back(device: str) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(device)
    assert (x.device, y.device) == ("cpu", device)
    (y * y).sum().backward()
    assert x.grad is not None
    assert x.grad.device == "cpu"
    assert x.grad.tolist() == [2.0, 4.0]
    assert y.to("cpu").device == "cpu"
    assert y.to(device) is y
