"""Names for what a program gave no name: those of its variables.

`loss = …; viz.draw(loss)` draws a card "loss". A tensor in a list is `xs[2]`, and so is a constant
that is a slice of an array: the input of one step of a loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_gm.engine.record import Traced
from tinygrad_gm.nn import Module

LONGEST = 100  # elements of a list that are named

Names = Mapping[str, Any] | Iterable[tuple[str, Any]] | bool | None  # the argument of `draw`


@dataclass(eq=False)
class Found:
    """The variables of a program, by what they hold.

    The first of several names counts, but a variable's own before that of an element of a list.
    """

    tensors: dict[Any, str] = field(default_factory=dict)  # by Node, by leaf, or by id of an array
    models: dict[int, str] = field(default_factory=dict)  # by id of a Module
    wholes: dict[int, list[tuple[str, Any]]] = field(default_factory=dict)  # by id of the memory

    def add(self, name: str, value: Any) -> None:
        """Add a variable."""
        if isinstance(value, Module):
            self.models.setdefault(id(value), name)
        elif isinstance(value, (Traced, np.ndarray)):
            array = value._data if isinstance(value, Traced) else value
            known = self.tensors.setdefault(key_of(value), name)
            if "[" in known and "[" not in name:
                self.tensors[key_of(value)] = name
            if isinstance(array, np.ndarray) and array.ndim:
                self.wholes.setdefault(id(_memory(array)), []).append((name, array))

    def name(self, source: Any) -> str | None:
        """Return the name of a Node, a leaf or an array; None if no variable holds it."""
        key = id(source) if isinstance(source, np.ndarray) else source
        if key in self.tensors:
            return self.tensors[key]
        array = source._data if isinstance(source, Traced) else source
        if not isinstance(array, np.ndarray):
            return None
        known = self.wholes.get(id(_memory(array)), [])
        known = sorted(known, key=lambda pair: "[" in pair[0])
        slices = (f"{name}[{place}]" for name, whole in known for place in _places(array, whole))
        return next(slices, None)


def key_of(tensor: Any) -> Any:
    """Return the key of a tensor or an array in a view: its Node, else itself, or the id."""
    return (tensor.node or tensor) if isinstance(tensor, Traced) else id(tensor)


def named(names: Names, variables: Mapping[str, Any]) -> tuple[dict[str, Traced], Found]:
    """Return the names that the caller gives, and those of its variables.

    Args:
        names: names of tensors; None: only those of the variables; False: neither.
        variables: the caller's variables.

    Raises:
        TypeError: `names` is neither a mapping, nor pairs, nor None, nor False.
    """
    found = Found()
    if names is False:
        return {}, found
    try:
        given: dict[str, Any] = {} if names is None else dict(names)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"names: expected {{name: tensor}}, pairs (name, tensor), None or False, got "
            f"{names!r:.60}"
        ) from error
    public = {  # no `_`, and no name that only a tool of Python can write
        name: value
        for name, value in variables.items()
        if name.isidentifier() and not name.startswith("_")
    }
    for name, value in [*given.items(), *public.items()]:
        for part, held in _parts(name, value):
            found.add(part, held)
    return {name: value for name, value in given.items() if isinstance(value, Traced)}, found


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a variable with its name, and the elements of a list."""
    yield name, value
    if isinstance(value, (list, tuple)) and len(value) <= LONGEST:
        yield from ((f"{name}[{place}]", part) for place, part in enumerate(value))
    elif isinstance(value, dict) and len(value) <= LONGEST:
        yield from ((f"{name}[{key!r}]", part) for key, part in value.items())


def _memory(array: Any) -> Any:
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _places(part: Any, whole: Any) -> Iterator[str]:
    """Yield the index of a slice across one axis of an array: "2" or ":, 2"."""
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    for axis in range(whole.ndim if part.ndim == whole.ndim - 1 else 0):
        others = [other for other in range(whole.ndim) if other != axis]
        if part.shape != tuple(whole.shape[other] for other in others):
            continue
        stride = whole.strides[axis]
        same = part.strides == tuple(whole.strides[other] for other in others)
        if same and stride and start % stride == 0 and 0 <= start // stride < whole.shape[axis]:
            yield ":, " * axis + str(start // stride)
