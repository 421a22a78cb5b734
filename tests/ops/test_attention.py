"""Attention: against one row at a time, with every kind of mask, with nothing to attend to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

rng = np.random.default_rng(0)
INF = math.inf
attend = F.scaled_dot_product_attention


def leaf(*shape: int) -> Any:
    return tg.tensor(rng.normal(size=shape), requires_grad=True)


def row_by_row(q: Any, k: Any, v: Any, may: Any) -> Any:
    """Every query by itself, over the keys it may attend to."""
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(q.shape[:-1]):
        lead, row = place[:-1], place[-1]
        allowed = [s for s in range(k.shape[-2]) if may[row, s]]
        weights = [math.exp(q[place] @ k[(*lead, s)] / math.sqrt(q.shape[-1])) for s in allowed]
        for s, weight in zip(allowed, weights, strict=True):
            out[place] += v[(*lead, s)] * weight / sum(weights)
    return out


def test_true_in_a_mask_means_may_attend() -> None:
    q, k, v = leaf(2, 3, 4), leaf(2, 5, 4), leaf(2, 5, 2)
    may = rng.random((3, 5)) < 0.6
    wanted = row_by_row(q.numpy(), k.numpy(), v.numpy(), may)
    np.testing.assert_allclose(attend(q, k, v, tg.tensor(may)).numpy(), wanted, rtol=1e-12)
    np.testing.assert_allclose(attend(q, k, v, may.tolist()).numpy(), wanted, rtol=1e-12)
    added = tg.tensor(np.where(may, 0.0, -INF))
    np.testing.assert_allclose(attend(q, k, v, added).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 5), (5, 3)])
def test_causal_attention_sees_no_later_column(rows: int, columns: int) -> None:
    q, k, v = leaf(rows, 4), leaf(columns, 4), leaf(columns, 2)
    may = np.tri(rows, columns, dtype=bool)
    causal = attend(q, k, v, is_causal=True).numpy()
    np.testing.assert_allclose(causal, row_by_row(q.numpy(), k.numpy(), v.numpy(), may))


@pytest.mark.parametrize("book", [False, True])
def test_a_row_that_may_attend_to_nothing_gives_0_and_no_gradient(book: bool) -> None:
    q, k, v = leaf(3, 4), leaf(5, 4), leaf(5, 2)
    may = np.ones((3, 5), bool)
    may[1] = False
    mask = tg.tensor(np.where(may, 0.0, -INF), requires_grad=True)
    with tg.textbook() if book else tg.enable_grad():
        out = attend(q, k, v, mask)
    assert out.numpy()[1].tolist() == [0.0, 0.0]
    slopes = tg.grad((out * rng.normal(size=(3, 2))).sum(), [q, k, v, mask], create_graph=True)
    again = tg.grad(sum((slope * slope).sum() for slope in slopes[:3]), [q, k, v])
    for gradient in (*slopes, *again):
        assert np.isfinite(gradient.numpy()).all()
    assert not slopes[0].numpy()[1].any()
    assert not again[0].numpy()[1].any()
    kept = attend(q[::2], k, v)  # the others are as if the row were not there
    np.testing.assert_allclose(out.numpy()[::2], kept.numpy(), rtol=1e-12)


def test_blocked_keys_and_values_get_no_gradient() -> None:
    q, k, v = leaf(3, 4), leaf(5, 4), leaf(5, 2)
    may = np.ones((3, 5), bool)
    may[:, 2] = False
    attend(q, k, v, tg.tensor(may)).square().sum().backward()
    assert not k.grad.numpy()[2].any()
    assert not v.grad.numpy()[2].any()
    assert k.grad.numpy()[[0, 1, 3, 4]].all()


def test_huge_scores_do_not_overflow() -> None:
    q = tg.tensor([[1e4], [-1e4]], requires_grad=True)
    out = attend(q, tg.tensor([[1e4], [-1e4]]), tg.tensor([[1.0], [2.0]]))
    assert out.tolist() == [[1.0], [2.0]]
    out.sum().backward()
    assert q.grad.tolist() == [[0.0], [0.0]]


def test_leading_axes_broadcast_and_their_gradients_are_summed() -> None:
    q, k, v = leaf(2, 1, 3, 4), leaf(6, 5, 4), leaf(1, 1, 5, 2)
    out = attend(q, k, v)
    assert out.shape == (2, 6, 3, 2)
    out.sum().backward()
    assert (q.grad.shape, k.grad.shape, v.grad.shape) == (q.shape, k.shape, v.shape)
    np.testing.assert_allclose(v.grad.numpy().sum(), 2 * 6 * 3 * 2)  # the weights of a row add to 1


def test_scale_takes_the_place_of_one_over_the_root_of_the_width() -> None:
    q, k, v = leaf(3, 4), leaf(5, 4), leaf(5, 2)
    np.testing.assert_allclose(
        attend(q, k, v, scale=0.5).numpy(), attend(q, k, v).numpy(), rtol=1e-12
    )
    mean = attend(q, k, v, scale=0.0).numpy()
    np.testing.assert_allclose(mean, np.tile(v.numpy().mean(axis=0), (3, 1)), rtol=1e-12)


def test_float32_stays_float32_under_every_mask() -> None:
    x = tg.ones((3, 4))
    for mask in (None, np.ones((3, 3), bool), tg.zeros((3, 3)), tg.tensor(np.zeros((1, 3)) > 1)):
        assert attend(x, x, x, mask).dtype == tg.float32


MISTAKES: list[tuple[Any, type[Exception], str]] = [
    (lambda x: attend(x, tg.ones((2, 3)), x), ValueError, r"attention: .*\(2, 4\), \(2, 3\)"),
    (lambda x: attend(x, x, tg.ones((3, 4))), ValueError, "a value"),
    (lambda x: attend(x[0], x, x), ValueError, r"a query \(…, L, E\)"),
    (
        lambda x: attend(x, x, x, tg.ones((2, 3))),
        ValueError,
        r"expected a mask .* \(…, 2, 2\); got \(2, 3\)",
    ),
    (lambda x: attend(x, x, x, tg.tensor([[1, 0], [1, 1]])), TypeError, "floats to add; got int64"),
    (lambda x: attend(x, x, x, tg.zeros((2, 2)), is_causal=True), ValueError, "not both"),
    (lambda x: attend(x, x, x, [[True] * 2] * 2, 0.5, True), ValueError, "not both"),
]


@pytest.mark.parametrize(("call", "kind", "words"), MISTAKES)
def test_mistakes_are_named(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        call(tg.ones((2, 4)))
