"""no_grad and its kin: as blocks, decorators and calls, nested, in threads and in tasks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import tinygrad_gm as tg


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


def test_a_thread_starts_with_recording_on_and_cannot_switch_it_for_others() -> None:
    seen: list[bool] = []
    started, checked = threading.Event(), threading.Event()

    def work() -> None:
        seen.append(recorded())
        with tg.no_grad():
            started.set()
            checked.wait()
            seen.append(recorded())

    with tg.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        assert not recorded()
    assert recorded()  # though the thread is inside its no_grad
    checked.set()
    thread.join()
    assert seen == [True, False]


def test_one_decorated_function_in_two_threads_at_once() -> None:
    inside, leave = threading.Barrier(2), threading.Barrier(2)
    after: dict[bool, bool] = {}

    @tg.no_grad()
    def evaluate(late: bool) -> None:
        inside.wait()
        if late:
            leave.wait()

    def work(enabled: bool) -> None:
        with tg.set_grad_enabled(enabled):
            evaluate(late=enabled)
            if not enabled:
                leave.wait()  # the other one leaves the function only now
            after[enabled] = tg.is_grad_enabled()

    threads = [threading.Thread(target=work, args=(enabled,)) for enabled in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert after == {True: True, False: False}


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
