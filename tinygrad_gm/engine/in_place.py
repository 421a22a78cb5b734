"""Shared memory: writes into arrays that a rule still needs, and aliased gradients."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..backend import Array
from .record import Node, Traced, next_seq

last_write = [0]  # the sequence number of the last write into any leaf


def mark_written(tensors: Sequence[Traced]) -> None:
    """Increase the version of leaves, so that backward through their old values raises an error."""
    last_write[0] = version = next_seq()
    for tensor in tensors:
        tensor.version = version
        if hasattr(tensor, "source"):
            owner_of(tensor).version = version


def owner_of(tensor: Traced) -> Traced:
    """The leaf that a detached tensor aliases, while they share memory; else itself."""
    source = getattr(tensor, "source", None)
    leaf: Traced | None = source and source()
    return leaf if leaf is not None and leaf._data is tensor._data else tensor


def check_unwritten(node: Node, saved: tuple[Any, ...]) -> None:
    """Raise RuntimeError if a node reads the array of a leaf that was written since."""
    plan = node.plan
    for argnum in plan.read_argnums:
        leaf = parent = node.parents[argnum]
        while type(leaf) is Node and leaf.plan.op.view:  # a view shares its parent's memory
            leaf = leaf.parents[0]
        if not isinstance(leaf, Traced) or owner_of(leaf).version <= node.seq:
            continue
        if leaf is not parent and not plan.op.variadic:
            array = saved[plan.saved_names.index(plan.op.arrays[argnum])]
            if array is not leaf._data and array.flags.owndata:
                continue  # a copy in this case, as with an array of indices
        raise RuntimeError(
            f"backward: the tensor of shape {leaf.shape} that `{plan.op.name}` read was "
            "written since; call backward() before the write, or compute the result again"
        )


def may_alias(contribution: Any, values: Any) -> bool:
    """Whether a rule returned an array that its node saved; `values` may be their `identities`."""
    if type(values) is set:
        return id(contribution) in values
    for value in values:
        if contribution is value:
            return True
        if type(value) in (tuple, list) and may_alias(contribution, value):
            return True
    return False


def identities(values: Any) -> set[int]:
    """The ids of nested values, which many contributions are compared with."""
    nested = [identities(v) for v in values if type(v) in (tuple, list)]
    return {id(value) for value in values}.union(*nested)


def shares_buffer(array: Array) -> bool:
    """Whether a view's buffer has other users, or the view covers only part of it."""
    base = array.base
    alone = sys.getrefcount(base) == 3  # the view, the name `base`, and the call itself
    return not (alone and array.flags.writeable and getattr(base, "size", 0) == array.size)
