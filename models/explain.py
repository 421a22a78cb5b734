"""What a convolutional classifier responds to: activations, saliency, Grad-CAM.

**Activations.** Each stage of a network gives feature maps A of shape (channels, height, width), in
which every channel responds to a pattern of its own: the first ones to edges and colours at many
positions, the last ones to large parts of objects at few.

**Saliency** (Simonyan, Vedaldi and Zisserman 2014, "Deep Inside Convolutional Networks", section
3). Near an image x the logit y_c of a class c, before the softmax, is almost linear in the pixels,
with ∂y_c/∂x as their weights. The pixels with large weights need to be changed least to change the
logit most:

    M_ij = max_k |∂y_c/∂x_kij|                                 (k: channels of the image)

**Grad-CAM** (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", section 3, equations 1 and 2). Feature maps of a late layer are more
meaningful than pixels. The weight of a map is its mean gradient, and only what speaks for the class
is kept:

    α_k = 1/(h·w) · Σ_ij ∂y_c/∂A_kij,   L = relu(Σ_k α_k A_k)  (k: channels of the layer)

If the mean over the positions and a linear layer follow, ∂y_c/∂A_kij = w_ck/(h·w): then L is the
class activation map Σ_k w_ck A_k (Zhou et al. 2016, "Learning Deep Features for Discriminative
Localization", section 2), rectified and divided by h·w.

The derivatives are those of `backward`, in evaluation mode. Nothing changes in the model: neither
its `.grad` nor its statistics nor its mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn
from tinygrad_gm.nn.module import evaluating

from .parts.convnet import convolutions


class Activation(NamedTuple):
    """The feature maps of an image at the end of a stage of a network.

    Attributes:
        first, layer: paths of the first and the last layer of the stage, as in
            `model.named_modules()`.
        maps: the output of the last one, (channels, height, width).
    """

    first: str
    layer: str
    maps: Tensor


def saliency(model: nn.Module, image: Tensor, label: int) -> Tensor:
    """The largest absolute derivative of a logit at each pixel, over the channels: (H, W).

    Args:
        model: images (N, channels, H, W) → logits (N, K).
        image: (channels, H, W), as the model expects it (normalised).
        label: the class, 0 … K − 1.

    Raises:
        ValueError: the image does not fit the model, or there is no such class.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> model[1].weight.data = tg.tensor([[0.0, 1.0, 2.0, 3.0], [1.0, -2.0, 3.0, -4.0]])
    >>> saliency(model, tg.ones((1, 2, 2)), 1).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    x = _batch("saliency", image).requires_grad_()
    with tg.enable_grad(), evaluating(model):
        (gradient,) = tg.grad(_logit("saliency", model, x, label), x)
    return tg.max(tg.abs(gradient[0]), axis=0)


