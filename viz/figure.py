"""What is written where: the view turned into boxes with texts, ready for any engine.

A variable becomes a card, an operation a disc with its symbol, an edge a line with up to two texts:
the local derivative, and for single numbers what flows back through it. Every engine draws the same
ids, classes and texts, so a picture can be found one's way in whoever laid it out.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from . import style
from .view import Edge, Operation, Variable, View


@dataclass(frozen=True)
class Row:
    """One line of a card: a label, and a text of one or more lines on a ground."""

    label: str
    lines: tuple[str, ...]
    ground: str = style.PAPER


@dataclass(frozen=True)
class Box:
    """A card (with rows) or a disc (without), in points."""

    id: str
    classes: str
    title: tuple[str, ...]
    subtitle: str
    rows: tuple[Row, ...]
    tooltip: str
    look: style.Look
    round: bool
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """An edge with its texts."""

    id: str
    classes: str
    tail: str
    head: str
    local: str
    flow: str
    dashed: bool

    @property
    def width(self) -> float:
        """How wide its texts are, in points; 0 without texts."""
        local = style.text_width(self.local, style.SMALL_SIZE)
        return max(local, style.text_width(self.flow, style.SMALL_SIZE, bold=True))

    @property
    def height(self) -> float:
        """How high its texts are, in points; 0 without texts."""
        return LEADING * style.SMALL_SIZE * (bool(self.local) + bool(self.flow))


@dataclass(frozen=True)
class Figure:
    """Boxes in topological order, lines, and the caption below them."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    caption: tuple[str, ...]


LEADING = 1.25  # from one line of text to the next, as part of the font size
PADDING = 5.0  # around the texts of a card
NAME_LENGTH = 26


def compose(view: View) -> Figure:
    """The texts and looks of a view."""
    roots = [variable for variable in view.variables if variable.is_root]
    top = roots[0].name if len(roots) == 1 and roots[0].shape == () else "Σ"
    boxes = tuple(
        _card(node, top) if isinstance(node, Variable) else _disc(node) for node in view.nodes
    )
    lines = tuple(map(_line, view.edges))
    return Figure(boxes, lines, tuple(_caption(view, boxes, lines)))


# ------------------------------------------------------------------------------------ boxes


def _card(variable: Variable, top: str) -> Box:
    kind = "root" if variable.is_root else variable.role
    look = style.LOOKS["constant" if kind == "number" else kind]
    classes = f"variable {variable.role}{' root' * variable.is_root} {_gradient_class(variable)}"
    title = (style.elided(variable.name, NAME_LENGTH),)
    if kind == "number":
        width = style.text_width(title[0], style.TEXT_SIZE) + 4 * PADDING
        height = LEADING * style.TEXT_SIZE + 2 * PADDING
        tooltip = f"the constant {variable.name}"
        return Box(variable.id, classes, title, "", (), tooltip, look, False, width, height)
    shape = "scalar" if variable.shape == () else str(variable.shape)
    subtitle = f"{shape} · {variable.dtype}"
    if variable.part is not None:
        subtitle += f" · output {variable.part}"
    rows = tuple(_rows(variable, top))
    width, height = _card_size(title[0], subtitle, rows)
    tooltip = f"{variable.name}: {kind}, {subtitle}"
    return Box(variable.id, classes, title, subtitle, rows, tooltip, look, False, width, height)


def _gradient_class(variable: Variable) -> str:
    """Whether a gradient is not needed, not there yet, zero, or there."""
    if variable.role in ("constant", "number"):
        return "grad-unneeded"
    gradient = variable.stored if variable.role == "parameter" else variable.gradient
    if gradient is None:
        return "grad-not-yet"
    return "grad-there" if gradient.any() else "grad-zero"


def _rows(variable: Variable, top: str) -> list[Row]:
    rows = []
    if variable.value is not None:
        rows.append(Row("value", style.describe(variable.value)))
    if variable.role == "constant":
        return rows
    name = variable.name
    label = f"∂{top}/∂{name}" if len(top) <= 6 and len(name) <= 8 else "gradient"
    if variable.role == "result" or variable.gradient is not None:
        rows.append(_gradient_row(label, variable.gradient))
    if variable.role == "parameter" and not _same(variable.stored, variable.gradient):
        rows.append(_gradient_row(".grad", variable.stored))
    return rows


