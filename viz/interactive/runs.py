"""Long runs of operations in one frame: between the first and the last few they are in frames too.

These open like modules, so that a page shows the ends of a long computation at first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..fold.clusters import Call, Module
from .levels import Frame, Level

MANY = 60  # largest number of parts in a frame
ENDS = 5  # number of parts at either end of a longer run

Part = str | Module | Frame  # the id of an operation, or what has a frame


@dataclass(eq=False)
class Run:
    """Operations in a row that have a frame."""

    id: str
    home: str  # the id of the frame around it, or ""
    title: str
    calls: list[Call]


def runs_of(level: Level) -> list[Run]:
    """Return the runs in a level, and move its boxes, modules and loops into them."""
    found = []
    for home, parts in _parts(level).items():
        if len(parts) > MANY:
            rest = list(parts.items())[ENDS:-ENDS]
            runs = list(_divided(level, rest, home, f"… {len(rest):,} more", ENDS))
            _move_leaves(level, home, runs)
            found += runs
    return found


def _parts(level: Level) -> dict[str, dict[Part, list[Call]]]:
    """Return by frame the parts in it, each with its operations, in the order of the record."""
    framed: dict[str, Module | Frame] = {level.own(module.id): module for module in level.modules}
    framed |= {frame.id: frame for frame in level.loops}
    found: dict[str, dict[Part, list[Call]]] = {}
    for call in level.tree.top.operations():
        part: Part | None = call.id if call.id in level.boxes else None
        while part is not None:
            home = level.home(part)
            found.setdefault(home, {}).setdefault(part, []).append(call)
            part = framed.get(home)
    return found


def _divided(
    level: Level,
    parts: Sequence[tuple[Part, list[Call]]],
    home: str,
    title: str,
    offset: int,
) -> Iterator[Run]:
    """Yield a run of some parts, with `offset` parts before it in its frame, and the runs in it."""
    calls = [call for _, some in parts for call in some]
    run = Run(f"run {level.own(calls[0].id)} {len(parts)}", home, title, calls)
    yield run
    if len(parts) <= MANY:
        for part, _ in parts:
            level.move(part, run.id)
        return
    size = MANY
    while size * MANY < len(parts):
        size *= MANY
    for start in range(0, len(parts), size):
        some = parts[start : start + size]
        first = offset + start
        words = f"{first + 1:,} … {first + len(some):,}"
        yield from _divided(level, some, run.id, words, first)


def _move_leaves(level: Level, home: str, runs: Sequence[Run]) -> None:
    """Move the leaves of a frame of which all readers are in one run."""
    innermost = {call.id: run for run in runs for call in run.calls}
    for name in level.boxes:
        edges = level.tree.links.readings.get(name, ())
        around = {innermost.get(edge.head) for edge in edges}
        run = around.pop() if len(around) == 1 else None
        if run is not None and name in level.tree.links.variables and level.home(name) == home:
            level.move(name, run.id)
