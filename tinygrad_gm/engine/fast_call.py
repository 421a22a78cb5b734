"""The call of `call.py`, generated as source for speed in the common case.

The common case is NumPy arrays of one floating dtype, and numbers. It needs no promotion, and the
loop over the arguments can be unrolled. The source depends only on the form of the operation
(number of arrays, which of them are optional …). It is compiled once per form and closed over each
operation's values. All other cases use the general call.
"""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backend import constant
from .checks import check_static
from .half import COMPUTED
from .messages import explain
from .modes import recording, scope, textbook_mode
from .op import ERRORS, Op, Plan
from .record import Node, Traced, next_seq
from .results import pair, settle

MISSING = object()  # marks a missing argument
NUMBERS = (float, int)
INTEGERS = ' or out.dtype.kind != "f"'
CHECKS = """        if params:
            check_static(op, params)
"""
NAMES = {
    "COMPUTED": COMPUTED, "ERRORS": ERRORS, "MISSING": MISSING, "NUMBERS": NUMBERS, "Node": Node,
    "Traced": Traced, "check_static": check_static, "constant": constant, "explain": explain,
    "ndarray": np.ndarray, "new": object.__new__, "next_seq": next_seq, "np": np, "pair": pair,
    "recording": recording, "scope": scope, "settle": settle, "textbook_mode": textbook_mode,
    "__name__": __name__,
}  # fmt: skip


class Form(NamedTuple):
    """The facts that the generated source depends on."""

    required: tuple[bool, ...]  # per array: whether it is required
    mixed: tuple[bool, ...]  # per array: whether its dtype must be that of the others
    differentiable: tuple[bool, ...]  # per array: whether it can receive a gradient
    decomposes: bool
    saves_residuals: bool
    scales: bool
    own_dtype: bool  # the result may be of integers, which have no gradient
    checked: bool  # a user-defined operation, whose arguments and results are checked


def generate(op: Op, bind: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that users call: generated, or `general` if no call is the common case.

    `bind` and `general(args, keywords)` are what `call.py` does in every case.
    """
    if op.variadic or op.outputs != 1 or op.always_expands:
        return lambda *args, **keywords: general(args, keywords)
    can = tuple(argnum in op.differentiable for argnum in range(op.arity))
    form = Form(
        required=tuple(argnum < op.required for argnum in range(op.arity)),
        mixed=can if any(can) else (True,) * op.arity,
        differentiable=can,
        decomposes=op.decomposition is not None,
        saves_residuals=op.saves_residuals,
        scales=op.scales,
        own_dtype=op.own_dtype,
        checked=not op.registered,
    )
    plans: list[Plan | None] = [None] * (1 << op.arity)  # at Σ 2^argnum

    def plan_of(needed: int) -> Plan:
        argnums = tuple(argnum for argnum in range(op.arity) if needed >> argnum & 1)
        plan = plans[needed] = op.plan(argnums, op.arity)
        return plan

    function: Callable[..., Any] = _compiled(form)(op, op.forward, bind, general, plans, plan_of)
    return function


@functools.cache
def _compiled(form: Form) -> Any:
    name = f"<generated call {form}>"
    source = source_of(form)
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    names = dict(NAMES)
    exec(compile(source, name, "exec"), names)
    return names["make"]


def source_of(form: Form) -> str:
    """The source of a function that makes the primitives of one form."""
    numbers = range(len(form.required))
    xs = "".join(f"x{i}, " for i in numbers)
    data = "".join(f"a{i}, " for i in numbers)
    parents = "".join(f"p{i}, " for i in numbers)
    optional = [i for i in numbers if not form.required[i]]
    last = f"x{len(numbers) - 1 - len(optional)}"  # the last required array
    parameters = "".join(f"x{i}=MISSING, " for i in numbers)
    defaults = "".join(f"    d{i} = op.defaults[{i}]\n" for i in optional)
    fill = "".join(f"        x{i} = d{i} if x{i} is MISSING else x{i}\n" for i in optional)
    return f"""
def make(op, forward, bind, general, plans, plan_of):
{defaults}    defaults = op.defaults[{len(numbers)}:]
    count, required = len(defaults), op.required - {len(numbers)}

    def primitive({parameters}*params, **keywords):
        if keywords or {last} is MISSING or not required <= len(params) <= count:
            given = [x for x in ({xs}*params) if x is not MISSING]
            ({xs}), params = bind(op, given, keywords)
        elif len(params) < count:
            params = (*params, *defaults[len(params):])
{fill}{CHECKS if form.checked else ""}        needed, dtype, mode = 0, None, recording.get()
{"".join(_unwrapping(form, i) for i in numbers)}
        if mode is None or dtype is None or dtype.char not in COMPUTED{_textbook(form)}:
            return general(({xs}*params), {{}})
        try:
            out = forward(np, {data}*params)
        except ERRORS as error:
            raise explain(op, error, [{data}], params) from error
        {"out, residuals = pair(op, out)" if form.saves_residuals else "residuals = None"}
        if type(out) is not ndarray or out.dtype is not dtype:
            out = settle(op, np, out, dtype)

        tensor = new(Traced.result)
        tensor._data = out
        tensor._grad = None
        tensor.version = 0
        if not (needed and mode){INTEGERS if form.own_dtype else ""}:
            tensor.node = None
            tensor._requires_grad = False
            return tensor
        plan = plans[needed] or plan_of(needed)
        node = new(Node)
        node.plan = plan
        node.parents = ({parents})
        node.saved = plan.save((out, residuals, {data}*params)) if plan.saves else ()
        node.params = params
        node.seq = next_seq()
        node.scope = scope.get()
        node.shape = out.shape
        node.dtype = out.dtype
        node.name = None
        tensor.node = node
        tensor._requires_grad = True
        return tensor

    return primitive
"""


def _unwrapping(form: Form, i: int) -> str:
    """The lines that take array a{i} and parent p{i} from argument x{i}."""
    leave = "return general((XS*params), {})".replace(
        "XS", "".join(f"x{j}, " for j in range(len(form.required)))
    )
    needs = f"if x{i}._requires_grad:\n                needed |= {1 << i}"
    fits = f"type(a{i}) is not ndarray"
    join = f"{leave}"
    if form.mixed[i]:
        fits += f" or a{i}.dtype is not dtype"
        join = f"""if dtype is not None or type(a{i}) is not ndarray:
                    {leave}
                dtype = a{i}.dtype"""
    scale = ""
    if form.scales and i == len(form.required) - 1:
        scale = f"""
            if x{i} and dtype is not None and type(x{i}) is float:
                a{i} = constant(x{i}, dtype)"""
    free = f" or type(x{i}) is ndarray" if not form.mixed[i] else ""
    return f"""
        if isinstance(x{i}, Traced):
            a{i} = x{i}._data
            p{i} = x{i}.node or x{i}
            {needs if form.differentiable[i] else ""}
            if {fits}:
                {join}
        elif x{i} is None or type(x{i}) in NUMBERS{free}:
            a{i} = p{i} = x{i}{scale}
        else:
            {leave}"""


def _textbook(form: Form) -> str:
    return " or textbook_mode.get()" if form.decomposes else ""
