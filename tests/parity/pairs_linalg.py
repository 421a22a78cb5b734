"""Products, einsum and linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comparer import Config, Pair, config
from drawing import Draw

import tinygrad_gm as tg

LETTERS = "abcde"


def factors(d: Draw) -> Config:
    """Draws vectors and stacks of matrices with a product; sizes 0 and integers among them."""
    m, n, p = (d.integer(0 if d.chance(0.05) else 1, 4) for _ in range(3))
    left, right = d.broadcast(2, (0, 2))
    x = (n,) if d.chance(0.2) else (*left, m, n)
    y = (n,) if d.chance(0.2) else (*right, n, p)
    if d.chance(0.1):
        return config(d.integers(x, -5, 5), d.integers(y, -5, 5))
    return config(d.floats(x), d.floats(y))


def spec_and_operands(d: Draw) -> Config:
    """Draws an einsum: 1 to 3 operands, diagonals, ellipses, sizes 1 that are repeated."""
    sizes = {label: d.integer(1, 4) for label in LETTERS}
    ahead = d.shape((0, 2), (1, 3), 0.0) if d.chance(0.3) else None
    terms, operands = [], []
    for _ in range(d.integer(1, 3)):
        labels = [d.one_of(LETTERS) for _ in range(d.integer(1, 3))]
        alone = [label for label in labels if labels.count(label) == 1]
        shape = [1 if label in alone and d.chance(0.1) else sizes[label] for label in labels]
        term = "".join(labels)
        if ahead is not None:
            kept = ahead[d.integer(0, len(ahead)) :]
            term, shape = "..." + term, [*kept, *shape]
        terms.append(term)
        operands.append(d.floats(tuple(shape)))
    spec = ",".join(terms)
    if d.chance(0.8):
        used = sorted(set(spec) & set(LETTERS))
        out = [str(a) for a in d.rng.permutation(used)[: d.integer(0, len(used))]]
        spec += "->" + ("..." if ahead is not None else "") + "".join(out)
    return config(*operands, spec=spec)


def met_axes(d: Draw) -> Config:
    """Draws two arrays and the axes that meet: a number of them, or pairs."""
    count = d.integer(0, 2)
    common = d.shape((count, count), (1, 3), 0.0)
    x, y = d.shape((0, 2), (1, 3)), d.shape((0, 2), (1, 3))
    if d.chance(0.5):
        return config(d.floats((*x, *common)), d.floats((*common, *y)), axes=count)
    pairs = (list(range(count)), [len(y) + a for a in range(count)])
    return config(d.floats((*common, *x)), d.floats((*y, *common)), axes=pairs)


def vectors(d: Draw) -> Config:
    """Draws two stacks of vectors along one axis."""
    shape = d.shape((1, 3))
    axis = d.integer(-len(shape), -1)
    kept = [1 if d.chance(0.2) and a != axis % len(shape) else n for a, n in enumerate(shape)]
    return config(d.floats(shape), d.floats(tuple(kept)), axis=axis)


def regular(d: Draw) -> Any:
    """A stack of well-conditioned matrices, of either orientation."""
    n = d.integer(1, 4)
    stack = d.shape((0, 2), (1, 3))
    x = d.floats((*stack, n, n), -0.5, 0.5) + np.eye(n, dtype=d.dtype) * (n * 0.5 + 0.5)
    flips = np.where(d.rng.random(n) < 0.3, -1, 1).astype(d.dtype)
    return d.laid_out(x * flips)


def equations(d: Draw) -> Config:
    """Draws matrices and right-hand sides: a vector, or matrices."""
    x = regular(d)
    n = x.shape[-1]
    if x.ndim == 2 and d.chance(0.5):
        return config(x, d.floats((n,)))
    return config(x, d.floats((*x.shape[:-1], d.integer(1, 3))))


def positive_definite(d: Draw) -> Config:
    """Draws symmetric positive definite matrices."""
    x = regular(d)
    return config(d.laid_out(x @ np.swapaxes(x, -1, -2)))


def a_diagonal(d: Draw) -> Config:
    """Draws an array, an offset and two axes of it."""
    x = d.floats(d.shape((2, 4)))
    first, second = d.axes_tuple(x.ndim, 2)
    return config(x, offset=d.integer(-2, 2), axis1=first, axis2=second)


def triples(d: Draw) -> Config:
    """Draws two stacks of vectors of 3 numbers along an axis, whose other axes broadcast."""
    axis = d.integer(-3, -1)
    shapes = [[*d.shape((3, 3), (2, 2), 0.0)] for _ in range(2)]
    shapes[1] = [1 if d.chance(0.3) else n for n in shapes[1]]
    shapes[0][axis] = shapes[1][axis] = 3
    return config(*(d.floats(tuple(shape)) for shape in shapes), axis=axis)


def singular(d: Draw) -> Any:
    """Draws matrices, and stacks upon them the same ones with the first row in the last place."""
    x = regular(d)
    return np.stack([x, np.concatenate([x[..., :-1, :], x[..., :1, :]], -2)])


def norms(d: Draw) -> Config:
    """Draws an array and one of its norms; of two numbers or more: one has no curvature."""
    x = d.apart(d.shape((1, 3), (2, 3), 0.0))
    axis = d.axes(x.ndim)
    order = d.one_of([1, 2, 2, 3, 1.5, np.inf])
    return config(x, axis=axis, ord=order, keepdims=d.chance(0.5))


def norms_of_zeros(d: Draw) -> Config:
    """Draws rows, some of which are all zeros, where the norm has a kink."""
    shape = d.shape((2, 3), (2, 3), 0.0)
    x = np.where(d.booleans((*shape[:-1], 1)), d.floats(shape), np.zeros((), d.dtype))
    return config(x, axis=-1, ord=2, keepdims=d.chance(0.5))


def torch_norm(x: Any, axis: Any, ord: float, keepdims: bool) -> Any:
    """The vector norm."""
    return torch.linalg.vector_norm(x, ord, dim=axis, keepdim=keepdims)


def torch_slogdet(x: Any) -> Any:
    """The sign is constant: that PyTorch records it means nothing."""
    sign, logarithm = torch.linalg.slogdet(x)
    return sign.detach(), logarithm


def torch_diagonal(x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """A diagonal along the last axis."""
    return torch.diagonal(x, offset, axis1, axis2)


def torch_trace(x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """PyTorch's own `trace` knows no stacks."""
    return torch.diagonal(x, offset, axis1, axis2).sum(-1)


