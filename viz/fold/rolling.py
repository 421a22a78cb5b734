"""A view with all steps of a loop drawn as the last one.

Inputs that each step has its own of become one leaf, and edges from one step to a later one an edge
back, marked `loop` with the size of the gradient in every step.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import nan, sqrt
from typing import TYPE_CHECKING, Any

from ..annotate.jacobians import flow
from ..graph.view import Edge, Operation, Variable, View
from .clusters import LOOP, Links
from .contraction import combined

if TYPE_CHECKING:
    from .loops import Loop

STATES = {  # names of the states of a cell, by its class
    "LSTMCell": ("h", "c"),
    "GRUCell": ("h",),
    "RNNCell": ("h",),
}


class Rolled:
    """The view with all steps of a loop drawn as the last one."""

    def __init__(self, view: View, loop: Loop) -> None:
        self.before, self.loop, self.links = view, loop, Links(view)
        loop.read(self.links)
        self.count = len(loop.steps)
        self.step = {call.id: number for number, step in enumerate(loop.steps) for call in step}
        self.step |= {name: number for name, (number, _, _) in loop.place.items()}
        self.kept: dict[str, str] = {}  # by node the one that is drawn for it
        self.alike: dict[str, list[Any]] = {}  # by drawn node those that it stands for, by step
        self.changed: dict[str, Any] = {}  # drawn nodes that differ from their originals
        self.put_off = list(view.put_off)
        self.started: dict[str, list[str]] = {}  # by leaf the states that it starts
        self._match_calls()
        self._match_inputs()
        self.view = View(
            list(self._nodes()),
            self._edges(),
            list(view.remarks),
            {source: self.kept.get(name, name) for source, name in view.ids.items()},
            self.put_off,
        )

    def _match_calls(self) -> None:
        calls = {call.id: call for step in self.loop.steps for call in step}
        for row in zip(*self.loop.steps, strict=True):
            self._match([call.id for call in row], calls, row[-1])
        results: dict[tuple[int, int], list[str]] = {}
        for name, (_, position, part) in self.loop.place.items():
            results.setdefault((position, part), []).append(name)
        for (position, _), names in results.items():  # the last step may lack an unread result
            maker = self.loop.steps[-1][position]
            self._match(sorted(names, key=self.step.__getitem__), self.links.variables, maker)

    def _match(self, names: list[str], parts: Any, maker: Operation) -> None:
        """Draw the last of some nodes for all of them, inside of the frame of the loop."""
        drawn = names[-1]
        self.kept |= dict.fromkeys(names, drawn)
        self.alike[drawn] = [parts[name] for name in names]
        part = parts[drawn]
        marks = {**part.marks, **combined([parts[name].marks for name in names])}
        self.changed[drawn] = replace(part, marks=marks, **self._inside(maker))

    def _inside(self, part: Operation) -> dict[str, Any]:
        """Return the path of an operation of the last step in the frame of the loop.

        The frame is that of its module, or a new one.
        """
        level, first = self.loop.level, self.loop.steps[0][0]
        number = first.calls[level][0] if self.loop.is_module else 1
        all_steps = ((1 - number, self.count),)  # zero or less: from which step on, all of them
        path, kinds, calls = part.path, part.kinds, part.calls
        behind = level + self.loop.is_module
        if self.loop.is_module:
            name, kind = path[level:behind], kinds[level:behind]
        else:
            name, kind = (f"loop at {first.id}",), (LOOP,)
            inner = [self._within_step(path[level], calls[level])] if len(path) > level else []
            calls = (*calls[:level], *inner, *calls[level + 1 :])
        return {
            "path": (*path[:level], *name, *path[behind:]),
            "kinds": (*kinds[:level], *kind, *kinds[behind:]),
            "calls": (*calls[:level], *all_steps, *calls[behind:]),
        }

    def _within_step(self, name: str, call: tuple[int, int]) -> tuple[int, int]:
        """Return the number of a call of a module among those in the last step."""
        level = self.loop.level
        parts = [part for part in self.loop.steps[-1] if part.path[level : level + 1] == (name,)]
        numbers = sorted({part.calls[level][0] for part in parts})
        return numbers.index(call[0]) + 1, len(numbers)

    def _match_inputs(self) -> None:
        """Draw one leaf for those that each step reads one of; the state at the start is outside.

        The leaves of a loop are no part of it, except constants that all steps read.
        """
        for slot in self.loop.slots[-1]:
            names = [slots[slot] for slots in self.loop.slots]
            row = [self.links.variables[name] for name in names]
            leaves = [v for v in row if v.id not in self.links.maker and not v.learned]
            if len(leaves) == len(row) == len(set(names)) and all(map(self._is_own, names)):
                if self.kept.keys().isdisjoint(names):
                    self._match_leaves(row)
            elif self.loop.origin(self.count - 1, names[-1]) is not None:
                self._match_start(leaves, slot)

    def _match_start(self, leaves: Sequence[Variable], slot: tuple[int, int]) -> None:
        """Draw the state at the start outside of the loop, named like the state."""
        state = self._name(self.changed[self.kept[self.loop.slots[-1][slot]]])
        for leaf in leaves:
            if leaf.is_named or leaf.role == "number":
                self.changed[leaf.id] = replace(leaf, is_input=True)
            elif state not in self.started.setdefault(leaf.id, []):
                self.started[leaf.id].append(state)
                names = ", ".join(filter(None, self.started[leaf.id]))
                name = f"{names} at the start".lstrip()
                self.changed[leaf.id] = replace(leaf, name=name, is_input=True, is_named=True)

    @staticmethod
    def _name(variable: Variable) -> str:
        """Return the name of a state: its own, or that of the states of its cell; "" without."""
        if variable.is_named:
            return variable.name
        states = STATES.get(variable.kinds[-1], ()) if variable.kinds else ()
        part = variable.part or 0
        return states[part] if part < len(states) else ""

    def _is_own(self, name: str) -> bool:
        """Return whether only one step reads a leaf."""
        heads = {edge.head for edge in self.links.readings[name]}
        return len({self.step.get(head, head) for head in heads}) == 1 and heads <= self.step.keys()

    def _match_leaves(self, row: Sequence[Variable]) -> None:
        last = row[-1]
        self.kept |= {leaf.id: last.id for leaf in row}
        self.alike[last.id] = list(row)
        named = last.role == "number" or all(leaf.is_named for leaf in row)
        name = _range(row[0].name, last.name) if named else "input of each step"
        is_input = last.role != "number"
        self.changed[last.id] = replace(last, name=name, is_input=is_input, is_named=True)

    def _nodes(self) -> Iterator[Any]:
        """Yield the drawn nodes in topological order: results after their operation."""
        late: dict[str, list[Any]] = {}  # results of an earlier step, by the drawn operation
        for name in self.alike:
            if name in self.links.maker and self.step[name] < self.count - 1:
                maker = self.kept[self.links.maker[name]]
                late.setdefault(maker, []).append(self.changed[name])
        moved = {node.id for nodes in late.values() for node in nodes}
        for node in self.before.nodes:
            if self.kept.get(node.id, node.id) == node.id and node.id not in moved:
                yield self._indexed(self.changed.get(node.id, node))
                yield from late.get(node.id, ())

    def _indexed(self, node: Any) -> Any:
        """Return an operation; one that reads a slice in each step with the range of its index."""
        if not isinstance(node, Operation) or node.op.name != "getitem" or node.id not in self.kept:
            return node
        name = next(iter(node.params), "")
        indices = [call.params[name] for call in self.alike[node.id]]
        first, *_, last = (_written(index) for index in indices)
        if not first or not last:
            return node
        pairs = zip(first, last, strict=False)
        return replace(node, params={name: ", ".join(_range(one, two) for one, two in pairs)})

    # ------------------------------------------------------------------------------- edges

    def _edges(self) -> list[Edge]:
        kept: dict[tuple[Any, ...], list[Edge]] = {}  # what is drawn, in order
        shared: dict[tuple[Any, ...], list[Edge]] = {}  # from one parameter to all steps
        returning: dict[Hashable, Edge] = {}
        for edge in self.before.edges:
            tail, head = (self.kept.get(name, name) for name in (edge.tail, edge.head))
            start, end = self.step.get(edge.tail), self.step.get(edge.head)
            key: tuple[Any, ...] = tail, head, edge.argnum, "loop" in edge.marks
            if start is not None and end is not None and start != end:
                if key not in returning:
                    returning[key] = self._return(edge, tail, head)
                continue
            if start is not None and end is None and edge.argnum is not None:
                kept.setdefault((tail, head), []).append(edge)
                continue
            if start is None and end is not None and edge.tail == tail:
                shared.setdefault(key, []).append(edge)
            if (tail, head) != (edge.tail, edge.head):
                edge = replace(edge, tail=tail, head=head, marks=self._moved(edge, end))
            kept[key] = [edge]
        for place, edges in shared.items():
            if len(edges) > 1:
                kept[place] = [self._sum(kept[place][0], edges)]
        told: set[str] = set()
        for edge in returning.values():
            if edge.tail in told:
                edge.marks["loop"] |= {"name": "", "sizes": []}
            told.add(edge.tail)
        drawn = [self._out(edges) if len(k) == 2 else edges for k, edges in kept.items()]
        return [*(edge for edges in drawn for edge in edges), *returning.values()]

    def _out(self, edges: list[Edge]) -> list[Edge]:
        """Return the edges to an operation after the loop: one, if it reads several steps."""
        *_, last = edges
        tail = self.kept[last.tail]
        if len({edge.tail for edge in edges}) == 1:
            moved = last.tail != tail
            return [replace(edge, tail=tail) for edge in edges] if moved else edges
        marks = {**last.marks, "times": len(edges)}
        return [replace(last, tail=tail, marks=marks, contribution=None)]

    def _moved(self, edge: Edge, number: int | None) -> dict[str, Any]:
        """Return the marks of an edge into a step; one that is not drawn is named on it."""
        if number is None or number == self.count - 1:
            return edge.marks
        marks = {**edge.marks, "local": f"step {number + 1}"}
        known = edge.contribution is not None
        return {**marks, "flow": flow(edge.contribution)} if known else marks

    def _sum(self, edge: Edge, parts: Sequence[Edge]) -> Edge:
        """Return the edge of a parameter with the sum of its contributions to all steps."""
        arrays = [part.contribution for part in parts]
        if any(array is None for array in arrays):
            return edge
        whole = replace(
            edge, marks=dict(edge.marks), contribution=sum(arrays[1:], arrays[0]), upstream=None
        )
        self.put_off.append(partial(_tell_sum, whole, edge))
        return whole

    def _return(self, edge: Edge, tail: str, head: str) -> Edge:
        """Return the edge of a recurrence."""
        loop = {
            "steps": self.count,
            "span": self.step[edge.head] - self.step[edge.tail],
            "name": self._name(self.changed[tail]),
            "sizes": [_size(each) for each in self.alike[tail]],
        }
        identity = f"e_back_{tail}_{head}_{edge.argnum}"
        return replace(edge, id=identity, tail=tail, head=head, marks={"loop": loop})


def _tell_sum(whole: Edge, edge: Edge, _: Sequence[Operation]) -> None:
    """Write the texts of an edge that stands for several, once they are known."""
    whole.marks |= edge.marks
    if whole.contribution is not None and "flow" in whole.marks:
        whole.marks["flow"] = flow(whole.contribution)


def _size(variable: Variable) -> float:
    """Return the root mean square of a gradient; NaN without one."""
    if variable.gradient is None or not variable.gradient.size:
        return nan
    return sqrt(variable.gradient_squares / variable.gradient.size)


def _written(index: Any) -> list[str]:
    """Return the parts of an index as texts; [] with others than integers and slices."""
    parts = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, (int, slice)) for part in parts):
        return []
    return [":" if part == slice(None) else str(part) for part in parts]


def _range(first: str, last: str) -> str:
    """Return the names of a first and a last thing as one.

    >>> _range("xs[0]", "xs[4]"), _range("2", "2"), _range("a", "b")
    ('xs[0 … 4]', '2', 'a … b')
    """
    if first == last:
        return first
    ends = [re.fullmatch(r"(.*?)(\d+)(\D*)", name) for name in (first, last)]
    one, two = ends
    if one and two and one[1] == two[1] and one[3] == two[3]:
        return f"{one[1]}{one[2]} … {two[2]}{one[3]}"
    return f"{first} … {last}"
