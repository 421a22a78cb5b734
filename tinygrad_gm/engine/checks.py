"""Checks of user-defined operations; each error says in one sentence what to write instead.
Definitions are checked at definition time. Results of rules are checked if they do not fit, and in
the first backward pass of a plan; the library's own operations are trusted.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NoReturn

from .op import Op, reads
from .record import Node, Traced

EXAMPLE = "lambda g, x: 2 * g * x"
FORMER = {"saved": "residuals", "slots": "argnums"}  # words of earlier versions
KEYWORD, STARRED = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL


def check_rules(rules: Sequence[Any], joint: Any, decomposition: Any) -> None:
    """Raise for `@op` without parentheses and for invalid gradient rules."""
    if not (rules or joint or decomposition):
        raise TypeError(
            f"op: give a gradient rule per array, @op({EXAMPLE}), or None for an array without a "
            "gradient; else a joint rule or a decomposition"
        )
    for rule in (*rules, joint):
        if rule is None:
            continue
        if not hasattr(rule, "__code__"):
            raise TypeError(f"op: a gradient rule is a function such as {EXAMPLE}, not {rule!r}")
        name = rule.__name__
        if name != "<lambda>" and "g" not in reads(rule):
            raise TypeError(
                f"op: {name} does not read g, the upstream gradient, so it is no gradient rule; "
                f"write the rules in parentheses, @op({EXAMPLE}), above the function on arrays"
            )


def check_forward(forward: Any, rules: Sequence[Any], joint: Any, arity: int) -> None:
    """Raise unless the forward function's parameters are (xp, arrays…, static parameters…)."""
    if not inspect.isroutine(forward):
        raise TypeError(f"op: it decorates a function on arrays, not {type(forward).__name__}")
    name, parameters = forward.__name__, list(inspect.signature(forward).parameters.values())
    names = [parameter.name for parameter in parameters]
    read = {word for rule in (*rules, joint) if rule for word in reads(rule)} - {"xp"}
    kinds = [parameter.kind for parameter in parameters[1:]]
    starred = kinds[:1] == [STARRED]
    arrays = 1 if starred else len(rules) or arity
    if not names or names[0] in read or (len(names) == arrays and names[0] != "xp"):
        raise TypeError(
            f"{name}: the first parameter of an operation is the array module: "
            f"def {name}({', '.join(['xp', *names])})"
        )
    if STARRED in kinds[1:]:
        raise TypeError(f"{name}: a starred parameter comes first: def {name}(xp, *xs, axis=0)")
    if len(names) <= arrays:
        count = f"{len(names) - 1} array{'s' * (len(names) != 2)}"
        raise TypeError(
            f"{name}: {arrays} gradient rules for {count}; there is one rule per array, in the "
            "order of the parameters"
        )
    if any(kind != KEYWORD if starred else kind == KEYWORD for kind in kinds[starred:]):
        raise TypeError(
            f"{name}: after a starred parameter all others are keyword-only, without one none is: "
            f"def {name}(xp, *xs, axis=0) or def {name}(xp, x, axis=0)"
        )
    known = {"g", "xp", "argnums", "out", "residuals", *names[1:]}
    known |= {f"{word}_shape" for word in names[1 : 1 + arrays]}
    if unknown := read - known:
        former = [f"`{word}` is called `{FORMER[word]}`" for word in unknown if word in FORMER]
        hint = f" ({', '.join(former)})" if former else ""
        raise TypeError(
            f"{name}: a rule reads {sorted(unknown)}; it may read {sorted(known)}{hint}"
        )


def check_static(op: Op, params: Sequence[Any]) -> None:
    """Raise for a Tensor in a parameter without a rule: its gradient would be missing."""
    for name, value in zip(op.names[op.arity :], params, strict=True):
        if any(isinstance(v, Traced) for v in (value if isinstance(value, list) else [value])):
            raise TypeError(
                f"{op.name}: {name} is a Tensor, and the operation has no gradient rule for it; "
                f"write one rule per array, or give a constant as {name}.numpy()"
            )


def refuse_result(op: Op, out: Any) -> NoReturn:
    """Raise: the forward function returned a result other than declared."""
    came = _describe(out)
    if isinstance(out, Traced):
        why = "a Tensor; it computes on arrays: give every array a rule and use xp's functions"
    elif op.saves_residuals:
        why = f"{came}; its rules read `residuals`, so it returns the pair (out, residuals)"
    elif op.outputs != 1:
        count = op.outputs or "any number of"
        why = f"{came}; with outputs={op.outputs} it returns a tuple of {count} arrays"
    elif isinstance(out, (tuple, list)):
        why = (
            f"{came}; that is for outputs=n, or (out, residuals) for a rule that reads `residuals`"
        )
    else:
        why = f"{came}; it returns an array of numbers"
    raise TypeError(f"{op.name}: the forward function returned {why}")


def check_contribution(op: Op, argnum: int, contribution: Any, shape: tuple[int, ...]) -> None:
    """Raise unless the value can be the gradient of an argument of `shape`."""
    came = getattr(contribution, "shape", None)
    if not isinstance(came, tuple):
        _refuse(op, argnum, TypeError, f"returned {_describe(contribution)}", shape)
    new = len(came) - len(shape)
    if new < 0 or any(n not in (1, m) for n, m in zip(shape, came[new:], strict=True)):
        _refuse(op, argnum, ValueError, f"returned the shape {came}", shape)


def check_contributions(node: Node, argnums: Sequence[int], parts: Any, create_graph: bool) -> None:
    """Raise unless the rules of a node returned arrays, or Tensors under create_graph. `parts`
    holds them by argnum, or is the result of a joint rule.
    """
    op, count = node.plan.op, len(node.parents)
    if op.joint and (not isinstance(parts, (tuple, list)) or len(parts) != count):
        raise TypeError(
            f"{op.name}: the joint rule returned {_describe(parts)}; it returns a list of {count} "
            "contributions, one per array, None for those not in `argnums`"
        )
    for argnum in argnums:
        check_contribution(op, argnum, parts[argnum], node.parents[argnum].shape)
        if isinstance(parts[argnum], Traced) != create_graph:
            what = "an array under create_graph=True" if create_graph else "a Tensor"
            why = f"returned {what}; in a rule use operators and xp's functions only"
            _refuse(op, argnum, TypeError, why, node.parents[argnum].shape)


def check_decomposition(node: Node, outputs: Sequence[Any]) -> None:
    """Raise for a decomposition with another result than the operation."""
    op, expected = node.plan.op, [node.shape] if node.plan.op.outputs == 1 else list(node.shape)
    came = [getattr(output, "shape", None) for output in outputs]
    if came != expected:
        raise ValueError(
            f"{op.name}: the decomposition returned the shapes {came}, the operation {expected}; "
            "they must be the same function"
        )


def _refuse(
    op: Op, argnum: int, kind: type[Exception], what: str, shape: tuple[int, ...]
) -> NoReturn:
    raise kind(
        f"{op.name}: the gradient rule of argument {argnum} ({op.argument_name(argnum)}) {what}; "
        f"the argument has shape {shape}, and so must its gradient, before or after broadcasting"
    )


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of length {len(value)}"
    dtype = getattr(value, "dtype", None)
    return f"{type(value).__name__}" + (f" of {dtype}" if dtype is not None else "")
