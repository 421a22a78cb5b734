"""Other engines on NumPy, and JAX as a reference line, on the workloads that they can run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

RIVALS: dict[str, Callable[[], Any]] = {}
