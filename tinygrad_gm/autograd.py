"""Reverse-mode automatic differentiation: the whole idea, and the walk back through the record.

**Record.** While a program computes, every operation leaves a `Node` behind (`record.py`): which
operation it was, which nodes or leaf tensors it read (its *parents*), and the arrays its derivative
needs.
The nodes form a directed acyclic graph from the leaves (the parameters) to the result (the loss).

**Walk back.** The chain rule says how a small change of the loss L travels. If L depends on x only
through y = f(x), then ∂L/∂x = ∂L/∂y · ∂y/∂x. So each node needs one number per output element from
above, the *upstream gradient* g = ∂L/∂out, and turns it into one *contribution* per parent,
g · ∂out/∂parent. The function that does so is the operation's *gradient rule*. It never builds the
Jacobian ∂out/∂parent; it only multiplies by it.

**Why gradients add.** If x is read by two operations, a change of x reaches L along two roads, and
to first order the effects add up: ∂L/∂x = Σ over roads of g_road · ∂road/∂x. Hence every node sums
the contributions that arrive at it, and `x * x` (one tensor in two places) gives x + x.

**Why a topological order.** A node may pass its gradient on only when the sum above is complete. In

        x ──► a ──► L = a · b            b = a + 1 also reads a
              └──► b ──┘

going from L straight to a would pass on a *partial* sum and visit everything below a again once b's
part arrives: with twenty such diamonds in a row, a million visits. So a node must come after every
node that reads it. The order of creation has this property for free: a node is made after its
parents. `backward` therefore takes the nodes from a heap, newest sequence number first; each node
and each edge is handled exactly once, and without recursion, so a chain of a million nodes is fine.

**One rule, three lives.** A rule is written in a small vocabulary `xp` that holds the registered
operations by name. Run on NumPy arrays it is the plain backward pass, in which nothing is recorded.
Run on CuPy arrays it is the same on a GPU. Run on Tensors (`create_graph=True`) every step of the
rule is itself recorded, so its result can be differentiated again, to any order.

**What a rule says it reads.** A rule names its inputs as its parameters: `g` (upstream), `out` (the
result), any parameter of the operation, `x_shape` (the shape of x; no array is kept), `saved` (what
the forward pass put aside) and `xp`. For each combination of arguments that need a gradient the
engine derives a `Plan` once: which rules run, and exactly which arrays the node must keep. What an
operation is, and how it is called and recorded, stands next door in `operation.py`.

**Expansion.** An operation made for speed has a *twin*, the same function composed of primitives.
To differentiate it twice, backward runs the twin, recorded, and walks on into the nodes it left.

What no rule has to care about, because it is done once here: broadcasting (a contribution is summed
back to its parent's shape), dtypes (it is cast back to its parent's), accumulation and ownership.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np

from .anomaly import watching
from .backend import Array, module_of
from .expansion import as_tensors
from .messages import check_contribution, check_contributions, check_twin
from .modes import Frame, Switch, frame, on, recording
from .operation import in_single
from .record import (
    Node,
    Replayed,
    Traced,
    check_unwritten,
    drop_large,
    last_write,
    next_moment,
    nodes_of,
    replay,
    wrap,
)
from .vocabulary import vocabulary

__all__ = ["Node", "Observer", "Pass", "Traced", "backward", "grad", "nodes_of", "replay"]

# called per edge with (node, argument slot, upstream, contribution, sum so far)
Observer = Callable[[Node, int, Array, Array, Array], None]
FEW = 8  # contributions of one node that are compared with what it keeps by a scan


# ------------------------------------------------------------------------------ the backward pass


class Pass:
    """One walk from outputs to leaves. With `create_graph` the rules run on Tensors, recorded.

    `pending` holds the sum so far of every node and leaf that something has arrived at. The first
    contribution is held by reference; a sum is a fresh array, which later ones are added into.
    """

    def __init__(
        self,
        inputs: Sequence[Any] | None = None,
        retain_graph: bool = False,
        create_graph: bool = False,
        observer: Observer | None = None,
        replayed: Mapping[Node, Replayed] | None = None,
    ) -> None:
        self.retain_graph, self.create_graph = retain_graph, create_graph
        self.on = on.get()  # None where anomalies are looked for: what twins make is looked at too
        self.observer = observer if self.on else watching(observer)
        self.replayed = replayed
        self.inputs = set(inputs or ())  # Nodes and leaves whose gradients are wanted
        self.wanted = (
            None if inputs is None else set(self.inputs)
        )  # and what leads there; None: all
        self.pending: dict[Any, Array] = {}
        self.summed: set[Any] = set()  # whose pending array is a sum, hence ours
        self.borrowed: set[Any] = set()  # leaves whose pending array belongs to somebody else
        self.captured: dict[Any, Array] = {}
        self.heap: list[tuple[int, Node]] = []

    def start(self, outputs: Sequence[Traced], gradients: Sequence[Any]) -> None:
        """Hand each output its gradient, and walk."""
        tokens = on.set(True), recording.set(True), frame.set(frame.get())
        try:
            if self.wanted is not None:
                self._mark_wanted([output.node for output in outputs], 0)
            seeds = [_with_node(g) if self.create_graph else g._data for g in gradients]
            self._walk(self._arrivals_at(outputs, seeds), tuple(seeds))
        finally:
            on.reset(tokens[0])
            recording.reset(tokens[1])
            frame.reset(tokens[2])

    def _walk(self, arrivals: list[Any], kept: tuple[Any, ...]) -> None:
        """Deliver what arrives, (slot, parent, contribution) each; take the newest node; repeat."""
        heap, pending, wanted, observer = self.heap, self.pending, self.wanted, self.observer
        summed, create_graph, on_arrays = self.summed, self.create_graph, vocabulary(np)
        replayed, frees = self.replayed, not self.retain_graph and self.replayed is None
        node: Any = None
        g: Any = None
        lent: Any = kept  # what a rule may have returned that is not its own
        while True:
            newest = None  # the last node that something arrived at first; mostly the only one
            for slot, parent, contribution in arrivals:
                like = parent if type(parent) is Node else parent._data
                try:
                    fits = contribution.shape == like.shape and contribution.dtype is like.dtype
                except AttributeError:  # None, a tuple …
                    fits = False
                if not fits:
                    contribution = self._fit(contribution, like, node, slot)
                held = pending.get(parent)
                if held is None:
                    pending[parent] = contribution
                    if like is parent:
                        if newest:
                            heappush(heap, (-newest.seq, newest))
                        newest = parent
                    elif contribution is g or _is_lent(contribution, lent):
                        self.borrowed.add(parent)
                elif parent in summed and not create_graph:
                    held += contribution
                    pending[parent] = held  # NumPy's scalars are replaced, not changed
                else:
                    pending[parent] = held + contribution
                    summed.add(parent)
                if observer is not None and slot is not None:
                    observer(node, slot, g, contribution, pending[parent])
            if heap:
                entry = newest and (-newest.seq, newest)
                _, node = heappushpop(heap, entry) if entry else heappop(heap)
            elif newest:
                node = newest
            else:
                return
            g, plan, parents = pending.pop(node), node.plan, node.parents
            if wanted is not None and node in self.inputs:
                if plan.hooks is not None:
                    g = plan.hooks.run(g)
                self.captured[node] = g
                if not self._leads_on(node):
                    arrivals = []
                    continue
            kept = node.kept  # a node of an expansion has its own; the others perhaps a replay's
            if replayed is not None and node in replayed:
                kept = replayed[node].kept
            if kept is None:
                raise RuntimeError(
                    f"backward: what `{plan.op.name}` kept was freed by an earlier backward pass; "
                    "give that one retain_graph=True, or compute the result again"
                )
            if node.seq < last_write[0]:
                check_unwritten(node, kept)
            if plan.ordinary and not create_graph:
                arrivals, lent = [], kept
                if plan.picks:
                    xp = on_arrays if type(g) is np.ndarray else vocabulary(module_of(g))
                    values = (g, xp, plan.slots, *kept)
                for slot, rule, pick in plan.edges:
                    if wanted is None or parents[slot] in wanted:
                        contribution = rule(*pick(values)) if pick else rule(g, *kept)
                        arrivals.append((slot, parents[slot], contribution))
            else:
                if plan.hooks is not None and node not in self.captured:
                    g = plan.hooks.run(g)
                arrivals = self._special(node, kept, g)
                lent = (g, *kept)
                if len(arrivals) > FEW:
                    lent = _identities(lent)
            if frees:
                if plan.frees:
                    node.kept = None
                for slot in plan.constants:
                    if type(parents[slot]) is not float:
                        drop_large(node, plan.constants)
                        break

    def _fit(self, contribution: Any, like: Any, node: Node, slot: int | None) -> Any:
        """Undo the broadcasting and the promotion of an argument; refuse what does not fit it."""
        if slot is not None:
            check_contribution(node.plan.op, slot, contribution, like.shape)
        xp = vocabulary(None if self.create_graph else module_of(contribution))
        if contribution.shape != like.shape:
            contribution = _sum_to(xp, contribution, like.shape)
        if contribution.dtype != like.dtype:
            contribution = xp.astype(contribution, like.dtype)
        return contribution

    def _special(self, node: Node, kept: tuple[Any, ...], g: Any) -> list[Any]:
        """What arrives from a node whose rules do not simply run on arrays, one by one."""
        op = node.plan.op
        if op.part:  # one output of several: its gradient takes its place in the list of all
            (whole,), (index,) = node.parents, node.params
            if self.wanted is None or whole in self.wanted:
                if whole not in self.pending:
                    self.pending[whole] = [None] * whole.plan.op.outputs
                    heappush(self.heap, (-whole.seq, whole))
                held = self.pending[whole][index]
                self.pending[whole][index] = g if held is None else held + g
            return []
        if op.always_expands or (self.create_graph and op.expands):
            return self._expand(node, kept, g)
        if op.outputs > 1:
            g = _with_zeros(node, g)
        slots, xp = node.plan.slots, vocabulary(None)
        if self.wanted is not None:
            slots = tuple(slot for slot in slots if node.parents[slot] in self.wanted)
        if self.create_graph:  # the same rules, on Tensors that carry their history
            kept = as_tensors(node, kept)
            frame.set(Frame(f"backward of {op.name}", "backward", node.frame))
        else:
            xp = vocabulary(_module_of(g))
        if node.plan.half:
            g, kept = in_single(xp, g), in_single(xp, kept)
        values = (g, xp, slots, *kept)
        edges = [edge for edge in node.plan.edges if op.joint or edge[0] in slots]
        parts: Any = {i: rule(*pick(values)) if pick else rule(g, *kept) for i, rule, pick in edges}
        if op.joint:
            (parts,) = parts.values()
        if not op.registered:
            check_contributions(node, slots, parts, self.create_graph)
            node.plan.ordinary = node.plan.proven and node.plan.hooks is None
        return [(slot, node.parents[slot], parts[slot]) for slot in slots]

    def _expand(self, node: Node, kept: tuple[Any, ...], g: Any) -> list[Any]:
        """Record the node's twin on its arguments; the gradient goes to what comes out."""
        before = next_moment()
        args = as_tensors(node, kept, every_argument=True)
        place = Frame(node.plan.op.name, "expanded", node.frame)
        with Switch(on, self.on), Switch(recording, True), Switch(frame, place):
            out = node.plan.op.expand(args, node.params)
        outputs = out if isinstance(out, tuple) else (out,)
        if not node.plan.op.registered:
            check_twin(node, outputs)
        self._mark_wanted([output.node for output in outputs], before)
        return self._arrivals_at(outputs, g if isinstance(g, list) else [g])

    def _arrivals_at(self, outputs: Sequence[Traced], gradients: Sequence[Any]) -> list[Any]:
        pairs = zip(outputs, gradients, strict=True)
        live = [(o.node or o, g) for o, g in pairs if o._requires_grad and g is not None]
        return [(None, o, g) for o, g in live if self.wanted is None or o in self.wanted]

    def _mark_wanted(self, roots: list[Any], newer_than: int) -> None:
        """Add the nodes on a path from `roots` to an input to the wanted ones."""
        if self.wanted is None:
            return
        for node in nodes_of(*roots, newer_than=newer_than):
            if self._leads_on(node):
                self.wanted.add(node)

    def _leads_on(self, node: Node) -> bool:
        """Whether a wanted gradient lies further back than this node."""
        wanted = self.wanted or ()
        known = (p for p in node.parents if isinstance(p, (Node, Traced)))
        return node.plan.op.closes_over or any(p in wanted for p in known)

    def results(self) -> dict[Any, Any]:
        """The gradients of leaves and captured nodes as Tensors that own their arrays."""
        given: set[int] = set()
        owned = {}
        for key, gradient in (self.pending | self.captured).items():
            if hasattr(key, "hooks"):  # which may have put the array aside
                gradient = key.hooks.run(gradient)
                self.borrowed.add(key)
                self.summed.discard(key)
            if not self.create_graph:
                plain = type(gradient) is np.ndarray
                gradient = wrap(gradient if plain else module_of(gradient).asarray(gradient))
            array = gradient._data
            if gradient.node is None and key not in self.summed:
                lent = key in self.borrowed or type(key) is Node or id(array) in given
                if lent or (array.base is not None and _shares_memory(array)):
                    gradient = wrap(array.copy(order="K"))
            given.add(id(gradient._data))
            owned[key] = gradient
        return owned