def _same(stored: Any, gradient: Any) -> bool:
    if stored is None or gradient is None:
        return False
    return style.describe(stored) == style.describe(gradient)


def _gradient_row(label: str, gradient: Any) -> Row:
    if gradient is None:
        return Row(label, (style.NOT_YET,))
    if not gradient.any():
        return Row(label, ("0",), style.ZERO)
    return Row(label, style.describe(gradient))


def columns(rows: tuple[Row, ...]) -> tuple[float, float]:
    """The widths of a card's two columns, in points."""
    size, room = style.TEXT_SIZE, 2 * PADDING
    labels = (style.text_width(row.label, size) for row in rows)
    texts = (style.text_width(line, size) for row in rows for line in row.lines)
    return max(labels, default=0) + room, max(texts, default=0) + room


def row_height(row: Row) -> float:
    """The height of a row of a card, in points."""
    return LEADING * style.TEXT_SIZE * len(row.lines) + PADDING


HEADER = LEADING * (style.NAME_SIZE + style.SMALL_SIZE) + PADDING


def _card_size(title: str, subtitle: str, rows: tuple[Row, ...]) -> tuple[float, float]:
    header = max(
        style.text_width(title, style.NAME_SIZE, bold=True),
        style.text_width(subtitle, style.SMALL_SIZE),
    )
    width = max(header + 2 * PADDING, sum(columns(rows)) if rows else 0)
    return width, HEADER + sum(map(row_height, rows))


def _disc(operation: Operation) -> Box:
    op = operation.op
    symbol = tuple(textwrap.wrap(op.symbol.replace("_", " "), 12, break_long_words=False))
    round_ = len(op.symbol) <= 4
    width = max(style.text_width(line, style.TEXT_SIZE) for line in symbol) + 2 * PADDING
    height = LEADING * style.TEXT_SIZE * len(symbol) + 2 * PADDING
    if round_:
        width = height = max(width, 28.0)
    look = style.LOOKS["operation"]
    return Box(operation.id, "operation", symbol, "", (), _call(operation), look, True, width, height)


def _call(operation: Operation) -> str:
    """The call as a person would write it, and what the operation does."""
    params = operation.params.items()
    plain = (bool, int, float, str, tuple, slice, type(None))  # others may print an address
    given = (f"{k}={v!r}" for k, v in params if isinstance(v, plain))
    arguments = ", ".join([*operation.op.arrays, *given])
    summary = (operation.op.forward.__doc__ or "").strip().partition("\n")[0]
    return style.printable(f"{operation.op.name}({arguments}): {summary}".rstrip(": "))


# ------------------------------------------------------------------------------------ lines


def _line(edge: Edge) -> Line:
    if edge.slot is None:
        return Line(edge.id, "output", edge.tail, edge.head, "", "", False)
    local, flow = edge.local, ""
    if edge.contribution is not None and edge.contribution.size == 1 == edge.upstream.size:
        upstream, contribution = float(edge.upstream.item()), float(edge.contribution.item())
        flow = style.number(contribution)
        if upstream and not local.lstrip("−").isdigit():
            local = f"{local} = {style.number(contribution / upstream)}".removeprefix(" = ")
    classes = "argument" if edge.differentiable else "argument grad-unneeded"
    return Line(edge.id, classes, edge.tail, edge.head, local, flow, not edge.differentiable)


def _caption(view: View, boxes: tuple[Box, ...], lines: tuple[Line, ...]) -> list[str]:
    rows = [row for box in boxes for row in box.rows]
    caption = []
    if any(line.flow for line in lines):
        caption.append(
            "on an edge: the local derivative, and below it what flows back, upstream gradient × "
            "local derivative; a gradient is the sum of what flows back to it"
        )
    if any("Σ" in row.label for row in rows):
        caption.append("Σ: the sum of all elements that are drawn as roots")
    if any(" ± " in line for row in rows for line in row.lines):
        caption.append("m ± s: mean and standard deviation of the elements")
    if any("grad-not-yet" in box.classes for box in boxes):
        caption.append("·: no gradient yet, backward() has not stored one")
    if any(v.stored is not None and not _same(v.stored, v.gradient) for v in view.variables):
        caption.append(".grad: not from this graph alone, other backward passes added to it")
    return caption + view.remarks
