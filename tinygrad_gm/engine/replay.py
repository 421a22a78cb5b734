"""Replay of the forward pass: the value of every node of a graph, for drawings and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..backend import Array
from .call import compute
from .memory import Dropped, array_of
from .op import Op
from .record import Node, Traced, topological_order


class Replayed(NamedTuple):
    """The value of a node in the forward pass, and the arrays its rules read."""

    value: Array
    saved: tuple[Any, ...]


def replay(root: Traced, read: Callable[[Any], Any] = array_of) -> dict[Node, Replayed]:
    """Run the forward functions again, in topological order, for the value of every node.

    `read` returns the array of a leaf or a constant, possibly a modified one. Raises RuntimeError
    if a large constant was freed or a leaf was written since: the values would differ from those of
    the graph.
    """
    values: dict[Node, Replayed] = {}
    for node in topological_order(root):
        args = []
        for parent in node.parents:
            if isinstance(parent, Dropped):
                raise RuntimeError("replay: backward freed a large constant; draw before backward")
            if isinstance(parent, Traced) and parent.version > node.seq:
                raise RuntimeError("replay: values changed since: draw before the step")
            if type(parent) is Node:
                args.append(values[parent].value)
            else:
                args.append(read(parent))
        op = node.plan.op
        if op.is_part:
            values[node] = Replayed(args[0][node.params[0]], ())
            continue
        out, residuals, data = recompute(op, args, node.params)
        arrays = [tuple(data)] if op.variadic else data
        values[node] = Replayed(out, node.plan.save((out, residuals, *arrays, *node.params)))
    return values


def recompute(op: Op, args: list[Any], params: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
    """Run an operation on arrays, unrecorded: (results, residuals, the arrays as promoted)."""
    if op.run_again is not None:
        again: tuple[Any, Any, list[Any]] = op.run_again(args, params)
        return again
    return compute(op, args, params)
