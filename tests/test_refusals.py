"""Every function of the package refuses what it cannot use with one line that names itself."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from cases import CASES

import tinygrad_gm as tg
from tinygrad_gm import ops

FUNCTIONS = {
    name: inspect.signature(getattr(ops, name))
    for name in sorted({*ops.__all__, *ops.registry})  # those for the engine too
    if inspect.isfunction(getattr(ops, name))
}
WITH_AXIS = [name for name, signature in FUNCTIONS.items() if "axis" in signature.parameters]
OTHERS: dict[str, dict[str, Any]] = {  # what else a function must be given
    "repeat": {"repeats": 2},
    "roll": {"shift": 1},
    "scatter_add": {"indices": [[0]], "values": [[1.0]]},
    "scatter_along_axis": {"indices": [[0]], "shape": (2, 3)},
    "split": {"indices_or_sections": 1},
    "take": {"indices": [0]},
    "take_along_axis": {"indices": [[0]]},
    "topk": {"k": 1},
    "vecdot": {"y": tg.ones((2, 3))},
}
LISTS_ARE_FINE = {"flip", "roll"}  # as in NumPy
INNER_NAME = {"scaled_dot_product_attention": "attention"}  # the primitive behind it


ANOTHER = re.compile(rf"(?<![\w.`])(?:{'|'.join(FUNCTIONS)}): ")
FUSED = [name for name, op in ops.registry.items() if op.decomposition is not None]


def assert_names_itself(error: BaseException, name: str) -> None:
    """The message starts with the function's name; no operation inside it is blamed."""
    message = str(error)
    name = INNER_NAME.get(name, name)
    assert message.startswith(name)
    assert not ANOTHER.search(message[len(name) + 2 :])
    assert "\n" not in message


@pytest.mark.parametrize("axis", [7, -7, 1.5, "rows", [0, 1]])
@pytest.mark.parametrize("name", WITH_AXIS)
def test_a_bad_axis(name: str, axis: Any) -> None:
    if isinstance(axis, list) and name in LISTS_ARE_FINE:
        return
    first = next(iter(FUNCTIONS[name].parameters.values()))
    count = 2 if first.kind is inspect.Parameter.VAR_POSITIONAL else 1
    arrays = [tg.ones((2, 3))] * count
    with pytest.raises((IndexError, TypeError, ValueError)) as caught:
        getattr(ops, name)(*arrays, axis=axis, **OTHERS.get(name, {}))
    assert_names_itself(caught.value, name)


def test_most_functions_with_an_axis_are_among_them() -> None:
    assert len(WITH_AXIS) > 35


@pytest.mark.parametrize("name", FUNCTIONS)
def test_text_where_an_array_should_be(name: str) -> None:
    parameters = FUNCTIONS[name].parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    rest = [tg.ones((2, 2)) for _ in required[1:]]
    with pytest.raises((IndexError, TypeError, ValueError)) as caught:
        getattr(ops, name)("text", *rest)
    assert_names_itself(caught.value, name)


@pytest.mark.parametrize("name", FUSED)
def test_a_textbook_twin_refuses_what_its_operation_refuses_in_the_same_words(name: str) -> None:
    op, refused = ops.registry[name], 0
    for sample in CASES[name].samples[:4]:
        for slot, array in enumerate(sample.arrays):
            if array is None:
                continue
            for wrong in (np.zeros((7, 5, 3)), np.concatenate([np.ravel(array)] * 3), "text"):
                arguments = [*sample.arrays]
                arguments[slot] = wrong
                messages: set[str] = set()
                times = 0
                for mode in (tg.enable_grad, tg.textbook):
                    try:
                        with mode(), np.errstate(all="ignore"):
                            op.primitive(*arguments, *sample.params)
                    except (IndexError, TypeError, ValueError) as error:
                        assert_names_itself(error, name)
                        messages.add(str(error))
                        times += 1
                assert (times, len(messages)) in ((0, 0), (2, 1))
                refused += bool(messages)
    assert refused


def test_a_textbook_loss_does_not_broadcast_either() -> None:
    with tg.textbook(), pytest.raises(ValueError, match=r"mse_loss: .* must have one shape"):
        tg.mse_loss(tg.zeros(3), tg.zeros((3, 1)))
