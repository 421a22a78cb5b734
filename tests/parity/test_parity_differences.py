"""Calls that run in both libraries with different results: the table in docs/tensors.md.

`SAME` are calls without a translation that agree, those most like the ones that do not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as torch_functional

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

PAGE = Path(__file__).parents[2] / "docs" / "tensors.md"
ROWS = [
    (re.findall(r"`([^`]+)`", cells[0]), re.findall(r"`([^`]+)`", cells[3]))
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
    for cells in [line.strip("|").split("|")]
]
CALLS = [call for calls, _ in ROWS for call in calls]
WRITTEN = [(calls[0], ours[0]) for calls, ours in ROWS if ours]

SAME = r"""
x.max()
x.argmax(1)
x.argmax(1, True)
x.argsort(0)
torch.argsort(v, -1, True)
x.norm()
torch.linalg.norm(x)
torch.take(x, i)
x.unique()
torch.unique(i, False, True)
x.squeeze()
x.flip(0)
x.flip((0, 1))
x.roll(1)
x.roll(1, 0)
x.tile(2)
x.tile((2, 1))
x.flatten(1)
torch.tensor([0.5, 1.5, -2.5]).round()
x.clip(2, 5)
torch.clip(i, 0.5)
x.sum((0, 1))
x.sum(1, True)
x.std(1, True)
x.std(0, False)
x.mean(1)
x.prod(1)
x.any(1)
x.logsumexp(1)
x.softmax(1)
x.topk(2, 1)
x.diagonal()
torch.diagonal(x, 1)
m.trace()
x.reshape(3, 2)
-x // 2
-x % 2
torch.remainder(-x, 2)
i / 2
i // 2
i ** 2
i ** 0.5
~i
i + 1.5
torch.tensor([True, False]).sum()
torch.tensor([True]) + torch.tensor([True])
torch.tensor([200], dtype=torch.uint8) + 100
torch.tensor([1], dtype=torch.uint8) + torch.tensor([1], dtype=torch.int8)
torch.allclose(v, v)
torch.isclose(v, w)
torch.where(x > 1, x, 0.0)
torch.where(x > 1, 1, 0)
torch.arange(0, 1, 0.25)
torch.linspace(0, 1, 5)
torch.eye(2, 3)
torch.full((2,), 1)
torch.full((2,), True)
torch.tril(x)
torch.triu(x, 1)
torch.bincount(i, None, 9)
torch.searchsorted(v, w)
torch.concat([x, x], 1)
torch.stack([x, x], 1)
torch.outer(v, w)
torch.tensordot(x, x, 2)
torch.einsum("ij,ij->", x, x)
torch.diff(v)
torch.moveaxis(t, 0, 1)
torch.swapaxes(t, 0, 1)
torch.broadcast_to(v, (2, 3))
torch.logaddexp(v, w)
torch.reciprocal(i + 1)
torch.square(i)
torch.round(i)
torch.floor(i)
torch.pow(2, i)
x[[0, 1], [1, 2]]
x[None, ..., 0]
x[torch.tensor([True, False])]
list(x)
torch.linalg.slogdet(m)
torch.linalg.solve(m, m)
torch.empty(0).sum()
torch.empty(0).prod()
torch.tensor([2, 2]) / torch.tensor([0, 1])
torch.embedding(x, torch.tensor([1, 0]))
"""


def names(library: Any, functional: Any) -> dict[str, Any]:
    """What the page's text says the names are."""
    tensor = library.tensor
    return {
        "torch": library,
        "tg": library,
        "F": functional,
        "np": np,
        "x": tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        "v": tensor([1.0, 2.0, 3.0]),
        "w": tensor([2.0, 1.0, 2.5]),
        "one": tensor([1.0]),
        "i": tensor([1, 0, 1, 5]),
        "m": tensor([[2.0, 1.0], [0.5, 2.0]]),
        "t": tensor([[[1.0, 2.0], [0.0, 1.0]], [[3.0, 1.0], [2.0, 5.0]]]),
        "d": tensor(0.1, dtype=library.float64),
    }


def plain(value: Any) -> Any:
    """Values, shapes and dtypes without the library's own types."""
    if isinstance(value, (torch.Tensor, tg.Tensor)):
        array = np.asarray(value.numpy())
        numbers = np.round(np.nan_to_num(array.astype(float), nan=-9, posinf=-8), 5)
        return str(array.dtype), array.shape, numbers.tolist()
    return [*map(plain, value)] if isinstance(value, (list, tuple)) else value


def theirs(call: str) -> Any:
    """The result in PyTorch."""
    return plain(eval(call, names(torch, torch_functional)))


def ours(call: str) -> Any:
    """The result here."""
    return plain(eval(call, names(tg, F)))


def test_the_table_is_found() -> None:
    assert len(ROWS) >= 18


@pytest.mark.filterwarnings("ignore:Implicit dimension choice", "ignore:torch.meshgrid")
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("call", CALLS)
def test_a_call_runs_in_both_and_differs(call: str) -> None:
    assert theirs(call) != ours(call)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice", "ignore:torch.meshgrid")
@pytest.mark.parametrize(("call", "written"), WRITTEN)
def test_the_last_column_gives_pytorchs_result(call: str, written: str) -> None:
    assert theirs(call) == ours(written)


@pytest.mark.parametrize("call", SAME.strip().splitlines())
def test_a_call_that_is_not_in_the_table_agrees(call: str) -> None:
    with np.errstate(divide="ignore"):
        assert theirs(call) == ours(call)
