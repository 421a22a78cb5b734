"""The call of `call.py`, generated as source for speed in the common case.

The common case is NumPy arrays of one floating dtype, and numbers. It needs no promotion, and the
loop over the arguments can be unrolled where their number is fixed. The source depends only on the
form of the operation (number of arrays, which of them are optional, number of results …). It is
compiled once per form and closed over each operation's values. All other cases use the general
call.
"""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backend import constant
from .checks import check_static
from .messages import explain
from .modes import recording, scope, textbook_mode
from .op import ERRORS, Op, Plan
from .record import Node, Traced, next_seq, wrap
from .results import pair, settle, wrap_parts

MISSING = object()  # marks a missing argument
NUMBERS = (float, int)
NAMES = {
    "ERRORS": ERRORS, "MISSING": MISSING, "NUMBERS": NUMBERS, "Node": Node, "Traced": Traced,
    "check_static": check_static, "constant": constant, "double": np.dtype("float64"),
    "explain": explain, "ndarray": np.ndarray, "new": object.__new__, "next_seq": next_seq,
    "np": np, "pair": pair, "recording": recording, "scope": scope, "settle": settle,
    "single": np.dtype("float32"), "textbook_mode": textbook_mode, "wrap": wrap,
    "wrap_parts": wrap_parts, "__name__": __name__,
}  # fmt: skip


class Form(NamedTuple):
    """The facts that the generated source depends on."""

    variadic: bool  # any number of arrays, about which nothing else is known
    several: bool  # the forward function returns several arrays
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
    if op.always_expands:
        return lambda *args, **keywords: general(args, keywords)
    arity = 0 if op.variadic else op.arity
    can = tuple(argnum in op.differentiable for argnum in range(arity))
    form = Form(
        variadic=op.variadic,
        several=op.outputs != 1,
        required=tuple(argnum < op.required for argnum in range(arity)),
        mixed=can if any(can) else (True,) * arity,
        differentiable=can,
        decomposes=op.decomposition is not None,
        saves_residuals=op.saves_residuals,
        scales=op.scales,
        own_dtype=op.own_dtype,
        checked=not op.registered,
    )
    plans: list[Plan | None] = [None] * (1 << arity)  # at Σ 2^argnum

    def plan_of(needed: int) -> Plan:
        argnums = tuple(argnum for argnum in range(arity) if needed >> argnum & 1)
        plan = plans[needed] = op.plan(argnums, arity)
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


class Arguments(NamedTuple):
    """The lines and expressions that depend on how many arrays an operation takes."""

    parameters: str
    facts: str  # lines before the primitive
    bound: str  # lines that leave the static arguments in `params`
    unwrapped: str  # lines that find `dtype` and `needed`
    general: str  # all arguments, for the general call
    data: str  # the arrays
    forward: str  # the arguments of the forward function
    saved: str  # what a plan can save besides the results
    parents: str
    plan: str


class Results(NamedTuple):
    """The lines that depend on whether an operation has one result or several."""

    settled: str
    constant: str
    recorded: str


def source_of(form: Form) -> str:
    """The source of a function that makes the primitives of one form."""
    its = ANY_NUMBER if form.variadic else _each(form)
    result = SEVERAL if form.several else ONE
    decomposes = " or textbook_mode.get()" if form.decomposes else ""
    integers = ' or out.dtype.kind != "f"' if form.own_dtype else ""
    return f"""
def make(op, forward, bind, general, plans, plan_of):
{its.facts}
    def primitive({its.parameters}, **keywords):
{its.bound}
{CHECKED if form.checked else ""}
        needed, dtype, mode = 0, None, recording.get()
{its.unwrapped}
        if mode is None or (dtype is not single and dtype is not double){decomposes}:
            return general({its.general}, {{}})
        try:
            out = forward(np, {its.forward})
        except ERRORS as error:
            raise explain(op, error, {its.data}, params) from error
        {"out, residuals = pair(op, out)" if form.saves_residuals else "residuals = None"}
{result.settled}
        if not (needed and mode){integers}:
{result.constant}
        plan = {its.plan}
        node = new(Node)
        node.plan = plan
        node.parents = {its.parents}
        node.saved = plan.save((out, residuals, {its.saved})) if plan.saves else ()
        node.params = params
        node.seq = next_seq()
        node.scope = scope.get()
        node.name = None
{result.recorded}

    return primitive
"""


