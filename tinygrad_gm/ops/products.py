"""Cross and Kronecker products, and linear interpolation: compositions of primitives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backend import ArrayLike
from ..hints import named
from .choosing import where
from .comparison import less
from .elementwise import add, multiply, subtract
from .indexing import take
from .shape import normalize_axis, reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["cross", "kron", "lerp"]


@named
def cross(x: ArrayLike, y: ArrayLike, axis: int = -1) -> Tensor:
    """The cross product of vectors of 3 numbers along an axis; the other axes broadcast.

    Raises:
        ValueError: the axis does not have length 3, or differs between the arrays.

    >>> tg.cross(tg.tensor([1.0, 0.0, 0.0]), tg.tensor([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    shapes = np.shape(x), np.shape(y)
    first, second = (normalize_axis("cross", axis, len(shape)) - len(shape) for shape in shapes)
    if first != second or shapes[0][first] != 3 or shapes[1][second] != 3:
        raise ValueError(
            f"cross: expected length 3 along axis {axis}; got {shapes[0]} and {shapes[1]}"
        )
    following, last = [1, 2, 0], [2, 0, 1]
    return subtract(
        multiply(take(x, following, first), take(y, last, first)),
        multiply(take(x, last, first), take(y, following, first)),
    )


@named
def kron(x: ArrayLike, y: ArrayLike) -> Tensor:
    """The Kronecker product: each element of x times the whole of y, as blocks.

    Shapes (a, b, …) and (c, d, …) give (a·c, b·d, …); the shorter shape gets leading 1s.

    >>> tg.kron(tg.tensor([[1.0, 10.0]]), tg.tensor([[1.0], [2.0]])).tolist()
    [[1.0, 10.0], [2.0, 20.0]]
    """
    shapes = np.shape(x), np.shape(y)
    ndim = max(map(len, shapes))
    blocks, inner = ((1,) * (ndim - len(shape)) + shape for shape in shapes)
    product = multiply(
        reshape(x, tuple(n for size in blocks for n in (size, 1))),
        reshape(y, tuple(n for size in inner for n in (1, size))),
    )
    return reshape(product, tuple(a * b for a, b in zip(blocks, inner, strict=True)))


@named
def lerp(start: ArrayLike, end: ArrayLike, weight: ArrayLike) -> Tensor:
    """start + weight · (end − start), elementwise: exactly start at weight 0, end at 1.

    >>> tg.lerp(tg.tensor([0.0, 0.0]), tg.tensor([10.0, 10.0]), 0.25).tolist()
    [2.5, 2.5]
    """
    step = subtract(end, start)
    number = isinstance(weight, (int, float, np.generic))  # which an array would round
    rest: ArrayLike = 1.0 - weight if number else subtract(1.0, weight)
    near, far = add(start, multiply(weight, step)), subtract(end, multiply(rest, step))
    return where(less(weight, 0.5), near, far)
