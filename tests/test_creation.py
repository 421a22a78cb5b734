"""Creation functions against NumPy's, their dtypes, and the package's names."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import ops


@pytest.mark.parametrize(
    ("ours", "numpys", "dtype"),
    [
        (lambda: tg.zeros((2, 3)), np.zeros((2, 3)), "float32"),
        (lambda: tg.zeros(()), np.zeros(()), "float32"),
        (lambda: tg.ones(3, tg.int8), np.ones(3), "int8"),
        (lambda: tg.ones(np.int64(3)), np.ones(3), "float32"),
        (lambda: tg.zeros([2, 0]), np.zeros((2, 0)), "float32"),
        (lambda: tg.full((2,), 3), np.full(2, 3), "int64"),
        (lambda: tg.full((2,), 3.5), np.full(2, 3.5), "float32"),
        (lambda: tg.full((2,), True), np.full(2, True), "bool"),
        (lambda: tg.full((2,), tg.tensor(2.0), tg.float64), np.full(2, 2.0), "float64"),
        (lambda: tg.eye(3), np.eye(3), "float32"),
        (lambda: tg.eye(2, 4, -1, tg.int64), np.eye(2, 4, -1), "int64"),
        (lambda: tg.arange(5), np.arange(5), "int64"),
        (lambda: tg.arange(5, 2, -2), np.arange(5, 2, -2), "int64"),
        (lambda: tg.arange(5, 2), np.arange(5, 2), "int64"),
        (lambda: tg.arange(0.0, 1.0, 0.25), np.arange(0, 1, 0.25), "float32"),
        (lambda: tg.arange(3, dtype=tg.float64), np.arange(3.0), "float64"),
        (lambda: tg.linspace(-1, 1, 5), np.linspace(-1, 1, 5), "float32"),
        (lambda: tg.linspace(0, 1), np.linspace(0, 1), "float32"),
        (lambda: tg.linspace(0, 1, 4, endpoint=False), np.linspace(0, 1, 4, False), "float32"),
    ],
)
def test_values_and_dtypes_are_numpys_but_for_the_default_dtype(ours, numpys, dtype):
    made = ours()
    assert made.dtype == dtype
    np.testing.assert_allclose(made.numpy(), numpys, rtol=1e-6)
    assert made.shape == numpys.shape


def test_like_functions_take_shape_dtype_and_memory_order_from_their_model():
    model = tg.tensor(np.ones((2, 3, 4, 5), np.float64)).permute_dims((0, 3, 1, 2))
    for make in (tg.zeros_like, tg.ones_like, tg.empty_like):
        made = make(model)
        assert (made.shape, made.dtype) == (model.shape, model.dtype)
        assert made._data.strides == model._data.strides
    assert (tg.zeros_like(model).numpy() == 0).all()
    assert (tg.ones_like(model, tg.int8).numpy() == np.ones(model.shape, np.int8)).all()
    filled = tg.full_like(model, 2.5)
    assert filled.dtype == tg.float64
    assert (filled.numpy() == 2.5).all()


def test_the_default_dtype_rules_over_floats_and_not_over_ints():
    tg.set_default_dtype(tg.float64)
    try:
        made = tg.zeros(1), tg.eye(1), tg.linspace(0, 1), tg.arange(0.5), tg.full((1,), 1.0)
        assert {str(t.dtype) for t in made} == {"float64"}
        assert tg.arange(2).dtype == tg.full((1,), 1).dtype == tg.int64
    finally:
        tg.set_default_dtype(tg.float32)


@pytest.mark.parametrize("k", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (2, 4, 3)])
def test_triangles_are_numpys_and_pass_gradients_only_inside(k, shape):
    rng = np.random.default_rng(0)
    for ours, numpys in ((tg.tril, np.tril), (tg.triu, np.triu)):
        values = rng.normal(size=shape)
        x = tg.tensor(values, requires_grad=True)
        made = ours(x, k)
        assert (made.numpy() == numpys(values, k)).all()
        (made * made).sum().backward()
        assert (x.grad.numpy() == 2 * numpys(values, k)).all()


@pytest.mark.parametrize("dtype", [tg.bool, tg.int8, tg.int64, tg.float32, tg.float64])
def test_triangles_keep_the_dtype(dtype):
    assert tg.tril(tg.ones((2, 2), dtype)).dtype == dtype
    assert tg.triu(tg.ones((2, 2), dtype)).tolist() == np.triu(np.ones((2, 2), dtype)).tolist()


def test_triangle_indices_pick_the_lower_triangle():
    x = tg.arange(12).reshape(3, 4)
    rows, columns = tg.tril_indices(3, 0, 4)
    assert x[rows, columns].tolist() == x.numpy()[np.tril_indices(3, 0, 4)].tolist()


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid_is_numpys_and_differentiable(indexing):
    a, b, c = (tg.tensor(np.linspace(0, 1, n), requires_grad=True) for n in (2, 3, 4))
    ours = tg.meshgrid(a, b, c, indexing=indexing)
    numpys = np.meshgrid(a.numpy(), b.numpy(), c.numpy(), indexing=indexing)
    for mine, theirs in zip(ours, numpys, strict=True):
        assert (mine.numpy() == theirs).all()
    (gradient,) = tg.grad((ours[0] * ours[1] * ours[2]).sum(), b)
    np.testing.assert_allclose(gradient.numpy(), np.full(3, a.numpy().sum() * c.numpy().sum()))
    (alone,) = tg.meshgrid(a, indexing=indexing)
    assert alone.shape == (2,)


def test_created_tensors_can_require_a_gradient_and_integers_cannot():
    assert tg.zeros(2, requires_grad=True).requires_grad
    assert tg.linspace(0, 1, requires_grad=True).is_leaf
    with pytest.raises(TypeError, match="int64 has no gradient"):
        tg.arange(3, requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tg.zeros(2, 3), TypeError, r"one tuple: zeros\(\(2, 3\)\)"),
        (lambda: tg.ones(2, 3, 4), TypeError, r"one tuple: ones\(\(2, 3, 4\)\)"),
        (lambda: tg.empty(2.5), TypeError, r"a tuple of ints; got 2\.5"),
        (lambda: tg.zeros((2, -3)), ValueError, "negative"),
        (lambda: tg.full((2,), [1, 2]), ValueError, "one number"),
        (lambda: tg.full_like(tg.zeros(2), [1, 2]), ValueError, "one number"),
        (lambda: tg.arange(0, 1, 0), ValueError, "step must not be 0"),
        (lambda: tg.tril(tg.zeros(3)), ValueError, "tril: expected at least 2 dimensions"),
        (lambda: tg.meshgrid([0, 1], indexing="yx"), ValueError, "indexing"),
        (lambda: tg.meshgrid(tg.zeros((2, 2))), ValueError, "vectors"),
    ],
)
def test_wrong_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ------------------------------------------------------------------- the package's own names


def test_constants_and_dtypes_are_numpys():
    assert (tg.pi, tg.e, tg.inf, tg.newaxis) == (np.pi, np.e, np.inf, None)
    assert np.isnan(tg.nan)
    floats, integers = ("float16", "float32", "float64"), ("int8", "int16", "int32", "int64")
    for name in (*floats, *integers, "uint8", "bool"):
        assert np.dtype(getattr(tg, name)) == np.dtype(name)


def test_every_public_operation_is_a_name_of_the_package():
    missing = set(ops.__all__) - set(tg.__all__)
    assert not missing


def test_every_name_in_all_exists_and_dir_lists_it():
    for name in tg.__all__:
        assert hasattr(tg, name), name
    assert set(tg.__all__) <= set(dir(tg))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = tg.nonsense


def _run(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], text=True)


def test_importing_the_package_loads_no_third_party_module_but_numpy():
    code = """
