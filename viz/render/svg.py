"""The figure as SVG, laid out by `layered`, with the ids and classes of the SVG of `dot`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .. import style
from ..compose import tables
from ..compose.figure import (
    HEADER,
    LEADING,
    PADDING,
    Box,
    Cluster,
    Figure,
    Key,
    Line,
    row_height,
)
from ..compose.recurrence import CELL
from ..compose.shapes import label, rectangle
from ..themes import Look, Theme
from .layered import RIM, Point, arrange

MARGIN, GAP = 12.0, 6.0  # points around the graph; between the entries of the legend
KEY_HEIGHT = 18.0
DASHES = ' stroke-dasharray="5,2"'
_HEADER = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{w:.0f}pt" height="{h:.0f}pt" '
    'viewBox="0 0 {w:.2f} {h:.2f}" font-family="{font}">'
    '<defs><marker id="arrow" viewBox="0 0 8 6" refX="8" refY="3" markerWidth="8" markerHeight="6" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 8,3 0,6z" fill="{line}"/></marker>'
    '</defs><rect width="100%" height="100%" fill="{paper}"/>'
)


def draw(figure: Figure, direction: str) -> str:
    """Return the SVG text of a figure; `direction` is "LR" or "TB"."""
    layout, theme = arrange(figure, direction), figure.theme
    caption = max((style.text_width(text, style.SMALL_SIZE) for text in figure.caption), default=0)
    legend = sum(map(_key_width, figure.legend)) + GAP * max(len(figure.legend) - 1, 0)
    width = max(layout.width, caption, legend) + 2 * MARGIN
    below = (KEY_HEIGHT + MARGIN) * bool(figure.legend) + LEADING * style.SMALL_SIZE * len(
        figure.caption
    )
    height = layout.height + MARGIN * bool(below) + below + 2 * MARGIN
    left = (width - layout.width) / 2
    parts = [_HEADER.format(w=width, h=height, font=style.FONT, line=theme.line, paper=theme.paper)]
    parts.append(f'<g id="graph0" class="graph" transform="translate({left:.2f},{MARGIN})">')
    for cluster in figure.clusters:
        parts.append(_cluster(cluster, *layout.clusters[cluster.id], theme))
    for line in figure.lines:
        place = layout.texts.get(line.id, (0.0, 0.0))
        parts.append(_line(line, layout.lines[line.id], place, direction, theme))
    parts += [drawn_box(box, *layout.boxes[box.id], theme) for box in figure.boxes]
    parts.append("</g>")
    parts += _below(figure, width, height - MARGIN - below, (width - legend) / 2)
    return "\n".join([*parts, "</svg>", ""])


def _below(figure: Figure, width: float, top: float, left: float) -> list[str]:
    """Return the legend, and the caption below it."""
    parts = []
    for key in figure.legend:
        parts.append(_key(key, left, top))
        left += _key_width(key) + GAP
    top += (KEY_HEIGHT + MARGIN) * bool(figure.legend)
    for text in figure.caption:
        parts.append(label(text, width / 2, top, style.SMALL_SIZE, figure.theme.quiet, "middle"))
        top += LEADING * style.SMALL_SIZE
    return parts


def _key(key: Key, left: float, top: float) -> str:
    width, look = _key_width(key), key.look
    frame = rectangle(left, top, width, KEY_HEIGHT, f'fill="{look.ground}" {_border(look)}')
    middle = left + width / 2
    return frame + label(key.text, middle, top + 4, style.SMALL_SIZE, look.text, "middle")


def _key_width(key: Key) -> float:
    return style.text_width(key.text, style.SMALL_SIZE) + 2 * PADDING


def _border(look: Look) -> str:
    return f'stroke="{look.border}" stroke-width="{look.width}"' + DASHES * look.dashed


def _cluster(cluster: Cluster, corner: Point, extent: Point, theme: Theme) -> str:
    look, (left, top) = theme.cluster, corner
    paint = f'fill="{look.ground}" {_border(look)}'
    title = label(cluster.title, left + RIM, top + RIM / 2, style.TEXT_SIZE, look.text, bold=True)
    inside = [f"<title>{escape(cluster.tooltip)}</title>", rectangle(*corner, *extent, paint, 6.0)]
    return _group(cluster.id, cluster.classes, [*inside, title])


def drawn_box(box: Box, x: float, y: float, theme: Theme) -> str:
    """Return the SVG of a box with its middle at (x, y)."""
    look = box.look
    left, top = x - box.width / 2, y - box.height / 2
    border = _border(look)
    if box.shape == "point":
        paint = f'fill="{look.border}"'
        inside = [rectangle(left, top, box.width, box.height, paint, box.width / 2)]
    elif box.shape == "card":
        frame = rectangle(left, top, box.width, box.height, f'fill="none" {border}')
        inside = [*_card(box, left, top, theme), frame]
    elif box.shape == "table":
        paint = f'fill="{look.ground}" {border}'
        frame = rectangle(left, top, box.width, box.height, paint, 8.0)
        inside = [frame, *_table(box, left, top)]
    else:
        radius = {"circle": box.width / 2, "pill": 8.0, "box": 0.0}[box.shape]
        paint = f'fill="{look.ground}" {border}'
        inside = [rectangle(left, top, box.width, box.height, paint, radius)]
        sizes = [style.TEXT_SIZE] * len(box.title) + [style.SMALL_SIZE] * len(box.notes)
        top = y - LEADING * sum(sizes) / 2
        for row, (text, size) in enumerate(zip(box.title + box.notes, sizes, strict=True)):
            bold = bool(box.notes) and row < len(box.title)
            inside.append(label(text, x, top, size, look.text, "middle", bold))
            top += LEADING * size
    return _group(box.id, f"node {box.classes}", [f"<title>{escape(box.tooltip)}</title>", *inside])


def _card(box: Box, left: float, top: float, theme: Theme) -> list[str]:
    look = box.look
    middle, right = left + box.width / 2, left + box.width - PADDING
    parts = [rectangle(left, top, box.width, box.height, f'fill="{theme.paper}"')]
    parts.append(rectangle(left, top, box.width, HEADER, f'fill="{look.ground}"'))
    y = top + PADDING / 2
    parts.append(label(box.title[0], middle, y, style.NAME_SIZE, look.text, "middle", bold=True))
    y += LEADING * style.NAME_SIZE
    parts.append(label(box.subtitle, middle, y, style.SMALL_SIZE, look.text, "middle"))
    y, sketches = top + HEADER, []
    for row in box.rows:
        parts.append(
            rectangle(left, y, box.width, row_height(row), f'fill="{row.ground or theme.paper}"')
        )
        text_top = y + PADDING / 2
        parts.append(label(row.label, left + PADDING, text_top, style.TEXT_SIZE, look.text))
        if row.sketch is not None:
            sketches.append(row.sketch.placed(right - row.sketch.width, text_top))
        for number, text in enumerate(row.lines):
            down = text_top + number * LEADING * style.TEXT_SIZE
            parts.append(label(text, right, down, style.TEXT_SIZE, look.text, "end"))
        y += row_height(row)
    return parts + sketches


def _table(box: Box, left: float, top: float) -> list[str]:
    """Return the texts of a table: the first column to the left, the others to the right."""
    look, y = box.look, top + tables.ROOM
    parts = []
    for text in box.title:
        middle = left + box.width / 2
        parts.append(label(text, middle, y, style.TEXT_SIZE, look.text, "middle", bold=True))
        y += tables.LINE
    widths = tables.columns(box.table)
    for entry in box.table:
        first, *rest = entry.cells
        size = style.SMALL_SIZE if entry.is_detail else style.TEXT_SIZE
        start = left + tables.ROOM
        if entry.ground:
            extent = box.width - 2 * tables.ROOM, tables.LINE
            parts.append(rectangle(start, y, *extent, f'fill="{entry.ground}"'))
        parts.append(label(first, start, y, size, look.text, bold=not entry.is_detail))
        x = left + box.width - tables.ROOM - sum(widths[1:])
        for text, width in zip(rest, widths[1:], strict=True):
            x += width
            parts.append(label(text, x, y, style.SMALL_SIZE, look.text, "end"))
        y += tables.LINE
    return parts


def _line(line: Line, stops: Sequence[Point], text: Point, direction: str, theme: Theme) -> str:
    wide = 3 if line.thick else 2
    dashes = DASHES * line.dashed
    width = f' stroke-width="{wide}"' * (line.thick or line.is_recurrence)
    arrow = ' marker-end="url(#arrow)"' * (line.classes != "shared")  # it continues behind the port
    stroke = theme.cluster.border if line.faint else theme.line
    parts = [
        f"<title>{escape(line.tooltip)}</title>" * bool(line.tooltip),
        f'<path fill="none" stroke="{stroke}"{dashes}{width}{arrow} '
        f'd="{_bow(*stops) if line.tail == line.head else _curve(stops, direction)}"/>',
    ]
    x, y = text[0], text[1] - line.height / 2
    ink, flow = (theme.quiet, theme.quiet) if line.faint else (theme.ink, theme.flow)
    for words in line.local:
        parts.append(label(words, x, y, style.SMALL_SIZE, ink, "middle"))
        y += LEADING * style.SMALL_SIZE
    for number, fill in enumerate(line.cells):
        left = x + (number - len(line.cells) / 2) * CELL
        paint = f'class="cell" fill="{fill}" stroke="{theme.line}" stroke-width="0.5"'
        parts.append(rectangle(left, y, CELL - 1, CELL, paint))
    y += (CELL + 2) * bool(line.cells)
    for row in line.matrix:
        right = x - sum(line.columns) / 2
        for entry, column in zip(row, line.columns, strict=True):
            right += column
            parts.append(label(entry, right, y, style.SMALL_SIZE, ink, "end"))
        y += LEADING * style.SMALL_SIZE
    if line.matrix:
        high, side = LEADING * style.SMALL_SIZE * len(line.matrix), sum(line.columns) / 2 + 2
        bars = "".join(f"M{x + way * side:.1f},{y - high:.1f}v{high:.1f}" for way in (-1, 1))
        parts.append(f'<path fill="none" stroke="{ink}" d="{bars}"/>')
    if line.flow:
        parts.append(label(line.flow, x, y, style.SMALL_SIZE, flow, "middle", bold=True))
    return _group(line.id, f"edge {line.classes}", parts)


def _bow(start: Point, top: Point, end: Point) -> str:
    """Return a path from a box back to it, over a point."""
    (x, y), (left, below) = start, end
    over_x, over_y = (4 / 3 * (t - (a + b) / 2) for t, a, b in zip(top, start, end, strict=True))
    bend = f"{x + over_x:.1f},{y + over_y:.1f} {left + over_x:.1f},{below + over_y:.1f}"
    return f"M{x:.1f},{y:.1f} C{bend} {left:.1f},{below:.1f}"


def _curve(stops: Sequence[Point], direction: str) -> str:
    """Return a path through the stops, with tangents along the direction of the layout."""
    (x, y), *rest = stops
    path = [f"M{x:.1f},{y:.1f}"]
    for ahead_x, ahead_y in rest:
        if direction == "LR":
            middle = (x + ahead_x) / 2
            bend = f"{middle:.1f},{y:.1f} {middle:.1f},{ahead_y:.1f}"
        else:
            middle = (y + ahead_y) / 2
            bend = f"{x:.1f},{middle:.1f} {ahead_x:.1f},{middle:.1f}"
        path.append(f"C{bend} {ahead_x:.1f},{ahead_y:.1f}")
        x, y = ahead_x, ahead_y
    return " ".join(path)


def _group(identity: str, classes: str, parts: Sequence[str]) -> str:
    return f'<g id="{identity}" class="{classes}">{"".join(parts)}</g>'
