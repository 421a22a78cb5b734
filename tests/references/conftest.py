"""torchvision and timm as the oracles: skipped, with a reason, where they are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HAS_REFERENCES = all(find_spec(name) for name in ("torch", "torchvision", "timm"))
REASON = "torchvision and timm are not installed; `make references` has them"

if HAS_REFERENCES:
    import torch

    # The wheel of torchvision is built for CUDA: without it, its operations are missing, and its
    # import registers gradients and shapes of two of them.
    operations = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operations.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class WithoutReferences(pytest.Module):
    """A test file that is not imported, for it would import torchvision."""

    def collect(self) -> Iterator[Any]:
        """Skip the file."""
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> Any:
    """Collect a test file as usual where there are references."""
    return None if HAS_REFERENCES else WithoutReferences.from_parent(parent, path=module_path)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many comparisons there were, and the largest error of each kind."""
    if not HAS_REFERENCES:
        terminalreporter.write_line(f"references: nothing compared: {REASON}")
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    errors: dict[str, list[float]] = {}
    for report in reports:
        kind = report.nodeid.rpartition("::")[2].partition("[")[0]
        errors.setdefault(kind, []).extend(x for key, x in report.user_properties if key == "error")
    for kind, found in errors.items():
        if found:
            line = f"references: {kind}: {len(found)} networks, largest error {max(found):.1e}"
            terminalreporter.write_line(line)
