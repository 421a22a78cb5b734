"""What Python, NumPy and other libraries call on a Tensor: conversions, and protocols of arrays.

NumPy's operators and functions that we have are recorded; what would lose the history of a tensor
that requires a gradient is refused.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ops
from .engine.modes import is_grad_enabled
from .engine.record import Traced
from .hints import RENAMED, UFUNCS

if TYPE_CHECKING:
    from .tensor import Tensor

SAME = {  # NumPy's functions that mean the same here, argument by argument
    "broadcast_to", "clip", "count_nonzero", "cross", "diagonal", "diff", "einsum", "expand_dims",
    "flip", "kron", "moveaxis", "outer", "repeat", "reshape", "roll", "round", "split", "squeeze",
    "stack", "swapaxes", "take", "tensordot", "tile", "trace", "where",
}  # fmt: skip
BY_NAME = {  # those whose arguments have another order, and their names here
    **{name: name for name in (
        "sum", "prod", "mean", "std", "var", "max", "min", "any", "all", "argmax", "argmin",
        "median", "sort", "argsort",
    )},
    "amax": "max",
    "amin": "min",
    "concatenate": "concat",
    "cumsum": "cumulative_sum",
    "cumprod": "cumulative_prod",
}  # fmt: skip
PLAIN = {"copy", "empty_like", "full_like", "ones_like", "zeros_like"}  # as `np.asarray`, arrays
WORDS = {"ddof": "correction"}  # NumPy's words for our parameters


# ------------------------------------------------------------------------ Python


def as_float(self: Tensor) -> float:
    return float(self.item())


def as_int(self: Tensor) -> int:
    return int(self.item())


def as_index(self: Tensor) -> int:
    if self.dtype.kind not in "iu":
        raise TypeError(f"only an integer tensor can be an index, this has {self.dtype}")
    return int(self.item())


def as_bool(self: Tensor) -> bool:
    if self.size != 1:
        raise ValueError(
            f"the truth value of a tensor of shape {self.shape} is ambiguous: use .any() or .all()"
        )
    return bool(self.item())


def as_rounded(self: Tensor, ndigits: int | None = None) -> Any:
    """`round(t, 2)`: a Python number rounded, as `float(t)` is one."""
    return round(self.item(), ndigits) if ndigits is not None else round(self.item())


def as_text(self: Tensor, spec: str) -> str:
    return format(self.item(), spec) if spec else str(self)


def as_repr(self: Tensor) -> str:
    values = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=100)
    facts = [f"shape={self.shape}", f"dtype={self.dtype}"]
    facts += [f"name={self.name!r}"] if self.name else []
    facts += [f"device={self.device!r}"] if self.device != "cpu" else []
    facts += [f"op={self.op!r}"] if self.op else []
    facts += ["requires_grad=True"] if self._requires_grad and not self.op else []
    return f"tensor({values}, {', '.join(facts)})"


def length(self: Tensor) -> int:
    if self.ndim == 0:
        raise TypeError("a tensor without axes has no length")
    return int(self.shape[0])


def iterate(self: Tensor) -> Iterator[Tensor]:
    if self.ndim == 0:
        raise TypeError("a tensor without axes cannot be iterated over")
    return iter(ops.unstack(self))


def tobytes(self: Tensor) -> bytes:
    """The elements' bytes, in C order."""
    data: bytes = self.numpy().tobytes()
    return data


# ------------------------------------------------------------------------ arrays


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    if self.device != "cpu":
        raise TypeError(f"this tensor is on {self.device}; t.numpy() brings it to the CPU")
    return np.array(self.numpy(), dtype=dtype, copy=copy)


def array_interface(self: Tensor) -> Any:
    """The memory itself, where it is one block: what `PIL.Image.fromarray(t)` asks for."""
    if self.device != "cpu":
        raise AttributeError(f"__array_interface__: this tensor is on {self.device}")
    array = self.numpy()
    if not array.flags.c_contiguous:  # NumPy goes on to `__array__`
        raise AttributeError(f"__array_interface__: {self.shape} is not contiguous; use t.numpy()")
    # not the address: the buffer also keeps the memory, which `t.data = …` lets go
    return {**array.__array_interface__, "data": array, "strides": array.strides}


def array_namespace(self: Tensor, *, api_version: str | None = None) -> Any:
    """The package: what the functions of the array-API standard are called on."""
    return sys.modules[__package__]


def dlpack(self: Tensor, **options: Any) -> Any:
    """The memory itself, for `from_dlpack` of another library."""
    if self._requires_grad:
        raise BufferError("__dlpack__: memory is shared without a history; use t.detach()")
    return self._data.__dlpack__(**options)


def dlpack_device(self: Tensor) -> tuple[int, int]:
    device: tuple[int, int] = self._data.__dlpack_device__()
    return device


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """`np_array * t` is a Tensor; NumPy's functions themselves are refused, ours are named."""
    name = UFUNCS.get(ufunc.__name__)
    if method == "__call__" and name is not None and not options and len(inputs) == 2:
        return getattr(ops, name)(*inputs)
    ours = RENAMED.get(ufunc.__name__, ufunc.__name__)
    hint = f"use tg.{ours}(…)" if callable(vars(ops).get(ours)) else "use t.numpy() first"
    raise TypeError(f"np.{ufunc.__name__} does not work on a Tensor: {hint}")


def array_function(
    self: Tensor, function: Any, types: Any, args: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """`np.sum(t)` is `tg.sum(t)`; functions that are not ours get the tensor's array.

    Raises:
        TypeError: a function that is not ours would lose the history of its argument.
    """
    name = function.__name__
    if getattr(np, name, None) is function:  # not a namesake of numpy.linalg
        if name in SAME:
            return getattr(ops, name)(*args, **keywords)
        if name in BY_NAME:
            first, *rest = (
                inspect.signature(getattr(np, name)).bind(*args, **keywords).arguments.items()
            )
            options = {WORDS.get(word, word): value for word, value in rest if _given(word, value)}
            return getattr(ops, BY_NAME[name])(first[1], **options)
    result = function._implementation(*args, **keywords)
    recorded = is_grad_enabled() and _records([args, [*keywords.values()]])
    if recorded and name not in PLAIN and _is_floating(result):
        ours = f"use tg.{name}(…), or " if callable(vars(ops).get(name)) else "use "
        raise TypeError(f"np.{name} would lose the history of a Tensor: {ours}t.numpy() first")
    return result


def _given(word: str, value: Any) -> bool:
    """Whether an option is not at one of NumPy's defaults; axis=None is a value like others."""
    return value is not np._NoValue and (value is not None or word == "axis")


def _is_floating(result: Any) -> bool:
    if isinstance(result, (tuple, list)):
        return any(map(_is_floating, result))
    return getattr(getattr(result, "dtype", None), "kind", "") == "f"


def _records(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_records, value))
    return isinstance(value, Traced) and value._requires_grad
