"""`tg.linalg`: inverses, solutions, determinants and factors of stacks of matrices (…, n, n)."""

from __future__ import annotations

from .ops import cholesky, det, inv, norm, slogdet, solve

__all__ = ["cholesky", "det", "inv", "norm", "slogdet", "solve"]