import sys, numpy
before = set(sys.modules)
import tinygrad_gm
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"numpy", "tinygrad_gm"}))
print("numpy.random" in sys.modules)
"""
    assert _run(code).split("\n")[:2] == ["[]", "False"]


def test_subpackages_load_when_they_are_first_used():
    code = """
import sys
import tinygrad_gm as tg
assert "tinygrad_gm.nn" not in sys.modules
tg.nn.Linear, tg.optim.SGD, tg.data.DataLoader, tg.training.Run
from tinygrad_gm import models, viz
assert tg.models is models and tg.viz is viz
print("good")
"""
    assert _run(code).strip() == "good"


# ------------------------------------------------- no rounding through the default dtype

TENTH, HUGE = 0.1, 1e300  # neither is a float32


@pytest.mark.parametrize("number", [TENTH, HUGE])
def test_a_number_reaches_float64_without_rounding_to_float32(number: float) -> None:
    x = tg.ones(2, dtype=tg.float64)
    written, filled = tg.zeros(2, dtype=tg.float64), tg.zeros(2, dtype=tg.float64)
    written[...] = number
    filled.data = [number, number]  # type: ignore[assignment]
    assigned = tg.zeros(2, dtype=tg.float64).copy_(number)
    mask = tg.tensor([True, True])
    for result in (
        tg.full(2, number, dtype=tg.float64),
        tg.full_like(x, number),
        tg.full_like(x, number, dtype=tg.float64),
        tg.tensor([number] * 2, dtype=tg.float64),
        tg.asarray([number] * 2, dtype=tg.float64),
        tg.linspace(number, number, 2, dtype=tg.float64),
        tg.arange(number, number * 1.5, number, dtype=tg.float64),
        written,
        filled,
        assigned,
        x * number,
        number * x,
        x * [number, number],
        tg.where(mask, number, x),
        tg.where(mask, [number, number], x),
        tg.maximum(x - 1.0, number),
        tg.clip(x * np.inf, 0.0, number),
        tg.pad(x, 1, constant_values=number)[np.array([0, -1])],
    ):
        assert result.dtype == tg.float64
        assert result.tolist() == [number] * result.size


@pytest.mark.parametrize(
    ("data", "dtype", "shared"),
    [
        (np.ones((2, 3)), None, True),
        (np.ones((2, 3)), tg.float32, False),
        (np.ones((0, 3)), None, True),
        ([1.0, 2.0], None, False),
        (1.0, None, False),
    ],
)
def test_asarray_copies_always_never_or_where_it_must(data, dtype, shared):
    copied = tg.asarray(data, dtype=dtype, copy=True)
    kept = tg.asarray(data, dtype=dtype, copy=None)
    if isinstance(data, np.ndarray) and data.size:
        assert np.shares_memory(kept.numpy(), data) == shared
        assert not np.shares_memory(copied.numpy(), data)
    if shared:
        assert np.shares_memory(tg.asarray(data, copy=False).numpy(), data) == bool(data.size)
    else:
        with pytest.raises(ValueError, match="asarray: copy=False"):
            tg.asarray(data, dtype=dtype, copy=False)


def test_a_tensor_copied_by_asarray_or_astype_keeps_its_history():
    x = tg.ones(3, requires_grad=True)
    assert tg.asarray(x, copy=False) is x
    assert x.astype(tg.float32) is x
    for copied in (tg.asarray(x, copy=True), x.astype(tg.float32, copy=True)):
        assert not np.shares_memory(copied.numpy(), x.numpy())
        (gradient,) = tg.grad(copied.sum(), x)
        assert gradient.tolist() == [1.0] * 3


def test_reshape_copies_always_never_or_where_it_must():
    array = np.arange(6.0).reshape(2, 3)
    x = tg.asarray(array)
    assert np.shares_memory(x.reshape(3, 2, copy=False).numpy(), array)
    assert not np.shares_memory(x.reshape((3, 2), copy=True).numpy(), array)
    assert x.T.reshape(-1).tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    with pytest.raises(ValueError, match=r"^reshape: .*\(3, 2\) cannot become -1 without a copy"):
        x.T.reshape(-1, copy=False)


def test_linspace_between_float32_numbers_is_not_rounded_to_float32() -> None:
    ends = tg.tensor(0.0), tg.tensor(1.0)
    assert tg.linspace(*ends, 4, dtype=tg.float64).tolist() == [0.0, 1 / 3, 2 / 3, 1.0]
