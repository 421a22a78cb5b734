"""Random calls of everything that native kernels compute: sizes, arguments and memory orders."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn, optim

Rng = np.random.Generator


class Case(NamedTuple):
    """A call in float32, which can be repeated in float64.

    `function` is called with the arrays and returns a Tensor; gradients are taken of those that are
    floating. `terms` is the length of the longest sum in the result or in a gradient.
    """

    function: Callable[..., Any]
    arrays: list[Any]
    terms: int


def results(case: Case, dtype: Any, seed: int) -> list[np.ndarray]:
    """The value and the gradients of a case in a dtype.

    The upstream gradient is positive: a sum that cancels to almost nothing has a large relative
    error in any order of its terms.
    """
    leaves = [
        tg.asarray(a.astype(dtype, copy=False)).requires_grad_() if a.dtype.kind == "f" else a
        for a in case.arrays
    ]
    out = case.function(*leaves)
    if out.requires_grad:
        upstream = np.random.default_rng(seed).uniform(0.5, 1.5, out.shape).astype(np.float32)
        out.backward(tg.tensor(upstream.astype(dtype)))
    gradients = [leaf.grad for leaf in leaves if isinstance(leaf, tg.Tensor)]
    return [out.numpy(), *(gradient.numpy() for gradient in gradients if gradient is not None)]


def numbers(rng: Rng, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal numbers in a random memory order: in order, reversed axes, a step, channels last."""
    order = rng.integers(5)
    if order == 0:
        array = np.empty(shape[::-1], np.float32).T
    elif order == 1:
        array = np.empty((*shape[:-1], 2 * shape[-1]), np.float32)[..., ::2]
    elif order == 2 and len(shape) > 2:
        array = np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), np.float32), -1, 1)
    else:
        array = np.empty(prod(shape) + 1, np.float32)[rng.integers(2) :][: prod(shape)]
        array = array.reshape(shape)
    array[...] = scale * rng.standard_normal(shape)
    return array


def size(rng: Rng, least: int = 1, most: int = 40) -> int:
    """A size: often a small one, or a power of two and its neighbours."""
    drawn = int(
        rng.choice([rng.integers(least, most + 1), 2 ** rng.integers(0, 7) + rng.integers(-1, 2)])
    )
    return min(max(drawn, least), most)


def shape_of(rng: Rng, most: int = 4) -> tuple[int, ...]:
    """A shape of one to `most` axes."""
    return tuple(size(rng, most=24) for _ in range(rng.integers(1, most + 1)))


MAPS: list[Callable[[Any], Any]] = [
    tg.exp, tg.erf, tg.tanh, tg.sigmoid, tg.relu, F.silu, F.gelu, F.relu6, F.leaky_relu, F.hardtanh,
    lambda x: F.gelu(x, "tanh"), lambda x: tg.log(tg.square(x) + 0.5),
]  # fmt: skip


def elementwise(rng: Rng) -> Case:
    function = MAPS[rng.integers(len(MAPS))]
    return Case(function, [numbers(rng, *shape_of(rng), scale=rng.choice([0.1, 1.0, 4.0]))], 1)


def binary_cross_entropy(rng: Rng) -> Case:
    shape = shape_of(rng)
    targets = rng.random(shape).astype(np.float32)
    return Case(
        lambda x: F.binary_cross_entropy_with_logits(
            x, tg.tensor(targets).astype(x.dtype), reduction="none"
        ),
        [numbers(rng, *shape, scale=3.0)],
        1,
    )


def softmaxes(rng: Rng) -> Case:
    rows, columns = size(rng), size(rng, 2, 300)
    function = [tg.softmax, tg.log_softmax][rng.integers(2)]
    return Case(
        lambda x: function(x, axis=-1), [numbers(rng, rows, columns, scale=3.0)], 2 * columns
    )


def cross_entropies(rng: Rng) -> Case:
    rows, classes = size(rng), size(rng, 2, 300)
    labels = rng.integers(0, classes, rows)
    smoothing = float(rng.choice([0.0, 0.1]))
    return Case(
        lambda x: F.cross_entropy(x, tg.tensor(labels), label_smoothing=smoothing),
        [numbers(rng, rows, classes, scale=2.0)],
        rows + classes,
    )


def attention(rng: Rng) -> Case:
    batch, rows, columns, width = size(rng, most=4), size(rng), size(rng), size(rng, most=32)
    causal = bool(rng.integers(2))
    shapes = (batch, rows, width), (batch, columns, width), (batch, columns, width)
    return Case(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        [numbers(rng, *shape) for shape in shapes],
        rows + columns + width,
    )


def convolutions(rng: Rng) -> Case:
    ndim = int(rng.integers(1, 4))
    batch, groups = size(rng, most=4), int(rng.choice([1, 1, 2, 4]))
    per_group, out = size(rng, most=9), groups * size(rng, most=9)
    if rng.integers(4) == 0:  # depthwise
        groups = out = size(rng, most=24)
        per_group = 1
    kernel = [int(n) for n in rng.integers(1, 4 if ndim > 1 else 6, ndim)]
    stride, padding = int(rng.integers(1, 3)), int(rng.integers(0, 2))
    dilation = int(rng.integers(1, 3))
    sizes = [dilation * (k - 1) + size(rng, most=18 if ndim < 3 else 5) for k in kernel]
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[ndim]
    arrays = [
        numbers(rng, batch, groups * per_group, *sizes),
        numbers(rng, out, per_group, *kernel),
        numbers(rng, out),
    ]
    terms = max(per_group, out // groups) * prod(kernel)
    return Case(
        lambda x, w, b: function(x, w, b, stride, padding, dilation, groups),
        arrays,
        max(terms, batch * prod(sizes)),
    )


def transposed_convolutions(rng: Rng) -> Case:
    ndim = int(rng.integers(1, 3))
    batch, channels, out = size(rng, most=4), size(rng, most=9), size(rng, most=9)
    kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    sizes = [size(rng, 2, 12) for _ in range(ndim)]
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d}[ndim]
    arrays = [
        numbers(rng, batch, channels, *sizes),
        numbers(rng, channels, out, *[kernel] * ndim),
    ]
    terms = max(channels, out) * kernel**ndim
    return Case(
        lambda x, w: function(x, w, None, stride),
        arrays,
        max(terms, batch * prod(sizes)),
    )


