"""Boxes, lines and texts of a view, independent of the layout engine.

A variable becomes a card, an operation a disc with its symbol, an edge a line with the local
derivative and its contribution to the gradient. All engines draw the same ids, classes and texts;
only positions differ. The `marks` of annotations change looks, add rows and add classes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import Any

from .. import style
from ..annotate.attention import words
from ..annotate.check import badge
from ..annotate.cost import text_of
from ..annotate.diagnosis import levels
from ..annotate.jacobians import flow as flow_of
from ..annotate.orders import word
from ..graph.view import Edge, Group, Operation, Part, Variable, View
from ..themes import THEMES, Look, Theme
from .recurrence import CELL, fields_of
from .sketches import Sketch, bars, sketches

LEADING = 1.25  # line height as a multiple of the font size
PADDING = 5.0  # around the texts of a card
MANY_NODES = 200  # with more nodes the cards have no pictures
WIDEST = 220.0  # points: largest width of a card with a long name
NAME_LENGTH, CAPTION_LENGTH = 26, 90  # characters
HEADER = LEADING * (style.NAME_SIZE + style.SMALL_SIZE) + PADDING  # title and subtitle of a card
ALL_ROOTS = "Σ"  # of which the gradients are, unless the root is one number


@dataclass(frozen=True)
class Row:
    """A row of a card: a label, and a text of one or more lines on a fill (or the paper)."""

    label: str
    lines: tuple[str, ...] = ()
    ground: str = ""
    sketch: Sketch | None = None  # a small picture instead of lines


@dataclass(frozen=True)
class Entry:
    """A line of a table: its cells, of which the first is bold except for a detail of the last."""

    cells: tuple[str, ...]
    is_detail: bool = False
    ground: str = ""  # or that of the table


@dataclass(frozen=True)
class Box:
    """A node of the picture with its texts; lengths in points."""

    id: str
    classes: str
    shape: str  # "card" (with subtitle and rows), "table", "box", "circle", "pill" or "point"
    look: Look
    width: float
    height: float
    tooltip: str
    title: tuple[str, ...]
    subtitle: str = ""
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()  # small lines below the title, of other shapes than a card
    table: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Line:
    """An edge with its texts: the local derivative, its entries (`matrix`), the contribution.

    A recurrence leads back to an earlier box, or to the same, and has a cell for each step.
    """

    id: str
    classes: str
    tail: str
    head: str
    local: tuple[str, ...] = ()
    flow: str = ""
    dashed: bool = False
    tooltip: str = ""
    thick: bool = False
    faint: bool = False
    matrix: tuple[tuple[str, ...], ...] = ()
    is_recurrence: bool = False
    cells: tuple[str, ...] = ()  # fills

    @property
    def columns(self) -> tuple[float, ...]:
        """Return the widths of the columns of the matrix, in points."""
        entries = zip(*self.matrix, strict=True)
        return tuple(max(map(_small_width, column)) + PADDING for column in entries)

    @property
    def width(self) -> float:
        """Return the width of its texts in points; 0 without texts."""
        widths = [*map(_small_width, self.local), sum(self.columns), CELL * len(self.cells)]
        return max([*widths, style.text_width(self.flow, style.SMALL_SIZE, bold=True)])

    @property
    def height(self) -> float:
        """Return the height of its texts in points; 0 without texts."""
        lines = len(self.local) + len(self.matrix) + bool(self.flow)
        return LEADING * style.SMALL_SIZE * lines + (CELL + 2 if self.cells else 0)


@dataclass(frozen=True)
class Key:
    """An entry of the legend: a look and its meaning."""

    look: Look
    text: str


@dataclass(frozen=True)
class Cluster:
    """A frame around the boxes of a module; modules in it have nested frames."""

    id: str
    classes: str
    title: str
    tooltip: str
    parent: str  # the id of the cluster around it, or ""
    boxes: tuple[str, ...]  # ids of the boxes directly in it

    @property
    def width(self) -> float:
        """Return the width of its title in points."""
        return style.text_width(self.title, style.TEXT_SIZE, bold=True)


@dataclass(frozen=True)
class Figure:
    """Boxes in topological order, lines, and below them the legend and the caption."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    caption: tuple[str, ...]
    legend: tuple[Key, ...]
    theme: Theme
    clusters: tuple[Cluster, ...] = ()  # outer before inner
    is_compact: bool = False  # small boxes with small gaps


