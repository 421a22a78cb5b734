"""Memory held by a graph: the arrays saved for backward, and large constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..backend import Array, constant
from .record import Node, Traced, topological_order

LARGE_CONSTANT = 4096  # elements; backward drops a larger constant once it has passed it


class Dropped(NamedTuple):
    """Placeholder of a large constant that backward has passed."""

    shape: tuple[int, ...]
    dtype: Any


def drop_large(node: Node, argnums: Sequence[int]) -> None:
    """Drop large constant arguments, which would otherwise live as long as the graph."""
    dropped = {}
    for argnum in argnums:
        value = node.parents[argnum]
        if getattr(array_of(value), "size", 0) > LARGE_CONSTANT:
            dropped[argnum] = Dropped(value.shape, value.dtype)
    if dropped:
        node.parents = tuple([dropped.get(i, parent) for i, parent in enumerate(node.parents)])


def saved_bytes(*roots: Any) -> int:
    """Return the memory that the graph of `roots` holds for backward, in bytes. It counts the
    arrays saved by nodes, several views of one array once. The arrays of leaves and constants
    belong to the program and are not counted.

    >>> from tinygrad_gm.engine.memory import saved_bytes
    >>> x = tg.ones(1000, requires_grad=True)
    >>> y = tg.tanh(x * 2.0)  # × saves no array, tanh its result
    >>> saved_bytes(y)
    4000
    """
    nodes = topological_order(*roots)
    owners = {id(array): array for arrays in saved_arrays(nodes).values() for array in arrays}
    return sum(int(array.nbytes) for array in owners.values())


def saved_arrays(nodes: Sequence[Node]) -> dict[Node, list[Array]]:
    """Per node the saved arrays that do not belong to the program; for a view, its base."""
    given = ((parent, node.dtype) for node in nodes for parent in node.parents)
    arrays = (constant(p, d) if type(p) is float and p else array_of(p) for p, d in given)
    own = {id(array) for value in arrays for array in _owners(value)}
    saved = {node: _owners(node.saved) for node in nodes}
    return {node: [a for a in arrays if id(a) not in own] for node, arrays in saved.items()}


def array_of(value: Any) -> Any:
    """The array of a Tensor; anything else itself."""
    return value._data if isinstance(value, Traced) else value


def _owners(value: Any) -> list[Array]:
    """The arrays in a value, each replaced by the owner of its memory."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in _owners(part)]
    if not (hasattr(value, "nbytes") and hasattr(value, "base")):
        return []
    while type(value.base) is type(value):
        value = value.base
    return [value]
