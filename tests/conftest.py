"""The device on which tests of devices run: a stand-in for CuPy, and a GPU where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from device_double import CUPY

import tinygrad_gm as tg

ON_A_GPU = pytest.mark.skipif(not tg.cuda.is_available(), reason="no GPU, or no CuPy")


@pytest.fixture(params=["double", pytest.param("gpu", marks=ON_A_GPU)])
def device(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a CUDA device: of the stand-in for CuPy, then of a GPU."""
    if request.param == "double":
        monkeypatch.setitem(sys.modules, "cupy", CUPY)
    return "cuda:0"
