"""The record of a computation, which `backward` and `viz` read.

Holds `Traced` (an array with its place in the record), `Node` (one recorded operation) and the
topological order. Does not hold when a call is recorded (`call.py`) or the walk back through the
record (`backward.py`).

A node knows its parents and not its own output, so the record has no reference cycles: it is freed
by reference counting as soon as the program drops its result.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from ..backend import Array
from .descriptions import of_node
from .modes import Scope
from .op import Plan

if TYPE_CHECKING:
    from .hooks import Hooks

next_seq = itertools.count(1).__next__  # sequence numbers: of nodes, and of writes into leaves


class Traced:
    """An array with its place in the record: a leaf (`node` is None) or an operation's result.

    `version` is the sequence number of the last write into the array of a leaf. `hooks` and
    `source` (the tensor whose memory a detached alias shares) exist only where they are needed.
    """

    __slots__ = ("_data", "_grad", "_requires_grad", "hooks", "node", "source", "version")
    result: ClassVar[type[Traced]]  # the class of results; `tensor.py` sets it to Tensor

    _data: Array
    _grad: Any  # a Tensor or None; `Tensor.grad` checks what is assigned
    _requires_grad: bool
    node: Node | None
    version: int
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


class Node:
    """One recorded operation."""

    __slots__ = ("dtype", "name", "params", "parents", "plan", "saved", "scope", "seq", "shape")

    def __init__(
        self,
        plan: Plan,
        parents: tuple[Any, ...],  # per argument: a Node, a leaf, or a constant as it was passed
        saved: tuple[Any, ...] | None,  # what the plan's rules read; None once backward freed it
        params: tuple[Any, ...],  # the static arguments
        scope: Scope | None,  # the modules that were being called
        shape: Any,  # of the result; a tuple of shapes where there are several results
        dtype: Any,
    ) -> None:
        self.plan = plan
        self.parents = parents
        self.saved = saved
        self.params = params
        self.seq = next_seq()
        self.scope = scope
        self.shape = shape
        self.dtype = dtype
        self.name: str | None = None

    __repr__ = of_node


def wrap(data: Array, node: Node | None = None) -> Any:
    """A Tensor around an array: the result of `node`, or a constant."""
    tensor = _new(Traced.result)
    tensor._data = data
    tensor._grad = None
    tensor.node = node
    tensor.version = 0
    tensor._requires_grad = node is not None
    return tensor


_new = object.__new__


def topological_order(*roots: Any, newer_than: int = 0) -> list[Node]:
    """Every node that the roots (Tensors or Nodes) depend on, each after all of its parents."""
    stack = [root.node if isinstance(root, Traced) else root for root in roots]
    found: dict[int, Node] = {}
    while stack:
        node = stack.pop()
        if type(node) is Node and node.seq > newer_than and node.seq not in found:
            found[node.seq] = node
            stack.extend(node.parents)
    return [found[seq] for seq in sorted(found)]
