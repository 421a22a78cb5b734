"""Small boxes for the details "shapes" and "values": one for an operation together with its result.

The box of an operation names its result, the parameters that only it reads, and the shape. With
numbers a second line has value and gradient: of one element themselves, of several the root mean
square. Constant numbers stand in the title: `× 0.5`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from math import isfinite, nan
from typing import Any

from .. import style
from ..annotate.attention import words
from ..fold.clusters import Links, Tree
from ..fold.contraction import together
from ..graph.view import Edge, Group, Operation, Variable, View
from ..themes import Theme
from .figure import (
    ALL_ROOTS,
    LEADING,
    NAME_LENGTH,
    Box,
    Entry,
    Figure,
    Line,
    Writer,
    card_title,
    mark_classes,
    with_place,
)
from .recurrence import fields_of
from .tables import EXPLANATION, joined

ROOM = 4.0  # points around the texts of a box
NOTE_LENGTH = 24  # characters of a line of parameters
TITLE_WIDTH = 32  # characters of a line of a title
WRITTEN_SYMBOL = 3  # characters: a longer symbol, or that of a convolution, is replaced by the name


def compact(view: View, theme: Theme, numbers: bool, tables: bool = False) -> Figure:
    """Return the figure of a view with small boxes, with or without values and gradients.

    With `tables` the operations of a straight chain share a box.
    """
    writer = SmallWriter(view, theme, numbers)
    boxes = [box for box in map(writer.box, view.nodes) if box is not None]
    lines = list(writer.lines())
    if tables:
        boxes, lines = joined(boxes, lines, writer.tree, writer.entries)
    wide = {line.head: line.width for line in lines if line.tail == line.head}
    boxes = [  # as wide as the text of a line to itself
        replace(box, width=max(box.width, wide.get(box.id, 0.0))) if box.shape == "pill" else box
        for box in boxes
    ]
    caption = [writer.explanation()] if numbers else []
    caption += [EXPLANATION] * any(box.table for box in boxes)
    caption += view.remarks
    legend = writer.legend() if numbers else ()
    return Figure(tuple(boxes), tuple(lines), tuple(caption), legend, theme, is_compact=True)


class SmallWriter(Writer):
    """Makes the small boxes of one view."""

    def __init__(self, view: View, theme: Theme, numbers: bool) -> None:
        super().__init__(view, theme)
        self.numbers, self.tree = numbers, Tree(view)
        self.links: Links = self.tree.links
        self.calls = {node.id: node for node in view.nodes if not isinstance(node, Variable)}
        self.inner = {  # leaves that are part of the box of their only reader, by id
            leaf.id: self.links.readings[leaf.id][0].head
            for leaf in view.variables
            if self._is_inner(leaf)
        }

    def _is_inner(self, leaf: Variable) -> bool:
        edges = self.links.readings.get(leaf.id, [])
        made = leaf.id in self.links.maker
        if made or leaf.is_root or leaf.is_input or len(edges) != 1:
            return False
        reader = self.calls.get(edges[0].head)
        if not isinstance(reader, Operation):
            return False
        if leaf.role == "number" or leaf.learned:
            return True
        others = (e.tail for e in self.links.arguments[reader.id] if e.tail != leaf.id)
        chained = any(tail in self.links.maker for tail in others)
        return bool(leaf.shape) and chained and (leaf.role == "parameter" or not leaf.is_named)

    def box(self, node: Any) -> Box | None:
        """Return the box of a node; None for one that another box contains."""
        if isinstance(node, Variable):
            hidden = node.id in self.inner or node.id in self.links.maker
            return None if hidden else self.leaf(node)
        return self.call(node) if isinstance(node, Operation) else self.closed(node)

    def leaf(self, variable: Variable) -> Box:
        """Return the box of an input."""
        kind = "root" if variable.is_root else variable.role
        look = self.look("constant" if kind == "number" else kind, variable)
        notes = self.facts(variable) if variable.role != "number" else []
        classes = f"variable {variable.role}{' root' * variable.is_root}{mark_classes(variable)}"
        tooltip = with_place(f"{variable.name}: {kind}, {_shape(variable)}", variable)
        return _sized(
            Box(
                variable.id,
                classes,
                "box",
                look,
                0,
                0,
                tooltip,
                (card_title(variable.name),),
                notes=tuple(notes),
            )
        )

    def call(self, operation: Operation) -> Box:
        """Return the box of an operation and its results."""
        results = [self.links.variables[e.head] for e in self.links.results.get(operation.id, ())]
        is_root = any(result.is_root for result in results)
        look = self.look("root" if is_root else "operation", operation)
        notes = self.parameters(operation)
        if not self.numbers:
            notes = textwrap.wrap(", ".join(notes).replace(" (", "\xa0("), NOTE_LENGTH)
        if len(results) == 1:
            notes += self.facts(results[0])
        elif results:
            notes += [f"{len(results)} × {_shape(results[0])}"]
        classes = f"operation{' root' * is_root}{mark_classes(operation)}"
        tooltip = with_place(operation.call, operation)
        title = tuple(textwrap.wrap(self.title(operation, results), TITLE_WIDTH))
        return _sized(
            Box(operation.id, classes, "pill", look, 0, 0, tooltip, title, notes=tuple(notes))
        )

    def title(self, operation: Operation, results: Iterable[Variable]) -> str:
        """Return `name = symbol` with constant numbers; of a module's only operation the module."""
        module = self.tree.home[operation.id]
        if module.depth and module.is_single:
            text = f"{module.path[-1]} · {module.kind}"
        else:
            text = self.symbol(operation)
        names = ", ".join(result.name for result in results if result.is_named)
        return style.elided(
            style.printable(f"{names} = {text}" if names else text), 2 * TITLE_WIDTH
        )

    def symbol(self, operation: Operation) -> str:
        """Return the sign or the name of an operation, between its constant numbers."""
        short = len(operation.op.symbol) <= WRITTEN_SYMBOL and not operation.op.name.startswith(
            "conv"
        )
        sign = operation.op.symbol if short else operation.op.name.replace("_", " ")
        edges = self.links.arguments.get(operation.id, ())
        numbers = {
            edge.argnum: self.links.variables[edge.tail].name
            for edge in edges
            if self.links.variables[edge.tail].role == "number" and edge.tail in self.inner
        }
        index = operation.params.get("key", operation.params.get("index"))
        if operation.op.name == "getitem" and isinstance(index, (int, str)):
            return f"[{index}]"
        first = f"{numbers.pop(0)} " if 0 in numbers else ""
        return " ".join([f"{first}{sign}", *numbers.values()])

    def parameters(self, operation: Operation) -> list[str]:
        """Return texts for the parameters that are part of the box of their operation."""
        texts = []
        for name, leaf in self.leaves(operation):
            shape = f" {leaf.shape}" if len(leaf.shape) != 1 else ""
            known = self.numbers and leaf.gradient is not None
            size = f" ∂ {style.size(leaf.gradient)}" if known else ""
            texts.append(name + shape + size)
        return texts

    def leaves(self, operation: Operation) -> Iterator[tuple[str, Variable]]:
        """Yield the leaves that are part of the box of an operation, except numbers, with names."""
        for edge in self.links.arguments.get(operation.id, ()):
            leaf = self.links.variables[edge.tail]
            if edge.tail in self.inner and leaf.role != "number":
                name = leaf.name.rpartition(".")[2]
                yield style.elided(name, 14) if leaf.is_named or leaf.learned else "constant", leaf

    def entries(self, name: str) -> list[Entry]:
        """Return the lines of an operation in a table: itself and, with numbers, its parameters."""
        operation = self.calls[name]
        if isinstance(operation, Group):
            return self.group_entries(operation)
        results = [self.links.variables[e.head] for e in self.links.results.get(name, ())]
        title = style.elided(self.title(operation, results), TITLE_WIDTH)
        several = f"{len(results)} × " * (len(results) > 1)
        shape = several + _shape(results[0])
        if not self.numbers:
            return [Entry((title, ", ".join(self.parameters(operation)), shape))]
        numbers = ("", "") if several else self.value_and_gradient(results[0])
        return [
            Entry((title, shape, *numbers)),
            *(
                Entry((f"\xa0\xa0{leaf}", _shape(v), *self.value_and_gradient(v)), is_detail=True)
                for leaf, v in self.leaves(operation)
            ),
        ]

    def facts(self, variable: Variable) -> list[str]:
        """Return the shape, and with numbers value and gradient."""
        if not self.numbers:
            return [_shape(variable)]
        texts = list(filter(None, self.value_and_gradient(variable)))
        shape = [] if not variable.shape and texts else [_shape(variable)]
        return [*shape, *[" · ".join(texts)] * bool(texts)]

    def value_and_gradient(self, variable: Variable) -> tuple[str, str]:
        """Return the size of the value and of the gradient; "" for one that is not shown."""
        value = "" if variable.value is None else style.size(variable.value)
        known = variable.role in ("result", "parameter") and variable.gradient is not None
        return value, f"∂ {style.size(variable.gradient)}" if known else ""

    def closed(self, group: Group) -> Box:
        """Return the small box of a group; with numbers a stack is a card."""
        card = self.group(group)
        if self.numbers and group.count > 1:
            return card
        inputs, outputs = (" ".join(map(str, shapes[:2])) for shapes in group.shapes)
        shapes = (
            [f"{inputs} →", outputs] if len(inputs + outputs) > 24 else [f"{inputs} → {outputs}"]
        )
        notes = [card.subtitle, *shapes, *[self.learned(group)] * self.numbers]
        small = replace(card, shape="pill", subtitle="", rows=(), notes=tuple(filter(None, notes)))
        return _sized(small)

    def learned(self, group: Group) -> str:
        """Return the number of parameters in a group, and the size of their gradient."""
        gradient = group.gradients[0] if group.gradients else nan
        size = f"∂ {style.number(gradient, 3).lstrip('+')}" if isfinite(gradient) else ""
        count = f"{group.parameters:,} parameters" if group.parameters else ""
        return " ".join(filter(None, [count, size]))

    def group_entries(self, group: Group) -> list[Entry]:
        """Return the lines of a closed module in a table."""
        title = style.elided(style.printable(f"{group.name} · {group.kind}"), NAME_LENGTH + 4)
        outputs, ground = " ".join(map(str, group.shapes[1][:2])), self.theme.looks["group"].ground
        if not self.numbers:
            return [Entry((title, "", outputs), ground=ground)]
        count, _, size = self.learned(group).rpartition("∂")
        size = f"∂{size}"
        if not group.parameters:
            return [Entry((title, outputs, "", size), ground=ground)]
        detail = Entry((f"\xa0\xa0{count}", "", "", size), is_detail=True, ground=ground)
        return [Entry((title, outputs, "", ""), ground=ground), detail]

    def lines(self) -> Iterable[Line]:
        """Yield a line for each pair of boxes; of several arguments it has the names."""
        pairs: dict[tuple[str, str, bool], list[Edge]] = {}
        for edge in self.view.edges:
            head = edge.head
            if edge.argnum is None and head in self.links.variables and edge.tail in self.calls:
                continue
            tail = self.links.maker.get(edge.tail, edge.tail)
            returning = "loop" in edge.marks
            if edge.tail in self.inner or (tail == head and not returning):
                continue
            pairs.setdefault((tail, head, returning), []).append(edge)
        for (tail, head, returning), edges in pairs.items():
            first = edges[0]
            if returning:
                loop = reduce(together, (edge.marks["loop"] for edge in edges))
                fields = fields_of(loop, self.theme, self.numbers)
                classes = "argument recurrence" + mark_classes(first)
                yield Line(first.id, classes, tail, head, dashed=not first.differentiable, **fields)
                continue
            yield Line(
                first.id,
                "argument" + mark_classes(first),
                tail,
                head,
                local=self.several(edges),
                dashed=not any(edge.differentiable for edge in edges),
                thick=any("path" in edge.marks for edge in edges),
                faint=all("dim" in edge.marks for edge in edges),
            )

    def several(self, edges: list[Edge]) -> tuple[str, ...]:
        """Return the text of a line that stands for several arguments of an operation."""
        roles = [role for edge in edges for role in edge.marks.get("roles", ())]
        if len(roles) > 1:
            return (words(roles),)
        if "times" in edges[0].marks:
            return (f"{edges[0].marks['times']:,} ×",)
        reader = self.calls[edges[0].head]
        same = len({edge.tail for edge in edges}) == 1
        if len(edges) == 1 or not same or not isinstance(reader, Operation):
            return ()
        names = getattr(reader.op, "arrays", ())
        known = [names[e.argnum] for e in edges if e.argnum is not None and e.argnum < len(names)]
        if len(known) == len(edges) and all(len(name) > 1 for name in known):
            return (words(known),)
        return (f"{len(edges)} ×",)

    def explanation(self) -> str:
        root = next(variable for variable in self.view.variables if variable.is_root)
        of = root.name if root.is_named else "the root"
        if self.top == ALL_ROOTS:
            of = "the sum of all elements of the roots"
        return f"value · ∂: the gradient of {of}; of several elements the root mean square"


def _sized(box: Box) -> Box:
    """Return a small box with the size of its texts."""
    widths = [style.text_width(text, style.TEXT_SIZE, bold=True) for text in box.title]
    widths += [style.text_width(text, style.SMALL_SIZE) for text in box.notes]
    height = LEADING * (style.TEXT_SIZE * len(box.title) + style.SMALL_SIZE * len(box.notes))
    return replace(box, width=max(widths) + 2 * ROOM, height=height + ROOM)


def _shape(variable: Variable) -> str:
    return str(variable.shape) if variable.shape else "scalar"
