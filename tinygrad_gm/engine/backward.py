"""Reverse-mode automatic differentiation: why it works, and the walk back through the record.

Holds the lesson, the walk (`Backward`) and the two functions that start it. Does not hold what an
operation is (`op.py`), what a record is (`record.py`) or how it is made (`call.py`).

**Record.** While a program computes, every operation leaves a `Node` behind: which operation it
was, which nodes or leaf tensors it read (its *parents*), and the arrays that its derivative needs.
The nodes form a directed acyclic graph from the leaves (the parameters) to the result (the loss).

**Walk back.** The chain rule says how a small change of the loss L travels. If L depends on x only
through y = f(x), then ∂L/∂x = ∂L/∂y · ∂y/∂x. So each node needs one number per output element from
above, the *upstream gradient* g = ∂L/∂out, and turns it into one *contribution* per parent,
g · ∂out/∂parent. The function that does so is the operation's *gradient rule*. It never builds the
Jacobian ∂out/∂parent; it only multiplies by it.

**Why gradients add.** If x is read by two operations, a change of x reaches L along two paths, and
to first order the effects add up: ∂L/∂x = Σ over paths of g_path · ∂path/∂x. Hence every node sums
its contributions, and `x * x` (one tensor in two places) gives x + x.

**Why a topological order.** A node may pass its gradient on only when the sum above is complete. In

        x ──► a ──► L = a · b            b = a + 1 also reads a
              └──► b ──┘

going from L straight to a would pass on a *partial* sum, and visit everything below a again once
b's part is there: with twenty such diamonds in a row, a million visits. So a node must come after
every node that reads it. The order of creation has this property: a node is made after its parents.
`backward` takes the nodes from a heap, newest sequence number first. It handles each node and each
edge exactly once, and without recursion, so a chain of a million nodes is fine.

The walk, not the rules, handles broadcasting (a contribution is summed back to its parent's shape),
dtypes (it is cast back to its parent's), accumulation and ownership.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np

from ..backend import Array, module_of
from .anomaly import watching
from .checks import check_contribution, check_contributions, check_decomposition
from .half import in_single
from .higher_order import as_tensors, record_decomposition, with_node, with_zeros
from .in_place import check_unwritten, identities, last_write, may_alias, shares_buffer
from .memory import drop_large
from .messages import check_grad, refuse_unused, seed_of
from .modes import Scope, checking, recording, scope
from .op import vocabulary
from .record import Node, Traced, next_seq, topological_order, wrap

# called per edge with (node, argnum, upstream gradient, contribution, sum so far at the parent)
Observer = Callable[[Node, int, Array, Array, Array], None]


class Backward:
    """One walk from outputs to leaves. With `create_graph` the rules run on Tensors, recorded.

    `pending` holds the sum so far of every node and leaf that has received a contribution. The
    first is held by reference; a sum is a fresh array, which later contributions are added into.
    """

    def __init__(
        self,
        inputs: Sequence[Any] | None = None,
        retain_graph: bool | None = None,  # None: as `create_graph`
        create_graph: bool = False,
        observer: Observer | None = None,
        replayed: Mapping[Node, Any] | None = None,
    ) -> None:
        self.retain_graph = create_graph if retain_graph is None else retain_graph
        self.create_graph = create_graph
        self.checks = checking.get()
        self.observer = watching(observer) if self.checks else observer
        self.replayed = replayed  # per node what it saved, from `replay`, instead of its own
        self.inputs = set(inputs or ())  # nodes and leaves whose gradients were asked for
        self.needed = None if inputs is None else {*inputs}  # and all on a path to them; None: all
        self.pending: dict[Any, Any] = {}
        self.summed: set[Any] = set()  # whose pending array is a fresh sum
        self.aliased: set[Any] = set()  # leaves whose pending array may be used elsewhere too
        self.captured: dict[Any, Any] = {}  # the gradients of the inputs that are nodes
        self.heap: list[tuple[int, Node]] = []

    def run(self, outputs: Sequence[Traced], gradients: Sequence[Any]) -> None:
        """Give each output its gradient, and walk."""
        tokens = checking.set(False), recording.set(True), scope.set(scope.get())
        try:
            self._mark_needed([output.node for output in outputs])
            seeds = [with_node(g) if self.create_graph else g._data for g in gradients]
            self._walk(self._contributions_to(outputs, seeds), tuple(seeds))
        finally:
            checking.reset(tokens[0])
            recording.reset(tokens[1])
            scope.reset(tokens[2])

    def _walk(self, contributions: list[Any], saved: Any) -> None:
        """Add up the contributions, (argnum, parent, array) each; take the newest node; repeat."""
        heap, pending, needed, observer = self.heap, self.pending, self.needed, self.observer
        summed, create_graph, on_arrays = self.summed, self.create_graph, vocabulary(np)
        replayed, frees = self.replayed, not self.retain_graph and self.replayed is None
        node: Any = None
        g: Any = None
        while True:
            newest = None  # the last node with a first contribution; mostly the only one
            for argnum, parent, contribution in contributions:
                like = parent if type(parent) is Node else parent._data
                try:
                    fits = contribution.shape == like.shape and contribution.dtype is like.dtype
                except AttributeError:  # a rule of a user returned None, a tuple …
                    fits = False
                if not fits:
                    contribution = self._fit(contribution, like, node, argnum)
                held = pending.get(parent)
                if held is None:
                    pending[parent] = contribution
                    if like is parent:
                        if newest:
                            heappush(heap, (-newest.seq, newest))
                        newest = parent
                    elif contribution is g or may_alias(contribution, saved):
                        self.aliased.add(parent)
                elif parent in summed and not create_graph:
                    held += contribution
                    pending[parent] = held  # NumPy's scalars are replaced, not changed
                else:
                    pending[parent] = on_arrays.add(held, contribution)
                    summed.add(parent)
                if observer is not None and argnum is not None:
                    observer(node, argnum, g, contribution, pending[parent])

            if heap:
                entry = newest and (-newest.seq, newest)
                _, node = heappushpop(heap, entry) if entry else heappop(heap)
            elif newest:
                node = newest
            else:
                return
            g, plan, parents = pending.pop(node), node.plan, node.parents
            if needed is not None and node in self.inputs:
                if plan.hooks is not None:
                    g = plan.hooks.run(g)
                self.captured[node] = g
                if not self._leads_to_input(node):
                    contributions = []
                    continue
            saved = node.saved
            if replayed is not None and node in replayed:  # the nodes of an expansion are not
                saved = replayed[node].saved
            if saved is None:
                raise RuntimeError(
                    f"backward: the arrays saved by `{plan.op.name}` were freed by an earlier "
                    "backward pass; give that one retain_graph=True, or compute the result again"
                )
            if node.seq < last_write[0]:
                check_unwritten(node, saved)

            if plan.ordinary and not create_graph:
                contributions = []
                if plan.picks:
                    xp = on_arrays if type(g) is np.ndarray else vocabulary(module_of(g))
                    values = (g, xp, plan.argnums, *saved)
                for argnum, rule, pick in plan.edges:
                    if needed is None or parents[argnum] in needed:
                        contribution = rule(*pick(values)) if pick else rule(g, *saved)
                        contributions.append((argnum, parents[argnum], contribution))
            else:
                contributions = self._contributions_of(node, saved, g)
                saved = identities((g, *saved))
            if frees:
                if plan.frees:
                    node.saved = None
                for argnum in plan.constants:
                    if type(parents[argnum]) is not float:
                        drop_large(node, plan.constants)
                        break

    def _contributions_of(self, node: Node, saved: tuple[Any, ...], g: Any) -> list[Any]:
        """The contributions of a node whose rules do not simply run on arrays, one by one."""
        op = node.plan.op
        if node.plan.hooks is not None and node not in self.captured:
            g = node.plan.hooks.run(g)
        if op.is_part:  # one of several results: its gradient joins the list for all of them
            (whole,), (index,) = node.parents, node.params
            if self.needed is None or whole in self.needed:
                if whole not in self.pending:
                    self.pending[whole] = [None] * len(whole.shape)
                    heappush(self.heap, (-whole.seq, whole))
                held = self.pending[whole][index]
                self.pending[whole][index] = g if held is None else held + g
            return []
        if op.always_expands or (self.create_graph and op.expands):
            before = next_seq()
            outputs = record_decomposition(node, saved, self.checks)
            if not op.registered:
                check_decomposition(node, outputs)
            self._mark_needed([output.node for output in outputs], newer_than=before)
            return self._contributions_to(outputs, g if isinstance(g, list) else [g])
        if op.outputs != 1:
            g = with_zeros(node, g)
        argnums, xp = node.plan.argnums, vocabulary(None)
        if self.needed is not None:
            argnums = tuple(i for i in argnums if node.parents[i] in self.needed)
        if self.create_graph:  # the same rules, on Tensors that carry their history
            saved = as_tensors(node, saved)
            scope.set(Scope(f"backward of {op.name}", "backward", node.scope))
        else:
            xp = vocabulary(module_of(g[0] if op.outputs != 1 else g))
        if node.plan.half:
            g, saved = in_single(xp, g), in_single(xp, saved)
        values = (g, xp, argnums, *saved)
        edges = [edge for edge in node.plan.edges if op.joint or edge[0] in argnums]
        parts: Any = {
            i: rule(*pick(values)) if pick else rule(g, *saved) for i, rule, pick in edges
        }
        if op.joint:
            (parts,) = parts.values()
        if not op.registered:
            check_contributions(node, argnums, parts, self.create_graph)
            node.plan.ordinary = node.plan.plain and node.plan.hooks is None
        return [(i, node.parents[i], parts[i]) for i in argnums]

    def _contributions_to(self, outputs: Sequence[Traced], gradients: Sequence[Any]) -> list[Any]:
        pairs = zip(outputs, gradients, strict=True)
        live = [(o.node or o, g) for o, g in pairs if o._requires_grad and g is not None]
        return [(None, o, g) for o, g in live if self.needed is None or o in self.needed]

    def _fit(self, contribution: Any, like: Any, node: Node, argnum: int | None) -> Any:
        """Undo the broadcasting and the promotion of an argument; raise if it does not fit."""
        if argnum is not None:
            check_contribution(node.plan.op, argnum, contribution, like.shape)
        xp = vocabulary(None if self.create_graph else module_of(contribution))
        if contribution.shape != like.shape:
            contribution = _sum_to(xp, contribution, like.shape)
        if contribution.dtype != like.dtype:
            contribution = xp.astype(contribution, like.dtype)
        return contribution

    def _mark_needed(self, roots: list[Any], newer_than: int = 0) -> None:
        """Add the nodes on a path from `roots` to an input to those that are needed."""
        if self.needed is not None:
            for node in topological_order(*roots, newer_than=newer_than):
                if self._leads_to_input(node):
                    self.needed.add(node)

    def _leads_to_input(self, node: Node) -> bool:
        known = (p for p in node.parents if isinstance(p, (Node, Traced)))
        return node.plan.op.closes_over or any(p in (self.needed or ()) for p in known)

    def results(self) -> dict[Any, Any]:
        """The gradients of leaves and captured nodes, as Tensors that own their arrays."""
        given: set[int] = set()
        owned = {}
        for key, gradient in (self.pending | self.captured).items():
            if hasattr(key, "hooks"):  # a hook may have stored the array
                gradient = key.hooks.run(gradient)
                self.aliased.add(key)
                self.summed.discard(key)
            if not self.create_graph:
                plain = type(gradient) is np.ndarray
                gradient = wrap(gradient if plain else module_of(gradient).asarray(gradient))
            array = gradient._data
            if gradient.node is None and key not in self.summed:
                aliased = key in self.aliased or type(key) is Node or id(array) in given
                if aliased or (array.base is not None and shares_buffer(array)):
                    gradient = wrap(array.copy(order="K"))
            given.add(id(gradient._data))
            owned[key] = gradient
        return owned


def _sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: add up g along the axes on which an argument of `shape` was repeated."""
    new = len(g.shape) - len(shape)
    repeated = [i for i in range(len(shape)) if shape[i] == 1 != g.shape[new + i]]
    total = xp.sum(g, (*range(new), *(new + i for i in repeated)))
    return xp.reshape(total, shape) if repeated else total


