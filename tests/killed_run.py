"""A training that kills itself: `python killed_run.py FOLDER TRAINING KIND NUMBER`.

Moments are counted at every write into a file (before it, and with half of it done), every rename,
every fsync and every step of the optimizer (before and after). At the NUMBER-th one of its KIND
("write", "rename", "sync", "step"; "any" counts them all) the process gets SIGKILL. TRAINING is
"short" (15 steps) or "long" (2,000 steps, with all the parts that a run can have).
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import data, nn, optim
from tinygrad_gm.training import Run

fatal_kind, moments_left = "any", 0


def moment(kind):
    global moments_left
    if fatal_kind in ("any", kind):
        moments_left -= 1
        if moments_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def counted(kind, function):
    def wrapper(*args, **keywords):
        moment(kind)
        result = function(*args, **keywords)
        moment(kind)
        return result

    return wrapper


class CountedFile:
    """A file whose writes are moments; the second of each comes when half of it is written."""

    def __init__(self, file):
        self._file = file

    def write(self, content):
        moment("write")
        content = content if isinstance(content, str) else bytes(content)
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        moment("write")
        return half + self._file.write(content[half:])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def train_short(folder: Path) -> Run:
    tg.manual_seed(0)
    generator = tg.Generator(1)
    x = generator.normal((40, 3))
    loader = data.DataLoader(data.TensorDataset(x, x.sum(axis=1) ** 2), 8, shuffle=True)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    def loss(batch, generator):
        x, y = batch
        noisy = x + 0.1 * tg.randn(x.shape) + 0.1 * generator.normal(x.shape)
        error = ((model(noisy)[:, 0] - y) ** 2).mean()
        return error, {"noise": tg.rand(())}

    def on_epoch(epoch):
        return {"drawn": tg.rand(()), "size": model[0].weight.abs().sum()}

    run = Run(folder, {"lr": 0.05}, resume=True)
    run.fit(model, optimizer, loss, loader, epochs=3, checkpoint_every=3, on_epoch=on_epoch)
    return run


def train_long(folder: Path) -> Run:
    """2,000 steps with dropout, running statistics, a schedule, an average, clipping, pictures."""
    tg.manual_seed(0)
    generator = tg.Generator(1)
    x = generator.normal((800, 6))
    pairs = data.TensorDataset(x, tg.sin(x.sum(axis=1)))
    loader = data.DataLoader(pairs, 8, shuffle=True, prefetch=2)
    model = nn.Sequential(
        *(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.3)),
        *(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1)),
        nn.Linear(8, 1),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    ema, epochs = optim.EMA(model, 0.99), 20

    def loss(batch, generator):
        x, y = batch
        return ((model(x + 0.1 * generator.normal(x.shape))[:, 0] - y) ** 2).mean()

    run = Run(folder, {"lr": 0.01}, resume=True)
    run.fit(
        model,
        optimizer,
        loss,
        loader,
        epochs,
        schedule=optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=epochs * len(loader)),
        ema=ema,
        clip_norm=1.0,
        on_epoch=lambda epoch: {"drawn": tg.rand(()), "size": model[0].weight.abs().sum()},
        sample=lambda generator: ema.model(generator.normal((16, 6))).reshape(1, 4, 4),
        sample_every=250,
        checkpoint_every=40,
    )
    return run


TRAININGS = {"short": train_short, "long": train_long}


if __name__ == "__main__":
    fatal_kind, moments_left = sys.argv[3], int(sys.argv[4])
    real_open = builtins.open
    writing = set("wa+")
    builtins.open = lambda path, mode="r", *args, **keywords: (
        CountedFile(real_open(path, mode, *args, **keywords))
        if writing & set(mode)
        else real_open(path, mode, *args, **keywords)
    )
    os.replace = counted("rename", os.replace)
    os.truncate = counted("write", os.truncate)
    os.fsync = counted("sync", os.fsync)
    optim.Adam.step = counted("step", optim.Adam.step)
    TRAININGS[sys.argv[2]](Path(sys.argv[1]))
