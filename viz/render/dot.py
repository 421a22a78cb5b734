"""The figure as DOT, the language of Graphviz.

Node ids are n0, n1 …; names of users appear only in escaped labels, so they cannot break the text.
Cards are HTML-like tables.
"""

from __future__ import annotations

from html import escape

from .. import style
from ..compose.figure import Box, Cluster, Entry, Figure, Key, Line, Row
from ..compose.recurrence import CELL
from ..compose.sketches import vacant
from ..themes import Theme

NO_LINES = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
MOST_LETTERS = 4000  # characters of a tooltip
MANY_BOXES = 500  # with more boxes the layout has fewer iterations


def source(figure: Figure, direction: str) -> str:
    """Return the DOT text of a figure; `direction` is "LR" or "TB"."""
    import graphviz

    theme = figure.theme
    graph = graphviz.Digraph(
        "computation",
        graph_attr={
            "rankdir": direction,
            "bgcolor": theme.paper,
            "nodesep": "0.12" if figure.is_compact else "0.2",
            "ranksep": "0.18" if figure.is_compact else "0.3",
            "pad": "0.15",
            "fontname": style.FONT,
            "fontsize": str(style.SMALL_SIZE),
            "fontcolor": theme.quiet,
            "labelloc": "b",
            "label": _below(figure),
        },
        node_attr={
            "fontname": style.FONT,
            "fontsize": str(style.TEXT_SIZE),
            "fontcolor": theme.ink,
        },
        edge_attr={
            "fontname": style.FONT,
            "fontsize": str(style.SMALL_SIZE),
            "fontcolor": theme.ink,
            "color": theme.line,
            "arrowsize": "0.6",
        },
    )
    if len(figure.boxes) > MANY_BOXES:  # fewer iterations, half the time
        graph.attr(nslimit="2", mclimit="0.5")
    graphs = {"": graph}
    for cluster in figure.clusters:
        graphs[cluster.id] = graphviz.Digraph(
            f"cluster_{cluster.id}", graph_attr=_frame(cluster, theme, direction)
        )
    position = {box.id: number for number, box in enumerate(figure.boxes)}
    owners = {name: cluster.id for cluster in figure.clusters for name in cluster.boxes}
    for box in figure.boxes:
        make = {"card": _card, "table": _table}.get(box.shape, _disc)
        attributes = make(box, theme)
        attributes |= {"tooltip": _tooltip(box.tooltip), "class": box.classes}
        graphs[owners.get(box.id, "")].node(box.id, id=box.id, **attributes)
    for cluster in reversed(figure.clusters):  # inner ones first
        graphs[cluster.parent].subgraph(graphs[cluster.id])
    for line in figure.lines:
        attributes = _edge(line, theme)
        if line.tooltip:
            attributes["tooltip"] = attributes["labeltooltip"] = _tooltip(line.tooltip)
        if line.classes == "shared":  # it continues behind the port
            attributes["arrowhead"] = "none"
        ends = line.tail, line.head
        if line.is_recurrence:
            attributes["penwidth"] = "2"
            if position[line.tail] > position[line.head]:  # laid out like the lines forward
                ends, attributes["dir"] = ends[::-1], "back"
        graph.edge(*ends, id=line.id, **{"class": line.classes}, **attributes)
    text: str = graph.source
    return text


def _frame(cluster: Cluster, theme: Theme, direction: str) -> dict[str, str]:
    room = cluster.width + 24 if direction == "TB" else 0  # lines enter left of the title
    look = theme.cluster
    return {
        "id": cluster.id,
        "class": cluster.classes.removeprefix("cluster").strip(),
        "label": _html(
            f'{NO_LINES}<TR><TD WIDTH="{room:.0f}"></TD>'
            f'<TD><FONT POINT-SIZE="{style.TEXT_SIZE}"><B>{_plain(cluster.title)}</B></FONT></TD>'
            "</TR></TABLE>"
        ),
        "tooltip": _tooltip(cluster.tooltip),
        "labelloc": "t",
        "labeljust": "r" if room else "l",
        "style": "rounded,filled",
        "fillcolor": look.ground,
        "color": look.border,
        "fontcolor": look.text,
    }


