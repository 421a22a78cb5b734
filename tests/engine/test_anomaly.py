"""detect_anomaly: the operation, the argument and the line that first made a NaN or an infinity."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.models import lenet


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def here(lines_below: int) -> str:
    """file:line of a line so far below the caller's, as a pattern."""
    return f"{__file__}:{sys._getframe(1).f_lineno + lines_below}".replace(".", r"\.")


def test_a_new_infinity_names_operation_argument_value_and_line() -> None:
    x = leaf([[1.0, 2.0], [0.0, 3.0]])
    wanted = rf"`log` at {here(2)} made -inf at \(1, 0\) .* from argument 0 \(x\) = 0\.0"
    with tg.detect_anomaly(), pytest.raises(RuntimeError, match=wanted):
        tg.log(x * 1.0)


def test_a_new_nan_names_both_arguments() -> None:
    x, y = leaf([1.0, 0.0]), leaf([[1.0], [0.0]])
    wanted = r"`divide` .* made nan at \(1, 1\) .*argument 0 \(x\) = 0\.0, argument 1 \(y\) = 0\.0"
    with tg.detect_anomaly(), pytest.raises(RuntimeError, match=wanted):
        x / (y + 0.0)


@pytest.mark.parametrize("build", [lambda: tg.tensor(0.0), lambda: leaf(0.0)])
def test_numbers_and_constants_are_checked_too(build: Any) -> None:
    with tg.detect_anomaly(), pytest.raises(RuntimeError, match=r"`divide` .* made inf at \(\)"):
        1.0 / build()


def test_a_nan_among_the_data_is_found_where_it_enters() -> None:
    w, batch = leaf([1.0, 2.0]), tg.tensor([3.0, float("nan")], dtype=tg.float64)
    with tg.detect_anomaly(), pytest.raises(RuntimeError, match=r"given nan in argument 1 \(y\)"):
        w * batch


def test_infinities_that_were_given_and_nans_that_are_replaced_are_no_anomaly() -> None:
    scores = leaf([1.0, 2.0])
    nans = tg.tensor([1.0, float("nan")], dtype=tg.float64)
    with tg.detect_anomaly():
        masked = tg.where(tg.tensor([True, False]), scores, -tg.inf)
        tg.softmax(masked).sum().backward()
        assert tg.where(tg.isnan(nans), 0.0, nans).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_an_infinite_gradient_names_operation_argument_and_the_line_of_the_forward_call(
    create_graph: bool,
) -> None:
    x = leaf([4.0, 0.0])
    with tg.detect_anomaly():
        line = here(1)
        y = tg.sqrt(x)
        wanted = rf"gradient of `sqrt` \(called at {line}\) in argument 0 \(x\) is inf at \(1,\)"
        with pytest.raises(RuntimeError, match=wanted):
            y.sum().backward(create_graph=create_graph)


def test_the_slot_is_that_of_the_faulty_argument() -> None:
    x, y = leaf([1.0]), leaf([1e-200])
    with tg.detect_anomaly():
        z = (x / y).sum()
        with pytest.raises(RuntimeError, match=r"`divide` .* argument 1 \(y\) is -inf"):
            z.backward()
        with pytest.raises(RuntimeError, match=r"`concat` .* argument 1 \(xs\[1\]\) is nan"):
            tg.concat([x, y]).backward([1.0, float("nan")])


def test_a_forward_pass_outside_the_block_has_no_line() -> None:
    y = tg.sqrt(leaf([0.0])).sum()
    with (
        tg.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"`sqrt` \(recorded outside detect_anomaly\)"),
    ):
        y.backward()


def test_grad_and_an_observer_are_watched() -> None:
    x, told = leaf([1.0, 0.0]), []
    with tg.detect_anomaly():
        y = tg.sqrt(x) * 3.0
        with pytest.raises(RuntimeError, match="gradient of `sqrt`"):
            tg.grad(y.sum(), x, retain_graph=True)
        with pytest.raises(RuntimeError, match="gradient of `sqrt`"):
            y.sum().backward(observer=lambda node, *rest: told.append(node.plan.op.name))
    assert told == ["sum", "multiply"]


