"""Recurrent layers: networks over whole sequences, of several layers and in both directions.

The products of all inputs with W are one matrix product; the remaining recurrence, U h and the
gates, is one operation of `ops.fused.sequences` per layer and direction. The backward direction is
the forward one on the reversed sequence, its outputs reversed again. A sequence shorter than the
longest of its batch is followed by padding, which the states before it never see: it comes after
the last step, and reversal leaves it in place.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..creation import zeros
from ..ops.fused.sequences import gru_sequence, lstm_sequence, rnn_sequence
from ..tensor import Tensor, asarray
from . import functional as F
from .cells import (
    add_forget_bias,
    add_weights,
    check_forget_bias,
    check_nonlinearity,
    check_sizes,
    draw_weights,
    pair,
    sizes_and_options,
)
from .module import Module
from .parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN"]


class _Lengths:
    """Where padded sequences end; step t of sequence n is row t·N + n of the (L·N, …) matrix."""

    def __init__(self, lengths: Any, steps: int, device: str) -> None:
        step, sequence = np.arange(steps)[:, None], np.arange(lengths.size)
        mirrored = np.where(step < lengths, lengths - 1 - step, step)
        self.inside = asarray((step < lengths)[..., None], device=device)
        self._mirrored = asarray((mirrored * lengths.size + sequence).ravel(), device=device)
        self._last = asarray((lengths - 1) * lengths.size + sequence, device=device)

    def clear(self, x: Tensor) -> Tensor:
        """x (L, N, …) with 0 as its padding."""
        return ops.where(self.inside, x, 0.0)

    def reverse(self, x: Tensor) -> Tensor:
        """Reverse each sequence; the padding stays in place."""
        return ops.take(ops.flatten(x, 0, 1), self._mirrored, 0).reshape(x.shape)

    def last(self, states: Tensor) -> Tensor:
        """The state after each sequence's last step."""
        return ops.take(ops.flatten(states, 0, 1), self._last, 0)