def torch_dots(x: Any, y: Any, axis: int) -> Any:
    """Dot products along an axis."""
    return torch.linalg.vecdot(x, y, dim=axis)


PAIRS = [
    Pair("matmul", tg.matmul, torch.matmul, factors, count=100),
    Pair(
        "einsum",
        lambda *xs, spec: tg.einsum(spec, *xs),
        lambda *xs, spec: torch.einsum(spec, *xs),
        spec_and_operands,
        count=200,
    ),
    Pair("tensordot", tg.tensordot, lambda x, y, axes: torch.tensordot(x, y, dims=axes), met_axes),
    Pair("vecdot", tg.vecdot, torch_dots, vectors),
    Pair(
        "outer",
        tg.outer,
        torch.outer,
        lambda d: config(d.floats(d.shape((1, 1))), d.floats(d.shape((1, 1)))),
    ),
    Pair("kron", tg.kron, torch.kron, lambda d: config(d.floats(d.shape()), d.floats(d.shape()))),
    Pair("cross", tg.cross, lambda x, y, axis: torch.linalg.cross(x, y, dim=axis), triples),
    Pair("norm", tg.norm, torch_norm, norms),
    Pair("norm (of zeros)", tg.norm, torch_norm, norms_of_zeros, order=1),
    Pair("inv", tg.linalg.inv, torch.linalg.inv, lambda d: config(regular(d))),
    Pair("solve", tg.linalg.solve, torch.linalg.solve, equations),
    Pair("cholesky", tg.linalg.cholesky, torch.linalg.cholesky, positive_definite),
    Pair("det", tg.linalg.det, torch.linalg.det, lambda d: config(regular(d))),
    Pair("det (singular)", tg.linalg.det, torch.linalg.det, lambda d: config(singular(d))),
    Pair("slogdet", tg.linalg.slogdet, torch_slogdet, lambda d: config(regular(d))),
    Pair("diagonal", tg.diagonal, torch_diagonal, a_diagonal),
    Pair("trace", tg.trace, torch_trace, a_diagonal),
]
