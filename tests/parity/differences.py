"""Where PyTorch's own sample inputs are not ours, each with its reason.

Three kinds. What is "refused" must raise an error of ours; what is "other" must differ at least
once; a number is how many derivatives are compared. An entry that is met no longer fails the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from differing import leaves

REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, OverflowError)


@dataclass(frozen=True)
class Sample:
    """One call of an operation: its name and variant, what it is given, and of which dtype."""

    name: str
    first: Any
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    dtype: torch.dtype

    @property
    def arguments(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The first argument, the others by place, and those by name."""
        return self.first, self.args, self.keywords

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All tensors among the arguments."""
        return [t for t in leaves(self.arguments) if isinstance(t, torch.Tensor)]

    @property
    def size(self) -> int:
        """How many elements they have together."""
        return sum(t.numel() for t in self.tensors)

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by its place behind the first one, or its name."""
        return self.args[place] if len(self.args) > place else self.keywords.get(name, default)

    def __str__(self) -> str:
        def shown(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return f"{value.dtype}{tuple(value.shape)}"
            if isinstance(value, (tuple, list)):
                return [shown(v) for v in value]
            return value

        keywords = {key: shown(value) for key, value in self.keywords.items()}
        return f"{self.name} of {shown(self.first)}, {shown(self.args)}, {keywords}"


@dataclass(frozen=True)
class Difference:
    """Why calls of operations differ.

    Attributes:
        reason: in words.
        names: of operations, with their variants in brackets; patterns.
        when: which of their calls.
        kind: "refused", "other", or how many derivatives are compared.
    """

    reason: str
    names: tuple[str, ...]
    when: Callable[[Sample], bool]
    kind: str | int

    def concerns(self, name: str) -> bool:
        """Whether it is about an operation."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)

    def holds(self, sample: Sample) -> bool:
        """Whether it is about a call."""
        return self.concerns(sample.name) and self.when(sample)

    def __str__(self) -> str:
        return self.reason


def refused(reason: str, *names: str, when: Any = None) -> Difference:
    """What there is not here."""
    return Difference(reason, names, when or always, "refused")


def other(reason: str, *names: str, when: Any = None) -> Difference:
    """What gives other results."""
    return Difference(reason, names, when or always, "other")


def limited(order: int, reason: str, *names: str, when: Any = None) -> Difference:
    """What agrees in its first derivatives only, or in none."""
    return Difference(reason, names, when or always, order)


def always(sample: Sample) -> bool:
    return True


def integers(sample: Sample) -> bool:
    return not sample.dtype.is_floating_point


def truths(sample: Sample) -> bool:
    return sample.dtype == torch.bool


def unsigned(sample: Sample) -> bool:
    return sample.dtype == torch.uint8


def no_axes(sample: Sample) -> bool:
    """An array without axes, one of which is named."""
    axes = [v for v in leaves((sample.args, sample.keywords)) if type(v) is int]
    return isinstance(sample.first, torch.Tensor) and sample.first.ndim == 0 and bool(axes)


def one_float32(sample: Sample) -> bool:
    return sample.dtype == torch.float32 and sample.size == 1


def not_a_number(sample: Sample) -> bool:
    return any(bool(t.isnan().any()) for t in sample.tensors if t.is_floating_point())


def zeros(sample: Sample) -> bool:
    return any(bool((t == 0).any()) for t in sample.tensors if t.is_floating_point())


def equal_elements(sample: Sample) -> bool:
    """Enough elements for ties, whose order PyTorch does not promise."""
    return sample.first.numel() > 10


def negative_powers(sample: Sample) -> bool:
    """Integers to powers some of which are negative."""
    exponent = sample.first if sample.name == "__rpow__" else sample.args[0]
    return integers(sample) and bool((torch.as_tensor(exponent) < 0).any())


def order_of_norm(place: int, word: str) -> Callable[[Sample], bool]:
    """Norms of an order below 1, or of a name."""

    def below(sample: Sample) -> bool:
        order = sample.get(place, word, 2)
        return order not in (None, "fro") and not (isinstance(order, (int, float)) and order >= 1)

    return below


def stochastic(sample: Sample) -> bool:
    """Dropout that draws."""
    attends = "attention" in sample.name
    p = sample.keywords.get("dropout_p", 0.0) if attends else sample.get(0, "p", 0.5)
    return 0 < p < 1 and sample.get(1, "training", True) is not False


def loose_index(sample: Sample) -> bool:
    """An index shorter than the array along an axis that it does not index."""
    x, (axis, index) = sample.first, sample.args[:2]
    sizes = zip(x.shape, index.shape, strict=False)
    return x.ndim != index.ndim or any(
        n != m for a, (n, m) in enumerate(sizes) if a != axis % x.ndim
    )


def stack_of_vectors(sample: Sample) -> bool:
    """Stacks of matrices, and right-hand sides with an axis less."""
    return sample.args[0].ndim == sample.first.ndim - 1 > 1


def has(name: str) -> Callable[[Sample], bool]:
    """Calls with a keyword, not None."""
    return lambda sample: sample.keywords.get(name) is not None


DIFFERENCES = [
    # What an array is.
    refused(
        "an array without axes has no axis 0: PyTorch takes it for a vector",
        *("cumsum", "cumprod", "gather", "index_select", "topk", "scatter_add"),
        *("sort", "argsort", "squeeze*", "transpose"),
        when=no_axes,
    ),
    refused(
        "an array without axes has no axes (0,)",
        "logsumexp",
        when=lambda s: s.first.ndim == 0 and isinstance(s.args[0], tuple),
    ),
    refused(
        "a number has no indices",
        "nonzero",
        when=lambda s: s.first.ndim == 0 and s.keywords["as_tuple"],
    ),
    other(
        "integers become floating numbers in what divides, also where PyTorch keeps them",
        *("nn.functional.avg_pool?d", "nn.functional.hardtanh", "nn.functional.relu6"),
        *("nn.functional.local_response_norm", "nn.functional.margin_ranking_loss"),
        "nn.functional.interpolate (bilinear)",
        when=integers,
    ),
    refused(
        "a number that the dtype cannot hold",
        *("add", "sub", "rsub", "index_add"),
        when=lambda s: unsigned(s) and s.keywords.get("alpha", 0) < 0,
    ),
    refused(
        "a number that the dtype cannot hold",
        "nn.functional.pad (constant)",
        when=lambda s: truths(s) and s.get(2, "value") not in (None, 0, 1),
    ),
    refused(
        "a number that the dtype cannot hold",
        "full_like",
        when=lambda s: unsigned(s) and s.args[0] < 0 and not s.keywords.get("dtype"),
    ),
    other("any and all of bytes are truth values", "all", "any", when=unsigned),
    other("integer weights are counted in the default dtype", "bincount", when=has("weights")),
    other("a number widens truth values, as in NumPy", "masked_fill", when=truths),
    other("the square of a truth value is one, as in NumPy", "square", when=truths),
    refused("integers to negative integers, as in NumPy", "__rpow__", when=negative_powers),
    # NaN, zero, kinks, rounding errors.
    limited(
        0,
        "the gradient at NaN: PyTorch's depends on the place in the array",
        "*",
        when=not_a_number,
    ),
    other("the sign of NaN is NaN, as in NumPy", "sign", when=not_a_number),
    other("mish of −∞ is −0, in PyTorch NaN", "nn.functional.mish", when=not_a_number),
    limited(
        1,
        "the second derivative of mish at 1000 is 0, in PyTorch NaN",
        "nn.functional.mish",
        when=lambda s: bool((s.first > 700).any()),
    ),
    limited(
        0,
        "PyTorch subtracts two derivatives that are almost equal",
        "nn.functional.softsign",
        when=lambda s: s.dtype == torch.float32 and bool((s.first.abs() > 100).any()),
    ),
    limited(
        1,
        "the second derivative on a kink",
        *("nn.functional.elu", "nn.functional.celu", "nn.functional.selu", "nn.functional.prelu"),
        when=zeros,
    ),
    limited(
        1,
        "the second derivative of the norm of 0 is 0, in PyTorch NaN",
        "linalg.norm (subgradients_at_zero)",
    ),
    limited(
        1,
        "the norm of no numbers has second derivatives of 0, in PyTorch NaN",
        "linalg.norm",
        when=lambda s: s.size == 0,
    ),
    limited(1, "PyTorch adds a small number to a divisor", "nn.functional.binary_cross_entropy"),
    limited(
        0,
        "PyTorch computes the gradient with constants of float32",
        *("nn.functional.celu", "nn.functional.hardsigmoid"),
        when=lambda s: s.dtype == torch.float64,
    ),
    limited(
        0,
        "normalization of one or two numbers leaves rounding errors for a gradient",
        *("nn.functional.layer_norm", "nn.functional.rms_norm"),
        when=lambda s: int(np.prod(s.args[0])) < 3,
    ),
    limited(
        0,
        "normalization of one or two numbers leaves rounding errors for a gradient",
        "nn.functional.group_norm",
        when=lambda s: s.first.shape[1] * math.prod(s.first.shape[2:]) < 3 * s.args[0],
    ),
    limited(
        0,
        "normalization of one number leaves rounding errors for a gradient",
        *("nn.functional.normalize", "nn.functional.cosine_similarity"),
        when=lambda s: s.first.ndim == 0,
    ),
    limited(0, "the one gradient is a difference", "nn.functional.silu", when=one_float32),
    limited(
        0,
        "PyTorch has a gradient outside the domain",
        "acosh",
        when=lambda s: bool((s.first < 1).any()),
    ),
    limited(
        0,
        "PyTorch subtracts squares of numbers near 1 from 1",
        "atanh",
        when=lambda s: s.dtype == torch.float32 and bool((s.first.abs() > 0.99).any()),
    ),
    limited(
        0,
        "PyTorch has no derivative by the divisor of a number",
        *("remainder", "__rmod__"),
        when=lambda s: len(s.tensors) < 2,
    ),
    limited(0, "the sign of a determinant is a constant", "linalg.slogdet"),
    # Other meanings.
    other(
        "norms of matrices: `norm` takes the array for a vector",
        "linalg.norm*",
        when=lambda s: s.first.ndim > 1 and s.get(0, "ord") not in (None, "fro"),
    ),
    other("the mean of the two middle elements, as in NumPy, and no index", "median"),
    other("a method of a number", "__rsub__", when=lambda s: isinstance(s.first, float)),
    other("`equal` compares elements, as in the array-API standard", "equal"),
    other(
        "an index along the last axis, if none is named, as in the array-API standard",
        "take_along_dim",
        when=lambda s: not s.args[1:] and not s.keywords,
    ),
    other(
        "floating bounds of integers are cut off at the end, as in NumPy",
        *("arange", "linspace*"),
        when=integers,
    ),
    other(
        "the order of equal elements: ours are sorted stably",
        *("sort", "argsort", "topk"),
        when=equal_elements,
    ),
    other(
        "random numbers",
        *("nn.functional.dropout*", "nn.functional.scaled_dot_product_attention"),
        when=stochastic,
    ),
    # What there is not.
    refused("−1 for a size that stays", "expand", when=lambda s: -1 in [*leaves(s.args)]),
    refused("the upper factor", "cholesky", "linalg.cholesky", when=has("upper")),
    refused(
        "an axis of another size than 1 is not squeezed, as in NumPy",
        "squeeze*",
        when=lambda s: s.first.ndim == 4 and bool({2, -2} & {*leaves(s.args)}),
    ),
    refused(
        "an empty vector joined to matrices",
        "cat",
        when=lambda s: (0,) in (shapes := {t.shape for t in s.tensors}) and len(shapes) > 1,
    ),
    refused(
        "unequal parts",
        "tensor_split",
        when=lambda s: isinstance(s.args[0], int) or getattr(s.args[0], "ndim", 1) == 0,
    ),
    refused("an ellipsis that is summed", "einsum", when=lambda s: "-> ij" in s.args[0]),
    refused("norms of an order below 1", "norm*", "linalg.norm*", when=order_of_norm(0, "ord")),
    refused("norms of an order below 1", "nn.functional.normalize", when=order_of_norm(0, "p")),
    refused(
        "norms of an order below 1",
        "nn.functional.pairwise_distance",
        when=order_of_norm(1, "p"),
    ),
    refused(
        "a tuple of one number for two axes, or of none",
        "nn.functional.avg_pool2d",
        when=lambda s: any(isinstance(a, tuple) and len(a) < 2 for a in s.args),
    ),
    refused(
        "factors that are not rounded to sizes (`recompute_scale_factor`)",
        "nn.functional.interpolate*",
        when=has("recompute_scale_factor"),
    ),
    refused(
        "bicubic and nearest-exact interpolation",
        *("nn.functional.interpolate (bicubic)", "nn.functional.interpolate (nearest-exact)"),
    ),
    refused(
        "interpolation by area along three axes",
        "nn.functional.interpolate (area)",
        when=lambda s: s.first.ndim == 5,
    ),
    refused(
        "a margin of copies beside an axis that is cropped to nothing",
        "nn.functional.pad (replicate_negative)",
        when=lambda s: -4 in s.args[0],
    ),
    refused(
        "a batch without channels",
        "nn.functional.batch_norm",
        when=lambda s: s.first.ndim == 1 and s.keywords["training"],
    ),
    refused(
        "targets that broadcast",
        *("nn.functional.gaussian_nll_loss", "nn.functional.hinge_embedding_loss"),
        when=lambda s: s.first.shape != s.args[0].shape,
    ),
    refused(
        "arrays that broadcast",
        "nn.functional.margin_ranking_loss",
        when=lambda s: len({t.shape for t in s.tensors}) > 1,
    ),
    refused(
        "stacks of sorted vectors, and a vector with the order in which it is sorted",
        "searchsorted",
        when=lambda s: s.first.ndim > 1 or s.keywords.get("sorter") is not None,
    ),
    refused(
        "a stack of vectors beside a stack of matrices",
        "linalg.solve",
        when=lambda s: stack_of_vectors(s) and s.args[0].shape[-2] != s.first.shape[-1],
    ),
    other(
        "a stack of vectors is one of matrices, where it has their shape",
        "linalg.solve",
        when=lambda s: stack_of_vectors(s) and s.args[0].shape[-2] == s.first.shape[-1],
    ),
    refused("an index that does not fit", "scatter_add", when=loose_index),
    refused(
        "an index that does not fit",
        "gather",
        when=lambda s: s.first.ndim != s.args[1].ndim,
    ),
    refused(
        "axes of sizes 1 and 2 that meet",
        "tensordot",
        when=lambda s: s.first.shape == (1, 1, 1),
    ),
    refused("the size of the result", "repeat_interleave", when=has("output_size")),
]

LAYER_DIFFERENCES = [
    refused("an empty batch to train on", "BatchNorm?d (zero_batch)", when=lambda s: s.args[0]),
    refused(
        "a norm with weights and no bias",
        *("BatchNorm?d (*)", "GroupNorm (*)", "InstanceNorm?d (*)"),
        when=has("bias"),
    ),
    refused("an input by its name", "Linear (*)", when=lambda s: "input" in s.first[1]),
    refused("variances that broadcast", "GaussianNLLLoss (homoscedastic)"),
    refused("a projected state", "LSTM (*)", when=has("proj_size")),
    limited(0, "the one gradient is a difference", "Tanh (scalar)"),
    limited(0, "the gradient of targets below 1 is NaN in PyTorch", "PoissonNLLLoss (*full*)"),
]
