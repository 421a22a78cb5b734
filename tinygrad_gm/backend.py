"""The array module of an array (NumPy or CuPy), and its device. NumPy is used on the CPU and CuPy
on a CUDA GPU. Both have the same interface, so the rest of the library asks this file for the
module (`np` or `cupy`) and is otherwise device-independent. CuPy is imported only when a CUDA
device is used.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray; in a rule that is recorded, a Tensor
Arrays: TypeAlias = tuple[Array, ...]
ArrayLike: TypeAlias = Any  # a Tensor, an array, a number, or nested lists of numbers
Shape: TypeAlias = tuple[int, ...]


class Namespace(Protocol):
    """Array functions by name: `numpy`, `cupy`, or the vocabulary in which rules are written."""

    def __getattr__(self, name: str) -> Any: ...


KINDS = ("cpu", "cuda")

_default_device = "cpu"


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory; otherwise each training step requests it from the system again.
    The page faults took up to half of a small step, and a quarter of a convolutional one. 32 MB is
    the largest threshold of single arrays; up to 512 MB stay at the heap's end.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, 32 << 20)
    mallopt(_TRIM_THRESHOLD, 512 << 20)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_keep_freed_memory()


def module_of(array: Array) -> ModuleType:
    """The module that owns `array`: `numpy`, or `cupy` for an array on a GPU."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    owner = type(array).__module__.partition(".")[0]
    if owner == "cupy":
        return _cupy()
    raise TypeError(f"expected an array of NumPy or CuPy; got a {type(array).__name__}")


def device_of(array: Array) -> str:
    """`"cpu"`, or `"cuda:0"`, `"cuda:1"` … for an array on a GPU."""
    return "cpu" if module_of(array) is np else f"cuda:{array.device.id}"


def to_device(array: Array, device: str) -> Array:
    """Return `array` on `device`: the same object if it is there already, else a copy."""
    kind, index = parse_device(device)
    if kind == "cpu":
        return array if module_of(array) is np else array.get()
    cupy = _cupy()
    with cupy.cuda.Device(index):
        return cupy.asarray(array)


def unshared(array: Array, targets: Iterable[Array]) -> Array:
    """Return the array, or a copy if it may share memory with one of `targets`."""
    xp = module_of(array)
    there = (target for target in targets if module_of(target) is xp)
    shared = any(xp.may_share_memory(array, target) for target in there)
    return array.copy() if shared else array


def module_for(device: str | None) -> ModuleType:
    """The array module that serves `device` (None: the default device)."""
    kind, _ = parse_device(device or _default_device)
    return np if kind == "cpu" else _cupy()


def parse_device(device: str) -> tuple[str, int]:
    """Split `"cuda:1"` into `("cuda", 1)`; raise ValueError for an unknown device."""
    kind, _, index = str(device).partition(":")
    if (kind == "cpu" and not index) or (kind == "cuda" and (index or "0").isdigit()):
        return kind, int(index or 0)
    raise ValueError(f'unknown device {device!r}; use "cpu", "cuda" or "cuda:1"')


def default_device() -> str:
    """The device of new tensors."""
    return _default_device


def set_default_device(device: str) -> None:
    """Set the default device of new tensors (initially `"cpu"`)."""
    global _default_device
    module_for(device)
    _default_device = device


def from_library(value: Any) -> Any:
    """Convert an array of another library, sharing memory: by `__dlpack__`, or `__array__`."""
    ours = isinstance(value, (np.ndarray, np.generic)) or type(value).__module__.startswith("cupy")
    if ours or not hasattr(value, "__dlpack__"):  # a column of a pandas table has `__array__` only
        return np.asarray(value) if not ours and hasattr(value, "__array__") else value
    module = np if value.__dlpack_device__()[0] == 1 else _cupy()  # 1: the CPU
    return module.from_dlpack(value)


