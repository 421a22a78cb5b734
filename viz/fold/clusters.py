"""The modules of a view: a tree of their calls, and the clusters and ports that show it.

The record is in the order in which a program ran, a topological order, and a call's operations
stand together in it. So each stretch of operations with the same path is one call, and drawn as one
box it cannot close a circle: whatever lies between two operations of a call belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from ..graph.view import Edge, Group, Operation, Variable, View

Call = Operation | Group  # what is not a variable
ID_LENGTH = 80  # letters of a path in an id


class Links:
    """Who is connected to whom in a view, by id."""

    def __init__(self, view: View) -> None:
        self.variables = {variable.id: variable for variable in view.variables}
        self.arguments: dict[str, list[Edge]] = {}  # into an operation
        self.results: dict[str, list[Edge]] = {}  # out of it
        self.readings: dict[str, list[Edge]] = {}  # out of a variable
        self.maker: dict[str, str] = {}
        for edge in view.edges:
            if edge.tail in self.variables:
                self.arguments.setdefault(edge.head, []).append(edge)
                self.readings.setdefault(edge.tail, []).append(edge)
            elif edge.head in self.variables:  # not from a closed group right into a call
                self.results.setdefault(edge.tail, []).append(edge)
                self.maker[edge.head] = edge.tail


@dataclass(eq=False)
class Module:
    """One call of a module; the tree's top has no parent and stands for the whole program."""

    path: tuple[str, ...] = ()  # names from the outermost module inward; a model's own is ""
    kind: str = ""  # the class
    order: int = 0  # of differentiation: 0 forward, 1 the backward pass of the call, 2 …
    model: int = 0  # which of the outermost modules of that name and class
    parent: Module | None = None
    parts: list[Module | Call] = field(default_factory=list)  # in the order in which they ran
    id: str = ""

    @property
    def name(self) -> str:
        """As in the state dict: blocks.1.fc; a model's own is its class: Linear, Linear 2."""
        number = f" {self.model + 1}" if self.model else ""
        return ".".join(filter(None, self.path)) or self.kind + number

    @property
    def depth(self) -> int:
        """How many named modules there are from the model to this one; a model's own is 0."""
        return sum(map(bool, self.path))

    def operations(self) -> Iterator[Call]:
        """All operations in it, also those of the modules in it."""
        for part in self.parts:
            if isinstance(part, Module):
                yield from part.operations()
            else:
                yield part

    def modules(self) -> Iterator[Module]:
        """The modules in it, each before those in it."""
        for part in self.parts:
            if isinstance(part, Module):
                yield part
                yield from part.modules()


@dataclass(eq=False)
class Tree:
    """The calls of a view, and for each node's id the innermost call that it belongs to."""

    top: Module
    home: dict[str, Module]


def tree(view: View, links: Links) -> Tree:
    """The calls of modules in a view."""
    top = Module()
    _grow(top, [node for node in view.nodes if not isinstance(node, Variable)])
    taken: set[str] = set()
    for module in top.modules():
        module.id = _identity(module, taken)
    home = {
        part.id: module
        for module in (top, *top.modules())
        for part in module.parts
        if not isinstance(part, Module)
    }
    home |= {result: home[maker] for result, maker in links.maker.items()}
    starts = _starts(top)
    for leaf in view.variables:
        if leaf.id not in home:
            home[leaf.id] = _home(leaf, links.readings.get(leaf.id, []), home, starts) or top
    return Tree(top, home)


def _grow(module: Module, parts: list[Call]) -> None:
    """Fill a call with its parts, and each stretch of them that shares a deeper path, a call."""
    level = len(module.path)

    def inner(part: Call) -> tuple[str, str, int, int] | None:
        deeper = len(part.path) > level
        return (part.path[level], part.kinds[level], part.order, part.model) if deeper else None

    for key, stretch in groupby(parts, inner):
        if key is None:
            module.parts += stretch
            continue
        name, kind, order, model = key
        call = Module((*module.path, name), kind, order, model, module)
        module.parts.append(call)
        _grow(call, list(stretch))


def _identity(module: Module, taken: set[str]) -> str:
    """`c_` and the path; the second call of a module gets a number behind it."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", module.name)[:ID_LENGTH]
    identity, count = f"c_{words}", 1
    while identity in taken:
        count += 1
        identity = f"c_{words}_{count}"
    taken.add(identity)
    return identity


def _starts(top: Module) -> dict[str, list[Module]]:
    """For the id of a call's first operation that call; of several, all."""
    starts: dict[str, list[Module]] = {}
    for module in top.modules():
        starts.setdefault(next(module.operations()).id, []).append(module)
    return starts


def _home(
    leaf: Variable, edges: list[Edge], home: dict[str, Module], starts: dict[str, list[Module]]
) -> Module | None:
    """The innermost call around all that read a leaf; that call's own input stays outside of it.

    What the drawn model was called with is outside of all. Otherwise the record does not tell a
    module's input from a constant that it made (a mask, say): the first operation's first argument
    is the input, in all that people write, and so are the indices of an embedding, the second.
    """
    if leaf.is_input:
        return None
    chains = [list(upward(home[edge.head])) for edge in edges]
    shared = set(chains[0]).intersection(*chains) if chains else ()
    common = next((module for module in (chains or [[]])[0] if module in shared), None)
    if leaf.path or leaf.role == "number":
        return common
    first = (0, 1) if getattr(leaf.dtype, "kind", "") in "iu" else (0,)
    entered = [m for edge in edges if edge.argnum in first for m in starts.get(edge.head, ())]
    while common is not None and common in entered:
        common = common.parent
    return common


def upward(module: Module) -> Iterator[Module]:
    """A module, and those around it."""
    inner: Module | None = module
    while inner is not None:
        yield inner
        inner = inner.parent
