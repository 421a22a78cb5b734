"""`tg.linalg`: inverses, solutions, determinants and factors of stacks of matrices (…, n, n)."""

from __future__ import annotations

from .ops.linalg import cholesky, det, inv, slogdet, solve
from .ops.reduction import norm

__all__ = ["cholesky", "det", "inv", "norm", "slogdet", "solve"]
