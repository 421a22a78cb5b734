"""The cuts by `.detach()`: the tensor whose memory a constant shares, as long as it exists."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from tinygrad_gm.engine.record import Traced

from .data import Signature
from .view import Edge, Operation, Variable, View

DETACH: Any = Signature("detach", "detach")


def show(view: View) -> None:
    """Add an operation between each detached constant and the tensor whose memory it shares.

    Its edges are dashed: they contribute to no gradient. A tensor outside of the graph is drawn
    without its own inputs.
    """
    variables = {variable.id: variable for variable in view.variables}
    for tensor, identity in list(view.ids.items()):
        source = getattr(tensor, "source", None) if isinstance(tensor, Traced) else None
        origin = None if source is None else source()
        if origin is None or origin._data is not tensor._data:
            continue
        alias = variables[identity]
        key = origin.node or origin
        if key not in view.ids:
            view.ids[key] = f"n{len(view.nodes)}"
            view.nodes.insert(0, _outside(origin, view.ids[key], alias.name))
        view.nodes.remove(alias)
        place = [node.id for node in view.nodes].index(view.ids[key]) + 1
        cut = Operation(f"n{len(view.nodes) + 1}", DETACH, {}, "detach(x): x as a constant")
        _settle(cut, view, place)
        view.nodes[place:place] = [cut, alias]
        view.edges += [
            Edge(f"e_{cut.id}_0", view.ids[key], cut.id, 0, differentiable=False),
            Edge(f"e_{cut.id}_{identity}", cut.id, identity, differentiable=False),
        ]


def _outside(origin: Any, identity: str, alias: str) -> Variable:
    """Return the variable of a tensor outside of the graph."""
    role = "parameter" if origin._requires_grad and origin.node is None else "constant"
    name = origin.name or f"origin of {alias}"
    return Variable(identity, name, role, origin.shape, origin.dtype, origin._data)


def _settle(cut: Operation, view: View, place: int) -> None:
    """Set the path of an operation to the modules shared by the one before and the one after."""
    before = [node for node in view.nodes[:place] if not isinstance(node, Variable)][-1:]
    behind = [node for node in view.nodes[place:] if not isinstance(node, Variable)][:1]
    if before and behind and before[0].order == behind[0].order:
        if before[0].model == behind[0].model:
            steps = [list(zip(part.path, part.kinds, strict=True)) for part in before + behind]
            same = [a for a, _ in takewhile(lambda p: p[0] == p[1], zip(*steps, strict=False))]
            cut.path, cut.kinds = tuple(a for a, _ in same), tuple(b for _, b in same)
            cut.model = before[0].model
        cut.order = before[0].order
