"""A graph as text: `print(viz.tree(loss))`.

Each line is an operation; its inputs follow below, as one line or as branches. A node that several
operations read is written once and referenced by its number.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tinygrad_gm.engine.memory import Dropped
from tinygrad_gm.engine.record import Node, Traced, topological_order

CONTINUED = {"├─ ": "│  ", "└─ ": "   ", "": ""}  # prefix of lines below a branch


def tree(t: Traced) -> str:
    """Return the record of a tensor as text, from the result down to the leaves.

    Args:
        t: a Tensor.

    Returns:
        One line per node, with operation, constants, shape and dtype. `·` is an argument
        on a line below, `[1]` a node that is read more than once.

    Raises:
        TypeError: t is not a Tensor.

    >>> w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> h = (w * 3.0).tanh()
    >>> print(viz.tree((h * h).sum()))
    sum(·)  () float32
    multiply(·, ·)  (2,) float32
    ├─ [1] tanh(·)  (2,) float32
    │  multiply(·, 3.0)  (2,) float32
    │  w  (2,) float32, leaf
    └─ [1] tanh, above
    """
    if not isinstance(t, Traced):
        raise TypeError(f"viz.tree: t must be a Tensor, not a {type(t).__name__}")
    root = t.node or t
    reads = Counter(id(p) for node in topological_order(root) for p in node.parents if _is_line(p))
    numbers: dict[int, int] = {}
    lines, waiting = [], [(root, "", "")]
    while waiting:  # a stack, not recursion: a record may be deep
        item, lead, branch = waiting.pop()
        seen = id(item) in numbers
        if reads[id(item)] > 1:
            number = f"[{numbers.setdefault(id(item), len(numbers) + 1)}] "
            text = f"{number}{_name(item)}, above" if seen else number + _line(item)
        else:
            text = _line(item)
        lines.append(lead + branch + text)
        below = [] if seen else [p for p in getattr(item, "parents", ()) if _is_line(p)]
        lead += CONTINUED[branch]
        branches = [""] if len(below) == 1 else ["├─ "] * (len(below) - 1) + ["└─ "]
        waiting += [(p, lead, sign) for p, sign in zip(below, branches, strict=False)][::-1]
    return "\n".join(lines)


def _is_line(parent: Any) -> bool:
    """Return whether an argument has its own line: a result, a variable, a named constant."""
    if isinstance(parent, Node):
        return True
    return isinstance(parent, Traced) and bool(parent._requires_grad or getattr(parent, "name", ""))


def _name(item: Any) -> str:
    if isinstance(item, Node):
        return item.name or item.plan.op.name
    return item.name or "tensor"


def _line(item: Any) -> str:
    if not isinstance(item, Node):
        kind = "leaf" if item.requires_grad else "constant"
        return f"{_name(item)}  {item.shape} {item.dtype}, {kind}"
    op, name = item.plan.op, f"{item.name} = " if item.name else ""
    if op.is_part:
        return f"{name}output {item.params[0]} of  {item.shape} {item.dtype}"
    arguments = [_argument(parent) for parent in item.parents if parent is not None]
    static = zip(op.names[op.arity :], item.params, op.defaults[op.arity :], strict=False)
    arguments += [f"{key}={value!r}" for key, value, usual in static if value is not usual]
    facts = f"{item.shape} {item.dtype}"
    if op.outputs != 1:
        facts = ", ".join(f"{s} {d}" for s, d in zip(item.shape, item.dtype, strict=True))
    return f"{name}{op.name}({', '.join(arguments)})  {facts}"


def _argument(parent: Any) -> str:
    if _is_line(parent):
        return "·"
    if isinstance(parent, (Traced, Dropped, np.ndarray)):
        return f"{parent.dtype} {parent.shape}"
    return repr(parent)
