"""Which kernels compute, and on how many threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from native_kernels import TARGETS, computing, needs_native

import tinygrad_gm as tg
from tinygrad_gm.kernels import choosing, native


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_use_is_a_call_and_a_block() -> None:
    before = tg.kernels.in_use()
    with tg.kernels.use("numpy"):
        assert tg.kernels.in_use() == "numpy"
        assert not native.fits(np.ones(3))
    assert tg.kernels.in_use() == before
    tg.kernels.use("numpy")
    assert tg.kernels.in_use() == "numpy"
    tg.kernels.use(before)


@needs_native
def test_both_kernels_are_available_where_native_ones_were_built() -> None:
    assert set(tg.kernels.available()) == {"numpy", "native"}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match='kernels: \'cuda\' is unknown; use "native" or "numpy"'):
        tg.kernels.use("cuda")


def test_without_native_kernels_they_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "missing", "No module named '_native'")
    assert tg.kernels.in_use() == "numpy"
    assert tg.kernels.available() == ("numpy",)
    assert tg.kernels.num_threads() == 1
    assert choosing.described().startswith("numpy (the native ones were not built: No module")
    with pytest.raises(RuntimeError, match=r"the native ones were not built \(No module"):
        tg.kernels.use("native")


def test_a_number_of_threads_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="0 is not a number of threads"):
        tg.kernels.set_num_threads(0)


@needs_native
def test_fits_only_arrays_that_kernels_take() -> None:
    x = np.ones((3, 4), np.float32)
    assert native.fits(x)
    assert native.fits(x, x[::2, ::-1])
    bytes_off = np.ones(17, np.uint8)[1:].view(np.float32)
    refused = [
        np.ones((0, 3)),
        np.ones(3, np.int64),
        np.ones(3, np.float16),
        bytes_off,
        x.astype(">f4"),
        np.float32(1),
        np.ma.masked_array(x),
        None,
        1.0,
    ]
    assert [value for value in refused if native.fits(value)] == []
    assert not native.fits(x, x.astype(np.float64))
    assert not native.fits()
    assert native.fits(x, None, x, None)
    assert not native.fits(None, x)
    assert not native.fits(x, None, x.astype(np.float64))
    assert not native.dense(x, None)


@needs_native
def test_dense_wants_one_shape_and_one_order_without_holes() -> None:
    x = np.ones((3, 4, 5))
    y = np.ones((5, 3, 4)).transpose(1, 2, 0)
    assert all(native.dense(array, array) for array in (x, y, x.T))
    assert not native.dense(x, y)
    assert not native.dense(x, x[:2])
    for holes in (x[:, :2], x[..., ::2], np.broadcast_to(x[:1], x.shape), x[::-1]):
        assert not native.dense(holes)


@needs_native
def test_every_target_here_can_be_chosen_and_no_other() -> None:
    assert TARGETS[-1] == "baseline"
    for target in TARGETS:
        with computing(target, 1):
            assert native.target() == target
    with pytest.raises(ValueError, match="this processor has no target 'mmx'"):
        native.set_target("mmx")


@pytest.mark.parametrize(
    ("variable", "value", "report"),
    [
        ("TINYGRAD_GM_KERNELS", "numpy", "numpy (the native ones"),
        pytest.param("TINYGRAD_GM_KERNELS", "native", "native (", marks=needs_native),
        pytest.param(
            "TINYGRAD_GM_KERNELS_TARGET", "baseline", "native (baseline)", marks=needs_native
        ),
        pytest.param("OMP_NUM_THREADS", "3,1", "threads: 3", marks=needs_native),
    ],
)
def test_the_environment_chooses(variable: str, value: str, report: str) -> None:
    code = "from tinygrad_gm.kernels.choosing import described; print(described())"
    assert report in python(code, **{variable: value}).stdout


def test_a_wrong_name_in_the_environment_is_an_error() -> None:
    done = python("import tinygrad_gm", TINYGRAD_GM_KERNELS="blas")
    assert "ValueError: kernels: 'blas' is unknown" in done.stderr


def test_kernels_that_were_not_built_cannot_be_asked_for() -> None:
    hidden = "import sys; sys.modules['tinygrad_gm.kernels.native._native'] = None; "
    done = python(hidden + "import tinygrad_gm", TINYGRAD_GM_KERNELS="native")
    assert "RuntimeError: kernels: the native ones were not built" in done.stderr
    done = python(hidden + "import tinygrad_gm as tg; print(tg.kernels.in_use())")
    assert done.stdout == "numpy\n"
