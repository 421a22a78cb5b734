"""Python's reflected and augmented operators, made of operations: `2.0 - x` and `x += y`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .backend import ArrayLike

if TYPE_CHECKING:
    from .tensor import Tensor


def reflected(operation: Callable[..., Any]) -> Callable[[Tensor, ArrayLike], Tensor]:
    def method(self: Tensor, other: ArrayLike) -> Tensor:
        result: Tensor = operation(other, self)
        return result

    return method


def augmented(
    symbol: str, operation: Callable[..., Any], in_place: Callable[[Any, Any], Any] | None = None
) -> Callable[[Tensor, ArrayLike], Tensor]:
    def method(self: Tensor, other: ArrayLike) -> Tensor:
        """Write into a leaf under `no_grad`, or into a plain tensor; else make a new tensor."""
        if type(other) is int and in_place is not None and self._data.dtype.kind in "iu":
            in_place(self._data, other)  # integers have no history
            self.mark_written()
            return self
        result: Tensor = operation(self, other)
        if self.node is not None or (result._requires_grad and not self._requires_grad):
            return result
        self._refuse_while_recording(f"t {symbol} …")
        if result.shape != self.shape:
            raise ValueError(f"t {symbol} …: {result.shape} does not fit into {self.shape}")
        try:
            return self.copy_(result)
        except TypeError:
            raise TypeError(
                f"t {symbol} …: {result.dtype} does not fit into {self.dtype}; write t = t … "
            ) from None

    return method
