"""What is written where: the view turned into boxes with texts, ready for any engine.

A variable becomes a card, an operation a disc with its symbol, an edge a line with up to two texts:
the local derivative, and for single numbers what flows back through it. Every engine draws the same
ids, classes and texts; only the places differ.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from math import prod
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
    """A node of the picture with its texts; lengths in points."""

    id: str
    classes: str
    shape: str  # "card" (the only one with subtitle and rows), "box", "circle" or "pill"
    look: style.Look
    width: float
    height: float
    tooltip: str
    title: tuple[str, ...]
    subtitle: str = ""
    rows: tuple[Row, ...] = ()


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
NAME_LENGTH, CAPTION_LENGTH = 26, 90  # letters
HEADER = (
    LEADING * (style.NAME_SIZE + style.SMALL_SIZE) + PADDING
)  # the height of a card's title and subtitle


def compose(view: View) -> Figure:
    """The texts and looks of a view."""
    roots = [variable for variable in view.variables if variable.is_root]
    top = roots[0].name if len(roots) == 1 and prod(roots[0].shape) == 1 else "Σ"
    boxes = tuple(
        _card(node, top) if isinstance(node, Variable) else _disc(node) for node in view.nodes
    )
    lines = tuple(map(_line, view.edges))
    return Figure(boxes, lines, tuple(_caption(view, boxes, lines)))


# ------------------------------------------------------------------------------------ boxes


def _card(variable: Variable, top: str) -> Box:
    kind = "root" if variable.is_root else variable.role
    classes = f"variable {variable.role}{' root' * variable.is_root} {_gradient_class(variable)}"
    title = style.elided(variable.name, NAME_LENGTH)
    if kind == "number":
        width = style.text_width(title, style.TEXT_SIZE) + 4 * PADDING
        height = LEADING * style.TEXT_SIZE + 2 * PADDING
        look, tooltip = style.LOOKS["constant"], f"the constant {variable.name}"
        return Box(variable.id, classes, "box", look, width, height, tooltip, (title,))
    shape = "scalar" if variable.shape == () else str(variable.shape)
    subtitle = f"{shape} · {variable.dtype}"
    if variable.part is not None:
        subtitle += f" · output {variable.part}"
    rows = tuple(_rows(variable, top))
    header = max(
        style.text_width(title, style.NAME_SIZE, bold=True),
        style.text_width(subtitle, style.SMALL_SIZE),
    )
    width = max(header + 2 * PADDING, sum(_columns(rows)) if rows else 0)
    height = HEADER + sum(map(row_height, rows))
    look, tooltip = style.LOOKS[kind], f"{variable.name}: {kind}, {subtitle}"
    return Box(variable.id, classes, "card", look, width, height, tooltip, (title,), subtitle, rows)


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
    short = len(top) <= 6 and len(name) <= 8
    label = f"∂{style.operand(top)}/∂{style.operand(name)}" if short else "gradient"
    if variable.role == "result" or variable.gradient is not None:
        rows.append(_gradient_row(label, variable.gradient, style.UNKNOWN))
    if variable.role == "parameter" and not _same(variable.stored, variable.gradient):
        rows.append(_gradient_row(".grad", variable.stored, style.NOT_YET))
    return rows


def _same(stored: Any, gradient: Any) -> bool:
    if stored is None or gradient is None:
        return False
    return style.describe(stored) == style.describe(gradient)


def _gradient_row(label: str, gradient: Any, missing: str) -> Row:
    if gradient is None:
        return Row(label, (missing,))
    if not gradient.any():
        return Row(label, ("0",), style.ZERO)
    return Row(label, style.describe(gradient))


def _columns(rows: tuple[Row, ...]) -> tuple[float, float]:
    """The widths of a card's two columns, in points."""
    size, room = style.TEXT_SIZE, 2 * PADDING
    labels = (style.text_width(row.label, size) for row in rows)
    texts = (style.text_width(line, size) for row in rows for line in row.lines)
    return max(labels, default=0) + room, max(texts, default=0) + room


def row_height(row: Row) -> float:
    """The height of a row of a card, in points."""
    return LEADING * style.TEXT_SIZE * len(row.lines) + PADDING


def _disc(operation: Operation) -> Box:
    symbol = style.printable(operation.op.symbol)
    title = textwrap.wrap(symbol.replace("_", " "), 12, break_long_words=False)
    width = max(style.text_width(line, style.TEXT_SIZE) for line in title) + 2 * PADDING
    height = LEADING * style.TEXT_SIZE * len(title) + 2 * PADDING
    shape = "circle" if len(symbol) <= 4 else "pill"
    if shape == "circle":
        width = height = max(width, 28.0)
    look, tooltip = style.LOOKS["operation"], _call(operation)
    return Box(operation.id, "operation", shape, look, width, height, tooltip, tuple(title))


def _call(operation: Operation) -> str:
    """The call as a person would write it, and what the operation does."""
    params = operation.params.items()
    plain = (bool, int, float, str, tuple, slice, type(None))  # others may print an address
    given = (f"{k}={style.elided(repr(v), 40)}" for k, v in params if isinstance(v, plain))
    arguments = ", ".join([*operation.op.arrays, *given])
    summary = (operation.op.forward.__doc__ or "").strip().partition("\n")[0]
    return style.printable(f"{operation.op.name}({arguments}): {summary}".rstrip(": "))


# ------------------------------------------------------------------------------------ lines


def _line(edge: Edge) -> Line:
    if edge.slot is None:
        return Line(edge.id, "output", edge.tail, edge.head, "", "", False)
    local, flow = edge.local, ""
    if _is_single(edge.contribution) and _is_single(edge.upstream):
        upstream, contribution = edge.upstream.item(), edge.contribution.item()
        flow = style.number(contribution)
        if upstream and not local.lstrip("−").replace(".", "", 1).isdigit():
            local = f"{local} = {style.number(contribution / upstream)}".removeprefix(" = ")
    classes = "argument" if edge.differentiable else "argument grad-unneeded"
    return Line(edge.id, classes, edge.tail, edge.head, local, flow, not edge.differentiable)


def _is_single(array: Any) -> bool:
    return getattr(array, "size", 0) == 1


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
    pairs = [(v.stored, v.gradient) for v in view.variables if v.gradient is not None]
    if any(stored is not None and not _same(stored, gradient) for stored, gradient in pairs):
        caption.append(".grad: not from this graph alone, other backward passes added to it")
    return [line for text in caption + view.remarks for line in textwrap.wrap(text, CAPTION_LENGTH)]
