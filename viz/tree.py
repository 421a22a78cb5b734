"""A graph as text: `print(viz.tree(loss))`.

Each line is an operation; its inputs follow below, as one line or as branches. A node that several
operations read is written once and referenced by its number. Loops and modules of a large graph are
rolled and closed as in a drawing.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tinygrad_gm.engine.record import Traced

from .fold.clusters import Links
from .fold.collapse import rolled, smaller
from .fold.loops import looped
from .graph.names import Names, named
from .graph.view import Edge, Group, Operation, Variable, View, look
from .style import elided, printable

CONTINUED = {"├─ ": "│  ", "└─ ": "   ", "": ""}  # prefix of lines below a branch
COLUMNS, LINES = 100, 60  # of a terminal; more lines are too many to read


def tree(t: Traced, names: Names = None, fit: int | None = COLUMNS) -> str:
    """Return the record of a tensor as text, from the result down to the leaves.

    Args:
        t: a Tensor.
        names: names of tensors, as in `draw`: {"weight": w}, `model.named_parameters()` or
            `locals()`; without a name that of the caller's variable, unless False.
        fit: a number of columns. Longer lines are shortened. A text of more than 60 lines, or with
            branches over a third of the columns, has loops rolled and modules closed, and says so
            in its last line. None: nothing is left out.

    Returns:
        One line per node, with operation, constants, shape and dtype. `·` is an argument
        on a line below, `[1]` a node that is read more than once, `↺` the result of the step
        before in a loop.

    Raises:
        TypeError: t is not a Tensor, or `names` has no names.

    >>> w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> h = (w * 3.0).tanh()
    >>> print(viz.tree((h * h).sum()))
    sum(·)  () float32
    multiply(·, ·)  (2,) float32
    ├─ [1] h = tanh(·)  (2,) float32
    │  multiply(·, 3.0)  (2,) float32
    │  w  (2,) float32, leaf
    └─ [1] h, above
    """
    if not isinstance(t, Traced):
        raise TypeError(f"viz.tree: t must be a Tensor, not a {type(t).__name__}")
    given, found = named(names, sys._getframe(1).f_locals)
    view = look([t], given, found=found, numbers=False)
    if fit is None:
        return "\n".join(before + text for before, text in _Writer(view).lines())
    for drawn in _views(view):
        lines = list(_Writer(drawn, fit).lines())
        if len(lines) < LINES and max(len(before) for before, _ in lines) <= fit // 3:
            break
    texts = [before + elided(text, max(fit - len(before), 10)) for before, text in lines]
    if drawn is not view:
        count = f"{len(drawn.nodes):,} of {len(view.nodes):,} nodes"
        texts.append(f"({count}; fit=None writes all)")
    return "\n".join(texts)


def _views(view: View) -> Iterator[View]:
    """Yield views with more and more closed."""
    yield view
    loops = looped(view)
    yield loops
    yield rolled(loops)
    yield from smaller(loops)


class _Writer:
    """Writes the lines of one view, shortened to a number of columns."""

    def __init__(self, view: View, fit: int | None = None) -> None:
        self.links, self.fit = Links(view), fit
        self.nodes = {node.id: node for node in view.nodes}
        self.root = next(node.id for node in view.nodes if getattr(node, "is_root", False))
        self.arguments: dict[str, list[Edge]] = {}  # by operation
        for edge in view.edges:
            if not isinstance(self.nodes[edge.head], Variable):
                self.arguments.setdefault(edge.head, []).append(edge)
        self.reads = Counter(
            self.item(edge.tail) for name in self.arguments for edge in self.branches(name)
        )
        self.reads.update(name for v, name in self.links.maker.items() if self.is_part(v))
        self.numbers: dict[str, int] = {}

    def item(self, name: str) -> str:
        """Return the node that a line is about: an operation for its only result."""
        maker = self.links.maker.get(name, name)
        return name if maker == name or self.is_part(name) else maker

    def is_part(self, name: str) -> bool:
        """Return whether a node is one of several results."""
        node = self.nodes[name]
        return isinstance(node, Variable) and node.part is not None

    @staticmethod
    def has_line(node: Any) -> bool:
        """Return whether an argument has its own line: a result, a variable, a named constant."""
        if not isinstance(node, Variable):
            return True
        return node.role in ("result", "parameter") or (node.is_named and node.role != "number")

    def branches(self, name: str) -> list[Edge]:
        """Return the edges into an operation that have a line."""
        edges = self.arguments.get(name, ())
        return [e for e in edges if "loop" in e.marks or self.has_line(self.nodes[e.tail])]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the lines, from the root down: the signs of the branches, and the text."""
        waiting = [(self.item(self.root), "", "", "")]
        seen: set[str] = set()
        while waiting:  # a stack, not recursion: a record may be deep
            name, lead, branch, back = waiting.pop()
            if back and name not in seen and self.is_part(name):
                name = self.links.maker[name]
            number = f"[{self.number(name)}] " if self.reads[name] > 1 or back else ""
            if back:
                yield lead + branch, f"↺ {number}{back}"
                continue
            if name in seen:
                yield lead + branch, f"{number}{self.short(name)}, above"
                continue
            seen.add(name)
            text = number + self.line(name)
            if self.fit is not None and len(lead + branch + text) > self.fit:
                text = number + self.line(name, is_short=True)
            yield lead + branch, text
            lead += CONTINUED[branch]
            below = list(self.below(name))
            signs = [""] if len(below) == 1 else ["├─ "] * (len(below) - 1) + ["└─ "]
            rows = zip(below, signs, strict=False)
            waiting += [(part, lead, sign, words) for (part, words), sign in rows][::-1]

    def number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers) + 1)

    def below(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the nodes below a node, and for a recurrence its text."""
        if self.is_part(name):
            yield self.links.maker[name], ""
        for edge in self.branches(name):
            words = ""
            if "loop" in edge.marks:
                loop = edge.marks["loop"]
                words = ", ".join(filter(None, [loop["name"], f"{loop['steps']:,} steps"]))
            yield self.item(edge.tail), words

    # ------------------------------------------------------------------------------- texts

    def results(self, name: str) -> list[Variable]:
        """Return the results of an operation."""
        return [self.links.variables[edge.head] for edge in self.links.results.get(name, ())]

    def short(self, name: str) -> str:
        """Return the name of a node: its own, else that of its operation."""
        node = self.nodes[name]
        if isinstance(node, Variable):
            return node.name if _is_named(node) else "tensor"
        own = [result.name for result in self.results(name) if _is_named(result)]
        return own[0] if len(own) == 1 else _operation(node)

    def line(self, name: str, is_short: bool = False) -> str:
        """Return the line of a node; a short one has no static arguments."""
        node = self.nodes[name]
        if isinstance(node, Variable):
            facts = f"{node.shape} {node.dtype}"
            own = f"{node.name} = " if _is_named(node) else ""
            if node.part is not None:
                return f"{own}output {node.part} of  {facts}"
            return f"{self.short(name)}  {facts}, {'leaf' if _is_leaf(node) else 'constant'}"
        results = self.results(name)
        own = f"{results[0].name} = " if len(results) == 1 and _is_named(results[0]) else ""
        own = "" if results and results[0].part is not None else own
        if isinstance(node, Group):
            return own + self.closed(node)
        static = list(_static(node))
        arguments = [*self.read(node), *(["…"] * bool(static) if is_short else static)]
        facts = ", ".join(f"{result.shape} {result.dtype}" for result in results)
        return f"{own}{node.op.name}({', '.join(arguments)})  {facts}"

    def read(self, operation: Operation) -> Iterator[str]:
        """Yield the texts of the arguments of an operation, each slot once."""
        slots = {edge.argnum: edge for edge in reversed(self.arguments.get(operation.id, ()))}
        for _, edge in sorted(slots.items()):
            yield self.argument(self.nodes[edge.tail])

    def argument(self, variable: Any) -> str:
        if self.has_line(variable):
            return "·"
        if variable.role == "number":
            return variable.name if "…" in variable.name else repr(variable.value)
        return f"{variable.dtype} {variable.shape}"

    def closed(self, group: Group) -> str:
        """Return the text of a closed module, a stack of equal ones, or a run of operations."""
        times = f" ×{group.count:,}" if group.count > 1 else ""
        kind = f" · {group.kind}" if group.kind != group.name else ""
        kind = " operations" if group.kind == "operations" else kind
        reads = ", ".join("·" for _ in self.branches(group.id))
        facts = ", ".join(map(str, group.shapes[1]))
        learned = f", {group.parameters:,} parameters" if group.parameters else ""
        return f"{printable(group.name)}{times}{kind}({reads})  {facts}{learned}"


def _is_named(variable: Variable) -> bool:
    return variable.is_named or variable.learned


def _is_leaf(variable: Variable) -> bool:
    return variable.role == "parameter"


def _operation(node: Any) -> str:
    return node.op.name if isinstance(node, Operation) else printable(node.name)


def _static(operation: Operation) -> Iterator[str]:
    """Yield the static arguments of an operation that differ from their defaults."""
    op = operation.op
    usual = dict(zip(op.names[op.arity :], op.defaults[op.arity :], strict=False))
    for key, value in operation.params.items():
        if key not in usual or value is not usual[key]:
            yield f"{key}={value!r}"
