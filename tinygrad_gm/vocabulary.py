"""The words a gradient rule may use: every registered operation, by its name.

The same word means the operation's forward function when the rule runs on arrays, and the recorded
operation itself when it runs on Tensors. That is why one rule serves every order of derivative.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .operation import Op

registry: dict[str, Op] = {}  # the operations of `tinygrad_gm.ops`; a user's own are not entered


class Vocabulary:
    """`xp` in a rule: every registered operation by name, for arrays of `module` or for Tensors."""

    def __init__(self, module: Any) -> None:
        self.module = module  # for rules that only ever see arrays: those of an op with a twin

    def __getattr__(self, name: str) -> Any:
        if name not in registry:
            raise AttributeError(
                f"{name!r} is not in the vocabulary: no such operation is registered"
            )
        known = registry[name]
        function = known.primitive
        if self.module is not None:
            function = functools.partial(known.forward, self.module)
        if self.module is not None and known.saves:
            function = _first(function)
        setattr(self, name, function)
        return function


def _first(function: Any) -> Any:
    return lambda *args, **keywords: function(*args, **keywords)[0]


@functools.cache
def vocabulary(module: Any) -> Vocabulary:
    """The vocabulary for arrays of a module, or for Tensors (None)."""
    return Vocabulary(module)
