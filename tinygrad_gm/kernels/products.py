"""Products of matrices, with a bias, on threads that leave their cores to other kernels."""

from __future__ import annotations

from typing import Any

from ..backend import Array, Namespace
from . import native


def product(xp: Namespace, x: Array, y: Array, bias: Array = None) -> Any:
    """x @ y + bias: (…, m, n) @ (…, n, p) and a bias (p,) or None give (…, m, p).

    `x.dot(y)` of two matrices takes half a microsecond less than `xp.matmul(x, y)`.
    """
    if native.multiplies(x, y, bias):
        return native.product(x, y, bias)
    out = x.dot(y) if x.ndim == y.ndim == 2 else xp.matmul(x, y)
    if bias is not None:
        out += bias
    return out
