"""The figure as DOT, the language of Graphviz.

Nodes are called n0, n1 … and a user's names stand only in escaped labels, so no name can break the
text. Cards are HTML-like tables.
"""

from __future__ import annotations

from html import escape

from . import style
from .figure import Box, Figure, Line, Row


def source(figure: Figure, direction: str) -> str:
    """The DOT text of a figure; `direction` is "LR" or "TB"."""
    import graphviz

    graph = graphviz.Digraph(
        "computation",
        graph_attr={
            "rankdir": direction,
            "bgcolor": style.PAPER,
            "nodesep": "0.2",
            "ranksep": "0.3",
            "pad": "0.15",
            "fontname": style.FONT,
            "fontsize": str(style.SMALL_SIZE),
            "fontcolor": style.QUIET,
            "labelloc": "b",
            "label": _html(_breaks(figure.caption)) if figure.caption else "",
        },
        node_attr={"fontname": style.FONT, "fontsize": str(style.TEXT_SIZE)},
        edge_attr={
            "fontname": style.FONT,
            "fontsize": str(style.SMALL_SIZE),
            "color": style.LINE,
            "arrowsize": "0.6",
        },
    )
    for box in figure.boxes:
        attributes = _card(box) if box.shape == "card" else _disc(box)
        tooltip = graphviz.escape(box.tooltip)
        graph.node(box.id, id=box.id, tooltip=tooltip, **{"class": box.classes}, **attributes)
    for line in figure.lines:
        graph.edge(line.tail, line.head, id=line.id, **{"class": line.classes}, **_edge(line))
    text: str = graph.source
    return text


def _disc(box: Box) -> dict[str, str]:
    look = box.look
    styles = ["filled", *["rounded"] * (box.shape == "pill"), *["dashed"] * look.dashed]
    return {
        "label": _html(_breaks(box.title)),
        "shape": "circle" if box.shape == "circle" else "box",
        "style": ",".join(styles),
        "fixedsize": "true",
        "width": f"{box.width / 72:.3f}",
        "height": f"{box.height / 72:.3f}",
        "fillcolor": look.ground,
        "color": look.border,
        "fontcolor": look.text,
        "penwidth": str(look.width),
    }


def _card(box: Box) -> dict[str, str]:
    look = box.look
    cell = f'<TR><TD COLSPAN="2" BGCOLOR="{look.ground}" WIDTH="{box.width:.0f}">'
    title = f'<FONT POINT-SIZE="{style.NAME_SIZE}"><B>{_plain(box.title[0])}</B></FONT>'
    subtitle = f'<FONT POINT-SIZE="{style.SMALL_SIZE}">{_plain(box.subtitle)}</FONT>'
    dashes = ' STYLE="dashed"' if look.dashed else ""
    table = (
        f'<TABLE BORDER="{look.width}" COLOR="{look.border}" CELLBORDER="0" CELLSPACING="0" '
        f'CELLPADDING="2" BGCOLOR="{style.PAPER}"{dashes}>'
        f"{cell}{title}</TD></TR>{cell}{subtitle}</TD></TR>{''.join(map(_row, box.rows))}</TABLE>"
    )
    return {"shape": "plain", "label": _html(table), "fontcolor": look.text}


def _row(row: Row) -> str:
    texts = _breaks(row.lines, ' ALIGN="RIGHT"')
    return (
        f'<TR><TD ALIGN="LEFT" VALIGN="TOP" BGCOLOR="{row.ground}">{_plain(row.label)}</TD>'
        f'<TD ALIGN="RIGHT" BALIGN="RIGHT" BGCOLOR="{row.ground}">{texts}</TD></TR>'
    )


def _edge(line: Line) -> dict[str, str]:
    texts = [_plain(line.local)] * bool(line.local)
    if line.flow:
        texts.append(f'<FONT COLOR="{style.FLOW}"><B>{_plain(line.flow)}</B></FONT>')
    attributes = {"label": _html("<BR/>".join(texts))} if texts else {}
    return attributes | ({"style": "dashed"} if line.dashed else {})


def _breaks(lines: tuple[str, ...], align: str = "") -> str:
    return f"<BR{align}/>".join(map(_plain, lines))


def _plain(text: str) -> str:
    """Text in an HTML-like label; a backslash would begin one of Graphviz's escapes (\\N)."""
    return escape(text).replace("\\", "\\\\")


def _html(text: str) -> str:
    return f"<{text}>"
