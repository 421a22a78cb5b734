"""Why is a deeper plain network worse than a shallower one, and a deeper residual one not?

He et al. 2016, "Deep Residual Learning", figures 1 and 6: of two plain networks the deeper one has
the larger *training* error. So it does not overfit; it is harder to optimise. With shortcuts, each
block starts close to the identity, and the deeper network is no worse.

The networks are those for CIFAR-10 (`resnet.CifarResNet`), with batch norm and half as many
channels, 8, 16 and 32. All have the same recipe, and images of 16 × 16 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import data, pictures

from ..parts import image_sets
from ..resnet import CifarResNet
from .measuring import fit


def answer(
    folder: Path,
    *,
    dataset: str = "mnist",
    images: int = 10_000,
    judged: int = 2_000,
    epochs: int = 10,
    depths: Sequence[int] = (20, 56),
) -> str:
    """Compare the training errors of plain and residual networks of two depths."""
    train, test = (reduced(part, dataset) for part in image_sets.load(dataset, images))
    found = {}
    for kind in ("plain", "residual"):
        for depth in depths:
            tg.manual_seed(0)
            found[f"{kind}, {depth} layers"] = fit(
                folder / f"{kind}-{depth}",
                CifarResNet(depth, in_channels=1, width=0.5, residual=kind == "residual"),
                train,
                {"test": data.TensorDataset(*test[:judged])},
                epochs=epochs,
                batch_size=128,
                learning_rate=0.1,
                weight_decay=1e-4,
            )
    pictures.curves(
        {name: curves["error"] for name, curves in found.items()},
        title="Plain and residual networks",
        x_label="epoch",
        y_label="training error in %",
        path=folder / "degradation.png",
    )
    return "\n".join(
        f"{name}: training error {curves['error'][-1]:.2f} %, test error {curves['test'][-1]:.2f} %"
        for name, curves in found.items()
    )


def reduced(part: data.TensorDataset, dataset: str) -> data.TensorDataset:
    """The images, normalised and reduced to 16 × 16 pixels, with their labels."""
    images, labels = part.tensors
    images = data.transforms.Resize(16)(images)
    return data.TensorDataset(image_sets.SETS[dataset].normalised(images), labels)
