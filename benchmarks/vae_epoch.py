"""Times epochs of the VAE 784-400-20 on MNIST, batch 128, Adam: the whole training, and PyTorch's.

Ours is `tinygrad_gm.models.vae` as a user trains it: shuffling loader, grey levels drawn as black
and white pixels anew in each step, metrics written, a checkpoint per epoch. PyTorch's is the loop
that one would write by hand: `randperm`, indexing of one tensor, `bernoulli`, fused Adam, the loss
read in each step. Each has its process, and they take turns, an epoch each.

    python -m benchmarks.vae_epoch [--turns N] [--threads N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

HIDDEN, LATENT, BATCH, RATE = 400, 20, 128, 1e-3
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def ours(epochs: int, pause: Callable[[], None]) -> None:
    """Train; `pause` after each epoch."""
    import tinygrad_gm as tg
    from tinygrad_gm import data, optim
    from tinygrad_gm.models import vae
    from tinygrad_gm.training import Run

    tg.manual_seed(0)
    model = vae.VAE(784, LATENT, HIDDEN)
    with tempfile.TemporaryDirectory() as folder, Run(folder) as run:
        run.fit(
            model,
            optim.Adam(model.parameters(), lr=RATE),
            lambda batch, generator: vae.loss(model, batch[0], generator),
            data.DataLoader(data.mnist().train, BATCH, shuffle=True),
            epochs,
            on_epoch=lambda epoch: pause(),
        )


def torch(epochs: int, pause: Callable[[], None]) -> None:
    """The same in PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from tinygrad_gm import data

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU())
            self.fc_mu, self.fc_log_var = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)
            self.decoder = nn.Sequential(
                nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784)
            )

        def forward(self, x: Any) -> Any:
            h = self.encoder(x)
            mu, log_var = self.fc_mu(h), self.fc_log_var(h)
            logits = self.decoder(mu + torch.exp(0.5 * log_var) * torch.randn_like(mu))
            bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * (1 + log_var - mu**2 - log_var.exp()).sum()
            return (bce + kl) / len(x)

    torch.manual_seed(0)
    rows = torch.from_numpy(data.mnist().train.tensors[0].numpy().reshape(-1, 784).copy())
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    for _ in range(epochs):
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), BATCH):
            x = torch.bernoulli(rows[order[start : start + BATCH]])
            optimizer.zero_grad()
            loss = model(x)
            loss.backward()
            optimizer.step()
            loss.item()
        pause()


LIBRARIES = {"tinygrad_gm": ours, "torch": torch}


def work(library: str, epochs: int) -> None:
    """Train in this process; after each epoch print its seconds, and wait for a line."""
    began = time.perf_counter()

    def pause() -> None:
        nonlocal began
        print(time.perf_counter() - began, flush=True)
        sys.stdin.readline()
        began = time.perf_counter()

    LIBRARIES[library](epochs, pause)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vae_epoch", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="epochs of each that count")
    parser.add_argument("--threads", type=int, help="threads of both; all cores by default")
    args = parser.parse_args()
    env = {name: value for name, value in os.environ.items() if name not in THREADS}
    if args.threads:
        env |= dict.fromkeys(THREADS, str(args.threads))
    epochs = args.turns + 1  # the first one, in which all is loaded and warmed, does not count
    processes = {}
    for library in LIBRARIES:
        command = [sys.executable, "-m", "benchmarks.vae_epoch", library, str(epochs)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        processes[library] = subprocess.Popen(
            command, env=env, text=True, stderr=subprocess.DEVNULL, **pipes
        )
        processes[library].stdout.readline()  # before the other one starts
    times: dict[str, list[float]] = {library: [] for library in processes}
    for _ in range(args.turns):
        for library, process in processes.items():
            process.stdin.write("\n")
            process.stdin.flush()
            times[library].append(float(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    medians = {library: statistics.median(seconds) for library, seconds in times.items()}
    for library, seconds in medians.items():
        print(f"{library:12} {seconds:.2f} s per epoch")
    print(f"PyTorch/ours {medians['torch'] / medians['tinygrad_gm']:.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in LIBRARIES:
        work(sys.argv[1], int(sys.argv[2]))
    else:
        main()
