"""A stand-in for CuPy that needs no GPU, so that a stray `np.` call is caught on every machine.

Its arrays wrap NumPy's without being any: NumPy's functions refuse them (CuPy hands some of those
calls on), and its own functions refuse NumPy's arrays, as CuPy's do. It has CuPy's other habits
that a program must know: reductions give 0-d arrays, indices out of range go around, functions
take fewer keywords, and only `asarray` and `.get()` move data. All its names are those of CuPy 14.
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np


class ndarray:  # noqa: N801  (CuPy's name for it)
    """An array "on the GPU". Only this file looks at `_host`, where the numbers are."""

    __array_ufunc__ = None  # NumPy's operators hand over to ours, NumPy's functions give up
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: Any) -> None:
        self._host = host

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed; use .get()")

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        if function in (np.shape, np.ndim, np.size):
            return function(*map(_index, args), **keywords)
        raise TypeError(f"np.{function.__name__} was called on an array of CuPy")

    def get(self) -> Any:
        """A copy on the CPU."""
        return self._host.copy(order="K")

    @property
    def device(self) -> Any:
        return types.SimpleNamespace(id=0)

    @property
    def base(self) -> Any:
        return wrapped(self._host.base)

    def __getitem__(self, index: Any) -> Any:
        return wrapped(self._host[_around(index, self.shape)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_around(index, self.shape)] = unwrapped(value)

    def __iter__(self) -> Any:
        return map(wrapped, self._host)

    def __repr__(self) -> str:
        return repr(self._host)

    def __deepcopy__(self, memo: Any) -> Any:
        return ndarray(self._host.copy(order="K"))

    def ravel(self, order: str = "C") -> Any:
        if order == "K":
            raise NotImplementedError("ravel with order='K' not yet implemented.")
        return wrapped(self._host.ravel(order))

    def take(self, indices: Any, axis: int | None = None) -> Any:
        return wrapped(self._host.take(_index(indices), axis, mode="wrap"))


def wrapped(value: Any) -> Any:
    """NumPy's result as CuPy would give it: scalars are arrays of no dimensions."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    return type(value)(map(wrapped, value)) if type(value) in (tuple, list) else value


def unwrapped(value: Any) -> Any:
    """An argument as NumPy wants it; arrays of NumPy itself are refused."""
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, ndarray):
        return value._host
    return type(value)(map(unwrapped, value)) if type(value) in (tuple, list) else value


def _index(entry: Any) -> Any:
    """An entry of an index; CuPy itself moves lists and NumPy's arrays to the GPU."""
    return entry._host if isinstance(entry, ndarray) else entry


def _around(index: Any, shape: tuple[int, ...]) -> Any:
    """`index` with each integer array taken modulo the length of its axis."""
    entries = [_index(entry) for entry in (index if isinstance(index, tuple) else (index,))]
    entries = [np.asarray(e, None if e else int) if isinstance(e, list) else e for e in entries]
    used = sum(map(_axes, entries))
    axis, result = 0, []
    for entry in entries:
        if isinstance(entry, np.ndarray) and entry.dtype.kind in "iu" and shape[axis]:
            entry = entry % shape[axis]
        result.append(entry)
        axis += len(shape) - used if entry is Ellipsis else _axes(entry)
    return tuple(result) if isinstance(index, tuple) else result[0]


def _axes(entry: Any) -> int:
    """How many axes an entry of an index reads."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool):
        return 0
    return entry.ndim if isinstance(entry, np.ndarray) and entry.dtype.kind == "b" else 1


def _on_gpu(function: Any, allowed: set[str] | None = None) -> Callable[..., Any]:
    """NumPy's function or method between our arrays, without the keywords that CuPy lacks."""

    @functools.wraps(function, updated=())
    def call(*args: Any, **keywords: Any) -> Any:
        if allowed is not None and not allowed >= set(keywords):
            raise TypeError(f"{function.__name__}: Wrong arguments {keywords}")
        keywords = {name: unwrapped(value) for name, value in keywords.items()}
        with np.errstate(all="ignore"):
            result = function(*map(unwrapped, args), **keywords)
        outs = keywords.get("out")
        return wrapped(result) if outs is None else ndarray(outs)

    return call


def _operator(function: Any) -> Any:
    """A method that applies an operator, to the operands that CuPy takes."""

    def method(self: Any, *others: Any) -> Any:
        if not all(isinstance(o, (ndarray, bool, int, float, np.generic)) for o in others):
            return NotImplemented
        with np.errstate(all="ignore"):
            result = function(self._host, *map(unwrapped, others))
        return self if result is self._host else wrapped(result)

    return method


def _reflected(function: Any) -> Any:
    return _operator(lambda own, other: function(other, own))


_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
_UNARY_AND_COMPARISONS = "neg pos abs invert lt le eq ne gt ge"
_KEYWORDS = {  # the methods that CuPy has, and the keywords that it takes
    "max min argmax argmin any all": "axis out keepdims",
    "sum prod mean": "axis dtype out keepdims",
    "std var": "axis dtype out ddof keepdims",
    "cumsum cumprod": "axis dtype out",
    "argsort sort": "axis kind",
    "astype": "dtype order casting copy",
    "copy reshape flatten": "order",
    "clip": "min max out",
    "squeeze repeat": "axis",
    "round": "decimals out",
    "transpose swapaxes diagonal trace dot nonzero view fill": "",
}
_METHODS = {name: set(keys.split()) for names, keys in _KEYWORDS.items() for name in names.split()}


