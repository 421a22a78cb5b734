"""One source for the functions of one, two and three spatial axes, such as `conv1d` to `conv3d`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from ...backend import ArrayLike
from ...tensor import Tensor, asarray

P = ParamSpec("P")
R = TypeVar("R")


class Axes(NamedTuple):
    """The name of a function, for its errors, and its number of spatial axes."""

    name: str
    ndim: int

    def batched(self, input: ArrayLike) -> tuple[Tensor, bool]:
        """The input as (N, C, *spatial), and whether it came without N."""
        x = asarray(input)
        if x.ndim not in (self.ndim + 1, self.ndim + 2):
            axes = ("L", "H, W", "D, H, W")[self.ndim - 1]
            raise ValueError(
                f"{self.name}: expected an input (N, C, {axes}) or (C, {axes}); got {x.shape}"
            )
        alone = x.ndim == self.ndim + 1
        return (x[None] if alone else x), alone


def over(
    ndim: int, body: Callable[Concatenate[Axes, P], R]
) -> Callable[[Callable[[], None]], Callable[P, R]]:
    """Decorate a name and a docstring: the function is `body` with `ndim` spatial axes.

    `body` is called with the `Axes` before the user's arguments; signature and types are its own
    without them.
    """
    source: Any = body
    signature = inspect.signature(body)
    parameters = list(signature.parameters.values())[1:]

    def decorate(documented: Callable[[], None]) -> Callable[P, R]:
        at = Axes(documented.__name__, ndim)
        own = FunctionType(source.__code__, source.__globals__, at.name, source.__defaults__)
        own.__qualname__ = at.name  # which Python's errors for wrong arguments say

        @functools.wraps(documented)
        def function(*args: P.args, **keywords: P.kwargs) -> R:
            try:
                result: R = own(at, *args, **keywords)
            except TypeError:
                if len(args) > len(parameters):  # Python's own error would count `at`
                    raise TypeError(
                        f"{at.name}() takes at most {len(parameters)} positional arguments, but "
                        f"{len(args)} were given"
                    ) from None
                raise
            return result

        function.__annotations__ = {p.name: p.annotation for p in parameters}
        function.__annotations__["return"] = signature.return_annotation
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return decorate
