"""Parameter: a leaf tensor that a `Module` registers and an optimizer updates."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from ..backend import Array, ArrayLike, module_of
from ..creation import empty
from ..engine.modes import Mode, named
from ..tensor import Tensor, asarray

__all__ = ["Parameter", "no_init"]

uninitialised: ContextVar[bool] = ContextVar("uninitialised", default=False)


@named
def no_init() -> Mode:
    """Build modules within the block without allocating or initialising their parameters. Until
    `load_state_dict` sets their values, parameters are read-only zeros: views of one number. This
    saves the time and memory of initial values that would be overwritten.

    >>> trained = nn.Linear(1000, 2000)
    >>> with nn.no_init():
    ...     layer = nn.Linear(1000, 2000)
    >>> layer.weight.data.numpy().strides
    (0, 0)
    >>> _ = layer.load_state_dict(trained.state_dict())
    >>> bool((layer.weight == trained.weight).all())
    True
    """
    return Mode(uninitialised, True)


class Parameter(Tensor):
    """A tensor to be trained: assigned to a `Module`, it becomes one of the module's parameters.
    The result of an operation on a parameter is a Tensor, never a Parameter.

    Args:
        data: a Tensor or an array, whose memory the parameter shares, or numbers. The result of a
            recorded operation is copied: the graph may still read it.
        requires_grad: whether `backward` gives it a gradient.

    Raises:
        TypeError: `requires_grad` for numbers that are not floating.

    >>> weight = nn.Parameter(tg.zeros((2, 3)))
    >>> weight.requires_grad, type(weight * 2) is tg.Tensor
    (True, True)
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike, requires_grad: bool = True) -> None:
        tensor = asarray(data)
        if uninitialised.get():
            self._data = _placeholder(tensor)
        else:
            self._data = tensor._data if tensor.node is None else tensor._data.copy()
        self._grad, self.node, self.version = None, None, 0
        self._requires_grad = False
        self.name, self.requires_grad = tensor.name, requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def by_columns(rows: int, columns: int, dtype: Any = None, device: str | None = None) -> Parameter:
    """An uninitialised weight (rows, columns) whose columns are contiguous: the product x Wᵀ is up
    to a third faster than with contiguous rows.
    """
    return Parameter(empty((columns, rows), dtype, device=device)._data.T)


def _placeholder(like: Tensor) -> Array:
    xp = module_of(like._data)
    zero = xp.zeros((), like.dtype)
    return xp.broadcast_to(zero, like.shape) if like.ndim else zero


def is_placeholder(tensor: Tensor) -> bool:
    """Whether it was built under `no_init` and has no values yet."""
    return tensor.ndim > 0 and not any(tensor._data.strides)


def clear_gradients(tensors: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Set the gradients to None, or to zeros."""
    for tensor in tensors:
        if set_to_none or tensor._grad is None:
            tensor._grad = None
        elif tensor._grad.node is None:
            tensor._grad._data[...] = 0
        else:  # a recorded gradient: the graph may still read its array
            tensor._grad = tensor._grad.detach() * 0
