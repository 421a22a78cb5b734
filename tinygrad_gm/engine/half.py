"""float16: an operation computes in float32, forward and backward, and rounds once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .op import Op

HALF = "e"  # the dtype character of float16


def is_half(value: Any) -> bool:
    """Whether a value is float16, or holds such values."""
    if isinstance(value, (tuple, list)):
        return any(map(is_half, value))
    return getattr(getattr(value, "dtype", None), "char", "") == HALF


def in_single(xp: Any, values: Any) -> Any:
    """The values with float16 converted to float32, by the `astype` of a vocabulary."""
    if not is_half(values):
        return values
    if isinstance(values, (tuple, list)):
        return type(values)(in_single(xp, value) for value in values)
    return xp.astype(values, np.float32)


def rounded(op: Op, out: Any, params: tuple[Any, ...]) -> Any:
    """Round a result computed in float32 to float16, unless the call asks for a dtype."""
    if op.outputs != 1:
        return tuple(map(_in_half, out))
    asked = op.own_dtype and params[op.places["dtype"] - op.arity] is not None
    return out if asked else _in_half(out)


def _in_half(out: Any) -> Any:
    return out.astype(np.float16) if out.dtype == np.float32 else out
