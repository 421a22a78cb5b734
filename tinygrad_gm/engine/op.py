"""What an operation is: a function on arrays, its gradient rules, and what follows from them.

Holds `Op` (the facts of one operation), `Plan` (which rules run and which arrays they read when
certain arguments need a gradient), the registry of all operations, and the vocabulary in which
rules are written. Does not hold how a call runs (`call.py`) or what it leaves behind (`record.py`).

**A rule names what it reads.** The rule of x in out = f(x, y) turns the upstream gradient
g = ∂L/∂out into x's contribution ∂L/∂x = g · ∂out/∂x. It names its inputs as its parameters: `g`,
`out`, any parameter of the operation, `x_shape` (the shape of x; no array is kept), `residuals`
(second result of the forward function), `argnums` (the arguments that need a gradient) and `xp`.
So `lambda g, y: g * y` tells the engine to save y, and nothing else.

**One rule, three uses.** `xp` in a rule is a vocabulary: every registered operation by its name. On
NumPy arrays a name is the operation's forward function: the ordinary backward pass, unrecorded. On
CuPy arrays it is the same on a GPU. On Tensors it is the operation itself, so that the backward
pass is recorded and can be differentiated again, to any order.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from .descriptions import of_op, of_plan

Rule = Callable[..., Any]
ERRORS = (TypeError, ValueError, IndexError)  # what NumPy raises for arguments that do not fit
MOST_PLANNED = 64  # arrays of a variadic operation; the plan of a longer call is not stored
registry: dict[str, Op] = {}  # the operations of `tinygrad_gm.ops`; those of users are not entered


class Op:
    """An operation: what `tg.op` was told (its docstring explains it), and what follows from it."""

    primitive: Callable[..., Any]  # the function that users call
    __repr__ = of_op
    run_again: Any = None  # computes the results in a replay, where the forward function cannot

    def __init__(
        self,
        forward: Callable[..., Any],
        rules: Sequence[Rule | None],
        arity: int = 0,
        symbol: str | None = None,
        local: Sequence[str] = (),
        joint: Rule | None = None,
        decomposition: Callable[..., Any] | None = None,
        closed: bool = True,
        outputs: int = 1,
        view: bool = False,
        scales: bool = False,
        floating: bool = False,
    ) -> None:
        self.name, self.symbol, self.local = (
            forward.__name__,
            symbol or forward.__name__,
            tuple(local),
        )
        # of the library; the operations of users are checked at every call
        self.registered = (forward.__module__ or "").startswith("tinygrad_gm.ops.")
        self.forward, self.rules, self.joint = forward, rules, joint
        self.decomposition: Any = decomposition
        self.closed, self.outputs, self.view = closed, outputs, view
        self.scales, self.floating = scales, floating
        signature = inspect.signature(forward)
        parameters = list(signature.parameters.values())[1:]  # the first is the array module
        self.signature = signature.replace(parameters=parameters)
        self.names = [parameter.name for parameter in parameters]
        self.places = {name: place for place, name in enumerate(self.names)}
        self.defaults = tuple(parameter.default for parameter in parameters)
        self.required = sum(default is inspect.Parameter.empty for default in self.defaults)
        self.variadic = parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        self.arity = 1 if self.variadic else len(rules) or arity
        self.arrays = self.names[: self.arity]
        self.own_dtype = "dtype" in self.names  # the caller chooses the dtype of the result

        # the numbers of the arguments that can receive a gradient
        able = (i for i in range(self.arity) if not rules or rules[i] is not None)
        self.differentiable: Sequence[int] = range(sys.maxsize) if self.variadic else tuple(able)
        every_rule = [rule for rule in (*rules, joint) if rule]
        self.saves_residuals = any("residuals" in reads(rule) for rule in every_rule)
        self.always_expands = decomposition is not None and not every_rule
        self.expands = self.always_expands or (decomposition is not None and not closed)
        self.closes_over = self.always_expands  # it may read tensors that are not its arguments
        self.is_part = False  # whether it picks one output of an operation with several
        self.plans: dict[Any, Plan] = {}

    def plan(self, argnums: tuple[int, ...], count: int, half: bool = False) -> Plan:
        """The plan for a call with `count` arrays of which `argnums` need a gradient."""
        key = argnums, count, half
        plan = self.plans.get(key)
        if plan is None:
            plan = Plan(self, argnums, count, half)
            if count <= MOST_PLANNED:
                self.plans[key] = plan
        return plan

    def argument_name(self, argnum: int) -> str:
        """The name of an argument in messages and drawings: "x", or "xs[2]" if variadic."""
        return f"{self.arrays[0]}[{argnum}]" if self.variadic else self.arrays[argnum]


class Plan:
    """Which rules run, and what a node saves for them, when just `argnums` need a gradient."""

    hooks: Any = None  # `hooks.HookedPlan` has some
    __repr__ = of_plan

    def __init__(self, op: Op, argnums: tuple[int, ...], count: int, half: bool = False) -> None:
        self.op, self.argnums, self.count, self.half = op, argnums, count, half
        rules: dict[int, Any] = {i: op.rules[i] for i in argnums if op.rules}
        if op.joint:
            rules = {argnums[0]: op.joint}  # one call gives the contributions to all
        needed = {name for rule in rules.values() for name in reads(rule)}
        if op.expands:
            needed.update(op.arrays)

        # what the node saves: some of (out, residuals, *arguments), and the shapes of some arrays
        sources = ["out", "residuals", *op.names]
        self.saved_names = [name for name in sources if name in needed]
        self._pick = picker([sources.index(name) for name in self.saved_names])
        self.shaped = [i for i, name in enumerate(op.arrays) if f"{name}_shape" in needed]
        self.saves = bool(self.saved_names or self.shaped)
        self.save = self._save_with_shapes if self.shaped else self._pick

        # what each rule is given: some of (g, xp, argnums, *saved)
        given = ["g", "xp", "argnums", *self.saved_names]
        given += [f"{op.arrays[i]}_shape" for i in self.shaped]
        directly = [0, *range(3, len(given))]  # g, then everything saved: no need to pick
        self.edges: list[tuple[int, Any, Any]] = []  # (argnum, rule, what picks its arguments)
        for argnum, rule in rules.items():
            indices = [given.index(name) for name in reads(rule)]
            direct = indices == directly and not op.joint
            self.edges.append((argnum, rule, None if direct else picker(indices)))
        self.picks = any(pick for _, _, pick in self.edges)

        read = [i for i, name in enumerate(op.arrays) if name in needed]
        self.read_argnums = list(range(count)) if op.variadic and read else read
        self.constants = sorted({*range(count)}.difference(argnums))
        self.frees = bool(read) or "out" in needed or "residuals" in needed
        # whether its rules simply run one by one; those of a user once they have been checked
        self.plain = not (half or op.joint or op.always_expands or op.is_part) and op.outputs == 1
        self.ordinary = self.plain and op.registered

    def _save_with_shapes(self, sources: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*self._pick(sources), *[shape_of(sources[argnum + 2]) for argnum in self.shaped])


class Vocabulary:
    """`xp` in a rule: every registered operation by name, for arrays of `module` or for Tensors."""

    def __init__(self, module: Any) -> None:
        self.module = (
            module  # rules that only ever see arrays (their op has a decomposition) use it
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in registry:
            raise AttributeError(f"{name!r} is not a registered operation: rules may not use it")
        op = registry[name]
        function = op.primitive
        if self.module is not None:
            function = functools.partial(op.forward, self.module)
            if op.saves_residuals:
                function = _first_of(function)
        setattr(self, name, function)
        return function


@functools.cache
def vocabulary(module: Any) -> Vocabulary:
    """The vocabulary for arrays of a module, or for Tensors (None)."""
    return Vocabulary(module)


def reads(rule: Rule) -> tuple[str, ...]:
    """The names of a rule's parameters."""
    code = rule.__code__
    return code.co_varnames[: code.co_argcount]


def picker(indices: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A function from a tuple to the tuple of its entries at `indices`."""
    if len(indices) == 1:
        only = indices[0]
        return lambda values: (values[only],)
    return itemgetter(*indices) if indices else lambda values: ()


def shape_of(value: Any) -> Any:
    """The shape of an array or a number; of a tuple of them (variadic), the tuple of shapes."""
    if type(value) is np.ndarray:
        return value.shape
    return tuple(map(np.shape, value)) if isinstance(value, tuple) else np.shape(value)


def _first_of(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **keywords: function(*args, **keywords)[0]
