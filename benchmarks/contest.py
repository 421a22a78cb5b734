"""Worker processes that are timed alternately: each is one library on one workload."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

OURS, TORCH, CHANNELS_LAST = "tinygrad_gm", "torch", "torch, channels last"


class Entry(NamedTuple):
    """What takes part: a library; of ours, that of another checkout."""

    library: str
    checkout: str = ""


class Contestant:
    """A worker process: one library on one workload."""

    def __init__(self, workload: str, entry: Entry) -> None:
        # a forced kernel suits one BLAS and hampers another: let each choose its own
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        command = [sys.executable, "-m", "benchmarks.worker", workload, *entry]
        self.library = entry.library
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.times: dict[str, list[float]] = {}
        hello = self._answer()
        self.losses, self.version = hello["losses"], hello["version"]

    def work(self, seconds: float, condition: str = "") -> None:
        """Take steps for some time; their times are those under a condition."""
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.times.setdefault(condition, []).extend(answer["times"])
        self.peak_mb, self.grown_mb = answer["peak_mb"], answer["grown_mb"]

    def median_ms(self, condition: str = "") -> float:
        """The median of the times of a step under a condition."""
        return 1e3 * statistics.median(self.times[condition])

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended early: {self.process.args}")
        return json.loads(line)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def contest(
    workload: str,
    entries: Sequence[Entry],
    turns: int,
    seconds: float,
    conditions: dict[str, Callable[[], None]] | None = None,
) -> list[Contestant]:
    """All entries on one workload, after the three losses of each were found to agree.

    In a turn each of them works once under every condition, which a function brings about.
    """
    contestants: list[Contestant] = []
    try:
        for entry in entries:
            contestants.append(Contestant(workload, entry))
            losses, wanted = contestants[-1].losses, contestants[0].losses
            if not np.allclose(losses, wanted, rtol=1e-4):
                raise RuntimeError(
                    f"{workload}: {entry.library} has losses {losses}, ours are {wanted}"
                )
        for contestant in contestants:
            contestant.work(seconds, "warming up")
        for _ in range(turns):
            for condition, begin in (conditions or {"": lambda: None}).items():
                begin()
                for contestant in contestants:
                    contestant.work(seconds, condition)
    finally:
        for contestant in contestants:
            contestant.end()
    return contestants
