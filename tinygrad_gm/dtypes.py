"""Questions about dtypes, under the names of the array-API standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from .backend import ArrayLike, default_dtype
from .engine.record import Traced

__all__ = ["finfo", "iinfo", "isdtype", "result_type"]


def finfo(dtype: Any) -> np.finfo[Any]:
    """The limits of a floating dtype, or of a tensor's: `.eps .max .min .smallest_normal .bits`.

    >>> tg.finfo(tg.float32).bits, float(tg.finfo(tg.float64).eps) == 2**-52
    (32, True)
    """
    limits: np.finfo[Any] = np.finfo(_dtype_of(dtype))
    return limits


def iinfo(dtype: Any) -> np.iinfo[Any]:
    """The limits of an integer dtype, or of a tensor's: `.max .min .bits`.

    >>> tg.iinfo(tg.uint8).max
    255
    """
    return np.iinfo(_dtype_of(dtype))


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind, or of one of a tuple of kinds.

    Args:
        dtype: a dtype.
        kind: a dtype, or "bool", "signed integer", "unsigned integer", "integral", "real floating"
            or "numeric".

    >>> tg.isdtype(tg.float32, "real floating"), tg.isdtype(tg.int8, ("bool", tg.int64))
    (True, False)
    """
    return bool(np.isdtype(np.dtype(dtype), kind))


def result_type(*values: ArrayLike) -> np.dtype[Any]:
    """The dtype of a sum of these arrays, numbers and dtypes.

    Numbers widen nothing; an integer dtype that meets a floating one gives the floating one.

    >>> tg.result_type(tg.int64, tg.float32), tg.result_type(tg.ones(2), 1.5)
    (dtype('float32'), dtype('float32'))
    """
    numbers = [value for value in values if isinstance(value, (int, float, np.generic))]
    dtypes = [_dtype_of(value) for value in values if not any(value is n for n in numbers)]
    floating = [dtype for dtype in dtypes if dtype.kind == "f"]
    if floating:
        return np.result_type(*floating)
    if any(np.asarray(number).dtype.kind == "f" for number in numbers):
        return default_dtype()
    numbers = [n.item() if isinstance(n, np.generic) else n for n in numbers]
    if not values:
        raise ValueError("result_type: expected at least one array, number or dtype")
    return np.result_type(*dtypes, *numbers)


def _dtype_of(value: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = (
        value.dtype if isinstance(value, (Traced, np.ndarray)) else np.dtype(value)
    )
    return dtype
