"""How a native kernel is held to its NumPy path: on every target, on 1 to 3 threads, to the bit.

A test of a kernel calls the array function, operation or optimizer step that uses it:

    @needs_native
    @pytest.mark.parametrize("x", layouts((33, 7), np.float32))
    def test_square(x, monkeypatch):
        calls = count_calls(monkeypatch, "square")
        assert_agrees(lambda x: tg.square(tg.tensor(x)).numpy(), x)
        assert calls

`assert_agrees` computes in NumPy in float64 and in the arrays' own type, and with the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.kernels import native

needs_native = pytest.mark.skipif(
    bool(native.missing), reason=f"the native kernels were not built: {native.missing}"
)
TARGETS = [] if native.missing else native.targets()
THREADS = (1, 2, 3)
SIZES = [1, 2, 7, 16, 31, 64, 127, 1009, 4096, 16384, 16385, 100_003]  # primes, powers of two
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-42, 5e-324, 1e30, -1e-30]


@contextmanager
def computing(target: str, threads: int) -> Iterator[None]:
    """The native kernels for one instruction set, on some threads."""
    before = native.target(), tg.kernels.num_threads()
    native.set_target(target)
    tg.kernels.set_num_threads(threads)
    try:
        with tg.kernels.use("native"):
            yield
    finally:
        native.set_target(before[0])
        tg.kernels.set_num_threads(before[1])


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    """A list that grows with each call of a kernel."""
    kernel, calls = getattr(native, name), list[int]()

    def counted(*args: Any) -> Any:
        calls.append(len(args))
        return kernel(*args)

    monkeypatch.setattr(native, name, counted)
    return calls


def numbers(shape: Any, dtype: Any, seed: int = 0) -> np.ndarray:
    """Normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def with_special(array: np.ndarray, seed: int = 0) -> np.ndarray:
    """A copy with NaN, infinities, zeros of both signs and denormals at random places."""
    array = array.copy()
    places = np.random.default_rng(seed).integers(0, array.size, len(SPECIAL))
    with np.errstate(over="ignore", under="ignore"):
        array.reshape(-1)[places] = np.array(SPECIAL).astype(array.dtype)
    return array


def layouts(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> list[Any]:
    """The same numbers in memory orders that kernels take and that they leave to NumPy."""
    plain = numbers(shape, dtype, seed)
    behind = np.empty(plain.size + 1, dtype)[1:].reshape(shape)
    sparse = np.empty((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]
    backward = np.empty(shape, dtype)[..., ::-1]
    turned = np.empty(shape[::-1], dtype).T
    read_only = plain.copy()
    for array in (behind, sparse, backward, turned):
        array[...] = plain
    read_only.flags.writeable = False
    return [
        pytest.param(plain, id="in order"),
        pytest.param(behind, id="one number off a line"),
        pytest.param(sparse, id="every second number"),
        pytest.param(backward, id="backward"),
        pytest.param(turned, id="axes reversed"),
        pytest.param(read_only, id="read-only"),
        pytest.param(plain.astype(plain.dtype.newbyteorder()), id="other byte order"),
    ]


def results_of(function: Callable[..., Any], arrays: tuple[Any, ...]) -> list[np.ndarray]:
    """The arrays that a function returns for copies of these, which keep their memory order."""
    with np.errstate(all="ignore"):
        results = function(*(a.copy("K") if isinstance(a, np.ndarray) else a for a in arrays))
    return [np.asarray(a) for a in (results if isinstance(results, (tuple, list)) else [results])]


def assert_agrees(function: Callable[..., Any], *arrays: Any, terms: int = 1) -> None:
    """The function's results with native kernels are as close to float64 as NumPy's path.

    The root mean square error of each result is at most twice that of NumPy's path, or
    eps · √terms of the result's own root mean square; special values are in the same places; dtype
    and shape are the same; and the number of threads does not change a bit.
    """
    with tg.kernels.use("numpy"):
        wide = (a.astype(np.float64) if _is_float(a) else a for a in arrays)
        exact = results_of(function, tuple(wide))
        plain = results_of(function, arrays)
    for target in TARGETS:
        first = None
        for threads in THREADS:
            with computing(target, threads):
                ours = results_of(function, arrays)
            assert first is None or same_bits(ours, first), f"{target}: {threads} threads"
            first = ours
        for mine, theirs, right in zip(ours, plain, exact, strict=True):
            _assert_close(mine, theirs, right, terms, target)


def same_bits(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    """Whether arrays are equal to the last bit."""
    pairs = zip(ours, theirs, strict=True)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _assert_close(
    ours: np.ndarray, plain: np.ndarray, exact: np.ndarray, terms: int, target: str
) -> None:
    assert (ours.dtype, ours.shape) == (plain.dtype, plain.shape)
    if ours.dtype.kind != "f":
        np.testing.assert_array_equal(ours, plain)
        return
    finite = np.isfinite(plain)
    np.testing.assert_array_equal(ours[~finite], plain[~finite], err_msg=target)
    with np.errstate(all="ignore"):
        mine, theirs = (_rms(a[finite].astype(np.float64) - exact[finite]) for a in (ours, plain))
        bound = np.finfo(ours.dtype).eps * terms**0.5 * _rms(exact[finite])
    assert mine <= max(2 * theirs, bound), (target, mine, theirs, bound)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
