"""Frames around the modules of a figure, and ports where several lines enter or leave.

A port joins the lines of one variable at the border of a module, so that they are one line outside.
"""

from __future__ import annotations

from dataclasses import replace

from .. import style
from ..fold.clusters import LOOP, Module, Tree
from ..graph.view import View
from .figure import Box, Cluster, Figure, Line

PORT = 5.0  # points: diameter
TITLE_LENGTH = 40  # characters


def framed(figure: Figure, view: View) -> Figure:
    """Return the figure of a view with a cluster for each module, and with ports."""
    tree = Tree(view)
    drawn = {box.id for box in figure.boxes} if figure.is_compact else None
    shown = framed_modules(tree, drawn)
    if not shown:
        return figure
    frames = set(shown)
    around = {  # drawn modules around each node, outermost first
        name: [module for module in home.upward() if module in frames][::-1]
        for name, home in tree.home.items()
    }
    router = _Router(figure, around)
    lines = router.lead(router.lead(list(figure.lines), "in"), "out")
    boxes = []
    for box in figure.boxes:
        boxes += [*router.before.get(box.id, ()), box, *router.behind.get(box.id, ())]
    inside: dict[Module, list[str]] = {module: [] for module in shown}
    for box in boxes:
        if router.around[box.id]:
            inside[router.around[box.id][-1]].append(box.id)
    clusters = tuple(_cluster(module, inside[module], frames) for module in shown)
    return replace(figure, boxes=tuple(boxes), lines=tuple(lines), clusters=clusters)


def framed_modules(tree: Tree, drawn: set[str] | None = None) -> list[Module]:
    """Return the modules that have a frame, outer before inner: all but one call of an only model.

    With `drawn`, the ids of small boxes, a module with only one of them has none: the box names it.
    """
    modules = list(tree.top.modules())
    models = {(m.kind, m.model) for m in modules if not m.depth and m.kind != LOOP}
    shown = [module for module in modules if _is_told(module) or len(models) > 1]
    if drawn is None:
        return shown
    return [m for m in shown if sum(call.id in drawn for call in m.operations()) > 1]


def _is_told(module: Module) -> bool:
    """Return whether a module has a frame even if it is in the only model."""
    in_loop = LOOP in (module.kind, module.parent.kind if module.parent else "")
    return bool(module.depth) or module.call[1] > 1 or in_loop


def _cluster(module: Module, boxes: list[str], frames: set[Module]) -> Cluster:
    title = title_of(module)
    _, *around = module.upward()
    parent = next((outer.id for outer in around if outer in frames), "")
    classes = "cluster" + f" order{module.order}" * bool(module.order)
    return Cluster(module.id, classes, title, title, parent, tuple(boxes))


def title_of(module: Module) -> str:
    """Return the title of the frame of a module."""
    title = style.elided(style.printable(module.title), 2 * TITLE_LENGTH)
    return title + " (backward)" * bool(module.order)


class _Router:
    """Makes ports and routes lines through them."""

    def __init__(self, figure: Figure, around: dict[str, list[Module]]) -> None:
        self.around, self.look = around, figure.theme.cluster
        self.position = {box.id: number for number, box in enumerate(figure.boxes)}
        self.source: dict[str, str] = {}  # by port the box whose lines pass through it
        self.before: dict[str, list[Box]] = {}  # ports in front of a box, and behind one
        self.behind: dict[str, list[Box]] = {}

    def lead(self, lines: list[Line], way: str) -> list[Line]:
        """Return the lines; several from one tail "in" or "out" of a module share a port."""
        depths = range(max(map(len, self.around.values()), default=0))
        for depth in depths if way == "in" else reversed(depths):
            crossing: dict[tuple[str, Module], list[int]] = {}
            for number, line in enumerate(lines):
                if line.is_recurrence:  # a recurrence stays inside of its loop
                    continue
                ends = self.around[line.tail], self.around[line.head]
                there, here = ends if way == "in" else ends[::-1]
                if len(here) > depth and here[depth] not in there:
                    crossing.setdefault((line.tail, here[depth]), []).append(number)
            for (tail, module), numbers in crossing.items():
                if len(numbers) > 1:
                    several = [lines[number] for number in numbers]
                    port = self.port(way, tail, module, [line.head for line in several])
                    shared = Line(
                        f"e_{port}",
                        "shared",
                        tail,
                        port,
                        dashed=all(line.dashed for line in several),
                        thick=any(line.thick for line in several),
                    )
                    lines = [*lines, shared]
                    for number in numbers:
                        lines[number] = replace(lines[number], tail=port)
        return lines

    def port(self, way: str, tail: str, module: Module, heads: list[str]) -> str:
        """Add a port of a module for the lines from a tail to some heads; return its id."""
        source = self.source.get(tail, tail)
        name = f"p_{way}_{module.id}_{source}"
        words = "into" if way == "in" else "out of"
        tooltip = f"{words} {style.printable(module.name)}"
        box = Box(name, f"port {way}", "point", self.look, PORT, PORT, tooltip, ())
        if way == "in":  # before all its heads: ids are in topological order
            first = min(heads, key=self.position.__getitem__)
            self.before.setdefault(first, []).append(box)
            within = self.around[first]
        else:
            self.behind.setdefault(source, []).append(box)
            within = self.around[tail]
        self.around[name] = within[: within.index(module) + 1]
        self.source[name] = source
        return name