class _Recurrent(Module):
    """Base of RNN, LSTM and GRU: everything but the step itself."""

    gates: int
    forget_bias: float = 0.0

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_sizes(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not 0 <= dropout <= 1:
            raise ValueError(
                f"{type(self).__name__}: dropout is {dropout}; expected a probability in [0, 1]"
            )
        if dropout and num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout={dropout} acts between layers, and there is one",
                stacklevel=2 if type(self).__init__.__code__ is _Recurrent.__init__.__code__ else 3,
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first = bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        width, place = input_size, {"dtype": dtype, "device": device}
        for number in range(num_layers):
            for suffix in self._suffixes(number):
                add_weights(self, self.gates, width, hidden_size, bias, suffix, **place)
            width = hidden_size * (1 + bidirectional)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Re-initialise all parameters."""
        draw_weights(self, self.hidden_size)
        add_forget_bias(self, self.hidden_size, self.forget_bias)

    def _suffixes(self, number: int) -> list[str]:
        return [f"_l{number}", f"_l{number}_reverse"][: 1 + self.bidirectional]

    def _parameters(self, suffix: str) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, name + suffix) for name in names]

    def _pass(self, x: Tensor, state: Sequence[Tensor], suffix: str) -> tuple[Tensor, ...]:
        """The states (L, N, H) after every step of one layer in one direction: h, or h and c."""
        raise NotImplementedError

    def _run(
        self, input: Any, initial: Sequence[Any], names: Sequence[str], lengths: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """The last layer's outputs, and the final states of all layers, in the caller's shapes."""
        x = self._input(input)
        batched = x.ndim == 3
        if not batched:
            x = ops.expand_dims(x, 1)
        elif self.batch_first:
            x = ops.swapaxes(x, 0, 1)
        padded = self._lengths(lengths, x, batched)
        if padded is not None:
            x = padded.clear(x)
        reverse = padded.reverse if padded else (lambda sequence: ops.flip(sequence, 0))
        last = padded.last if padded else (lambda states: states[-1])
        pairs = zip(initial, names, strict=True)
        starts = zip(*(self._start(s, name, x, batched) for s, name in pairs), strict=True)
        finals = []
        for number in range(self.num_layers):
            if number and self.dropout and self.training:
                x = F.dropout(x, self.dropout)
            outputs = []
            for backward, suffix in enumerate(self._suffixes(number)):
                states = self._pass(reverse(x) if backward else x, next(starts), suffix)
                finals.append([last(kind) for kind in states])
                outputs.append(reverse(states[0]) if backward else states[0])
            x = ops.concat(outputs, axis=-1) if self.bidirectional else outputs[0]
            if padded is not None:
                x = padded.clear(x)
        ends = [ops.stack(kind) for kind in zip(*finals, strict=True)]
        if not batched:
            return ops.squeeze(x, 1), [ops.squeeze(end, 1) for end in ends]
        return ops.swapaxes(x, 0, 1) if self.batch_first else x, ends

    def _input(self, input: Any) -> Tensor:
        x = asarray(input)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            axes = "N, L" if self.batch_first else "L, N"
            raise ValueError(
                f"{type(self).__name__}: expected an input ({axes}, {self.input_size}) or (L, "
                f"{self.input_size}); got {x.shape}"
            )
        if x.shape[1 if self.batch_first and x.ndim == 3 else 0] == 0:
            raise ValueError(f"{type(self).__name__}: input {x.shape} has no steps")
        return x

    def _lengths(self, lengths: Any, x: Tensor, batched: bool) -> _Lengths | None:
        """Check the lengths; None: there is no padding."""
        if lengths is None:
            return None
        if not batched:
            raise ValueError(
                f"{type(self).__name__}: lengths need a batch; the input is one sequence"
            )
        steps, batch, _ = x.shape
        numbers = asarray(lengths).numpy()
        if numbers.dtype.kind not in "iu" or numbers.shape != (batch,):
            raise ValueError(
                f"{type(self).__name__}: expected lengths ({batch},) of integers; got "
                f"{numbers.dtype} numbers of shape {numbers.shape}"
            )
        if batch and not 1 <= numbers.min() <= numbers.max() <= steps:
            raise ValueError(
                f"{type(self).__name__}: expected lengths in [1, {steps}]; got lengths from "
                f"{numbers.min()} to {numbers.max()}"
            )
        return _Lengths(numbers.astype(np.int64), steps, x.device)

    def _start(self, state: Any, name: str, x: Tensor, batched: bool) -> Sequence[Tensor]:
        """The initial states (N, H), layer by layer, in each the forward direction first."""
        count, batch = self.num_layers * (1 + self.bidirectional), x.shape[1]
        if state is None:
            weight: Parameter = self._parameters("_l0")[1]
            nothing = zeros((batch, self.hidden_size), weight.dtype, device=weight.device)
            return [nothing] * count
        given = asarray(state)
        wanted = (count, batch, self.hidden_size) if batched else (count, self.hidden_size)
        if given.shape != wanted:
            raise ValueError(
                f"{type(self).__name__}: expected {name} of shape {wanted}; got {given.shape}"
            )
        return list(ops.unstack(given if batched else ops.expand_dims(given, 1)))

    def extra_repr(self) -> str:
        return sizes_and_options(
            self, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
            nonlinearity="tanh",
        )  # fmt: skip


def _sum_of(one: Parameter | None, other: Parameter | None) -> Tensor | None:
    return None if one is None or other is None else one + other


class RNN(_Recurrent):
    """A simple recurrent network (Elman 1990) over sequences: at each step, in each layer,

        h ← tanh(W x + b + U h + c)

    where x is the input or the h of the layer below.

    Args:
        input_size: the length of x in the first layer.
        hidden_size: H, the length of h.
        num_layers: number of stacked layers.
        nonlinearity: "tanh" or "relu".
        bias: whether to add b and c.
        batch_first: whether input and output are (N, L, …) instead of (L, N, …). States are not.
        dropout: the probability with which the outputs of all layers but the last are dropped in
            training.
        bidirectional: whether each layer has a second network that reads the reversed sequence; the
            layer's output is the concatenation of both.
        device, dtype: of the parameters; None: the defaults.

    Shapes: with D = 2 where bidirectional, else 1, layer k has `weight_ih_lk` W (H, input_size),
    in higher layers (H, D·H), `weight_hh_lk` U (H, H), `bias_ih_lk` b and `bias_hh_lk` c (H,) or
    None; those of the second direction end in `_reverse`.

    >>> rnn = nn.RNN(3, 5, num_layers=2, bidirectional=True)
    >>> output, h = rnn(tg.ones((7, 4, 3)), lengths=[7, 1, 3, 3])
    >>> output.shape, h.shape
    ((7, 4, 10), (4, 4, 5))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype,
        )  # fmt: skip
        check_nonlinearity(self, nonlinearity)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """Run over a batch of sequences, or over one.

        Args:
            input: x, (L, N, input_size), with `batch_first` (N, L, input_size); or (L, input_size).
            hx: h before the first step, (D·num_layers, N, H), or without N; None: 0. Layer by
                layer, in each the forward direction first.
            lengths: N integers in [1, L], the length of each sequence; the rest is padding. Results
                are those of the sequence without padding: outputs in the padding are 0, the final
                state is that after the last step, and the second direction begins at that step.
                Padding gets no gradient. None: all have L steps.

        Returns:
            The last layer's h at every step, (L, N, D·H), and the final h of every layer and
            direction, (D·num_layers, N, H); `batch_first` and a missing N as for the input.
        """
        output, (hidden,) = self._run(input, [hx], ["hx"], lengths)
        return output, hidden

    def _pass(self, x: Tensor, state: Sequence[Tensor], suffix: str) -> tuple[Tensor, ...]:
        weight, recurrent, bias, other = self._parameters(suffix)
        inputs = ops.linear(x, weight, _sum_of(bias, other))
        return (rnn_sequence(inputs, state[0], recurrent, self.nonlinearity),)