MEANINGS = {
    "parameter": "parameter: requires a gradient",
    "result": "result",
    "root": "root: differentiated",
    "constant": "constant: no gradient needed",
    "operation": "operation",
    "group": "several operations drawn as one",
}


def compose(view: View, theme: Theme = THEMES["light"]) -> Figure:
    """Return the figure of a view: its boxes, lines, caption and legend."""
    view.complete()
    writer = Writer(view, theme)
    makers: dict[type, Any] = {
        Variable: writer.card,
        Operation: writer.disc,
        Group: writer.group,
    }
    boxes = tuple(makers[type(node)](node) for node in view.nodes)
    groups = {node.id for node in view.nodes if isinstance(node, Group)}
    lines = tuple(_line(edge, edge.head in groups, theme) for edge in view.edges)
    return Figure(boxes, lines, tuple(_caption(view, boxes, lines)), writer.legend(), theme)


# ------------------------------------------------------------------------------------ boxes


class Writer:
    """Makes the boxes of one view."""

    def __init__(self, view: View, theme: Theme) -> None:
        self.view, self.theme = view, theme
        roots = [variable for variable in view.variables if variable.is_root]
        self.top = roots[0].name if len(roots) == 1 and prod(roots[0].shape) == 1 else ALL_ROOTS
        self.several_orders = any(operation.order for operation in view.operations)
        self.kinds: set[str] = set()

    def card(self, variable: Variable) -> Box:
        """Return the card of a variable; a constant number is a small box."""
        kind = "root" if variable.is_root else variable.role
        classes = f"variable {variable.role}{' root' * variable.is_root} "
        classes += _gradient_class(variable) + mark_classes(variable)
        title = card_title(variable.name)
        look = self.look("constant" if kind == "number" else kind, variable)
        if kind == "number":
            width = style.text_width(title, style.TEXT_SIZE) + 4 * PADDING
            height = LEADING * style.TEXT_SIZE + 2 * PADDING
            tooltip = f"the constant {variable.name}"
            return Box(variable.id, classes, "box", look, width, height, tooltip, (title,))
        subtitle = f"{_shape(variable.shape)} · {variable.dtype}"
        if variable.part is not None:
            subtitle += f" · output {variable.part}"
        tooltip = with_place(f"{variable.name}: {kind}, {subtitle}", variable)
        return _card(variable.id, classes, look, tooltip, title, subtitle, self.rows(variable))

    def look(self, kind: str, part: Part) -> Look:
        """Return the look of a kind of node, modified by the marks of this one."""
        self.kinds.add(kind)
        look = self.theme.looks[kind]
        if self.several_orders and kind in ("operation", "result"):
            look = self.order_look(look, part.order)
        if "heat" in part.marks:
            levels = self.theme.heat
            level = min(int(part.marks["heat"] * len(levels)), len(levels) - 1)
            look = look._replace(ground=levels[level], text=self.theme.ink)
        if part.marks.get("nonfinite") == "first":
            look = self.theme.alarm
        elif "nonfinite" in part.marks:
            look = look._replace(border=self.theme.alarm.border, dashed=True)
        if "dim" in part.marks:
            look = Look(self.theme.paper, self.theme.quiet, self.theme.cluster.border)
        return look

    def order_look(self, look: Look, order: int) -> Look:
        """Return the look with the border of an order of differentiation."""
        order = min(order, len(self.theme.orders) - 1)
        return look._replace(border=self.theme.orders[order], width=order + 1)

    def rows(self, variable: Variable) -> list[Row]:
        """Return the rows of a card: value, gradient, `.grad` if it differs, annotations."""
        rows = []
        if variable.value is not None:
            rows.append(Row("value", style.describe(variable.value)))
            if len(self.view.nodes) <= MANY_NODES:
                pictures = sketches(variable.value, self.theme)
                rows += [Row(picture.label, sketch=picture) for picture in pictures]
        if variable.role == "constant":
            return rows
        name, top = variable.name, self.top
        short = len(top) <= 6 and len(name) <= 8
        label = f"∂{style.operand(top)}/∂{style.operand(name)}" if short else "gradient"
        if variable.role == "result" or variable.gradient is not None:
            rows.append(self.gradient_row(label, variable.gradient, style.UNKNOWN))
        if variable.role == "parameter" and not _same(variable.stored, variable.gradient):
            rows.append(self.gradient_row(".grad", variable.stored, style.NOT_YET))
        return rows + _mark_rows(variable.marks)

    def gradient_row(self, label: str, gradient: Any, missing: str) -> Row:
        """Return a row with a gradient; zero and missing ones look different."""
        if gradient is None:
            return Row(label, (missing,))
        if not gradient.any():
            return Row(label, ("0",), self.theme.zero)
        return Row(label, style.describe(gradient))

    def disc(self, operation: Operation) -> Box:
        """Return the disc of an operation with its symbol; a pill for a long name or a cost."""
        symbol = style.printable(operation.op.symbol)
        title = textwrap.wrap(symbol.replace("_", " "), 12, break_long_words=False)
        shape = "circle" if len(symbol) <= 4 else "pill"
        if "cost" in operation.marks:
            title, shape = [*title, *text_of(operation.marks["cost"]).split(" · ")], "pill"
        width = max(style.text_width(line, style.TEXT_SIZE) for line in title) + 2 * PADDING
        height = LEADING * style.TEXT_SIZE * len(title) + 2 * PADDING
        if shape == "circle":
            width = height = max(width, 28.0)
        look, tooltip = self.look("operation", operation), with_place(operation.call, operation)
        classes = "operation" + mark_classes(operation)
        return Box(operation.id, classes, shape, look, width, height, tooltip, tuple(title))

    def group(self, group: Group) -> Box:
        """Return the card of a closed module, a stack of equal ones, or a run of operations."""
        times = f"  ×{group.count:,}" if group.count > 1 else ""
        title = style.elided(style.printable(group.name), NAME_LENGTH) + times
        subtitle = style.elided(style.printable(group.kind), NAME_LENGTH)
        inputs, outputs = (" ".join(map(_shape, shapes[:3])) for shapes in group.shapes)
        shapes = f"{inputs} →", outputs
        rows = [
            Row("shapes", shapes if len(inputs) > 20 else (" ".join(shapes),)),
            Row("operations", (f"{group.hidden:,}",)),
        ]
        if group.parameters:
            rows.append(Row("parameters", (f"{group.parameters:,}",)))
        rows += _sizes(group.gradients, self.theme) + _mark_rows(group.marks)
        classes = "group" + " stack" * (group.count > 1) + mark_classes(group)
        tooltip = with_place(f"{group.name}{times}: {group.kind}", group)
        look = self.look("group", group)
        return _card(group.id, classes, look, tooltip, title, subtitle, rows)

    def legend(self) -> tuple[Key, ...]:
        """Return the legend of the looks in this drawing."""
        kinds = self.kinds - ({"result", "operation"} if self.several_orders else set())
        keys = [Key(self.theme.looks[k], text) for k, text in MEANINGS.items() if k in kinds]
        if self.several_orders:
            plain = self.theme.looks["result"]
            orders = sorted({operation.order for operation in self.view.operations})
            keys += [Key(self.order_look(plain, order), word(order)) for order in orders]
        if any(node.marks.get("nonfinite") == "first" for node in self.view.nodes):
            keys.append(Key(self.theme.alarm, "first NaN or ∞"))
        return tuple(keys + self.heat_keys())

    def heat_keys(self) -> list[Key]:
        """Return the legend of the heat scale; empty without heat."""
        hot = [node.marks["heat_range"] for node in self.view.nodes if "heat" in node.marks]
        if not hot:
            return []
        plain, grounds = self.theme.looks["result"], self.theme.heat
        looks = [plain._replace(ground=ground, text=self.theme.ink) for ground in grounds]
        low, high = hot[0]
        return list(map(Key, looks, levels(low, high, len(grounds))))


