"""Modules that hold others: so far a chain."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, overload

from .module import Module


class Sequential(Module):
    """A chain: each module gets what the one before it gave.

    Its children are called "0", "1", … or, made from one OrderedDict, by that one's keys. It has a
    length, can be iterated over, indexed and sliced; a slice is a Sequential of the same modules
    under the same names.

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

    def _add(self, name: str, module: Any) -> None:
        if not isinstance(module, Module):
            raise TypeError(
                f"Sequential: part {name} is a {type(module).__name__}, not a Module; did you mean "
                "an instance, such as nn.ReLU()?"
            )
        self._check_new(name)
        setattr(self, name, module)

    def forward(self, x: Any) -> Any:
        """The last module's output for the input `x` of the first."""
        for module in self:
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Add a module at the end, named by its position; returns the chain."""
        self._add(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._parts(Module))

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._parts(Module))

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        parts = self._parts(Module)
        if isinstance(index, slice):
            return Sequential(OrderedDict(parts[index]))
        if not -len(parts) <= index < len(parts):
            raise IndexError(f"Sequential: there is no module {index}, it has {len(parts)}")
        module: Module = parts[index][1]
        return module
