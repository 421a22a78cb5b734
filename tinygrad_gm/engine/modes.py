"""The modes of the engine: recording, checking, decompositions, and the current module.

They are context variables, so threads and asynchronous tasks each have their own.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class Scope(NamedTuple):
    """The call of a module in which an operation ran: name, class, and the enclosing scope."""

    name: str
    kind: str
    parent: Scope | None
    module: weakref.ref[Any] | None = None  # weak: a record keeps no model alive


# True, False, or None: on, and each result is checked (`anomaly.py`). None is falsy so that a fast
# call, which asks only whether it is true, leaves the rest to the general one.
recording: ContextVar[bool | None] = ContextVar("recording", default=True)
checking: ContextVar[bool] = ContextVar("checking", default=False)  # inside detect_anomaly
textbook_mode: ContextVar[bool] = ContextVar("textbook", default=False)
rerunning: ContextVar[bool] = ContextVar("rerunning", default=False)  # inside a checkpoint, again
scope: ContextVar[Scope | None] = ContextVar("scope", default=None)


class Mode:
    """Set a mode in a `with` block or in the calls of a decorated function."""

    def __init__(self, mode: ContextVar[Any], value: Any) -> None:
        self.mode, self.value, self.outer = mode, value, list[Any]()

    def __enter__(self) -> None:
        self.outer.append(self.mode.get())
        checked = self.mode is recording and self.value and checking.get()
        self.mode.set(None if checked else self.value)

    def __exit__(self, *exception: object) -> None:
        self.mode.set(self.outer.pop())

    def keep(self) -> None:
        """Use the current value at the next entry: that of a block which the body is in."""
        self.value = is_grad_enabled() if self.mode is recording else self.mode.get()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """`function` with the mode on while its body runs; see `decorated`."""
        return decorated(function, lambda: type(self)(self.mode, self.value))


class set_grad_enabled(Mode):  # noqa: N801 (a function to its callers)
    """Turn recording on or off immediately; with `with` or as a decorator, only inside."""

    def __init__(self, enabled: bool) -> None:
        if enabled not in (True, False):
            raise TypeError(f"set_grad_enabled: enabled must be True or False, got {enabled!r}")
        super().__init__(recording, bool(enabled))
        super().__enter__()

    def __enter__(self) -> None:
        pass

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        self.__exit__()
        return Mode(self.mode, self.value)(function)


# ----------------------------------------------------------------- modes as decorators


def decorated(function: Callable[P, R], make: Callable[[], Mode]) -> Callable[P, R]:
    """`function` with a mode on while its body runs; `make()` is called in every call.

    The body of a generator or a coroutine runs in steps. The mode is on in each step, and off
    between two, where the caller's code runs.
    """
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"a mode decorates a function or a method, not {function!r}")
    body: Any = function

    async def in_async_steps(*args: Any, **keywords: Any) -> Any:
        steps, mode = body(*args, **keywords), make()
        advance, given = steps.asend, None
        while True:
            try:
                value = await _awaited(advance(given), mode)
            except StopAsyncIteration:
                return
            try:
                advance, given = steps.asend, (yield value)
            except GeneratorExit:
                await _awaited(steps.aclose(), mode)
                raise
            except BaseException as error:
                advance, given = steps.athrow, error

    async def awaited(*args: Any, **keywords: Any) -> Any:
        return await _awaited(body(*args, **keywords), make())

    def in_steps(*args: Any, **keywords: Any) -> Any:
        return (yield from _stepwise(body(*args, **keywords), make()))

    def at_once(*args: Any, **keywords: Any) -> Any:
        with make():  # one per call: there may be threads
            return body(*args, **keywords)

    decorated_body: Any = at_once
    if inspect.isasyncgenfunction(function):
        decorated_body = in_async_steps
    elif inspect.iscoroutinefunction(function):
        decorated_body = awaited
    elif inspect.isgeneratorfunction(function):
        decorated_body = in_steps
    result: Callable[P, R] = functools.wraps(function)(decorated_body)
    return result


def _stepwise(body: Any, mode: Mode) -> Generator[Any, Any, Any]:
    """Run a generator or a coroutine in a mode, but yield its values outside the mode."""
    advance, given = body.send, None
    while True:
        try:
            with mode:
                value = advance(given)
                mode.keep()
        except StopIteration as stop:
            return stop.value
        try:
            advance, given = body.send, (yield value)
        except GeneratorExit:
            with mode:
                body.close()
            raise
        except BaseException as error:
            advance, given = body.throw, error


_awaited = types.coroutine(_stepwise)


class ModeFunction(Protocol):
    """A mode: `with no_grad():` is a block, `@no_grad()` and `@no_grad` decorate a function."""

    @overload
    def __call__(self) -> Mode: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


def named(make: Callable[[], Mode]) -> ModeFunction:
    """Let a function that makes a mode also decorate another one, without parentheses."""

    @functools.wraps(make)
    def mode(*function: Any) -> Any:
        return make()(*function) if function else make()

    return mode


# ------------------------------------------------------------------------------ public modes


@named
def no_grad() -> Mode:
    """Disable recording in a block or decorated function, for evaluation and updates of weights.

    As a decorator it needs no parentheses. In a generator or a coroutine it holds while the body
    runs, and not in the caller between two steps; the other modes do the same.

    >>> import tinygrad_gm as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> @tg.no_grad
    ... def powers():
    ...     yield x * x
    ...     yield x * x * x
    >>> [(y.requires_grad, (y * x).requires_grad) for y in powers()]
    [(False, True), (False, True)]
    """
    return Mode(recording, False)


@named
def enable_grad() -> Mode:
    """Record again inside `no_grad`."""
    return Mode(recording, True)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded."""
    return recording.get() is not False


@named
def textbook() -> Mode:
    """Record the decomposition of every fused operation: the steps a textbook would show.

    >>> import tinygrad_gm as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.textbook():
    ...     y = tg.softmax(x)
    >>> y.op, x.softmax().op
    ('divide', 'softmax')
    """
    return Mode(textbook_mode, True)
