"""Functions that move elements: against NumPy, with their gradients, and their errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from samples import draw

import tinygrad_gm as tg
from tinygrad_gm.testing import gradcheck

SPELLED = [  # (ours, NumPy's, shape): the functions that are no primitives
    (tg.matrix_transpose, np.matrix_transpose, (2, 3, 4)),
    (lambda x: x.mT, np.matrix_transpose, (2, 3)),
    (lambda x: x.T, np.transpose, (2, 3, 4)),
    (lambda x: tg.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), (2, 3, 4)),
    (lambda x: tg.swapaxes(x, 1, 1), lambda x: x, (2, 3)),
    (lambda x: tg.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), (2, 3, 4)),
    (lambda x: tg.moveaxis(x, (0, 2), (1, 0)), lambda x: np.moveaxis(x, (0, 2), (1, 0)), (2, 3, 4)),
    (lambda x: tg.expand_dims(x, 0), lambda x: x[None], (2, 3)),
    (lambda x: tg.expand_dims(x, (0, -1)), lambda x: x[None, ..., None], (2, 3)),
    (lambda x: tg.expand_dims(x, 0), lambda x: x[None], ()),
    (tg.squeeze, np.squeeze, (1, 2, 1)),
    (lambda x: tg.squeeze(x, -1), lambda x: np.squeeze(x, -1), (1, 2, 1)),
    (lambda x: tg.squeeze(x, (0, 2)), lambda x: np.squeeze(x, (0, 2)), (1, 2, 1)),
    (tg.flatten, np.ravel, (2, 3)),
    (tg.flatten, np.ravel, ()),
    (tg.flatten, np.ravel, (0, 3)),
    (lambda x: tg.flatten(x, 1), lambda x: x.reshape(2, 12), (2, 3, 4)),
    (lambda x: tg.flatten(x, 0, -2), lambda x: x.reshape(6, 4), (2, 3, 4)),
    (lambda x: x.reshape(3, -1), lambda x: np.reshape(x, (3, -1)), (2, 3)),
    (lambda x: tg.repeat(x, 2), lambda x: np.repeat(x, 2), (2, 3)),
    (lambda x: tg.repeat(x, 2, axis=-1), lambda x: np.repeat(x, 2, axis=-1), (2, 3)),
    (lambda x: tg.repeat(x, [1, 0, 2], 1), lambda x: np.repeat(x, [1, 0, 2], 1), (2, 3)),
    (lambda x: tg.repeat(x, 0, axis=0), lambda x: np.repeat(x, 0, axis=0), (2, 3)),
    (lambda x: tg.tile(x, 2), lambda x: np.tile(x, 2), (2, 3)),
    (lambda x: tg.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (2, 3)),
    (lambda x: tg.tile(x, (2, 2)), lambda x: np.tile(x, (2, 2)), (3,)),
    (lambda x: tg.tile(x, 3), lambda x: np.tile(x, 3), ()),
    (lambda x: tg.take(x, [2, 0, 2]), lambda x: np.take(x, [2, 0, 2]), (2, 3)),
    (lambda x: tg.take(x, [[1, -1]], 1), lambda x: np.take(x, [[1, -1]], 1), (2, 3)),
    (lambda x: tg.take(x, 1, axis=-1), lambda x: np.take(x, 1, axis=-1), (2, 3)),
    (lambda x: tg.split(x, 3, axis=1)[1], lambda x: np.split(x, 3, axis=1)[1], (2, 3)),
    (lambda x: tg.split(x, [1, 4])[1], lambda x: np.split(x, [1, 4])[1], (5,)),
    (lambda x: tg.unstack(x, axis=1)[2], lambda x: x[:, 2], (2, 3)),
]


@pytest.mark.sweep
@pytest.mark.parametrize("layout", ["C", "transposed", "sliced"])
@pytest.mark.parametrize(("ours", "numpys", "shape"), SPELLED)
def test_value_and_gradients(ours: Any, numpys: Any, shape: Any, layout: str) -> None:
    x = draw(shape, layout=layout)
    np.testing.assert_array_equal(ours(tg.asarray(x)).numpy(), numpys(x))
    leaf = tg.asarray(x).requires_grad_()
    assert gradcheck(ours, leaf)
    assert gradcheck(ours, leaf, order=2)
    single = tg.asarray(x.astype(np.float32)).requires_grad_()
    ours(single).sum().backward()
    assert single.grad.dtype == np.float32


@pytest.mark.parametrize("cuts", [1, 3, np.int64(3), [2], [2, 4], [0, 3], [4, 2], [-1], [9], []])
def test_split_cuts_where_numpy_cuts(cuts: Any) -> None:
    x = np.arange(12.0).reshape(6, 2)
    ours, numpys = tg.split(x, cuts), np.split(x, cuts)
    assert len(ours) == len(numpys)
    for mine, theirs in zip(ours, numpys, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs)


def test_split_and_unstack_of_nothing() -> None:
    assert [part.shape for part in tg.split(tg.zeros((0, 2)), 3)] == [(0, 2)] * 3
    assert tg.unstack(tg.zeros((0, 2))) == ()


def test_the_parts_of_a_split_are_one_tensor_again() -> None:
    x = tg.tensor(draw((2, 6)), requires_grad=True)
    assert gradcheck(lambda t: tg.concat(tg.split(t, 3, axis=1), 1) ** 2, x, order=2)
    assert gradcheck(lambda t: tg.stack(tg.unstack(t, 1)[::-1]) ** 2, x, order=2)


def test_concat_takes_a_list_or_arrays_one_by_one() -> None:
    a, b = tg.ones((2, 1)), tg.zeros((2, 2))
    wanted = [[1.0, 0.0, 0.0]] * 2
    assert tg.concat([a, b], 1).tolist() == wanted
    assert tg.concat([a, b], axis=1).tolist() == wanted
    assert tg.concat((a, b), axis=-1).tolist() == wanted
    assert tg.concat(a, b, axis=1).tolist() == wanted
    assert tg.concat([a, b], axis=None).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert tg.stack([a, a], axis=-1).shape == (2, 1, 2)


def test_concat_of_one_tensor_with_itself_adds_its_gradients() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (tg.concat([x, x]) * tg.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_concat_computes_no_gradient_for_its_constants() -> None:
    seen = []
    x = tg.tensor([1.0], requires_grad=True)
    tg.concat([tg.zeros(2), x, tg.ones(1)]).sum().backward(observer=lambda n, s, *_: seen.append(s))
    assert seen == [0, 1]  # sum's argument, and the second of concat's
    assert x.grad.tolist() == [1.0]


@pytest.mark.parametrize(
    ("width", "shape"),
    [(2, (7,)), ((1, 2), (6,)), ([(0, 1), (2, 0)], (3, 5)), (((1,), (0,)), (4, 3))],
)
def test_pad_reads_its_widths_as_numpy_does(width: Any, shape: Any) -> None:
    x = np.arange(6.0).reshape(2, 3) if len(shape) == 2 else np.arange(3.0)
    out = tg.pad(x, width, constant_values=-1.0)
    assert out.shape == shape
    np.testing.assert_array_equal(out.numpy(), np.pad(x, width, constant_values=-1.0))


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda x: x.reshape(4, 2), ValueError, r"reshape: .*\(2, 3\), shape=\(4, 2\).*size 6"),
    (lambda x: x.reshape(-1, -1), ValueError, "reshape: .*one unknown"),
    (lambda x: tg.permute_dims(x, (0,)), ValueError, "permute_dims: .*axes"),
    (lambda x: tg.permute_dims(x, (0, 0)), ValueError, "permute_dims: .*repeated axis"),
    (lambda x: tg.permute_dims(x, None), TypeError, "permute_dims: .*axes=None"),
    (lambda x: tg.broadcast_to(x, (2, 2)), ValueError, r"broadcast_to: .*shape=\(2, 2\)"),
    (lambda x: tg.flip(x, 2), IndexError, "flip: .*axis 2"),
    (lambda x: tg.roll(x, 1, 5), IndexError, "roll: .*axis 5"),
    (lambda x: tg.pad(x, -1), ValueError, "pad: expected integer widths ≥ 0; got -1"),
    (lambda x: tg.pad(x, 1.5), ValueError, "pad: expected integer widths ≥ 0; got 1.5"),
    (lambda x: tg.concat([x, tg.ones((2, 2))]), ValueError, r"concat: .*\(2, 3\), \(2, 2\)"),
    (lambda x: tg.concat([x, x], axis=2), IndexError, "concat: .*axis 2"),
    (lambda x: tg.concat([x, 1.0]), ValueError, r"concat: .*\(2, 3\), \(\)"),
    (lambda x: tg.stack([x, tg.ones(3)]), ValueError, r"stack: .*same shape"),
    (lambda x: x.swapaxes(0, 2), IndexError, "swapaxes: axis 2 is out of range for 2"),
    (lambda x: x.moveaxis(0, 2), IndexError, "moveaxis: axis 2 is out of range for 2"),
    (lambda x: tg.moveaxis(x, (0, 1), 0), ValueError, "moveaxis: 2 sources but 1 destinations"),
    (lambda x: tg.moveaxis(x, (0, -2), (0, 1)), ValueError, "moveaxis: .*repeats"),
    (lambda x: x.expand_dims((0, 0)), ValueError, "expand_dims: .*repeats"),
    (lambda x: x.expand_dims(4), IndexError, "expand_dims: axis 4"),
    (lambda x: x.expand_dims([0]), TypeError, r"expand_dims: expected an integer axis; got \[0\]"),
    (lambda x: x.squeeze(0), ValueError, "squeeze: axis 0 has size 2, not 1"),
    (lambda x: x.flatten(1, 0), ValueError, "flatten: end_axis 0 is before start_axis 1"),
    (lambda x: x.split(2, 1), ValueError, "split: 3 elements along axis 1 .* 2 equal parts"),
    (lambda x: x.split(0), ValueError, "split: 2 elements"),
    (
        lambda x: x.repeat([1, 2, 3], 0),
        ValueError,
        r"repeat: .* 2 slices along axis 0.*\[1, 2, 3\]",
    ),
    (lambda x: x.repeat(-1), ValueError, "repeat: .*≥ 0.*-1"),
    (lambda x: x.take([0.5]), TypeError, "take: expected integer indices"),
    (lambda x: x.take([7]), IndexError, "7 is out of bounds"),
    (
        lambda x: tg.matrix_transpose(x[0]),
        ValueError,
        "matrix_transpose: expected 2 dimensions or more",
    ),
    (lambda x: tg.unstack(x, 3), IndexError, "unstack: axis 3"),
]


@pytest.mark.parametrize(("call", "kind", "words"), ERRORS)
def test_errors_name_function_and_argument(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        call(tg.ones((2, 3)))
    assert "\n" not in str(caught.value)
    assert re.match(r"\w+: ", str(caught.value))


# ------------------------------------------------------------------------- very many arrays


@pytest.mark.slow
@pytest.mark.parametrize("join", [tg.stack, tg.concat])
def test_joining_sixty_thousand_arrays_takes_linear_work(join: Any) -> None:
    """With a scan or a bit per array in each of them, this takes minutes and not a second."""
    count = 64_000
    x = tg.ones(1, requires_grad=True)
    join([x * 1.0 for _ in range(count)]).sum().backward()
    assert x.grad.tolist() == [count]
    leaves = [tg.ones(1, requires_grad=True) for _ in range(count)]
    (join(leaves).reshape(-1) * np.arange(count, dtype=np.float32)).sum().backward()
    assert [leaf.grad.item() for leaf in leaves] == list(range(count))


def test_plans_of_very_many_arrays_are_not_held() -> None:
    held = len(tg.stack.op.plans)
    for count in range(1000, 1020):
        tg.stack([tg.ones(1, requires_grad=True)] * count)
    assert len(tg.stack.op.plans) == held


def test_large_constants_among_many_arrays_are_dropped_together() -> None:
    x, constants = tg.ones(5000, requires_grad=True), [tg.ones(5000) for _ in range(20)]
    joined: Any = tg.stack([*constants, x, *constants, 2.0 * x])
    node = joined.node
    joined.sum().backward()
    assert [type(parent).__name__ for parent in node.parents] == [
        *["Dropped"] * 20,
        "Tensor",
        *["Dropped"] * 20,
        "Node",
    ]
    assert x.grad.tolist() == [3.0] * 5000


def test_an_error_about_very_many_arrays_stays_short() -> None:
    with pytest.raises(ValueError, match=r"^stack: .*\(1,\), … \(1001 arrays\)") as error:
        tg.stack([*[tg.ones(1)] * 1000, tg.ones(2)])
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "parts_of",
    [tg.unstack, lambda x: tg.split(x, len(x)), lambda x: [*x], lambda x: x.T.unstack(1)],
)
def test_parting_a_tensor_into_twenty_thousand_takes_linear_work(parts_of: Any) -> None:
    """With a gradient of full size per part, this takes minutes and not a second."""
    count, width = 20_000, 16
    x = tg.ones((count, width), requires_grad=True)
    loss = tg.concat([part * float(i) for i, part in enumerate(parts_of(x))]).sum()
    loss.backward()
    np.testing.assert_array_equal(
        x.grad.numpy(), np.repeat(np.arange(count), width).reshape(count, -1)
    )


def test_parts_that_are_not_used_get_zeros() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    (tg.unstack(x)[1] * 2.0).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0]]


def test_parts_of_a_split_that_overlap_add_their_gradients() -> None:
    x = tg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    first, empty, last = tg.split(x, [3, 1])  # x[:3], x[3:1], x[1:]
    assert empty.shape == (0,)
    (first.sum() + (last * 10.0).sum()).backward()
    assert x.grad.tolist() == [1.0, 11.0, 11.0, 10.0]