def _card(
    name: str,
    classes: str,
    look: Look,
    tooltip: str,
    title: str,
    subtitle: str,
    rows: Sequence[Row],
) -> Box:
    """Return a card sized by its texts."""
    header = max(
        style.text_width(title, style.NAME_SIZE, bold=True),
        style.text_width(subtitle, style.SMALL_SIZE),
    )
    width = max(header + 2 * PADDING, sum(_columns(rows)) if rows else 0)
    height = HEADER + sum(map(row_height, rows))
    return Box(name, classes, "card", look, width, height, tooltip, (title,), subtitle, tuple(rows))


def card_title(name: str) -> str:
    """Shorten a name to the width of a card."""
    lengths = range(NAME_LENGTH, 1, -1)
    titles = (style.elided(name, length) for length in lengths)
    room = WIDEST - 4 * PADDING
    return next(t for t in titles if style.text_width(t, style.NAME_SIZE, bold=True) <= room)


def _shape(shape: tuple[int, ...]) -> str:
    return str(shape) if shape else "scalar"


def _sizes(sizes: Sequence[float], theme: Theme) -> list[Row]:
    """Return rows with the gradient RMS of a group, and a bar per copy."""
    known = [size for size in sizes if isfinite(size)]
    if not known:
        return []
    texts = [style.number(size).lstrip("+") for size in (min(known), max(known))]
    rows = [Row("gradient RMS", (" … ".join(dict.fromkeys(texts)),))]
    if len(sizes) > 1:
        picture = bars(sizes, theme)
        rows.append(Row(picture.label, sketch=picture))
    return rows


