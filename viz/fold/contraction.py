"""Contract nodes of a view to one: its members, its card, its edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from math import nan, prod, sqrt
from typing import Any

from ..annotate.diagnosis import warmth
from ..graph.view import Edge, Group, Operation, Part, Variable, View
from .clusters import Call, Links, Module, Tree

INPUTS = 3  # largest number of constants that are drawn outside of the only bundle that reads them


@dataclass(eq=False)
class Bundle:
    """The operations of one drawn node, by copy, and their modules."""

    copies: list[list[Call]]
    modules: tuple[Module, ...] = ()

    @property
    def calls(self) -> Iterator[Call]:
        """Yield the operations of all copies."""
        return (call for copy in self.copies for call in copy)


Owners = dict[str, Bundle]


def owners(tree: Tree, bundles: Iterable[Bundle]) -> Owners:
    """Return the bundle of each contracted node, by id.

    A bundle owns its operations, their results except roots, and the leaves that only it reads;
    the inputs of a module stay outside.
    """
    links = tree.links
    owner = {call.id: bundle for bundle in bundles for call in bundle.calls}
    inputs: dict[Bundle, list[str]] = {}
    for variable in links.variables.values():
        if variable.is_root or variable.is_input:
            continue
        if variable.id in links.maker:
            bundle = owner.get(links.maker[variable.id])
        else:
            readers = {owner.get(edge.head) for edge in links.readings[variable.id]}
            bundle = readers.pop() if len(readers) == 1 else None
            around = tree.home[variable.id].upward()
            if bundle and bundle.modules and not set(bundle.modules).intersection(around):
                if variable.role == "constant":
                    inputs.setdefault(bundle, []).append(variable.id)
                continue
        if bundle:
            owner[variable.id] = bundle
    for bundle, leaves in inputs.items():
        if len(leaves) > INPUTS:
            owner |= dict.fromkeys(leaves, bundle)
    return owner


def contract(view: View, links: Links, owner: Owners) -> View:
    """Return the view with a Group for each bundle."""
    lasts = dict.fromkeys(owner.values(), "")
    for node in view.nodes:
        if node.id in owner and not isinstance(node, Variable):
            lasts[owner[node.id]] = node.id
    groups = {bundle: _group(bundle, last, links, owner) for bundle, last in lasts.items()}
    drawn = View(remarks=list(view.remarks), put_off=view.put_off)
    drawn.ids = {source: name for source, name in view.ids.items() if name not in owner}
    roots: dict[Bundle, list[Variable]] = {bundle: [] for bundle in lasts}
    for node in view.nodes:
        bundle = owner.get(node.id)
        maker = owner.get(links.maker.get(node.id, ""))
        if bundle is not None and lasts[bundle] == node.id:
            drawn.nodes += [groups[bundle], *roots.pop(bundle)]
        elif bundle is None and maker in roots and isinstance(node, Variable):
            roots[maker].append(node)  # after its maker
        elif bundle is None:
            drawn.nodes.append(node)
    drawn.edges = _edges(view, links, owner, groups)
    return drawn


def _edges(view: View, links: Links, owner: Owners, groups: dict[Bundle, Group]) -> list[Edge]:
    """Return the remaining edges; all edges from one node to one group become one."""
    edges: list[Edge] = []
    merged: dict[tuple[str, ...], tuple[Edge, str]] = {}
    counts: dict[Bundle, int] = {}
    for edge in view.edges:
        tail, head = owner.get(edge.tail), owner.get(edge.head)
        source = edge.tail if tail is None else groups[tail].id
        if head is None:
            name = edge.id if edge.argnum is not None else f"e_{source}_{edge.head}"
            edges.append(edge if tail is None else replace(edge, id=name, tail=source))
            continue
        inside = head in (tail, owner.get(links.maker.get(edge.tail, "")))
        group = groups[head]
        if "loop" in edge.marks:
            start = group.id if inside else source
            key = start, group.id, "loop"
            if key in merged:
                known = merged[key][0]
                known.marks["loop"] = together(known.marks["loop"], edge.marks["loop"])
            else:
                new = replace(edge, tail=start, head=group.id, marks=dict(edge.marks))
                merged[key] = new, edge.tail
                edges.append(new)
            continue
        if inside:
            continue
        if (source, group.id) not in merged:
            argnum = counts[head] = counts.get(head, -1) + 1
            new = Edge(
                f"e_{group.id}_{argnum}",
                source,
                group.id,
                argnum,
                edge.differentiable,
                contribution=edge.contribution,
                path=group.path,
                kinds=group.kinds,
                order=edge.order,
                marks=combined([edge.marks]),
            )
            merged[source, group.id] = new, edge.tail
            edges.append(new)
            continue
        known, variable = merged[source, group.id]
        known.differentiable |= edge.differentiable
        known.marks = combined([known.marks, edge.marks])
        parts = known.contribution, edge.contribution
        whole = variable == edge.tail and not any(part is None for part in parts)
        known.contribution = parts[0] + parts[1] if whole else None
    return edges


def _group(bundle: Bundle, identity: str, links: Links, owner: Owners) -> Group:
    """Return the node of a bundle."""
    calls = list(bundle.calls)
    inputs: dict[str, Variable] = {}
    inside: dict[str, Variable] = {}
    for call in calls:
        for edge in links.arguments.get(call.id, ()):
            place = inside if owner.get(edge.tail) is bundle else inputs
            if place is inside or owner.get(links.maker.get(edge.tail, "")) is not bundle:
                place[edge.tail] = links.variables[edge.tail]
    outputs = _outputs(calls, links)
    learned = [v for v in inside.values() if v.role == "parameter" and v.id not in links.maker]
    name, kind, path = _words(bundle, len(calls))
    sizes = [_size(copy, links, owner) for copy in bundle.copies]
    number, count = bundle.modules[0].call if bundle.modules else (1, 1)
    steps = count if number < 1 else 1
    return Group(
        identity,
        name,
        kind,
        len(bundle.copies) * steps,
        len(calls),
        sum(prod(leaf.shape) for leaf in learned),
        (_shapes(inputs.values()), _shapes(outputs)),
        sizes,
        path=path,
        kinds=calls[0].kinds[: len(path)],
        calls=calls[0].calls[: len(path)],
        model=calls[0].model,
        where=calls[0].where,
        order=calls[0].order,
        marks=_marks([*calls, *inside.values(), *outputs], sizes, links),
    )


def _words(bundle: Bundle, number: int) -> tuple[str, str, tuple[str, ...]]:
    """Return the name and the kind of a bundle, and the path of the modules around it."""
    if bundle.modules:
        first, last = bundle.modules[0], bundle.modules[-1]
        name = first.name if first.name == last.name else f"{first.name} … {last.name}"
        number, count = first.call
        if first is last and count > 1 and number > 0:
            name = first.title
        return name, first.kind, first.path[:-1]
    name, kind = f"… {number:,} more", "operations"
    if len(bundle.copies) > 1:
        name, kind = " → ".join(map(_symbol, bundle.copies[0])), f"{name} {kind}"
    paths = [zip(call.path, call.calls, strict=False) for call in bundle.calls]
    shared = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return name, kind, tuple(names[0][0] for names in shared)


def _symbol(call: Call) -> str:
    return call.op.symbol if isinstance(call, Operation) else call.name


def _shapes(variables: Iterable[Variable]) -> tuple[tuple[int, ...], ...]:
    return tuple(dict.fromkeys(variable.shape for variable in variables))


def _outputs(calls: list[Call], links: Links) -> list[Variable]:
    """Return the results of operations that other operations read, or that are roots."""
    within = {call.id for call in calls}
    made = (links.variables[edge.head] for call in calls for edge in links.results.get(call.id, ()))
    return [
        result
        for result in made
        if result.is_root
        or any(edge.head not in within for edge in links.readings.get(result.id, ()))
    ]


def _size(copy: list[Call], links: Links, owner: Owners) -> float:
    """Return the RMS of the gradients of a copy's parameters; without any, of its results."""
    bundle = owner[copy[0].id]
    arguments = (edge.tail for call in copy for edge in links.arguments.get(call.id, ()))
    read = [links.variables[name] for name in dict.fromkeys(arguments) if owner.get(name) is bundle]
    learned = [v for v in read if v.role == "parameter" and v.id not in links.maker]
    parts = learned or _outputs(copy, links)
    if not parts or any(part.gradient is None for part in parts):
        return nan
    squares = sum(part.gradient_squares for part in parts)
    return sqrt(squares / max(1, sum(part.gradient.size for part in parts)))


