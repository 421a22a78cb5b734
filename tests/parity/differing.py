"""How results of ours and PyTorch's differ: the core of every comparison.

For outputs y of a function of the inputs x, a random upstream gradient v and random weights w:

    y = f(x)        g = ∂⟨y, v⟩/∂x        h = ∂⟨g, w⟩/∂(x, v)

Values, gradients g and second gradients h must agree norm-wise, |a − b| ≤ tolerance · max|b|, in
shape, and in dtype. (An elementwise relative bound would fail correct code where numbers cancel.)
A gradient is one vector, whichever arrays its parts belong to: max|b| is taken over all of them.
Infinities and NaN must stand at the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import tinygrad_gm as tg

TOLERANCE = {"float16": 1e-3, "float32": 1e-5, "float64": 1e-10}

MIX = {  # sums of terms of both signs: whether ∞ or NaN comes out depends on their order
    *("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", "entropy", "kl_div"),
    *("lerp", "median", "softsign", "Softsign"),
    *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "local_response_norm"),
    *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "RMSNorm", "GroupNorm"),
    *("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LocalResponseNorm"),
    *("gru_cell", "gru_sequence", "lstm_cell", "lstm_sequence", "rnn_sequence"),
    *("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"),
    *("scaled_dot_product_attention", "MultiheadAttention", "Transformer"),
    *("TransformerEncoder", "TransformerEncoderLayer"),
    *("TransformerDecoder", "TransformerDecoderLayer"),
    *("bilinear", "Bilinear", "einsum", "det", "inv", "slogdet", "solve"),
    *("conv1d", "conv2d", "conv3d", "Conv1d", "Conv2d", "Conv3d"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "interpolate", "Upsample"),
}

TIMES_ZERO = {  # PyTorch multiplies ∞ by the 0 of a mask or a margin, which we leave out
    *("conv1d", "conv2d", "conv3d", "Conv1d", "Conv2d", "Conv3d", "interpolate", "Upsample"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "drop_connect", "stochastic_depth"),
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d"),
    *("max", "min", "norm"),
}
PRODUCTS = {"gelu", "GELU", "silu", "SiLU"}  # a graph of x · σ(x) makes ∞ − ∞
NOT_SENT = {  # no infinite upstream gradients
    "cholesky",  # PyTorch adds what reaches the zeros of the triangle to its sums
    "prod",  # with zeros among the factors PyTorch has another formula
    "pow",  # PyTorch multiplies by the ln x of the exponent's gradient also where it is 0
}

torch.set_num_threads(1)


def takes_infinities(name: str) -> bool:
    """Whether a function or layer is sent infinite upstream gradients."""
    return name.partition(" (")[0] not in NOT_SENT


class Upstream:
    """Draws upstream gradients in ±[½, 3/2); for the `infinite` function, ∞, −∞ and NaN among them.

    Gradients of what is infinite must then agree, too, but for functions that are named above.
    """

    def __init__(self, *seed: int, infinite: str = "") -> None:
        self.rng = np.random.default_rng(seed)
        self.infinite = infinite.partition(" (")[0]

    def like(self, tensor: torch.Tensor) -> Any:
        """An array of the shape and dtype of a tensor."""
        numbers = self.rng.uniform(0.5, 1.5, tensor.shape)
        numbers = numbers * self.rng.choice([-1.0, 1.0], tensor.shape)
        if self.infinite:
            special = self.rng.choice([np.inf, -np.inf, np.nan], tensor.shape)
            numbers = np.where(self.rng.random(tensor.shape) < 0.3, special, numbers)
        return np.asarray(numbers, as_array(tensor).dtype)

    def settled(self, ours: list[Any], theirs: list[Any]) -> tuple[list[Any], list[Any]]:
        """Both gradients, made alike where what becomes of an infinity is not certain."""
        a, b = ([as_array(g).copy() for g in side] for side in (ours, theirs))
        for mine, other in zip(a, b, strict=True):
            if self.infinite in MIX:
                mine[np.isinf(mine)] = other[np.isinf(other)] = np.nan
            if self.infinite in TIMES_ZERO and mine.shape == other.shape:
                left_out = np.isnan(other) & np.isfinite(mine)
                other[left_out] = mine[left_out]
        return a, b


def difference(y: Any, y_torch: Any, x: Any, x_torch: Any, upstream: Upstream, order: int) -> str:
    """How outputs y, and their derivatives up to `order` by the inputs x, differ; or nothing.

    Outputs and inputs may be nested; inputs that want no gradient are passed over. An infinite
    upstream gradient is sent back twice, as arrays and as a graph, and has no second derivatives.
    """
    y, y_torch = [*leaves(y)], [*leaves(y_torch)]
    if complaint := compared("value", y, y_torch):
        return complaint
    x, x_torch = ([t for t in leaves(side) if _wants_gradient(t)] for side in (x, x_torch))
    picked = [i for i, output in enumerate(y_torch) if _wants_gradient(output)]
    if not order or not picked or not x_torch:
        return ""
    y, y_torch = [y[i] for i in picked], [y_torch[i] for i in picked]
    v = [upstream.like(output) for output in y_torch]
    ups, ups_torch = [as_ours(a) for a in v], [as_torch(a) for a in v]
    second = order > 1 and not upstream.infinite
    with np.errstate(all="ignore" if upstream.infinite else None):
        g = _grad(y, x, ups, create_graph=second, retain_graph=True)
    g_torch = _torch_grad(y_torch, x_torch, ups_torch, create_graph=second)
    expected = _filled(g_torch, x_torch)
    if upstream.infinite:
        sides = {"gradient": g}
        if upstream.infinite not in PRODUCTS:
            with np.errstate(all="ignore"):
                sides["gradient as a graph"] = _grad(y, x, ups, create_graph=True)
        for what, ours in sides.items():
            if complaint := compared(what, *upstream.settled(_filled(ours, x_torch), expected)):
                return complaint
        return ""
    if complaint := compared("gradient", _filled(g, x_torch), expected):
        return complaint
    if not second:
        return ""
    w = [upstream.like(a) for a in x_torch]
    wanted = x_torch + ups_torch
    h = _sent_back(_grad, g, x + ups, [tg.asarray(a) for a in w])
    h_torch = _sent_back(_torch_grad, g_torch, wanted, [torch.tensor(a) for a in w])
    return compared("second gradient", _filled(h, wanted), _filled(h_torch, wanted))


def _grad(y: Any, x: Any, v: Any, **options: bool) -> Any:
    return tg.grad(y, x, v, allow_unused=True, **options)


def _torch_grad(y: Any, x: Any, v: Any, **options: bool) -> Any:
    return torch.autograd.grad(y, x, v, allow_unused=True, **options)


def _sent_back(grad: Callable[..., Any], g: Any, inputs: list[Any], w: list[Any]) -> Any:
    """The gradients of ⟨g, w⟩, of those parts of g that are a graph."""
    recorded = [i for i, a in enumerate(g) if a is not None and a.requires_grad]
    if not recorded:
        return [None] * len(inputs)
    return grad([g[i] for i in recorded], inputs, [w[i] for i in recorded])


def compared(what: str, ours: list[Any], theirs: list[Any]) -> str:
    """How two lists of results differ, or nothing."""
    if len(ours) != len(theirs):
        return f"{what}: {len(ours)} results, PyTorch has {len(theirs)}"
    pairs = [(as_array(a), as_array(b)) for a, b in zip(ours, theirs, strict=True)]
    largest = max((_largest(b) for _, b in pairs), default=0.0)
    for number, (a, b) in enumerate(pairs):
        label = what if len(pairs) == 1 else f"{what} {number}"
        if a.shape != b.shape:
            return f"{label}: shape {a.shape}, PyTorch has {b.shape}"
        if a.dtype != b.dtype:
            return f"{label}: dtype {a.dtype}, PyTorch has {b.dtype}"
        if not _agree(a, b, _largest(b) if what == "value" else largest):
            return f"{label}: {a.tolist()}\n  PyTorch has {b.tolist()}"
    return ""


def _largest(b: Any) -> float:
    return float(np.abs(b[np.isfinite(b)]).max(initial=0.0)) if b.dtype.kind == "f" else 0.0


def _agree(a: Any, b: Any, largest: float) -> bool:
    """Exactly for integers; norm-wise for finite numbers, and exactly for the others."""
    if b.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return False
    distance = np.abs(a[finite] - b[finite])
    return bool((distance <= TOLERANCE[b.dtype.name] * largest).all())


def leaves(value: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and dictionaries, less None."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, dict):
        yield from leaves([*value.values()])
    elif value is not None:
        yield value


def mapped(value: Any, make: Callable[[Any], Any]) -> Any:
    """The same nested tuples, lists and dictionaries of what `make` makes of the leaves."""
    if isinstance(value, (tuple, list)):
        parts = [mapped(part, make) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, dict):
        return {key: mapped(part, make) for key, part in value.items()}
    return make(value)


def as_array(result: Any) -> Any:
    """A tensor of either library as an array."""
    if isinstance(result, torch.Tensor):
        return result.detach().numpy(force=True)  # zeros that were never allocated, too
    return np.asarray(result.detach() if isinstance(result, tg.Tensor) else result)


def as_ours(array: Any) -> Any:
    """The array itself, whatever its strides, as a Tensor; numbers and None as they are."""
    if not isinstance(array, np.ndarray):
        return array
    made = tg.asarray(array)
    return made.requires_grad_() if array.dtype.kind == "f" else made


def as_torch(array: Any) -> Any:
    """A contiguous copy as PyTorch's tensor; numbers and None as they are."""
    if not isinstance(array, np.ndarray):
        return array
    return torch.tensor(np.array(array, order="C"), requires_grad=array.dtype.kind == "f")


def _wants_gradient(tensor: Any) -> bool:
    return isinstance(tensor, (tg.Tensor, torch.Tensor)) and tensor.requires_grad


def _filled(gradients: Any, like: list[Any]) -> list[Any]:
    """Zeros where nothing depends on an input: PyTorch and we say None at different places."""
    return [
        np.zeros_like(as_array(b)) if a is None else a for a, b in zip(gradients, like, strict=True)
    ]
