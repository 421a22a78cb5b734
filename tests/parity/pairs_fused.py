"""Layers and losses as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributions
import torch.nn.attention
import torch.nn.functional as torch_functional
from comparer import Config, Pair, config
from drawing import Draw, Shape

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

REDUCTIONS = ("mean", "sum", "none")
EPSILONS = (1e-5, 1e-3, 0.1)


def affine(d: Draw) -> Config:
    """Draws an input, a weight, and perhaps a bias."""
    inputs, outputs = d.integer(1, 4), d.integer(1, 4)
    x = d.floats((*d.shape((0, 3)), inputs))
    bias = d.floats((outputs,)) if d.chance(0.7) else None
    return config(x, d.floats((outputs, inputs)), bias)


def alike(*ranges: tuple[float, float]) -> Any:
    """Draws arrays of one shape, each in its range, and a reduction."""

    def draw(d: Draw) -> Config:
        reduction = d.one_of(REDUCTIONS)
        shape = d.shape(empty=0.0 if reduction == "mean" else 0.1)  # a mean of nothing is NaN
        return config(*(d.floats(shape, *r) for r in ranges), reduction=reduction)

    return draw


def scores_and_classes(d: Draw) -> Config:
    """Draws class scores, the classes on axis 1 (or the only one), and class numbers."""
    classes = d.integer(2, 5)
    shape = () if d.chance(0.1) else (d.integer(1, 4), *d.shape((0, 2), empty=0.0))
    scores = d.floats((*shape[:1], classes, *shape[1:]))
    target = d.integers(shape, 0, classes - 1)
    return config(scores, target, reduction=d.one_of(REDUCTIONS))


def activated(**options: tuple[float, float]) -> Callable[[Draw], Config]:
    """Draws an array of any shape, and numbers from the ranges."""

    def draw(d: Draw) -> Config:
        numbers = {key: d.number(*limits) for key, limits in options.items()}
        return config(d.floats(d.shape(), -4, 4), **numbers)

    return draw


def gelus(d: Draw) -> Config:
    """Draws an array and one of the two formulas, whose 1 + tanh cancels in float32 beyond −3."""
    return config(d.floats(d.shape((1, 4), (2, 4)), -3, 4), approximate=d.one_of(["none", "tanh"]))


def large(d: Draw) -> Config:
    """Draws an array that is worked on in blocks."""
    shape = (d.integer(3, 5), 53, d.integer(60, 90))
    return config(d.floats(shape, -3, 4), approximate=d.one_of(["none", "tanh"]))


def weight_and_bias(d: Draw, shape: Shape) -> list[Any]:
    """Both, the weight, or none: a bias alone PyTorch cannot differentiate twice."""
    weights = [d.floats(shape), d.floats(shape)]
    return d.one_of([weights, [weights[0], None], [None, None]])


def trailing(bias: bool) -> Callable[[Draw], Config]:
    """Draws an array whose last axes, of four numbers or more, are normalized, and weights."""

    def draw(d: Draw) -> Config:
        shape = d.one_of([(4,), (5,), (2, 3), (3, 2)])
        weights = weight_and_bias(d, shape)[: 1 + bias]
        x = d.floats((*d.shape((0, 2), empty=0.0), *shape))
        return config(x, *weights, normalized_shape=shape, eps=d.one_of(EPSILONS))

    return draw


def grouped(d: Draw) -> Config:
    """Draws (N, C, …) with its channels in groups of four numbers or more."""
    groups = d.integer(1, 3)
    channels = groups * d.integer(1, 2)
    x = d.floats((d.batch(), channels, d.integer(2, 3), 2))
    x = x if d.chance(0.6) else x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])
    weights = weight_and_bias(d, (channels,))
    return config(x, *weights, num_groups=groups, eps=d.one_of(EPSILONS))


def batch(d: Draw) -> Config:
    """Draws (N, C, …) of at least four numbers per channel, weights, and running statistics."""
    channels, rest = d.integer(1, 3), d.shape((0, 2), (1, 3), 0.0)
    count = d.integer(1, 3) if np.prod(rest) >= 4 else d.integer(4, 6)
    x = d.floats((count, channels, *rest))
    weights = weight_and_bias(d, (channels,))
    how = {"momentum": d.one_of([0.0, 0.1, 0.5, 1.0]), "eps": d.one_of(EPSILONS)}
    return config(x, *weights, training=d.chance(0.7), **how)


def queries_keys_values(d: Draw) -> Config:
    """Draws attention: perhaps masked by truth values, by numbers, or by the order."""
    lead = d.shape((0, 2), (1, 2), 0.05)
    rows, columns, width = d.integer(1, 4), d.integer(1, 4), d.integer(1, 3)
    query, key = d.floats((*lead, rows, width)), d.floats((*lead, columns, width))
    value, mask = d.floats((*lead, columns, d.integer(1, 3))), None
    kind = d.integer(0, 3)
    if kind == 1:
        mask = d.booleans((rows, columns), 0.7)
        mask[:, 0] = True
    elif kind == 2:
        mask = d.floats((*lead, rows, columns))
    scale = None if d.chance(0.7) else d.number(0.2, 1.0)
    return config(query, key, value, mask, is_causal=kind == 3, scale=scale)


def blocked_rows(d: Draw) -> Config:
    """Draws a mask of truth values whose first row may attend to nothing."""
    query, key, value = (d.floats((2, 3, 2)) for _ in range(3))
    mask = d.booleans((3, 3), 0.7)
    mask[0] = False
    return config(query, key, value, mask, is_causal=False, scale=None)


def recurrent(gates: int, states: int) -> Callable[[Draw], Config]:
    """Draws an input, states, and the weights of a cell."""

    def draw(d: Draw) -> Config:
        count, inputs, size = d.batch(), d.integer(1, 3), d.integer(1, 3)
        before = [d.floats((count, size)) for _ in range(states)]
        weights = [d.floats((gates * size, n)) for n in (inputs, size)]
        biases = [d.floats((gates * size,)) for _ in range(2)]
        return config(d.floats((count, inputs)), *before, *weights, *biases)

    return draw


def weighted_classes(d: Draw) -> Config:
    """Draws log-probabilities, class numbers some of which do not count, and weights of classes."""
    drawn = scores_and_classes(d)
    scores, target = drawn.arrays
    classes = scores.shape[1] if scores.ndim > 1 else scores.shape[0]
    ignored = d.integer(0, classes - 1) if d.chance(0.3) else -100
    if (target == ignored).all():
        ignored = -100
    weight = np.round(d.rng.uniform(0.5, 1.5, classes), 1).astype(d.dtype)
    weight = weight if d.chance(0.5) else None
    return config(scores, target, weight=weight, ignore_index=ignored, **drawn.params)


def words(d: Draw) -> Config:
    """Draws a table of words, and the words of a text (of an empty one PyTorch has no second)."""
    count = d.integer(1, 5)
    text = d.integers(d.shape((0, 3), empty=0.0), 0, count - 1)
    padding = d.integer(0, count - 1) if d.chance(0.3) else None
    return config(d.floats((count, d.integer(1, 3))), text, padding_idx=padding)


def same_name(name: str, draw: Any, variant: str = "", **options: Any) -> Pair:
    """A function of `F` that PyTorch's `F` has under the same name, with the same arguments."""
    label = f"{name} ({variant})" if variant else name
    return Pair(label, getattr(F, name), getattr(torch_functional, name), draw, **options)


