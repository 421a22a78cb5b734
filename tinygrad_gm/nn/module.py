"""Module: a tree of named parameters, buffers and child modules, with a `forward` to call.

The attributes are the tree: those that are Parameters are a module's parameters, those that are
Modules its children. There is no second registry to keep in sync, and no child refers to its
parent, so a module is freed by reference counting alone.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import indent
from types import FunctionType
from typing import Any, ClassVar, NamedTuple, TypeVar

from .. import backend
from ..backend import ArrayLike
from ..engine.modes import Scope, scope
from ..hints import KEYWORDS, refuse_keywords
from ..tensor import Tensor, asarray
from .parameter import Parameter, clear_gradients, is_placeholder

__all__ = ["Module"]

Self = TypeVar("Self", bound="Module")
Hook = Callable[[Any, tuple[Any, ...], Any], Any]
PreHook = Callable[[Any, tuple[Any, ...]], Any]
_new = tuple.__new__


class Loaded(NamedTuple):
    """The names that `load_state_dict(strict=False)` ignored."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of all layers and models.

    A subclass calls `super().__init__()`, then assigns its parameters and child modules to
    attributes, and defines `forward`. Calling the module runs `forward`, between the hooks.

    >>> class Neuron(nn.Module):
    ...     def __init__(self, inputs):
    ...         super().__init__()
    ...         self.weight = nn.Parameter(tg.zeros(inputs))
    ...         self.bias = nn.Parameter(tg.zeros(()))
    ...     def forward(self, x):
    ...         return tg.sigmoid(x @ self.weight + self.bias)
    >>> neuron = Neuron(2)
    >>> neuron(tg.ones((3, 2))).tolist()
    [0.5, 0.5, 0.5]
    >>> [name for name, _ in neuron.named_parameters()]
    ['weight', 'bias']
    """

    training: bool
    _buffers: dict[str, bool]  # the names of the buffers, and whether they are part of the state
    _optional: ClassVar[tuple[str, ...]] = ()  # buffers that may be missing in a loaded state
    _forward_hooks: dict[object, Hook]
    _forward_pre_hooks: dict[object, PreHook]
    _scope: Scope | None = None  # of a call from `_caller`; other calls have copies of it
    _caller: weakref.ref[Any] | None = None  # the module that called it last
    _holders: tuple[weakref.ref[Module], ...] = ()  # the modules that it became a part of
    _last_name: str = ""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Rename what is inherited from internal bases: errors for wrong arguments name it."""
        super().__init_subclass__(**keywords)
        for name in ("__init__", "forward"):
            method = getattr(cls, name)
            if name not in vars(cls) and _is_internal(method):
                setattr(cls, name, _renamed(method, f"{cls.__qualname__}.{name}"))

    def __new__(cls: type[Self], *args: Any, **keywords: Any) -> Self:
        if not KEYWORDS.keys().isdisjoint(keywords):
            refuse_keywords(cls.__name__, keywords, cls.__init__.__code__.co_varnames)
        return super().__new__(cls)

    def __init__(self) -> None:
        self.training = True
        self._buffers = {}
        self._forward_hooks = {}
        self._forward_pre_hooks = {}

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(
            f"{type(self).__name__}: there is no forward; define `def forward(self, x)`, which "
            "computes the output"
        )

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        known, outer = self._scope, scope.get()
        caller = None if outer is None else outer[3]
        if known is None or caller is not self._caller or (caller is None and outer is not None):
            place = self._enter(outer)
        else:
            place = _new(Scope, (known[0], known[1], outer, known[3]))
        token = scope.set(place)
        try:
            if self._forward_pre_hooks:
                for change in tuple(self._forward_pre_hooks.values()):
                    changed = change(self, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            output = self.forward(*args, **keywords)
            if self._forward_hooks:
                for hook in tuple(self._forward_hooks.values()):
                    replaced = hook(self, args, output)
                    output = output if replaced is None else replaced
        finally:
            scope.reset(token)
        return output

    def _enter(self, outer: Scope | None) -> Scope:
        """Return the scope of a call from another module than the last call.

        Its name is the path in the calling module, or else in the first module that holds this one.
        """
        self._require_init("be called")
        caller = outer
        around = None if outer is None else outer.module
        while caller is not None and caller.module is None:
            caller = caller.parent
        holder = None if caller is None or caller.module is None else caller.module()
        name = self._path_in(holder) or self._path()
        place = Scope(name, type(self).__name__, outer, weakref.ref(self))
        vars(self).update(_scope=place, _caller=around, _last_name=name)  # __setattr__ is slow
        return place

    def _path_in(self, module: Module | None) -> str:
        """Return the first path of this module in another, "" if it is no part of it."""
        named = () if module is None else module.named_modules()
        return next((path for path, part in named if part is self), "")

    def _path(self) -> str:
        """Return the path in the first module that holds this one; its last name if none does.

        A list is not called and has no scope: in one that a model calls `blocks` it is "blocks.0".
        """
        for known in self._holders:
            holder = known()
            if holder is not None and (path := self._path_in(holder)):
                outer = holder._path() if type(holder).forward is Module.forward else ""
                return f"{outer}.{path}" if outer else path
        return self._last_name

    def _belong(self, holder: Module, name: str) -> None:
        """Become a part of another module; the next call looks for the name again."""
        alive = [known for known in self._holders if known() is not None]
        if all(known() is not holder for known in alive):
            alive.append(weakref.ref(holder))
        vars(self).update(_scope=None, _holders=tuple(alive), _last_name=name)

    # ------------------------------------------------------------------------ the attributes

    def __setattr__(self, name: str, value: Any) -> None:
        own = vars(self)
        if isinstance(value, (Parameter, Module)):
            self._require_init(f"assign {name!r}")
            self._buffers.pop(name, None)
            if isinstance(value, Module):
                value._belong(self, name)
            elif value.name is None:
                value.name = name
        elif value is not None:
            held = own.get(name)
            if isinstance(held, (Parameter, Module)):
                learned = isinstance(held, Parameter)
                kind = "a Parameter" if learned else "a Module"
                hint = f"; to change its values write module.{name}.data = …" if learned else ""
                raise TypeError(
                    f"{type(self).__name__}.{name} is {kind}; expected {kind} or None, not a "
                    f"{type(value).__name__}{hint}"
                )
            if name in own.get("_buffers", ()) and not isinstance(value, Tensor):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a buffer: a Tensor or None can take its "
                    f"place, not a {type(value).__name__}"
                )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._buffers.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes for a copy; results of operations are copied as values only."""
        return {
            name: value.detach() if isinstance(value, Tensor) and value.node else value
            for name, value in vars(self).items()
            if name not in ("_scope", "_caller", "_holders")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for name, child in self.named_children():
            child._belong(self, name)

    def _require_init(self, purpose: str) -> None:
        if "_buffers" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} cannot {purpose} yet: its __init__ must call "
                "super().__init__() first"
            )

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Register a parameter under a name; None: the module has no such parameter."""
        self._check_new(name)
        if not isinstance(parameter, (Parameter, type(None))):
            raise TypeError(
                f"register_parameter: {name!r} is a {type(parameter).__name__}; expected a "
                "Parameter or None"
            )
        setattr(self, name, parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that belongs to the module but is not trained, such as running
        statistics.

        It moves with `to`, and is saved in the `state_dict` if `persistent`.
        """
        self._check_new(name)
        if not isinstance(tensor, (Tensor, type(None))):
            raise TypeError(
                f"register_buffer: {name!r} is a {type(tensor).__name__}; expected a Tensor or None"
            )
        setattr(self, name, tensor)
        self._buffers[name] = persistent

    def _check_new(self, name: str) -> None:
        self._require_init(f"register {name!r}")
        if not name or "." in name:
            raise KeyError(f"{name!r} cannot name a part of a module: it is empty or has a dot")
        if hasattr(self, name):
            raise KeyError(f"{type(self).__name__} has an attribute {name!r} already")

    # ------------------------------------------------------------------------ walks

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (named `prefix`) and all its descendants, each once, parents first."""
        return self._walk(prefix, set())

    def _walk(self, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) not in seen:
            seen.add(id(self))
            yield path, self
            for name, child in self._parts(Module):
                yield from child._walk(f"{path}.{name}" if path else name, seen)

    def _parts(self, kind: type[Any]) -> list[tuple[str, Any]]:
        return [(name, part) for name, part in vars(self).items() if isinstance(part, kind)]

    def modules(self) -> Iterator[Module]:
        """This module and all its descendants, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children, each once, with their names."""
        seen = set()
        for name, child in self._parts(Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once (a shared one under its first name), with its dotted name.

        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [(name, p.shape) for name, p in net.named_parameters()]
        [('0.weight', (8, 4)), ('0.bias', (8,)), ('2.weight', (2, 8)), ('2.bias', (2,))]
        """
        return self._named(lambda module: module._parts(Parameter), prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once: of this module and, with `recurse`, of its descendants."""
        return (parameter for _, parameter in self.named_parameters("", recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Every buffer once, with its dotted name."""
        return self._named(Module._own_buffers, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer once."""
        return (buffer for _, buffer in self.named_buffers("", recurse))

    def _own_buffers(self, persistent_only: bool = False) -> list[tuple[str, Tensor]]:
        own, names = vars(self), self._buffers
        wanted = (name for name in names if names[name] or not persistent_only)
        return [(name, own[name]) for name in wanted if own[name] is not None]

    def _named(self, parts: Any, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, part in parts(module):
                if id(part) not in seen:
                    seen.add(id(part))
                    yield f"{path}.{name}" if path else name, part

    # ------------------------------------------------------------------------ the state

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Return parameters and persistent buffers by dotted name: constants that share their
        memory. As in PyTorch, they change with later training; `copy.deepcopy(module.state_dict())`
        is a snapshot.

        >>> list(nn.Linear(3, 2).state_dict())
        ['weight', 'bias']
        """
        return {name: tensor.detach() for name, tensor in self._state(prefix)}

    def _state(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        for name, part in (*self._parts(Parameter), *self._own_buffers(persistent_only=True)):
            yield prefix + name, part
        for name, child in self._parts(Module):
            yield from child._state(f"{prefix}{name}.")

    def _optional_names(self, prefix: str) -> Iterator[str]:
        yield from (prefix + name for name in self._optional)
        for name, child in self._parts(Module):
            yield from child._optional_names(f"{prefix}{name}.")

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> Loaded:
        """Copy the values of a `state_dict` into this module's arrays, in place. All values are
        read before the first is written, so `state` may share memory with the module: its own
        `state_dict()`, with names exchanged, or views of it.

        Args:
            state: for each name a Tensor or array of the parameter's shape; floats are converted
                to its dtype.
            strict: require exactly the names of the module. The `num_batches_tracked` of a norm may
                always be missing, as in PyTorch, and is then unchanged.

        Returns:
            (missing_keys, unexpected_keys), both empty with `strict`.

        Raises:
            RuntimeError: the names do not agree, shapes or kinds of numbers differ, or an array is
                read-only; nothing is changed then.
        """
        own, optional = dict(self._state("")), set(self._optional_names(""))
        values = {name: asarray(state[name]) for name in own if name in state}
        missing = [name for name in own if name not in state and name not in optional]
        unexpected = [name for name in state if name not in own]
        problems = []
        if strict and missing:
            problems.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected: {', '.join(unexpected)}")
        for name, value in values.items():
            if value.shape != own[name].shape:
                problems.append(f"{name}: {value.shape} in the state, {own[name].shape} here")
            elif value.dtype.kind == "f" != own[name].dtype.kind:
                problems.append(f"{name}: {value.dtype} in the state, {own[name].dtype} here")
            elif not (
                is_placeholder(own[name]) or getattr(own[name]._data.flags, "writeable", True)
            ):
                problems.append(f"{name}: the array here is read-only")
        if problems:
            title = f"load_state_dict: the state does not fit {type(self).__name__}:"
            raise RuntimeError("\n    ".join([title, *problems]))
        targets, arrays = [tensor._data for tensor in own.values()], {}
        for name, value in values.items():
            array = backend.to_device(value._data, own[name].device)
            array = array.astype(own[name].dtype, copy=is_placeholder(own[name]))
            arrays[name] = backend.unshared(array, targets)
        for name, array in arrays.items():
            if is_placeholder(own[name]):
                own[name].data = array
            else:
                own[name].copy_(array)
        return Loaded(missing, unexpected)

    # ------------------------------------------------------------------------ changes to the tree

    def train(self: Self, mode: bool = True) -> Self:
        """Set training mode in this module and all its descendants."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Set evaluation mode in this module and all children; graphs are recorded as before."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of every parameter; False freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros."""
        clear_gradients(self.parameters(), set_to_none)

    def to(self: Self, device_or_dtype: Any) -> Self:
        """Move parameters, gradients and buffers to a device, or change the floating ones' dtype.

        The parameters remain the same objects. Create the optimizer afterwards.
        """
        for tensor in (*self.parameters(), *self.buffers()):
            _convert(tensor, device_or_dtype)
            if tensor.grad is not None:
                gradient = tensor.grad.detach()
                _convert(gradient, device_or_dtype)
                tensor.grad = gradient
        return self

    def apply(self: Self, function: Callable[[Module], object]) -> Self:
        """Call a function with every child, then with this module, for example to initialise."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call `hook(module, args, output)` after each forward; a result other than None replaces
        the output. `.remove()` of the handle removes the hook.

        >>> layer, shapes = nn.ReLU(), []
        >>> handle = layer.register_forward_hook(lambda module, args, out: shapes.append(out.shape))
        >>> _ = layer(tg.zeros((2, 3)))
        >>> handle.remove()
        >>> shapes
        [(2, 3)]
        """
        return Handle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: PreHook) -> Handle:
        """Call `hook(module, args)` before each forward; a result other than None replaces the
        positional arguments: a tuple, or the only one. `.remove()` removes the hook.

        >>> layer = nn.ReLU()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: -args[0])
        >>> layer(tg.tensor([-1.0, 2.0])).tolist()
        [1.0, 0.0]
        """
        return Handle(self._forward_pre_hooks, hook)

    # ------------------------------------------------------------------------ its picture in text

    def extra_repr(self) -> str:
        """The text in the parentheses of this module's `repr`, before its children."""
        return ""

    def __repr__(self) -> str:
        facts, children = self.extra_repr(), self._parts(Module)
        if not children:
            return f"{type(self).__name__}({facts})"
        lines = [facts] if facts else []
        lines += [f"({name}): {child!r}" for name, child in children]
        return f"{type(self).__name__}(\n{indent(chr(10).join(lines), '  ')}\n)"


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Set evaluation mode in every module, and restore the mode of each afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class Handle:
    """A handle to remove a hook."""

    def __init__(self, hooks: dict[object, Any], hook: Callable[..., Any]) -> None:
        self._hooks, self._key = hooks, object()
        hooks[self._key] = hook

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self._key, None)


def _is_internal(method: Any) -> bool:
    """Whether a method is of a class of this package that its module does not export."""
    if type(method) is not FunctionType or not method.__module__.startswith(f"{__package__}."):
        return False
    exported = getattr(sys.modules[method.__module__], "__all__", ())
    return method.__qualname__.partition(".")[0] not in exported


def _renamed(method: FunctionType, qualname: str) -> FunctionType:
    """A copy of a method under another name."""
    name, defaults, cells = method.__name__, method.__defaults__, method.__closure__
    copy = FunctionType(method.__code__, method.__globals__, name, defaults, cells)
    copy.__kwdefaults__, copy.__annotations__ = method.__kwdefaults__, method.__annotations__
    copy.__doc__, copy.__module__, copy.__qualname__ = method.__doc__, method.__module__, qualname
    return copy


def _convert(tensor: Tensor, device_or_dtype: Any) -> None:
    """Move a leaf's array to another device, or convert it to another dtype if it is floating."""
    to_device = isinstance(device_or_dtype, str) and device_or_dtype.startswith(backend.KINDS)
    moved = tensor.data
    if to_device or moved.dtype.kind == "f":
        moved = moved.to(device_or_dtype)
    if moved._data is not tensor._data:
        tensor.data = moved
