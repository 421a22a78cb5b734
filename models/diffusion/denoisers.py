"""The network of `diffusion` for points; that for images is `unet.UNet2D`.

`network(x_t, t)` predicts the target, such as the noise in x_t. x_t (N, …) are data with noise, and
t (N,) is the integer step, encoded by sines and cosines. `diffusion.DiffusionModel` takes any such
network.
"""

from __future__ import annotations

import itertools

import tinygrad_gm as tg
from tinygrad_gm import Tensor, nn

from ..parts.timesteps import timestep_embedding


class Mix(nn.Module):
    """a x_t + b h: the sum of x_t and the output h of a network, with weights learned from t.

    Where x_t is almost only noise, x_t is the result, and the error of a layer that reproduced it
    would exceed the rest of the data. After Karras et al. 2022 ("Elucidating the Design Space of
    Diffusion-Based Generative Models", section 5), who derive the weights.
    """

    def __init__(self, time_dim: int) -> None:
        super().__init__()
        self.shares = nn.Linear(time_dim, 2)
        nn.init.zeros_(self.shares.weight)
        self.shares.bias = nn.Parameter(tg.tensor([0.0, 1.0]))

    def forward(self, x: Tensor, found: Tensor, code: Tensor) -> Tensor:
        shares = self.shares(code).reshape(len(x), 2, *[1] * (x.ndim - 1))
        mixed: Tensor = shares[:, 0] * x + shares[:, 1] * found
        return mixed


class MLPDenoiser(nn.Module):
    """Points (N, dim) and steps (N,) → targets (N, dim): four hidden layers with SiLU.

    Args:
        dim: number of coordinates.
        width: width of the hidden layers.
        time_dim: size of the code of the step.
        classes: number of classes; 0: none. With classes the labels (N,) are a third argument; the
            label `classes` means none.

    The weights of the hidden layers start by He's rule, those of the last one with 0. With the
    default, much smaller weights, the hidden numbers hardly depend on x at first. For the target v
    and data of unit variance the best linear function of x is 0, and then nothing is learned.

    >>> model = MLPDenoiser()
    >>> model(tg.zeros((5, 2)), tg.arange(5)).shape, sum(p.size for p in model.parameters())
    ((5, 2), 54340)
    """

    def __init__(
        self, dim: int = 2, width: int = 128, time_dim: int = 32, classes: int = 0
    ) -> None:
        super().__init__()
        self.time_dim = time_dim
        sizes = [dim + time_dim, *[width] * 4]
        hidden = [(nn.Linear(a, b), nn.SiLU()) for a, b in itertools.pairwise(sizes)]
        self.layers = nn.Sequential(*sum(hidden, ()), nn.Linear(width, dim))
        *inner, last = (layer for layer in self.layers if isinstance(layer, nn.Linear))
        for layer in inner:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(last.weight)
        self.mix = Mix(time_dim)
        self.classes = nn.Embedding(classes + 1, time_dim) if classes else None

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        code = timestep_embedding(t, self.time_dim)
        if self.classes is not None:
            code = code + self.classes(labels)
        found: Tensor = self.mix(x, self.layers(tg.concat([x, code], axis=1)), code)
        return found
