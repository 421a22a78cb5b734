"""The graph as data: its variables, its operations, an edge per argument, and their numbers.

`look` reads the record of the roots, which `backward` walks. `replay` computes the values of the
intermediate results, and an observed `Backward` the gradients and the contribution of each edge; no
`.grad` changes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np

from tinygrad_gm.backend import Array, module_of
from tinygrad_gm.engine.backward import Backward
from tinygrad_gm.engine.memory import Dropped
from tinygrad_gm.engine.modes import Scope
from tinygrad_gm.engine.op import Op
from tinygrad_gm.engine.record import Node, Traced, topological_order, wrap
from tinygrad_gm.engine.replay import Replayed, replay
from tinygrad_gm.nn.parameter import Parameter

from ..style import elided, literal, operand, printable, sum_of_squares
from .names import Found, key_of


@dataclass(eq=False, kw_only=True)
class Part:
    """The common fields of nodes and edges: their origin, and the marks of annotations."""

    path: tuple[str, ...] = ()  # names of the modules around it, outermost first; a model's is ""
    kinds: tuple[str, ...] = ()  # their classes
    calls: tuple[tuple[int, int], ...] = ()  # which call of each, of how many by the module around
    model: str = ""  # the outermost module: its variable, or its class and a number
    where: str = ""  # "file:line" in the user's program, if recorded
    order: int = 0  # of differentiation: 0 forward, 1 in a gradient rule of a backward pass, 2 …
    marks: dict[str, Any] = field(default_factory=dict)  # of annotations: {"heat": 0.7}

    @property
    def place(self) -> dict[str, Any]:
        """The fields other than marks."""
        names = ("path", "kinds", "calls", "model", "where", "order")
        return {name: getattr(self, name) for name in names}


@dataclass(eq=False)
class Variable(Part):
    """A leaf, a constant or a result; unknown arrays are None."""

    id: str
    name: str
    role: str  # "parameter" (a leaf that requires a gradient), "constant", "number" or "result"
    shape: tuple[int, ...]
    dtype: Any
    value: Array = None
    gradient: Array = None  # of the roots' sum, in this graph
    stored: Array = None  # a leaf's `.grad`
    is_root: bool = False
    part: int | None = None  # number among the outputs of its operation, if there are several
    learned: bool = False  # whether it is an nn.Parameter
    is_input: bool = False  # whether it is an input of the drawn model
    is_named: bool = False  # whether the program gave it its name

    @cached_property
    def gradient_squares(self) -> float:
        """The sum of the squares of its gradient."""
        return sum_of_squares(self.gradient)


@dataclass(frozen=True)
class Signature:
    """The facts of an operation that a drawing needs."""

    name: str
    symbol: str


@dataclass(eq=False)
class Operation(Part):
    """One recorded call."""

    id: str
    op: Op  # or, without its rules, a Signature
    params: Mapping[str, Any]  # the static arguments
    call: str = ""  # the call as source text, and the summary of the operation


@dataclass(eq=False)
class Group(Part):
    """Several operations drawn as one node: a module, or consecutive operations."""

    id: str
    name: str  # the module's path, or the repeated operations
    kind: str  # the module's class; "operations" outside of a module
    count: int  # number of equal copies
    hidden: int  # number of operations
    parameters: int  # elements of the parameters that only it reads
    shapes: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]  # of inputs, outputs
    gradients: list[float] = field(default_factory=list)  # RMS per copy; NaN where unknown


@dataclass(eq=False)
class Edge(Part):
    """From a variable to an argument of an operation, or (argnum None) from it to a result."""

    id: str
    tail: str
    head: str
    argnum: int | None = None
    differentiable: bool = True  # whether backward computes a contribution along it
    local: str = ""  # the local derivative ∂result/∂argument as text
    upstream: Any = None  # upstream gradient of the operation: an array, or one per output
    contribution: Array = None  # to the gradient of the tail


@dataclass(eq=False)
class View:
    """Variables and operations in topological order, the edges between them, and remarks."""

    nodes: list[Variable | Operation | Group] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    ids: dict[Any, str] = field(default_factory=dict)  # of the variable of each Node and leaf
    put_off: list[Callable[[list[Operation]], None]] = field(default_factory=list)  # annotations

    def complete(self) -> None:
        """Run the annotations that were put off, for the operations of this view."""
        for annotate in self.put_off:
            annotate(self.operations)

    @property
    def variables(self) -> list[Variable]:
        """The variables among the nodes."""
        return [node for node in self.nodes if isinstance(node, Variable)]

    @property
    def operations(self) -> list[Operation]:
        """The operations among the nodes."""
        return [node for node in self.nodes if isinstance(node, Operation)]

    def calls(self) -> list[tuple[Operation, Arguments, list[Variable]]]:
        """Return every operation with its arguments and its results."""
        variables = {variable.id: variable for variable in self.variables}
        arguments: dict[str, Arguments] = {operation.id: {} for operation in self.operations}
        results: dict[str, list[Variable]] = {operation.id: [] for operation in self.operations}
        for edge in self.edges:
            if edge.argnum is None:
                results[edge.tail].append(variables[edge.head])
            else:
                arguments[edge.head][edge.argnum] = edge, variables[edge.tail]
        return [(each, arguments[each.id], results[each.id]) for each in self.operations]


Arguments = dict[int, tuple[Edge, Variable]]  # by argnum: the edge and its tail
NO_MODULES = "line", "backward", "expanded"  # kinds of scopes


def look(
    roots: Sequence[Traced],
    names: Mapping[str, Traced],
    inputs: Iterable[Traced] = (),
    found: Found | None = None,
    numbers: bool = True,
) -> View:
    """Return the view of the record of `roots`.

    Args:
        roots: the tensors to differentiate.
        names: names of tensors; they override `.name`.
        inputs: the tensors that a model was called with.
        found: names of variables, for tensors and models without a name.
        numbers: whether to compute values of intermediate results and gradients.
    """
    order = topological_order(*roots)
    given = {key_of(tensor): name for name, tensor in names.items()}
    builder = _Builder(order, given, found or Found())
    if not any(root._requires_grad for root in roots):
        builder.view.remarks.append(
            "no operation is recorded: no input requires a gradient, or it ran under no_grad()"
        )
    if numbers:
        builder.derive(roots)
    for node in order:
        builder.add(node)
    for root in roots:
        builder.variable(root.node or root).is_root = True
    for tensor in inputs:
        if (tensor.node or tensor) in builder.variables:
            builder.variables[tensor.node or tensor].is_input = True
    builder.tell_apart()
    builder.count_calls()
    return builder.view


class _Builder:
    """Makes a View; the key of a variable is its Node, its leaf or the id of its array."""

    def __init__(self, order: list[Node], names: dict[Any, str], found: Found) -> None:
        self.view, self.names, self.found = View(), names, found
        self.variables: dict[Any, Variable] = {}
        self.operations: dict[Node, Operation] = {}
        self.values: dict[Node, Replayed] = {}
        self.gradients: dict[Any, Array] = {}
        self.sent: dict[tuple[Node, int], tuple[Array, Array]] = {}
        leaves = (parent for node in order for parent in node.parents if isinstance(parent, Traced))
        self.taken = {self.given_name(source) for source in (*order, *leaves)}
        self.counts = dict.fromkeys("xct", 0)
        self.pass_order = 0  # order of the backward pass that recorded the last node
        self.models: dict[int, str] = {}  # by the id of a module's reference in the record
        self.alike: Counter[str] = Counter()
        self.numbers: dict[int, int] = {}  # of calls of one module by one around, by id of a scope
        self.called: dict[tuple[int, int], list[int]] = {}  # the ids of these scopes, in order

    def derive(self, roots: Sequence[Traced]) -> None:
        """Compute all values, gradients and contributions by the engine."""

        def observe(node: Node, argnum: int, upstream: Any, contribution: Any, total: Any) -> None:
            self.sent[node, argnum] = upstream, contribution
            self.gradients[node.parents[argnum]] = total

        live = [root for root in roots if root._requires_grad]
        seeds = [wrap(module_of(root._data).ones(root.shape, root.dtype)) for root in live]
        try:
            for root in roots:
                self.values |= replay(root)
            for root, seed in zip(live, seeds, strict=True):
                self.gradients[root.node or root] = seed._data
            walk = Backward(None, retain_graph=True, observer=observe, replayed=self.values)
            walk.run(live, seeds)
        except RuntimeError as refusal:
            self.gradients, self.sent = {}, {}
            reason = re.sub("^(replay|backward): ", "", str(refusal))
            self.view.remarks.append(f"not all numbers can be shown: {reason}")

    def add(self, node: Node) -> None:
        """Add a node's operation with its arguments, and its result."""
        op = node.plan.op
        if op.is_part:
            self.link(self.operations[node.parents[0]], self.variable(node))
            return
        place = self.place(node.scope)
        arguments = {
            argnum: self.variable(_key(node, argnum), parent, node)
            for argnum, parent in enumerate(node.parents)
            if parent is not None
        }
        params = dict(zip(op.names[op.arity :], node.params, strict=False))
        if place["order"]:  # a rule of a forward operation run in a later pass has its order
            self.pass_order = max(self.pass_order, place["order"])
            place["order"] = max(self.pass_order, *(v.order for v in arguments.values()))
        elif node.scope is None or node.scope.kind != "expanded":
            self.pass_order = 0  # a forward operation after a backward pass
        operation = self.operations[node] = Operation(
            self.new_id(), op, params, _call(op, params), **place
        )
        self.view.nodes.append(operation)
        words = {"out": self.variable(node).name} if op.outputs == 1 else {}
        if not op.variadic:
            words = {op.arrays[argnum]: arguments[argnum].name for argnum in arguments} | words
        for argnum, argument in arguments.items():
            edge = Edge(f"e_{operation.id}_{argnum}", argument.id, operation.id, argnum, **place)
            edge.differentiable = argnum in node.plan.argnums
            edge.local = _local(op, argnum, words) if edge.differentiable else ""
            edge.upstream, edge.contribution = self.sent.get((node, argnum), (None, None))
            self.view.edges.append(edge)
        if op.outputs == 1:
            result = self.variable(node)
            result.order = operation.order
            self.link(operation, result)

    def link(self, operation: Operation, result: Variable) -> None:
        """Add the edge from an operation to a result."""
        identity = f"e_{operation.id}_{result.id}"
        self.view.edges.append(Edge(identity, operation.id, result.id, **operation.place))

    def variable(self, key: Any, source: Any = None, reader: Node | None = None) -> Variable:
        """Return the variable of a Node, a leaf or a constant; add it at the first call.

        The value of a leaf that was modified after its `reader` ran is unknown.
        """
        if key not in self.variables:
            source = key if source is None else source
            if type(source) is Node:
                variable = self.result(source)
            else:
                variable = self.leaf(source, None if reader is None else reader.scope)
            self.variables[key] = variable
            self.view.ids[key] = variable.id
            if isinstance(source, Traced) and reader and source.version > reader.seq:
                variable.value = None
            self.view.nodes.append(variable)
        elif reader is not None and type(source) is not Node:
            variable = self.variables[key]
            place = self.place(reader.scope)
            here = zip(variable.path, variable.calls, strict=True)
            pairs = zip(here, zip(place["path"], place["calls"], strict=True), strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            variable.path, variable.kinds = variable.path[:shared], variable.kinds[:shared]
            variable.calls = variable.calls[:shared]
        return self.variables[key]

    def result(self, node: Node) -> Variable:
        """Return the variable of the result of an operation, or of one of its outputs."""
        given = self.given_name(node)
        name, place = given or self.new_name("t"), self.place(node.scope)
        variable = Variable(self.new_id(), name, "result", node.shape, node.dtype, **place)
        variable.is_named = given is not None
        variable.value = self.values[node].value if node in self.values else None
        variable.gradient = self.gradients.get(node)
        variable.part = node.params[0] if node.plan.op.is_part else None
        return variable

    def leaf(self, source: Any, frame: Scope | None) -> Variable:
        """Return the variable of a tensor or a constant that is no result of an operation.

        A parameter or a constant belongs to the module that reads it, in the scope `frame`; other
        tensors are outside of all modules.
        """
        place = self.place(frame) | {"where": ""}
        if isinstance(source, (bool, int, float, np.generic)):
            value = source.item() if isinstance(source, np.generic) else source
            return Variable(self.new_id(), literal(value), "number", (), None, value, **place)
        if not isinstance(source, Traced):
            array = source if hasattr(source, "shape") else np.asarray(source)
            facts = "constant", array.shape, array.dtype
            value = None if isinstance(source, Dropped) else array
            given = self.given_name(array)
            constant = Variable(self.new_id(), given or self.new_name("c"), *facts, value, **place)
            constant.is_named = given is not None
            return constant
        role, letter = ("parameter", "x") if source._requires_grad else ("constant", "c")
        given = self.given_name(source)
        name = given or self.new_name(letter)
        variable = Variable(self.new_id(), name, role, source.shape, source.dtype, source._data)
        variable.is_named = given is not None
        if isinstance(source, Parameter):
            variable.learned, variable.model = True, place["model"]
            variable.path, variable.kinds = place["path"], place["kinds"]
            variable.calls = place["calls"]
            if source not in self.names:
                variable.name = ".".join(filter(None, (*variable.path, name)))
        variable.gradient = self.gradients.get(source)
        variable.stored = None if source._grad is None else source._grad._data
        return variable

    def place(self, frame: Scope | None) -> dict[str, Any]:
        """Return the fields of a Part that was recorded in a scope."""
        modules: list[Scope] = []
        where, order = "", 0
        while frame is not None:
            if frame.kind == "line":
                where = where or printable(frame.name)
            elif frame.kind == "backward":
                order += 1
            elif frame.kind not in NO_MODULES:
                modules.append(frame)
            frame = frame.parent
        path = tuple(printable(module.name) for module in reversed(modules))
        kinds = tuple(printable(module.kind) for module in reversed(modules))
        calls = tuple((self.call(module), 0) for module in reversed(modules))
        return {
            "path": path,
            "kinds": kinds,
            "calls": calls,
            "model": self.model(modules[-1]) if modules else "",
            "where": where,
            "order": order,
        }

    def call(self, frame: Scope) -> int:
        """Return the number of a call among all calls; `count_calls` replaces it."""
        if id(frame) not in self.numbers:
            around = frame.parent
            while around is not None and around.kind in NO_MODULES:
                around = around.parent
            held = frame if frame.module is None else frame.module
            self.called.setdefault((id(around), id(held)), []).append(len(self.numbers))
            self.numbers[id(frame)] = len(self.numbers)
        return self.numbers[id(frame)]

    def count_calls(self) -> None:
        """Replace the number of each call by that among the calls of its module by one around."""
        found = {
            number: (place, len(alike))
            for alike in self.called.values()
            for place, number in enumerate(alike, 1)
        }
        for part in (*self.view.nodes, *self.view.edges):
            part.calls = tuple(found[number] for number, _ in part.calls)

    def model(self, outermost: Scope) -> str:
        """Return the name of a model's variable; without one its class: Linear, Linear 2."""
        reference = outermost.module
        key = id(outermost if reference is None else reference)
        if key not in self.models:
            held = None if reference is None else reference()
            name = self.found.models.get(id(held), "")
            if not name:
                self.alike[outermost.kind] += 1
                number = self.alike[outermost.kind]
                name = f"{outermost.kind} {number}" if number > 1 else outermost.kind
            self.models[key] = printable(name)
        return self.models[key]

    def tell_apart(self) -> None:
        """Put its model in front of a parameter's name that a parameter of another model has."""
        models: dict[str, set[str]] = {}
        learned = [leaf for leaf in self.view.variables if leaf.learned]
        for leaf in learned:
            models.setdefault(leaf.name, set()).add(leaf.model)
        for leaf in learned:
            if len(models[leaf.name]) > 1 and leaf.model:
                leaf.name = f"{leaf.model}.{leaf.name}"

    def new_id(self) -> str:
        """Return the id of the next node."""
        return f"n{len(self.view.nodes)}"

    def given_name(self, source: Any) -> str | None:
        """Return the name given by the caller, by the tensor or by a variable."""
        name = self.names.get(source) if isinstance(source, (Node, Traced)) else None
        name = name or getattr(source, "name", None) or self.found.name(source)
        return printable(str(name)) if name else None

    def new_name(self, letter: str) -> str:
        """Return a letter with the next number that makes an unused name."""
        while True:
            self.counts[letter] += 1
            name = f"{letter}{self.counts[letter]}"
            if name not in self.taken:
                return name


def _call(op: Op, params: Mapping[str, Any]) -> str:
    """Return the call as source text, and the summary of the operation."""
    plain = (bool, int, float, str, tuple, slice, type(None))  # the repr of others may vary
    given = (f"{k}={elided(repr(v), 40)}" for k, v in params.items() if isinstance(v, plain))
    summary = (op.forward.__doc__ or "").strip().partition("\n")[0]
    return printable(f"{op.name}({', '.join([*op.arrays, *given])}): {summary}".rstrip(": "))


def _key(node: Node, argnum: int) -> Any:
    """Return the key of an argument's variable: its identity; a number has one per argument."""
    parent = node.parents[argnum]
    if isinstance(parent, (Node, Traced)):
        return parent
    return id(parent) if hasattr(parent, "shape") and parent.shape else (node, argnum)


WRITTEN = 12  # characters of a name in a local derivative


def _local(op: Op, argnum: int, words: Mapping[str, str]) -> str:
    """Return an operation's local derivative with the names of the drawn variables."""
    texts = op.local[:1] * (argnum + 1) if op.variadic else op.local
    if argnum >= len(texts):
        return ""
    parameters = "|".join(map(re.escape, words))

    def rename(match: re.Match[str]) -> str:
        factor, parameter = match.groups()
        name = words[parameter]
        if len(name) > WRITTEN or name[:1].isdigit():
            name = elided(name.rpartition(".")[2], WRITTEN)
        if match.group() != texts[argnum]:
            name = operand(name)
        sign = " " if factor == "²" else "·"  # tanh² t1, but 2·t1
        return f"{factor}{sign}{name}" if factor and len(name) > 1 else factor + name

    pattern = rf"(²|(?<![A-Za-z_])[0-9]?)({parameters})(?![A-Za-z_0-9])"
    return re.sub(pattern, rename, texts[argnum]) if words else texts[argnum]


# ----------------------------------------------------------------------------- cuts by detach

DETACH: Any = Signature("detach", "detach")


def show_detached(view: View) -> None:
    """Add an operation between each detached constant and the tensor whose memory it shares.

    Its edges are dashed: they contribute to no gradient. A tensor outside of the graph is drawn
    without its own inputs.
    """
    variables = {variable.id: variable for variable in view.variables}
    for tensor, identity in list(view.ids.items()):
        source = getattr(tensor, "source", None) if isinstance(tensor, Traced) else None
        origin = None if source is None else source()
        if origin is None or origin._data is not tensor._data:
            continue
        alias = variables[identity]
        key = origin.node or origin
        if key not in view.ids:
            view.ids[key] = f"n{len(view.nodes)}"
            view.nodes.insert(0, _outside(origin, view.ids[key], alias.name))
        view.nodes.remove(alias)
        place = [node.id for node in view.nodes].index(view.ids[key]) + 1
        cut = Operation(f"n{len(view.nodes) + 1}", DETACH, {}, "detach(x): x as a constant")
        _settle(cut, view, place)
        view.nodes[place:place] = [cut, alias]
        view.edges += [
            Edge(f"e_{cut.id}_0", view.ids[key], cut.id, 0, differentiable=False),
            Edge(f"e_{cut.id}_{identity}", cut.id, identity, differentiable=False),
        ]


def _outside(origin: Any, identity: str, alias: str) -> Variable:
    """Return the variable of a tensor outside of the graph."""
    role = "parameter" if origin._requires_grad and origin.node is None else "constant"
    name = origin.name or f"origin of {alias}"
    return Variable(identity, name, role, origin.shape, origin.dtype, origin._data)


def _settle(cut: Operation, view: View, place: int) -> None:
    """Set the path of an operation to the modules shared by the one before and the one after."""
    before = [node for node in view.nodes[:place] if not isinstance(node, Variable)][-1:]
    behind = [node for node in view.nodes[place:] if not isinstance(node, Variable)][:1]
    if before and behind and before[0].order == behind[0].order:
        if before[0].model == behind[0].model:
            rows = [zip(p.path, p.kinds, p.calls, strict=True) for p in before + behind]
            same = [a for a, b in takewhile(lambda p: p[0] == p[1], zip(*rows, strict=False))]
            cut.path, cut.kinds, cut.calls = zip(*same, strict=True) if same else ((), (), ())
            cut.model = before[0].model
        cut.order = before[0].order
