"""PyTorch's operations in our words, for the sample inputs of its own tests.

An operation that has the same name and form in both libraries needs no entry. The keywords are
renamed before a function of this table is called: it sees `axis` and `keepdims`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

KEYWORDS = {
    "dim": "axis",
    "dim0": "axis1",
    "dim1": "axis2",
    "dims": "axis",
    "end_dim": "end_axis",
    "keepdim": "keepdims",
    "other": "y",
    "shifts": "shift",
    "start_dim": "start_axis",
}
OF_THEIR_ENGINE = {"device", "layout", "memory_format", "pin_memory", "requires_grad"}


def with_alpha(function: Callable[..., Any]) -> Callable[..., Any]:
    """A sum or difference, of `alpha` times the second argument."""
    return lambda x, y, alpha=1: function(x, y if alpha == 1 else tg.multiply(y, alpha))


def with_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the array converted to `dtype`, which the result has, too."""

    def converted(x: Any, *args: Any, dtype: Any = None, **keywords: Any) -> Any:
        if dtype is None:
            return function(x, *args, **keywords)
        return tg.astype(function(tg.astype(x, dtype), *args, **keywords), dtype)

    return converted


def with_argument(function: Callable[..., Any], argument: Callable[..., Any]) -> Callable[..., Any]:
    """An extreme, and its index."""

    def both(x: Any, axis: int, keepdims: bool = False) -> Any:
        return function(x, axis, keepdims=keepdims), argument(x, axis, keepdims=keepdims)

    return both


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """A variance or deviation: its correction is 1 there and 0 here."""

    def corrected(
        x: Any,
        axis: Any = None,
        unbiased: bool = True,
        keepdims: bool = False,
        correction: Any = None,
    ) -> Any:
        if isinstance(axis, bool):
            axis, unbiased = None, axis
        n = int(unbiased) if correction is None else correction
        return function(x, axis or None if axis != 0 else 0, correction=n, keepdims=keepdims)

    return corrected


def cut(x: Any, sizes: Any, axis: int = 0) -> Any:
    """Parts of a size, or of these sizes; NumPy's and our `split` takes their number or ends."""
    if isinstance(sizes, int):
        return tg.split(x, [*range(sizes, x.shape[axis], sizes)], axis)
    return tg.split(x, np.cumsum(sizes)[:-1].tolist(), axis)


