"""A model run once on example inputs, recorded for drawing, and left as it was."""

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
    """Put a model's buffers (running statistics) and the random numbers back afterwards."""
    kept = [
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
        for module, name, buffer, values, written in kept:
            vars(module)[name] = buffer
            buffer._data[...] = values
            buffer.version = written


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put every module into evaluation mode, and back afterwards into the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def outputs(
    model: Module, inputs: Sequence[Any]
) -> tuple[list[Traced], dict[str, Traced], list[Traced]]:
    """The tensors that a model makes of inputs, names for inputs, and the tensors in the inputs.

    Arrays become tensors. Operations know the line of the program that called them.
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
            out = model(*tensors)  # NaN is to be drawn too, though without lines
    found = list(_tensors(out))
    if not found:
        raise TypeError(f"draw: {type(model).__name__} gave no Tensor but {out!r:.60}")
    return found, names, list(_tensors(tensors))


def _tensors(out: Any) -> Iterator[Traced]:
    """The tensors in what a model takes or returns, in order."""
    if isinstance(out, Traced):
        yield out
    elif isinstance(out, dict):
        yield from _tensors(list(out.values()))
    elif isinstance(out, (list, tuple)):
        for part in out:
            yield from _tensors(part)
