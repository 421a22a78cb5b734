"""Why do deep networks have ReLUs instead of sigmoids?

The derivative of the sigmoid σ is σ(1 − σ) ≤ 1/4, that of the ReLU is 1 where it is on. The
gradient of the first of L layers is a product of L − 1 such derivatives and of the weights. So with
sigmoids it vanishes exponentially with the depth (Hochreiter 1991; Glorot and Bengio 2010,
"Understanding the Difficulty of Training Deep Feedforward Neural Networks"), and the first layers
do not learn. Three things help: a ReLU, shortcuts, and batch norm, which keeps the inputs of the
sigmoids near 0, where their slope is largest.

The networks are perceptrons: a linear layer with its activation function, repeated, and a linear
layer to the classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn, pictures

from ..parts import image_sets
from .measuring import fit, gradient_rms


class Layer(nn.Module):
    """y = f(norm(Wx + b)), and + x for a residual layer.

    The weights are drawn from N(0, 2/inputs) for a ReLU (He et al. 2015) and by Glorot and Bengio's
    rule for a sigmoid.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        function: Callable[[Tensor], Tensor],
        norm: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs) if norm else nn.Identity()
        self.function, self.residual = function, residual
        if function is F.relu:
            nn.init.kaiming_normal_(self.linear.weight)
        else:
            nn.init.xavier_normal_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.function(self.norm(self.linear(x)))
        return x + y if self.residual else y


def network(
    depth: int,
    function: Callable[[Tensor], Tensor],
    norm: bool = False,
    residual: bool = False,
    width: int = 64,
) -> nn.Sequential:
    """A perceptron of `depth` linear layers: images (N, 1, 28, 28) → logits (N, 10).

    >>> network(20, F.sigmoid)(tg.zeros((5, 1, 28, 28))).shape
    (5, 10)
    """
    layers = (Layer(width, width, function, norm, residual) for _ in range(depth - 2))
    first = Layer(28 * 28, width, function, norm)
    return nn.Sequential(nn.Flatten(), first, *layers, nn.Linear(width, 10))


def answer(
    folder: Path,
    *,
    dataset: str = "mnist_small",
    images: int = 10_000,
    epochs: int = 10,
    depth: int = 20,
) -> str:
    """Compare the training and the gradients of deep perceptrons."""
    train, test = image_sets.load(dataset, images)
    found, gradients = {}, {}
    for name, function, norm, residual in (
        ("sigmoid", F.sigmoid, False, False),
        ("sigmoid, batch norm", F.sigmoid, True, False),
        ("sigmoid, residual", F.sigmoid, False, True),
        ("ReLU", F.relu, False, False),
    ):
        tg.manual_seed(0)
        model = network(depth, function, norm, residual)
        gradients[name] = gradient_rms(model, *train[:128])
        found[name] = fit(
            folder / name.replace(", ", "-").replace(" ", "-"),
            model,
            train,
            {"test": test},
            epochs=epochs,
            batch_size=64,
            learning_rate=0.02,
        )
    panels = [
        pictures.curves(
            {name: curves["error"] for name, curves in found.items()},
            title=f"Perceptrons of {depth} layers",
            x_label="epoch",
            y_label="training error in %",
            size=(480, 400),
        ),
        pictures.curves(
            {name: [math.log10(value) for value in values] for name, values in gradients.items()},
            title="Their gradients at initialisation",
            x_label="layer",
            y_label="log10 of the root mean square",
            size=(480, 400),
        ),
    ]
    pictures.panels(panels, columns=2, path=folder / "saturation.png")
    return "\n".join(
        f"{name}: gradient of the first layer {gradients[name][0]:.1e}, "
        f"training error {curves['error'][-1]:.2f} %, test error {curves['test'][-1]:.2f} %"
        for name, curves in found.items()
    )
