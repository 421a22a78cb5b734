"""A view as frames: one per operation forward and backward, then one per update.

The forward pass follows the order of the program, the backward pass takes the newest operation
first, as the engine does. A frame holds the state at one moment and nothing about its drawing. A
gradient is *untouched*, *partial* (some contributions are missing) or *final*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tinygrad_gm.backend import Array

from ..graph.view import Edge, Operation, View
from .captions import Captions
from .updates import Update


@dataclass(frozen=True)
class Frame:
    """One moment. Mappings hold the state so far; `moving` and `at` only the current step."""

    phase: str  # "forward", "backward" or "update"
    caption: tuple[str, ...]  # lines; answers to predict stand between HIDE and SHOW
    at: str  # id of the current node: an operation, the root at the seed, a parameter; or ""
    moving: tuple[str, ...]  # ids of the edges in use
    known: frozenset[str]  # ids of the variables whose values have been computed
    states: Mapping[str, str]  # by variable with a gradient: untouched, partial, final
    sums: Mapping[str, Array]  # its gradient so far
    arrived: Mapping[str, tuple[int, int]]  # contributions received, and their total number
    sent: frozenset[str]  # ids of the edges with a contribution so far
    updated: Mapping[str, Array]  # new values of the parameters
    where: str = ""  # "file:line" in the user's program


def record(view: View, moved: Mapping[str, Update], new_loss: Array) -> list[Frame]:
    """Return the frames of a view; `moved` are the updates by id, `new_loss` the loss after."""
    return list(_Recorder(view).frames(moved, new_loss))


class _Recorder:
    """Makes the frames: one pass forward over the view, one backward."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.variables = {variable.id: variable for variable in view.variables}
        (self.root,) = (variable for variable in view.variables if variable.is_root)
        self.captions = Captions(self.variables, self.root.name)
        calls = view.calls()
        self.arguments = {o.id: [edge for edge, _ in found.values()] for o, found, _ in calls}
        self.results = {operation.id: results for operation, _, results in calls}
        self.senders = {  # by operation its edges with a contribution
            operation: [edge for edge in edges if edge.differentiable]
            for operation, edges in self.arguments.items()
            if any(result.gradient is not None for result in self.results[operation])
        }
        self.into: dict[str, list[Edge]] = {}  # by variable the edges that contribute to it
        for edges in self.senders.values():
            for edge in edges:
                self.into.setdefault(edge.tail, []).append(edge)
        self._complete()

    def _complete(self) -> None:
        """Compute unobserved contributions (of a rerun checkpoint) as the rest of the sum."""
        for identity, edges in self.into.items():
            unknown = [edge for edge in edges if edge.contribution is None]
            if len(unknown) == 1:
                (edge,) = unknown
                rest = self.variables[identity].gradient
                for other in edges:
                    rest = rest if other is edge else rest - other.contribution
                edge.contribution = rest
                edge.upstream = self.results[edge.head][0].gradient

    def frames(self, moved: Mapping[str, Update], new_loss: Array) -> Iterator[Frame]:
        """Yield all frames, in order."""
        made = {result.id for results in self.results.values() for result in results}
        differentiated = [v.id for v in self.view.variables if v.gradient is not None]
        yield (
            now := Frame(
                phase="forward",
                caption=self.captions.start(),
                at="",
                moving=(),
                known=frozenset(self.variables.keys() - made),
                states=dict.fromkeys(differentiated, "untouched"),
                sums={},
                arrived={i: (0, len(self.into.get(i, ()))) for i in differentiated},
                sent=frozenset(),
                updated={},
            )
        )
        for operation in self.view.operations:
            yield (now := self.computed(now, operation))
        yield (now := self.seeded(now))
        for operation in reversed(self.view.operations):
            if operation.id in self.senders:
                yield (now := self.sent_back(now, operation))
        now = replace(now, phase="update", at="", moving=(), where="")
        for identity, update in moved.items():
            updated = {**now.updated, identity: update.after}
            yield (now := replace(now, at=identity, caption=update.lines, updated=updated))
        if moved:
            yield replace(now, at="", caption=self.captions.end(self.root, new_loss, list(moved)))

    def computed(self, now: Frame, operation: Operation) -> Frame:
        """Return the frame in which an operation computes its results."""
        arguments, results = self.arguments[operation.id], self.results[operation.id]
        return replace(
            now,
            caption=self.captions.forward(operation, arguments, results),
            at=operation.id,
            moving=tuple(edge.id for edge in arguments),
            known=now.known | {result.id for result in results},
            where=operation.where,
        )

    def seeded(self, now: Frame) -> Frame:
        """Return the frame that starts the backward pass with ∂L/∂L = 1."""
        root = self.root
        return replace(
            now,
            phase="backward",
            caption=self.captions.seed(),
            at=root.id,
            moving=(),
            states={**now.states, root.id: "final"},
            sums={root.id: root.gradient},
            where="",
        )

    def sent_back(self, now: Frame, operation: Operation) -> Frame:
        """Return the frame in which an operation turns its upstream gradient into contributions."""
        sums, states, arrived = dict(now.sums), dict(now.states), dict(now.arrived)
        edges, results = self.senders[operation.id], self.results[operation.id]
        lines = []
        for edge in edges:
            target, before = self.variables[edge.tail], sums.get(edge.tail)
            count, due = arrived[target.id]
            arrived[target.id] = count, due = count + 1, due
            states[target.id] = "final" if count == due else "partial"
            if count == due:
                sums[target.id] = target.gradient
            elif all(other.contribution is not None for other in self.into[target.id]):
                sent = edge.contribution
                sums[target.id] = sent if before is None else before + sent
            total = sums.get(target.id)
            lines.append(self.captions.contribution(edge, results, before, total, (count, due)))
        return replace(
            now,
            caption=(*self.captions.backward(operation, results), *lines),
            at=operation.id,
            moving=tuple(edge.id for edge in edges),
            states=states,
            sums=sums,
            arrived=arrived,
            sent=now.sent | {edge.id for edge in edges},
            where=operation.where,
        )
