"""Cases of contractions, norms, sorting, searching and linear algebra; `cases.py` collects them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from samples import INTEGERS, Case, Sample, draw


def _contract(x: Any, y: Any, x_labels: Any, y_labels: Any, labels: Any) -> Any:
    return np.einsum(x, x_labels, y, y_labels, labels)


def _norm(x: Any, axis: Any = None, order: float = 2, keepdims: bool = False) -> Any:
    if order == math.inf:
        return np.abs(x).max(axis=axis, keepdims=keepdims)
    return (np.abs(x) ** order).sum(axis=axis, keepdims=keepdims) ** (1 / order)


def _sorted(x: Any, axis: int = -1, descending: bool = False) -> Any:
    lines = np.moveaxis(x, axis, -1)
    out = np.empty(lines.shape, x.dtype)
    for place in np.ndindex(lines.shape[:-1]):
        out[place] = sorted(lines[place], reverse=descending)
    return np.moveaxis(out, -1, axis)


def _argsorted(x: Any, axis: int = -1, descending: bool = False) -> Any:
    lines = np.moveaxis(x, axis, -1)
    out = np.empty(lines.shape, int)
    for place in np.ndindex(lines.shape[:-1]):
        row = lines[place].tolist()
        out[place] = sorted(range(len(row)), key=row.__getitem__, reverse=descending)
        if descending:  # Python's reverse keeps equal elements in their order, too
            assert all(a < b or row[a] != row[b] for a, b in itertools.pairwise(out[place]))
    return np.moveaxis(out, -1, axis)


def _det(x: Any) -> Any:
    """Leibniz' formula: the sum over all permutations."""
    n, total = x.shape[-1], np.zeros(x.shape[:-2])
    for order in itertools.permutations(range(n)):
        swaps = sum(order[i] > order[j] for j in range(n) for i in range(j))
        factors = [x[..., i, j] for i, j in enumerate(order)]
        total = total + (-1) ** swaps * np.prod(factors, axis=0)
    return total


def _cofactor(x: Any) -> Any:
    """The determinants of what is left without a row and a column, with alternating signs."""
    n, out = x.shape[-1], np.zeros(x.shape)
    for i, j in np.ndindex(n, n):
        rest = np.delete(np.delete(x, i, -2), j, -1)
        out[..., i, j] = (-1) ** (i + j) * _det(rest)
    return out


def _solve(x: Any, y: Any) -> Any:
    columns = y[:, None] if y.ndim == 1 else y
    out = np.linalg.solve(x, columns)
    return out[..., 0] if y.ndim == 1 else out


def _cholesky(x: Any) -> Any:
    """Column by column, by its definition."""
    x, out = (x + np.swapaxes(x, -1, -2)) / 2, np.zeros(x.shape)
    for j in range(x.shape[-1]):
        for i in range(j, x.shape[-1]):
            rest = x[..., i, j] - (out[..., i, :j] * out[..., j, :j]).sum(-1)
            out[..., i, j] = np.sqrt(rest) if i == j else rest / out[..., j, j]
    return out


def _regular(shape: tuple[int, ...], layout: str = "C", seed: int = 0) -> Any:
    """Matrices far from singular."""
    return draw(shape, -0.5, 0.5, layout, seed=seed) + 1.5 * np.eye(*shape[-2:])


SQUARE = [
    Sample((_regular((3, 3)),)),
    Sample((_regular((2, 2), "transposed"),)),
    Sample((_regular((2, 2, 2), "sliced"),)),
    Sample((_regular((1, 1)),)),
    Sample((_regular((0, 2, 2)),)),
]
FLIPPED = Sample((np.array([[0.1, 2.0], [1.5, 0.3]]),))  # a negative determinant

CONTRACTIONS = [
    # shapes and labels: a batch 0, rows 1, columns 2, summed 3 and 4
    ((2, 3), (3, 4), (1, 3), (3, 2), (1, 2)),
    ((2, 3), (4, 3), (1, 3), (2, 3), (2, 1)),
    ((2, 3, 4), (2, 4, 3), (0, 1, 3), (0, 3, 2), (0, 1, 2)),
    ((3, 2, 2), (2, 3, 2), (3, 0, 1), (0, 3, 2), (1, 0, 2)),
    ((2, 3, 2), (3, 2, 2), (1, 3, 4), (3, 4, 2), (1, 2)),
    ((2, 3), (3, 2), (3, 4), (4, 3), ()),
    ((2,), (3,), (1,), (2,), (2, 1)),
    ((2, 3), (2, 3), (0, 5), (0, 5), (5, 0)),
    ((), (2, 3), (), (1, 2), (2, 1)),
    ((2, 0), (0, 3), (1, 3), (3, 2), (1, 2)),
    ((2, 3), (3,), (0, 3), (3,), (0,)),
    ((2, 3, 1, 2), (2, 2, 3), (0, 1, 5, 3), (0, 3, 2), (1, 0, 5, 2)),
]

