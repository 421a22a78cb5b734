"""From arrays back to variables: what a rule or a twin reads when it runs on Tensors, recorded.

A node keeps plain arrays. To differentiate what is computed from them now, each is wrapped again
with the history that it had: the parent's node, or the leaf itself.
"""

from __future__ import annotations

from typing import Any

from .operation import parts_of
from .record import Node, Traced, wrap


def as_tensors(node: Node, kept: tuple[Any, ...], every_argument: bool = False) -> tuple[Any, ...]:
    """Kept arrays as Tensors with their history: the very variables of the forward pass.

    With `every_argument` the arguments of the node's operation and nothing else.
    """

    def revive(parent: Any, array: Any) -> Any:
        if isinstance(parent, (Traced, float)):
            return parent
        if type(parent) is Node:
            return wrap(array, parent)
        return array if array is None or isinstance(array, (int, float)) else wrap(array)

    op, tensors = node.plan.op, {}
    for name, value in zip(node.plan.kept, kept, strict=False):
        if name == "out":
            value = wrap(value, node) if op.outputs == 1 else parts_of(node, value)
        elif name == "saved" and not (op.closed or op.expands) and _floats_in(value):
            raise RuntimeError(
                f"create_graph: `{op.name}` saved numbers, whose own derivatives its rule does not "
                "know; give the operation a twin, or closed=True if they are constants"
            )
        elif name in op.arrays and op.starred:
            value = tuple(map(revive, node.parents, value))
        elif name in op.arrays:
            value = revive(node.parents[op.arrays.index(name)], value)
        tensors[name] = value
    if every_argument:
        return tensors[op.arrays[0]] if op.starred else tuple(tensors[name] for name in op.arrays)
    return (*tensors.values(), *kept[len(tensors) :])


def _floats_in(saved: Any) -> bool:
    values = saved if isinstance(saved, (tuple, list)) else (saved,)
    return any(hasattr(v, "dtype") and v.dtype.kind == "f" for v in values)
