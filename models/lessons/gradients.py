"""Does the gradient reach the first layer of a deep network?

A shortcut adds the identity to each block's Jacobian, so the gradient has a path to the first layer
that no weight attenuates (He et al. 2016, "Identity Mappings in Deep Residual Networks", equation
5). Batch norm rescales the activations of every layer (Ioffe and Szegedy 2015, section 3.3), and
the gradients with them. Here are the gradients of plain and residual networks with and without
batch norm, before any training, with the initial weights of He et al. 2015.
"""

from __future__ import annotations

import math
from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import pictures

from ..parts import image_sets
from ..resnet import CifarResNet
from .degradation import reduced
from .measuring import gradient_rms


def answer(
    folder: Path, *, dataset: str = "mnist_small", images: int = 128, depth: int = 56
) -> str:
    """Compare the gradients of the layers of plain and residual networks at initialisation."""
    batch = reduced(image_sets.load(dataset, images).train, dataset).tensors
    found = {}
    for norm in (False, True):
        for kind in ("plain", "residual"):
            tg.manual_seed(0)
            residual = kind == "residual"
            model = CifarResNet(depth, in_channels=1, width=0.5, residual=residual, norm=norm)
            found[f"{kind}, {'batch norm' if norm else 'no norm'}"] = gradient_rms(model, *batch)
    pictures.curves(
        {name: [math.log10(value) for value in values] for name, values in found.items()},
        title=f"Gradients of {depth} layers at initialisation",
        x_label="layer",
        y_label="log10 of the root mean square",
        path=folder / "gradients.png",
    )
    return "\n".join(
        f"{name}: first layer {values[0]:.2e}, last convolution {values[-2]:.2e}"
        for name, values in found.items()
    )
