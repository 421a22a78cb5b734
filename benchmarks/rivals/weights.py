"""What the rivals share: the first weights as plain arrays, and Adam for arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..workloads.training import initial

VAE_SIZES = (784, 256), (256, 20), (256, 20), (20, 256), (256, 784)
GENERATOR_SIZES = (64, 256), (256, 512), (512, 784)
DISCRIMINATOR_SIZES = (784, 512), (512, 256), (256, 1)


def weights(*sizes: tuple[int, ...], table: tuple[int, int] | None = None) -> list[Any]:
    """A matrix and a vector per layer, as our networks draw them, in a list.

    Sizes (in, out) are of an affine layer, whose matrix comes as (in, out) too; (out, in, height,
    width) those of a convolution. A `table` of embeddings stands before them.
    """
    shapes: dict[str, tuple[int, ...]] = {} if table is None else {"table": table}
    for i, size in enumerate(sizes):
        shapes[f"{i}.weight"] = size if len(size) > 2 else size[::-1]
        shapes[f"{i}.bias"] = shapes[f"{i}.weight"][:1]
    arrays = initial(shapes)
    return [
        array.T.copy() if array.ndim == 2 and name != "table" else array
        for name, array in arrays.items()
    ]


class Adam:
    """Adam (Kingma & Ba 2015) in place on NumPy arrays, without temporary arrays."""

    def __init__(
        self, arrays: Sequence[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self.lr, self.betas, self.steps = lr, betas, 0
        self.states = [(a, *(np.zeros_like(a) for _ in range(3))) for a in arrays]

    def step(self, gradients: Sequence[Any]) -> None:
        """Update every array with its gradient."""
        self.steps += 1
        first, second = self.betas
        rate = self.lr / (1 - first**self.steps)
        shrink = (1 - second**self.steps) ** -0.5
        for (array, m, v, scratch), g in zip(self.states, gradients, strict=True):
            m *= first
            m += np.multiply(g, 1 - first, out=scratch)
            v *= second
            np.multiply(g, g, out=scratch)
            scratch *= 1 - second
            v += scratch
            np.sqrt(v, out=scratch)
            scratch *= shrink
            scratch += 1e-8
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            array -= scratch
