"""What the lessons share: the training of a classifier, and the gradients of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.training import Run
from tinygrad_gm.training.metrics import read_metrics

from ..parts.classifier import in_top, predict

Curves: TypeAlias = dict[str, list[float]]


def fit(
    folder: Path,
    model: nn.Module,
    train: data.Dataset,
    judged: Mapping[str, data.TensorDataset],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> Curves:
    """Train a classifier by SGD with momentum 0.9, and return its figures, one per epoch.

    They are "loss", the cross-entropy, and "error", both means over the steps of the epoch; and
    under the name of each data set in `judged` its error after the epoch, in evaluation mode. An
    error is the share of misclassified images, in percent. The training is a run in the folder,
    and is resumed if it was interrupted.
    """
    settings = {"images": len(train), "batch_size": batch_size, "learning_rate": learning_rate}
    settings |= {"weight_decay": weight_decay, "epochs": epochs}
    optimizer = optim.SGD(
        model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=weight_decay
    )
    loader = data.DataLoader(train, batch_size, shuffle=True, drop_last=True)

    def loss(batch: tuple[Tensor, Tensor], _: Generator) -> tuple[Tensor, dict[str, float]]:
        images, labels = batch
        logits = model(images)
        return F.cross_entropy(logits, labels), {"error": error(logits, labels)}

    def errors(_: int) -> dict[str, float]:
        found = {}
        for name, part in judged.items():
            images, labels = part.tensors
            found[name] = error(predict(model, images), labels)
        return found

    with Run(folder, settings, resume=True) as run:
        run.fit(model, optimizer, loss, loader, epochs, on_epoch=errors)
    lines = read_metrics(folder)
    return {
        name: [_mean(lines, name, epoch) for epoch in range(1, epochs + 1)]
        for name in ("loss", "error", *judged)
    }


def _mean(lines: list[dict[str, float]], name: str, epoch: int) -> float:
    values = [line[name] for line in lines if line["epoch"] == epoch and name in line]
    return sum(values) / len(values)


def error(logits: Tensor, labels: Tensor) -> float:
    """The share of rows of logits (N, K) whose largest one is not that of the label, in percent.

    >>> error(tg.tensor([[1.0, 0.0], [1.0, 0.0]]), tg.tensor([0, 1]))
    50.0
    """
    return 100 * (1 - float(tg.mean(in_top(logits, labels, 1))))


def gradient_rms(model: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """The root mean square of the gradient of each weight, from the first layer to the last.

        RMS(∂L/∂W) = √(mean((∂L/∂W)²)),  L the cross-entropy

    The weights are the parameters with two or more axes: of convolutions and linear layers.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> len(gradient_rms(model, tg.rand((5, 4)), tg.tensor([0, 1, 0, 1, 0])))
    2
    """
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    gradients = tg.grad(F.cross_entropy(model(images), labels), weights)
    return [float(tg.sqrt(tg.mean(gradient**2))) for gradient in gradients]
