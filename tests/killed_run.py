"""A small training that kills itself: `python killed_run.py FOLDER MOMENT`.

Moments are counted at every write into a file (before it, and with half of it done), every rename,
every fsync and every step of the optimizer (before and after). At the given one the process gets
SIGKILL; with 0 it runs to its end and prints how many moments there were.
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

kill_at = moments = 0


def moment():
    global moments
    moments += 1
    if moments == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


def counted(function):
    def wrapper(*args, **keywords):
        moment()
        result = function(*args, **keywords)
        moment()
        return result

    return wrapper


class CountedFile:
    """A file whose writes are moments; the second of each comes when half of it is written."""

    def __init__(self, file):
        self._file = file

    def write(self, content):
        moment()
        content = content if isinstance(content, str) else bytes(content)
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        moment()
        return half + self._file.write(content[half:])

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def train(folder: Path) -> Run:
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


if __name__ == "__main__":
    kill_at = int(sys.argv[2])
    real_open = builtins.open
    writing = set("wa+")
    builtins.open = lambda path, mode="r", *args, **keywords: (
        CountedFile(real_open(path, mode, *args, **keywords))
        if writing & set(mode)
        else real_open(path, mode, *args, **keywords)
    )
    os.replace, os.fsync, os.truncate = map(counted, (os.replace, os.fsync, os.truncate))
    optim.Adam.step = counted(optim.Adam.step)
    train(Path(sys.argv[1]))
    print(moments)
