"""Run a model on example inputs, recorded for drawing, without changing its state."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_gm.engine.anomaly import detect_anomaly
from tinygrad_gm.engine.modes import enable_grad
from tinygrad_gm.engine.record import Traced
from tinygrad_gm.nn import Module
from tinygrad_gm.random import default_generator
from tinygrad_gm.tensor import Tensor, asarray


@contextmanager
def untouched(model: Module) -> Iterator[None]:
    """Restore a model's buffers (running statistics) and the default generator afterwards."""
    saved = [
        (module, name, buffer, buffer._data.copy(), buffer.version)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    generator = default_generator()
    state = generator.get_state()
    try:
        yield
    finally:
        generator.set_state(state)
        for module, name, buffer, values, written in saved:
            vars(module)[name] = buffer
            buffer._data[...] = values
            buffer.version = written


def device_and_dtype(model: Module) -> dict[str, Any]:
    """Return the device and dtype of a model's parameters as keywords; {} without parameters."""
    parameter = next(model.parameters(), None)
    return {} if parameter is None else {"dtype": parameter.dtype, "device": parameter.device}


def outputs(
    model: Module, inputs: Sequence[Any]
) -> tuple[list[Traced], dict[str, Traced], list[Traced]]:
    """Return the output tensors of a model, names for unnamed inputs, and the input tensors.

    Arrays become tensors. Operations record the line of the program that called them.
    """
    tensors = [asarray(x) if isinstance(x, np.ndarray) else x for x in inputs]
    named = zip(inspect.signature(model.forward).parameters, tensors, strict=False)
    names: dict[str, Traced] = {
        name: x for name, x in named if isinstance(x, Tensor) and x.name is None
    }
    with enable_grad():
        try:
            with detect_anomaly():
                out = model(*tensors)
        except RuntimeError as error:
            if not str(error).startswith("anomaly: "):
                raise
            out = model(*tensors)  # a NaN is drawn, without the lines
    found = list(_tensors(out))
    if not found:
        raise TypeError(f"draw: expected a Tensor from {type(model).__name__}, got {out!r:.60}")
    return found, names, list(_tensors(tensors))


def _tensors(out: Any) -> Iterator[Traced]:
    """Yield the tensors in nested lists, tuples and dicts, in order."""
    if isinstance(out, dict):
        out = list(out.values())
    if isinstance(out, Traced):
        yield out
    elif isinstance(out, (list, tuple)):
        for part in out:
            yield from _tensors(part)
