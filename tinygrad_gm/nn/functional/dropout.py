"""Dropout: random elements of the input, or of the weights, are zeroed during training.

With probability p an element is dropped, otherwise divided by 1 − p (*inverted* scaling), so that
its expected value is unchanged and evaluation is the identity. The mask is drawn from the default
generator, in the memory order of the masked array. Elements are selected, not multiplied by 0 and
1: a dropped one gives 0 and a gradient of 0, even if it or the gradient is infinite.
"""

from __future__ import annotations

from numbers import Real

import numpy as np

from ... import ops
from ...backend import ArrayLike
from ...ops.choosing import select
from ...random import default_generator
from ...tensor import Tensor, asarray
from .axes import Axes, over

__all__ = ["drop_connect", "dropout", "dropout1d", "dropout2d", "dropout3d", "stochastic_depth"]


def dropout(input: ArrayLike, p: float = 0.5, training: bool = True) -> Tensor:
    """m ⊙ x / (1 − p), where each m is 0 with probability p, else 1 (Srivastava et al. 2014).

    Args:
        input: any shape, floating.
        p: the probability of dropping an element; 1 gives zeros, 0 the input itself.
        training: False: the input itself.

    Raises:
        ValueError: p is outside [0, 1].
        TypeError: the input is not floating.

    >>> sorted(set(F.dropout(tg.ones(100), p=0.75).tolist()))
    [0.0, 4.0]
    """
    x = _floating("dropout", input, p)
    return _dropped(x, x.shape, p if training else 0)


def _channel_dropout(at: Axes, input: ArrayLike, p: float = 0.5, training: bool = True) -> Tensor:
    x = _floating(at.name, input, p)
    lead = 1 if at.batched(x)[1] else 2
    shape = (*x.shape[:lead], *(1 for _ in x.shape[lead:]))
    return _dropped(x, shape, p if training else 0)


@over(1, _channel_dropout)
def dropout1d() -> None:
    """`dropout` of whole channels of (N, C, L) or (C, L) (Tompson et al. 2015).

    Neighbouring elements are correlated: they would reveal a single dropped element.

    >>> F.dropout1d(tg.ones((2, 3, 4)), p=0.5).std(axis=-1).max().item()
    0.0
    """


@over(2, _channel_dropout)
def dropout2d() -> None:
    """`dropout` of whole channels of (N, C, H, W) or (C, H, W) (Tompson et al. 2015, section 3.2).

    >>> F.dropout2d(tg.ones((2, 3, 4, 4)), p=0.5).std(axis=(2, 3)).max().item()
    0.0
    """


@over(3, _channel_dropout)
def dropout3d() -> None:
    """`dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W) (Tompson et al. 2015).

    >>> F.dropout3d(tg.ones((3, 2, 2, 2)), p=0.5).std(axis=(1, 2, 3)).max().item()
    0.0
    """


def stochastic_depth(input: ArrayLike, p: float = 0.5, training: bool = True) -> Tensor:
    """`dropout` of whole examples: each is 0 with probability p, else divided by 1 − p.

    Of the residual F(x) of a block x + F(x), it skips the block for some examples (Huang et al.
    2016, "Deep Networks with Stochastic Depth"). It is torchvision's, with the mode "row".

    Args:
        input: (N, …), floating.
        p: the probability of dropping an example.
        training: False: the input itself.

    >>> F.stochastic_depth(tg.ones((9, 2, 3)), p=0.5).std(axis=(1, 2)).max().item()
    0.0
    """
    x = _floating("stochastic_depth", input, p)
    if not x.ndim:
        raise ValueError("stochastic_depth: expected an input (N, …); got ()")
    return _dropped(x, (x.shape[0], *(1 for _ in x.shape[1:])), p if training else 0)


def drop_connect(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike = None,
    p: float = 0.5,
    training: bool = True,
) -> Tensor:
    """x (M ⊙ W)ᵀ + m ⊙ b, over 1 − p: a linear map whose *weights* are dropped (Wan et al. 2013).

    Dropout drops a unit for all its consumers; here every connection is dropped independently. All
    examples of a call share one mask, so that it remains one matrix product (the paper draws one
    for each example).

    Args:
        input: (…, in).
        weight: (out, in).
        bias: (out,) or None; its entries are dropped too.
        p: the probability of dropping an entry; 1 gives zeros.
        training: False: plain `linear`, the mean over all masks.

    >>> out = F.drop_connect(tg.ones((2, 3)), tg.ones((4, 3)))
    >>> out.shape, tg.allclose(out[0], out[1])
    ((2, 4), True)
    """
    weight = _floating("drop_connect", weight, p)
    rate = p if training else 0
    weight = _dropped(weight, weight.shape, rate)
    bias = bias if bias is None else _dropped(asarray(bias), np.shape(bias), rate)
    return ops.linear(input, weight, bias)


def check_probability(name: str, p: float) -> None:
    """Raise ValueError, in the name of `name`, for a p outside [0, 1]."""
    if not (isinstance(p, Real) and 0 <= p <= 1):
        raise ValueError(f"{name}: expected a probability p in [0, 1]; got {p!r}")


def _floating(name: str, input: ArrayLike, p: float) -> Tensor:
    check_probability(name, p)
    x = asarray(input)
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected floating numbers; got {x.dtype}")
    return x


def _dropped(x: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """x / (1 − p) where a mask of a shape that broadcasts to x's keeps it; x itself for p = 0."""
    if not p:
        return x
    kept: Tensor = select(x, _mask(x, shape, p), 1 / (1 - p) if p < 1 else 1.0)
    return kept


def _mask(like: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """False with probability p, else True, in the memory order of `like`."""
    strides = like._data.strides
    order = sorted(range(len(shape)), key=lambda axis: -abs(strides[axis]))
    generator = default_generator()
    drawn = generator.uniform(tuple(shape[axis] for axis in order), dtype=np.float32)
    kept = drawn.to(like.device)._data >= p
    return asarray(kept.transpose(sorted(range(len(order)), key=order.__getitem__)))
