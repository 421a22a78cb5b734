"""Loops: equal steps in a row, drawn as one step whose results return to its start.

A step is a call of a module, or operations of a plain loop. Steps are equal if their operations,
shapes and inner connections are, and if they read the same parameters; layers with weights of their
own are no loop. What one step reads of an earlier one is a recurrence: an edge back to the start,
with the size of the gradient in every step.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..graph.view import Operation, Variable, View
from .clusters import Call, Links, Module, Tree
from .collapse import repeats, static
from .rolling import Rolled

FEWEST = 3  # steps
SAVED = 6  # least number of operations that a loop leaves out
EXPLANATION = (
    "of a loop one step is drawn, with the numbers of the last; the cells of its state: the "
    "gradient in each step, from the first; darker is larger"
)

Origin = tuple[int, int, int] | None  # of an argument: steps ago, operation and number of result
Slots = dict[tuple[int, int], str]  # the variable read, by number of the operation and argnum


def looped(view: View) -> View:
    """Return the view with one step of each loop; without loops the view itself."""
    drawn = view
    while True:
        tree = Tree(drawn)
        loops = list(loops_in(tree.top, tree.links))
        if not loops:
            break
        for loop in loops:
            drawn = Rolled(drawn, loop).view
    if drawn is not view:
        drawn.remarks.append(EXPLANATION)
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


def loops_in(module: Module, links: Links) -> Iterator[Loop]:
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
            yield from loops_in(part, links)


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
        made = results[0].shape if results else None
        where = call.path, call.kinds, call.model, call.order
        prints.append((name, where, static(params), made, tuple(arguments)))
    kind = part.kind if isinstance(part, Module) else ""
    return kind, tuple(prints)


def _is_shared(variable: Variable, links: Links) -> bool:
    """Return whether a variable is a parameter that the steps of a loop share."""
    if variable.id in links.maker or variable.role != "parameter":
        return False
    return variable.learned or len({edge.head for edge in links.readings[variable.id]}) > 1


def _valid(loop: Loop, links: Links) -> Loop | None:
    """Return the loop with those of its last steps that are connected alike; None: no loop.

    A loop reads parameters in each step, or its own state; layers read parameters of their own.
    """
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
    roots: dict[tuple[int, int], list[int]] = {}
    for name, (number, *place) in loop.place.items():
        if links.variables[name].is_root:
            roots.setdefault((place[0], place[1]), []).append(number)
    count = len(loop.steps)
    if any(len(steps) != count and steps != [count - 1] for steps in roots.values()):
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
