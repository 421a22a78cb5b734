"""Results of forward functions: checked, converted to the right dtype, and split into parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, default_dtype, module_of
from .checks import refuse_result
from .op import Op, Plan
from .record import Node, Traced, wrap


def pair(op: Op, returned: Any) -> tuple[Any, Any]:
    """Return (out, residuals) of a forward function."""
    if type(returned) is not tuple or len(returned) != 2:
        refuse_result(op, returned)
    return returned


def settle(op: Op, xp: Any, out: Any, dtype: Any) -> Any:
    """Convert a result, perhaps a NumPy scalar, to an array of the right floating dtype."""
    if op.outputs != 1:
        if not isinstance(out, (tuple, list)) or op.outputs not in (0, len(out)):
            refuse_result(op, out)
        return tuple(map(xp.asarray, out))
    if not isinstance(out, (int, float)) and kind_of_dtype(out) not in "biuf":
        refuse_result(op, out)
    if hasattr(out, "dtype") and not isinstance(out, np.generic):
        xp = module_of(out)  # `to_device` moves it
    out = xp.asarray(out)
    if out.dtype != dtype and out.dtype.kind == "f" and not op.own_dtype:
        out = out.astype(dtype)
    return out


def as_floats(xp: Any, data: Sequence[Any], mixed: Sequence[int]) -> list[Any]:
    """The arguments, those numbered in `mixed` in the default dtype."""
    floats = list(data)
    for argnum in mixed:
        if data[argnum] is not None:
            floats[argnum] = xp.asarray(data[argnum], dtype=default_dtype())
    return floats


def kind_of_dtype(value: Any) -> str:
    """ "f", "i", "u" or "b" of an array's dtype; "O" of anything else."""
    dtype = None if isinstance(value, Traced) else getattr(value, "dtype", None)
    return getattr(dtype, "kind", "O")


def wrap_parts(arrays: Sequence[Array], node: Node) -> tuple[Any, ...]:
    """The results of an operation with several, each behind a node that picks it."""
    return tuple(
        wrap(part, Node(PART, (node,), (), (index,), node.scope, part.shape, part.dtype))
        for index, part in enumerate(arrays)
    )


def _part(xp: Any, results: Any, index: int) -> Any:
    return results[index]


_PART = Op(_part, (), 1, symbol="[ ]", view=True)
_PART.is_part = True
PART = Plan(_PART, (), 1)