def _marks(parts: Sequence[Part], sizes: Sequence[float], links: Links) -> dict[str, Any]:
    """Return the marks of a bundle; if no node in it has a heat, from its gradients' RMS."""
    marks = combined([part.marks for part in parts])
    known = [size for size in sizes if size > 0]  # and no NaN
    if "heat" not in marks and known:
        variables = links.variables.values()
        scale = next((v.marks["heat_range"] for v in variables if "heat_range" in v.marks), None)
        if scale is not None:
            marks |= {"heat": warmth(max(known), *scale), "heat_range": scale}
    return marks


def together(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Combine two recurrences between the same nodes: the names, and the cells of the first."""
    first, second = (one, two) if one["sizes"] else (two, one)
    names = dict.fromkeys(filter(None, [first["name"], second["name"]]))
    return {**first, "name": ", ".join(names)}


def combined(marks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine the marks of several nodes."""
    found: dict[str, Any] = {}
    for mark in marks:
        if "heat" in mark:
            found["heat"] = max(mark["heat"], found.get("heat", 0.0))
            found["heat_range"] = mark["heat_range"]
        if "nonfinite" in mark and found.get("nonfinite") != "first":
            found["nonfinite"] = mark["nonfinite"]
        if "roles" in mark:
            found["roles"] = tuple(dict.fromkeys((*found.get("roles", ()), *mark["roles"])))
        if "path" in mark:
            found["path"] = True
        if "cost" in mark:
            cost = found.setdefault("cost", {})
            cost |= {name: cost.get(name, 0) + amount for name, amount in mark["cost"].items()}
    if marks and all("dim" in mark for mark in marks):
        found["dim"] = True
    return found
