"""Diagnosis of a training step: vanishing gradients, the origin of a NaN, dead units.

Each function marks the nodes and edges of a view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import log10
from typing import Any

import numpy as np

from tinygrad_gm.backend import to_device

from .. import style
from ..graph.view import Edge, Operation, Variable, View

UNITS = "relu", "maximum", "clip", "leaky_relu"  # operations with units that can be off


def heat(view: View) -> None:
    """Mark variables with the size of their gradient, `rms`, and its place on a scale, `heat`.

    The size is the root mean square, which unlike a norm does not grow with the number of elements.
    The scale, from 0 to 1, is logarithmic, from the smallest to the largest finite size in the
    drawing (its `heat_range`); infinity is at the upper end. Zero and NaN are not on the scale, and
    neither is the initial gradient 1 of a root that no operation reads.
    """
    read = {edge.tail for edge in view.edges}
    for variable in view.variables:
        if variable.gradient is not None and variable.gradient.size:
            gradient = to_device(variable.gradient, "cpu")
            largest = float(abs(gradient).max())
            scaled = gradient / largest if 0 < largest < np.inf else gradient  # squares can vanish
            rms = float(np.sqrt(np.mean(np.square(scaled, dtype=float))))
            variable.marks["rms"] = rms * largest if 0 < largest < np.inf else rms
    placed = [v for v in view.variables if v.id in read or not v.is_root]
    hot = [v for v in placed if v.marks.get("rms", 0) > 0]
    finite = [v.marks["rms"] for v in hot if v.marks["rms"] < np.inf]
    if not finite:
        view.remarks.append("heat: no gradient is known, finite and different from zero")
        return
    low, high = min(finite), max(finite)
    for variable in hot:
        variable.marks["heat"] = warmth(variable.marks["rms"], low, high)
        variable.marks["heat_range"] = low, high
    view.remarks.append(
        "heat: the root mean square of the gradient on a logarithmic scale, "
        f"from {low:.2g} (pale) to {high:.2g} (full colour)".replace("-", "−")
    )


def warmth(size: float, low: float, high: float) -> float:
    """Return the place of a size on a logarithmic scale, from 0 to 1.

    >>> warmth(0.01, 1e-3, 1e-1), warmth(np.inf, 1e-3, 1e-1), warmth(2.0, 2.0, 2.0)
    (0.5, 1.0, 1.0)
    """
    if size >= high:
        return 1.0
    return max(log10(size) - log10(low), 0.0) / (log10(high) - log10(low))


def levels(low: float, high: float, count: int) -> list[str]:
    """Return the bounds of `count` equal steps of a logarithmic scale, as texts.

    >>> levels(1e-3, 1e-1, 2)
    ['0.001 … 0.01', '0.01 … 0.1']
    """
    start, end = log10(low), log10(high)
    inner = [10 ** (start + (end - start) * i / count) for i in range(1, count)]
    texts = [f"{bound:.2g}".replace("-", "−") for bound in (low, *inner, high)]
    return [f"{one} … {two}" for one, two in pairwise(texts)]


def nonfinite(view: View) -> None:
    """Mark the origin of NaN or infinity with `nonfinite` = "first", later nodes with "tainted".

    The origin is the first leaf with a NaN, or the first operation whose result has a NaN and no
    argument has one (or an infinity, likewise). Other such operations, and those that read a
    tainted result and are not finite themselves, are tainted. If the forward pass is finite, the
    same holds for the gradients that operations send in the backward pass.
    """
    if not _forward(view):
        _backward(view)


def _forward(view: View) -> bool:
    bad: set[str] = set()  # ids of marked variables
    for variable in view.variables:
        if variable.role in ("parameter", "constant") and _holds(np.isnan, variable.value):
            bad.add(variable.id)
            _mark(view, variable, f"{variable.name} itself holds NaN", not bad - {variable.id})
    for operation, arguments, results in view.calls():
        sources = [variable.value for _, variable in arguments.values()]
        fresh = any(_is_new(result.value, sources) for result in results)
        read = any(variable.id in bad for _, variable in arguments.values())
        wrong = [result for result in results if not _is_finite(result.value)]
        if wrong and (fresh or read):
            what = f"`{operation.op.name}` makes {_what(wrong[0].value)}"
            _mark(view, operation, f"{what} in {wrong[0].name}", not bad)
            for result in wrong:
                result.marks["nonfinite"] = "tainted"
                bad.add(result.id)
    return bool(bad)


def _backward(view: View) -> None:
    found = False
    for operation, arguments, results in reversed(view.calls()):
        wrong = [pair for pair in arguments.values() if not _is_finite(pair[0].contribution)]
        arrived = [result for result in results if not _is_finite(result.gradient)]
        if not wrong:
            continue
        edge, variable = wrong[0]
        sources = [result.gradient for result in results]
        if arrived or any(_is_new(edge.contribution, sources) for edge, _ in wrong):
            what = f"in the backward pass `{operation.op.name}` sends"
            what = f"{what} {_what(edge.contribution)} to {variable.name}"
            _mark(view, operation, what, not found)
            found = True
            for edge, variable in wrong:
                edge.marks["nonfinite"] = variable.marks["nonfinite"] = "tainted"


def _mark(view: View, part: Variable | Operation | Edge, what: str, first: bool) -> None:
    part.marks["nonfinite"] = "first" if first else "tainted"
    if first:
        view.remarks.append(f"first number that is not finite: {what}")


def _holds(kind: Callable[[Any], Any], value: Any) -> bool:
    """Return whether a number or array has floating elements of a kind, such as `np.isnan`."""
    array = np.asarray(to_device(value, "cpu") if hasattr(value, "dtype") else value)
    return array.dtype.kind == "f" and bool(kind(array).any())


def _is_finite(value: Any) -> bool:
    return not _holds(lambda array: ~np.isfinite(array), value)


def _is_new(value: Any, sources: Iterable[Any]) -> bool:
    """Return whether a value holds a NaN, or else an infinity, and none of its sources does."""
    if _is_finite(value):
        return False
    kind = np.isnan if _holds(np.isnan, value) else np.isinf
    return not any(_holds(kind, source) for source in sources)


def _what(array: Any) -> str:
    """Describe the first number that is not finite, with its index."""
    array = to_device(array, "cpu")
    wrong = np.isnan(array) if np.isnan(array).any() else np.isinf(array)
    place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), array.shape))
    text = style.number(array[place]).replace("+∞", "∞")
    return f"{text} at {list(place)}" if place else text


def dead_units(view: View) -> None:
    """Mark results of ReLU and similar operations with the number of `dead` units out of `units`.

    A unit is dead if it is zero for the whole batch of 2 or more examples. Units are along the last
    axis, of images (4 or more axes) along axis 1.
    """
    for operation, _, results in view.calls():
        value = results[0].value if results else None
        if operation.op.name not in UNITS or value is None or value.ndim < 2 or len(value) < 2:
            continue
        axis = 1 if value.ndim >= 4 else value.ndim - 1
        others = tuple(i for i in range(value.ndim) if i != axis)
        dead = int((~to_device(value, "cpu").any(axis=others)).sum())
        if dead:
            results[0].marks |= {"dead": dead, "units": value.shape[axis]}
