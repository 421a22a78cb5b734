"""A small run: a straight line to learn, and what the folders of two equal runs share."""

from __future__ import annotations

from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim
from tinygrad_gm.training import Run

LASTING = ("checkpoint.safetensors", "metrics.jsonl", "config.json")


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two folders hold the same run."""
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in LASTING)


class Small:
    """A straight line to learn, and a folder to learn it in."""

    def __init__(self, folder, resume=True, config=None, **options):
        tg.manual_seed(0)
        x = tg.linspace(-1, 1, 32).reshape(-1, 1)
        whole = data.TensorDataset(x, 2 * x + 1)
        self.loader = data.DataLoader(whole, 8, shuffle=True, prefetch=2)
        self.model = nn.Linear(1, 1)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.run = Run(folder, config, resume=resume, **options)
        self.before_step = lambda step: None

    def loss(self, batch, generator):
        self.before_step(self.run.step)
        x, y = batch
        return ((self.model(x) - y) ** 2).mean()

    def fit(self, epochs=3, **options):
        self.run.fit(self.model, self.optimizer, self.loss, self.loader, epochs, **options)
        return self