def test_inside_a_module_the_line_is_the_programs() -> None:
    layer = tg.nn.Linear(2, 1)
    with tg.no_grad():
        layer.weight[...] = 1e30
    x = tg.ones((1, 2)) * 1e30
    wanted = rf"`linear` at {here(2)} made inf"
    with tg.detect_anomaly(), pytest.raises(RuntimeError, match=wanted):
        layer(x)


def test_inside_a_model_of_the_package_the_line_is_that_of_its_file() -> None:
    model = lenet.LeNet5()
    with tg.no_grad():
        model.fc3.weight[...] = 1e38
    lines, first = inspect.getsourcelines(lenet.LeNet5.forward)
    number = first + next(i for i, line in enumerate(lines) if "self.fc3(" in line)
    wanted = rf"`linear` at {re.escape(lenet.__file__)}:{number} made -?inf"
    with tg.detect_anomaly(), pytest.raises(RuntimeError, match=wanted):
        model(tg.ones((1, 1, 28, 28)) * 1e3)


def test_inside_a_checkpoint_the_line_is_the_functions() -> None:
    x = leaf([0.0])
    line = here(3)

    def segment(x: Any) -> Any:
        return tg.sqrt(x)

    with tg.detect_anomaly():
        y = tg.checkpoint(segment, x)
        with pytest.raises(RuntimeError, match=rf"gradient of `sqrt` \(called at {line}\)"):
            y.sum().backward()


def test_a_second_derivative_has_the_line_of_the_forward_call() -> None:
    x = leaf([0.0])
    with tg.detect_anomaly():
        line = here(1)
        y = tg.pow(x, 1.5).sum()
        (first,) = tg.grad(y, x, create_graph=True)
        with pytest.raises(RuntimeError, match=rf"\(called at {line}\)"):
            tg.grad(first.sum(), x)


def test_under_no_grad_and_outside_the_block_nothing_is_checked() -> None:
    zero = leaf([0.0])
    with np.errstate(divide="ignore"):
        with tg.detect_anomaly(), tg.no_grad():
            assert tg.log(zero).item() == -np.inf
        assert tg.log(zero).item() == -np.inf
        tg.sqrt(zero).sum().backward()
    assert zero.grad.item() == np.inf


def test_enable_grad_inside_the_block_checks_and_the_mode_is_on_to_those_who_ask() -> None:
    with tg.detect_anomaly():
        assert tg.is_grad_enabled()
        with tg.no_grad(), tg.enable_grad(), pytest.raises(RuntimeError, match=r"`log` .* made"):
            tg.log(leaf([0.0]))
        w = leaf([1.0])
        with pytest.raises(RuntimeError, match="written only under"):
            w -= 1.0
        (w * w).sum().backward()
    assert w.grad.item() == 2.0


def test_it_is_a_decorator_and_stays_in_its_thread() -> None:
    @tg.detect_anomaly()
    def train() -> None:
        tg.log(leaf([0.0]))

    for _ in range(2):
        with pytest.raises(RuntimeError, match="`log`"):
            train()
    seen: list[float] = []

    def other() -> None:
        with np.errstate(divide="ignore"):
            seen.append(tg.log(leaf(0.0)).item())

    with tg.detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [-np.inf]


def test_values_and_gradients_are_the_usual_ones() -> None:
    rng = np.random.default_rng(0)
    x = leaf(rng.uniform(0.5, 1.0, (3, 4)))
    results = []
    for _ in range(2):
        x.grad = None
        mean, spread = x.mean(axis=0), x.std(axis=0)
        first, *_ = tg.unstack((x - mean) / spread @ x.mT)
        tg.cross_entropy(first.reshape(1, -1), tg.tensor([1])).backward()
        results.append(x.grad.tolist())
        if len(results) == 1:
            block = tg.detect_anomaly()
            block.__enter__()
    block.__exit__(None, None, None)
    assert results[0] == results[1]
