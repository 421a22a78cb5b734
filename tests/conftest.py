"""What tests run on: a stand-in for CuPy, a GPU where there is one; each engine of drawings."""

from __future__ import annotations

import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from device_double import CUPY

import tinygrad_gm as tg
from tinygrad_gm.viz.render import engine as engines

ON_A_GPU = pytest.mark.skipif(not tg.cuda.is_available(), reason="no GPU, or no CuPy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--one-in",
        type=int,
        default=1,
        metavar="N",
        help="of every test marked `sweep` run one case in N, always the same ones",
    )
    parser.addoption(
        "--cases",
        type=int,
        default=450,
        metavar="N",
        help="number of random cases in which native kernels are compared with float64",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    n, seen = config.getoption("--one-in"), Counter[str]()

    def is_chosen(item: pytest.Item) -> bool:
        test = item.nodeid.partition("[")[0]
        seen[test] += 1
        return (
            not item.get_closest_marker("sweep")
            or (seen[test] + zlib.crc32(test.encode())) % n == 0
        )

    chosen = {item: is_chosen(item) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not chosen[item]])
    items[:] = [item for item in items if chosen[item]]


@pytest.fixture(params=["double", pytest.param("gpu", marks=ON_A_GPU)])
def device(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a CUDA device: of the stand-in for CuPy, then of a GPU."""
    if request.param == "double":
        monkeypatch.setitem(sys.modules, "cupy", CUPY)
    with tg.kernels.use("numpy"):  # native kernels round differently from the device
        yield "cuda:0"


@pytest.fixture
def default_device(device: str) -> Iterator[str]:
    """The device as the default one."""
    tg.set_default_device(device)
    yield device
    tg.set_default_device("cpu")


@pytest.fixture(params=["dot", "pygraphviz", "builtin"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn by Graphviz's program, by pygraphviz, and by the built-in layout."""
    name = request.param
    here = {"dot": shutil.which("dot"), "pygraphviz": find_spec("pygraphviz"), "builtin": True}
    if not here[name]:
        pytest.skip(f"no {name} here")
    picture = engines.picture
    monkeypatch.setattr(engines, "picture", lambda f, direction: picture(f, direction, name))
