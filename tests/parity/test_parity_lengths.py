"""Recurrent layers on sequences of unequal length against PyTorch's packed sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from differing import as_torch, compared
from drawing import Draw
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tinygrad_gm as tg
from tinygrad_gm import nn

SEED, CASES = 5, 30


def outputs(result: Any) -> list[Any]:
    """What comes out, the last h, and for an LSTM the last c."""
    output, state = result
    return [output, *(state if isinstance(state, tuple) else (state,))]


def packed(layer: Any, x: Any, lengths: list[int], steps: int) -> list[Any]:
    """PyTorch's layer on padded sequences."""
    first = layer.batch_first
    pack = pack_padded_sequence(x, torch.tensor(lengths), first, enforce_sorted=False)
    output, *states = outputs(layer(pack))
    return [pad_packed_sequence(output, first, total_length=steps)[0], *states]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_lengths_are_pytorchs_packed_sequences(
    name: str, record_property: Callable[[str, int], None]
) -> None:
    for number in range(CASES):
        d = Draw(SEED, number)
        sizes = {"input_size": d.integer(1, 3), "hidden_size": d.integer(1, 4)}
        options = {"num_layers": d.integer(1, 3), "bidirectional": d.chance(0.6)}
        arguments: dict[str, Any] = {**sizes, **options, "batch_first": d.chance(0.5)}
        steps, batch = d.integer(1, 6), d.integer(1, 4)
        lengths = [d.integer(1, steps) for _ in range(batch)]
        tg.manual_seed(number)
        ours = getattr(nn, name)(**arguments).to(d.dtype)
        theirs = getattr(torch.nn, name)(**arguments).to(as_torch(np.zeros(0, d.dtype)).dtype)
        theirs.load_state_dict({k: as_torch(v.numpy()) for k, v in ours.state_dict().items()})
        lead = (batch, steps) if arguments["batch_first"] else (steps, batch)
        values = d.floats((*lead, sizes["input_size"]))
        x, x_torch = tg.asarray(values).requires_grad_(), as_torch(values)
        y, y_torch = outputs(ours(x, lengths=lengths)), packed(theirs, x_torch, lengths, steps)
        v = [d.floats(tuple(a.shape)) for a in y_torch]
        g = tg.grad(y, [x, *ours.parameters()], [tg.asarray(a) for a in v])
        g_torch = torch.autograd.grad(
            y_torch, [x_torch, *theirs.parameters()], [as_torch(a).detach() for a in v]
        )
        place = f"{name}({arguments}), lengths {lengths}, seed ({SEED}, {number})"
        assert not compared("value", y, y_torch), place
        assert not compared("gradient", [*g], [*g_torch]), place
    record_property("cases", CASES)