def pools(rng: Rng) -> Case:
    kernel, stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    padding = int(rng.integers(0, kernel // 2 + 1))
    function = [F.max_pool2d, F.avg_pool2d][rng.integers(2)]
    x = numbers(rng, size(rng, most=4), size(rng, most=17), size(rng, 3, 20), size(rng, 3, 20))
    return Case(lambda x: function(x, kernel, stride, padding), [x], kernel**2)


def channel_norms(rng: Rng) -> Case:
    batch, channels, height, width = 1 + size(rng, most=6), 2 * size(rng, most=12), 4, size(rng, 2)
    weight, bias = numbers(rng, channels), numbers(rng, channels)
    kind = rng.integers(3)
    if kind == 0:
        terms, function = (
            batch * height * width,
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        )
    elif kind == 1:
        terms, function = channels * height * width, lambda x, w, b: F.group_norm(x, 2, w, b)
    else:
        terms, function = height * width, lambda x, w, b: F.instance_norm(x, weight=w, bias=b)
    return Case(
        function,
        [numbers(rng, batch, channels, height, width), weight, bias],
        terms + batch * height * width,
    )


def row_norms(rng: Rng) -> Case:
    rows, columns = size(rng), size(rng, 2, 200)
    arrays = [numbers(rng, rows, columns), numbers(rng, columns), numbers(rng, columns)]
    if rng.integers(2):
        return Case(lambda x, w: F.rms_norm(x, (columns,), w), arrays[:2], rows + columns)
    return Case(lambda x, w, b: F.layer_norm(x, (columns,), w, b), arrays, rows + columns)


def reductions(rng: Rng) -> Case:
    shape = shape_of(rng)
    axes = tuple(int(a) for a in np.flatnonzero(rng.integers(0, 2, len(shape))))
    function = [tg.sum, tg.mean, tg.var][rng.integers(3)]
    x = numbers(rng, *shape)
    x += 2  # sums that cancel to nothing have no relative error
    return Case(lambda x: function(x, axis=axes), [x], prod(shape))


def products(rng: Rng) -> Case:
    rows, inner, columns = size(rng, most=80), size(rng, most=80), size(rng, most=80)
    if rng.integers(2):
        arrays = [numbers(rng, rows, inner), numbers(rng, columns, inner), numbers(rng, columns)]
        return Case(F.linear, arrays, rows + inner + columns)
    batch = size(rng, most=5)
    arrays = [numbers(rng, batch, rows, inner), numbers(rng, batch, inner, columns)]
    return Case(tg.matmul, arrays, rows + inner + columns)


def recurrent(rng: Rng) -> Case:
    length, batch, inputs, hidden = (size(rng, most=n) for n in (12, 8, 12, 24))
    kind, seed = [nn.RNN, nn.LSTM, nn.GRU][rng.integers(3)], int(rng.integers(1000))

    def function(x: Any) -> Any:
        tg.manual_seed(seed)
        return kind(inputs, hidden).to(str(x.dtype))(x)[0]

    x = numbers(rng, length, batch, inputs)
    return Case(function, [x], length * (inputs + 4 * hidden))


def tables(rng: Rng) -> Case:
    rows, width = size(rng), size(rng)
    count = size(rng, most=60)
    if rng.integers(2):
        indices = rng.integers(0, rows, count)
        function = lambda w: F.embedding(tg.tensor(indices), w)  # noqa: E731
        return Case(function, [numbers(rng, rows, width)], count)
    places = rng.integers(0, rows, (count, width))
    arrays = [numbers(rng, rows, width), numbers(rng, count, width)]
    return Case(lambda x, y: tg.scatter_add(x, places, y, 0), arrays, count)


OPTIMIZERS: list[Callable[[Any], Any]] = [
    lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    lambda p: optim.AdamW(p, lr=0.01),
    lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
]


def optimizers(rng: Rng) -> Case:
    make, steps = OPTIMIZERS[rng.integers(len(OPTIMIZERS))], int(rng.integers(1, 6))
    shape = (size(rng), size(rng, most=200))
    gradients = [rng.standard_normal(shape).astype(np.float32) for _ in range(steps)]

    def function(x: Any) -> Any:
        parameter = nn.Parameter(tg.tensor(x.numpy()))
        optimizer = make([parameter])
        for gradient in gradients:
            parameter.grad = tg.tensor(gradient.astype(x.dtype))
            optimizer.step()
        return parameter.detach()

    return Case(function, [numbers(rng, *shape)], steps)


FAMILIES = [
    elementwise, binary_cross_entropy, softmaxes, cross_entropies, attention, convolutions,
    transposed_convolutions, pools, channel_norms, row_norms, reductions, products, recurrent,
    tables, optimizers,
]  # fmt: skip