CHECKED = """
        if params:
            check_static(op, params)"""

ONE = Results(
    settled="""
        if type(out) is not ndarray or out.dtype is not dtype:
            out = settle(op, np, out, dtype)
        tensor = new(Traced.result)
        tensor._data = out
        tensor._grad = None
        tensor.version = 0""",
    constant="""
            tensor.node = None
            tensor._requires_grad = False
            return tensor""",
    recorded="""
        node.shape = out.shape
        node.dtype = out.dtype
        tensor.node = node
        tensor._requires_grad = True
        return tensor""",
)

SEVERAL = Results(
    settled="""
        out = settle(op, np, out, dtype)""",
    constant="""
            return tuple([wrap(part) for part in out])""",
    recorded="""
        node.shape = tuple([part.shape for part in out])
        node.dtype = tuple([part.dtype for part in out])
        return wrap_parts(out, node)""",
)

ANY_NUMBER = Arguments(
    parameters="*xs",
    facts="""
    names = op.names[1:]""",
    bound="""
        xs, params = bind(op, xs, keywords)""",
    unwrapped="""
        data = []
        for x in xs:
            if not isinstance(x, Traced):
                return general((xs, *params), {})
            array = x._data
            if type(array) is not ndarray or (data and array.dtype is not dtype):
                return general((xs, *params), {})
            dtype = array.dtype
            data.append(array)
            needed = needed or x._requires_grad""",
    general="(xs, *params)",
    data="data",
    forward="*data, **dict(zip(names, params))",
    saved="tuple(data), *params",
    parents="tuple([x.node or x for x in xs])",
    plan="op.plan(tuple([i for i, x in enumerate(xs) if x._requires_grad]), len(xs))",
)


def _each(form: Form) -> Arguments:
    """A fixed number of arrays: x0 … are the arguments, a0 … their arrays, p0 … their parents."""
    numbers = range(len(form.required))
    xs = "".join(f"x{i}, " for i in numbers)
    data = "".join(f"a{i}, " for i in numbers)
    parents = "".join(f"p{i}, " for i in numbers)
    optional = [i for i in numbers if not form.required[i]]
    last = f"x{len(numbers) - 1 - len(optional)}"  # the last required array
    defaults = "".join(f"    d{i} = op.defaults[{i}]\n" for i in optional)
    filled = "".join(f"        x{i} = d{i} if x{i} is MISSING else x{i}\n" for i in optional)
    return Arguments(
        parameters="".join(f"x{i}=MISSING, " for i in numbers) + "*params",
        facts=f"""
{defaults}    defaults = op.defaults[{len(numbers)}:]
    count, required = len(defaults), op.required - {len(numbers)}""",
        bound=f"""
        if keywords or {last} is MISSING or not required <= len(params) <= count:
            given = [x for x in ({xs}*params) if x is not MISSING]
            ({xs}), params = bind(op, given, keywords)
        elif len(params) < count:
            params = (*params, *defaults[len(params):])
{filled}""",
        unwrapped="".join(_unwrapping(form, i, xs) for i in numbers),
        general=f"({xs}*params)",
        data=f"[{data}]",
        forward=f"{data}*params",
        saved=f"{data}*params",
        parents=f"({parents})",
        plan="plans[needed] or plan_of(needed)",
    )


def _unwrapping(form: Form, i: int, xs: str) -> str:
    """The lines that take array a{i} and parent p{i} from argument x{i}."""
    leave = f"return general(({xs}*params), {{}})"
    needs = f"if x{i}._requires_grad:\n                needed |= {1 << i}"
    fits = f"type(a{i}) is not ndarray"
    join = leave
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
