"""Straight chains of operations as one box: a table with a line for each operation.

In a chain each operation reads the result of the one before, which no other reads. The chain of all
operations of a module has the title of the module, which then needs no frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from .. import style
from ..fold.clusters import Module, Tree
from .figure import LEADING, Box, Entry, Line
from .nesting import title_of

COLUMN_GAP, ROOM = 8.0, 6.0  # points between columns; around the cells
LINE = LEADING * style.TEXT_SIZE  # height of a line
EXPLANATION = "in a box of several operations each one reads the result of the one above"

Entries = Callable[[str], Sequence[Entry]]


def joined(
    boxes: Sequence[Box], lines: Sequence[Line], tree: Tree, entries: Entries
) -> tuple[list[Box], list[Line]]:
    """Return boxes and lines with a table for each chain; `entries` are those of an operation."""
    chains = list(_chains(boxes, lines, tree))
    first = {box.id: chain[0].id for chain in chains for box in chain}
    inner = {(one.id, two.id) for chain in chains for one, two in pairwise(chain)}
    tables = {chain[0].id: _table(chain, tree, entries) for chain in chains}
    kept = [tables.get(box.id, box) for box in boxes if first.get(box.id, box.id) == box.id]
    moved = [
        replace(line, tail=first.get(line.tail, line.tail), head=first.get(line.head, line.head))
        for line in lines
        if (line.tail, line.head) not in inner
    ]
    return kept, moved


def _chains(boxes: Sequence[Box], lines: Sequence[Line], tree: Tree) -> list[list[Box]]:
    leaving, arriving = (Counter(getattr(line, end) for line in lines) for end in ("tail", "head"))
    behind = {line.tail: line.head for line in lines if _is_plain(line)}
    operations = {box.id: box for box in boxes if box.shape == "pill"}
    taken: set[str] = set()
    chains = []
    for box in operations.values():
        chain = [box]
        while box.id not in taken and leaving[box.id] == 1:
            after = operations.get(behind.get(box.id, ""))
            if after is None or arriving[after.id] != 1 or not _are_alike(box, after, tree):
                break
            chain.append(after)
            box = after
        if len(chain) > 1:
            chains.append(chain)
            taken.update(each.id for each in chain)
    return chains


def _is_plain(line: Line) -> bool:
    return not (line.local or line.thick or line.is_recurrence)


def _are_alike(one: Box, two: Box, tree: Tree) -> bool:
    """Return whether two boxes have a frame in common and marks that look alike."""
    plain = all(box.classes in ("operation", "group") for box in (one, two))
    return (plain or one.look == two.look) and _frame(one, tree) is _frame(two, tree)


def _frame(box: Box, tree: Tree) -> Module:
    """Return the innermost module around a box that has other operations."""
    around = tree.home[box.id].upward()
    return next(module for module in around if not module.is_single or module.parent is None)


def _table(chain: Sequence[Box], tree: Tree, entries: Entries) -> Box:
    first, names = chain[0], {box.id for box in chain}
    look = next((box.look for box in chain if box.classes.startswith("operation")), first.look)
    whole = [
        module
        for module in _frame(first, tree).upward()
        if module.parent and all(call.id in names for call in module.operations())
    ]
    table = tuple(entry for box in chain for entry in entries(box.id))
    title = (title_of(whole[-1]),) if whole else ()
    width = sum(columns(table)) + 2 * ROOM
    if title:
        width = max(width, style.text_width(title[0], style.TEXT_SIZE, bold=True) + 2 * ROOM)
    return Box(
        first.id,
        " ".join(dict.fromkeys(word for box in chain for word in box.classes.split())) + " table",
        "table",
        look,
        width,
        LINE * (len(table) + len(title)) + 2 * ROOM,
        "\n".join(box.tooltip for box in chain),
        title,
        table=table,
    )


def columns(table: Sequence[Entry]) -> list[float]:
    """Return the widths of the columns of a table in points, with the gaps between them."""
    widths = [0.0] * max(len(entry.cells) for entry in table)
    for entry in table:
        for number, text in enumerate(entry.cells):
            bold = not number and not entry.is_detail
            gap = COLUMN_GAP if number else 0.0
            size = style.TEXT_SIZE if bold else style.SMALL_SIZE
            widths[number] = max(widths[number], style.text_width(text, size, bold) + gap)
    return widths
