"""Products of matrices, with a bias, on threads that leave their cores to other kernels."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array, Namespace
from . import native

SMALL = 1 << 14  # numbers of a result that `dot` computes faster than `matmul`


def product(xp: Namespace, x: Array, y: Array, bias: Array = None) -> Any:
    """x @ y + bias: (…, m, n) @ (…, n, p) and a bias (p,) or None give (…, m, p).

    With one matrix on the right, x may have any number of axes, also one, and all of its rows are
    those of one large product, which is faster than several small ones. For two matrices NumPy's
    `dot` takes a microsecond less than `matmul`, but it first fills the result with zeros.
    """
    if native.multiplies(x, y, bias):
        return native.product(x, y, bias)
    if y.ndim == 2 != x.ndim:
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return product(xp, rows, y, bias).reshape(*x.shape[:-1], y.shape[1])
    small = y.ndim == 2 and len(x) * y.shape[1] <= SMALL
    out = x.dot(y) if small else xp.matmul(x, y)
    if bias is not None:
        out += bias
    return out
