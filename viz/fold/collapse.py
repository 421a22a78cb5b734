"""Collapse large graphs: modules and runs of operations become single nodes.

A closed module is one `Group`; consecutive equal modules share one. Reachability is preserved. A
run of the record drawn as one node creates no cycle, because the record is in topological order
(see `clusters`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from math import inf
from typing import Any

import numpy as np

from ..graph.view import Group, View
from .clusters import Call, Links, Module, Tree
from .contraction import Bundle, contract, owners

FEW = (160, 120, 90, 60, 45, 30, 20, 12)  # nodes: of a graph without modules as many are left
MOST = 2000  # largest number of nodes drawn without force=True
STACK = 3  # least number of consecutive equal closed modules drawn as one
LONGEST_PATTERN = 48  # largest number of operations in a repeated pattern
ENDS = 4  # number of operations that stay at either end of a long repetition

Closed = Callable[[Module], bool]


def visible(
    view: View,
    depth: int | None = None,
    collapse: Callable[[str], bool] | Iterable[str] | None = None,
    focus: str | None = None,
) -> View:
    """Return the view with the modules closed that the caller names; all of it without a name.

    Args:
        view: all of it.
        depth: close the modules at this depth: 0 whole models, 1 their modules, 2 modules in these.
        collapse: paths of modules to close, or a function of a path that returns whether to.
        focus: the path of a module to open, with the modules around it; all others are closed.

    Raises:
        ValueError: `depth` is negative, or no module has one of these paths.
    """
    if depth is None and collapse is None and focus is None:
        return view
    collapser = _Collapser(view)
    closed = _choice(collapser.tree.top, depth, collapse, focus)
    drawn = collapser.contracted(collapser.close(collapser.tree.top, closed))
    if drawn is not view:
        drawn.remarks.append(
            f"{len(drawn.nodes):,} nodes stand for {len(view.nodes):,}: some are drawn closed"
        )
    return drawn


def rolled(view: View) -> View:
    """Return the view with equal modules in a row closed; without any, the view itself."""
    collapser = _Collapser(view)
    return collapser.contracted(collapser.roll())


def smaller(view: View) -> Iterator[View]:
    """Yield views with more and more closed, each smaller than the rolled one.

    One kind of modules is closed after the other, from the innermost outward and from the smallest
    up; then the middle of the graph.
    """
    collapser = _Collapser(view)
    top = collapser.tree.top
    bundles = collapser.roll()
    size = collapser.size(bundles)
    closed: set[tuple[int, str]] = set()
    for kind in _kinds(top):
        closed.add(kind)
        bundles = list(collapser.close(top, lambda m: (m.height, m.kind) in closed, STACK))
        if collapser.size(bundles) < size:
            size = collapser.size(bundles)
            yield collapser.contracted(bundles)
    for few in FEW:
        if size > few:
            folded = collapser.contracted(collapser.fold(bundles, few))
            size = len(folded.nodes)
            yield folded


def check_size(nodes: int, force: bool) -> None:
    """Raise ValueError for a picture with too many nodes to read."""
    if nodes > MOST and not force:
        raise ValueError(
            f"draw: {nodes:,} nodes are too many for a picture (at most {MOST:,}); draw fewer with "
            'depth=1 or focus="blocks.1", or all with force=True'
        )


def _choice(top: Module, depth: int | None, collapse: Any, focus: str | None) -> Closed:
    """Return a function that says whether a module is closed by the three arguments."""
    paths = {module.name for module in top.modules()}
    if depth is not None and depth < 0:
        raise ValueError(
            f"draw: expected a depth of 0 (whole models), 1 (their modules) or more, got {depth}"
        )
    if focus is not None:
        _known("focus", focus, paths)
    if collapse is None or callable(collapse):
        chosen = collapse or (lambda path: False)
    else:
        listed = {collapse} if isinstance(collapse, str) else set(collapse)
        for path in listed:
            _known("collapse", path, paths)
        chosen = listed.__contains__

    def closed(module: Module) -> bool:
        name = module.name
        if focus is not None:
            if not module.depth or f"{focus}.".startswith(f"{name}."):
                return False  # the focus, and the modules around it
            if not name.startswith(f"{focus}."):
                return True
        return bool(chosen(name)) or (depth is not None and module.depth >= depth)

    return closed


def _known(argument: str, path: str, paths: set[str]) -> None:
    if path not in paths:
        near = get_close_matches(path, paths, 3) or sorted(paths)[:5]
        hint = f"use one such as {', '.join(near)}" if near else "the graph has no modules"
        raise ValueError(f"draw: {argument} names an unknown module {path!r}; {hint}")


class _Collapser:
    """A view with its links, modules and fingerprints."""

    def __init__(self, view: View) -> None:
        self.view, self.tree = view, Tree(view)
        self.prints: dict[Module, Hashable] = {}

    def size(self, bundles: list[Bundle]) -> int:
        """Return the number of nodes that would be drawn."""
        return len(self.view.nodes) - len(owners(self.tree, bundles)) + len(bundles)

    def print(self, module: Module) -> Hashable:
        """Return the fingerprint of a module's call."""
        if module not in self.prints:
            self.prints[module] = module.kind, fingerprint(module.operations(), self.tree.links)
        return self.prints[module]

    def close(self, module: Module, closed: Closed, long: float = inf) -> Iterator[Bundle]:
        """Yield the bundles of the closed modules in one; `long` equal ones are always closed."""

        def alike(part: Module | Call) -> Hashable:
            return self.print(part) if isinstance(part, Module) else None

        for _, equal in groupby(module.parts, alike):
            row = [part for part in equal if isinstance(part, Module)]
            for shut, some in groupby(row, closed if len(row) < long else bool):
                stretch = list(some)
                if not shut:
                    for part in stretch:
                        yield from self.close(part, closed, long)
                elif len(stretch) >= STACK:
                    yield Bundle([list(part.operations()) for part in stretch], tuple(stretch))
                else:
                    yield from (Bundle([list(part.operations())], (part,)) for part in stretch)

    def roll(self) -> list[Bundle]:
        """Close nothing but equal modules in a row."""
        return list(self.close(self.tree.top, lambda module: False, STACK))

    def contracted(self, bundles: Iterable[Bundle]) -> View:
        """Return the view with a node for each bundle; the view itself without bundles."""
        owner = owners(self.tree, bundles)
        return contract(self.view, self.tree.links, owner) if owner else self.view

    def fold(self, bundles: list[Bundle], few: int) -> list[Bundle]:
        """Close the middle of long repetitions and, to leave `few` nodes, that of the graph."""
        closed = {call.id: bundle for bundle in bundles for call in bundle.calls}
        units: list[Bundle | Call] = []
        for node in self.tree.top.operations():
            unit = closed.get(node.id, node)
            if not units or units[-1] is not unit:
                units.append(unit)
        tokens = [fingerprint(_calls(unit), self.tree.links) for unit in units]
        for start, length, copies in reversed(repeats(tokens, STACK)):
            ends = max(1, ENDS // length)
            first, last = start + ends * length, start + (copies - ends) * length
            if last - first > length:
                starts = range(first, last, length)
                rows = [[c for unit in units[i : i + length] for c in _calls(unit)] for i in starts]
                units[first:last] = [Bundle(rows)]

        def cut(ends: int) -> list[Bundle]:
            middle = [call for unit in units[ends : len(units) - ends] for call in _calls(unit)]
            outer = (*units[:ends], *units[len(units) - ends :])
            kept = [unit for unit in outer if isinstance(unit, Bundle)]
            return [*kept, Bundle([middle])]

        bundles = [unit for unit in units if isinstance(unit, Bundle)]
        if self.size(bundles) <= few:
            return bundles
        fewest, most = 0, min(few, (len(units) - 1) // 2)
        while fewest < most:
            ends = (fewest + most + 1) // 2
            fewest, most = (ends, most) if self.size(cut(ends)) <= few else (fewest, ends - 1)
        return cut(fewest)


def _kinds(top: Module) -> list[tuple[int, str]]:
    """Return height and class of the modules with several operations, in the order of closing."""
    sizes: dict[tuple[int, str], list[int]] = {}
    for module in top.modules():
        if module.depth and not module.is_single:
            count = sum(1 for _ in module.operations())
            sizes.setdefault((module.height, module.kind), []).append(count)
    return sorted(sizes, key=lambda kind: (kind[0], max(sizes[kind]), kind[1]))


def _calls(unit: Bundle | Call) -> Iterator[Call]:
    return unit.calls if isinstance(unit, Bundle) else iter((unit,))


# ------------------------------------------------------------------------------ repetition
#
# Equal layers, and the steps of a loop, have equal fingerprints: the same operations, static
# arguments, input shapes and connections. Names and values do not count.


def fingerprint(calls: Iterable[Call], links: Links) -> Hashable:
    """Return a value that is equal for operations with the same structure."""
    numbers: dict[str, int] = {}  # of variables, in the order in which they are met
    prints: list[Hashable] = []
    for call in calls:
        arguments: list[Hashable] = []
        for edge in links.arguments.get(call.id, ()):
            variable = links.variables[edge.tail]
            known = numbers.setdefault(variable.id, len(numbers))
            shape = "number" if variable.role == "number" else variable.shape
            arguments.append((edge.argnum, known, shape, str(variable.dtype)))
        for edge in links.results.get(call.id, ()):
            numbers.setdefault(edge.head, len(numbers))
        prints.append((_name(call), tuple(arguments), static(getattr(call, "params", None))))
    return tuple(prints)


def _name(call: Call) -> Hashable:
    return (call.kind, call.count) if isinstance(call, Group) else call.op.name


def static(value: Any) -> Hashable:
    """Return a static argument as a hashable: of an array the shape, of an object the type."""
    if isinstance(value, (bool, int, float, complex, str, slice, type, type(None), type(...))):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return tuple(map(static, value))
    if hasattr(value, "items"):
        return tuple((name, static(part)) for name, part in value.items())
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return (value.shape, str(value.dtype))
    return type(value).__name__


def repeats(tokens: Sequence[Hashable], least: int) -> list[tuple[int, int, int]]:
    """Find repetitions in a sequence: (start, length of the pattern, copies), from the left.

    Of the patterns at a position with at least `least` copies, the one with the largest cover is
    taken; of these the shortest.

    >>> from tinygrad_gm.viz.fold.collapse import repeats
    >>> repeats("xababababyyyz", 3)
    [(1, 2, 4), (9, 1, 3)]
    """
    codes: dict[Hashable, int] = {}
    row = np.array([codes.setdefault(token, len(codes)) for token in tokens])
    total = len(row)
    copies = np.ones((min(LONGEST_PATTERN, total // least) + 1, total), int)
    for period in range(1, len(copies)):
        copies[period, : total - period] += _streaks(row[:-period] == row[period:]) // period
    copies[copies < least] = 0
    found, start = [], 0
    covered = copies * np.arange(len(copies))[:, None]
    best = covered.argmax(0) if len(copies) else []
    while start < total:
        period = int(best[start])
        if covered[period, start]:
            found.append((start, period, int(copies[period, start])))
        start += max(1, int(covered[period, start]))
    return found


def _streaks(equal: Any) -> Any:
    """Return for each position the number of consecutive True from there on."""
    places = np.arange(len(equal))
    ends = np.where(equal, len(equal), places)
    return np.minimum.accumulate(ends[::-1])[::-1] - places
