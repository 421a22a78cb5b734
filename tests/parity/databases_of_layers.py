"""The sample inputs of PyTorch's own tests of its layers and optimizers, sent through ours."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import layers
import numpy as np
import torch
from differences import LAYER_DIFFERENCES, REFUSALS, Difference, Sample
from differing import Upstream, compared, mapped
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_optimizers import optim_db
from words import KEYWORDS

import tinygrad_gm as tg
from tinygrad_gm import nn, optim

DTYPES = (torch.float64, torch.float32)
STEPS = 10
LAYERS = [info for info in module_db if hasattr(nn, info.module_cls.__name__)]
OPTIMIZERS = [info for info in optim_db if hasattr(optim, info.optim_cls.__name__)]
OF_THEIR_ENGINE = {"capturable", "device", "differentiable", "dtype", "foreach", "fused"}


def samples(info: Any) -> Iterator[Sample]:
    """A layer's sample calls: what it is called with, whether it trains, its arguments."""
    for dtype in DTYPES:
        for training in (True, False):
            torch.manual_seed(0)
            given = {"device": "cpu", "dtype": dtype, "requires_grad": False}
            for s in info.module_inputs_func(info, training=training, **given):
                name = f"{info.module_cls.__name__} ({s.desc})"
                made = inspect.signature(info.module_cls).bind(
                    *s.constructor_input.args, **s.constructor_input.kwargs
                )
                arguments = made.arguments | made.arguments.pop("kwargs", {})
                forward = (s.forward_input.args, s.forward_input.kwargs)
                yield Sample(name, forward, (training,), arguments, dtype)


def compare(info: Any) -> int:
    """Compare a layer on all its samples, in both modes; AssertionError where they differ."""
    complaints, count = [], 0
    for sample in samples(info):
        count += 1
        known = [d for d in LAYER_DIFFERENCES if d.holds(sample)]
        if complaint := complaint_of(info.module_cls, sample, known):
            complaints.append(f"{sample}\n  {complaint}")
    if complaints:
        shown = "\n".join(complaints[:4])
        raise AssertionError(f"{len(complaints)} of {count} samples differ\n{shown}")
    return count


def complaint_of(kind: Any, sample: Sample, known: list[Difference]) -> str:
    """How our layer differs from PyTorch's; empty if it does not, or if the refusal is listed."""
    refused, (training,) = any(d.kind == "refused" for d in known), sample.args
    dtype = torch.zeros(0, dtype=sample.dtype).numpy().dtype
    inputs, keywords = mapped(sample.first, as_array)
    call = layers.Call({}, inputs, dtype, keywords)
    theirs = kind(**sample.keywords).to(sample.dtype).train(training)
    order = min([1, *(d.kind for d in known if isinstance(d.kind, int))])
    tg.manual_seed(0)
    try:
        ours = made(kind.__name__, sample.keywords).to(dtype).train(training)
        complaint = layers.difference_of(ours, theirs, call, Upstream(0), order)
    except REFUSALS as error:
        return "" if refused else f"{type(error).__name__}: {error}"
    return "it is refused no longer" if refused else complaint


def made(name: str, arguments: dict[str, Any]) -> Any:
    """Our layer: the arguments in our words, a layer among them, a function by its name."""
    given = {}
    for key, value in arguments.items():
        if isinstance(value, torch.nn.Module):
            value = as_ours(value)
        elif callable(value):
            value = value.__name__
        if key not in OF_THEIR_ENGINE:
            given[KEYWORDS.get(key, key)] = as_array(value)
    return getattr(nn, name)(**given)


def as_ours(layer: torch.nn.Module) -> Any:
    """A layer of a Transformer with PyTorch's sizes."""
    attention, linear = layer.self_attn, layer.linear1
    return getattr(nn, type(layer).__name__)(
        attention.embed_dim,
        attention.num_heads,
        linear.out_features,
        dropout=layer.dropout.p,
        activation=layer.activation.__name__,
        layer_norm_eps=layer.norm1.eps,
        batch_first=attention.batch_first,
        norm_first=layer.norm_first,
        bias=linear.bias is not None,
    )


def as_array(value: Any) -> Any:
    """A tensor as an array; other values as they are."""
    return value.detach().numpy().copy() if isinstance(value, torch.Tensor) else value


def compare_steps(info: Any) -> int:
    """Compare an optimizer with all its sample options; AssertionError where they differ."""
    samples = info.optim_inputs_func(device="cpu")
    for number, sample in enumerate(samples):
        given = {k: v for k, v in sample.kwargs.items() if k not in OF_THEIR_ENGINE}
        given = {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
        rng = np.random.default_rng(number)
        starts = [rng.normal(size=shape) for shape in ((3, 2), (4,), (5,))]
        ours = [nn.Parameter(tg.tensor(a)) for a in starts]
        theirs = [torch.nn.Parameter(torch.tensor(a)) for a in starts]
        mine = getattr(optim, info.optim_cls.__name__)(ours, **given)
        torchs = info.optim_cls(theirs, **given)
        for _ in range(STEPS):
            for parameter, other in zip(ours, theirs, strict=True):
                gradient = rng.normal(size=parameter.shape)
                parameter.grad, other.grad = tg.tensor(gradient), torch.tensor(gradient)
            mine.step()
            torchs.step()
        complaint = compared("value", ours, theirs)
        assert not complaint, f"{info.optim_cls.__name__}, {sample.desc}, {given}: {complaint}"
    return len(samples)