def _tooltip(text: str) -> str:
    """Escape and shorten a tooltip: the scanner of Graphviz has a buffer of 16 kB."""
    import graphviz

    escaped: str = graphviz.escape(style.elided(text, MOST_LETTERS))
    return escaped


def _disc(box: Box, theme: Theme) -> dict[str, str]:
    look = box.look
    if box.shape == "point":
        width = f"{box.width / 72:.3f}"
        return {"shape": "point", "width": width, "color": look.border, "label": ""}
    styles = ["filled", *["rounded"] * (box.shape == "pill"), *["dashed"] * look.dashed]
    return {
        "label": _html(_title(box)),
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


def _title(box: Box) -> str:
    """Return the title of a box, in bold with the notes below it."""
    if not box.notes:
        return _breaks(box.title)
    notes = f'<FONT POINT-SIZE="{style.SMALL_SIZE}">{_breaks(box.notes)}</FONT>'
    return f"<B>{_breaks(box.title)}</B><BR/>{notes}"


def _card(box: Box, theme: Theme) -> dict[str, str]:
    look = box.look
    cell = f'<TR><TD COLSPAN="2" BGCOLOR="{look.ground}" WIDTH="{box.width:.0f}">'
    title = f'<FONT POINT-SIZE="{style.NAME_SIZE}"><B>{_plain(box.title[0])}</B></FONT>'
    subtitle = f'<FONT POINT-SIZE="{style.SMALL_SIZE}">{_plain(box.subtitle)}</FONT>'
    dashes = ' STYLE="dashed"' if look.dashed else ""
    rows = "".join(_row(row, theme) for row in box.rows)
    table = (
        f'<TABLE BORDER="{look.width}" COLOR="{look.border}" CELLBORDER="0" CELLSPACING="0" '
        f'CELLPADDING="2" BGCOLOR="{theme.paper}"{dashes}>'
        f"{cell}{title}</TD></TR>{cell}{subtitle}</TD></TR>{rows}</TABLE>"
    )
    return {"shape": "plain", "label": _html(table), "fontcolor": look.text}


def _table(box: Box, theme: Theme) -> dict[str, str]:
    look = box.look
    count = max(len(entry.cells) for entry in box.table)
    title = (
        f'<TR><TD COLSPAN="{count}"><FONT POINT-SIZE="{style.TEXT_SIZE}"><B>{_plain(text)}</B>'
        "</FONT></TD></TR>"
        for text in box.title
    )
    table = (
        f'<TABLE BORDER="{look.width}" COLOR="{look.border}" CELLBORDER="0" CELLSPACING="0" '
        f'CELLPADDING="4" BGCOLOR="{look.ground}" STYLE="ROUNDED"><TR><TD>'
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        f"{''.join(title)}{''.join(map(_entry, box.table))}</TABLE></TD></TR></TABLE>"
    )
    return {"shape": "plain", "label": _html(table), "fontcolor": look.text}


def _entry(entry: Entry) -> str:
    """Return a line of a table."""
    first, *rest = map(_plain, entry.cells)
    small = f'<FONT POINT-SIZE="{style.SMALL_SIZE}">{{}}</FONT>'
    first = small.format(first) if entry.is_detail else f"<B>{first}</B>"
    cells = "".join(f'<TD ALIGN="RIGHT">{small.format(f"  {c}") if c else ""}</TD>' for c in rest)
    row = f'<TR><TD ALIGN="LEFT">{first}</TD>{cells}</TR>'
    return row.replace("<TD ", f'<TD BGCOLOR="{entry.ground}" ') if entry.ground else row


def _row(row: Row, theme: Theme) -> str:
    ground = row.ground or theme.paper
    if row.sketch is not None:
        room = f'WIDTH="{row.sketch.width + 4:.0f}" HEIGHT="{row.sketch.height + 4:.0f}"'
        return (
            f'<TR><TD ALIGN="LEFT" VALIGN="TOP" BGCOLOR="{ground}">{_plain(row.label)}</TD>'
            f'<TD {room} FIXEDSIZE="TRUE" BGCOLOR="{vacant(theme)}"></TD></TR>'
        )
    texts = _breaks(row.lines, ' ALIGN="RIGHT"')
    return (
        f'<TR><TD ALIGN="LEFT" VALIGN="TOP" BGCOLOR="{ground}">{_plain(row.label)}</TD>'
        f'<TD ALIGN="RIGHT" BALIGN="RIGHT" BGCOLOR="{ground}">{texts}</TD></TR>'
    )


_MARGIN = (  # around an edge's texts, so that other edges do not touch them
    '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3"><TR><TD>{}</TD></TR></TABLE>'
)


def _edge(line: Line, theme: Theme) -> dict[str, str]:
    ink = theme.quiet if line.faint else theme.flow
    flow = [f'<FONT COLOR="{ink}"><B>{_plain(line.flow)}</B></FONT>'] * bool(line.flow)
    texts = [*map(_plain, line.local), *flow]
    attributes = {"label": _html(_MARGIN.format("<BR/>".join(texts)))} if texts else {}
    if line.matrix or line.cells:
        inner = _matrix(line) if line.matrix else _cells(line, theme)
        parts = ["<BR/>".join(map(_plain, line.local)), inner, *flow]
        rows = "".join(f"<TR><TD>{part}</TD></TR>" for part in parts)
        attributes["label"] = _html(f"{NO_LINES}{rows}</TABLE>")
    if line.faint:
        attributes |= {"color": theme.cluster.border, "fontcolor": theme.quiet}
    attributes |= {"style": "dashed"} if line.dashed else {}
    return attributes | ({"penwidth": "3"} if line.thick else {})


def _cells(line: Line, theme: Theme) -> str:
    """Return a row of coloured cells."""
    size = f'FIXEDSIZE="TRUE" WIDTH="{CELL * len(line.cells) + 2:.0f}" HEIGHT="{CELL + 3:.0f}"'
    room = f'FIXEDSIZE="TRUE" WIDTH="{CELL - 1:.0f}" HEIGHT="{CELL:.0f}"'
    cells = "".join(f'<TD {room} BGCOLOR="{fill}"></TD>' for fill in line.cells)
    return (
        f'<TABLE {size} BORDER="0" CELLBORDER="1" CELLSPACING="1" CELLPADDING="0" '
        f'COLOR="{theme.line}"><TR>{cells}</TR></TABLE>'
    )


def _matrix(line: Line) -> str:
    """Return a table with the entries of a Jacobian between two vertical lines."""
    rows = (
        "".join(f'<TD BORDER="0" ALIGN="RIGHT">{_plain(entry)}</TD>' for entry in row)
        for row in line.matrix
    )
    inside = "".join(f"<TR>{row}</TR>" for row in rows)
    return (
        '<TABLE BORDER="1" SIDES="LR" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        f"{inside}</TABLE>"
    )


def _below(figure: Figure) -> str:
    """Return the graph's label: legend and caption, or "" without both."""
    rows = []
    if figure.legend:
        keys = "".join(f"<TD>{_key(key)}</TD>" for key in figure.legend)
        rows.append(f'<TABLE BORDER="0" CELLSPACING="4" CELLPADDING="0"><TR>{keys}</TR></TABLE>')
    if figure.caption:
        rows.append(_breaks(figure.caption))
    if not rows:
        return ""
    inside = "".join(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return _html(f'<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="3">{inside}</TABLE>')


def _key(key: Key) -> str:
    look = key.look
    dashes = ' STYLE="dashed"' if look.dashed else ""
    return (
        f'<TABLE BORDER="{look.width}" COLOR="{look.border}" CELLBORDER="0" CELLSPACING="0" '
        f'CELLPADDING="3" BGCOLOR="{look.ground}"{dashes}><TR><TD>'
        f'<FONT COLOR="{look.text}">{_plain(key.text)}</FONT></TD></TR></TABLE>'
    )


def _breaks(lines: tuple[str, ...], align: str = "") -> str:
    return f"<BR{align}/>".join(map(_plain, lines))


def _plain(text: str) -> str:
    """Escape a text for an HTML-like label; a backslash would start an escape (\\N)."""
    return escape(text).replace("\\", "\\\\")


def _html(text: str) -> str:
    return f"<{text}>"