def mark_classes(part: Part) -> str:
    """Return the classes for the marks of a part, with a leading space."""
    marks = part.marks
    nonfinite = {"first": " first-nonfinite", "tainted": " nonfinite"}
    classes = nonfinite.get(marks.get("nonfinite", ""), "")
    classes += "".join(f" {mark}" for mark in ("heat", "path", "dim", "dead") if mark in marks)
    return classes + f" order{part.order}" * bool(part.order)


def _mark_rows(marks: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the marks of a node."""
    rows = []
    if "rms" in marks:
        rows.append(Row("gradient RMS", (style.number(marks["rms"]).lstrip("+"),)))
    if "check" in marks:
        rows.append(Row("differences", (badge(marks["check"]),)))
    if "dead" in marks:
        rows.append(Row("dead units", (f"{marks['dead']} of {marks['units']}",)))
    if "cost" in marks:
        rows.append(Row("cost", tuple(text_of(marks["cost"]).split(" · "))))
    return rows


def with_place(text: str, part: Part) -> str:
    """Append module and line of the user's program, if known, to a tooltip."""
    module = ".".join(filter(None, part.path))
    order = part.marks.get("order", "")
    return "\n".join(filter(None, [text, order, f"in {module}" * bool(module), part.where]))


def _gradient_class(variable: Variable) -> str:
    """Return the class for a gradient: unneeded, not yet there, zero or there."""
    if variable.role in ("constant", "number"):
        return "grad-unneeded"
    gradient = variable.stored if variable.role == "parameter" else variable.gradient
    if gradient is None:
        return "grad-not-yet"
    return "grad-there" if gradient.any() else "grad-zero"


def _same(stored: Any, gradient: Any) -> bool:
    if stored is None or gradient is None:
        return False
    return style.describe(stored) == style.describe(gradient)


def _columns(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the widths of the two columns of a card, in points."""
    size, room = style.TEXT_SIZE, 2 * PADDING
    labels = (style.text_width(row.label, size) for row in rows)
    texts = [style.text_width(line, size) for row in rows for line in row.lines]
    texts += [row.sketch.width for row in rows if row.sketch is not None]
    return max(labels, default=0) + room, max(texts, default=0) + room


def row_height(row: Row) -> float:
    """Return the height of a row of a card, in points."""
    text = LEADING * style.TEXT_SIZE * max(len(row.lines), 1)
    return max(text, 0 if row.sketch is None else row.sketch.height) + PADDING


# ------------------------------------------------------------------------------------ lines


def _line(edge: Edge, into_group: bool, theme: Theme) -> Line:
    line = Line(
        edge.id,
        ("output" if edge.argnum is None else "argument") + mark_classes(edge),
        edge.tail,
        edge.head,
        dashed=not edge.differentiable,
        thick="path" in edge.marks,
        faint="dim" in edge.marks,
    )
    if "loop" in edge.marks:
        classes = line.classes + " recurrence"
        return replace(line, classes=classes, **fields_of(edge.marks["loop"], theme, numbers=True))
    if edge.argnum is None:
        return line
    local, flow = _texts(edge)
    if into_group and edge.contribution is not None:
        flow = flow_of(edge.contribution)
    roles = edge.marks.get("roles", ())
    texts = [words(roles)] * (len(roles) > 1) + [local] * bool(local)
    if "times" in edge.marks:
        texts, flow = [f"{edge.marks['times']:,} ×"], ""
    return replace(
        line,
        classes=line.classes + " grad-unneeded" * line.dashed,
        local=tuple(texts),
        flow=flow,
        tooltip="\n".join(filter(None, [local, flow and f"contribution {flow}"])),
        matrix=edge.marks.get("matrix", ()),
    )


def _small_width(text: str) -> float:
    return style.text_width(text, style.SMALL_SIZE)


def _texts(edge: Edge) -> tuple[str, str]:
    """Return the texts of an edge: local derivative and contribution."""
    local, flow = edge.marks.get("local", edge.local), edge.marks.get("flow", "")
    if "local" not in edge.marks and _is_single(edge.contribution) and _is_single(edge.upstream):
        upstream, contribution = edge.upstream.item(), edge.contribution.item()
        flow = style.number(contribution)
        if upstream and not local.lstrip("−").replace(".", "", 1).isdigit():
            local = f"{local} = {style.number(contribution / upstream)}".removeprefix(" = ")
    return local, flow


def _is_single(array: Any) -> bool:
    return getattr(array, "size", 0) == 1


def _caption(view: View, boxes: tuple[Box, ...], lines: tuple[Line, ...]) -> list[str]:
    rows = [row for box in boxes for row in box.rows]
    caption = []
    if any(line.flow for line in lines):
        caption.append(
            "on an edge: the local derivative, and below it the contribution, upstream gradient × "
            "local derivative; a gradient is the sum of the contributions to it"
        )
    if any(ALL_ROOTS in row.label for row in rows):
        caption.append(f"{ALL_ROOTS}: the sum of all elements of the roots")
    if any(row.label in ("matrix", "matrices") for row in rows):
        caption.append("in a matrix: blue below zero, white zero, orange above; darker is larger")
    if any(row.label == "shares" for row in rows):
        caption.append("shares, which sum to 1: white 0, dark 1")
    written = [text for row in rows for text in row.lines] + [line.flow for line in lines]
    if any(" ± " in text for text in written):
        caption.append("m ± s: mean and standard deviation of the elements")
    pairs = [(v.stored, v.gradient) for v in view.variables if v.gradient is not None]
    if any(stored is not None and not _same(stored, gradient) for stored, gradient in pairs):
        caption.append(".grad: other backward passes were accumulated into it")
    return [line for text in caption + view.remarks for line in textwrap.wrap(text, CAPTION_LENGTH)]
