"""The switches of the engine: is recording on and checked, are twins wanted, where in a model.

They are context variables, so threads and asynchronous tasks each have their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Frame(NamedTuple):
    """Where in a model an operation ran: a module's name and class, and the frame around it."""

    name: str
    kind: str
    parent: Frame | None


# True, False, or None: on, and each result is checked (`anomaly.py`). None is falsy so that a fast
# call, which asks only whether it is true, leaves the rest to the general one.
recording: ContextVar[bool | None] = ContextVar("recording", default=True)
on: ContextVar[bool | None] = ContextVar("on", default=True)  # which of the two is on here
textbook_mode: ContextVar[bool] = ContextVar("textbook", default=False)
rerunning: ContextVar[bool] = ContextVar("rerunning", default=False)  # inside a checkpoint, again
frame: ContextVar[Frame | None] = ContextVar("frame", default=None)


class Switch:
    """Give a mode a value for the length of a `with` block or of a decorated function's calls."""

    def __init__(self, mode: ContextVar[Any], value: Any) -> None:
        self.mode, self.value, self.outer = mode, value, list[Any]()

    def __enter__(self) -> None:
        self.outer.append(self.mode.get())
        self.mode.set(on.get() if self.mode is recording and self.value else self.value)

    def __exit__(self, *exception: object) -> None:
        self.mode.set(self.outer.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def switched(*args: P.args, **keywords: P.kwargs) -> R:
            with Switch(self.mode, self.value):  # its own in every call: there may be threads
                return function(*args, **keywords)

        return switched


class set_grad_enabled(Switch):  # noqa: N801 (a function to its callers)
    """Turn recording on or off at once; with `with` or as a decorator, only inside."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(recording, enabled)
        super().__enter__()

    def __enter__(self) -> None:
        pass

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        self.__exit__()
        return super().__call__(function)


def no_grad() -> Switch:
    """Record nothing in this block or decorated function: evaluation, and updates of weights."""
    return Switch(recording, False)


def enable_grad() -> Switch:
    """Record again inside `no_grad`."""
    return Switch(recording, True)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded."""
    return recording.get() is not False


def textbook() -> Switch:
    """Record the textbook twin of every fused operation instead: the steps a course would show.

    >>> import tinygrad_gm as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.textbook():
    ...     y = tg.softmax(x)
    >>> y.op, x.softmax().op
    ('divide', 'softmax')
    """
    return Switch(textbook_mode, True)
