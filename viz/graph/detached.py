"""Where `.detach()` cut the graph: what a constant is an alias of, as long as that is alive."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from tinygrad_gm.engine.record import Traced

from .data import Signature
from .view import Edge, Operation, Variable, View

DETACH: Any = Signature("detach", "detach")


def show(view: View) -> None:
    """Put an operation between each detached constant and the tensor whose memory it shares.

    Its edges are dashed, for no gradient flows back along them. A tensor that is no part of the
    graph is drawn without what it was computed from.
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
    """The variable of a tensor that the graph does not hold."""
    role = "parameter" if origin._requires_grad and origin.node is None else "constant"
    name = origin.name or f"origin of {alias}"
    return Variable(identity, name, role, origin.shape, origin.dtype, origin._data)


def _settle(cut: Operation, view: View, place: int) -> None:
    """Put an operation into the modules that those before and behind it share."""
    before = [node for node in view.nodes[:place] if not isinstance(node, Variable)][-1:]
    behind = [node for node in view.nodes[place:] if not isinstance(node, Variable)][:1]
    if before and behind and before[0].order == behind[0].order:
        if before[0].model == behind[0].model:
            steps = [list(zip(part.path, part.kinds, strict=True)) for part in before + behind]
            same = [a for a, _ in takewhile(lambda p: p[0] == p[1], zip(*steps, strict=False))]
            cut.path, cut.kinds = tuple(a for a, _ in same), tuple(b for _, b in same)
            cut.model = before[0].model
        cut.order = before[0].order