def _cupy() -> ModuleType:
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(
            "a CUDA device needs CuPy: pip install 'tinygrad_gm[cuda12]' (or [cuda13])"
        ) from error
    module: ModuleType = cupy
    return module


# ---------------------------------------------------------------------------------------- dtypes

_default_dtype = np.dtype(np.float32)


def default_dtype() -> np.dtype[Any]:
    """Return the dtype of Python floats and of floating results of integers (initially float32)."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype of Python floats and of floating results of integers."""
    global _default_dtype
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"set_default_dtype: {np.dtype(dtype)} is not a floating dtype")
    _default_dtype = np.dtype(dtype)


def floating_dtype(dtype: Any) -> Any:
    """The dtype of floating results for arguments of `dtype`: the default one for integers."""
    return dtype if dtype.kind == "f" else _default_dtype


def as_array(value: ArrayLike, name: str, dtype: Any = None, xp: ModuleType = np) -> Array:
    """Convert any array-like value to an array; `name` is the operation named in errors.

    Arrays keep their dtype, Python floats (also in lists) get the default dtype, ints int64.
    """
    keeps = hasattr(value, "dtype")
    try:
        array = xp.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name}: the nested lists are ragged: their rows differ in length"
        ) from error
    if dtype is None and not keeps and (array.dtype.kind == "f" or array.size == 0):
        dtype = _default_dtype
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: {_describe(value)} is not numeric (its dtype is {array.dtype})")
    return array if dtype is None else array.astype(dtype, copy=False)


def promote(name: str, values: list[Any], mixed: Sequence[int]) -> tuple[Any, list[Any], Any]:
    """Promote the arguments of one operation: return (module, arrays, their dtype).

    Among the arguments numbered in `mixed`, Python and NumPy scalars never widen an array, integers
    that meet floats become floats of their dtype (with a Python float: the default one), and of two
    floating dtypes the wider one wins.
    """
    first = values[0].dtype if type(values[0]) is np.ndarray else None
    if first is not None and first.kind == "f" and all(_joins(value, first) for value in values):
        return np, values, first
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    wide = np.float64 if any(getattr(v, "dtype", None) == np.float64 for v in values) else None
    for i, value in enumerate(values):
        if isinstance(value, (list, tuple)):
            values[i] = as_array(value, name, wide if i in mixed else None)
    for value in values:
        if not (value is None or isinstance(value, (bool, int, float)) or hasattr(value, "dtype")):
            raise TypeError(f"{name}: {_describe(value)}; expected a tensor, an array or a number")
    if not any(hasattr(value, "dtype") for value in values):
        values = [value if value is None else as_array(value, name) for value in values]
    arrays = [value for value in values if hasattr(value, "dtype")]
    if not arrays:
        raise TypeError(f"{name}: there is no array among the arguments")
    devices = sorted({device_of(array) for array in arrays})
    if len(devices) > 1:
        raise ValueError(f"{name}: the arguments are on different devices: {' and '.join(devices)}")
    joined = [i for i in mixed if hasattr(values[i], "dtype")]
    floats = [values[i].dtype for i in joined if values[i].dtype.kind == "f"]
    if not floats and any(type(values[i]) is float for i in mixed):
        floats = [_default_dtype]
    if not floats:
        return module_of(arrays[0]), values, arrays[0].dtype
    dtype = np.result_type(*floats)
    for i in joined:
        values[i] = values[i].astype(dtype, copy=False)
    return module_of(arrays[0]), values, dtype


def _joins(value: Any, dtype: Any) -> bool:
    """Whether a value needs no conversion together with arrays of a floating dtype."""
    if type(value) is np.ndarray:
        return value.dtype is dtype
    return value is None or type(value) in (float, int)


@functools.lru_cache(maxsize=256)
def constant(value: float, dtype: Any) -> Array:
    """A number ≠ 0 as a 0-d array, a factor at half the cost of a float; 0 could be −0."""
    return np.array(value, dtype)


def _describe(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) < 40 else text[:37] + '…'} ({type(value).__name__})"