class LSTM(_Recurrent):
    """A long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) over sequences.

    At each step the gates i, f, g, o are the four parts of W x + b + U h + d, and

        c ← σ(f)·c + σ(i)·tanh(g),    h ← σ(o)·tanh(c)

    where x is the input or the h of the layer below.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device,
            dtype: as of `RNN`.
        forget_bias: added to the forget gate's part of every `bias_ih` at initialisation: 1 makes a
            new network remember, which speeds up learning (Jozefowicz et al. 2015).

    Shapes: as of `RNN`, with 4H rows instead of H, for i, f, g and o; `bias_hh_lk` is d.

    >>> lstm = nn.LSTM(3, 5, batch_first=True, forget_bias=1.0)
    >>> output, (h, c) = lstm(tg.ones((4, 7, 3)))
    >>> output.shape, h.shape, c.shape
    ((4, 7, 5), (1, 4, 5), (1, 4, 5))
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype,
        )  # fmt: skip
        check_forget_bias(self, forget_bias, bias)
        self.forget_bias = forget_bias
        add_forget_bias(self, hidden_size, forget_bias)

    def forward(
        self, input: Any, hx: Any = None, lengths: Any = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over a batch of sequences, or over one: as `RNN.forward`, with a c for each h. `hx`
        is the pair (h, c), and so is the second result.
        """
        initial = (None, None) if hx is None else pair(self, hx)
        output, (hidden, cell) = self._run(input, initial, ("h", "c"), lengths)
        return output, (hidden, cell)

    def _pass(self, x: Tensor, state: Sequence[Tensor], suffix: str) -> tuple[Tensor, ...]:
        weight, recurrent, bias, other = self._parameters(suffix)
        inputs = ops.linear(x, weight, _sum_of(bias, other))
        return tuple(lstm_sequence(inputs, state[0], state[1], recurrent))


class GRU(_Recurrent):
    """Gated recurrent units (Cho et al. 2014) over sequences, in PyTorch's form.

    At each step, with r, z, n the three parts of W x + b (ₓ) and of U h + d (ₕ),

        r = σ(rₓ + rₕ),    z = σ(zₓ + zₕ),    n = tanh(nₓ + r·nₕ),    h ← (1 − z)·n + z·h

    where x is the input or the h of the layer below.

    The arguments are `RNN`'s, without the nonlinearity.

    Shapes: as of `RNN`, with 3H rows instead of H, for r, z and n; `bias_hh_lk` is d.

    >>> output, h = nn.GRU(3, 5)(tg.ones((7, 3)))
    >>> output.shape, h.shape, bool((output[-1] == h[0]).all())
    ((7, 5), (1, 5), True)
    """

    gates = 3

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """Run over a batch of sequences, or over one: arguments and results as `RNN.forward`."""
        output, (hidden,) = self._run(input, [hx], ["hx"], lengths)
        return output, hidden

    def _pass(self, x: Tensor, state: Sequence[Tensor], suffix: str) -> tuple[Tensor, ...]:
        weight, recurrent, bias, other = self._parameters(suffix)
        return (gru_sequence(ops.linear(x, weight, bias), state[0], recurrent, other),)
