"""The sample inputs of PyTorch's own tests: operations, layers, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import databases
import databases_of_layers
import pytest
import words
from databases import OPERATIONS, full_name
from databases_of_layers import LAYERS, OPTIMIZERS
from differences import DIFFERENCES, Difference

pytestmark = pytest.mark.filterwarnings("ignore")  # numbers overflow on purpose


@pytest.mark.sweep
@pytest.mark.parametrize("operation", OPERATIONS, ids=full_name)
def test_equals_pytorchs_operation(
    operation: Any, record_property: Callable[[str, int], None]
) -> None:
    record_property("cases", databases.compare(operation))


@pytest.mark.sweep
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.module_cls.__name__)
def test_equals_pytorchs_layer(layer: Any, record_property: Callable[[str, int], None]) -> None:
    record_property("cases", databases_of_layers.compare(layer))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda info: info.optim_cls.__name__)
def test_equals_pytorchs_optimizer(
    optimizer: Any, record_property: Callable[[str, int], None]
) -> None:
    record_property("cases", databases_of_layers.compare_steps(optimizer))


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_every_difference_is_met(difference: Difference) -> None:
    assert databases.occurs(difference)


def test_every_translated_operation_is_compared() -> None:
    compared = {name for op in OPERATIONS for name in (full_name(op), op.name)}
    assert {*words.OURS} <= compared
