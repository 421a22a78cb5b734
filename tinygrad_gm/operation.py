"""What an operation is: a function on arrays, its gradient rules, and how a call is recorded.

`@op(...)` turns a forward function into a primitive. Calling it unwraps the Tensors, brings the
dtypes together, computes, and leaves a `Node` behind where an argument needs a gradient. Everything
that depends only on *which* arguments need one is worked out once, in a `Plan`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec

import numpy as np

from . import anomaly, descriptions
from .backend import default_dtype, module_of, promote
from .hints import kind_of, refuse_keywords, renamed
from .messages import (
    check_forward,
    check_rules,
    check_static,
    parameters_of,
    refuse_result,
)
from .modes import frame, recording, textbook_mode
from .record import Node, Traced, constant, recorded, wrap
from .vocabulary import registry, vocabulary

if TYPE_CHECKING:
    from .hooks import Hooks
    from .tensor import Tensor

P = ParamSpec("P")
EMPTY = inspect.Parameter.empty
ERRORS = (TypeError, ValueError, IndexError)  # what NumPy raises for arguments that do not fit
NUMBERS = (float, int)
COMPUTED = "fd"  # the floating dtypes that are computed in as they are: float32 and float64
MOST_PLANNED = 64  # arrays behind a starred parameter; the plan of a longer call is not held


class Op:
    """A primitive: its forward function, its gradient rules, and what follows from them."""

    def __init__(
        self,
        forward: Any,
        rules: tuple[Any, ...],
        arity: int,
        symbol: str | None = None,
        local: tuple[str, ...] = (),
        joint: Any = None,
        twin: Any = None,
        closed: bool = True,
        outputs: int = 1,
        view: bool = False,
        scales: bool = False,
        floating: bool = False,
    ) -> None:
        self.name, self.symbol, self.local = forward.__name__, symbol or forward.__name__, local
        self.registered = (forward.__module__ or "").startswith(f"{__package__}.ops.")
        self.forward, self.rules, self.joint, self.twin = forward, rules, joint, twin
        self.closed, self.outputs, self.view, self.scales = closed, outputs, view, scales
        self.floating = floating
        signature = inspect.signature(forward)
        parameters = list(signature.parameters.values())[1:]
        self.signature = signature.replace(parameters=parameters)
        self.starred = parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        self.arity = 1 if self.starred else len(rules) or arity
        self.names = [parameter.name for parameter in parameters]
        self.places = {name: place for place, name in enumerate(self.names)}
        self.arrays, self.own_dtype = self.names[: self.arity], "dtype" in self.names
        self.compute = self._compute_starred if self.starred else forward
        self.defaults = tuple(parameter.default for parameter in parameters)
        self.required = sum(default is EMPTY for default in self.defaults)
        self.always_expands = not rules and not self.joint and self.twin is not None
        self.closes_over = self.always_expands  # the twin may read what is not an argument
        self.expands = self.always_expands or (self.twin is not None and not self.closed)
        reads = {name for rule in (*rules, self.joint) if rule for name in parameters_of(rule)}
        self.saves = "saved" in reads
        slots = [slot for slot in range(self.arity) if not rules or rules[slot]]
        self.differentiable = -1 if self.starred else sum(1 << slot for slot in slots)
        self.part = False
        self.primitive: Any = None
        self.plans: dict[Any, Plan] = {}  # by bits, of many arrays by their numbers
        self.half_plans: dict[int, Plan] = {}  # for arguments of float16

    __repr__ = descriptions.of_op

    def bind(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Any, Any]:
        """Split a call's arguments into arrays and static parameters, defaults filled in."""
        if self.starred:  # concat(a, b, axis=1) and concat([a, b], 1) are the same
            listed = len(args) > 0 and isinstance(args[0], (list, tuple))
            args = (tuple(args[0]), *args[1:]) if listed else (tuple(args),)
        given = len(args)
        values = [*args, *self.defaults[given:]]
        for name, value in keywords.items():
            place = self.places.get(name, -1)
            if place < given:
                self._refuse(args, keywords)
            values[place] = value
        missing = given < self.required and any(v is EMPTY for v in values[given : self.required])
        if missing or given > len(self.names):
            self._refuse(args, keywords)
        arrays = values[0] if self.starred else tuple(values[: self.arity])
        return arrays, tuple(values[self.arity :])

    def _refuse(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> NoReturn:
        refuse_keywords(self.name, keywords, self.names)
        try:
            self.signature.bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        raise TypeError(f"{self.name}{self.signature}: the arguments given do not fit")

    def _compute_starred(self, xp: Any, *values: Any) -> Any:
        """The forward function; what stands behind a starred parameter is given by keyword."""
        count = len(values) - len(self.names) + 1
        static = zip(self.names[1:], values[count:], strict=True)
        return self.forward(xp, *values[:count], **dict(static))

    def make_primitive(self) -> Callable[..., Any]:
        """The function that is called: compute, and record a node where a gradient is needed."""
        forward, twin, saves, outputs = self.compute, self.twin, self.saves, self.outputs
        plans, differentiable, own_dtype = self.plans, self.differentiable, self.own_dtype
        mixes = differentiable or -1  # the arguments whose dtypes are brought together
        defaults, arity, required = self.defaults, self.arity, self.required
        most, registered = len(defaults), self.registered

        def primitive(*args: Any, **keywords: Any) -> Any:
            if keywords or not required <= len(args) <= most:
                args, params = self.bind(args, keywords)
            else:
                params = (*args[arity:], *defaults[len(args) if len(args) > arity else arity :])
                args = (*args[:arity], *defaults[len(args) : arity])
            if params and not registered:
                check_static(self, params)
            if twin is not None and textbook_mode.get():
                # for its checks: a twin broadcasts and casts what the operation refuses
                self.run([a._data if isinstance(a, Traced) else a for a in args], params)
                return self.expand(args, params)
            needs, bit, dtype, plain, data, parents = 0, 1, None, True, [], []
            for argument in args:
                if isinstance(argument, Traced):
                    if argument._requires_grad:
                        needs |= bit
                    parents.append(argument.node or argument)
                    argument = argument._data
                else:
                    parents.append(argument)
                if type(argument) is np.ndarray:
                    if dtype is None and mixes & bit:
                        dtype = argument.dtype
                    elif mixes & bit and argument.dtype is not dtype:
                        plain = False  # others, class numbers or a mask, have a dtype of their own
                elif argument is not None and type(argument) not in NUMBERS:
                    plain = False
                data.append(argument)
                bit <<= 1
            saved, known = None, plans
            if plain and dtype is not None and dtype.char in COMPUTED:  # else `run` promotes first
                try:
                    out = forward(np, *data, *params)
                except ERRORS as error:
                    raise self._explain(error, data, params) from error
                if saves:
                    out, saved = self._pair(out)
                if type(out) is not np.ndarray or out.dtype is not dtype or outputs > 1:
                    out = self._settle(np, out, dtype)
            else:
                out, saved, data = self.run(data, params)
                known = self.half_plans if any(map(is_half, data)) else plans
            needs &= differentiable
            mode = recording.get()
            place = anomaly.check(self, data, out) if mode is None else None
            if not needs or mode is False or (own_dtype and out.dtype.kind != "f"):
                return wrap(out) if outputs == 1 else tuple(map(wrap, out))
            place = place if mode is None else frame.get()
            plan = known.get(needs | bit) or self._plan(needs, bit, known is not plans)
            kept = plan.keep((out, saved, *data, *params)) if plan.keeps else ()
            if outputs == 1:
                return recorded(plan, tuple(parents), kept, params, place, out)
            shapes, dtypes = tuple(a.shape for a in out), tuple(a.dtype for a in out)
            return parts_of(Node(plan, tuple(parents), kept, params, place, shapes, dtypes), out)

        if self.starred:
            return lambda *args, **keywords: self._call_with_many(args, keywords)
        if saves or outputs > 1:
            return primitive
        if self.arity == 1:
            return self._spelled_out_for_one(primitive)
        two = self.arity == self.required == len(self.names) == 2 and not twin
        return self._spelled_out_for_two(primitive) if two else primitive

    def _call_with_many(self, given: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """A call with the arrays behind a starred parameter, in time linear in their number.

        There may be very many, so which of them need a gradient is said by their numbers, not bits.
        """
        args, params = self.bind(given, keywords)
        if not self.registered:
            check_static(self, params)
        data = [a._data if isinstance(a, Traced) else a for a in args]
        if self.twin is not None and textbook_mode.get():
            self.run(data, params)
            return self.expand(args, params)
        found = {a.dtype if type(a) is np.ndarray else None for a in data}
        dtype = found.pop() if len(found) == 1 else None
        half = False
        if dtype is not None and dtype.char in COMPUTED:
            try:
                out = self.compute(np, *data, *params)
            except ERRORS as error:
                raise self._explain(error, data, params) from error
            out, saved = self._pair(out) if self.saves else (out, None)
            out = self._settle(np, out, dtype)
        else:
            out, saved, data = self.run(data, params)
            half = any(map(is_half, data))
        mode = recording.get()
        place = anomaly.check(self, data, out) if mode is None else frame.get()
        slots = tuple([i for i, a in enumerate(args) if isinstance(a, Traced) and a._requires_grad])
        if not slots or mode is False or (self.own_dtype and out.dtype.kind != "f"):
            return wrap(out) if self.outputs == 1 else tuple(map(wrap, out))
        parents = tuple([a.node or a if isinstance(a, Traced) else a for a in args])
        plan = self.plan_of(slots, len(args), half)
        kept = plan.keep((out, saved, tuple(data), *params)) if plan.keeps else ()
        if self.outputs == 1:
            return recorded(plan, parents, kept, params, place, out)
        shapes, dtypes = tuple(a.shape for a in out), tuple(a.dtype for a in out)
        return parts_of(Node(plan, parents, kept, params, place, shapes, dtypes), out)

    def _spelled_out_for_one(self, general: Callable[..., Any]) -> Callable[..., Any]:
        """`general` for one floating array and static parameters, in two thirds of its time."""
        forward, plans, differentiable = self.forward, self.plans, self.differentiable
        defaults, required, twin = self.defaults[1:], self.required - 1, self.twin
        count, registered, own_dtype = len(defaults), self.registered, self.own_dtype

        def primitive(x: Any = EMPTY, /, *params: Any, **keywords: Any) -> Any:
            if keywords or not isinstance(x, Traced) or (twin and textbook_mode.get()):
                return general(*_given(x, *params), **keywords)
            if len(params) != count:
                if not required <= len(params) < count:
                    return general(x, *params)
                params = (*params, *defaults[len(params) :])
            if params and not registered:
                check_static(self, params)
            array = x._data
            dtype = array.dtype
            if type(array) is not np.ndarray or dtype.char not in COMPUTED:
                return general(x, *params)
            try:
                out = forward(np, array, *params)
            except ERRORS as error:
                raise self._explain(error, [array], params) from error
            if type(out) is not np.ndarray or out.dtype is not dtype:
                out = self._settle(np, out, dtype)
                if own_dtype and out.dtype.kind != "f":
                    return wrap(out)
            if not (x._requires_grad and differentiable and recording.get()):
                return wrap(out) if recording.get() is not None else general(x, *params)
            plan = plans.get(3) or self._plan(1, 2)
            sources = (out, None, array, *params) if params else (out, None, array)
            kept = plan.keep(sources) if plan.keeps else ()
            return recorded(plan, (x.node or x,), kept, params, frame.get(), out)

        return primitive

    def _spelled_out_for_two(self, general: Callable[..., Any]) -> Callable[..., Any]:
        """`general` for two floating arrays of one dtype, or one and a number on its right."""
        forward, plans, differentiable = self.forward, self.plans, self.differentiable
        scales = self.scales

        def primitive(x: Any = EMPTY, y: Any = EMPTY, /, *rest: Any, **keywords: Any) -> Any:
            if keywords or rest or y is EMPTY or not isinstance(x, Traced):
                return general(*_given(x, y, *rest), **keywords)
            a = x._data
            dtype, needs = a.dtype, 1 if x._requires_grad else 0
            if isinstance(y, Traced):
                b, parent = y._data, y.node or y
                if y._requires_grad:
                    needs |= 2
                fits = type(b) is np.ndarray and b.dtype is dtype
            else:
                b = parent = y
                fits = type(y) is float
                if fits and scales and y:
                    b = constant(y, dtype)
            if not fits or type(a) is not np.ndarray or dtype.char not in COMPUTED:
                return general(x, y)
            try:
                out = forward(np, a, b)
            except ERRORS as error:
                raise self._explain(error, [a, b], ()) from error
            if type(out) is not np.ndarray or out.dtype is not dtype:
                out = self._settle(np, out, dtype)
            needs &= differentiable
            if not needs or not recording.get():
                return wrap(out) if recording.get() is not None else general(x, y)
            plan = plans.get(needs | 4) or self._plan(needs, 4)
            kept = plan.keep((out, None, a, b)) if plan.keeps else ()
            return recorded(plan, (x.node or x, parent), kept, (), frame.get(), out)

        return primitive

    def expand(self, args: Sequence[Any], params: Sequence[Any]) -> Any:
        """The result of the twin; what it raises is raised in this operation's name."""
        half = any(map(is_half, args))
        try:
            out = self.twin(*(in_single(vocabulary(None), args) if half else args), *params)
        except ERRORS as error:
            raise renamed(error, self.name) from error
        if half and self.outputs == 1:
            return out.astype(np.float16)
        return tuple(part.astype(np.float16) for part in out) if half else out

    def run(self, data: list[Any], params: tuple[Any, ...]) -> tuple[Any, Any, list[Any]]:
        """Forward on any mixture of arrays and numbers: (out, saved, the arrays as promoted).

        Floats of one dtype in, floats of that dtype out; a floating result of integers has the
        default dtype. float16 is computed in float32, and the result rounded once.
        """
        if any(isinstance(v, (list, tuple)) and _records(v) for v in data):
            raise TypeError(f"{self.name}: a list has no history; join tensors with tg.stack first")
        mixed = [slot for slot in range(len(data)) if self.differentiable >> slot & 1]
        xp, data, dtype = promote(self.name, data, mixed)
        if self.floating and dtype.kind != "f":
            dtype, data = default_dtype(), _as_floats(xp, data, mixed)
        try:
            warn: Any = None if dtype.kind == "f" else "ignore"  # of what is done again in floats
            with np.errstate(over=warn, invalid=warn):
                out = self._computed(xp, data, params)
            if dtype.kind != "f" and not self.own_dtype and _is_floating(out):
                # integers in, floats out: compute in floats from the start
                dtype, data = default_dtype(), _as_floats(xp, data, mixed)
                out = self._computed(xp, data, params)
        except ERRORS as error:
            raise self._explain(error, data, params) from error
        out, saved = self._pair(out) if self.saves else (out, None)
        out = self._settle(xp, out, dtype)
        return self._rounded(out, params) if dtype == np.float16 else out, saved, data

    def _computed(self, xp: Any, data: list[Any], params: tuple[Any, ...]) -> Any:
        values = data if self.view else in_single(vocabulary(xp), data)
        return self.compute(xp, *values, *params)

    def _rounded(self, out: Any, params: tuple[Any, ...]) -> Any:
        """What was computed in float32 as float16, unless the call says which dtype it wants."""
        if self.outputs > 1:
            return tuple(map(in_half, out))
        asked = self.own_dtype and params[self.places["dtype"] - self.arity] is not None
        return out if asked else in_half(out)

    def _settle(self, xp: Any, out: Any, dtype: Any) -> Any:
        """The result as an array (NumPy gives scalars for 0-d ones) of the right floating dtype."""
        if self.outputs > 1:
            if not isinstance(out, (tuple, list)) or len(out) != self.outputs:
                refuse_result(self, out)
            return tuple(xp.asarray(part) for part in out)
        if not isinstance(out, (int, float)) and _kind(out) not in "biuf":
            refuse_result(self, out)
        if hasattr(out, "dtype") and not isinstance(out, np.generic):
            xp = module_of(out)  # it may have moved
        out = xp.asarray(out)
        if out.dtype != dtype and out.dtype.kind == "f" and not self.own_dtype:
            out = out.astype(dtype)
        return out

    def _pair(self, returned: Any) -> tuple[Any, Any]:
        """(out, saved) of a forward function whose rules read `saved`."""
        if type(returned) is not tuple or len(returned) != 2:
            refuse_result(self, returned)
        return returned

    def _explain(self, error: Exception, data: Sequence[Any], params: Sequence[Any]) -> Exception:
        """The error of a forward function as one sentence that names operation and arguments."""
        kind, text = kind_of(error), str(error).partition("\n")[0]
        if text.startswith(f"{self.name}:"):
            return kind(text)
        if "'module'" in text:
            text = f"its first parameter is the array module: def {self.name}(xp, …)"
        if "broadcast" in text:
            text = "they do not broadcast (counted from the last axis, sizes must be equal or 1)"
        if "not supported for the input types" in text:
            text = f"not defined for {' and '.join(str(np.asarray(v).dtype) for v in data)}"
        given = ["None" if v is None else str(_shape_of(v)) for v in data]
        static = zip(self.names[self.arity :], params, self.defaults[self.arity :], strict=True)
        given[8:] = [f"… ({len(data)} arrays)"] * (len(given) > 8)
        given += [f"{name}={_short(v)}" for name, v, default in static if v is not default]
        return kind(f"{self.name}: arguments of shape {', '.join(given)}: {text}")

    def plan_of(self, slots: tuple[int, ...], count: int, half: bool = False) -> Plan:
        """The plan of a call with `count` arrays, of which those in `slots` need a gradient."""
        plan = self.plans.get((slots, count, half))
        if plan is None:
            plan = Plan(self, slots, count, half)
            if count <= MOST_PLANNED:
                self.plans[slots, count, half] = plan
        return plan

    def _plan(self, needs: int, bit: int, half: bool = False) -> Plan:
        slots = tuple(slot for slot in range(bit.bit_length() - 1) if needs >> slot & 1)
        plan = Plan(self, slots, bit.bit_length() - 1, half)
        (self.half_plans if half else self.plans)[needs | bit] = plan
        return plan


class Plan:
    """Which rules run, and what they read, when just the arguments in `slots` need a gradient."""

    __slots__ = (
        "constants", "edges", "frees", "half", "hooks", "keep", "keeps", "kept", "op", "ordinary",
        "pick", "picks", "proven", "read_slots", "shapes", "slots",
    )  # fmt: skip

    def __init__(self, op: Op, slots: tuple[int, ...], count: int, half: bool = False) -> None:
        self.op, self.slots, self.half = op, slots, half
        self.hooks: Hooks | None = None  # of one node's tensor, in that node's own copy of the plan
        rules = {slots[0]: op.joint} if op.joint else {i: op.rules[i] for i in slots if op.rules}
        reads = {name for rule in rules.values() for name in parameters_of(rule)}
        if op.expands:
            reads.update(op.arrays)
        sources = ["out", "saved", *op.names]
        self.kept = [name for name in sources if name in reads]
        self.pick = _picker([sources.index(name) for name in self.kept])
        self.shapes = [slot for slot, name in enumerate(op.arrays) if f"{name}_shape" in reads]
        given = ["g", "xp", "slots", *self.kept, *(f"{op.arrays[i]}_shape" for i in self.shapes)]
        direct = [0, *range(3, len(given))]  # reads g and then all that is kept: nothing to pick
        self.edges: list[tuple[int, Any, Any]] = []  # (slot, rule, what picks its arguments)
        for slot, rule in rules.items():
            names = [given.index(name) for name in parameters_of(rule)]
            picks = op.joint is not None or names != direct
            self.edges.append((slot, rule, _picker(names) if picks else None))
        self.picks = any(pick for _, _, pick in self.edges)
        read = [slot for slot, name in enumerate(op.arrays) if name in reads]
        self.read_slots = list(range(count)) if op.starred and read else read
        self.constants = sorted({*range(count)}.difference(slots))
        self.frees = bool(read) or "out" in reads or "saved" in reads
        self.keeps = bool(self.kept or self.shapes)
        self.keep = self._keep_with_shapes if self.shapes else self.pick
        self.proven = not (half or op.joint or op.always_expands or op.part) and op.outputs == 1
        self.ordinary = self.proven and op.registered  # a user's once its rules have been checked

    __repr__ = descriptions.of_plan

    def _keep_with_shapes(self, sources: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*self.pick(sources), *[_shape_of(sources[slot + 2]) for slot in self.shapes])


def op(
    *rules: Any,
    arity: int = 0,
    joint: Any = None,
    symbol: str | None = None,
    local: Sequence[str] = (),
    twin: Any = None,
    closed: bool = False,
    outputs: int = 1,
    view: bool = False,
    scales: bool = False,
    floating: bool = False,
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Tensor]]:
    """Make a differentiable operation of a function on arrays.

    The function's first parameter is the array module (`numpy`, `cupy`); as many positional
    parameters as there are rules are arrays; the rest are static. The operation has the same
    signature without the module, and its `Op` in the attribute `.op`.

    Args:
        rules: one gradient rule per array: a function that names what it reads (see the page above)
            and returns that array's contribution. It may use operators and the names of `xp` only.
            None: no gradient flows into this array.
        joint: instead of `rules`, one rule for all arrays. It can read `slots` (the numbers of the
            arrays that need a contribution) and returns one contribution, or None, per array.
            `arity` then says how many arrays there are; a starred parameter (`*xs`) makes every
            positional argument an array.
        symbol: what stands in the operation's circle in a drawing.
        local: per array, the local derivative as text.
        twin: the same function composed of primitives, which `tg.textbook()` records of arguments
            that the function accepts. With neither rules nor a joint rule every backward pass goes
            through the twin.
        closed: the rules are differentiable as they stand, so higher orders do not need the twin.
        outputs: how many arrays the function returns; with more than one, `g` is a list, with zeros
            for an output that nobody read, and `out` a tuple.
        view: the result may share memory with the first array.
        scales: a number on the right may come as a 0-d array.
        floating: integers are converted to the default dtype before they are computed with. Needed
            where the forward function would otherwise compute in integers.

    A function whose rules read `saved` returns the pair (out, saved).

    >>> import tinygrad_gm as tg
    >>> @tg.op(lambda g, x: 3 * g * x * x, local=["3x²"])
    ... def cube(xp, x):
    ...     return x * x * x
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad.item()
    12.0
    """
    check_rules(rules, joint, twin)
    facts = {"joint": joint, "twin": twin, "closed": closed, "outputs": outputs, "view": view}
    facts |= {"scales": scales, "floating": floating}

    def define(forward: Callable[Concatenate[Any, P], Any]) -> Callable[P, Tensor]:
        check_forward(forward, rules, joint, arity)
        definition = Op(forward, rules, arity, symbol, tuple(local), **facts)
        primitive = functools.update_wrapper(definition.make_primitive(), forward)
        primitive.__signature__ = definition.signature  # type: ignore[attr-defined]
        primitive.op = definition  # type: ignore[attr-defined]
        definition.primitive = primitive
        if definition.registered:
            registry[definition.name] = definition
        return primitive

    return define


def parts_of(node: Node, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs of an operation with several, each behind a node of its own."""
    return tuple(
        wrap(part, Node(PART, (node,), (), (index,), node.frame, part.shape, part.dtype))
        for index, part in enumerate(arrays)
    )


def _as_floats(xp: Any, data: Sequence[Any], mixed: Sequence[int]) -> list[Any]:
    """The arguments, those numbered in `mixed` in the default dtype."""
    floats = list(data)
    for slot in mixed:
        if data[slot] is not None:
            floats[slot] = xp.asarray(data[slot], dtype=default_dtype())
    return floats


def is_half(value: Any) -> bool:
    """Whether a value is float16, or holds such values."""
    if isinstance(value, (tuple, list)):
        return any(map(is_half, value))
    return bool(getattr(value, "dtype", None) == np.float16)


def in_single(xp: Any, values: Any) -> Any:
    """The values with float32 in place of float16, by the `astype` of a vocabulary."""
    if isinstance(values, (tuple, list)):
        return type(values)(in_single(xp, value) for value in values)
    return xp.astype(values, np.float32) if is_half(values) else values


def in_half(out: Any) -> Any:
    return out.astype(np.float16) if out.dtype == np.float32 else out


def _given(*args: Any) -> list[Any]:
    return [value for value in args if value is not EMPTY]


def _picker(indices: Sequence[int]) -> Any:
    """A function from a tuple to the tuple of its entries at `indices`."""
    if len(indices) == 1:
        only = indices[0]
        return lambda values: (values[only],)
    return itemgetter(*indices) if indices else lambda values: ()


def _shape_of(value: Any) -> Any:
    if type(value) is np.ndarray:
        return value.shape
    return tuple(map(np.shape, value)) if isinstance(value, tuple) else np.shape(value)


def _records(value: Any) -> bool:
    """Whether a Tensor that requires a gradient is hidden in a list."""
    inside = isinstance(value, (list, tuple)) and any(map(_records, value))
    return inside or (isinstance(value, Traced) and value._requires_grad)


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 60 else f"{text[:59]}…"


def _is_floating(out: Any) -> bool:
    return _kind(out[0] if isinstance(out, tuple) and out else out) == "f"


def _kind(out: Any) -> str:
    """The kind of the dtype of an array; "O" of anything else."""
    return "O" if isinstance(out, Traced) else getattr(getattr(out, "dtype", None), "kind", "O")


def _part(xp: Any, results: Any, index: int) -> Any:
    return results[index]


_PART_OP = Op(_part, (), 1, symbol="[ ]", view=True)
_PART_OP.part = True
PART = Plan(_PART_OP, (), 1)  # of the nodes that stand for one output of several
