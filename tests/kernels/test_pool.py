"""The pool: any number of threads, forks, and several Python threads at once."""

from __future__ import annotations

import os
import threading
from functools import partial

import numpy as np
import pytest
from native_kernels import needs_native, numbers

import tinygrad_gm as tg
from tinygrad_gm.kernels import products as kernels

pytestmark = needs_native
product = partial(kernels.product, np)
X, Y = numbers((300, 200), np.float32, 1), numbers((200, 700), np.float32, 2)


@pytest.fixture(autouse=True)
def two_threads():
    before = tg.kernels.num_threads()
    with tg.kernels.use("native"):
        tg.kernels.set_num_threads(2)
        yield
        tg.kernels.set_num_threads(before)


def test_threads_can_be_more_and_fewer_again() -> None:
    expected = product(X, Y)
    for count in (1, 5, 2, 3, 1, 2):
        tg.kernels.set_num_threads(count)
        assert tg.kernels.num_threads() == count
        for _ in range(20):
            np.testing.assert_array_equal(product(X, Y), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 on threads
def test_a_forked_child_computes_the_same() -> None:
    expected = product(X, Y)
    child = os.fork()
    if not child:
        right = all(np.array_equal(product(X, Y), expected) for _ in range(20))
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(product(X, Y), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_while_another_thread_computes_does_not_hang() -> None:
    stop, expected = threading.Event(), product(X, Y)
    busy = threading.Thread(target=lambda: [product(X, Y) for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        for _ in range(10):
            child = os.fork()
            if not child:
                os._exit(0 if np.array_equal(product(X, Y), expected) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        busy.join()


def test_python_threads_compute_at_once_and_get_their_own_results() -> None:
    factors = [numbers((300, 200), np.float32, seed) for seed in range(4)]
    expected = [product(x, Y) for x in factors]
    wrong = []

    def compute(x: np.ndarray, right: np.ndarray) -> None:
        for _ in range(50):
            if not np.array_equal(product(x, Y), right):
                wrong.append(x)

    threads = [
        threading.Thread(target=compute, args=pair) for pair in zip(factors, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for count in (3, 1, 2) * 5:
        tg.kernels.set_num_threads(count)
    for thread in threads:
        thread.join()
    assert not wrong
