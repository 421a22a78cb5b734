"""Progress of a long computation: a bar on a terminal, occasional lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

INTERVAL = 10.0  # seconds between the lines in a log file


def progress(title: str, total: int, done: int = 0) -> Bar | Lines:
    """Return a display on stderr for `total` steps, `done` of them already done."""
    return (Bar if sys.stderr.isatty() else Lines)(title, total, done)


def in_words(numbers: Mapping[str, float]) -> str:
    """Format the numbers in one line: `loss 0.693, accuracy 0.5`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


class Bar:
    """A progress bar."""

    def __init__(self, title: str, total: int, done: int) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            desc=title, total=total, initial=done, unit="step", dynamic_ncols=True, file=sys.stderr
        )

    def advance(self, numbers: Mapping[str, float]) -> None:
        """Count one step, with its metrics."""
        self._bar.set_postfix_str(in_words(numbers), refresh=False)
        self._bar.update()

    def say(self, line: str) -> None:
        """Print a line."""
        self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """End the display."""
        self._bar.close()


class Lines:
    """A line with the metrics every ten seconds, for log files."""

    def __init__(self, title: str, total: int, done: int) -> None:
        self._title, self._total, self._done, self._before = title, total, done, done
        self._began = self._spoke = time.monotonic()

    def advance(self, numbers: Mapping[str, float]) -> None:
        self._done += 1
        now = time.monotonic()
        if self._done < self._total and now - self._spoke < INTERVAL:
            return
        self._spoke = now
        speed = (self._done - self._before) / max(now - self._began, 1e-9)
        minutes, seconds = divmod(max(round((self._total - self._done) / speed), 0), 60)
        left = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
        self.say(
            f"step {self._done} of {self._total}: {in_words(numbers)} ({speed:.3g} steps per "
            f"second, {left} left)"
        )

    def say(self, line: str) -> None:
        print(f"{self._title}: {line}", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass
