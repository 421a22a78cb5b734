"""One call of an operation: bind, unwrap, promote, compute, record. And `@op`, which makes one.

Holds the whole life of a call, in the order in which it happens. Does not hold the gradient: a call
only leaves a `Node` behind, from which `backward.py` works.

`call` is what happens in every case. Common ones (floating arrays of one dtype on the CPU) run
through `fast_call.py`, which does the same in a function generated for speed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from ..backend import default_dtype, promote
from ..hints import named
from . import anomaly, fast_call
from .checks import check_forward, check_rules, check_static
from .decompositions import decompose
from .half import HALF, in_single, is_half, rounded
from .messages import explain, refuse_binding, refuse_history
from .modes import Scope, recording, scope, textbook_mode
from .op import ERRORS, Op, Rule, registry, vocabulary
from .record import Node, Traced, wrap
from .results import as_floats, kind_of_dtype, pair, settle, wrap_parts

if TYPE_CHECKING:
    from ..tensor import Tensor

P = ParamSpec("P")


def call(op: Op, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Apply an operation to Tensors, arrays and numbers; record it if an argument needs it."""
    args, params = bind(op, args, keywords)
    if not op.registered:
        check_static(op, params)
    if op.decomposition is not None and textbook_mode.get():
        compute(op, unwrap(op, args)[0], params)  # for its checks: a decomposition has none
        return decompose(op, args, params)

    data, parents, argnums = unwrap(op, args)
    out, residuals, data = compute(op, data, params)

    mode = recording.get()  # True, False, or None: record, and check every result
    place = scope.get() if mode is not None else anomaly.check(op, data, out)
    if not argnums or mode is False or (op.own_dtype and out.dtype.kind != "f"):
        return wrap(out) if op.outputs == 1 else tuple(map(wrap, out))

    return record(op, argnums, parents, data, params, place, out, residuals)


def record(
    op: Op,
    argnums: tuple[int, ...],
    parents: tuple[Any, ...],
    data: list[Any],
    params: tuple[Any, ...],
    place: Scope | None,
    out: Any,
    residuals: Any,
) -> Any:
    """Record a node that saves what the gradient rules of `argnums` read; return the results."""
    plan = op.plan(argnums, len(parents), half=is_half(data))
    arrays = [tuple(data)] if op.variadic else data
    saved = plan.save((out, residuals, *arrays, *params)) if plan.saves else ()
    if op.outputs == 1:
        return wrap(out, Node(plan, parents, saved, params, place, out.shape, out.dtype))
    shapes, dtypes = tuple(part.shape for part in out), tuple(part.dtype for part in out)
    return wrap_parts(out, Node(plan, parents, saved, params, place, shapes, dtypes))


def bind(op: Op, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Any, Any]:
    """Split the arguments of a call into arrays and static parameters, defaults filled in."""
    if op.variadic:  # concat(a, b, axis=1) and concat([a, b], 1) are the same
        listed = len(args) > 0 and isinstance(args[0], (list, tuple))
        args = (tuple(args[0]), *args[1:]) if listed else (tuple(args),)
    values = [*args, *op.defaults[len(args) :]]
    for name, value in keywords.items():
        place = op.places.get(name, -1)
        if place < len(args):
            refuse_binding(op, args, keywords)
        values[place] = value
    unset = values[len(args) : op.required]
    if (unset and any(v is Parameter.empty for v in unset)) or len(args) > len(op.names):
        refuse_binding(op, args, keywords)
    arrays = values[0] if op.variadic else tuple(values[: op.arity])
    return arrays, tuple(values[op.arity :])


def unwrap(op: Op, args: Sequence[Any]) -> tuple[list[Any], tuple[Any, ...], tuple[int, ...]]:
    """Of each argument its array and its place in the record; which of them need a gradient."""
    data, parents, argnums = [], [], []
    for argnum, argument in enumerate(args):
        if isinstance(argument, Traced):
            data.append(argument._data)
            parents.append(argument.node or argument)
            if argument._requires_grad and argnum in op.differentiable:
                argnums.append(argnum)
        else:
            if type(argument) in (list, tuple):
                refuse_history(op, argument)
            data.append(argument)
            parents.append(argument)
    return data, tuple(parents), tuple(argnums)


