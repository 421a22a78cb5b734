"""The tables: ours against PyTorch, against rivals, against another checkout, and under load."""

from __future__ import annotations

import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from .contest import CHANNELS_LAST, OURS, TORCH, Contestant, Entry, contest
from .rivals import RIVALS
from .startup import seconds_to_first_gradient
from .workloads import PICTURES

LOADED = ("mlp", "lenet", "gpt", "resnet20")  # the workloads of the table under load


def torch_entries(workload: str) -> list[Entry]:
    """PyTorch, in both of its memory orders where there are pictures."""
    return [Entry(TORCH), *([Entry(CHANNELS_LAST)] if workload in PICTURES else [])]


def against_torch(workloads: Sequence[str], turns: int, seconds: float) -> list[str]:
    """The table of our steps and PyTorch's, its better memory order where there are pictures."""
    torch = f"PyTorch {version('torch').partition('+')[0]}"
    lines = [
        f"| workload | tinygrad_gm, ms | {torch}, ms | PyTorch/ours | memory, MB | PyTorch's |",
        "|---|---|---|---|---|---|",
    ]
    ratios = {}
    for workload in workloads:
        if workload == "import":
            ours, theirs = (1e3 * seconds_to_first_gradient(lib, turns) for lib in (OURS, TORCH))
            lines.append(f"| import | {ours:.0f} | {theirs:.0f} | {theirs / ours:.2f} | | |")
        else:
            orders = torch_entries(workload)
            mine, *others = contest(workload, [Entry(OURS), *orders], turns, seconds)
            best = min(others, key=lambda other: other.median_ms())
            note = " (channels last)" if best.library == CHANNELS_LAST else ""
            ratios[workload] = best.median_ms() / mine.median_ms()
            lines.append(
                f"| {workload} | {mine.median_ms():.3f} | {best.median_ms():.3f}{note} "
                f"| {ratios[workload]:.2f} | {mine.grown_mb:.0f} | {best.grown_mb:.0f} |"
            )
        print(lines[-1], flush=True)
    if ratios:
        mean = math.exp(statistics.mean(map(math.log, ratios.values())))
        lines += ["", f"Geometric mean of the ratios without `import`: {mean:.2f}"]
        print(lines[-1])
    return lines


def against_rivals(workloads: Sequence[str], turns: int, seconds: float) -> list[str]:
    """The table of the rivals' times relative to ours, on what they can run."""
    rivals = {name: load() for name, load in RIVALS.items()}
    titles = [f"{name} {rival.version}/ours" for name, rival in rivals.items()]
    lines = [
        f"| workload | tinygrad_gm, ms | {' | '.join(titles)} |",
        "|---|---|" + "---|" * len(rivals),
    ]
    for workload in workloads:
        able = [name for name, rival in rivals.items() if workload in rival.workloads]
        if not able:
            continue
        mine, *others = contest(workload, [Entry(OURS), *map(Entry, able)], turns, seconds)
        ratios = {other.library: other.median_ms() / mine.median_ms() for other in others}
        cells = [f"{ratios[name]:.2f}" if name in ratios else "–" for name in rivals]
        lines.append(f"| {workload} | {mine.median_ms():.3f} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def against_checkout(
    workloads: Sequence[str], checkout: str, turns: int, seconds: float
) -> list[str]:
    """The table of our times relative to another checkout's, and of that one's to its own."""
    lines = ["| workload | new, ms | old, ms | new/old | old/old |", "|---|---|---|---|---|"]
    entries = [Entry(OURS), Entry(OURS, checkout), Entry(OURS, checkout)]
    for workload in workloads:
        if workload == "import":
            new, old, again = (
                1e3 * seconds_to_first_gradient(OURS, turns, entry.checkout) for entry in entries
            )
        else:
            new, old, again = (
                contestant.median_ms() for contestant in contest(workload, entries, turns, seconds)
            )
        lines.append(
            f"| {workload} | {new:.3f} | {old:.3f} | {new / old:.3f} | {again / old:.3f} |"
        )
        print(lines[-1], flush=True)
    return lines


def under_load(workloads: Sequence[str], turns: int, seconds: float) -> list[str]:
    """The table of times while another process spins on one of the cores."""
    lines = [
        "| workload | idle, ms | loaded, ms | loaded/idle | PyTorch/ours, idle | loaded |",
        "|---|---|---|---|---|---|",
    ]
    with spinning() as conditions:
        for workload in workloads:
            entries = [Entry(OURS), *torch_entries(workload)]
            mine, *others = contest(workload, entries, turns, seconds, conditions)
            idle, loaded = (mine.median_ms(condition) for condition in conditions)
            ratios = [
                _least(others, condition) / mine.median_ms(condition) for condition in conditions
            ]
            lines.append(
                f"| {workload} | {idle:.3f} | {loaded:.3f} | {loaded / idle:.2f} "
                f"| {ratios[0]:.2f} | {ratios[1]:.2f} |"
            )
            print(lines[-1], flush=True)
    return lines


def _least(contestants: Sequence[Contestant], condition: str) -> float:
    return min(contestant.median_ms(condition) for contestant in contestants)


@contextmanager
def spinning() -> Iterator[dict[str, Callable[[], None]]]:
    """Stop and continue a process that spins on the last core."""
    core = max(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    spinner = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield {
            "idle": lambda: spinner.send_signal(signal.SIGSTOP),
            "loaded": lambda: spinner.send_signal(signal.SIGCONT),
        }
    finally:
        spinner.kill()
        spinner.wait()
