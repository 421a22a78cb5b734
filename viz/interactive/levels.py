"""The levels of a page: the whole graph, and the graphs in which loops are drawn as one step.

Level 0 is the whole graph; in level n + 1 the loops of level n are rolled, and the page has of it
what is in their frames. Where the reader opens a loop, its steps of level n replace that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..compose.compact import compact
from ..compose.figure import Line
from ..compose.nesting import framed_modules, title_of
from ..fold.clusters import Module, Tree
from ..fold.loops import Loop, loops_in
from ..fold.rolling import Rolled
from ..graph.view import View
from ..themes import PAGE


@dataclass(eq=False)
class Frame:
    """The frame of a loop, around all its steps or around the one that stands for them."""

    id: str
    loop: Loop
    home: str  # the id of the frame around it, or ""
    title: str = ""
    kept: dict[str, str] = field(default_factory=dict)  # by node of the steps the one of all steps
    copies: dict[str, str] = field(default_factory=dict)  # the same by ids of the page


class Level:
    """A view with its boxes, the modules that have a frame, and the loops.

    Of a level after the first they are those in the frames of the loops that are rolled in it.
    """

    def __init__(self, view: View, numbers: bool, before: Level | None = None) -> None:
        self.view, self.numbers = view, numbers
        self.number: int = before.number + 1 if before else 0
        self.tree, self.figure = Tree(view), compact(view, PAGE, numbers=numbers)
        self.names = {box.id for box in self.figure.boxes}
        self.rolled: dict[Module, Frame] = {}
        for frame in before.loops if before else ():
            module = self._module(frame.loop.steps[-1][0].id, frame.loop.level + 1)
            frame.title, self.rolled[module] = title_of(module), frame
        self._kept_by = {
            name: frame for frame in self.rolled.values() for name in frame.kept.values()
        }
        self.boxes = {
            box.id: box for box in self.figure.boxes if not before or self._around(box.id)
        }
        self.modules = [
            module
            for module in framed_modules(self.tree, self.names)
            if not before or any(outer in self.rolled for outer in list(module.upward())[1:])
        ]
        self._framed = set(self.modules)
        self._moved: dict[str | Module | Frame, str] = {}
        places = list(self.rolled) if before else [self.tree.top]
        loops = (loop for place in places for loop in loops_in(place, self.tree.links))
        self.loops: list[Frame] = [self._frame(loop, count) for count, loop in enumerate(loops)]
        self._loop_of = {  # by operation; `next` adds the leaves that only steps of it read
            call.id: frame for frame in self.loops for step in frame.loop.steps for call in step
        }

    def lines(self) -> Iterator[Line]:
        """Yield the lines between its boxes, of a level after the first within one loop."""
        for line in self.figure.lines:
            is_new = line.tail in self.boxes and line.head in self.boxes
            if is_new and self._around(line.tail) is self._around(line.head):
                yield line

    def own(self, name: str) -> str:
        """Return the id on the page of a box or a module of this level."""
        return f"{self.number}/{name}" if self.number else name

    def move(self, part: str | Module | Frame, home: str) -> None:
        """Put a box, a module or a loop into another frame."""
        self._moved[part] = home

    def home(self, part: str | Module | Frame) -> str:
        """Return the id of the frame around a box, a module or a loop; "" without one."""
        if part in self._moved:
            return self._moved[part]
        if isinstance(part, Frame):
            return part.home
        if isinstance(part, str):
            inside = self._home(self.tree.home[part], self._loop_of.get(part))
            return inside or (self._kept_by[part].id if part in self._kept_by else "")
        assert part.parent is not None
        return self._home(part.parent, self._loop_of.get(next(part.operations()).id))

    def next(self) -> Level:
        """Return the next level; set what the frames of the loops need to know of it."""
        view = self.view
        for frame in self.loops:
            rolled = Rolled(view, frame.loop)
            view, frame.kept = rolled.view, rolled.kept
        kept = {name: other for frame in self.loops for name, other in frame.kept.items()}
        after = Level(view, self.numbers, self)
        drawn = {box.id: box for box in after.figure.boxes}
        for name in self.boxes:
            other = kept.get(name, name)
            if other not in drawn:  # it is part of the box of its only reader
                other = after.tree.links.readings[other][0].head
            around = after._around(other)
            if around is not None:
                self._loop_of[name] = around
                around.copies[self.own(name)] = after.own(other)
            elif name == other:  # outside of all loops, such as "h at the start"
                self.boxes[name] = drawn[name]
                self.tree.home[name] = self._module(name, len(after.tree.home[name].path))
        return after

    def _around(self, name: str) -> Frame | None:
        """Return the frame of the rolled loop around a box, or of which it is the input."""
        around = (self.rolled.get(module) for module in self.tree.home[name].upward())
        return next(filter(None, around), self._kept_by.get(name))

    def _module(self, name: str, depth: int) -> Module:
        return next(m for m in self.tree.home[name].upward() if len(m.path) == depth)

    def _frame(self, loop: Loop, count: int) -> Frame:
        around = self._module(loop.steps[0][0].id, loop.level)
        return Frame(f"loop {self.number}.{count}", loop, self._home(around, None))

    def _home(self, module: Module, within: Frame | None) -> str:
        """Return the id of the innermost frame, from a module upward; `within` a loop its own."""
        for around in module.upward():
            if within is not None and len(around.path) <= within.loop.level:
                return within.id
            if around in self.rolled:
                return self.rolled[around].id
            if around in self._framed:
                return self.own(around.id)
        return ""


def levels(view: View, numbers: bool) -> list[Level]:
    """Return the levels of a view; `numbers`: whether boxes show values and gradients."""
    found = [Level(view, numbers)]
    while found[-1].loops:
        found.append(found[-1].next())
    return found
