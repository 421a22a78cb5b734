"""The modules of a view: a tree of their calls.

The record is in the order in which the program ran, so the operations of a call are consecutive:
each run of operations with the same path is one call. Drawn as one box it cannot close a cycle,
because every node between two operations of a call belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, islice

from ..graph.view import Edge, Group, Operation, Variable, View

Call = Operation | Group  # a node that is not a variable
LOOP = "loop"  # in place of a class: a plain loop, drawn by one of its steps
ID_LENGTH = 80  # characters of a path in an id


class Links:
    """The edges of a view by the id of a node, and the operation that made each result."""

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
            elif edge.head in self.variables:  # not from one closed group to another
                self.results.setdefault(edge.tail, []).append(edge)
                self.maker[edge.head] = edge.tail


@dataclass(eq=False)
class Module:
    """One call of a module; the root of the tree has no parent and stands for the whole program."""

    path: tuple[str, ...] = ()  # names from the outermost module inward; a model's own is ""
    kind: str = ""  # the class
    order: int = 0  # of differentiation: 0 forward, 1 the backward pass of the call, 2 …
    model: str = ""  # name of the outermost module
    call: tuple[int, int] = (1, 1)  # which call, of how many; zero or less: all, see `loops`
    parent: Module | None = None
    parts: list[Module | Call] = field(default_factory=list)  # in the order of the record
    id: str = ""

    @property
    def name(self) -> str:
        """The path as in the state dict, blocks.1.fc; of a model its name: net, Linear 2."""
        return ".".join(self.names) or self.model or self.kind

    @property
    def names(self) -> list[str]:
        """The names in its path, without those of models and loops."""
        around = [m.path[-1] for m in self.upward() if m.path and m.kind != LOOP]
        return [name for name in reversed(around) if name]

    @property
    def title(self) -> str:
        """The text of its frame: cell · 3 of 5, cell ×5, fc · Linear."""
        number, count = self.call
        if self.kind == LOOP:
            return f"{count:,} steps"
        if count > 1:
            return self.name + (f"  ×{count:,}" if number < 1 else f" · {number:,} of {count:,}")
        named = self.kind in (self.name, "") or not self.depth
        return self.name if named else f"{self.name} · {self.kind}"

    @property
    def depth(self) -> int:
        """The number of names in its path; 0 of a model."""
        return len(self.names)

    @cached_property
    def height(self) -> int:
        """The number of modules nested in it, of those with several operations."""
        inner = [part.height + 1 for part in self.parts if isinstance(part, Module)]
        return 0 if self.is_single else max([1, *inner])

    @cached_property
    def is_single(self) -> bool:
        """Whether it has one operation."""
        return sum(1 for _ in islice(self.operations(), 2)) == 1

    def operations(self) -> Iterator[Call]:
        """Yield all operations in it, including those of inner modules."""
        for part in self.parts:
            if isinstance(part, Module):
                yield from part.operations()
            else:
                yield part

    def modules(self) -> Iterator[Module]:
        """Yield the modules in it, outer before inner."""
        for part in self.parts:
            if isinstance(part, Module):
                yield part
                yield from part.modules()

    def upward(self) -> Iterator[Module]:
        """Yield this module and those around it, the innermost first."""
        module: Module | None = self
        while module is not None:
            yield module
            module = module.parent


class Tree:
    """The calls in a view: the root `top`, and by a node's id its innermost call, `home`."""

    def __init__(self, view: View) -> None:
        self.links, self.top = Links(view), Module()
        _grow(self.top, [node for node in view.nodes if not isinstance(node, Variable)])
        taken: set[str] = set()
        starts: dict[str, list[Module]] = {}  # by the first operation of calls
        self.home: dict[str, Module] = {}
        for module in (self.top, *self.top.modules()):
            if module is not self.top:
                module.id = _identity(module, taken)
                starts.setdefault(next(module.operations()).id, []).append(module)
            for part in module.parts:
                if not isinstance(part, Module):
                    self.home[part.id] = module
        self.home |= {result: self.home[maker] for result, maker in self.links.maker.items()}
        for leaf in view.variables:
            if leaf.id not in self.home:
                self.home[leaf.id] = self._home(leaf, starts) or self.top

    def _home(self, leaf: Variable, starts: dict[str, list[Module]]) -> Module | None:
        """Return the innermost call around all readers of a leaf, unless the leaf is its input.

        The inputs of the drawn model, and constants that the program names, are outside of all
        modules. Otherwise the record does not
        distinguish a module's input from a constant that it made, such as a mask: the first
        argument of its first operation is its input, and the second if it is an array of integers,
        the indices of an embedding. Attention's key and value are inputs too.
        """
        if leaf.is_input or (leaf.is_named and leaf.role == "constant"):
            return None
        edges = self.links.readings.get(leaf.id, [])
        chains = [list(self.home[edge.head].upward()) for edge in edges]
        shared = set(chains[0]).intersection(*chains) if chains else ()
        common = next((module for module in (chains or [[]])[0] if module in shared), None)
        if leaf.path or leaf.role == "number":
            return common
        first = (0, 1) if getattr(leaf.dtype, "kind", "") in "iu" else (0,)
        entered = [m for edge in edges if edge.argnum in first for m in starts.get(edge.head, ())]
        entered += [self.home[edge.head] for edge in edges if "roles" in edge.marks]
        while common is not None and common in entered:
            common = common.parent
        return common


def _grow(module: Module, parts: list[Call]) -> None:
    """Fill a call with its parts; each run of parts that shares a deeper path is an inner call."""
    level = len(module.path)

    def inner(part: Call) -> tuple[str, str, int, str, tuple[int, int]] | None:
        if len(part.path) <= level:
            return None
        name, kind = part.path[level], part.kinds[level]
        call = part.calls[level] if part.calls else (1, 1)  # not in older files
        return name, kind, part.order, "" if kind == LOOP else part.model, call

    for key, run in groupby(parts, inner):
        if key is None:
            module.parts += run
            continue
        name, kind, order, model, number = key
        call = Module((*module.path, name), kind, order, model, number, module)
        module.parts.append(call)
        _grow(call, list(run))


def _identity(module: Module, taken: set[str]) -> str:
    """Return `c_` and the path; from the second call of a module on with a number."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", module.name)[:ID_LENGTH]
    identity, count = f"c_{words}", 1
    while identity in taken:
        count += 1
        identity = f"c_{words}_{count}"
    taken.add(identity)
    return identity
