"""Words for the structure of a Jacobian: from its numbers, or from what an operation is."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinygrad_gm.backend import Array
from tinygrad_gm.engine.op import Op


def structure(rows: Array, places: Sequence[int], count: int, sums: Array) -> str:
    """A word for a Jacobian of `count` rows, from those at `places` and its columns' sums.

    - zero; identity, scaled identity, diagonal: of a square matrix;
    - permutation (square) or selection: ones, at most one in a row and in a column;
    - broadcast sum: at most one entry in a row, several in a column, where gradients are added up;
    - triangular: square, and a result depends on arguments up to its own place;
    - block diagonal: groups of results depend on groups of elements with none in common;
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
    """Whether the rows fall into groups that have no column in common.

    Of a matrix that is known in part only, rows of a group must have the very same columns: rows
    that share some (as windows that overlap) may be joined by rows that are not known.
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
}


def known(op: Op, slot: int, argument: tuple[int, ...], results: Sequence[tuple[int, ...]]) -> str:
    """The word for an operation of the library, where it follows from the shapes; else "".

    >>> known(tg.exp.op, 0, (500, 500), [(500, 500)]), known(tg.add.op, 0, (500,), [(500, 500)])
    ('diagonal', 'broadcast sum')
    """
    count, size = sum(map(prod, results)), prod(argument)
    if op.forward.__module__ in ELEMENTWISE:
        if op.local[slot] == "0":
            return "zero"
        return "diagonal" if count == size else "broadcast sum" if count > size else ""
    if op.name == "broadcast_to" or (op.name in ("linear", "conv") and slot == 2):
        return "broadcast sum" if count > size else ""
    if op.name in IN_BLOCKS:
        long = all(len(shape) > 1 and min(shape) > 1 for shape in (argument, *results))
        return "block diagonal" if long else ""
    return FIXED.get(op.name, "")