def backward(
    output: Traced,
    gradient: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    observer: Observer | None = None,
) -> None:
    """Add the gradient of `output` to the `.grad` of every leaf; see `Tensor.backward`."""
    walk = Backward(None, retain_graph, create_graph, observer)
    walk.run([output], [seed_of("backward", output, gradient)])
    for leaf, new in walk.results().items():
        if leaf._grad is None:
            leaf._grad = new
        elif create_graph or leaf._grad.node is not None:
            leaf._grad = leaf._grad + new
        else:
            leaf._grad._data += new._data


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of `outputs` with respect to `inputs`; no `.grad` changes.

    Only nodes on a path from an output to an input are computed. `inputs` may be leaves or
    intermediate results. With `create_graph` the gradients can be differentiated again.

    Args:
        outputs, inputs: a Tensor or a sequence of them, each.
        grad_outputs: the gradient of each output (its shape); None means 1 and needs one element.
        retain_graph: keep the record's arrays for another pass; None: as `create_graph`.
        create_graph: record the backward pass itself.
        allow_unused: give None for an input that no output depends on, instead of an error.

    Returns:
        A tuple with one Tensor per input, of its shape and dtype.

    >>> import tinygrad_gm as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> (slope,) = tg.grad(x * x, x, create_graph=True)
    >>> (curvature,) = tg.grad(slope, x)
    >>> slope.item(), curvature.item()
    (6.0, 2.0)
    """
    outputs = [outputs] if isinstance(outputs, Traced) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Traced) else list(inputs)
    seeds = [grad_outputs] if not isinstance(grad_outputs, (list, tuple)) else list(grad_outputs)
    seeds = [None] * len(outputs) if grad_outputs is None else seeds
    check_grad(outputs, inputs, seeds)
    keys = [tensor.node or tensor for tensor in inputs]
    walk = Backward(keys, retain_graph, create_graph)
    walk.run(outputs, [seed_of("grad", o, g) for o, g in zip(outputs, seeds, strict=True)])
    results = walk.results()
    if not allow_unused:
        refuse_unused([position for position, key in enumerate(keys) if key not in results])
    return tuple(results.get(key) for key in keys)
