"""PyTorch as the oracle: skipped, with a reason, where it is not installed.

Only `tests/references` imports torch too. `make parity` runs these in an environment that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HAS_TORCH = find_spec("torch") is not None
REASON = "PyTorch is not installed; `make parity` has it"


class WithoutTorch(pytest.Module):
    """A test file that is not imported, for it would import torch."""

    def collect(self) -> Iterator[Any]:
        """Skip the file."""
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> Any:
    """Collect a test file as usual where there is PyTorch."""
    return None if HAS_TORCH else WithoutTorch.from_parent(parent, path=module_path)


@pytest.fixture
def share(request: pytest.FixtureRequest) -> Callable[[int], range]:
    """Of a number of random cases those that `--one-in` runs."""
    one_in = request.config.getoption("--one-in")
    return lambda count: range(0, count, one_in)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many configurations were compared and how many tests failed, or why none was."""
    if not HAS_TORCH:
        terminalreporter.write_line(f"parity: nothing compared: {REASON}")
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    cases = [n for r in reports for key, n in r.user_properties if key == "cases"]
    if cases:
        failed = len(terminalreporter.stats.get("failed", []))
        terminalreporter.write_line(
            f"parity: {sum(cases)} cases compared with PyTorch, {failed} failing tests"
        )
