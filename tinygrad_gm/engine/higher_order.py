"""Derivatives of derivatives: rules and decompositions that run on Tensors. A node saves plain
arrays. To differentiate with respect to them, each is wrapped again with its history: the parent's
node, or the leaf itself. A fused operation has a *decomposition*, the same function composed of
primitives. To differentiate it twice, backward runs the decomposition, recorded, and continues into
its nodes.
"""

from __future__ import annotations

from typing import Any

from ..backend import module_of
from .decompositions import decompose
from .modes import Mode, Scope, checking, recording, scope
from .op import vocabulary
from .record import Node, Traced, wrap
from .results import wrap_parts


def as_tensors(node: Node, saved: tuple[Any, ...], every_argument: bool = False) -> tuple[Any, ...]:
    """Saved arrays as Tensors with their history: the variables of the forward pass.

    With `every_argument` the arguments of the node's operation and nothing else.
    """

    def revive(parent: Any, array: Any) -> Any:
        if isinstance(parent, (Traced, float)):
            return parent
        if type(parent) is Node:
            return wrap(array, parent)
        return array if array is None or isinstance(array, (int, float)) else wrap(array)

    op, tensors = node.plan.op, {}
    for name, value in zip(node.plan.saved_names, saved, strict=False):
        if name == "out":
            value = wrap(value, node) if op.outputs == 1 else wrap_parts(value, node)
        elif name == "residuals" and not (op.closed or op.expands) and _floats_in(value):
            raise RuntimeError(
                f"create_graph: `{op.name}` has floating residuals, whose derivatives its rule "
                "does not know; give the operation a decomposition, or closed=True if they are "
                "constants"
            )
        elif name in op.arrays and op.variadic:
            value = tuple(map(revive, node.parents, value))
        elif name in op.arrays:
            value = revive(node.parents[op.arrays.index(name)], value)
        tensors[name] = value
    if every_argument:
        return tensors[op.arrays[0]] if op.variadic else tuple(tensors[name] for name in op.arrays)
    return (*tensors.values(), *saved[len(tensors) :])


def record_decomposition(node: Node, saved: tuple[Any, ...], checks: bool) -> tuple[Traced, ...]:
    """Run the decomposition of a node's operation on its arguments, recorded; return the results.

    With `checks` the results are checked as under `detect_anomaly`.
    """
    op = node.plan.op
    args = as_tensors(node, saved, every_argument=True)
    place = Scope(op.name, "expanded", node.scope)
    with Mode(checking, checks), Mode(recording, True), Mode(scope, place):
        out = decompose(op, args, node.params)
    return out if isinstance(out, tuple) else (out,)


def with_node(seed: Any) -> Any:
    """Record a seed that is itself a variable: leaves copy seeds, but not results of nodes."""
    leaf = seed._requires_grad and seed.node is None
    return vocabulary(None).multiply(seed, 1.0) if leaf else seed


def with_zeros(node: Node, parts: list[Any]) -> list[Any]:
    """The gradients of several results, zeros for a result that was not used."""
    known = next(part for part in parts if part is not None)
    traced = isinstance(known, Traced)
    xp = module_of(known._data if traced else known)

    def nothing(shape: Any, dtype: Any) -> Any:
        zeros = xp.zeros(shape, dtype)
        return wrap(zeros) if traced else zeros

    facts = zip(parts, node.shape, node.dtype, strict=True)
    return [nothing(*fact) if part is None else part for part, *fact in facts]


def _floats_in(residuals: Any) -> bool:
    values = residuals if isinstance(residuals, (tuple, list)) else (residuals,)
    return any(hasattr(v, "dtype") and v.dtype.kind == "f" for v in values)
