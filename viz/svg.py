"""The figure as SVG, laid out by `layered`; ids and classes are those of `dot`'s SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from . import style
from .figure import HEADER, LEADING, PADDING, Box, Figure, Line, row_height
from .layered import Point, arrange

MARGIN = 12.0
DASHES = ' stroke-dasharray="5,2"'
_HEADER = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{w:.0f}pt" height="{h:.0f}pt" '
    'viewBox="0 0 {w:.2f} {h:.2f}" font-family="{font}">'
    '<defs><marker id="arrow" viewBox="0 0 8 6" refX="8" refY="3" markerWidth="8" markerHeight="6" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 8,3 0,6z" fill="{line}"/></marker>'
    '</defs><rect width="100%" height="100%" fill="{paper}"/>'
)


def draw(figure: Figure, direction: str) -> str:
    """The SVG text of a figure; `direction` is "LR" or "TB"."""
    layout = arrange(figure, direction)
    leading = LEADING * style.SMALL_SIZE
    caption = max((style.text_width(text, style.SMALL_SIZE) for text in figure.caption), default=0)
    width = max(layout.width, caption) + 2 * MARGIN
    height = layout.height + leading * (len(figure.caption) + 1) + 2 * MARGIN
    left = (width - layout.width) / 2
    parts = [_HEADER.format(w=width, h=height, font=style.FONT, line=style.LINE, paper=style.PAPER)]
    parts.append(f'<g id="graph0" class="graph" transform="translate({left:.2f},{MARGIN})">')
    for line in figure.lines:
        place = layout.texts.get(line.id, (0.0, 0.0))
        parts.append(_line(line, layout.lines[line.id], place, direction))
    parts += [_box(box, *layout.boxes[box.id]) for box in figure.boxes]
    parts.append("</g>")
    top = height - MARGIN - leading * len(figure.caption)
    for row, text in enumerate(figure.caption):
        parts.append(
            _text(text, width / 2, top + row * leading, style.SMALL_SIZE, style.QUIET, "middle")
        )
    return "\n".join([*parts, "</svg>", ""])


def _box(box: Box, x: float, y: float) -> str:
    look = box.look
    left, top = x - box.width / 2, y - box.height / 2
    border = f'stroke="{look.border}" stroke-width="{look.width}"' + DASHES * look.dashed
    if box.shape == "card":
        frame = _rectangle(left, top, box.width, box.height, f'fill="none" {border}')
        inside = [*_card(box, left, top), frame]
    else:
        radius = {"circle": box.width / 2, "pill": 8.0, "box": 0.0}[box.shape]
        paint = f'fill="{look.ground}" {border}'
        inside = [_rectangle(left, top, box.width, box.height, paint, radius)]
        leading = LEADING * style.TEXT_SIZE
        top = y - leading * len(box.title) / 2
        for row, text in enumerate(box.title):
            inside.append(_text(text, x, top + row * leading, style.TEXT_SIZE, look.text, "middle"))
    return _group(box.id, f"node {box.classes}", [f"<title>{escape(box.tooltip)}</title>", *inside])


def _card(box: Box, left: float, top: float) -> list[str]:
    look = box.look
    middle, right = left + box.width / 2, left + box.width - PADDING
    parts = [_rectangle(left, top, box.width, box.height, f'fill="{style.PAPER}"')]
    parts.append(_rectangle(left, top, box.width, HEADER, f'fill="{look.ground}"'))
    y = top + PADDING / 2
    parts.append(_text(box.title[0], middle, y, style.NAME_SIZE, look.text, "middle", bold=True))
    y += LEADING * style.NAME_SIZE
    parts.append(_text(box.subtitle, middle, y, style.SMALL_SIZE, look.text, "middle"))
    y = top + HEADER
    for row in box.rows:
        parts.append(_rectangle(left, y, box.width, row_height(row), f'fill="{row.ground}"'))
        text_top = y + PADDING / 2
        parts.append(_text(row.label, left + PADDING, text_top, style.TEXT_SIZE, look.text))
        for number, text in enumerate(row.lines):
            down = text_top + number * LEADING * style.TEXT_SIZE
            parts.append(_text(text, right, down, style.TEXT_SIZE, look.text, "end"))
        y += row_height(row)
    return parts


def _line(line: Line, stops: Sequence[Point], text: Point, direction: str) -> str:
    parts = [f"<title>{line.tail}&#45;&gt;{line.head}</title>"]
    parts.append(
        f'<path fill="none" stroke="{style.LINE}"{DASHES * line.dashed} marker-end="url(#arrow)" '
        f'd="{_curve(stops, direction)}"/>'
    )
    x, y = text[0], text[1] - line.height / 2
    if line.local:
        parts.append(_text(line.local, x, y, style.SMALL_SIZE, style.INK, "middle"))
        y += LEADING * style.SMALL_SIZE
    if line.flow:
        parts.append(_text(line.flow, x, y, style.SMALL_SIZE, style.FLOW, "middle", bold=True))
    return _group(line.id, f"edge {line.classes}", parts)


def _curve(stops: Sequence[Point], direction: str) -> str:
    """Through the stops, leaving and reaching each along the direction of the layout."""
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


def _text(
    text: str,
    x: float,
    top: float,
    size: float,
    ink: str,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{top + 0.95 * size:.1f}" font-size="{size}" fill="{ink}" '
        f'text-anchor="{anchor}"{weight} xml:space="preserve">{escape(text)}</text>'
    )


def _rectangle(
    x: float, y: float, width: float, height: float, paint: str, radius: float = 0.0
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{radius:.1f}" {paint}/>'
    )


def _group(identity: str, classes: str, parts: Sequence[str]) -> str:
    return f'<g id="{identity}" class="{classes}">{"".join(parts)}</g>'