def chunk(x: Any, count: int, axis: int = 0) -> Any:
    """At most `count` parts of one size, rounded up."""
    return cut(x, max(-(-x.shape[axis] // count), 1), axis)


def narrow(x: Any, axis: int, start: Any, length: int) -> Any:
    """`length` elements along an axis."""
    start = int(start) + (x.shape[axis] if start < 0 else 0)
    return select(x, axis, slice(start, start + length))


def select(x: Any, axis: int, index: Any) -> Any:
    """Elements along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (index,)]


def index_add(x: Any, axis: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    """Slices added at an index, some of them twice."""
    if x.ndim == 0:
        return index_add(x[None], axis, index, tg.reshape(source, (1,)), alpha)[0]
    shape = (1,) * (axis % x.ndim) + (-1,) + (1,) * (x.ndim - 1 - axis % x.ndim)
    places = tg.broadcast_to(tg.reshape(index, shape), source.shape)
    return tg.scatter_add(x, places, source * alpha if alpha != 1 else source, axis)


def sorted_with_places(x: Any, axis: int = -1, descending: bool = False, **_: Any) -> Any:
    """Sorted elements, and where they were."""
    return tg.sort(x, axis, descending), tg.argsort(x, axis, descending)


def different(
    x: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """Different elements, in order."""
    options = {"return_inverse": return_inverse, "return_counts": return_counts}
    return tg.unique(x, axis=axis, **options)


def norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The vector norm, whose arguments stand in another order there."""
    order = 2 if ord in (None, "fro") else ord
    axis = tuple(axis) if isinstance(axis, list) else axis
    return with_dtype(tg.norm)(x, axis=axis, ord=order, keepdims=keepdims, dtype=dtype)


def sought(
    x: Any, values: Any, out_int32: bool = False, right: bool = False, side: str = "", **more: Any
) -> Any:
    """Places in a sorted vector."""
    found = tg.searchsorted(x, values, side=side or ("right" if right else "left"), **more)
    return tg.astype(found, tg.int32) if out_int32 else found


OURS: dict[str, Callable[..., Any]] = {
    "__getitem__": lambda x, index: x[index],
    "__radd__": lambda x, y: y + x,
    "__rand__": lambda x, y: y & x,
    "__rdiv__": lambda x, y: y / x,
    "__rmatmul__": lambda x, y: y @ x,
    "__rmod__": lambda x, y: y % x,
    "__rmul__": lambda x, y: y * x,
    "__ror__": lambda x, y: y | x,
    "__rpow__": lambda x, y: y**x,
    "__rsub__": lambda x, y: y - x,
    "__rxor__": lambda x, y: y ^ x,
    "T": lambda x: x.T,
    "add": with_alpha(tg.add),
    "addmm": lambda b, x, y, beta=1, alpha=1: b * beta + (x @ y) * alpha,
    "amax": tg.max,
    "amin": tg.min,
    "bitwise_not": tg.bitwise_invert,
    "bmm": tg.matmul,
    "arange": lambda start, stop=None, step=1, end=None, dtype=None: tg.arange(
        start, stop if end is None else end, step, dtype=dtype
    ),
    "bool": lambda x: tg.astype(x, tg.bool),
    "byte": lambda x: tg.astype(x, tg.uint8),
    "cat": tg.concat,
    "char": lambda x: tg.astype(x, tg.int8),
    "cholesky": tg.linalg.cholesky,
    "chunk": chunk,
    "clamp": tg.clip,
    "clamp_max": lambda x, y: tg.clip(x, None, y),
    "clamp_min": lambda x, y: tg.clip(x, y),
    "clone": lambda x: x.copy(),
    "cumprod": with_dtype(tg.cumulative_prod),
    "cumsum": with_dtype(tg.cumulative_sum),
    "div (floor_rounding)": lambda x, y, rounding_mode: tg.floor_divide(x, y),
    "div (no_rounding_mode)": tg.divide,
    "dot": tg.vecdot,
    "double": lambda x: tg.astype(x, tg.float64),
    "einsum": lambda xs, spec: tg.einsum(spec, *xs),
    "eq": tg.equal,
    "expand": tg.broadcast_to,
    "expand_as": lambda x, y: tg.broadcast_to(x, y.shape),
    "float": lambda x: tg.astype(x, tg.float32),
    "gather": lambda x, axis, index: tg.take_along_axis(x, index, axis),
    "ge": tg.greater_equal,
    "gt": tg.greater,
    "index_add": index_add,
    "index_select": lambda x, axis, index: tg.take(x, index, axis),
    "inner": lambda x, y: tg.tensordot(x, y, ([-1], [-1])) if x.ndim and y.ndim else x * y,
    "int": lambda x: tg.astype(x, tg.int32),
    "le": tg.less_equal,
    "diagonal": lambda x, offset=0, axis2=0, dim2=1: tg.diagonal(x, offset, axis2, dim2),
    "linalg.diagonal": lambda x, offset=0, axis2=-2, dim2=-1: tg.diagonal(x, offset, axis2, dim2),
    "linalg.norm": norm,
    "linalg.vector_norm": norm,
    "linalg.vecdot": tg.vecdot,
    "log_softmax": with_dtype(tg.log_softmax),
    "long": lambda x: tg.astype(x, tg.int64),
    "lt": tg.less,
    "mT": lambda x: x.mT,
    "masked_fill": lambda x, mask, value: tg.where(mask, value, x),
    "masked_select": lambda x, mask: tg.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape))[
        tg.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))
    ],
    "max (binary)": tg.maximum,
    "max (reduction_with_dim)": with_argument(tg.max, tg.argmax),
    "mean": with_dtype(tg.mean),
    "meshgrid": lambda xs, *more, indexing="ij": tg.meshgrid(
        *(xs if isinstance(xs, (list, tuple)) else (xs, *more)), indexing=indexing
    ),
    "min (binary)": tg.minimum,
    "min (reduction_with_dim)": with_argument(tg.min, tg.argmin),
    "mm": tg.matmul,
    "movedim": tg.moveaxis,
    "mul": tg.multiply,
    "mv": tg.matmul,
    "narrow": narrow,
    "nn.functional.embedding": lambda weight, words, **more: F.embedding(words, weight, **more),
    "ne": tg.not_equal,
    "neg": tg.negative,
    "nonzero": lambda x, as_tuple=False: (
        tg.nonzero(x)
        if as_tuple
        else tg.stack(tg.nonzero(x), axis=1)
        if x.ndim
        else tg.zeros((int(x != 0), 0), dtype=tg.int64)
    ),
    "norm": norm,
    "permute": tg.permute_dims,
    "prod": with_dtype(tg.prod),
    "repeat": tg.tile,
    "repeat_interleave": tg.repeat,
    "reshape_as": lambda x, y: tg.reshape(x, y.shape),
    "rsqrt": lambda x: 1 / tg.sqrt(x),
    "rsub": lambda x, y, alpha=1: tg.subtract(y, x if alpha == 1 else tg.multiply(x, alpha)),
    "scatter_add": lambda x, axis, index, values: tg.scatter_add(x, index, values, axis),
    "searchsorted": sought,
    "select": select,
    "short": lambda x: tg.astype(x, tg.int16),
    "softmax": with_dtype(tg.softmax),
    "sort": sorted_with_places,
    "split": cut,
    "split_with_sizes": cut,
    "std": spread(tg.std),
    "sub": with_alpha(tg.subtract),
    "sum": with_dtype(tg.sum),
    "t": lambda x: x.T,
    "take": lambda x, index: tg.take(tg.flatten(x), index),
    "take_along_dim": tg.take_along_axis,
    "tensor_split": tg.split,
    "tensordot": lambda x, y, axis=2: tg.tensordot(x, y, axis),
    "topk": lambda x, k, axis=-1, largest=True, sorted=True: tg.topk(x, k, axis, largest),
    "transpose": tg.swapaxes,
    "tril_indices": lambda rows, columns, offset=0, dtype=None: tg.stack(
        tg.tril_indices(rows, offset, columns)
    ),
    "true_divide": tg.divide,
    "unbind": tg.unstack,
    "unique": different,
    "unsqueeze": tg.expand_dims,
    "var": spread(tg.var),
    "view": tg.reshape,
    "view_as": lambda x, y: tg.reshape(x, y.shape),
    "where": lambda x, condition, y: tg.where(condition, x, y),
}
RANDOM = {"bernoulli", "empty", "empty_like", "multinomial"} | {
    *("rand_like", "randint", "randn", "randn_like")
}


def ours(name: str) -> Callable[..., Any] | None:
    """Our function for an operation of PyTorch's, or None: by both names, or by the same name."""
    plain = name.partition(" (")[0]
    for word in (name, plain):
        if word in OURS:
            return OURS[word]
    path, _, last = plain.rpartition(".")
    spaces: dict[str, Any] = {"": tg, "linalg": tg.linalg, "nn.functional": F}
    space = spaces.get(path)
    if plain in RANDOM or last not in getattr(space, "__all__", ()):
        return None
    return getattr(space, last)


def call(name: str, first: Any, args: Any, keywords: dict[str, Any]) -> Any:
    """Call our function with an operation's arguments."""
    given = {KEYWORDS.get(k, k): v for k, v in keywords.items() if k not in OF_THEIR_ENGINE}
    function = ours(name)
    assert function
    return function(first, *args, **given)
