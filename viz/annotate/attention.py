"""Attention modules: which of their inputs are query, key and value.

Self-attention reads one tensor three times, and projects it by one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ..graph.view import Operation, View

ROLES = "query", "key", "value"


def tell(view: View) -> None:
    """Mark the edges into the projections of attention modules with `roles`, words of ROLES."""
    edges = {(edge.head, edge.argnum): edge for edge in view.edges}
    for inside, call in groupby(view.operations, _is_direct):
        linear = [operation for operation in call if operation.op.name == "linear"]
        known: dict[int, list[tuple[str, ...]]] = {1: [ROLES], 3: [(role,) for role in ROLES]}
        for operation, roles in zip(linear, known.get(len(linear), []), strict=False):
            if inside:
                edges[operation.id, 0].marks["roles"] = roles


def _is_direct(operation: Operation) -> bool:
    """Return whether attention itself computes an operation, and no module in it."""
    return operation.kinds[-1:] == ("MultiheadAttention",) and not operation.order


def words(roles: Iterable[str]) -> str:
    """Return the text for the roles of one tensor.

    >>> words(("key", "value"))
    'key = value'
    """
    return " = ".join(roles)
