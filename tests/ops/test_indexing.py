"""Reading and writing by every kind of index; an element read twice gets both gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import INDICES
from samples import draw

import tinygrad_gm as tg
from tinygrad_gm.ops import getitem, scatter, scatter_along_axis
from tinygrad_gm.testing import gradcheck


def leaf(shape: tuple[int, ...]) -> Any:
    return tg.tensor(draw(shape), requires_grad=True)


def as_tensors(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(as_tensors(entry) for entry in index)
    return tg.tensor(index) if isinstance(index, np.ndarray) else index


def as_lists(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(as_lists(entry) for entry in index)
    return index.tolist() if isinstance(index, np.ndarray) and index.size else index


@pytest.mark.parametrize("kind", [as_tensors, as_lists])
@pytest.mark.parametrize(("shape", "index"), INDICES)
def test_indices_may_be_tensors_and_lists(shape: Any, index: Any, kind: Any) -> None:
    x = leaf(shape)
    out = x[kind(index)]
    np.testing.assert_array_equal(out.numpy(), x.numpy()[index])
    (out * out).sum().backward()
    (wanted,) = tg.grad((x[index] ** 2).sum(), x)
    np.testing.assert_array_equal(x.grad.numpy(), wanted.numpy())
    if kind is as_lists:  # also where nobody has made arrays of the lists
        (direct,) = tg.grad((getitem(x, kind(index)) ** 2).sum(), x)
        np.testing.assert_array_equal(direct.numpy(), wanted.numpy())


def test_duplicate_indices_add_up() -> None:
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x[[0, 0, 2, 0]] * tg.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert x.grad.tolist() == [1011.0, 0.0, 100.0]


def test_overlapping_windows_add_up() -> None:
    x = tg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    windows = tg.stack([x[i : i + 2] for i in range(3)])
    (windows * tg.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])).sum().backward()
    assert x.grad.tolist() == [1.0, 12.0, 120.0, 200.0]


def test_positive_and_negative_mentions_of_one_element_add_up() -> None:
    x = tg.tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    (x[:, [3, -1]].sum() + x[[0, -3]].sum() + x[[0, 0], [1, -3]].sum()).backward()
    assert x.grad.tolist() == [[2.0, 4.0, 2.0, 4.0], [0, 0, 0, 2.0], [0, 0, 0, 2.0]]


def test_the_gradient_of_an_embedding_is_the_sum_over_its_mentions() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(-20, 20, (8, 30))
    table = tg.tensor(rng.normal(size=(20, 5)), requires_grad=True)
    upstream = rng.normal(size=(8, 30, 5))
    table[tokens].backward(upstream)
    wanted = np.zeros((20, 5))
    for place in np.ndindex(tokens.shape):
        wanted[tokens[place]] += upstream[place]
    np.testing.assert_allclose(table.grad.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take_along_any_axis_adds_up(axis: int) -> None:
    x = leaf((3, 4, 2))
    assert gradcheck(lambda t: t.take([1, 0, 1, -1], axis) ** 2, x, order=2)


def test_a_sum_over_an_index_that_mentions_a_broadcast_row_twice() -> None:
    x = leaf((2, 3))
    assert gradcheck(lambda t: (t[None] * 1.0)[0, [[0], [1]], [0, 2]] ** 3, x, order=2)


def test_scatter_is_the_adjoint_of_getitem() -> None:
    """⟨x[i], v⟩ = ⟨x, scatter(v, i)⟩ for every kind of index."""
    for shape, index in INDICES:
        x = draw(shape)
        values = draw(x[index].shape, seed=9)
        left = np.sum(x[index] * values)
        right = np.sum(x * scatter(values, index, shape).numpy())
        assert left == pytest.approx(right, abs=1e-12)


def test_scatter_refuses_an_index_that_is_out_of_range() -> None:
    for index in (np.array([3]), np.array([-4])):
        with pytest.raises(IndexError, match=r"scatter: .*out of bounds"):
            scatter(np.ones((1, 4)), index, (3, 4))
        with pytest.raises(IndexError, match=r"scatter: .*out of bounds"):
            scatter(np.ones((2, 1)), (slice(None), index), (2, 3))


def test_scatter_along_axis_adds_up() -> None:
    indices = np.array([[0, 0, 2], [1, -2, 1]])
    out = scatter_along_axis(np.ones((2, 3)), indices, 1, (2, 3))
    assert out.tolist() == [[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda x: x[5], IndexError, r"getitem: .*\(3, 4\), index=5.*axis 0 with size 3"),
    (lambda x: x[0, 7], IndexError, "index 7 is out of bounds for axis 1 with size 4"),
    (lambda x: x[0, 0, 0], IndexError, "too many indices"),
    (lambda x: x[1.5], IndexError, "only integers, slices"),
    (lambda x: x[tg.tensor([0.5])], IndexError, "expected integer or boolean indices; got float32"),
    (lambda x: x[np.array([0.5])], IndexError, "integer .or boolean"),
    (lambda x: x["a"], IndexError, "only integers, slices"),
    (lambda x: x[[True, False]], IndexError, "boolean index did not match"),
    (lambda x: x[..., ...], IndexError, "single ellipsis"),
    (lambda x: x.take_along_axis(np.zeros((3, 1)), 1), TypeError, "expected integer indices"),
    (lambda x: x.take_along_axis(np.zeros(3, int), 1), ValueError, "take_along_axis: .*dim"),
    (lambda x: x.take_along_axis(np.zeros((3, 1), int), 4), IndexError, "axis 4"),
    (
        lambda x: x.take_along_axis(np.zeros((3, 1), int), None),
        TypeError,
        "expected an integer axis",
    ),
]


@pytest.mark.parametrize(("call", "kind", "words"), ERRORS)
def test_errors_name_the_index(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        call(tg.ones((3, 4)))
    assert "\n" not in str(caught.value)
