"""What is wrong with a training step: where gradients vanish, where NaN is born, which units died.

Each function looks at the numbers of a view and leaves marks on what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import log10
from typing import Any

import numpy as np

from tinygrad_gm.backend import to_device

from .. import style
from ..graph.view import Edge, Operation, Variable, View
from .jacobians import calls_of

UNITS = "relu", "maximum", "clip", "leaky_relu"  # operations that can switch a unit off


def heat(view: View) -> None:
    """Mark variables with the size of their gradient, `rms`, and its place on a scale, `heat`.

    The root mean square over the elements (unlike a norm it does not grow with their number). The
    scale, from 0 to 1, is logarithmic, from the smallest to the largest finite one in the drawing
    (its `heat_range`); infinity stands at its upper end. Zero and NaN have no place on it, nor has
    the 1 that a root begins with where no operation reads that root.
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
    """The place of a size on a logarithmic scale, from 0 to 1.

    >>> warmth(0.01, 1e-3, 1e-1), warmth(np.inf, 1e-3, 1e-1), warmth(2.0, 2.0, 2.0)
    (0.5, 1.0, 1.0)
    """
    if size >= high:
        return 1.0
    return max(log10(size) - log10(low), 0.0) / (log10(high) - log10(low))


def levels(low: float, high: float, count: int) -> list[str]:
    """The bounds of `count` equal steps of a logarithmic scale, as texts.

    >>> levels(1e-3, 1e-1, 2)
    ['0.001 … 0.01', '0.01 … 0.1']
    """
    start, end = log10(low), log10(high)
    inner = [10 ** (start + (end - start) * i / count) for i in range(1, count)]
    texts = [f"{bound:.2g}".replace("-", "−") for bound in (low, *inner, high)]
    return [f"{one} … {two}" for one, two in pairwise(texts)]


def nonfinite(view: View) -> None:
    """Mark where NaN or infinity comes from: `nonfinite` is "first" at one place, then "tainted".

    In the forward pass the first operation (or leaf) with a NaN in its result and in no argument,
    or an infinity where no argument has one; later ones, and what reads their results and is not
    finite, are tainted. Where the forward pass is clean, the first operation of the backward pass
    that sends such a gradient, and then all that hand it on.
    """
    if not _forward(view):
        _backward(view)


def _forward(view: View) -> bool:
    bad: set[str] = set()  # ids of marked variables
    for variable in view.variables:
        if variable.role in ("parameter", "constant") and _holds_nan(variable.value):
            bad.add(variable.id)
            _mark(view, variable, f"{variable.name} itself holds NaN", not bad - {variable.id})
    for operation, arguments, results in calls_of(view):
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
    for operation, arguments, results in reversed(calls_of(view)):
        wrong = [pair for pair in arguments.values() if not _is_finite(pair[0].contribution)]
        arrived = [result for result in results if not _is_finite(result.gradient)]
        if not wrong:
            continue
        edge, variable = wrong[0]
        sources = [result.gradient for result in results]
        if arrived or any(_is_new(edge.contribution, sources) for edge, _ in wrong):
            what = f"in the backward pass `{operation.op.name}` sends"
            _mark(
                view, operation, f"{what} {_what(edge.contribution)} to {variable.name}", not found
            )
            found = True
            for edge, variable in wrong:
                edge.marks["nonfinite"] = variable.marks["nonfinite"] = "tainted"


def _mark(view: View, part: Variable | Operation | Edge, what: str, first: bool) -> None:
    part.marks["nonfinite"] = "first" if first else "tainted"
    if first:
        view.remarks.append(f"first number that is not finite: {what}")


def _is_finite(array: Any) -> bool:
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    return kind != "f" or bool(np.isfinite(to_device(array, "cpu")).all())


def _holds_nan(value: Any) -> bool:
    if isinstance(value, float):
        return value != value
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return kind == "f" and bool(np.isnan(to_device(value, "cpu")).any())


def _holds_infinity(value: Any) -> bool:
    if not hasattr(value, "dtype"):
        return isinstance(value, float) and abs(value) == np.inf
    return value.dtype.kind == "f" and bool(np.isinf(to_device(value, "cpu")).any())


def _is_new(value: Any, sources: Iterable[Any]) -> bool:
    """Whether a value holds a NaN, or else an infinity, and none of its sources holds one."""
    if _is_finite(value):
        return False
    sources = list(sources)
    if _holds_nan(value):
        return not any(map(_holds_nan, sources))
    return not any(map(_holds_infinity, sources))


def _what(array: Any) -> str:
    """The first number that is not finite, and where it stands."""
    array = to_device(array, "cpu")
    wrong = np.isnan(array) if np.isnan(array).any() else np.isinf(array)
    place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), array.shape))
    text = style.number(array[place]).replace("+∞", "∞")
    return f"{text} at {list(place)}" if place else text


def dead_units(view: View) -> None:
    """Mark the results of ReLU and its like with units that are zero for the whole batch.

    `dead` is their number, `units` that of all. Units lie along the last axis, those of images
    (4 and more axes) along axis 1; a batch is 2 examples or more.
    """
    for operation, _, results in calls_of(view):
        value = results[0].value if results else None
        if operation.op.name not in UNITS or value is None or value.ndim < 2 or len(value) < 2:
            continue
        axis = 1 if value.ndim >= 4 else value.ndim - 1
        others = tuple(i for i in range(value.ndim) if i != axis)
        dead = int((~to_device(value, "cpu").any(axis=others)).sum())
        if dead:
            results[0].marks |= {"dead": dead, "units": value.shape[axis]}