def grad_cam(model: nn.Module, layer: str, image: Tensor, label: int) -> Tensor:
    """Where the feature maps of a layer speak for a class, at least 0: (h, w), as the layer's maps.

    Args:
        model: images (N, channels, H, W) → logits (N, K).
        layer: path of a layer, as in `model.named_modules()`; of its calls the last one with an
            output (N, k, h, w) counts.
        image: (channels, H, W), as the model expects it (normalised).
        label: the class, 0 … K − 1.

    Raises:
        ValueError: there is no such layer or class, the layer has no such output, or the image does
            not fit the model.

    >>> model = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1))
    >>> model[3].weight.data = tg.tensor([[8.0]])
    >>> grad_cam(model, "0", tg.tensor([[[1.0, -1.0], [0.0, 2.0]]]), 0).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        names = ", ".join(name for name in modules if name)
        raise ValueError(f"grad_cam: unknown layer {layer!r}; the layers are {names:.300}")
    found: list[Tensor] = []

    def leaf(_: nn.Module, __: Any, output: Any) -> Any:
        """Begin the graph at the layer, also if its parameters are frozen."""
        if not _is_map(output):
            return output
        found.append(output.detach().requires_grad_())
        return found[-1]

    x = _batch("grad_cam", image)
    handle = modules[layer].register_forward_hook(leaf)
    try:
        with tg.enable_grad(), evaluating(model):
            logit = _logit("grad_cam", model, x, label)
    finally:
        handle.remove()
    if not found:
        raise ValueError(
            f"grad_cam: the model calls no layer {layer!r} with an output (N, k, h, w)"
        )
    maps = found[-1]
    (gradient,) = tg.grad(logit, maps)
    weights = tg.mean(gradient[0], axis=(1, 2), keepdims=True)
    return F.relu(tg.sum(weights * maps.detach()[0], axis=0))


def activations(model: nn.Module, image: Tensor) -> list[Activation]:
    """The feature maps of an image through the stages of a network.

    A stage is a sequence of layers whose outputs have the same height and width, at least one of
    them with a convolution; its feature maps are the output of the last one. Blocks count as one
    layer.

    Args:
        model: a classifier of images.
        image: (channels, H, W), as the model expects it (normalised).

    Raises:
        ValueError: the image does not fit the model.

    >>> conv, pool = nn.Conv2d(1, 4, 5), nn.MaxPool2d(2)
    >>> model = nn.Sequential(conv, nn.ReLU(), pool, nn.Conv2d(4, 8, 3), nn.ReLU())
    >>> [(stage.layer, stage.maps.shape) for stage in activations(model, tg.ones((1, 12, 12)))]
    [('1', (4, 8, 8)), ('4', (8, 2, 2))]
    """
    names = {module: name for name, module in model.named_modules()}
    x = _batch("activations", image)
    with tg.no_grad(), evaluating(model), _traced(model) as call:
        model(x)
    stages = (list(run) for _, run in groupby(_layers(call), lambda call: call.output.shape[2:]))
    return [
        Activation(names[stage[0].module], names[stage[-1].module], stage[-1].output[0])
        for stage in stages
        if any(any(convolutions(part.module)) for part in stage)
    ]


# ------------------------------------------------------------------------------ helpers


class _Call(NamedTuple):
    """A call of a module, with the calls inside of it."""

    module: nn.Module
    output: Any
    inner: list[_Call]


@contextmanager
def _traced(model: nn.Module) -> Iterator[_Call]:
    """Record the calls of a model and of its modules, inside of a call that stands for them all."""
    calls = [_Call(model, None, [])]

    def begin(module: nn.Module, _: Any) -> None:
        calls.append(_Call(module, None, []))

    def end(_: nn.Module, __: Any, output: Any) -> None:
        done = calls.pop()
        calls[-1].inner.append(done._replace(output=output))

    with ExitStack() as handles:
        for module in model.modules():
            handles.callback(module.register_forward_pre_hook(begin).remove)
            handles.callback(module.register_forward_hook(end).remove)
        yield calls[0]


def _layers(call: _Call) -> Iterator[_Call]:
    """The calls with feature maps, in order: of blocks as a whole, but of the parts of a sequence
    in which the size changes.
    """
    for inner in call.inner:
        sizes = {part.output.shape[2:] for part in inner.inner if _is_map(part.output)}
        if not _is_map(inner.output) or (
            isinstance(inner.module, nn.Sequential) and len(sizes) > 1
        ):
            yield from _layers(inner)
        else:
            yield inner


def _is_map(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4


def _batch(name: str, image: Tensor) -> Tensor:
    """A batch of one image, a leaf."""
    if image.ndim != 3:
        raise ValueError(f"{name}: expected an image (channels, H, W); got {image.shape}")
    return image.detach()[None]


def _logit(name: str, model: nn.Module, x: Tensor, label: int) -> Tensor:
    """The logit of a class."""
    logits = model(x)
    classes = logits.shape[1]
    if not 0 <= label < classes:
        raise ValueError(f"{name}: label {label} is not one of the classes 0 … {classes - 1}")
    logit: Tensor = logits[0, label]
    return logit
