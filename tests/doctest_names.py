"""A pytest plugin: doctests may say `tg`, `np`, `nn`, `F` … without importing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import data, nn, optim, viz


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(tg=tg, np=np, nn=nn, F=F, optim=optim, data=data, viz=viz)
    tg.manual_seed(0)
