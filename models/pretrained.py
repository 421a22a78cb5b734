"""Weights from files, under the names of torchvision and timm.

A network's parameters have the names and shapes of its reference, so a `.safetensors` file of its
`state_dict` loads without translation.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import tinygrad_gm as tg
from tinygrad_gm import Tensor, nn
from tinygrad_gm.io import CheckpointError, PathLike
from tinygrad_gm.training import read_checkpoint

from .parts.convnet import ConvNet

# The module of each network.
ARCHITECTURES = {
    "alexnet": "alexnet",
    **dict.fromkeys([f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")], "vgg"),
    "googlenet": "googlenet",
    **dict.fromkeys([f"resnet{depth}" for depth in (18, 34, 50, 101, 152)], "resnet"),
    **dict.fromkeys([f"resnet{depth}" for depth in (20, 32, 44, 56)], "resnet"),
    **dict.fromkeys(["mobilenet_v1", "mobilenet_v2"], "mobilenet"),
    **dict.fromkeys([f"efficientnet_b{step}" for step in range(8)], "efficientnet"),
}


def architecture(name: str) -> Callable[..., ConvNet]:
    """Return the function or class that makes a network. Raises ValueError for an unknown name.

    >>> architecture("resnet18")(num_classes=10, width=0.25)(tg.zeros((2, 3, 64, 64))).shape
    (2, 10)
    """
    if name not in ARCHITECTURES:
        raise unknown("network", name, ARCHITECTURES)
    module = importlib.import_module(f".{ARCHITECTURES[name]}", __package__)
    build: Callable[..., ConvNet] = getattr(module, name)
    return build


def load_pretrained(
    name: str, path: PathLike, num_classes: int | None = None, **options: Any
) -> ConvNet:
    """Return a network with the weights of a `.safetensors` file, in evaluation mode.

    Args:
        name: "resnet18", "resnet20", …: a function or class of one of the modules.
        path: the file, with the names of torchvision or timm, or the folder of a run. The
            `num_batches_tracked` of batch norms may be missing.
        num_classes: number of classes; None: that of the file. For another number than the file's
            the heads are new and untrained, and a line on standard error says so.
        options: arguments of the network, such as `width=0.5`.

    Raises:
        ValueError: there is no such network.
        FileNotFoundError: there is no such file.
        CheckpointError: the file is not a `.safetensors` file, or has the weights of another
            network; the message names the first three that differ.
    """
    build = architecture(name)
    state = read_weights(path)
    with nn.no_init():
        model = build(**options)
        found = state.get(f"{model.heads[0]}.bias")
        if isinstance(found, Tensor) and found.ndim == 1 and len(found) != model.num_classes:
            model = build(num_classes=len(found), **options)
    problems = differences(model, state)
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(
            f"load_pretrained: {path} does not fit {name}: {'; '.join(problems[:3])}{more}"
        )
    model.load_state_dict(state)
    if num_classes is not None and num_classes != model.num_classes:
        print(
            f"load_pretrained: {path} has {model.num_classes} classes; the head of {name} for "
            f"{num_classes} classes is new and untrained",
            file=sys.stderr,
        )
        model.replace_heads(num_classes)
    return model.eval()


def read_weights(path: PathLike) -> Mapping[str, Any]:
    """Return the weights in a `.safetensors` file, or those of a run, averaged if it has averages.

    Raises FileNotFoundError or CheckpointError if there are none.
    """
    if not Path(path).is_dir():
        return tg.load(path)
    state = read_checkpoint(path)
    found: Mapping[str, Any] = state["ema"]["model"] if "ema" in state else state["model"]
    return found


def differences(model: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """What differs between the weights of a model and those of a file, in the model's order.

    >>> differences(nn.Linear(2, 3), {"weight": tg.zeros((3, 4)), "scale": tg.zeros(3)})
    ['weight is (3, 4), not (3, 2)', 'bias is missing', 'scale is unknown']
    """
    found, own = [], model.state_dict()
    for name, tensor in own.items():
        if name not in state:
            if not name.endswith("num_batches_tracked"):
                found.append(f"{name} is missing")
        elif (shape := getattr(state[name], "shape", None)) != tensor.shape:
            found.append(f"{name} is {shape}, not {tensor.shape}")
    return found + [f"{name} is unknown" for name in state if name not in own]


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(name, known := list(known), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"there is no {kind} {name!r}, only {', '.join(known)}{hint}")
