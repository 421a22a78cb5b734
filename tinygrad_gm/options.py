"""Checks of the options of an object: each returns the option as a Python value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np

from .tensor import Tensor


def as_number(
    owner: object,
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    without: str = "",
) -> float:
    """Return a finite number in [low, high], without the bound that `without` names.

    Args:
        owner: an object whose class the message names.
        name: of the option.
        value: what the user gave.
        low, high: the bounds.
        without: "low" or "high" for a bound that is excluded.

    Raises:
        TypeError: it is not a number: a bool, a string, a Tensor.
        ValueError: it is NaN, infinite, or out of range.
    """
    wanted = _interval(low, high, without)
    if isinstance(value, (bool, np.bool)) or not isinstance(value, Real):
        _refuse(TypeError, owner, name, value, wanted)
    plain: float = _plain(value)
    excluded = {"low": low, "high": high}.get(without)
    if not low <= plain <= high or plain == excluded or not math.isfinite(plain):
        _refuse(ValueError, owner, name, value, wanted)
    return plain


def as_integer(owner: object, name: str, value: Any, low: int = 1) -> int:
    """Return an integer ≥ `low`; TypeError for a value that is not a number, else ValueError."""
    wanted = f"a whole number ≥ {low}"
    if isinstance(value, (bool, np.bool)) or not isinstance(value, Real):
        _refuse(TypeError, owner, name, value, wanted)
    if not isinstance(value, Integral) or value < low:
        _refuse(ValueError, owner, name, value, wanted)
    return int(value)


def as_flag(owner: object, name: str, value: Any) -> bool:
    """Return True or False; TypeError for anything else."""
    if not isinstance(value, (bool, np.bool)):
        _refuse(TypeError, owner, name, value, "True or False")
    return bool(value)


def as_pair(owner: object, name: str, value: Any) -> tuple[float, float]:
    """Return two numbers in [0, 1); TypeError unless they come as a sequence, else ValueError."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        _refuse(TypeError, owner, name, value, "two numbers in [0, 1)")
    if len(value) != 2:
        _refuse(ValueError, owner, name, value, "two numbers in [0, 1)")
    first, second = value
    return (
        as_number(owner, f"{name}[0]", first, 0, 1, "high"),
        as_number(owner, f"{name}[1]", second, 0, 1, "high"),
    )


def check_alike(caller: str, ours: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise TypeError, in the name of a caller, for a saved option of another kind than ours."""
    for name, value in ours.items():
        if not _is_alike(value, saved[name]):
            raise TypeError(
                f"{caller}: {name} is {saved[name]!r} in the state, and {value!r} here; it must be "
                "of the same kind"
            )


def _is_alike(ours: Any, saved: Any) -> bool:
    if ours is None:
        return True
    if isinstance(ours, (bool, str)) or isinstance(saved, bool):
        return type(ours) is type(saved)
    if isinstance(ours, (int, float)):
        return isinstance(saved, (int, float)) and saved == saved  # not NaN
    if isinstance(ours, (list, tuple)):
        kind = isinstance(saved, (list, tuple)) and len(saved) == len(ours)
        return kind and all(map(_is_alike, ours, saved))
    return True


def _interval(low: float, high: float, without: str) -> str:
    if high < math.inf:
        left, right = "(" if without == "low" else "[", ")" if without == "high" else "]"
        return f"a number in {left}{low:g}, {high:g}{right}"
    if low > -math.inf:
        return f"a finite number {'>' if without == 'low' else '≥'} {low:g}"
    return "a finite number"


def _plain(value: Any) -> Any:
    """NumPy's float64 would make every float32 formula compute in float64."""
    return value.item() if isinstance(value, np.generic) else value


def _refuse(error: type[Exception], owner: object, name: str, value: Any, wanted: str) -> NoReturn:
    given = repr(_plain(value))
    if isinstance(value, (Tensor, np.ndarray)) or len(given) > 60:
        given = f"a {type(value).__name__}"
    raise error(f"{type(owner).__name__}: {name} is {given}; it must be {wanted}")
