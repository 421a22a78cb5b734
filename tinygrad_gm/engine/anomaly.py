"""`detect_anomaly`: find the origin of a NaN or an infinity.

While it is on, `recording` holds None instead of True. That is false to the fast paths of the
operations, which then leave the call to the general one, and that one checks every result. Without
it there is no cost. The backward half is an observer of `Backward`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import module_of
from .modes import Mode, Scope, checking, is_grad_enabled, named, recording, scope
from .record import Node, Traced

if TYPE_CHECKING:
    from .op import Op

PACKAGE = __name__.partition(".")[0]


class Watch(Mode):
    """The mode of `detect_anomaly`, without NumPy's warnings: the error says more."""

    def __enter__(self) -> None:
        block = ExitStack()
        block.enter_context(np.errstate(divide="ignore", over="ignore", invalid="ignore"))
        block.enter_context(Mode(checking, True))
        enabled = is_grad_enabled() if self.value is None else self.value
        block.enter_context(Mode(recording, enabled))
        self.outer.append(block)

    def __exit__(self, *exception: object) -> None:
        self.outer.pop().close()

    def keep(self) -> None:
        self.value = is_grad_enabled()


@named
def detect_anomaly() -> Mode:
    """Stop with a RuntimeError at the first operation that makes a NaN or an infinity.

    The error names the operation, the argument and the line of the program: the nearest one outside
    the library, of which `tinygrad_gm.models` is no part. Forward, it is raised where a result
    holds a NaN, or holds an infinity and no argument does; backward, where a gradient does so that
    is sent to an argument. The line of a gradient is that of the forward call, so run both passes
    in the block. Nothing is checked under `no_grad`. Everything runs a few times slower: use it for
    debugging only.

    It is a context manager and a decorator.

    >>> x = tg.tensor([4.0, 0.0], requires_grad=True)
    >>> with tg.detect_anomaly():
    ...     tg.sqrt(x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: anomaly: the gradient of `sqrt` (called at ...) ... is inf at (1,), ...
    """
    return Watch(checking, None)


def check(op: Op, values: Sequence[Any], out: Any) -> Scope | None:
    """Raise for a result with a NaN or a new infinity; return the scope of the operation."""
    place = place_of_call()
    for part in out if isinstance(out, tuple) else (out,):
        found = _first(part, values)
        if found is not None:
            kind, index = found
            number = kind if kind == "nan" else f"{part[index]}"
            given = _given(op, values, part.shape, index)
            holds = [
                argnum for argnum, value in enumerate(values) if kind == "nan" and _has_nan(value)
            ]
            what = f"made {number}"
            if holds:
                name = op.argument_name(holds[0])
                what = f"was given nan in argument {holds[0]} ({name}) and gave nan"
            raise RuntimeError(
                f"anomaly: `{op.name}`{_at(place)} {what} at {index} of its result, from {given}"
            )
    return place


def watching(
    observer: Callable[[Node, int, Any, Any, Any], None] | None,
) -> Callable[[Node, int, Any, Any, Any], None]:
    """An observer of backward that raises for such gradients before calling `observer`."""

    def watch(node: Node, argnum: int, upstream: Any, contribution: Any, total: Any) -> None:
        arrived = [_array(g) for g in (upstream if isinstance(upstream, list) else [upstream])]
        sent = _array(contribution)
        found = _first(sent, arrived)
        if found is not None:
            kind, index = found
            above = "nan arrived from above" if any(map(_has_nan, arrived)) else _upstream(arrived)
            name = node.plan.op.argument_name(argnum)
            place = _at(node.scope).removeprefix(" at ")
            called = f"called at {place}" if place else "recorded outside detect_anomaly"
            raise RuntimeError(
                f"anomaly: the gradient of `{node.plan.op.name}` ({called}) in argument {argnum} "
                f"({name}) is {kind if kind == 'nan' else sent[index]} at "
                f"{index}, and {above}"
            )
        if observer is not None:
            observer(node, argnum, upstream, contribution, total)

    return watch


def place_of_call() -> Scope | None:
    """The current scope; while results are checked, one inside it with the program's line."""
    place = scope.get()
    if recording.get() is not None:
        return place
    caller = sys._getframe(1)
    while caller is not None and _is_library(caller):
        if caller.f_code.co_name == "_walk" and _module(caller) == f"{PACKAGE}.engine.backward":
            return place  # of a backward pass: the scope holds the line of the forward call
        caller = caller.f_back  # type: ignore[assignment]
    if caller is None:
        return place
    return Scope(f"{caller.f_code.co_filename}:{caller.f_lineno}", "line", place)


def _is_library(caller: Any) -> bool:
    package, _, rest = _module(caller).partition(".")
    return package == PACKAGE and rest.partition(".")[0] != "models"


def _module(caller: Any) -> str:
    return str(caller.f_globals.get("__name__", ""))


def _at(place: Scope | None) -> str:
    while place is not None and place.kind != "line":
        place = place.parent
    return "" if place is None else f" at {place.name}"


def _first(array: Any, sources: Sequence[Any]) -> tuple[str, tuple[int, ...]] | None:
    """Index of the first NaN in `array`, or infinity that is in none of the sources; else None."""
    xp = module_of(array)
    if array.dtype.kind != "f" or xp.isfinite(array).all():
        return None
    places = xp.isnan(array)
    kind = "nan" if places.any() else "inf"
    if kind == "inf":
        if not all(_is_finite(source) for source in sources):
            return None
        places = xp.isinf(array)
    position = int(places.reshape(-1).argmax())
    return kind, tuple(int(i) for i in np.unravel_index(position, array.shape))


def _is_finite(value: Any) -> bool:
    floats = _floats(value)
    return floats is None or bool(module_of(floats).isfinite(floats).all())


def _has_nan(value: Any) -> bool:
    floats = _floats(value)
    return floats is not None and bool(module_of(floats).isnan(floats).any())


def _floats(value: Any) -> Any:
    """A floating array, or a float as one; None for anything else."""
    if isinstance(value, float):
        return np.float64(value)
    return value if getattr(getattr(value, "dtype", None), "kind", "") == "f" else None


def _array(value: Any) -> Any:
    return value._data if isinstance(value, Traced) else value


def _given(op: Op, values: Sequence[Any], shape: Any, index: Any) -> str:
    """Describe the arguments: by value in elementwise operations, else by shape."""
    texts = []
    for argnum, value in enumerate(values):
        if value is not None:
            try:
                text = f"= {np.broadcast_to(value, shape)[index]}"
            except (TypeError, ValueError):
                text = f"of shape {np.shape(value)}"
            texts.append(f"argument {argnum} ({op.argument_name(argnum)}) {text}")
    return ", ".join(texts)


def _upstream(arrived: Sequence[Any]) -> str:
    largest = max(float(abs(g).max()) for g in arrived if g is not None and g.size)
    return f"what arrived from above is at most {largest:.3g}"
