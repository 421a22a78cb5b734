"""Decompositions: the same function as a fused operation, composed of primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..hints import renamed
from .half import in_single, is_half
from .op import ERRORS, Op, vocabulary


def decompose(op: Op, args: Sequence[Any], params: Sequence[Any]) -> Any:
    """Call an operation's decomposition; its errors are raised in the operation's name."""
    half = is_half(list(args))
    try:
        out = op.decomposition(
            *(in_single(vocabulary(None), list(args)) if half else args), *params
        )
    except ERRORS as error:
        raise renamed(error, op.name) from error
    if half and op.outputs == 1:
        return out.astype(np.float16)
    return tuple(part.astype(np.float16) for part in out) if half else out
