"""The graph as data: its variables, its operations, an edge per argument, and their numbers.

What `backward` walks is what is drawn: `look` reads the record of the roots. The numbers come from
the engine too: `replay` gives the value of every intermediate result, and one observed `Pass` every
gradient and what each edge contributed to it. Nobody's `.grad` is touched, and nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from tinygrad_gm.autograd import Pass
from tinygrad_gm.backend import Array, module_of
from tinygrad_gm.operation import Op
from tinygrad_gm.record import Dropped, Node, Replayed, Traced, nodes_of, replay, wrap

from .style import elided, literal, printable


@dataclass(eq=False)
class Variable:
    """A leaf, a constant or a result, with what is known of it; arrays are None where unknown."""

    id: str
    name: str
    role: str  # "parameter" (a leaf that requires a gradient), "constant", "number" or "result"
    shape: tuple[int, ...]
    dtype: Any
    value: Array = None
    gradient: Array = None  # of the roots' sum, in this graph
    stored: Array = None  # a leaf's `.grad`
    is_root: bool = False
    part: int | None = None  # which output of an operation with several


@dataclass(eq=False)
class Operation:
    """One recorded call."""

    id: str
    op: Op
    params: Mapping[str, Any]  # the static arguments


@dataclass(eq=False)
class Edge:
    """From a variable into an argument slot of an operation, or (slot None) from it to a result."""

    id: str
    tail: str
    head: str
    slot: int | None = None
    differentiable: bool = True  # does a gradient flow back along it
    local: str = ""  # the local derivative ∂result/∂argument as text
    upstream: Array = None  # what arrives at the operation from above
    contribution: Array = None  # what it sends back along this edge


@dataclass(eq=False)
class View:
    """Variables and operations in topological order, the edges between them, and remarks."""

    nodes: list[Variable | Operation] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def variables(self) -> list[Variable]:
        """The nodes that are variables."""
        return [node for node in self.nodes if isinstance(node, Variable)]

    @property
    def operations(self) -> list[Operation]:
        """The nodes that are operations."""
        return [node for node in self.nodes if isinstance(node, Operation)]


def look(roots: Sequence[Traced], names: Mapping[str, Traced]) -> View:
    """What the record holds under `roots`; `names` win over the names that tensors carry."""
    order = nodes_of(*roots)
    builder = _Builder(order, {tensor.node or tensor: name for name, tensor in names.items()})
    builder.derive(roots)
    for node in order:
        builder.add(node)
    for root in roots:
        builder.variable(root.node or root).is_root = True
    return builder.view


class _Builder:
    """Makes a View; variables are found again by their Node, their leaf or their array."""

    def __init__(self, order: list[Node], names: dict[Any, str]) -> None:
        self.view, self.names = View(), names
        self.found: dict[Any, Variable] = {}
        self.operations: dict[Node, Operation] = {}
        self.values: dict[Node, Replayed] = {}
        self.gradients: dict[Any, Array] = {}
        self.sent: dict[tuple[Node, int], tuple[Array, Array]] = {}
        leaves = (parent for node in order for parent in node.parents if isinstance(parent, Traced))
        keys = (*order, *leaves)
        self.taken = {name for key in keys if (name := self._given_name(key)) is not None}
        self.counts = dict.fromkeys("xct", 0)

    def derive(self, roots: Sequence[Traced]) -> None:
        """Ask the engine for every value, every gradient and every contribution."""

        def observe(node: Node, slot: int, upstream: Any, contribution: Any, total: Any) -> None:
            self.sent[node, slot] = upstream, contribution
            self.gradients[node.parents[slot]] = total

        live = [root for root in roots if root._requires_grad]
        seeds = [module_of(root._data).ones(root.shape, root.dtype) for root in live]
        try:
            with np.errstate(all="ignore"):
                for root in roots:
                    self.values |= replay(root)
                self.gradients = {
                    root.node or root: seed for root, seed in zip(live, seeds, strict=True)
                }
                walk = Pass(None, retain_graph=True, observer=observe, replayed=self.values)
                walk.start(live, [wrap(seed) for seed in seeds])
        except RuntimeError as refusal:
            self.gradients, self.sent = {}, {}
            reason = str(refusal).partition(": ")[2] or str(refusal)
            self.view.remarks.append(f"not all numbers can be shown: {reason}")

    def add(self, node: Node) -> None:
        """A node's operation with its arguments, and its result."""
        if node.plan.op.part:
            (whole,) = node.parents
            self._link(self.operations[whole], self.variable(node))
            return
        op = node.plan.op
        keys = [_key(node, slot) for slot in range(len(node.parents))]
        arguments = [
            None if parent is None else self.variable(key, parent, node.seq)
            for key, parent in zip(keys, node.parents, strict=True)
        ]
        params = dict(zip(op.names[op.arity :], node.params, strict=False))
        operation = Operation(self._new_id(), op, params)
        self.operations[node] = operation
        self.view.nodes.append(operation)
        result = None if op.outputs > 1 else self.variable(node)
        words = {
            name: argument.name
            for name, argument in zip(op.arrays, arguments, strict=False)
            if argument is not None and not op.starred
        }
        words |= {} if result is None else {"out": result.name}
        for slot, argument in enumerate(arguments):
            if argument is not None:
                self._argue(node, operation, slot, argument, words)
        if result is not None:
            self._link(operation, result)

    def variable(self, key: Any, source: Any = None, moment: float = inf) -> Variable:
        """The variable of a Node, a leaf or a constant, made when first asked for."""
        if key not in self.found:
            self.found[key] = self._make(key if source is None else source, moment)
            self.view.nodes.append(self.found[key])
        return self.found[key]

    def _make(self, source: Any, moment: float) -> Variable:
        identity, name = self._new_id(), self._given_name(source)
        if type(source) is Node:
            name, value = name or self._fallback("t"), self.values.get(source)
            result = Variable(identity, name, "result", source.shape, source.dtype)
            result.value = None if value is None else value.value
            result.gradient = self.gradients.get(source)
            result.part = source.params[0] if source.plan.op.part else None
            return result
        if isinstance(source, (bool, int, float, np.generic)):
            value = source.item() if isinstance(source, np.generic) else source
            return Variable(identity, literal(value), "number", (), None, value)
        role, letter = ("parameter", "x") if _is_parameter(source) else ("constant", "c")
        array = source if hasattr(source, "shape") else np.asarray(source)
        name = name or self._fallback(letter)
        leaf = Variable(identity, name, role, array.shape, array.dtype)
        if isinstance(source, Traced):
            leaf.value = source._data if source.written < moment else None
            leaf.gradient = self.gradients.get(source)
            leaf.stored = None if source.grad is None else source.grad._data
        elif not isinstance(source, Dropped):
            leaf.value = array
        return leaf

    def _argue(
        self, node: Node, operation: Operation, slot: int, tail: Variable, words: dict[str, str]
    ) -> None:
        flows = slot in node.plan.slots
        upstream, contribution = self.sent.get((node, slot), (None, None))
        self.view.edges.append(
            Edge(
                f"e_{operation.id}_{slot}",
                tail.id,
                operation.id,
                slot,
                flows,
                _local(node.plan.op, slot, words) if flows else "",
                upstream,
                contribution,
            )
        )

    def _link(self, operation: Operation, result: Variable) -> None:
        identity = f"e_{operation.id}_{result.id}"
        self.view.edges.append(Edge(identity, operation.id, result.id))

    def _new_id(self) -> str:
        return f"n{len(self.view.nodes)}"

    def _given_name(self, source: Any) -> str | None:
        if not isinstance(source, (Traced, Node)):
            return None
        name = self.names.get(source) or getattr(source, "name", None)
        return printable(str(name)) if name else None

    def _fallback(self, letter: str) -> str:
        while True:
            self.counts[letter] += 1
            name = f"{letter}{self.counts[letter]}"
            if name not in self.taken:
                return name


def _is_parameter(source: Any) -> bool:
    return isinstance(source, Traced) and source._requires_grad


def _key(node: Node, slot: int) -> Any:
    """What makes an argument the same variable: its identity; for a number also its place."""
    parent = node.parents[slot]
    if isinstance(parent, (Node, Traced)):
        return parent
    return id(parent) if hasattr(parent, "shape") and parent.shape else (node, slot)


def _local(op: Op, slot: int, words: Mapping[str, str]) -> str:
    """An operation's local derivative with the drawn variables' names for its parameters'."""
    texts = op.local[:1] * (slot + 1) if op.starred else op.local
    if slot >= len(texts):
        return ""
    parameters = "|".join(map(re.escape, words))

    def rename(match: re.Match[str]) -> str:
        factor, parameter = match.groups()
        name = elided(words[parameter], 12)
        name = name if re.fullmatch(r"[\w.…]+", name) else f"({name})"
        return f"{factor}·{name}" if factor and len(name) > 1 else factor + name

    pattern = rf"(?<![A-Za-z_])([0-9]?)({parameters})(?![A-Za-z_0-9])"
    return re.sub(pattern, rename, texts[slot]) if words else texts[slot]