def compute(op: Op, data: list[Any], params: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
    """Run the forward function on arrays and numbers: (out, residuals, the arrays as promoted).

    Floats of one dtype in, floats of that dtype out. Where integers give a floating result, it is
    computed in the default dtype. float16 is computed in float32, and the result rounded once.
    """
    mixed = range(len(data)) if op.variadic else op.differentiable
    xp, data, dtype = promote(op.name, data, mixed)
    if op.floating and dtype.kind != "f":
        dtype, data = default_dtype(), as_floats(xp, data, mixed)
    try:
        if dtype.kind == "f":
            out = run_forward(op, xp, data, params)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # floats are computed once more
                out = run_forward(op, xp, data, params)
            first = out[0] if isinstance(out, tuple) and out else out
            if kind_of_dtype(first) == "f" and not op.own_dtype:
                dtype, data = default_dtype(), as_floats(xp, data, mixed)
                out = run_forward(op, xp, data, params)
    except ERRORS as error:
        raise explain(op, error, data, params) from error
    out, residuals = pair(op, out) if op.saves_residuals else (out, None)
    out = settle(op, xp, out, dtype)
    return rounded(op, out, params) if dtype.char == HALF else out, residuals, data


def run_forward(op: Op, xp: Any, data: Sequence[Any], params: tuple[Any, ...]) -> Any:
    """Call the forward function; behind a starred parameter, static ones go by keyword."""
    data = data if op.view else in_single(vocabulary(xp), data)
    if not op.variadic:
        return op.forward(xp, *data, *params)
    return op.forward(xp, *data, **dict(zip(op.names[1:], params, strict=True)))


@named
def op(
    *rules: Rule | None,
    arity: int = 0,
    joint: Rule | None = None,
    symbol: str | None = None,
    local: Sequence[str] = (),
    decomposition: Callable[..., Any] | None = None,
    closed: bool = False,
    outputs: int = 1,
    view: bool = False,
    scales: bool = False,
    floating: bool = False,
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Tensor]]:
    """Make a differentiable operation of a function on arrays.

    The function's first parameter is the array module (`numpy`, `cupy`). As many positional
    parameters as there are rules are arrays; the rest are static. The operation has the same
    signature without the module, and its `Op` in the attribute `.op`.

    Args:
        rules: one gradient rule per array: a function that names what it reads (see `engine.op`)
            and returns that array's contribution. It may use operators and the names of `xp` only.
            None: no gradient flows into this array.
        joint: instead of `rules`, one rule for all arrays. It can read `argnums` (the arrays that
            need a contribution) and returns one contribution, or None, per array. `arity` then
            gives the number of arrays; a starred parameter (`*xs`) makes every positional argument
            an array.
        symbol: the text in the operation's circle in a drawing.
        local: per array, the local derivative as text.
        decomposition: the same function composed of primitives, which `tg.textbook()` records of
            arguments that the function accepts. With neither rules nor a joint rule every backward
            pass goes through it.
        closed: the rules are differentiable as they stand: higher orders need no decomposition.
        outputs: the number of arrays the function returns; 0: a tuple of any length. Unless it is
            1, `g` is a list, with zeros for an output that was not used, and `out` a tuple.
        view: the result may share memory with the first array.
        scales: a number on the right may come as a 0-d array.
        floating: integers are converted to the default dtype first. Needed where the forward
            function would otherwise compute in integers.

    A function whose rules read `residuals` returns the pair (out, residuals).

    >>> import tinygrad_gm as tg
    >>> @tg.op(lambda g, x: 3 * g * x * x, local=["3x²"])
    ... def cube(xp, x):
    ...     return x * x * x
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad.item()
    12.0
    """
    check_rules(rules, joint, decomposition)

    def define(forward: Callable[Concatenate[Any, P], Any]) -> Callable[P, Tensor]:
        check_forward(forward, rules, joint, arity)
        facts = (
            arity,
            symbol,
            local,
            joint,
            decomposition,
            closed,
            outputs,
            view,
            scales,
            floating,
        )
        definition = Op(forward, rules, *facts)
        function = fast_call.generate(definition, bind, functools.partial(call, definition))
        primitive = functools.update_wrapper(function, forward)
        primitive.__signature__ = definition.signature  # type: ignore[attr-defined]
        primitive.op = definition  # type: ignore[attr-defined]
        definition.primitive = primitive
        if definition.registered:
            registry[definition.name] = definition
        return primitive

    return define