CASES: dict[str, Case] = {
    "contract": Case(
        _contract,
        [
            Sample((draw(a, layout=layout), draw(b, layout=layout, seed=1)), labels)
            for a, b, *rest in CONTRACTIONS
            for layout in (["C", "sliced"] if a else ["C"])
            for labels in [tuple(rest)]
        ]
        + [Sample((2.0, draw((2, 3))), ((), (1, 2), (2, 1)))],
    ),
    "vector_norm": Case(
        _norm,
        [
            Sample((draw((2, 3)),)),
            Sample((draw((2, 3), layout="transposed"),), (0,)),
            Sample((draw((2, 2, 3), layout="sliced"),), ((0, 2), 2, True)),
            Sample((draw((2, 3), avoid=[0.0]),), (-1, 1)),
            Sample((draw((2, 3), avoid=[0.0]),), (1, math.inf, True)),
            Sample((draw((2, 3), avoid=[0.0], seed=2),), (None, math.inf)),
            Sample((draw((2, 3), avoid=[0.0]),), (0, 3)),
            Sample((draw((4,), avoid=[0.0]),), (0, 1.5)),
            Sample((draw((), 0.5, 1.0),)),
            Sample((draw((2, 0)),), (1,)),
            Sample((draw((2, 3, 2, 2), layout="NHWC"),), (1, 2, True)),
        ],
    ),
    "sort": Case(
        _sorted,
        [
            Sample((draw((2, 3)),)),
            Sample((draw((3, 2), layout="transposed"),), (0, True)),
            Sample((draw((2, 3, 2), layout="sliced"),), (1,)),
            Sample((draw((0, 3)),), (0,)),
            Sample((INTEGERS,), (1, True)),
            Sample((np.array([1.0, 0.0, 1.0, 0.0]),), smooth=False),
        ],
    ),
    "argsort": Case(
        _argsorted,
        [
            Sample((draw((2, 3)),)),
            Sample((draw((3, 2), layout="transposed"),), (0, True)),
            Sample((INTEGERS * 1.0,), (1,)),
            Sample((np.array([1, 0, 1, 0, 2]),), (0, True)),
            Sample((draw((0, 3)),)),
        ],
    ),
    "searchsorted": Case(
        lambda x, y, side="left": np.sum(
            x < np.expand_dims(y, -1) if side == "left" else x <= np.expand_dims(y, -1), -1
        ),
        [
            Sample((np.array([1.0, 2.0, 2.0, 3.0]), np.array([[2.0, 9.0], [0.0, 2.5]]))),
            Sample((np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 3.0])), ("right",)),
            Sample((np.array([1, 2, 2, 3]), 2)),
            Sample((np.array([1.0, 2.0]), np.zeros(0))),
        ],
    ),
    "bincount": Case(
        lambda x, weights=None, minlength=0: np.array(
            [
                (np.ones(x.shape, int) if weights is None else weights)[x == i].sum()
                for i in range(max(minlength, x.max(initial=-1) + 1))
            ]
        ),
        [
            Sample((np.array([0, 2, 2, 5]), None)),
            Sample((np.array([0, 2, 2]), None), (5,)),
            Sample((np.array([0, 2, 2]), np.array([0.5, 1.0, 2.0]))),
        ],
    ),
    "isclose": Case(
        lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: (
            (np.abs(np.subtract(x, y)) <= atol + rtol * np.abs(y))
            | (equal_nan & (x != x) & (y != y))
        ),
        [
            Sample((np.array([1.0, 1.0, 0.0]), np.array([1.000001, 1.1, 1e-9]))),
            Sample((np.array([1.0, 2.0]), 1.05), (0.1,)),
            Sample((np.array([1.0, np.nan]), np.array([1.1, np.nan])), (0.0, 0.2, True)),
            Sample((INTEGERS, INTEGERS[:, :1])),
            Sample((draw((2, 3, 2, 2), layout="NHWC"), draw((2, 3, 2, 2), layout="NHWC"))),
        ],
        elementwise=True,
    ),
    "one_hot": Case(
        lambda indices, classes=None, dtype=int: (
            indices[..., None] == np.arange(indices.max() + 1 if classes is None else classes)
        ).astype(dtype),
        [
            Sample((np.array([[0, 2], [1, 1]]),), (4,)),
            Sample((np.array([0, 2]),)),
            Sample((np.array(1),), (3, np.float64)),
            Sample((np.zeros(0, int),), (3,)),
        ],
    ),
    "inv": Case(lambda x: _solve(x, np.eye(x.shape[-1])), [*SQUARE, FLIPPED]),
    "solve": Case(
        _solve,
        [
            Sample((_regular(a, layout), draw(b, layout=layout, seed=1)))
            for a, b, layout in [
                ((3, 3), (3,), "C"),
                ((2, 2), (2, 3), "transposed"),
                ((2, 2, 2), (2, 2, 1), "sliced"),
                ((2, 2, 2), (2,), "C"),
                ((2, 2, 2), (2, 2), "C"),
                ((2, 1, 2, 2), (3, 2, 2), "C"),
                ((0, 2, 2), (0, 2, 2), "C"),
            ]
        ],
    ),
    "cholesky": Case(_cholesky, SQUARE),
    "cofactor": Case(_cofactor, [*SQUARE, FLIPPED]),
    "det": Case(_det, [*SQUARE, FLIPPED]),
    "log_abs_det": Case(lambda x: np.log(np.abs(_det(x))), [*SQUARE, FLIPPED]),
    "sign_det": Case(lambda x: np.sign(_det(x)), [*SQUARE, FLIPPED]),
}
