"""The base of the layers that are a function of `F` and its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .module import Module


class FunctionLayer(Module):
    """A layer whose forward is a function, called with the input and the layer's options.

    The options are the attributes named in `_options`, in the order of the function's parameters.
    """

    _function: ClassVar[Callable[..., Any]]
    _options: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Any) -> Any:
        """The layer's function of x, with its options."""
        return self._function(x, *self._chosen()) if self._options else self._function(x)

    def _chosen(self) -> list[Any]:
        return [getattr(self, name) for name in self._options]

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._options)
