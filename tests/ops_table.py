"""Write docs/ops.md, the table of all operations: `python tests/ops_table.py`.

Names, formulas and decompositions come from the registry, the orders from the samples.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from registry import SMOOTH, THIRD_ORDER

import tinygrad_gm as tg
from tinygrad_gm.engine.op import Op

PATH = Path(__file__).parents[1] / "docs" / "ops.md"

HEAD = """# Operations

The registered operations, grouped by their file in `tinygrad_gm/ops`. The command
`python tests/ops_table.py` writes this page, and a test fails if it is out of date.

- **local derivative**: ∂out/∂argument, the factor of the upstream gradient; `·` alone stands for
  the upstream gradient itself. An argument that is not listed has no gradient.
- **orders**: the derivatives that the tests compare with central differences. An operation without
  orders has integer, boolean or piecewise constant results, or only moves or casts elements.
- **kind**: a *fused* operation has a *decomposition* in primitives, which `tg.textbook()` records
  instead; tests compare value, gradient and second derivative of the two.
- **GPU**: whether the operation has been tested on a GPU; so far, none has.
"""
COLUMNS = ("operation", "local derivative", "orders", "kind", "decomposition", "GPU")


def orders_tested() -> dict[str, set[int]]:
    """For each operation the orders whose tests have a sample of it."""
    found: dict[str, set[int]] = defaultdict(set)
    for calls, orders in ((SMOOTH, (1, 2)), (THIRD_ORDER, (3,))):
        for call in calls:
            found[call.values[0]].update(orders)
    return found


def row(op: Op, orders: set[int]) -> tuple[str, ...]:
    """The cells of one operation."""
    names = [f"{name}ᵢ" for name in op.arrays] if op.variadic else op.arrays
    pairs = zip(names, op.local, strict=False)
    local = [f"{name}: {text}" for name, text in pairs if text] if op.differentiable else []
    name = op.decomposition.__name__ if op.decomposition is not None else ""
    return (
        f"`{op.name}`",
        "<br>".join(text.replace("|", "\\|") for text in local) or "none",
        ", ".join(map(str, sorted(orders))) or "–",
        "fused" if name else "primitive",
        f"`{name}`" if name else "",
        "no",
    )


def table() -> str:
    """The whole page."""
    orders, files = orders_tested(), defaultdict(list)
    for op in tg.ops.registry.values():
        files[op.forward.__module__.rpartition(".")[2]].append(op)
    parts = [HEAD]
    for name, operations in sorted(files.items()):
        rows = [COLUMNS, ("---",) * len(COLUMNS)]
        rows += [row(op, orders[op.name]) for op in sorted(operations, key=lambda op: op.name)]
        parts.append(f"\n## {name}\n\n")
        parts += [f"| {' | '.join(cells)} |\n" for cells in rows]
    return "".join(parts)


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(table(), encoding="utf-8")
