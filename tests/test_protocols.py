"""NumPy's and other libraries' protocols: functions, memory and images of Tensors."""

import gc

import numpy as np
import pytest

import tinygrad_gm as tg

X = np.array([[1.0, 5.0, 2.0], [4.0, 3.0, 6.0]])

CALLS = [
    lambda x: np.sum(x),
    lambda x: np.sum(x, 0),
    lambda x: np.sum(x, axis=1, keepdims=True),
    lambda x: np.mean(x, axis=(0, 1)),
    lambda x: np.prod(x, -1),
    lambda x: np.std(x, ddof=1),
    lambda x: np.var(x, 0),
    lambda x: np.max(x, axis=1),
    lambda x: np.amin(x),
    lambda x: np.cumsum(x, 1),
    lambda x: np.concatenate([x, x], axis=1),
    lambda x: np.concatenate((x, x)),
    lambda x: np.stack([x, x], 1),
    lambda x: np.reshape(x, (3, 2)),
    lambda x: np.expand_dims(x, 1),
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.where(X > 2, x, 0.0),
    lambda x: np.clip(x, 2, 4),
    lambda x: np.sort(x, axis=0),
    lambda x: np.median(x, axis=1),
    lambda x: np.diff(x),
    lambda x: np.trace(x),
    lambda x: np.outer(x[0], x[1]),
    lambda x: np.tensordot(x, x, 2),
    lambda x: np.kron(x, x),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_function_of_numpy_that_is_ours_too_is_recorded(call):
    x = tg.tensor(X, requires_grad=True)
    out = call(x)
    assert isinstance(out, tg.Tensor)
    assert out.requires_grad
    np.testing.assert_allclose(out.numpy(), call(X), rtol=1e-12)
    assert call(x.detach()).dtype == np.float64


def test_other_functions_of_numpy_work_on_values_and_do_not_lose_a_history():
    x = tg.tensor(X, requires_grad=True)
    assert np.percentile(x.detach(), 50) == 3.5
    assert np.shape(x) == (2, 3)
    assert np.allclose(x, X)
    assert np.zeros_like(x).tolist() == [[0.0] * 3] * 2
    np.testing.assert_array_equal(x, X)
    with pytest.raises(TypeError, match=r"np.percentile would lose the history .* t.numpy\(\)"):
        np.percentile(x, 50)
    with pytest.raises(TypeError, match=r"use tg.norm\(…\), or t.numpy\(\) first"):
        np.linalg.norm(x)
    with pytest.raises(TypeError, match=r"sum: .* 'initial'"):
        np.sum(x, initial=3.0)


def test_an_image_is_made_of_a_tensor():
    image = pytest.importorskip("PIL.Image")
    for shape in ((4, 5), (4, 5, 3)):
        pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        np.testing.assert_array_equal(np.asarray(image.fromarray(tg.tensor(pixels))), pixels)


@pytest.mark.parametrize(
    "array", [X, X.T, X[:, ::2], np.zeros(()), np.zeros((0, 3)), np.array([True]), np.float16([1])]
)
def test_an_array_of_a_tensor_shares_its_memory(array):
    found = np.asarray(tg.asarray(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert np.shares_memory(found, array) == bool(array.size)


def test_the_memory_of_an_array_outlives_the_tensors_data():
    x = tg.ones(1000)
    array = np.asarray(x)
    x.data = tg.zeros(1000)
    gc.collect()
    assert array.sum() == 1000
    assert not np.asarray(tg.ones(2, requires_grad=True)).flags.writeable


def test_a_tensor_of_one_number_is_rounded_as_a_number():
    loss = tg.tensor(2.34567, dtype=tg.float64, requires_grad=True) * 1.0
    assert round(loss, 2) == 2.35
    assert round(loss) == 2
    assert isinstance(round(loss), int)
    with pytest.raises(ValueError, match="one element"):
        round(tg.ones(2), 1)


class Column:
    """A column of a table, as pandas has them: a dtype and `__array__`, and no memory to share."""

    dtype = np.dtype(np.float64)

    def __init__(self, *values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype or self.dtype)


@pytest.mark.parametrize("make", [tg.tensor, tg.asarray])
def test_a_tensor_is_made_of_a_column_of_a_table(make):
    made = make(Column(1.5, 2.5))
    assert made.tolist() == [1.5, 2.5]
    assert made.dtype == np.float64
