"""What does a convolution know about images that a dense layer does not?

A dense layer has a weight for each pair of an input and an output: what it learns of a stroke at
one position it does not know at any other. A convolution has the same weights at every position:
of a shifted image it computes the shifted features (*equivariance*), and their maximum over all
positions does not change (*invariance*).

Both networks learn digits at the centre of images of 40 × 40 pixels, and are judged on digits that
are shifted to the right.
"""

from __future__ import annotations

from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import data, nn, pictures

from ..parts import image_sets
from ..parts.classifier import predict
from .measuring import error, fit

MARGIN = 6  # pixels on each side


def dense(width: int = 64) -> nn.Sequential:
    """A hidden layer that sees all pixels: 1600 → 64 → 10, with 103,114 parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(40 * 40, width), nn.ReLU(), nn.Linear(width, 10))


def convolutional(channels: int = 16) -> nn.Sequential:
    """Three convolutions, the maximum over all positions, a linear layer; 23,946 parameters.

    >>> convolutional()(tg.zeros((2, 1, 40, 40))).shape
    (2, 10)
    """
    return nn.Sequential(
        *(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(2 * channels, 4 * channels, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4 * channels, 10)),
    )


def answer(
    folder: Path, *, dataset: str = "mnist_small", images: int = 10_000, epochs: int = 5
) -> str:
    """Compare the errors of a dense and a convolutional network on shifted digits."""
    train, test = image_sets.load(dataset, images)
    found = {}
    for build in (dense, convolutional):
        tg.manual_seed(0)
        model, name = build(), build.__name__
        centred = {"test": shifted(test, 0)}
        fit(
            folder / name,
            model,
            shifted(train, 0),
            centred,
            epochs=epochs,
            batch_size=32,
            learning_rate=0.05,
        )
        found[f"{name}, {sum(p.size for p in model.parameters()):,} parameters"] = [
            error(predict(model, moved), labels)
            for moved, labels in (shifted(test, pixels).tensors for pixels in range(MARGIN + 1))
        ]
    pictures.curves(
        {name: (range(MARGIN + 1), errors) for name, errors in found.items()},
        title="Digits shifted to the right",
        x_label="shift in pixels",
        y_label="test error in %",
        path=folder / "shift.png",
    )
    return "\n".join(
        f"{name}: test error {', '.join(f'{error:.1f}' for error in errors)} % "
        f"at shifts of 0 to {MARGIN} pixels"
        for name, errors in found.items()
    )


def shifted(part: data.TensorDataset, pixels: int) -> data.TensorDataset:
    """Images (N, 1, 28, 28) in a frame of 40 × 40 pixels, shifted to the right."""
    images, labels = part.tensors
    frame = (MARGIN + pixels, MARGIN - pixels, MARGIN, MARGIN)
    return data.TensorDataset(F.pad(images, frame), labels)
