"""The record: what a program leaves behind while it computes, and what `backward` and `viz` read.

A `Traced` is an array with its place in the record, a `Node` one operation. A node knows its
parents and not its own output, so there are no cycles, and a record is freed by reference counting.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from .backend import Array
from .modes import Frame

if TYPE_CHECKING:
    from .operation import Plan

next_moment = itertools.count(1).__next__
last_write = [0]  # the moment of the last write into any leaf


class Traced:
    """An array with its place in the record: a leaf (`node` is None) or an operation's result.

    `written` is the moment (a sequence number) of the last write into the array of a leaf.
    """

    __slots__ = ("_data", "_requires_grad", "grad", "node", "written")
    result: ClassVar[type[Traced]]  # the class of results: Tensor

    _data: Array
    grad: Any  # a Tensor or None
    _requires_grad: bool
    node: Node | None
    written: int

    __hash__ = object.__hash__  # by identity, though == compares elementwise

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def dtype(self) -> Any:
        """The NumPy dtype of the elements."""
        return self._data.dtype

    def mark_written(self) -> None:
        """Note that the array changed, so that backward through its old values can refuse."""
        self.written = last_write[0] = next_moment()


class Node:
    """One recorded operation. It refers to its parents and never to its own output: no cycles."""

    __slots__ = ("dtype", "frame", "kept", "name", "params", "parents", "plan", "seq", "shape")

    def __init__(
        self,
        plan: Plan,
        parents: tuple[Any, ...],  # for each argument a Node, a leaf, or a constant as passed
        kept: tuple[Any, ...] | None,  # what the plan's rules read; None once backward freed it
        params: tuple[Any, ...],
        frame: Frame | None,
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        self.plan = plan  # one by one: a tuple of four on each side takes twice the time
        self.parents = parents
        self.kept = kept
        self.params = params
        self.seq = next_moment()
        self.frame = frame
        self.shape = shape
        self.dtype = dtype
        self.name: str | None = None


class Dropped(NamedTuple):
    """Stands where a large constant stood until backward passed it."""

    shape: tuple[int, ...]
    dtype: Any


def wrap(data: Array, node: Node | None = None) -> Any:
    """A Tensor around an array: the result of `node`, or a constant."""
    tensor = _new(Traced.result)
    tensor._data = data
    tensor.grad = None
    tensor.node = node
    tensor.written = 0
    tensor._requires_grad = node is not None
    return tensor


_new = object.__new__


def nodes_of(*roots: Any, newer_than: int = 0) -> list[Node]:
    """Every node that the roots (Tensors or Nodes) depend on, oldest first: a topological order."""
    stack = [root.node if isinstance(root, Traced) else root for root in roots]
    found: dict[int, Node] = {}
    while stack:
        node = stack.pop()
        if type(node) is Node and node.seq > newer_than and node.seq not in found:
            found[node.seq] = node
            stack.extend(node.parents)
    return [found[seq] for seq in sorted(found)]


class Replayed(NamedTuple):
    """What a node had in the forward pass: its value, and what its rules read."""

    value: Array
    kept: tuple[Any, ...]


def replay(root: Traced) -> dict[Node, Replayed]:
    """Run the forward functions again, oldest first, for the value of every node under `root`.

    Raises RuntimeError, with the reason, where a large constant was freed or a leaf was written
    since: the values would not be those of the record.
    """
    values: dict[Node, Replayed] = {}
    for node in nodes_of(root):
        args = []
        for parent in node.parents:
            if isinstance(parent, Dropped):
                raise RuntimeError("replay: backward freed a large constant; draw before backward")
            if isinstance(parent, Traced) and parent.written > node.seq:
                raise RuntimeError("replay: values changed since: draw before the step")
            if type(parent) is Node:
                args.append(values[parent].value)
            else:
                args.append(parent._data if isinstance(parent, Traced) else parent)
        op = node.plan.op
        if op.part:
            values[node] = Replayed(args[0][node.params[0]], ())
            continue
        out, saved, data = op.run(args, node.params)
        arrays = [tuple(data)] if op.starred else data
        values[node] = Replayed(out, node.plan.keep((out, saved, *arrays, *node.params)))
    return values
