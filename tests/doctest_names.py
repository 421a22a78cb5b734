"""A pytest plugin: doctests may say `tg` and `np` without importing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(tg=tg, np=np)
    tg.manual_seed(0)
