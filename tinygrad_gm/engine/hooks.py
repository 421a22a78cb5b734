"""Hooks: functions that receive a tensor's complete gradient in backward, and may replace it. A
leaf holds its hooks itself. The node of an operation's result gets a plan with hooks, which is
never ordinary: `backward` checks for hooks only there, so a graph without hooks has no cost.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import module_of
from .op import Plan
from .record import Node, Traced, wrap

if TYPE_CHECKING:
    from ..tensor import Tensor

Hook = Callable[[Any], Any]


class Hooks:
    """The hooks of one tensor in order of registration, and the keeper of its gradient."""

    def __init__(self) -> None:
        self.functions: dict[object, Hook] = {}
        self.keeper: Any = None  # a weak reference to the tensor: no cycle through its node

    def run(self, gradient: Any) -> Any:
        """Run all hooks on the gradient; return a Tensor or an array, as given."""
        traced = isinstance(gradient, Traced)
        tensor = gradient if traced else _read_only(gradient)
        for hook in tuple(self.functions.values()):
            replaced = hook(tensor)
            if replaced is not None:
                tensor = _checked(replaced, tensor)
                gradient = tensor if traced else tensor._data
        keeper = self.keeper and self.keeper()
        if keeper is not None:
            own = tensor if traced else wrap(tensor._data.copy(order="K"))
            keeper._grad = own if keeper._grad is None else keeper._grad + own
        return gradient


class HookedPlan(Plan):
    """The plan of one node whose result has hooks."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.op, plan.argnums, plan.count)
        self.hooks, self.ordinary = Hooks(), False


class Handle:
    """Stands for one registered hook."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.functions.pop(self, None)


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Call `hook` with this tensor's gradient whenever a backward pass has completed it. The hook
    receives a Tensor of this tensor's shape, which it must not modify, and returns None or a
    replacement of that shape. It sees the gradient of the pass, before it is added to
    `.grad`; several hooks run one after the other. `tg.grad` runs them too.

    Returns:
        A handle; `handle.remove()` removes the hook.

    Raises:
        RuntimeError: the tensor requires no gradient.

    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * 3
    >>> handle = y.register_hook(lambda g: g.clip(-1, 1))
    >>> (y * 10).sum().backward()
    >>> x.grad.tolist()
    [3.0, 3.0]
    """
    handle = Handle(_hooks_of("register_hook", self))
    handle._hooks.functions[handle] = hook
    return handle


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of an operation's result in its `.grad` too, as that of a leaf is.

    It is the gradient after all hooks, accumulated over backward passes as in a leaf. On a leaf it
    has no effect.

    Raises:
        RuntimeError: the tensor requires no gradient.

    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> y.retain_grad()
    >>> (y * y).backward()
    >>> y.grad.item()
    18.0
    """
    hooks = _hooks_of("retain_grad", self)
    if self.node is not None:
        hooks.keeper = weakref.ref(self)


def _hooks_of(caller: str, tensor: Any) -> Hooks:
    if not tensor._requires_grad:
        raise RuntimeError(f"{caller}: this tensor requires no gradient, so none will arrive")
    node = tensor.node
    if type(node) is not Node:
        if not hasattr(tensor, "hooks"):
            tensor.hooks = Hooks()
        hooks: Hooks = tensor.hooks
        return hooks
    if not isinstance(node.plan, HookedPlan):
        node.plan = HookedPlan(node.plan)
    own: Hooks = node.plan.hooks
    return own


def _read_only(array: Any) -> Any:
    view = module_of(array).asarray(array).view()
    if type(view) is np.ndarray:
        view.flags.writeable = False
    return wrap(view)


def _checked(replaced: Any, like: Any) -> Any:
    if not isinstance(replaced, Traced) or replaced.shape != like.shape:
        what = getattr(replaced, "shape", type(replaced).__name__)
        raise ValueError(
            f"register_hook: the hook returned {what}; expected None or a Tensor of shape "
            f"{like.shape}"
        )
    if replaced.dtype == like.dtype:
        return replaced
    return replaced.astype(like.dtype)  # type: ignore[attr-defined]