def _give_methods() -> None:
    for name in _BINARY.split():
        function = getattr(operator, f"__{name}__")
        setattr(ndarray, f"__{name}__", _operator(function))
        setattr(ndarray, f"__r{name}__", _reflected(function))
        setattr(ndarray, f"__i{name}__", _operator(getattr(operator, f"__i{name}__")))
    for name in _UNARY_AND_COMPARISONS.split():
        setattr(ndarray, f"__{name}__", _operator(getattr(operator, f"__{name}__")))
    for name, keywords in _METHODS.items():
        setattr(ndarray, name, _on_gpu(getattr(np.ndarray, name), keywords))
    for name in ("T", "real", "flat"):
        setattr(ndarray, name, _attribute(name, wrapped))
    for name in ("dtype", "shape", "ndim", "size", "itemsize", "nbytes", "strides", "flags"):
        setattr(ndarray, name, _attribute(name))
    for name in ("item", "tolist", "__bool__", "__int__", "__float__", "__len__"):
        setattr(ndarray, name, _of_host(name))


def _attribute(name: str, of: Callable[[Any], Any] = lambda value: value) -> property:
    return property(lambda self: of(getattr(self._host, name)))


def _of_host(name: str) -> Any:
    return lambda self, *args: getattr(self._host, name)(*args)


# ---------------------------------------------------------------------------- the namespace

_UFUNCS = """
add subtract multiply divide true_divide floor_divide negative positive power remainder mod
absolute abs sign exp exp2 expm1 log log2 log10 log1p sqrt square cbrt reciprocal logaddexp
sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh hypot
bitwise_and bitwise_or bitwise_xor invert left_shift right_shift
greater greater_equal less less_equal equal not_equal maximum minimum fmax fmin
logical_and logical_or logical_xor logical_not isfinite isinf isnan signbit copysign
floor ceil trunc rint matmul
"""
_FUNCTIONS = """
zeros ones empty full eye arange linspace tri zeros_like ones_like empty_like full_like
ascontiguousarray reshape transpose swapaxes moveaxis expand_dims squeeze broadcast_to
broadcast_arrays concatenate stack split repeat tile flip roll pad tril triu where nonzero
flatnonzero argwhere searchsorted sort argsort unique bincount round around clip cumsum cumprod
isclose allclose array_equal dot vdot tensordot outer inner einsum diagonal diag trace copyto copy
count_nonzero nan_to_num diff meshgrid shape ndim size result_type may_share_memory
sum prod mean max min any all argmax argmin std var
"""
_OF_DTYPES = """
dtype promote_types can_cast min_scalar_type finfo iinfo
broadcast_shapes bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64
integer floating inf nan pi e newaxis
"""


def _from_host(function: Any) -> Any:
    """`asarray` and `array`, which do move NumPy's arrays."""

    def call(value: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        if isinstance(value, ndarray):
            same = not copy and function is np.asarray and dtype in (None, value.dtype)
            return value if same else ndarray(value._host.astype(dtype or value.dtype))
        if isinstance(value, (list, tuple)):
            value = _lists(value)
        return ndarray(np.array(value, dtype))

    return call


def _lists(value: Any) -> Any:
    """Nested lists of numbers and of our arrays; CuPy joins those."""
    return [_lists(v) for v in value] if isinstance(value, (list, tuple)) else _index(value)


def _add_at(a: Any, indices: Any, b: Any) -> None:
    np.add.at(a._host, _around(indices, a.shape), unwrapped(b))


def _take_along_axis(a: Any, indices: Any, axis: int) -> Any:
    return wrapped(np.take_along_axis(a._host, unwrapped(indices) % a.shape[axis], axis))


class Device:
    """`with cupy.cuda.Device(0):`, where there is one device."""

    def __init__(self, index: int = 0) -> None:
        if index:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def _module() -> types.ModuleType:
    cupy: Any = types.ModuleType("cupy", __doc__)
    for name in _UFUNCS.split():
        setattr(cupy, name, _on_gpu(getattr(np, name), {"out", "dtype", "casting"}))
    for name in _FUNCTIONS.split():
        setattr(cupy, name, _on_gpu(getattr(np, name), _METHODS.get(name)))
    for name in _OF_DTYPES.split():
        setattr(cupy, name, getattr(np, name))
    cupy.ndarray, cupy.asarray, cupy.array = ndarray, _from_host(np.asarray), _from_host(np.array)
    cupy.asnumpy = lambda a: a.get() if isinstance(a, ndarray) else np.asarray(a)
    cupy.take = lambda a, indices, axis=None: a.take(indices, axis)
    cupy.take_along_axis = _take_along_axis
    cupy.add.at, cupy.add.reduceat = _add_at, _on_gpu(np.add.reduceat, {"axis", "dtype", "out"})
    solvers = ("inv", "solve", "cholesky", "det", "norm")
    linalg = {name: _on_gpu(getattr(np.linalg, name)) for name in solvers}
    for name in ("slogdet", "svd"):
        linalg[name] = _on_gpu(lambda a, name=name: tuple(getattr(np.linalg, name)(a)))
    cupy.linalg = types.SimpleNamespace(**linalg)
    tricks = np.lib.stride_tricks
    strided = {n: _on_gpu(getattr(tricks, n)) for n in ("as_strided", "sliding_window_view")}
    cupy.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(**strided))
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1)
    cupy.cuda = types.SimpleNamespace(Device=Device, is_available=lambda: True, runtime=runtime)
    return cupy


ndarray.__module__ = "cupy"
_give_methods()
CUPY = _module()
