"""The `repr` of operations, plans and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .op import Op, Plan
    from .record import Node


def of_op(self: Op) -> str:
    """Name, arguments, and the local derivative of each argument."""
    texts = zip(self.arrays, self.local, strict=False)
    rules = "; ".join(f"∂/∂{name} = {text}" for name, text in texts if text)
    return f"<op {self.name}({', '.join(self.names)}){': ' + rules if rules else ''}>"


def of_plan(self: Plan) -> str:
    """Operation, the arguments that need a gradient, and what their rules read."""
    op = self.op
    needed = [op.arrays[i] if i < op.arity else str(i) for i in self.argnums]
    saved = [*self.saved_names, *(f"{op.arrays[i]}.shape" for i in self.shaped)]
    of, saves = (", ".join(names) or "nothing" for names in (needed, saved))
    return f"<plan of {op.name}: gradient of {of}; saves {saves}>"


def of_node(self: Node) -> str:
    """Number, name, operation, arguments, shape and dtype."""
    named = f" {self.name!r}" if self.name else ""
    read = ", ".join(map(_brief, self.parents))
    return f"<node {self.seq}{named}: {self.plan.op.name}({read}) → {self.shape} {self.dtype}>"


def _brief(parent: Any) -> str:
    """An argument: the node it is, a tensor's name and shape, or a number."""
    if hasattr(parent, "seq"):
        return f"node {parent.seq}"
    shape = getattr(parent, "shape", None)
    return repr(parent) if shape is None else f"{getattr(parent, 'name', None) or 'array'} {shape}"