def both(name: str, call: Callable[..., Any], draw: Any, **options: Any) -> Pair:
    """As `same_name`, where `call(function, arrays, …)` puts the arguments in their places."""
    ours, theirs = getattr(F, name), getattr(torch_functional, name)
    return Pair(
        name,
        lambda *arrays, **params: call(ours, *arrays, **params),
        lambda *arrays, **params: call(theirs, *arrays, **params),
        draw,
        **options,
    )


def call_norm(function: Any, x: Any, *weights: Any, normalized_shape: Any, eps: float) -> Any:
    return function(x, normalized_shape, *weights, eps=eps)


def call_group_norm(function: Any, x: Any, w: Any, b: Any, num_groups: int, eps: float) -> Any:
    return function(x, num_groups, w, b, eps)


def our_batch_norm(x: Any, weight: Any, bias: Any, **params: Any) -> Any:
    """The result, and the running statistics that it left."""
    mean = tg.asarray(np.linspace(-1, 1, x.shape[1]).astype(x.dtype))
    variance = tg.asarray(np.linspace(0.5, 1.5, x.shape[1]).astype(x.dtype))
    return F.batch_norm(x, mean, variance, weight, bias, **params), mean, variance


def torch_batch_norm(x: Any, weight: Any, bias: Any, **params: Any) -> Any:
    mean = torch.linspace(-1, 1, x.shape[1], dtype=torch.float64).to(x.dtype)
    variance = torch.linspace(0.5, 1.5, x.shape[1], dtype=torch.float64).to(x.dtype)
    return torch_functional.batch_norm(x, mean, variance, weight, bias, **params), mean, variance


