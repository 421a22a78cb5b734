"""The chain rule as a sum over all paths from a variable to the root.

The gradient is the sum over paths of the product of local derivatives. There may be millions of
paths; like backward, the count adds where paths meet and does not follow each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import fsum, prod
from typing import Any

from tinygrad_gm.engine.record import Traced

from .. import style
from ..film.captions import factor, plain
from ..graph.view import Edge, Variable, View

WRITTEN = 6  # largest number of products written out
NAME_LENGTH = 12  # characters
FOLLOWED = 1000  # largest number of paths followed one by one


def highlight(view: View, target: Variable) -> None:
    """Mark nodes and edges on paths from `target` to a root with `path`, others with `dim`.

    The target's mark `paths` holds their `count`. If all variables on them are single numbers, also
    the `products` of the local derivatives along each path (up to 1,000 paths) and their `sum`, the
    target's gradient. `jacobians.annotate` must have run.
    """
    incoming: dict[str, list[Edge]] = {}
    for edge in view.edges:
        if edge.argnum is None or edge.differentiable:
            incoming.setdefault(edge.head, []).append(edge)
    counts = _totals(view, target, incoming, lambda edge: 1, sum)
    ends = [v.id for v in view.variables if v.is_root and v.id in counts]
    leading = set(ends)
    for node in reversed(view.nodes):
        if node.id in leading:
            leading.update(edge.tail for edge in incoming.get(node.id, []))
    on = counts.keys() & leading
    for node in view.nodes:
        node.marks["path" if node.id in on else "dim"] = True
    for edge in view.edges:
        inside = {edge.tail, edge.head} <= on and (edge.argnum is None or edge.differentiable)
        edge.marks["path" if inside else "dim"] = True
    count = sum(counts[end] for end in ends)
    target.marks["paths"] = {"count": count}
    many, drawn = "s" * (count != 1), ", drawn thick" * bool(count)
    view.remarks.append(f"{count:,} path{many} from {target.name} to {_names(view, ends)}{drawn}")
    edges = {node: [e for e in incoming.get(node, []) if e.tail in on] for node in on}
    if count and all(v.shape == () or prod(v.shape) == 1 for v in view.variables if v.id in on):
        _multiply(view, target, edges, ends)


def _totals(
    view: View,
    start: Variable,
    incoming: Mapping[str, list[Edge]],
    factor: Callable[[Edge], Any],
    add: Callable[[Iterable[Any]], Any],
) -> dict[str, Any]:
    """Return for each node on a path from `start` the sum over paths of the product of factors."""
    totals: dict[str, Any] = {start.id: 1}
    for node in view.nodes:  # in topological order
        edges = [edge for edge in incoming.get(node.id, ()) if edge.tail in totals]
        if edges:
            totals[node.id] = add(totals[edge.tail] * factor(edge) for edge in edges)
    return totals


def find(view: View, tensor: Traced) -> Variable:
    """Return the variable of a leaf or result.

    Raises:
        TypeError: `tensor` is not a Tensor.
        ValueError: `tensor` is not part of the graph.
    """
    if not isinstance(tensor, Traced):
        raise TypeError(f"draw: path_to must be a Tensor, not {tensor!r:.60}")
    identity = view.ids.get(tensor.node or tensor)
    for variable in view.variables:
        if variable.id == identity:
            return variable
    raise ValueError(f"draw: path_to, a tensor of shape {tensor.shape}, is not part of this graph")


def _multiply(
    view: View, target: Variable, edges: Mapping[str, list[Edge]], ends: list[str]
) -> None:
    """Add the products along the paths and their sum; only the sum if there are many."""
    found = target.marks["paths"]
    if any(_local(edge) is None for into in edges.values() for edge in into):
        return
    if found["count"] > FOLLOWED:
        totals = _totals(view, target, edges, _local, fsum)
        found["sum"] = fsum(totals[end] for end in ends)
        view.remarks.append(f"the sum of their products is {plain(found['sum'])}")
        return
    ways = [way for end in ends for way in _ways(edges, end, target.id)]
    found["products"] = [prod(map(_local, way)) for way in ways]
    found["sum"] = fsum(found["products"])
    names = {variable.id: variable.name for variable in view.variables}
    for way, product in list(zip(ways, found["products"], strict=True))[:WRITTEN]:
        steps = [edge for edge in way if edge.argnum is not None]
        via = ", ".join(style.elided(names[edge.tail], NAME_LENGTH) for edge in steps[:-1])
        written = " × ".join(factor(_local(edge)) for edge in steps) or "1"
        view.remarks.append(f"{f'via {via}: ' if via else ''}{written} = {plain(product)}")
    more = found["count"] - WRITTEN
    rest = f", {more:,} more not written" if more > 0 else ""
    name = style.operand(target.name)
    view.remarks.append(
        f"the sum{rest}: {plain(found['sum'])} = ∂{style.operand(_names(view, ends))}/∂{name}"
    )


def _local(edge: Edge) -> Any:
    """Return the local derivative of a scalar edge; 1 from an operation to its result."""
    if edge.argnum is None:
        return 1.0
    return edge.marks["jacobian"].item() if "jacobian" in edge.marks else None


def _ways(edges: Mapping[str, list[Edge]], end: str, start: str) -> Iterator[list[Edge]]:
    """Yield the edges of each path, from the end of the graph back to its start."""
    stack: list[tuple[str, list[Edge]]] = [(end, [])]
    while stack:
        node, way = stack.pop()
        if node == start:
            yield way
            continue
        stack.extend((edge.tail, [*way, edge]) for edge in reversed(edges[node]))


def _names(view: View, ends: list[str]) -> str:
    names = [variable.name for variable in view.variables if variable.id in ends]
    return names[0] if len(names) == 1 else "the roots"
