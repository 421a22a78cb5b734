"""Loops: equal steps in a row, drawn as one step whose results return to its start.

A step is a call of a module, or operations of a plain loop. Steps are equal if their operations,
shapes and inner connections are, and if they read the same parameters; layers with weights of their
own are no loop. What one step reads of an earlier one is a recurrence: an edge back to the start,
with the size of the gradient in every step.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import nan, sqrt
from typing import Any

from ..annotate.jacobians import flow
from ..graph.view import Edge, Operation, Variable, View
from .clusters import LOOP, Call, Links, Module, Tree
from .collapse import repeats, static
from .contraction import combined

FEWEST = 3  # steps
SAVED = 6  # least number of operations that a loop leaves out
STATES = {  # names of the states of a cell, by its class
    "LSTMCell": ("h", "c"),
    "GRUCell": ("h",),
    "RNNCell": ("h",),
}

Origin = tuple[int, int, int] | None  # of an argument: steps ago, operation and number of result
Slots = dict[tuple[int, int], str]  # the variable read, by number of the operation and argnum


def looped(view: View) -> View:
    """Return the view with one step of each loop; without loops the view itself."""
    drawn = view
    while True:
        tree = Tree(drawn)
        loops = list(_loops(tree.top, tree.links))
        if not loops:
            break
        for loop in loops:
            drawn = _Rolled(drawn, loop).view
    if drawn is not view:
        drawn.remarks.append(
            "of a loop one step is drawn, with the numbers of the last; the cells of its state: "
            "the gradient in each step, from the first; darker is larger"
        )
    return drawn


@dataclass(eq=False)
class Loop:
    """Equal steps: their operations, in the order of the record."""

    steps: list[list[Operation]]
    level: int  # number of modules around the loop
    is_module: bool  # whether a step is one call of a module
    place: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # of results, see below
    slots: list[Slots] = field(default_factory=list)  # by step

    def read(self, links: Links) -> None:
        """Set `place`, by result its step, operation and number, and `slots`."""
        self.place, self.slots = {}, []
        for number, step in enumerate(self.steps):
            slots: Slots = {}
            for position, call in enumerate(step):
                for edge in links.results.get(call.id, ()):
                    part = links.variables[edge.head].part or 0
                    self.place[edge.head] = number, position, part
                for edge in links.arguments.get(call.id, ()):
                    if edge.argnum is not None and "loop" not in edge.marks:
                        slots[position, edge.argnum] = edge.tail
            self.slots.append(slots)

    def origin(self, number: int, variable: str) -> Origin:
        """Return where an argument of a step was made; None: outside of the loop."""
        if variable not in self.place:
            return None
        step, position, part = self.place[variable]
        return number - step, position, part


# ---------------------------------------------------------------------------------- finding


def _loops(module: Module, links: Links) -> Iterator[Loop]:
    """Yield the loops in a module, none of them inside of another."""
    parts, inside = module.parts, set[int]()
    tokens = [_token(part, links) for part in parts]
    loose = [_token(part, links, is_first=True) for part in parts]
    for found, length, _ in repeats(tokens, FEWEST - 1):
        start, count = _whole_steps(tokens, loose, found, length)
        rows = [parts[start + k * length :][:length] for k in range(count)]
        steps = [[call for part in row for call in _operations(part)] for row in rows]
        is_module = length == 1 and isinstance(rows[0][0], Module)
        loop = _valid(Loop(steps, len(module.path), is_module), links)
        if loop is not None:
            inside.update(range(start, start + length * count))
            yield loop
    for number, part in enumerate(parts):
        if isinstance(part, Module) and number not in inside:
            yield from _loops(part, links)


def _operations(part: Module | Call) -> Iterator[Any]:
    return part.operations() if isinstance(part, Module) else iter((part,))


def _whole_steps(
    tokens: Sequence[Hashable], loose: Sequence[Hashable], found: int, length: int
) -> tuple[int, int]:
    """Return start and count of most steps of a length in a repetition that is found at a place.

    A repetition may begin in the middle of the first step, which reads another state.
    """
    stop = found + length
    while stop < len(tokens) and tokens[stop] == tokens[stop - length]:
        stop += 1
    best = found, 0
    for start in range(found, min(found + length, stop)):
        count = (stop - start) // length
        if start >= length and loose[start - length : start] == loose[start : start + length]:
            start, count = start - length, count + 1
        best = (start, count) if count > best[1] else best
    return best


def _token(part: Module | Call, links: Links, is_first: bool = False) -> Hashable:
    """Return a value that is equal for parts of equal steps; `is_first`: whatever these read."""
    calls = list(_operations(part))
    own: dict[str, Hashable] = {}
    prints: list[Hashable] = []
    for position, call in enumerate(calls):
        arguments: list[Hashable] = []
        for edge in links.arguments.get(call.id, ()):
            if is_first:
                continue
            variable = links.variables[edge.tail]
            fixed = variable.id if _is_shared(variable, links) else None
            shape = "number" if variable.role == "number" else variable.shape
            arguments.append((edge.argnum, own.get(variable.id, fixed), shape, variable.dtype))
        results = [links.variables[edge.head] for edge in links.results.get(call.id, ())]
        own |= {result.id: (position, result.part) for result in results}
        name = call.op.name if isinstance(call, Operation) else call.id
        params = {} if name == "getitem" else getattr(call, "params", {})
        shape = results[0].shape if results else None
        where = call.path, call.kinds, call.model, call.order
        prints.append((name, where, static(params), shape, tuple(arguments)))
    kind = part.kind if isinstance(part, Module) else ""
    return kind, tuple(prints)


def _is_shared(variable: Variable, links: Links) -> bool:
    """Return whether a variable is a parameter that the steps of a loop share."""
    if variable.id in links.maker or variable.role != "parameter":
        return False
    return variable.learned or len({edge.head for edge in links.readings[variable.id]}) > 1


def _valid(loop: Loop, links: Links) -> Loop | None:
    """Return the loop with those of its last steps that are connected alike; None: no loop."""
    loop.read(links)
    last = len(loop.steps) - 1
    wanted = {slot: loop.origin(last, name) for slot, name in loop.slots[last].items()}
    shared = {
        name for name in loop.slots[last].values() if _is_shared(links.variables[name], links)
    }
    first, lowest = last, 0
    for number in range(last - 1, -1, -1):
        bound = _first_step(loop, number, wanted, shared)
        if bound is None or max(lowest, bound) > number:
            break
        first, lowest = number, max(lowest, bound)
    farthest = max((origin[0] for origin in wanted.values() if origin), default=0)
    if farthest > last - first:
        return None
    loop.steps = loop.steps[first:]
    loop.read(links)
    if len(loop.steps) < FEWEST or (len(loop.steps) - 1) * len(loop.steps[0]) < SAVED:
        return None
    roots = [place for name, place in loop.place.items() if links.variables[name].is_root]
    if {place[1:] for place in roots} - {p[1:] for p in roots if p[0] == len(loop.steps) - 1}:
        return None  # a root of an earlier step would not be drawn
    columns = [[links.variables[slots[slot]] for slots in loop.slots] for slot in wanted]
    leaves = [row for row in columns if not any(v.id in links.maker for v in row)]
    common = any(len(set(row)) == 1 and row[0].role == "parameter" for row in leaves)
    own = any(len(set(row)) > 1 and row[-1].role == "parameter" for row in leaves)
    return loop if common or (farthest and not own) else None


def _first_step(
    loop: Loop, number: int, wanted: dict[tuple[int, int], Origin], shared: set[str]
) -> int | None:
    """Return the least first step of a loop in which a step is connected as `wanted`; or None."""
    bound = 0
    if loop.slots[number].keys() != wanted.keys():
        return None
    for slot, like in wanted.items():
        read, last = loop.slots[number][slot], loop.slots[-1][slot]
        origin = loop.origin(number, read)
        if origin is like is None and read != last and last in shared:
            return None
        if origin == like:
            continue
        if (origin is not None and origin[0] == 0) or (like is not None and like[0] == 0):
            return None
        if origin is not None:  # made before the first step
            bound = max(bound, number - origin[0] + 1)
        if like is not None:  # the state at the start
            bound = max(bound, number - like[0] + 1)
    return bound


# ---------------------------------------------------------------------------------- rolling


class _Rolled:
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
        return len({self.step.get(head, head) for head in heads}) == 1 and heads <= set(self.step)

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
        first, *_, last = (_written(call.params[name]) for call in self.alike[node.id])
        pairs = zip(first, last, strict=False)
        return replace(node, params={name: ", ".join(_range(one, two) for one, two in pairs)})

    # ------------------------------------------------------------------------------- edges

    def _edges(self) -> list[Edge]:
        drawn: dict[Hashable, Edge] = {}
        sums: dict[Hashable, list[Edge]] = {}  # edges from one parameter to all steps
        times: dict[Hashable, int] = {}  # of edges from all steps to one operation
        returning: dict[Hashable, Edge] = {}
        for edge in self.before.edges:
            tail, head = (self.kept.get(name, name) for name in (edge.tail, edge.head))
            ends = self.step.get(edge.tail), self.step.get(edge.head)
            if None not in ends and ends[0] != ends[1]:
                returning.setdefault((tail, head, edge.argnum), self._return(edge, tail, head))
                continue
            out_of = ends[0] is not None and ends[1] is None and edge.argnum is not None
            key: tuple[Any, ...] = (tail, head, edge.argnum)
            if out_of and "loop" not in edge.marks:  # of several steps, into one operation
                key = tail, head
            elif "loop" in edge.marks:
                key = tail, head, edge.argnum, "loop"
            if ends[0] is None and ends[1] is not None and edge.tail == tail:
                sums.setdefault(key, []).append(edge)
            if len(key) == 2:
                times[key] = times.get(key, 0) + 1
            if (tail, head) != (edge.tail, edge.head):
                edge = replace(edge, tail=tail, head=head, marks=self._moved(edge, ends[1]))
            drawn[key] = edge
        for pair, count in times.items():
            if count > 1:
                marks = {**drawn[pair].marks, "times": count}
                drawn[pair] = replace(drawn[pair], marks=marks, contribution=None)
        for key, edges in sums.items():
            if len(edges) > 1:
                drawn[key] = self._sum(drawn[key], edges)
        told: set[str] = set()
        for edge in returning.values():
            if edge.tail in told:
                edge.marks["loop"] |= {"name": "", "sizes": []}
            told.add(edge.tail)
        return [*drawn.values(), *returning.values()]

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
    """Return the parts of an index as texts."""
    parts = index if isinstance(index, tuple) else (index,)
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
