"""no_grad and its kin: as blocks, decorators and calls, nested, in threads and in tasks."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn


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


# ------------------------------------------------------------- generators and coroutines


def values(source: Iterator[Any]) -> list[tuple[Any, bool]]:
    """What a generator yields, each with whether its caller records between the steps."""
    return [(value, recorded()) for value in source]


def test_a_mode_holds_in_a_generator_and_not_in_its_caller() -> None:
    @tg.no_grad()
    def quiet(count: int) -> Iterator[bool]:
        """Some steps."""
        for _ in range(count):
            yield recorded()

    @tg.enable_grad()
    def loud() -> Iterator[bool]:
        yield recorded()
        yield recorded()

    assert quiet.__doc__ == "Some steps."
    assert inspect.isgeneratorfunction(quiet)
    assert values(quiet(2)) == [(False, True)] * 2
    with tg.no_grad():
        assert values(loud()) == [(True, False)] * 2
    assert recorded()


def test_a_generator_is_sent_thrown_and_closed_in_its_mode() -> None:
    seen: list[Any] = []

    @tg.no_grad()
    def steps() -> Any:
        try:
            seen.append(((yield "first"), recorded()))
            try:
                yield "second"
            except KeyError:
                seen.append(("caught", recorded()))
            yield "third"
        finally:
            seen.append(("closed", recorded()))

    running = steps()
    assert [next(running), running.send("sent"), running.throw(KeyError())] == [
        "first",
        "second",
        "third",
    ]
    assert recorded()
    running.close()
    assert seen == [("sent", False), ("caught", False), ("closed", False)]
    assert recorded()


def test_a_generator_returns_and_raises_through_its_mode() -> None:
    @tg.no_grad()
    def counted() -> Any:
        yield 1
        return "done"

    @tg.no_grad()
    def failing() -> Any:
        yield 1
        raise KeyError

    def delegating() -> Any:
        return (yield from counted())

    running = delegating()
    assert next(running) == 1
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "done"
    running = failing()
    next(running)
    with pytest.raises(KeyError):
        next(running)
    assert recorded()


def test_a_block_inside_a_generator_goes_on_at_the_next_step() -> None:
    @tg.no_grad()
    def steps() -> Iterator[bool]:
        with tg.enable_grad():
            yield recorded()
            yield recorded()
        yield recorded()

    assert values(steps()) == [(True, True), (True, True), (False, True)]


def test_two_generators_in_turn_keep_their_modes() -> None:
    @tg.no_grad()
    def quiet() -> Iterator[bool]:
        yield recorded()
        yield recorded()

    @tg.enable_grad()
    def loud() -> Iterator[bool]:
        yield recorded()
        yield recorded()

    assert list(zip(quiet(), loud(), strict=True)) == [(False, True)] * 2


def test_textbook_and_detect_anomaly_hold_in_a_generator() -> None:
    x = tg.ones(3, requires_grad=True)

    @tg.textbook()
    def twins() -> Iterator[Any]:
        yield tg.softmax(x).op
        yield tg.softmax(x).op

    @tg.detect_anomaly()
    def checked() -> Iterator[Any]:
        yield 1
        yield tg.log(x * 0.0)

    assert [(inside, tg.softmax(x).op) for inside in twins()] == [("divide", "softmax")] * 2
    running = checked()
    next(running)
    with np.errstate(divide="ignore"):
        assert tg.log(x.detach() * 0.0).tolist() == [-np.inf] * 3  # nothing is checked here
    with pytest.raises(RuntimeError, match=r"`log` .* made -inf"):
        next(running)


def test_no_grad_inside_a_checked_generator_goes_on_at_the_next_step() -> None:
    @tg.detect_anomaly()
    def steps() -> Iterator[bool]:
        with tg.no_grad():
            yield recorded()
            yield recorded()
        yield recorded()

    assert values(steps()) == [(False, True), (False, True), (True, True)]


def test_a_mode_holds_in_a_coroutine_and_not_between_its_steps() -> None:
    @tg.no_grad()
    async def quiet() -> list[bool]:
        before = recorded()
        await asyncio.sleep(0)
        return [before, recorded()]

    async def main() -> list[bool]:
        return [*await quiet(), recorded()]

    assert inspect.iscoroutinefunction(quiet)
    assert asyncio.run(main()) == [False, False, True]
    coroutine = quiet()
    coroutine.send(None)  # driven by hand: the driver is no task of its own
    assert recorded()
    coroutine.close()
    assert recorded()


def test_a_mode_holds_in_an_async_generator_and_not_in_its_caller() -> None:
    seen: list[Any] = []

    @tg.no_grad()
    async def steps() -> AsyncIterator[bool]:
        try:
            yield recorded()
            await asyncio.sleep(0)
            yield recorded()
        except KeyError:
            yield recorded()
        finally:
            await asyncio.sleep(0)
            seen.append(recorded())

    async def main() -> None:
        async for value in steps():
            seen.append((value, recorded()))
        running: Any = steps()
        seen.append((await running.asend(None), await running.athrow(KeyError()), recorded()))
        await running.aclose()
        seen.append((recorded(),))

    assert inspect.isasyncgenfunction(steps)
    asyncio.run(main())
    passed = [(False, True), (False, True), False]
    assert seen == [*passed, (False, False, True), False, (True,)]


# ---------------------------------------------------------------- without parentheses


@pytest.mark.parametrize(
    "mode", [tg.no_grad, tg.enable_grad, tg.textbook, tg.detect_anomaly, nn.no_init]
)
def test_a_mode_decorates_with_parentheses_and_without(mode: Any) -> None:
    def facts() -> tuple[Any, ...]:
        x = tg.ones(3, requires_grad=True)
        layer = nn.Linear(2, 3)
        return tg.is_grad_enabled(), tg.softmax(x).op, any(layer.weight.numpy().strides)

    with mode():
        inside = facts()
    assert mode(facts)() == mode()(facts)() == inside
    assert mode(facts).__name__ == "facts"
    with pytest.raises(TypeError, match="a mode decorates a function or a method, not 3"):
        mode(3)
    with pytest.raises(TypeError, match="a mode decorates a function or a method, not <class"):
        mode(nn.Linear)


def test_a_mode_that_needs_an_argument_says_so() -> None:
    with pytest.raises(TypeError, match="set_grad_enabled: enabled must be True or False, got <f"):
        tg.set_grad_enabled(recorded)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"using: generator must be a tg\.Generator, got <f"):
        tg.random.using(recorded)  # type: ignore[arg-type]
    assert recorded()
    tg.set_grad_enabled(np.bool_(False))  # type: ignore[arg-type]
    assert not tg.is_grad_enabled()
