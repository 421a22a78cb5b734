"""Other engines on NumPy, and JAX as a reference line, on the workloads that they can run.

Each is a module with a `version` and its `workloads`, which are those of ours in its own words:
the same weights and data, written as somebody who knows the library well would write them. Only a
chosen one is imported.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

MODULES = {
    "MyGrad": "mygrad",
    "PyDyNet": "pydynet",
    "HIPS autograd": "hips_autograd",
    "JAX jit": "jax_jit",
}
RIVALS: dict[str, Callable[[], Any]] = {
    name: functools.partial(import_module, f"{__name__}.{module}")
    for name, module in MODULES.items()
}
