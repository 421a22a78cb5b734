"""Hooks on leaves and results, and gradients kept in results."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def test_a_hook_sees_the_complete_gradient_once() -> None:
    x = leaf([1.0, 2.0])
    y = x * 3
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: seen.append(g.tolist()))
    (y * y + y + x).sum().backward()  # y and x arrive along two roads each
    assert seen == [[7.0, 13.0], [22.0, 40.0]]
    assert x.grad.tolist() == [22.0, 40.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_hooks_replace_the_gradient_one_after_the_other(create_graph: bool) -> None:
    x = leaf([1.0, 2.0])
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: -g)
    y.sum().backward(create_graph=create_graph)
    assert x.grad.tolist() == [-33.0, -33.0]
    x.grad = None


def test_a_removed_hook_is_called_no_more() -> None:
    x = leaf(2.0)
    y = x * 1.0
    handles = [t.register_hook(lambda g: g * 5) for t in (x, y)]
    y.backward(retain_graph=True)
    handles[0].remove()
    handles[0].remove()
    y.backward(retain_graph=True)
    handles[1].remove()
    y.backward()
    assert x.grad.item() == 25.0 + 5.0 + 1.0


def test_grad_runs_hooks_on_leaves_results_and_captured_results() -> None:
    x = leaf(2.0)
    y = x * x
    calls: list[float] = []
    y.register_hook(lambda g: calls.append(g.item()) or g * 2)
    in_x, in_y = tg.grad(y * 3, [x, y], retain_graph=True)
    assert (in_x.item(), in_y.item(), calls) == (24.0, 6.0, [3.0])
    assert tg.grad(y * 3, y)[0].item() == 6.0


def test_second_order_goes_through_a_hook() -> None:
    x = leaf(2.0)
    y = x**3
    y.register_hook(lambda g: g * x)  # d/dx becomes 3x³
    (first,) = tg.grad(y, x, create_graph=True)
    (second,) = tg.grad(first, x)
    assert (first.item(), second.item()) == (24.0, 36.0)


def test_a_hook_on_one_output_of_several() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    first, second = tg.unstack(x)
    first.register_hook(lambda g: g * 10)
    (first * 2 + second).sum().backward()
    assert x.grad.tolist() == [[20.0, 20.0], [1.0, 1.0]]


def test_what_a_hook_put_aside_stays_and_a_leaf_owns_its_gradient() -> None:
    x, z = leaf([1.0]), leaf([1.0])
    kept: list[Any] = []
    mine = tg.tensor([7.0], dtype=tg.float64)
    x.register_hook(kept.append)
    z.register_hook(lambda g: mine)
    for _ in range(2):
        (x + z).sum().backward()
    assert [g.item() for g in kept] == [1.0, 1.0]
    assert (x.grad.item(), z.grad.item(), mine.item()) == (2.0, 14.0, 7.0)


def test_a_gradient_cannot_be_written_by_a_hook() -> None:
    def write(g: Any) -> None:
        g[...] = 0.0

    y = leaf([1.0]) * 2
    y.register_hook(write)
    with pytest.raises(ValueError, match="read-only"):
        y.sum().backward()


def test_a_hook_on_the_root_of_the_pass() -> None:
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g * 4)
    y.backward()
    x.register_hook(lambda g: g * 5)
    x.backward()
    assert x.grad.item() == 8.0 + 5.0


def test_a_mask_of_zeros_as_a_hook_freezes_part_of_a_weight() -> None:
    w = leaf([1.0, 2.0, 3.0])
    w.register_hook(lambda g: g * np.array([1.0, 0.0, 1.0]))
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0, 0.0, 6.0]


def test_wrong_hooks_are_named() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="register_hook: this tensor requires no gradient"):
        x.detach().register_hook(print)
    with pytest.raises(RuntimeError, match="retain_grad: this tensor requires no gradient"):
        x.detach().retain_grad()
    handle = x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"register_hook: the hook returned \(\); .* \(2,\)"):
        x.sum().backward()
    handle.remove()
    x.register_hook(lambda g: 3.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="register_hook: the hook returned float"):
        x.sum().backward()


def test_a_hook_of_another_dtype_keeps_the_tensors_dtype() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g.astype(tg.float64) * 2)
    x.sum().backward()
    assert x.grad.dtype == tg.float32


# ------------------------------------------------------------------------------- retain_grad


def test_a_result_keeps_its_gradient_after_all_hooks_and_adds_up() -> None:
    x = leaf(3.0)
    y = x * x
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    z = y * 2
    z.backward(retain_graph=True)
    assert (y.grad.item(), x.grad.item()) == (20.0, 120.0)
    y.grad.numpy()[...] = 1.0
    z.backward()
    assert (y.grad.item(), x.grad.item()) == (21.0, 240.0)


def test_retain_grad_of_a_leaf_changes_nothing() -> None:
    x = leaf(3.0)
    x.retain_grad()
    (x * x).backward()
    assert x.grad.item() == 6.0


def test_a_kept_gradient_is_the_start_of_a_second_order() -> None:
    x = leaf(3.0)
    y = x * x
    y.retain_grad()
    (y * y).backward(create_graph=True)
    (second,) = tg.grad(y.grad, x)  # 2 x²
    assert second.item() == 12.0
    x.grad = None


def test_a_result_that_keeps_its_gradient_is_freed_by_reference_counting() -> None:
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        y = x * x
        y.retain_grad()
        y.sum().backward()
        watch = weakref.ref(y)
        del y
        assert watch() is None
    finally:
        gc.enable()


def test_a_result_that_died_before_the_pass_is_nobodys_keeper() -> None:
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    z = y * 2
    del y
    z.backward()
    assert x.grad.item() == 8.0
