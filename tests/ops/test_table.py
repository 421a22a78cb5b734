"""docs/ops.md is what the registry says."""

from __future__ import annotations

import ops_table
from cases import CASES


def test_the_table_of_operations_is_up_to_date() -> None:
    committed = ops_table.PATH.read_text(encoding="utf-8")
    assert committed == ops_table.table(), "run: python tests/ops_table.py"


def test_differentiable_operations_state_their_derivatives_and_have_tested_orders() -> None:
    orders = ops_table.orders_tested()
    for name in CASES:
        op = ops_table.tg.ops.registry[name]
        if op.differentiable:
            assert len(op.local) == len(op.arrays), name
            assert orders[name] or op.own_dtype or name == "to_device", name
