"""Creation functions: zeros, ranges, grids, triangles.

`shape` is a tuple, or an int for one axis. Floating results have the default dtype (float32, see
`tg.set_default_dtype`) unless `dtype` says otherwise, and lie on the default device unless `device`
does.
"""

from __future__ import annotations

import operator
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np

from . import backend, ops
from .backend import Array, ArrayLike
from .tensor import Tensor, asarray

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "tril_indices",
    "triu",
    "zeros",
    "zeros_like",
]

Shape: TypeAlias = int | tuple[int, ...]


def zeros(
    shape: Shape,
    dtype: Any = None,
    *rest: NoReturn,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a Tensor of zeros.

    >>> tg.zeros((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    lengths = as_shape("zeros", shape, dtype, *rest)
    return place(np.zeros(lengths, dtype or backend.default_dtype()), device, requires_grad)


def ones(
    shape: Shape,
    dtype: Any = None,
    *rest: NoReturn,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a Tensor of ones.

    >>> tg.ones(3, dtype=tg.int64).tolist()
    [1, 1, 1]
    """
    lengths = as_shape("ones", shape, dtype, *rest)
    return place(np.ones(lengths, dtype or backend.default_dtype()), device, requires_grad)


def empty(
    shape: Shape,
    dtype: Any = None,
    *rest: NoReturn,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return an uninitialised Tensor, to be written later.

    >>> tg.empty((2, 0)).shape
    (2, 0)
    """
    lengths = as_shape("empty", shape, dtype, *rest)
    return place(np.empty(lengths, dtype or backend.default_dtype()), device, requires_grad)


def full(
    shape: Shape,
    fill_value: ArrayLike,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a Tensor filled with one number. Without `dtype` a float gives floats, an int int64.

    >>> tg.full(2, 7).tolist(), tg.full((2,), 7.0).tolist()
    ([7, 7], [7.0, 7.0])
    """
    value = backend.as_array(fill_value, "full", dtype)
    if value.ndim:
        raise ValueError(f"full: expected fill_value to be one number; got shape {value.shape}")
    return place(np.full(as_shape("full", shape), value, value.dtype), device, requires_grad)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    k: int = 0,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a matrix with ones on its k-th diagonal and zeros elsewhere; square without `n_cols`.

    >>> tg.eye(2, 3, k=1).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    array = np.eye(n_rows, n_cols, k, dtype or backend.default_dtype())
    return place(array, device, requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return the numbers start, start + step, … below `stop`; `arange(n)` counts from 0.

    Integers give int64, a float among them the default dtype. For a fractional step prefer
    `linspace`, whose length does not depend on rounding.

    >>> tg.arange(3).tolist(), tg.arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    if stop is None:
        start, stop = 0, start
    if not step:
        raise ValueError("arange: the step must not be 0")
    array = np.arange(start, stop, step)
    wanted = dtype or (backend.default_dtype() if array.dtype.kind == "f" else np.int64)
    return place(array.astype(wanted, copy=False), device, requires_grad)


def linspace(
    start: float,
    stop: float,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return `num` equally spaced numbers from `start` to `stop`, which `endpoint` includes.

    >>> tg.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    array = np.linspace(float(start), float(stop), num, endpoint)
    return place(array.astype(dtype or backend.default_dtype()), device, requires_grad)


# ------------------------------------------------------------------- like another array


def zeros_like(
    x: ArrayLike, dtype: Any = None, *, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return zeros with the shape, dtype, device and memory order of `x`."""
    x = asarray(x)._data
    return place(_xp(x).zeros_like(x, dtype), device or backend.device_of(x), requires_grad)


def ones_like(
    x: ArrayLike, dtype: Any = None, *, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return ones with the shape, dtype, device and memory order of `x`."""
    x = asarray(x)._data
    return place(_xp(x).ones_like(x, dtype), device or backend.device_of(x), requires_grad)


def empty_like(
    x: ArrayLike, dtype: Any = None, *, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return an uninitialised Tensor with the shape, dtype, device and memory order of `x`."""
    x = asarray(x)._data
    return place(_xp(x).empty_like(x, dtype), device or backend.device_of(x), requires_grad)


def full_like(
    x: ArrayLike,
    fill_value: ArrayLike,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a Tensor of one number with the shape, dtype, device and memory order of `x`.

    >>> tg.full_like(tg.zeros(2), 3).tolist()
    [3.0, 3.0]
    """
    exact = np.float64 if isinstance(fill_value, float) else None
    x, value = asarray(x)._data, backend.as_array(fill_value, "full_like", exact)
    if value.ndim:
        raise ValueError(
            f"full_like: expected fill_value to be one number; got shape {value.shape}"
        )
    array = _xp(x).full_like(x, value.item(), dtype)
    return place(array, device or backend.device_of(x), requires_grad)


# ------------------------------------------------------------------- triangles and grids


def tril(x: ArrayLike, k: int = 0) -> Tensor:
    """The lower triangle of the last two axes: x on and below the k-th diagonal, 0 above.

    >>> tg.tril(tg.ones((2, 3))).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    return _triangle("tril", x, k, lower=True)


def triu(x: ArrayLike, k: int = 0) -> Tensor:
    """The upper triangle of the last two axes: x on and above the k-th diagonal, 0 below.

    >>> tg.triu(tg.ones((2, 3)), k=1).tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    return _triangle("triu", x, k, lower=False)


def _triangle(name: str, x: ArrayLike, k: int, lower: bool) -> Tensor:
    x = asarray(x)
    if x.ndim < 2:
        raise ValueError(f"{name}: expected at least 2 dimensions; got {x.ndim}")
    mask = _xp(x._data).tri(*x.shape[-2:], k if lower else k - 1, dtype=bool)
    zero = False if x.dtype.kind == "b" else 0
    return ops.where(mask, x, zero) if lower else ops.where(mask, zero, x)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the row and column indices (int64) of the lower triangle of an n × m matrix (m: n).

    >>> rows, columns = tg.tril_indices(2)
    >>> rows.tolist(), columns.tolist()
    ([0, 1, 1], [0, 0, 1])
    """
    rows, columns = np.tril_indices(n, k, m)
    return place(rows), place(columns)


def meshgrid(*xs: ArrayLike, indexing: Literal["xy", "ij"] = "xy") -> tuple[Tensor, ...]:
    """Return the coordinates of a grid with the given vectors as axes, one array per axis.

    With "ij" the results have the shape (len(x₀), len(x₁), …); with "xy", NumPy's default, the
    first two axes are exchanged, as in an image with x to the right and y down.

    >>> x, y = tg.meshgrid([0, 1, 2], [0, 1])
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [0, 1, 2]], [[0, 0, 0], [1, 1, 1]])
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f'meshgrid: expected indexing "xy" or "ij"; got {indexing!r}')
    vectors = [asarray(x) for x in xs]
    for vector in vectors:
        if vector.ndim > 1:
            raise ValueError(f"meshgrid: expected vectors; got the shape {vector.shape}")
    axes = list(range(len(vectors)))
    if indexing == "xy":
        axes[:2] = reversed(axes[:2])
    shape = [0] * len(vectors)
    for axis, vector in zip(axes, vectors, strict=True):
        shape[axis] = vector.size
    grids = []
    for axis, vector in zip(axes, vectors, strict=True):
        column = ops.reshape(vector, (-1,) + (1,) * (len(shape) - 1 - axis))
        grids.append(ops.broadcast_to(column, tuple(shape)))
    return tuple(grids)


# ------------------------------------------------------------------- for this and `random`


def as_shape(name: str, shape: Any, *rest: Any) -> tuple[int, ...]:
    """Return `shape` as a tuple; TypeError if sizes were passed one by one, as in `zeros(2, 3)`."""
    rest = tuple(n for n in rest if isinstance(n, (int, np.integer)) and not isinstance(n, bool))
    if rest:
        listed = ", ".join(map(str, (shape, *rest)))
        raise TypeError(f"{name}: pass the shape as one tuple: {name}(({listed}))")
    try:
        sizes = tuple(map(operator.index, shape if hasattr(shape, "__iter__") else (shape,)))
    except TypeError:
        raise TypeError(
            f"{name}: expected a shape that is a tuple of ints; got {shape!r}"
        ) from None
    if any(n < 0 for n in sizes):
        raise ValueError(f"{name}: the shape {sizes} has a negative size")
    return sizes


def place(array: Array, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Wrap an unshared array in a Tensor on `device`."""
    result = Tensor._of(backend.to_device(array, device or backend.default_device()))
    result.requires_grad = requires_grad
    return result


def _xp(array: Array) -> Any:
    return backend.module_of(array)
