"""The benchmarks: what can be run without the libraries that they compare with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as on Linux")
def test_a_checkout_is_compared_with_another_and_that_one_with_itself() -> None:
    quick = ("--turns", "1", "--seconds", "0.01")
    done = run("chain", *quick, "--against", str(ROOT))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\| chain \|( \d+\.\d{3} \|){4}", done.stdout.splitlines()[-1])


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    done = run("chain", "--against", str(tmp_path))
    assert done.returncode == 2
    assert "--against: there is no folder tinygrad_gm in" in done.stderr
