"""Error messages of calls and backward passes: one sentence that names the operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ..backend import module_of
from ..hints import kind_of, refuse_keywords
from .op import Op, shape_of
from .record import Traced, wrap


def explain(op: Op, error: Exception, data: Sequence[Any], params: Sequence[Any]) -> Exception:
    """Restate the error of a forward function in one sentence with operation and arguments."""
    kind, text = kind_of(error), str(error).partition("\n")[0]
    if text.startswith(f"{op.name}:"):
        return kind(text)
    if "'module'" in text:
        text = f"its first parameter is the array module: def {op.name}(xp, …)"
    if "broadcast" in text:
        text = "they do not broadcast (counted from the last axis, sizes must be equal or 1)"
    if "not supported for the input types" in text:
        text = f"not defined for {' and '.join(str(np.asarray(v).dtype) for v in data)}"
    given = ["None" if v is None else str(shape_of(v)) for v in data]
    given[8:] = [f"… ({len(data)} arrays)"] * (len(given) > 8)
    static = zip(op.names[op.arity :], params, op.defaults[op.arity :], strict=True)
    given += [f"{name}={_short(v)}" for name, v, default in static if v is not default]
    return kind(f"{op.name}: arguments of shape {', '.join(given)}: {text}")


def refuse_binding(op: Op, args: Sequence[Any], keywords: Mapping[str, Any]) -> NoReturn:
    """Raise TypeError for arguments that do not fit an operation's signature."""
    refuse_keywords(op.name, keywords, op.names)
    try:
        op.signature.bind(*args, **keywords)
    except TypeError as error:
        raise TypeError(f"{op.name}: {error}") from None
    raise TypeError(f"{op.name}{op.signature}: the arguments given do not fit")


def refuse_history(op: Op, values: Sequence[Any]) -> None:
    """Raise TypeError if a list holds a Tensor that requires a gradient."""
    if _requires_grad(values):
        raise TypeError(f"{op.name}: a list has no history; join tensors with tg.stack first")


def seed_of(caller: str, output: Traced, gradient: Any) -> Any:
    """Check and return the gradient at an output; 1 by default."""
    if not isinstance(output, Traced) or not output._requires_grad:
        why = "no tensor with requires_grad=True went into it, or it was made under no_grad()"
        if isinstance(output, Traced) and output.dtype.kind != "f":
            why = f"it is {output.dtype}, and operations with such results have no gradient"
        raise RuntimeError(f"{caller}: the output does not require a gradient: {why}")
    xp = module_of(output._data)
    if gradient is None:
        if output._data.size != 1:
            raise RuntimeError(
                f"{caller}: the output has shape {output.shape}; only a single number has an "
                "implied gradient. Reduce it with .sum() or .mean(), or give one of its shape"
            )
        return wrap(xp.array(1, output.dtype).reshape(output.shape))
    seed = gradient if isinstance(gradient, Traced) else wrap(xp.asarray(gradient, output.dtype))
    if seed.shape != output.shape:
        raise ValueError(
            f"{caller}: the gradient has shape {seed.shape}, the output has {output.shape}"
        )
    return seed


def check_grad(outputs: Sequence[Any], inputs: Sequence[Any], seeds: Sequence[Any]) -> None:
    """Raise for inconsistent arguments of `grad`."""
    if len(seeds) != len(outputs):
        raise ValueError(f"grad: {len(outputs)} outputs but {len(seeds)} grad_outputs")
    for position, tensor in enumerate(inputs):
        if not isinstance(tensor, Traced) or not tensor._requires_grad:
            raise RuntimeError(f"grad: input {position} is not a tensor that requires a gradient")


def refuse_unused(positions: Sequence[int]) -> None:
    """Raise RuntimeError for inputs of `grad` that no output depends on."""
    for position in positions:
        raise RuntimeError(
            f"grad: no output depends on input {position}; allow_unused=True gives None for it"
        )


def _requires_grad(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_requires_grad, value))
    return isinstance(value, Traced) and value._requires_grad


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 60 else f"{text[:59]}…"
