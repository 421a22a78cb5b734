"""Fused operations where they are stressed: far from zero, at infinity, of nothing."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg

INF = math.inf


def leaf(values: Any, dtype: Any = tg.float32) -> Any:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


# --------------------------------------------------------------------------- softmax


def test_softmax_with_one_row_far_above_the_others() -> None:
    x = leaf([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0], [-3e38, -3e38, -3e38]])
    out = x.softmax(axis=1)
    np.testing.assert_allclose(out.numpy()[0], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(out.numpy()[1:], 1 / 3, rtol=1e-6)
    (out * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_allclose(x.grad.numpy()[0], 0.0)
    np.testing.assert_allclose(x.grad.numpy()[1:], [[-1 / 3, 0, 1 / 3]] * 2, atol=1e-7)


@pytest.mark.parametrize("function", [tg.softmax, tg.log_softmax])
def test_the_softmax_of_no_numbers_is_none(function: Any) -> None:
    x = tg.zeros((5, 0), requires_grad=True)
    for mode in (contextlib.nullcontext(), tg.textbook()):
        with mode:
            out = function(x)
            (slope,) = tg.grad(out.sum(), x, create_graph=True)
        assert out.shape == slope.shape == (5, 0)
        assert out.dtype == tg.float32


def test_log_softmax_does_not_underflow() -> None:
    x = leaf([[0.0, -1e4, 1e4]])
    out = x.log_softmax()
    assert out.tolist() == [[-1e4, -2e4, 0.0]]
    out.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0, -2.0]]


def test_masked_entries_of_minus_infinity_get_no_weight_and_no_gradient() -> None:
    x = leaf([1.0, -INF, 1.0])
    out = x.softmax()
    assert out.tolist() == [0.5, 0.0, 0.5]
    (out * tg.tensor([1.0, 5.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [-0.5, 0.0, 0.5]


def test_the_softmax_of_minus_infinities_is_nan() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(tg.softmax(tg.tensor([-INF, -INF])).numpy()).all()


@pytest.mark.parametrize("fn", [tg.softmax, tg.log_softmax])
def test_softmax_of_integers_is_that_of_floats(fn: Any) -> None:
    for dtype in (tg.int8, tg.uint8, tg.int64):
        ints = tg.tensor([3, 100, 1], dtype=dtype)
        np.testing.assert_array_equal(fn(ints).numpy(), fn(ints.astype(tg.float32)).numpy())


@pytest.mark.parametrize("fn", [tg.softmax, tg.log_softmax])
def test_softmax_names_an_axis_that_does_not_exist(fn: Any) -> None:
    with pytest.raises(IndexError, match=f"{fn.__name__}: .*axis=2"):
        fn(tg.ones((2, 3)), axis=2)
    with pytest.raises(TypeError, match=f"{fn.__name__}: .*unexpected keyword argument 'dim'"):
        fn(tg.ones((2, 3)), dim=1)


# --------------------------------------------------------------------- cross-entropy


def test_cross_entropy_is_finite_where_softmax_underflows() -> None:
    logits = leaf([[1000.0, 0.0], [0.0, 1000.0]])
    loss = tg.cross_entropy(logits, [1, 1], reduction="none")
    assert loss.tolist() == [1000.0, 0.0]
    loss.sum().backward()
    assert logits.grad.tolist() == [[1.0, -1.0], [0.0, 0.0]]


def test_cross_entropy_takes_targets_of_every_integer_kind() -> None:
    logits = leaf([[0.3, -0.2, 0.9]])
    losses = {
        round(tg.cross_entropy(logits, target).item(), 6)
        for target in ([2], (2,), np.array([2], np.uint8), tg.tensor([2]), tg.tensor([2], tg.int8))
    }
    assert len(losses) == 1
    assert tg.cross_entropy(logits[0], 2).item() == pytest.approx(losses.pop(), abs=1e-6)
    assert tg.cross_entropy(tg.tensor([[1, 2]]), [0]).item() == pytest.approx(1.313262)


def test_losses_of_no_examples_are_nan_and_their_sum_0() -> None:
    nothing, none = leaf(np.zeros((0, 3))), np.zeros(0, int)
    assert math.isnan(tg.cross_entropy(nothing, none).item())
    assert tg.cross_entropy(nothing, none, "sum").item() == 0.0
    bce = tg.binary_cross_entropy_with_logits
    assert math.isnan(bce(nothing, nothing.detach()).item())
    assert bce(nothing, nothing.detach(), "sum").item() == 0.0
    for loss in (tg.cross_entropy(nothing, none), bce(nothing, nothing.detach())):
        nothing.grad = None
        loss.backward()
        assert nothing.grad.shape == (0, 3)


def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot() -> None:
    logits = leaf([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]], tg.float64)
    tg.cross_entropy(logits, [2, 0]).backward()
    wanted = (logits.softmax(1).numpy() - np.array([[0, 0, 1], [1, 0, 0]])) / 2
    np.testing.assert_allclose(logits.grad.numpy(), wanted, rtol=1e-12)


# --------------------------------------------------------------- binary cross-entropy


def test_binary_cross_entropy_neither_overflows_nor_saturates() -> None:
    logits = leaf([200.0, -200.0, 200.0, -200.0, 0.0])
    target = tg.tensor([1.0, 0.0, 0.0, 1.0, 0.5])
    losses = tg.binary_cross_entropy_with_logits(logits, target, "none")
    np.testing.assert_allclose(losses.numpy(), [0.0, 0.0, 200.0, 200.0, math.log(2)], atol=1e-6)
    losses.sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [0.0, 0.0, 1.0, -1.0, 0.0], atol=1e-6)


def test_binary_cross_entropy_is_differentiable_in_its_target() -> None:
    target = leaf([0.25, 0.75])
    tg.binary_cross_entropy_with_logits([2.0, -4.0], target, "sum").backward()
    assert target.grad.tolist() == [-2.0, 4.0]


# ------------------------------------------------------------------------------- linear


def test_linear_folds_leading_axes() -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(6, 5)), rng.normal(size=6)
    wanted = x.reshape(-1, 5) @ weight.T + bias
    np.testing.assert_allclose(
        tg.linear(x, weight, bias).numpy(), wanted.reshape(2, 3, 4, 6), rtol=1e-12
    )


def test_linear_computes_no_gradient_for_its_data() -> None:
    seen = []
    weight = leaf(np.ones((2, 3)))
    out = tg.linear(tg.ones((4, 3)), weight, leaf(np.zeros(2))).sum()
    out.backward(observer=lambda node, slot, *_: seen.append((node.plan.op.name, slot)))
    assert seen == [("sum", 0), ("linear", 1), ("linear", 2)]


# ----------------------------------------------------------------- negative log-likelihood


def test_nll_of_log_softmax_is_cross_entropy() -> None:
    logits = leaf(np.random.default_rng(0).normal(size=(4, 3, 2)), tg.float64)
    target = np.array([[0, 2], [1, 1], [2, 0], [0, 0]])
    for reduction in ("mean", "sum", "none"):
        (fused,) = tg.grad(tg.cross_entropy(logits, target, reduction).sum(), logits)
        two = tg.nll_loss(logits.log_softmax(1), target, reduction=reduction)
        (steps,) = tg.grad(two.sum(), logits)
        np.testing.assert_allclose(steps.numpy(), fused.numpy(), rtol=1e-10, atol=1e-14)


def test_nll_averages_over_the_weights_of_the_targets_that_count() -> None:
    scores = leaf([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    weight = tg.tensor([1.0, 3.0], requires_grad=True)
    loss = tg.nll_loss(scores, [0, 1, -7], weight, ignore_index=-7)
    assert loss.item() == pytest.approx((1.0 + 3 * 4.0) / 4)
    loss.backward()
    assert scores.grad.tolist() == [[-0.25, 0.0], [0.0, -0.75], [0.0, 0.0]]
    assert weight.grad is None


def test_nll_where_no_target_counts_is_nan_with_zero_gradient() -> None:
    scores = leaf([[-1.0, -2.0]])
    loss = tg.nll_loss(scores, [-100])
    assert math.isnan(loss.item())
    loss.backward()
    assert scores.grad.tolist() == [[0.0, 0.0]]
    assert tg.nll_loss(scores, [-100], reduction="sum").item() == 0.0


# ---------------------------------------------------------------------------- embedding


def test_rows_that_are_read_twice_get_both_gradients() -> None:
    weight = leaf(np.zeros((4, 2)))
    out = tg.embedding(weight, [[3, 1], [3, 3]])
    out.backward(tg.tensor([[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [100.0, 200.0]]]))
    assert weight.grad.tolist() == [[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [111.0, 222.0]]


def test_the_padding_row_is_read_but_gets_no_gradient() -> None:
    for mode in (tg.enable_grad, tg.textbook):
        weight = leaf([[1.0], [2.0], [3.0]])
        with mode():
            out = tg.embedding(weight, [[1, 2], [1, 0]], padding_idx=1)
        assert out.tolist() == [[[2.0], [3.0]], [[2.0], [1.0]]]
        (slope,) = tg.grad((out * out).sum(), weight, create_graph=True)
        assert slope.tolist() == [[2.0], [0.0], [6.0]]
        (curvature,) = tg.grad(slope.sum(), weight)
        assert curvature.tolist() == [[2.0], [0.0], [2.0]]


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: tg.embedding(tg.ones((3, 2)), [3]),
        IndexError,
        r"row numbers in \[0, 3\); got \[3, 3\]",
    ),
    (lambda: tg.embedding(tg.ones((3, 2)), [-1]), IndexError, r"embedding: .*\[-1, -1\]"),
    (
        lambda: tg.embedding(tg.ones((3, 2)), [0.0]),
        TypeError,
        "embedding: expected row numbers, which are integers",
    ),
    (lambda: tg.embedding(tg.ones(3), [0]), ValueError, r"\(count, width\); got \(3,\)"),
    (lambda: tg.embedding(tg.ones((3, 2)), [0], 3), IndexError, "padding_idx is 3"),
    (lambda: tg.nll_loss(tg.ones((1, 3)), [3]), IndexError, r"nll_loss: .* in \[0, 3\)"),
    (lambda: tg.nll_loss(tg.ones((2, 3)), [0]), ValueError, r"\(2, 3\) and targets \(1,\)"),
    (
        lambda: tg.nll_loss(tg.ones((1, 3)), [0], tg.ones(2)),
        ValueError,
        r"expected weight of shape \(3,\)",
    ),
    (lambda: tg.nll_loss(tg.ones((1, 3)), [0], reduction="max"), ValueError, "nll_loss: reduction"),
    (lambda: tg.mse_loss(tg.ones(3), tg.ones(1)), ValueError, r"one shape; got \(3,\) and \(1,\)"),
    (
        lambda: tg.linear(tg.ones((2, 3)), tg.ones((4, 2))),
        ValueError,
        r"\(2, 3\) and weight \(4",
    ),
    (lambda: tg.linear(tg.ones((2, 3)), tg.ones(3)), ValueError, r"linear: .*weight \(3,\)"),
    (lambda: tg.linear(2.0, tg.ones((2, 3))), ValueError, r"linear: .*input \(\)"),
    (
        lambda: tg.linear(tg.ones(3), tg.ones((2, 3)), 1.0),
        ValueError,
        r"bias of shape \(2,\); got \(\)",
    ),
    (lambda: tg.linear(tg.ones(3), tg.ones((2, 3)), tg.ones(3)), ValueError, r"bias .*got \(3,\)"),
    (lambda: tg.cross_entropy(tg.ones((2, 3)), [0]), ValueError, r"\(2, 3\) and targets \(1,\)"),
    (lambda: tg.cross_entropy(1.0, [0]), ValueError, r"logits \(\) and targets \(1,\)"),
    (
        lambda: tg.cross_entropy(tg.ones((1, 3)), [3]),
        IndexError,
        r"class numbers in \[0, 3\); got \[3, 3\]",
    ),
    (lambda: tg.cross_entropy(tg.ones((1, 3)), [-1]), IndexError, r"\[-1, -1\]"),
    (lambda: tg.cross_entropy(tg.ones((1, 3)), [0.0]), TypeError, "class numbers, .* got float32"),
    (lambda: tg.cross_entropy(tg.ones((1, 3)), [0], "max"), ValueError, "reduction is 'max'"),
    (
        lambda: tg.binary_cross_entropy_with_logits(tg.ones(3), tg.ones((3, 1))),
        ValueError,
        r"one shape; got \(3,\) and \(3, 1\)",
    ),
    (lambda: tg.binary_cross_entropy_with_logits(tg.ones(3), 1.0), ValueError, r"\(3,\) and \(\)"),
]


@pytest.mark.parametrize(("call", "kind", "words"), ERRORS)
def test_errors_name_both_shapes(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()