def _with_node(seed: Any) -> Any:
    """A seed that is itself a variable, recorded: leaves get copies of seeds, but not of nodes."""
    leaf = seed._requires_grad and seed.node is None
    return vocabulary(None).multiply(seed, 1.0) if leaf else seed


def _module_of(g: Any) -> Any:
    return module_of(next(part for part in g if part is not None) if isinstance(g, list) else g)


def _with_zeros(node: Node, parts: list[Any]) -> list[Any]:
    """The gradients of several outputs, zeros for an output that nobody read."""
    known = next(part for part in parts if part is not None)
    traced = isinstance(known, Traced)
    xp = module_of(known._data if traced else known)
    zeros = (xp.zeros(*facts) for facts in zip(node.shape, node.dtype, strict=True))
    pairs = zip(parts, map(wrap, zeros) if traced else zeros, strict=True)
    return [zero if part is None else part for part, zero in pairs]


def _shares_memory(array: Any) -> bool:
    """Whether a view's memory is held by somebody else too, or it is of a part of it only."""
    base = array.base
    alone = sys.getrefcount(base) == 3  # the view, the name `base`, and the call itself
    return not (alone and array.flags.writeable and getattr(base, "size", 0) == array.size)


def _is_lent(contribution: Any, values: Any) -> bool:
    """Whether a rule returned something that its node keeps."""
    if type(values) is set:
        return id(contribution) in values
    for value in values:
        if contribution is value:
            return True
        if type(value) in (tuple, list) and _is_lent(contribution, value):
            return True
    return False


