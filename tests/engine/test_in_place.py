"""Writing into tensors: what is allowed, and that no gradient comes of what was replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg


def leaf(values: Any) -> Any:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def assign(w: Any) -> None:
    w.data = np.zeros(2)


def assign_the_same_array(w: Any) -> None:
    w.data = w.data


def subtract_from_data(w: Any) -> None:
    w.data -= 1.0


def write_an_element(w: Any) -> None:
    with tg.no_grad():
        w[0] = 5.0


def write_all(w: Any) -> None:
    with tg.no_grad():
        w[...] = [5.0, 6.0]


def step(w: Any) -> None:
    with tg.no_grad():
        w -= 0.1 * w


def scale(w: Any) -> None:
    with tg.no_grad():
        w *= 2.0


def copy(w: Any) -> None:
    with tg.no_grad():
        w.copy_([7.0, 8.0])


def write_through_an_alias(w: Any) -> None:
    w.detach()[0] = 5.0


def write_through_data(w: Any) -> None:
    w.data[...] = 5.0


def write_through_an_alias_of_an_alias(w: Any) -> None:
    alias = w.detach().data
    alias += 1.0


WRITES = [
    write_through_an_alias,
    write_through_data,
    write_through_an_alias_of_an_alias,
    assign,
    assign_the_same_array,
    subtract_from_data,
    write_an_element,
    write_all,
    step,
    scale,
    copy,
]

READERS = {  # what reads the leaf's array, directly or through a view of it
    "itself": lambda w: w * w,
    "one side": lambda w: w * tg.tensor([3.0, 4.0], dtype=tg.float64, requires_grad=True),
    "transpose": lambda w: w.reshape(1, 2).T ** 2,
    "matmul": lambda w: w @ leaf(np.ones((2, 3))),
    "matmul with T": lambda w: leaf(np.ones((3, 2))) @ w.reshape(1, 2).T,
    "slice": lambda w: w[1:].sin(),
    "flip": lambda w: tg.flip(w).sin(),
    "broadcast": lambda w: tg.broadcast_to(w, (3, 2)).sin(),
    "permute": lambda w: tg.permute_dims(w.reshape(1, 2), (1, 0)).sin(),
    "same dtype": lambda w: tg.astype(w, np.float64).sin(),
    "twin": lambda w: tg.cross_entropy(w, 0),
    "starred": lambda w: tg.stack([w, w]).sin().prod(axis=0),
}


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
@pytest.mark.parametrize("reader", ["itself", "transpose", "matmul", "slice"])
def test_backward_through_a_value_that_was_written_since_is_refused(
    write: Any, reader: str
) -> None:
    w = leaf([1.0, 2.0])
    y = READERS[reader](w).sum()
    write(w)
    with pytest.raises(RuntimeError, match=r"tensor of shape \(2,\) that `\w+` read was written"):
        y.backward()
    assert w.grad is None


@pytest.mark.parametrize("reader", READERS, ids=str)
def test_a_write_is_seen_through_every_view(reader: str) -> None:
    if reader == "starred":
        pytest.skip("stack copies: see below")
    w = leaf([1.0, 2.0])
    y = READERS[reader](w).sum()
    step(w)
    with pytest.raises(RuntimeError, match="was written since"):
        y.backward()


def test_what_was_copied_before_the_write_may_be_differentiated() -> None:
    for copies in (
        lambda w: tg.stack([w, w]),
        lambda w: tg.exp(w),
        lambda w: w + 0.0,
        lambda w: w[[0, 1]],
        lambda w: w[tg.tensor([True, True])],
    ):
        w = leaf([1.0, 2.0])
        y = copies(w)
        z = (y * y).sum()
        step(w)
        z.backward()
        assert w.grad is not None


def test_a_write_into_a_leaf_is_seen_by_those_who_read_its_alias() -> None:
    w = leaf([1.0, 2.0])
    y = (w * tg.stop_gradient(w)).sum()
    w.detach()[0] = 5.0
    with pytest.raises(RuntimeError, match="was written since"):
        y.backward()
    v = leaf([3.0, 4.0])
    y = (v * tg.stop_gradient(w)).sum()
    step(w)
    with pytest.raises(RuntimeError, match="was written since"):
        y.backward()


def test_an_alias_of_memory_that_was_replaced_is_no_alias_any_more() -> None:
    w = leaf([1.0, 2.0])
    alias = w.detach()
    w.data = np.array([3.0, 4.0])
    y = (w * w).sum()
    alias[...] = 0.0
    y.backward()
    assert w.grad.tolist() == [6.0, 8.0]


def test_a_write_into_a_leaf_that_no_rule_reads_does_no_harm() -> None:
    w, v = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (w + v).sum() + (v * v).sum()
    step(w)
    y.backward()
    assert (w.grad.tolist(), v.grad.tolist()) == ([1.0, 1.0], [7.0, 9.0])


def test_a_write_into_constant_data_that_a_rule_reads_is_refused() -> None:
    w, batch = leaf([1.0, 2.0]), tg.tensor([3.0, 4.0], dtype=tg.float64)
    y = (w * batch).sum()
    batch[...] = 0.0
    with pytest.raises(RuntimeError, match="was written since"):
        y.backward()


def test_writes_before_the_forward_and_after_the_backward_pass_are_fine() -> None:
    w = leaf([1.0, 2.0])
    for _ in range(3):
        step(w)
        w.grad = None
        (w * w).sum().backward()
        np.testing.assert_array_equal(w.grad.numpy(), 2 * w.numpy())
        step(w)


def test_two_records_one_before_and_one_after_a_write() -> None:
    w = leaf([1.0, 2.0])
    before = (w * w).sum()
    step(w)
    after = (w * w).sum()
    after.backward()
    with pytest.raises(RuntimeError, match="was written since"):
        before.backward()


def test_a_write_is_refused_at_higher_orders_too() -> None:
    w = leaf([1.0, 2.0])
    (first,) = tg.grad((w**3).sum(), w, create_graph=True)
    step(w)
    with pytest.raises(RuntimeError, match="was written since"):
        tg.grad(first.sum(), w)


# ------------------------------------------------------------- what may be written, and when


def test_a_step_under_no_grad_writes_into_the_leaf() -> None:
    w = leaf([1.0, 2.0])
    same, array = w, w.data._data
    (w * w).sum().backward()
    with tg.no_grad():
        w -= 0.5 * w.grad
    assert w is same
    assert w.data._data is array
    assert (w.tolist(), w.requires_grad, w.node) == ([0.0, 0.0], True, None)


@pytest.mark.parametrize("operation", ["+=", "-=", "*=", "/=", "**="])
def test_writing_into_a_leaf_while_recording_is_refused(operation: str) -> None:
    with pytest.raises(RuntimeError, match=r"only under tg\.no_grad\(\)"):
        exec(f"w {operation} 2.0", {"w": leaf([1.0, 2.0])})


def test_writing_elements_of_a_leaf_while_recording_is_refused() -> None:
    w = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"only under tg\.no_grad\(\)"):
        w[0] = 1.0
    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("write", [assign, write_an_element, write_all, copy])
def test_writing_into_a_result_is_refused_and_names_where(write: Any) -> None:
    y = leaf([1.0, 2.0]) * 2
    with pytest.raises(RuntimeError, match=r"result of `multiply`.*tg\.where"):
        write(y)


def test_the_data_of_a_result_are_read_only() -> None:
    y = leaf([1.0, 2.0]).exp()
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 3.0
    with pytest.raises(ValueError, match="read-only"):
        y.numpy()[0] = 3.0
    with pytest.raises(ValueError, match="read-only"):
        leaf([1.0]).numpy()[0] = 3.0


def test_augmented_assignment_of_a_result_makes_a_new_tensor() -> None:
    x = leaf([1.0, 2.0])
    y = first = x * 2
    y += x
    assert first.tolist() == [2.0, 4.0]
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_plain_tensor_is_written_in_place_and_becomes_part_of_the_record_when_it_must() -> None:
    total = same = tg.zeros(2)
    total += 1.0
    assert total is same
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    total += w
    assert total is not same
    assert total.requires_grad
    assert same.tolist() == [1.0, 1.0]


def test_an_augmented_assignment_keeps_shape_and_dtype() -> None:
    t = tg.zeros(2)
    with pytest.raises(ValueError, match=r"\(3, 2\) does not fit into \(2,\)"):
        t += tg.ones((3, 2))
    counts = tg.tensor([1, 2])
    with pytest.raises(TypeError, match="float32 does not fit into int64"):
        counts += 0.5
    t += np.ones(2)
    assert t.dtype == tg.float32


def test_integers_are_counted_in_place() -> None:
    counts = tg.zeros((3, 3), dtype=tg.int32)
    alias = counts
    for i, j in [(0, 1), (0, 1), (2, -1)]:
        counts[i, j] += 1
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]
    counts += 1
    counts *= 2
    counts -= 3
    assert alias is counts
    assert counts.tolist() == [[-1, 3, -1], [-1, -1, -1], [-1, -1, 1]]
    row = counts[1]
    row[0] = 7
    assert counts[1, 0].item() == 7
    with pytest.raises(IndexError, match=r"getitem: .*out of bounds"):
        counts[3, 0]
