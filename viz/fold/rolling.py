"""What is built alike: fingerprints of operations, and runs of equal ones.

A fingerprint holds what a piece of program does: its operations, their static arguments, the shapes
that come in, and how they are connected; not names, not values. Equal layers have equal
fingerprints, and so have the steps of a loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from ..graph.view import Group
from .clusters import Call, Links

LONGEST_PATTERN = 48  # operations of a pattern that repeats


def fingerprint(calls: Iterable[Call], links: Links) -> Hashable:
    """Equal for two pieces of program that are built alike."""
    numbers: dict[str, int] = {}  # of variables, in the order in which they are met
    prints: list[Hashable] = []
    for call in calls:
        arguments: list[Hashable] = []
        for edge in links.arguments.get(call.id, ()):
            variable = links.variables[edge.tail]
            known = numbers.setdefault(variable.id, len(numbers))
            shape = "number" if variable.role == "number" else variable.shape
            arguments.append((edge.slot, known, shape, str(variable.dtype)))
        for edge in links.results.get(call.id, ()):
            numbers.setdefault(edge.head, len(numbers))
        prints.append((_name(call), tuple(arguments), _static(getattr(call, "params", None))))
    return tuple(prints)


def _name(call: Call) -> Hashable:
    return (call.kind, call.count) if isinstance(call, Group) else call.op.name


def _static(value: Any) -> Hashable:
    """A static argument; of an array the shape, of what has no value of its own the type."""
    if isinstance(value, (bool, int, float, complex, str, slice, type, type(None), type(...))):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return tuple(map(_static, value))
    if hasattr(value, "items"):
        return tuple((name, _static(part)) for name, part in value.items())
    if hasattr(value, "shape"):
        return (value.shape, str(value.dtype))
    return type(value).__name__


def repeats(tokens: Sequence[Hashable], least: int) -> list[tuple[int, int, int]]:
    """Where a sequence repeats itself: (start, length of the pattern, copies), from the left.

    Of the patterns that begin at a place and have at least `least` copies, that which covers most
    is taken, of those the shortest.

    >>> from tinygrad_gm.viz.rolling import repeats
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
    """For each place how many True stand in a row from there on."""
    places = np.arange(len(equal))
    ends = np.where(equal, len(equal), places)
    return np.minimum.accumulate(ends[::-1])[::-1] - places
