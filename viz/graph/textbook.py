"""The record run again with every fused operation replaced by its decomposition.

A fused operation is one node; its decomposition is the same function composed of primitives. The
new record reads the same leaves and is used for drawing only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinygrad_gm.engine.memory import Dropped
from tinygrad_gm.engine.modes import Mode, Scope, checking, recording, scope, textbook_mode
from tinygrad_gm.engine.record import Node, Traced, topological_order

from .names import Found, key_of


def opened(
    roots: Sequence[Traced], names: Mapping[str, Traced], found: Found | None = None
) -> tuple[list[Traced], dict[str, Traced], Found]:
    """Compute the roots again with decompositions; return them, and all names in the new record.

    Operations without a decomposition are recorded unchanged. RuntimeError if a large constant was
    freed or a leaf was modified: the values would differ from those of the record.
    """
    made: dict[Node | None, Any] = {}
    calls: Counter[tuple[int, str]] = Counter()  # of an operation, by the id of its scope
    with Mode(checking, False), Mode(recording, True), Mode(textbook_mode, True):
        for node in topological_order(*roots):
            args = [_argument(node, parent, made) for parent in node.parents]
            if node.plan.op.is_part:
                made[node] = args[0][node.params[0]]
            elif node.plan.op.decomposition is None:
                with Mode(scope, node.scope):
                    given = [args] if node.plan.op.variadic else args
                    made[node] = node.plan.op.primitive(*given, *node.params)
            else:
                made[node] = _opened(node, args, calls)
            if node.name and isinstance(made[node], Traced) and made[node].node is not None:
                made[node].node.name = node.name
    moved = {name: made.get(tensor.node, tensor) for name, tensor in names.items()}
    found = found or Found()
    tensors = {key_of(made[k]) if k in made else k: name for k, name in found.tensors.items()}
    return [made.get(root.node, root) for root in roots], moved, replace(found, tensors=tensors)


def _opened(node: Node, args: list[Any], calls: Counter[tuple[int, str]]) -> Any:
    """Run the decomposition of a node's operation in a scope with its name, drawn as a frame."""
    op = node.plan.op
    calls[id(node.scope), op.name] += 1
    number = calls[id(node.scope), op.name]
    name = op.name if number == 1 else f"{op.name}_{number}"
    with Mode(scope, Scope(name, "opened", node.scope)):
        out = op.decomposition(*args, *node.params)
    return out[0] if op.outputs == 1 and isinstance(out, tuple) else out


def _argument(node: Node, parent: Any, made: Mapping[Node | None, Any]) -> Any:
    if isinstance(parent, Dropped):
        raise RuntimeError("textbook: backward freed a large constant; draw before backward")
    if isinstance(parent, Traced) and parent.version > node.seq:
        raise RuntimeError("textbook: values changed since: draw before the step")
    return made[parent] if type(parent) is Node else parent
