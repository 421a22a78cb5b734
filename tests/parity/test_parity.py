"""Every function against PyTorch's: value, gradient and second gradient.

Where the two libraries differ on purpose, no tolerance hides it: the draws leave such calls out.

- *Promotion.* A number never widens an array, in both; but to PyTorch a 0-d array is a number too,
  to us and to NumPy it is not: arrays of two dtypes are drawn with at least one dimension.
- *Names of the arguments.* `axis`, `keepdims` and NumPy's forms; the pairs translate.
- *`var` and `std`* divide by n here and in NumPy (correction 0), by n − 1 in PyTorch: it is given.
- *`std` of equal numbers* is 0 here, also where PyTorch's mean rounds: halves are drawn.
- *Ties.* Sorting is stable here, and `topk` takes the first; PyTorch's `topk` promises nothing, so
  its numbers differ. Elsewhere (`maximum`, `max` over one axis and several, pooling) both agree.
- *Negative steps* in an index are NumPy's and ours alone, negative indices in `take` too.
- *`softmax`* of a row of −inf is NaN in both, whose gradients mean nothing: none is drawn.
- *`ignore_index`* of every target makes a mean of nothing, NaN in both: none is drawn.
- *Empty arrays*, where PyTorch refuses or mistakes them: of `max`, `argmax`, and a few others that
  say so where they are drawn.
- *Infinite upstream gradients*, of which PyTorch makes NaN where it multiplies them by 0, and which
  a sum may turn into ∞ or NaN: `differing` names these functions.
"""

from __future__ import annotations

from collections.abc import Callable

import pairs_activations
import pairs_conv
import pairs_creation
import pairs_elementwise
import pairs_fused
import pairs_linalg
import pairs_losses
import pairs_norms
import pairs_padding
import pairs_recurrent
import pairs_reduction
import pairs_shape
import pairs_sorting
import pytest
from comparer import Pair, compare

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

TABLES = (
    pairs_activations,
    pairs_conv,
    pairs_creation,
    pairs_elementwise,
    pairs_fused,
    pairs_linalg,
    pairs_padding,
    pairs_losses,
    pairs_norms,
    pairs_recurrent,
    pairs_reduction,
    pairs_shape,
    pairs_sorting,
)
PAIRS = [pair for table in TABLES for pair in table.PAIRS]

COMPARED_THROUGH = {
    "attention": "scaled_dot_product_attention",
    "argmax_pool": "max_pool2d (with indices)",
    "avg_pool": "avg_pool2d",
    "avg_pool_transpose": "avg_pool2d",
    "contract": "einsum",
    "cofactor": "det",
    "conv": "conv2d",
    "conv_transpose": "conv_transpose2d",
    "conv_weight_gradient": "conv2d",
    "gather_windows": "max_pool2d",
    "log_abs_det": "slogdet",
    "max_pool": "max_pool2d",
    "resample": "interpolate",
    "scatter_windows": "max_pool2d",
    "select": "where",
    "sign_det": "slogdet",
    "vector_norm": "norm",
}
NOT_COMPARED = {
    "to_device": "another device's values are the same",
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # it may be slow
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")  # of kl_div
@pytest.mark.sweep
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_equals_pytorch(pair: Pair, record_property: Callable[[str, int], None]) -> None:
    record_property("cases", compare(pair))


def test_every_function_is_compared() -> None:
    compared = {pair.name.partition(" (")[0] for pair in PAIRS}
    functions = {name for name in tg.ops.__all__ if callable(getattr(tg.ops, name))}
    missing = {*functions, *tg.ops.registry, *F.__all__} - compared - {*COMPARED_THROUGH}
    assert missing == {*NOT_COMPARED}, (
        "add a Pair to a tests/parity/pairs_*.py, or a name to COMPARED_THROUGH"
    )
    assert {*COMPARED_THROUGH.values()} <= {pair.name for pair in PAIRS}


def test_there_are_fifteen_thousand_cases_and_fifty_of_each() -> None:
    assert sum(pair.count for pair in PAIRS) >= 15000
    assert min(pair.count for pair in PAIRS) >= 50
