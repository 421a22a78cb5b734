"""Modules that hold others, or parameters: chains, lists and dicts.

Their contents are attributes like those of any module, named "0", "1", … by position or by the keys
of a dict; the state dict has the same names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from textwrap import indent
from typing import Any, Generic, TypeVar, overload

from ..tensor import Tensor
from .module import Module
from .parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]

Part = TypeVar("Part", Module, Parameter)
Self = TypeVar("Self", bound="_Listed[Any]")


class _Listed(Module, Generic[Part]):
    """Base of the lists of modules or of parameters."""

    _kind: type[Any] = Module

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        super().__init__()
        self.extend(parts)

    def _add(self, name: str, part: Any) -> None:
        if not isinstance(part, self._kind):
            known = self._kind.__name__
            hint = "; did you mean an instance, such as nn.ReLU()?" if known == "Module" else ""
            raise TypeError(
                f"{type(self).__name__}: part {name} is a {type(part).__name__}, not a "
                f"{known}{hint}"
            )
        self._check_new(name)
        setattr(self, name, part)

    def _replace(self, parts: Iterable[Part]) -> None:
        """Hold these parts instead, numbered from 0."""
        parts = list(parts)
        for name, _ in self._parts(self._kind):
            delattr(self, name)
        self.extend(parts)

    def append(self: Self, part: Part) -> Self:
        """Add a part at the end, named by its position; returns the container."""
        self._add(str(len(self)), part)
        return self

    def extend(self: Self, parts: Iterable[Part]) -> Self:
        """Add parts at the end; returns the container."""
        for part in parts:
            self.append(part)
        return self

    def insert(self, index: int, part: Part) -> None:
        """Insert an item before `index` and renumber all."""
        parts = list(self)
        parts.insert(index, part)
        self._replace(parts)

    def pop(self, index: int = -1) -> Part:
        """Remove an item and return it; renumber the others."""
        part: Part = self[index]
        del self[index]
        return part

    def _name(self, index: int) -> str:
        parts = self._parts(self._kind)
        if not -len(parts) <= index < len(parts):
            what = self._kind.__name__.lower()
            raise IndexError(
                f"{type(self).__name__}: there is no {what} {index}, it has {len(parts)}"
            )
        return parts[index][0]

    def __len__(self) -> int:
        return len(self._parts(self._kind))

    def __iter__(self) -> Iterator[Part]:
        return (part for _, part in self._parts(self._kind))

    def __setitem__(self, index: int, part: Part) -> None:
        if not isinstance(part, self._kind):
            self._add(self._name(index), part)  # raises the error that explains it
        setattr(self, self._name(index), part)

    def __delitem__(self, index: int | slice) -> None:
        if not isinstance(index, slice):
            self._name(index)  # raises IndexError for an invalid index
        parts = list(self)
        del parts[index]
        self._replace(parts)

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self: Self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return vars(self)[self._name(index)]


class Sequential(_Listed[Module]):
    """A chain of modules: each gets the output of the one before it.

    Its children are named "0", "1", … or, if made from one OrderedDict, by its keys. It has a
    length, can be iterated over, indexed, sliced and changed as a list; a slice is a Sequential of
    the same modules under the same names.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> net(tg.ones((5, 4))).shape, len(net), net[-1]
    ((5, 2), 3, Linear(in_features=8, out_features=2, bias=True))
    """

    def __init__(self, *modules: Module | OrderedDict[str, Module]) -> None:
        super().__init__()
        first = modules[0] if modules else None
        named = isinstance(first, OrderedDict) and len(modules) == 1
        parts: Any = first.items() if named else enumerate(modules)  # type: ignore[union-attr]
        for name, module in parts:
            self._add(str(name), module)

    def forward(self, x: Any) -> Any:
        """Return the last module's output for the input `x` of the first."""
        for part in tuple(vars(self).values()):
            if isinstance(part, Module):
                x = part(x)
        return x

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return Sequential(OrderedDict(self._parts(Module)[index]))
        return super().__getitem__(index)


class ModuleList(_Listed[Module]):
    """A list whose modules are found by `parameters`, `to`, `train` and the state dict.

    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> layers
    ModuleList(
      (0-2): 3 × Linear(in_features=4, out_features=4, bias=True)
    )
    >>> x = tg.ones((2, 4))
    >>> for layer in layers:
    ...     x = layer(x)
    >>> x.shape
    (2, 4)
    """

    def __add__(self, modules: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *modules])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __repr__(self) -> str:
        lines, number = [], 0
        for text, alike in groupby(map(repr, self)):
            count = len(list(alike))
            several = f"({number}-{number + count - 1}): {count} × "
            lines.append((several if count > 1 else f"({number}): ") + text)
            number += count
        return f"ModuleList(\n{indent(chr(10).join(lines), '  ')}\n)" if lines else "ModuleList()"


class ParameterList(_Listed[Parameter]):
    """A list whose parameters are found by `parameters`, `to` and the state dict.

    Tensors put into it become parameters.

    >>> weights = nn.ParameterList([tg.ones((2, 3)), tg.ones((3, 2))])
    >>> [(name, p.shape) for name, p in weights.named_parameters()]
    [('0', (2, 3)), ('1', (3, 2))]
    """

    _kind = Parameter

    def _add(self, name: str, part: Any) -> None:
        plain = isinstance(part, Tensor) and not isinstance(part, Parameter)
        super()._add(name, Parameter(part) if plain else part)

    def extra_repr(self) -> str:
        return ", ".join(f"({name}): {part.shape}" for name, part in self._parts(Parameter))


class ModuleDict(Module):
    """A dict whose modules are found by `parameters`, `to`, `train` and the state dict.

    A key is a string without a dot, and not the name of an attribute that every module has.

    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "style": nn.Linear(8, 2)})
    >>> heads["style"](tg.ones((5, 8))).shape, "digit" in heads, list(heads)
    ((5, 2), True, ['digit', 'style'])
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules, replacing those of the same name."""
        for name, module in modules.items():
            self[name] = module

    def keys(self) -> Iterable[str]:
        """The names, in insertion order."""
        return dict(self._parts(Module)).keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return dict(self._parts(Module)).values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of names and modules."""
        return dict(self._parts(Module)).items()

    def pop(self, name: str) -> Module:
        """Remove a module and return it."""
        module = self[name]
        del self[name]
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for name in list(self.keys()):
            del self[name]

    def __getitem__(self, name: str) -> Module:
        if name not in self:
            raise KeyError(f"ModuleDict: there is no {name!r}, only {', '.join(self.keys())}")
        module: Module = vars(self)[name]
        return module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(
                f"ModuleDict: {name!r} is a {type(module).__name__}, not a Module; did you mean "
                "an instance, such as nn.ReLU()?"
            )
        if name not in self:
            self._check_new(name)
        setattr(self, name, module)

    def __delitem__(self, name: str) -> None:
        delattr(self, name) if name in self else self[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(str(name)), Module)

    def __len__(self) -> int:
        return len(self._parts(Module))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())
