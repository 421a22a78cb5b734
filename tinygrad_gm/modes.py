"""The switches of the engine: is recording on, are twins wanted, where in the model are we.

They are context variables, so threads and asynchronous tasks each have their own.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """Where in a model an operation ran: a module's name and class, and the frame around it."""

    name: str
    kind: str
    parent: Frame | None


recording: ContextVar[bool] = ContextVar("recording", default=True)
textbook_mode: ContextVar[bool] = ContextVar("textbook", default=False)
frame: ContextVar[Frame | None] = ContextVar("frame", default=None)


class Switch(ContextDecorator):
    """Give a mode a value for the length of a `with` block or of a decorated function."""

    def __init__(self, mode: ContextVar[Any], value: Any) -> None:
        self.mode, self.value, self.outer = mode, value, list[Any]()

    def __enter__(self) -> None:
        self.outer.append(self.mode.get())
        self.mode.set(self.value)

    def __exit__(self, *exception: object) -> None:
        self.mode.set(self.outer.pop())


class set_grad_enabled(Switch):  # noqa: N801 (a function to its callers)
    """Turn recording on or off at once; used with `with`, only until the end of the block."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(recording, enabled)
        super().__enter__()

    def __enter__(self) -> None:
        pass


def no_grad() -> Switch:
    """Record nothing in this block or decorated function: evaluation, and updates of weights."""
    return Switch(recording, False)


def enable_grad() -> Switch:
    """Record again inside `no_grad`."""
    return Switch(recording, True)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded."""
    return recording.get()


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