def _identities(values: Any) -> set[int]:
    """The ids of what many contributions are compared with, one by one."""
    nested = [_identities(v) for v in values if type(v) in (tuple, list)]
    return {id(value) for value in values}.union(*nested)


def _sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: add up g along the axes on which an argument of `shape` was repeated."""
    new = len(g.shape) - len(shape)
    repeated = [i for i in range(len(shape)) if shape[i] == 1 != g.shape[new + i]]
    gone = (*range(new), *(new + i for i in repeated))
    total = xp.sum(g, gone if len(gone) > 1 else gone[0])
    return xp.reshape(total, shape) if repeated else total


# ------------------------------------------------------------------------------- public functions


def backward(
    output: Traced,
    gradient: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    observer: Observer | None = None,
) -> None:
    """Add the gradient of `output` to the `.grad` of every leaf; see `Tensor.backward`."""
    walk = Pass(None, _either(retain_graph, create_graph), create_graph, observer)
    walk.start([output], [_seed("backward", output, gradient)])
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
    """The gradients of `outputs` with respect to `inputs`; nobody's `.grad` changes.

    Only what lies on a path from an output to an input is computed. `inputs` may be leaves or
    intermediate results. With `create_graph` the gradients can be differentiated again.

    Args:
        outputs: a Tensor or a sequence of them.
        inputs: a Tensor or a sequence of them.
        grad_outputs: the gradient of each output (its shape); None means 1 and needs one element.
        retain_graph: keep what the record needs for another pass; None: as `create_graph`.
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
    if len(seeds) != len(outputs):
        raise ValueError(f"grad: {len(outputs)} outputs but {len(seeds)} grad_outputs")
    for position, tensor in enumerate(inputs):
        if not isinstance(tensor, Traced) or not tensor._requires_grad:
            raise RuntimeError(f"grad: input {position} is not a tensor that requires a gradient")
    keys = [tensor.node or tensor for tensor in inputs]
    walk = Pass(keys, _either(retain_graph, create_graph), create_graph)
    walk.start(outputs, [_seed("grad", o, g) for o, g in zip(outputs, seeds, strict=True)])
    results = walk.results()
    for position, key in enumerate(keys):
        if key not in results and not allow_unused:
            raise RuntimeError(
                f"grad: no output depends on input {position}; allow_unused=True gives None for it"
            )
    return tuple(results.get(key) for key in keys)


def _seed(caller: str, output: Traced, gradient: Any) -> Any:
    if not isinstance(output, Traced) or not output._requires_grad:
        why = "it was made of no tensor with requires_grad=True, or under no_grad()"
        if isinstance(output, Traced) and output.dtype.kind != "f":
            why = f"it is {output.dtype}, and operations with such results have no gradient"
        raise RuntimeError(f"{caller}: the output does not require a gradient: {why}")
    xp = module_of(output._data)
    if gradient is None:
        if output._data.size != 1:
            raise RuntimeError(
                f"{caller}: the output has shape {output.shape}; only a single number has an "
                "implied gradient. Reduce it with .sum() or .mean(), or give one of its shape"
            )
        return wrap(xp.array(1, output.dtype).reshape(output.shape))
    seed = gradient if isinstance(gradient, Traced) else wrap(xp.asarray(gradient, output.dtype))
    if seed.shape != output.shape:
        raise ValueError(
            f"{caller}: the gradient has shape {seed.shape}, the output has {output.shape}"
        )
    return seed


def _either(retain_graph: bool | None, create_graph: bool) -> bool:
    return create_graph if retain_graph is None else retain_graph
