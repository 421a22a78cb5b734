"""The sample inputs of PyTorch's own tests of its operations, sent through our functions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import torch
import words
from differences import DIFFERENCES, REFUSALS, Difference, Sample
from differing import Upstream, difference, mapped
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing._internal.common_methods_invocations import op_db

import tinygrad_gm as tg

DTYPES = (torch.float64, torch.float32, torch.int64, torch.uint8, torch.bool)
MOST = 30  # samples of one operation and dtype
LARGEST = 20000  # elements of one sample


def full_name(op: Any) -> str:
    """An operation's name, with its variant in brackets behind it."""
    return f"{op.name} ({op.variant_test_name})" if op.variant_test_name else op.name


OPERATIONS = [op for op in op_db if words.ours(full_name(op))]


def samples(op: Any) -> Iterator[Sample]:
    """Sample inputs of every dtype and not too many elements, evenly taken if there are many."""
    for dtype in DTYPES:
        if dtype in op.dtypes:
            every = [s for s in _all_samples(op, dtype) if s.size <= LARGEST]
            yield from every[:: -(-len(every) // MOST) or 1]


def _all_samples(op: Any, dtype: torch.dtype) -> list[Sample]:
    seed = crc32(f"{full_name(op)} {dtype}".encode())
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    differentiable = dtype.is_floating_point and op.supports_autograd
    draw = op.reference_inputs if dtype.is_floating_point else op.sample_inputs
    try:
        drawn = [*draw("cpu", dtype, requires_grad=differentiable)]
    except ValueError:  # integers among them, which cannot require gradients
        drawn = [*op.sample_inputs("cpu", dtype, requires_grad=differentiable)]
    return [Sample(full_name(op), s.input, s.args, s.kwargs, dtype) for s in drawn]


def compare(op: Any) -> int:
    """Compare on all samples; AssertionError where there are differences that are not known."""
    complaints, count = [], 0
    for sample in samples(op):
        count += 1
        known = [d for d in DIFFERENCES if d.holds(sample)]
        complaint = complaint_of(op, sample, known)
        if complaint and not any(d.kind == "other" for d in known):
            complaints.append(f"{sample}\n  {complaint}")
    if complaints:
        shown = "\n".join(complaints[:4])
        raise AssertionError(f"{len(complaints)} of {count} samples differ\n{shown}")
    return count


def complaint_of(op: Any, sample: Sample, known: list[Difference]) -> str:
    """How our result differs from PyTorch's; empty if it does not, or if the refusal is listed."""
    refused = any(d.kind == "refused" for d in known)
    first, args, keywords = mapped(sample.arguments, _as_ours)
    try:
        y = words.call(sample.name, first, args, keywords)
    except REFUSALS as error:
        return "" if refused else f"{type(error).__name__}: {error}"
    if refused:
        return "it is refused no longer"
    arguments = mapped(sample.arguments, _as_leaf)
    with sdpa_kernel(SDPBackend.MATH):
        y_torch = op(arguments[0], *arguments[1], **arguments[2])
    second = op.supports_gradgrad and sample.dtype == torch.float64
    orders = [d.kind for d in known if isinstance(d.kind, int)]
    order = min([(2 if second else 1) if op.supports_autograd else 0, *orders])
    return difference(y, y_torch, (first, args, keywords), arguments, Upstream(0), order)


@cache
def occurs(known: Difference) -> bool:
    """Whether a difference is met: a call of it, and where it is not refused, other results."""
    for op in OPERATIONS:
        if known.concerns(full_name(op)):
            for sample in filter(known.holds, samples(op)):
                if known.kind != "other" or complaint_of(op, sample, []):
                    return True
    return False


def _as_leaf(value: Any) -> Any:
    """A tensor as a leaf of its own; other values as they are."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().clone().requires_grad_(value.requires_grad)


def _as_ours(value: Any) -> Any:
    """A value in our types: a tensor's memory with its strides, a dtype."""
    if isinstance(value, torch.Tensor):
        made = tg.asarray(value.detach().numpy())
        return made.requires_grad_() if value.requires_grad else made
    return torch.zeros(0, dtype=value).numpy().dtype if isinstance(value, torch.dtype) else value
