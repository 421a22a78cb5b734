"""The record: what a program leaves behind while it computes, and what `backward` and `viz` read.

A `Traced` is an array with its place in the record, a `Node` one operation. A node knows its
parents and not its own output, so there are no cycles, and a record is freed by reference counting.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from . import descriptions
from .backend import Array
from .modes import Frame

if TYPE_CHECKING:
    from .hooks import Hooks
    from .operation import Plan

next_moment = itertools.count(1).__next__
LARGE_CONSTANT = 4096  # elements; a larger constant is not held once backward has passed it
last_write = [0]  # the moment of the last write into any leaf


class Traced:
    """An array with its place in the record: a leaf (`node` is None) or an operation's result.

    `written` is the moment (a sequence number) of the last write into the array of a leaf.
    `hooks` and `source` (what a detached leaf shares its memory with) are set where there are any.
    """

    __slots__ = ("_data", "_grad", "_requires_grad", "hooks", "node", "source", "written")
    result: ClassVar[type[Traced]]  # the class of results: Tensor

    _data: Array
    _grad: Any  # a Tensor or None; `Tensor.grad` checks what is assigned
    _requires_grad: bool
    node: Node | None
    written: int
    hooks: Hooks
    source: Any

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
        mark_written([self])

    def owner(self) -> Traced:
        """The leaf that this is a detached alias of, while they share memory; else itself."""
        source = getattr(self, "source", None)
        leaf: Traced | None = source and source()
        return leaf if leaf is not None and leaf._data is self._data else self


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

    __repr__ = descriptions.of_node


class Dropped(NamedTuple):
    """Stands where a large constant stood until backward passed it."""

    shape: tuple[int, ...]
    dtype: Any


def wrap(data: Array, node: Node | None = None) -> Any:
    """A Tensor around an array: the result of `node`, or a constant."""
    tensor = _new(Traced.result)
    tensor._data = data
    tensor._grad = None
    tensor.node = node
    tensor.written = 0
    tensor._requires_grad = node is not None
    return tensor


def recorded(
    plan: Plan,
    parents: tuple[Any, ...],
    kept: tuple[Any, ...],
    params: tuple[Any, ...],
    place: Frame | None,
    data: Array,
) -> Any:
    """The result of an operation: `wrap(data, Node(…))`, without the calls, which cost most."""
    node = _new(Node)
    node.plan = plan
    node.parents = parents
    node.kept = kept
    node.params = params
    node.seq = next_moment()
    node.frame = place
    node.shape = data.shape
    node.dtype = data.dtype
    node.name = None
    tensor = _new(Traced.result)
    tensor._data = data
    tensor._grad = None
    tensor.node = node
    tensor.written = 0
    tensor._requires_grad = True
    return tensor


_new = object.__new__


def mark_written(tensors: Sequence[Traced]) -> None:
    """`mark_written` of each, at one moment."""
    last_write[0] = moment = next_moment()
    for tensor in tensors:
        tensor.written = moment
        if hasattr(tensor, "source"):
            tensor.owner().written = moment


@functools.lru_cache(maxsize=256)
def constant(value: float, dtype: Any) -> Array:
    """A number ≠ 0 as a 0-d array, of which NumPy makes a factor in half the time; 0 is also −0."""
    return np.array(value, dtype)


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


def check_unwritten(node: Node, kept: tuple[Any, ...]) -> None:
    """Refuse to go back through a node that reads a leaf's array, written since it was made."""
    plan = node.plan
    for slot in plan.read_slots:
        leaf = parent = node.parents[slot]
        while type(leaf) is Node and leaf.plan.op.view:  # a view shares its parent's memory
            leaf = leaf.parents[0]
        if not isinstance(leaf, Traced) or leaf.owner().written <= node.seq:
            continue
        if leaf is not parent and not plan.op.starred:
            array = kept[plan.kept.index(plan.op.arrays[slot])]
            if array is not leaf._data and array.flags.owndata:
                continue  # this time it was a copy, as with an array of indices
        raise RuntimeError(
            f"backward: the tensor of shape {leaf.shape} that `{plan.op.name}` read was "
            "written since; call backward() before the write, or compute the result again"
        )


def drop_large(node: Node, slots: Sequence[int]) -> None:
    """Let go of large constant arguments, which would be held as long as the record is."""
    dropped = {}
    for slot in slots:
        constant = node.parents[slot]
        array = constant._data if isinstance(constant, Traced) else constant
        if getattr(array, "size", 0) > LARGE_CONSTANT:
            dropped[slot] = Dropped(constant.shape, constant.dtype)
    if dropped:
        node.parents = tuple([dropped.get(slot, p) for slot, p in enumerate(node.parents)])


def kept_bytes(*roots: Any) -> int:
    """How much memory the record under `roots` holds for backward, in bytes.

    Counted are the arrays that nodes keep, several views of one array once. The arrays of leaves
    and constants belong to the program, which has them with or without a record.

    >>> x = tg.ones(1000, requires_grad=True)
    >>> y = tg.tanh(x * 2.0)  # × keeps no array, tanh its result
    >>> tg.record.kept_bytes(y)
    4000
    """
    nodes = nodes_of(*roots)
    owners = {id(array): array for arrays in kept_arrays(nodes).values() for array in arrays}
    return sum(int(array.nbytes) for array in owners.values())


def kept_arrays(nodes: Sequence[Node]) -> dict[Node, list[Array]]:
    """Per node the arrays it keeps that are not the program's own; of a view, what it looks at."""
    given = ((parent, node.dtype) for node in nodes for parent in node.parents)
    arrays = (constant(p, d) if type(p) is float and p else _array_of(p) for p, d in given)
    own = {id(array) for value in arrays for array in _owners(value)}
    kept = {node: _owners(node.kept) for node in nodes}
    return {node: [a for a in arrays if id(a) not in own] for node, arrays in kept.items()}


def _owners(value: Any) -> list[Array]:
    """The arrays in a value, each as the one that owns the memory."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in _owners(part)]
    if not (hasattr(value, "nbytes") and hasattr(value, "base")):
        return []
    while type(value.base) is type(value):
        value = value.base
    return [value]


def _array_of(source: Any) -> Any:
    return source._data if isinstance(source, Traced) else source


class Replayed(NamedTuple):
    """What a node had in the forward pass: its value, and what its rules read."""

    value: Array
    kept: tuple[Any, ...]


def replay(root: Traced, read: Callable[[Any], Any] = _array_of) -> dict[Node, Replayed]:
    """Run the forward functions again, oldest first, for the value of every node under `root`.

    `read` gives the array of a leaf or a constant: another than its own to try a change of it.

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
                args.append(read(parent))
        op = node.plan.op
        if op.part:
            values[node] = Replayed(args[0][node.params[0]], ())
            continue
        out, saved, data = op.run(args, node.params)
        arrays = [tuple(data)] if op.starred else data
        values[node] = Replayed(out, node.plan.keep((out, saved, *arrays, *node.params)))
    return values
