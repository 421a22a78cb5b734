"""Questions about dtypes: limits, kinds and promotion."""

import numpy as np
import pytest

import tinygrad_gm as tg


def test_limits_are_numpys_and_a_tensor_stands_for_its_dtype():
    assert tg.finfo(tg.float32).eps == 2.0**-23
    assert tg.finfo(tg.ones(2, dtype=tg.float16)).max == 65504
    assert (tg.iinfo(tg.int8).min, tg.iinfo(tg.zeros(1, dtype=tg.uint8)).max) == (-128, 255)


@pytest.mark.parametrize(
    ("dtype", "kind", "wanted"),
    [
        (tg.float32, "real floating", True),
        (tg.float32, tg.float64, False),
        (tg.uint8, "unsigned integer", True),
        (tg.uint8, ("signed integer", "bool"), False),
        (tg.bool, "numeric", False),
    ],
)
def test_a_dtype_is_of_a_kind(dtype, kind, wanted):
    assert tg.isdtype(dtype, kind) is wanted


VALUES = [
    tg.ones(2),
    tg.ones(2, dtype=tg.float64),
    tg.ones(2, dtype=tg.float16),
    tg.ones((), dtype=tg.float64),
    tg.tensor([1, 2]),
    tg.tensor([1, 2], dtype=tg.int8),
    tg.tensor([1, 2], dtype=tg.uint8),
    tg.tensor([True, False]),
    np.ones(2),
    2.5,
    2,
    True,
    np.float64(2.5),
]


@pytest.mark.parametrize("second", VALUES, ids=repr)
@pytest.mark.parametrize("first", VALUES[:8], ids=repr)
def test_the_result_type_is_that_of_a_sum(first, second):
    assert tg.result_type(first, second) == (first + second).dtype


def test_dtypes_count_as_arrays_of_them():
    assert tg.result_type(tg.int64, tg.float32) == np.float32
    assert tg.result_type(tg.int8, tg.uint8) == np.int16
    assert tg.result_type(tg.int32, 1.5) == np.float32
    with pytest.raises(ValueError, match="result_type: expected at least one"):
        tg.result_type()