def torch_attention(query: Any, key: Any, value: Any, mask: Any, **params: Any) -> Any:
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # any order
        attend = torch_functional.scaled_dot_product_attention
        return attend(query, key, value, mask, **params)


def call_nll(function: Any, scores: Any, target: Any, weight: Any, **params: Any) -> Any:
    """The weights are constants, in PyTorch too."""
    like = torch.tensor if isinstance(scores, torch.Tensor) else tg.asarray
    return function(scores, target, None if weight is None else like(weight), **params)


def our_lstm_cell(x: Any, hidden: Any, cell: Any, w: Any, u: Any, b: Any, c: Any) -> Any:
    return tg.ops.lstm_cell(F.linear(x, w, b) + F.linear(hidden, u, c), cell)


def torch_lstm_cell(x: Any, hidden: Any, cell: Any, *weights: Any) -> Any:
    return torch.lstm_cell(x, (hidden, cell), *weights)


def our_gru_cell(x: Any, hidden: Any, w: Any, u: Any, b: Any, c: Any) -> Any:
    return tg.ops.gru_cell(F.linear(x, w, b), F.linear(hidden, u, c), hidden)


def normals(d: Draw) -> Config:
    """Draws the means and log-variances of two normal distributions."""
    shape = d.shape(empty=0.0)
    return config(*(d.floats(shape) for _ in range(4)), reduction=d.one_of(REDUCTIONS))


def torch_kl(mu: Any, log_var: Any, mu_q: Any, log_var_q: Any, reduction: str) -> Any:
    p, q = (
        torch.distributions.Normal(m, (v / 2).exp()) for m, v in ((mu, log_var), (mu_q, log_var_q))
    )
    losses = torch.distributions.kl_divergence(p, q)
    return losses if reduction == "none" else getattr(losses, reduction)()


PAIRS = [
    same_name("linear", affine, count=80),
    same_name("gelu", gelus, count=80),
    same_name("gelu", large, "in blocks", count=50),
    same_name("silu", activated()),
    same_name("mish", lambda d: config(d.floats(d.shape((1, 4), (2, 4)), -4, 4))),
    same_name("softplus", activated(beta=(0.5, 3.0), threshold=(1.0, 20.0))),
    both("layer_norm", call_norm, trailing(bias=True), count=80),
    both("rms_norm", call_norm, trailing(bias=False), count=80),
    both("group_norm", call_group_norm, grouped, count=80),
    Pair("batch_norm", our_batch_norm, torch_batch_norm, batch, count=80),
    Pair(
        "scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        torch_attention,
        queries_keys_values,
        count=100,
    ),
    Pair(
        "scaled_dot_product_attention (blocked rows)",
        F.scaled_dot_product_attention,
        torch_attention,
        blocked_rows,
    ),
    Pair("lstm_cell", our_lstm_cell, torch_lstm_cell, recurrent(4, 2)),
    Pair("gru_cell", our_gru_cell, torch.gru_cell, recurrent(3, 1)),
    both("embedding", lambda function, w, i, **p: function(i, w, **p), words),
    Pair("kl_normal", F.kl_normal, torch_kl, normals),
    same_name("mse_loss", alike((-2, 2), (-2, 2))),
    same_name("binary_cross_entropy_with_logits", alike((-4, 4), (0, 1))),
    same_name("cross_entropy", scores_and_classes, count=80),
    both("nll_loss", call_nll, weighted_classes, count=80),
]
