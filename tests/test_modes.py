"""no_grad and its kin: as blocks, decorators and calls, nested, in threads and in tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import tinygrad_gm as tg


@pytest.fixture(autouse=True)
def _modes_are_restored() -> Iterator[None]:
    yield
    tg.set_grad_enabled(True)


def recorded() -> bool:
    return (tg.ones((), requires_grad=True) * 1).requires_grad


def test_blocks_nest_and_end() -> None:
    assert recorded()
    with tg.no_grad():
        assert not recorded()
        assert not tg.is_grad_enabled()
        with tg.enable_grad():
            assert recorded()
        assert not recorded()
    assert recorded()
    assert tg.is_grad_enabled()


def test_an_exception_ends_a_block() -> None:
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert recorded()


def test_decorated_functions_and_recursion() -> None:
    @tg.no_grad()
    def evaluate(depth: int) -> bool:
        """What it says."""
        return evaluate(depth - 1) if depth else recorded()

    @tg.enable_grad()
    def train() -> bool:
        return recorded()

    assert evaluate.__doc__ == "What it says."
    assert not evaluate(3)
    assert recorded()
    with tg.no_grad():
        assert train()
        assert not recorded()


def test_set_grad_enabled_as_a_call() -> None:
    tg.set_grad_enabled(False)
    assert not recorded()
    tg.set_grad_enabled(True)
    assert recorded()


def test_set_grad_enabled_as_a_block() -> None:
    with tg.set_grad_enabled(False):
        assert not recorded()
        with tg.set_grad_enabled(True):
            assert recorded()
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_as_a_decorator_holds_in_the_function_only() -> None:
    @tg.set_grad_enabled(False)
    def evaluate() -> bool:
        return recorded()

    assert recorded()
    assert [evaluate() for _ in range(3)] == [False] * 3
    assert recorded()


def test_backward_works_under_no_grad() -> None:
    x = tg.tensor(3.0, requires_grad=True)
    y = x * x
    with tg.no_grad():
        y.backward(create_graph=True)
        assert not tg.is_grad_enabled()
    first, x.grad = x.grad, None
    first.backward()
    assert x.grad.item() == 2.0


def run_in_thread(work: Any) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_thread_starts_with_recording_on_and_cannot_switch_it_for_others() -> None:
    seen: list[bool] = []
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        seen.append(recorded())
        with tg.no_grad():
            inside.set()
            leave.wait()
            seen.append(recorded())

    with tg.no_grad():
        thread = run_in_thread(work)
        assert inside.wait(10)
    mine = recorded()  # while the thread is inside its no_grad
    leave.set()
    thread.join()
    assert (mine, seen) == (True, [True, False])


def test_one_decorated_function_in_two_threads_at_once() -> None:
    """The first to enter is the first to leave: each must find its own mode again."""
    entered = {name: threading.Event() for name in ("first", "second")}
    leave = {name: threading.Event() for name in ("first", "second")}
    after: dict[str, bool] = {}

    @tg.no_grad()
    def evaluate(name: str) -> None:
        entered[name].set()
        leave[name].wait(10)

    def work(name: str, enabled: bool) -> None:
        with tg.set_grad_enabled(enabled):
            evaluate(name)
            after[name] = tg.is_grad_enabled()

    first = run_in_thread(lambda: work("first", False))
    assert entered["first"].wait(10)
    second = run_in_thread(lambda: work("second", True))
    assert entered["second"].wait(10)
    leave["first"].set()
    first.join()
    leave["second"].set()
    second.join()
    assert after == {"first": False, "second": True}


def test_tasks_have_modes_of_their_own() -> None:
    async def quiet(turn: Any) -> list[bool]:
        with tg.no_grad():
            await turn.wait()
            return [recorded()]

    async def loud(turn: Any) -> list[bool]:
        before = recorded()
        turn.set()
        await asyncio.sleep(0)
        return [before, recorded()]

    async def both() -> list[list[bool]]:
        turn = asyncio.Event()
        return list(await asyncio.gather(quiet(turn), loud(turn)))

    assert asyncio.run(both()) == [[False], [True, True]]


def test_textbook_holds_in_its_block_only() -> None:
    x = tg.ones(3, requires_grad=True)
    with tg.textbook():
        inside = tg.softmax(x)
    assert (inside.op, tg.softmax(x).op) == ("divide", "softmax")
