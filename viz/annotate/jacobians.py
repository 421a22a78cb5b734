"""Local Jacobians of operations with respect to their arguments, and their structure.

An operation is run again on copies of its arguments, and unit vectors are pulled back through its
gradient rule: each gives one row of ∂result/∂argument. Small Jacobians are computed whole; a few
rows of large ones determine the structure. The user's graph is read-only.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_gm.backend import Array, module_of, to_device
from tinygrad_gm.engine.backward import grad
from tinygrad_gm.engine.call import record
from tinygrad_gm.engine.op import Op
from tinygrad_gm.engine.record import wrap
from tinygrad_gm.engine.replay import recompute

from .. import style
from ..graph.view import Arguments, Edge, Operation, Variable, View

SMALL = 64  # entries of a Jacobian that is computed whole, and printed with `jacobian=True`
WHOLE = 100_000  # up to this many entries all rows are pulled back for the structure; else SAMPLED
SAMPLED = 8
WORK = 20_000_000  # largest number of elements pulled back for one drawing
NAME_LENGTH = 10  # characters of a name in ∂y/∂x


def annotate(
    view: View, show: bool = False, operations: Collection[Operation] | None = None
) -> None:
    """Write the chain rule on every differentiable edge.

    Marks of an edge: `local`, its text; `flow`, its contribution as text; `structure`, a word for
    the Jacobian; `jacobian`, its entries (result × argument) if at most 64; with `show` also
    `matrix`, the entries as rows of texts. With `operations` only their edges are annotated, those
    that are not yet.
    """
    work = WORK
    chosen = {each.id for each in (view.operations if operations is None else operations)}
    with np.errstate(all="ignore"):
        for operation, arguments, results in view.calls():
            done = any("local" in edge.marks for edge, _ in arguments.values())
            if done or operation.id not in chosen:
                continue
            work -= _measure(operation, arguments, work)
            for edge, variable in arguments.values():
                if edge.differentiable:
                    _write(edge, operation, variable, results, show)


class Call:
    """An operation run again, recorded, on copies of its arguments: rows of its Jacobians.

    Args:
        operation: the operation to run.
        values: arrays and numbers by argnum; an argument that is missing is None.
        argnums: the arguments whose Jacobians are computed.
    """

    def __init__(self, operation: Operation, values: Mapping[int, Any], argnums: Sequence[int]):
        op, params = operation.op, tuple(operation.params.values())
        count = max(values) + 1 if op.variadic else op.arity
        given = [values.get(argnum) for argnum in range(count)]
        self.forward: Callable[[], Any] = functools.partial(recompute, op, given, params)
        out, residuals, data = recompute(op, list(given), params)
        count = len(data)  # the closure of a checkpoint is not an argument of its function
        argnums = tuple(argnum for argnum in argnums if argnum < count)
        self.leaves = {argnum: wrap(data[argnum]) for argnum in argnums}
        for leaf in self.leaves.values():
            leaf._requires_grad = True
        parents = tuple(self.leaves.get(argnum, data[argnum]) for argnum in range(count))
        outputs = record(op, argnums, parents, data, params, None, out, residuals)
        self.outputs: tuple[Any, ...] = (outputs,) if op.outputs == 1 else outputs
        self.size: int = sum(prod(output.shape) for output in self.outputs)

    def pull_back(self, v: Any) -> dict[int, Any]:
        """Return vᵀJ of every argument, flat; v has the length of all results together.

        None for an argument without a gradient.
        """
        seeds, start = [], 0
        for output in self.outputs:
            part = v[start : start + prod(output.shape)].reshape(output.shape)
            seeds.append(wrap(module_of(output._data).asarray(part, dtype=output.dtype)))
            start += prod(output.shape)
        leaves = list(self.leaves.values())
        found = grad(self.outputs, leaves, seeds, retain_graph=True, allow_unused=True)
        arrays = [g if g is None else to_device(g._data, "cpu").reshape(-1) for g in found]
        return dict(zip(self.leaves, arrays, strict=True))

    def rows(self, places: Sequence[int]) -> dict[int, Array]:
        """Return the rows of every Jacobian for these elements of the results."""
        pulled = [self.pull_back(np.arange(self.size) == place) for place in places]
        columns = {argnum: [row[argnum] for row in pulled] for argnum in self.leaves}
        reached = {i: rows for i, rows in columns.items() if all(row is not None for row in rows)}
        return {argnum: np.array(rows) for argnum, rows in reached.items()}


def _measure(operation: Operation, arguments: Arguments, work: int) -> int:
    """Mark the edges of an operation with Jacobian and structure; return the elements used."""
    values = {argnum: variable.value for argnum, (_, variable) in arguments.items()}
    sizes = {
        argnum: prod(v.shape) for argnum, (edge, v) in arguments.items() if edge.differentiable
    }
    argnums = [argnum for argnum, size in sizes.items() if size]
    if not argnums or any(v is None for v in values.values()):
        return 0
    if sum(np.size(v) for v in values.values()) * SAMPLED > work:
        return 0
    call = Call(operation, values, argnums)
    whole = call.size <= SMALL and call.size * sum(sizes.values()) <= WHOLE
    places = range(call.size) if whole else _sample(call.size)
    cost = (len(places) + 1) * (call.size + sum(sizes.values()))
    if not call.size or cost > work:
        return 0
    rows = call.rows(places)
    if call.size == 1 == max(sizes.values()):
        for argnum, row in rows.items():
            arguments[argnum][0].marks["jacobian"] = row
        return cost
    words = _words(call, rows, places)
    clean = all(np.isfinite(matrix).all() for matrix in rows.values())
    if not clean or (len(places) < call.size and "sparse" in words.values()):
        others = {argnum: _typical(value) for argnum, value in values.items()}
        typical = Call(operation, others, argnums)
        better = _words(typical, typical.rows(places), places)
        words |= {argnum: word for argnum, word in better.items() if word != "sparse"}
        cost *= 2
    for argnum, word in words.items():
        edge, _ = arguments[argnum]
        edge.marks["structure"] = word
        if call.size * sizes[argnum] <= SMALL:
            edge.marks["jacobian"] = rows[argnum]
    return cost


def _words(call: Call, rows: Mapping[int, Array], places: Sequence[int]) -> dict[int, str]:
    """Return the structure of the Jacobian of every argument."""
    sums = rows if call.size == 1 else call.pull_back(np.ones(call.size))
    return {argnum: structure(rows[argnum], places, call.size, sums[argnum]) for argnum in rows}


def _typical(value: Any) -> Any:
    """Replace zeros, NaN and infinities, which would hide dependences, by other numbers.

    The numbers differ: equal ones could make a diagonal look like an identity.
    """
    if getattr(getattr(value, "dtype", None), "kind", "") != "f":
        return value
    xp = module_of(value)
    others = xp.linspace(0.5, 0.9, value.size, dtype=value.dtype).reshape(value.shape)
    return xp.where(xp.isfinite(value) & (value != 0), value, others)


def _sample(size: int) -> list[int]:
    """Return a few random positions and their successors."""
    anywhere = np.random.default_rng(0).integers(0, size, SAMPLED // 2)
    return sorted({int(place) for place in (*anywhere, *((anywhere + 1) % size))})


# ------------------------------------------------------------------------------------ texts


def _write(
    edge: Edge, operation: Operation, argument: Variable, results: Sequence[Variable], show: bool
) -> None:
    """Set the texts of an edge: ∂z/∂x = formula = number, or ∂y/∂x: shape structure, formula."""
    marks = edge.marks
    result = results[0].name if len(results) == 1 else operation.op.name
    name = f"∂{_short(result)}/∂{_short(argument.name)}"
    shapes = [variable.shape for variable in results]
    count, size = sum(map(prod, shapes)), prod(argument.shape)
    if count == size == 1:
        texts = [name, edge.local]
        if "jacobian" in marks and not re.fullmatch(r"−?[\d.]+", edge.local):
            texts.append(style.number(marks["jacobian"].item()))
        marks["local"] = " = ".join(filter(None, texts))
    else:
        if "structure" not in marks and edge.argnum is not None:
            marks["structure"] = known(operation.op, edge.argnum, argument.shape, shapes)
        facts = f"{count}×{size} {marks['structure']}".rstrip()
        marks["local"] = f"{name}: {facts}{', ' * bool(edge.local)}{edge.local}"
    if edge.contribution is not None:
        marks["flow"] = flow(edge.contribution)
    if show and "jacobian" in marks and marks["jacobian"].size > 1:
        rows = marks["jacobian"].tolist()
        marks["matrix"] = tuple(tuple(style.number(entry, 3) for entry in row) for row in rows)


def flow(contribution: Any) -> str:
    """Return a contribution as text: one number, or the root mean square of several."""
    text = style.size(contribution)
    return f"RMS {text}" if contribution.size > 1 and text[0].isdigit() else text


def _short(name: str) -> str:
    return style.operand(style.elided(name, NAME_LENGTH))


# ------------------------------------------------------------------------------ structure


def structure(rows: Array, places: Sequence[int], count: int, sums: Array) -> str:
    """Name the structure of a Jacobian of `count` rows, from some rows and the column sums.

    - zero; identity, scaled identity, diagonal: of a square matrix;
    - permutation (square) or selection: ones, at most one in a row and in a column;
    - broadcast sum: at most one entry in a row, several in a column, whose gradients are summed;
    - triangular: square, no entry above the diagonal;
    - block diagonal: groups of results depend on disjoint groups of elements;
    - dense: without zeros; sparse: anything else.

    >>> structure(np.array([[0.0, 1.0], [1.0, 0.0]]), range(2), 2, np.ones(2))
    'permutation'
    >>> structure(np.ones((2, 1)), range(2), 2, np.array([2.0]))
    'broadcast sum'
    """
    there, size = rows != 0, rows.shape[1]
    square = count == size
    entries = rows[there]
    if not entries.size:
        return "zero" if not sums.any() else "sparse"
    own = np.arange(size) == np.array(places)[:, None]
    if square and not (there & ~own).any():
        scaled = (entries == entries[0]).all() and (sums == entries[0]).all()
        return "diagonal" if not scaled else "identity" if entries[0] == 1 else "scaled identity"
    if there.sum(axis=1).max() <= 1:
        repeated = there.sum(axis=0).max() > 1 or (count > size and there.any(axis=1).all())
        if repeated or ((entries == 1).all() and sums.max() > 1):
            return "broadcast sum"
        if (entries == 1).all():
            return "permutation" if square and sums.all() else "selection"
    if there.all():
        return "dense"
    if square and not (there & (np.arange(size) > np.array(places)[:, None])).any():
        return "triangular"
    whole = len(places) == count
    return "block diagonal" if _in_blocks(there, whole) else "sparse"


def _in_blocks(there: Array, whole: bool) -> bool:
    """Return whether the rows form groups without common columns.

    If only some rows are known, the rows of a group must have the same columns: rows that share
    only some (overlapping windows) may be connected by unknown rows.
    """
    common = there.astype(int) @ there.T.astype(int)
    lengths = there.sum(axis=1)
    if not whole:
        same = (common == lengths[:, None]) & (common == lengths)
        return bool(((common == 0) | same).all())
    joined = common > 0
    for _ in range(int(np.ceil(np.log2(len(there)))) + 1):
        joined = joined.astype(int) @ joined.astype(int) > 0
    return bool((~joined[np.ix_(lengths > 0, lengths > 0)]).any())


ELEMENTWISE = tuple(
    f"tinygrad_gm.ops.{file}" for file in ("elementwise", "choosing", "fused.activations")
)
IN_BLOCKS = "linear", "matmul", "softmax", "log_softmax", "logsumexp", "sum", "mean"
FIXED = {
    "reshape": "identity",
    "permute_dims": "permutation",
    "flip": "permutation",
    "roll": "permutation",
    "sort": "permutation",
    "concat": "selection",
    "stack": "selection",
    "unstack": "selection",
}


def known(
    op: Op, argnum: int, argument: tuple[int, ...], results: Sequence[tuple[int, ...]]
) -> str:
    """Return the structure of a known operation if it follows from the shapes; else "".

    >>> known(tg.exp.op, 0, (500, 500), [(500, 500)]), known(tg.add.op, 0, (500,), [(500, 500)])
    ('diagonal', 'broadcast sum')
    """
    count, size = sum(map(prod, results)), prod(argument)
    if op.forward.__module__ in ELEMENTWISE:
        if op.local[argnum] == "0":
            return "zero"
        return "diagonal" if count == size else "broadcast sum" if count > size else ""
    if op.name == "broadcast_to" or (op.name in ("linear", "conv") and argnum == 2):
        return "broadcast sum" if count > size else ""
    if op.name in IN_BLOCKS:
        long = all(len(shape) > 1 and min(shape) > 1 for shape in (argument, *results))
        return "block diagonal" if long else ""
    return FIXED.get(op.name, "")
