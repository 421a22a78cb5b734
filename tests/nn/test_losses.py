"""Losses: closed forms, reductions, weights, far out in value and gradient, errors."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.testing import gradcheck

rng = np.random.default_rng(0)
REDUCTIONS = {"mean": np.mean, "sum": np.sum, "none": np.asarray}


def leaf(array: Any, dtype: Any = tg.float64) -> Any:
    return tg.tensor(np.asarray(array), dtype=dtype, requires_grad=True)


def softmax(x: Any, axis: int) -> Any:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


# ------------------------------------------------------------------------ of numbers

D = np.array([-3.0, -1.0, -0.25, 0.0, 0.25, 1.0, 3.0])
ON_DIFFERENCES = [
    (F.l1_loss, np.abs(D), np.sign(D)),
    (
        lambda x, t, **k: F.huber_loss(x, t, delta=2.0, **k),
        np.where(abs(D) <= 2, D * D / 2, 2 * (abs(D) - 1)),
        np.clip(D, -2, 2),
    ),
    (
        lambda x, t, **k: F.smooth_l1_loss(x, t, beta=0.5, **k),
        np.where(abs(D) < 0.5, D * D, abs(D) - 0.25),
        np.clip(2 * D, -1, 1),
    ),
    (lambda x, t, **k: F.smooth_l1_loss(x, t, beta=0.0, **k), np.abs(D), np.sign(D)),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("loss", "values", "slopes"), ON_DIFFERENCES)
def test_a_loss_of_differences_is_its_closed_form(
    loss: Any, values: Any, slopes: Any, reduction: str
) -> None:
    target = rng.integers(-3, 4, D.size).astype(float)
    x, t = leaf(D + target), leaf(target)
    out = loss(x, t, reduction=reduction)
    np.testing.assert_allclose(out.numpy(), REDUCTIONS[reduction](values), rtol=1e-13)
    out.sum().backward()
    scale = 1 / D.size if reduction == "mean" else 1
    np.testing.assert_allclose(x.grad.numpy(), slopes * scale, rtol=1e-13)
    np.testing.assert_allclose(t.grad.numpy(), -slopes * scale, rtol=1e-13)


def test_hubers_second_derivative_is_1_near_0_and_0_far_out() -> None:
    x = leaf([-3.0, -0.5, 0.0, 0.5, 3.0])
    (slope,) = tg.grad(F.huber_loss(x, tg.zeros(5), "sum"), x, create_graph=True)
    assert tg.grad(slope.sum(), x)[0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_gaussian_nll_is_minus_the_logarithm_of_the_density() -> None:
    mean, target = rng.normal(size=(2, 5, 3))
    var = rng.uniform(0.2, 2, (5, 3))
    density = np.exp(-((target - mean) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var)
    found = F.gaussian_nll_loss(mean, target, var, full=True, reduction="none")
    np.testing.assert_allclose(found.numpy(), -np.log(density), rtol=1e-12)
    short = F.gaussian_nll_loss(mean, target, var, reduction="none").numpy()
    np.testing.assert_allclose(found.numpy() - short, 0.5 * np.log(2 * np.pi), rtol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (5, 1), ()])
def test_gaussian_nll_takes_one_variance_per_row_or_one_number(shape: Any) -> None:
    mean, target = rng.normal(size=(2, 5, 3))
    var = rng.uniform(0.2, 2, shape)
    whole = np.broadcast_to(var.reshape(-1, 1), (5, 3))
    one = F.gaussian_nll_loss(mean, target, var).item()
    assert one == pytest.approx(F.gaussian_nll_loss(mean, target, whole).item(), rel=1e-14)


def test_gaussian_nll_of_a_variance_of_0_is_finite_and_pushes_it_up() -> None:
    var = leaf([0.0])
    loss = F.gaussian_nll_loss(leaf([1.0]), tg.tensor([1.5]), var)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (math.log(1e-6) + 0.25e6))
    assert var.grad.item() == pytest.approx(0.5 * (1e6 - 0.25e12))


def test_poisson_nll_is_minus_the_logarithm_of_the_probability() -> None:
    counts = np.array([0.0, 1.0, 2.0, 7.0, 40.0])
    rate = rng.uniform(0.5, 9, 5)
    exact = [r - k * math.log(r) + math.lgamma(k + 1) for r, k in zip(rate, counts, strict=True)]
    for x, log_input in ((np.log(rate), True), (rate, False)):
        found = F.poisson_nll_loss(x, counts, log_input, full=True, eps=0.0, reduction="none")
        # Stirling's error is below 1/(12 k)
        error = found.numpy() - exact
        assert (np.abs(error) <= 1 / (12 * np.maximum(counts, 1)) + 1e-12).all()
        short = F.poisson_nll_loss(x, counts, log_input, eps=0.0, reduction="none").numpy()
        np.testing.assert_allclose(short, rate - counts * np.log(rate), rtol=1e-12)


def test_penalties_are_sums_over_all_parameters_and_their_gradients_sign_and_weight() -> None:
    net = nn.Sequential(nn.Linear(3, 4, dtype=tg.float64), nn.Linear(4, 2, dtype=tg.float64))
    weights = [w.numpy() for w in net.parameters()]
    assert F.l1_penalty(net.parameters()).item() == pytest.approx(
        sum(abs(w).sum() for w in weights)
    )
    penalty = F.l2_penalty(net.parameters())
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx(sum((w * w).sum() for w in weights) / 2)
    penalty.backward()
    for w in net.parameters():
        np.testing.assert_allclose(w.grad.numpy(), w.numpy(), rtol=1e-14)
    w = leaf([-2.0, 0.0, 3.0])
    F.l1_penalty(w).backward()
    assert w.grad.tolist() == [-1.0, 0.0, 1.0]


def test_an_l2_penalty_is_weight_decay() -> None:
    start, x = rng.normal(size=(2, 4))
    ends = []
    for decay in (0.0, 0.1):
        w = nn.Parameter(start.copy())
        steps = tg.optim.SGD([w], lr=0.5, weight_decay=decay)
        for _ in range(3):
            steps.zero_grad()
            loss = F.mse_loss(w, x)
            (loss if decay else loss + 0.1 * F.l2_penalty(w)).backward()
            steps.step()
        ends.append(w.numpy().copy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-13)


# ------------------------------------------------------------------------ one class of several


def cross_entropy(x: Any, t: Any, weight: Any, reduction: str) -> Any:
    """Σ over the classes on axis 1 of (N, C), of probabilities that are wanted."""
    losses = -(weight * t * np.log(softmax(x, 1))).sum(axis=1)
    return REDUCTIONS[reduction](losses)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_with_probabilities_is_its_definition(reduction: str) -> None:
    x, t = rng.normal(size=(2, 5, 4))
    t, weight = softmax(t, 1), rng.uniform(0.5, 2, 4)
    found = F.cross_entropy(x, t, weight, reduction=reduction).numpy()
    np.testing.assert_allclose(found, cross_entropy(x, t, weight, reduction), rtol=1e-12)
    smooth = F.cross_entropy(x, t, weight, reduction=reduction, label_smoothing=0.2).numpy()
    wanted = cross_entropy(x, 0.8 * t + 0.2 / 4, weight, reduction)
    np.testing.assert_allclose(smooth, wanted, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_with_classes_is_its_definition(weighted: bool, smoothing: float) -> None:
    x, target = rng.normal(size=(6, 4)), np.array([0, 3, -100, 1, -100, 3])
    weight = rng.uniform(0.5, 2, 4) if weighted else np.ones(4)
    hot = np.eye(4)[np.maximum(target, 0)] * (target >= 0)[:, None]
    smooth = (1 - smoothing) * hot + smoothing / 4 * (target >= 0)[:, None]
    losses = cross_entropy(x, smooth, weight, "none")
    given = weight if weighted else None
    found = F.cross_entropy(x, target, given, reduction="none", label_smoothing=smoothing)
    np.testing.assert_allclose(found.numpy(), losses, rtol=1e-12, atol=1e-15)
    mean = F.cross_entropy(x, target, given, label_smoothing=smoothing).item()
    assert mean == pytest.approx(losses.sum() / (hot @ weight).sum(), rel=1e-12)
    total = F.cross_entropy(x, target, given, reduction="sum", label_smoothing=smoothing).item()
    assert total == pytest.approx(losses.sum(), rel=1e-12)


def test_what_does_not_count_gets_no_gradient() -> None:
    x = leaf(rng.normal(size=(3, 4)))
    F.cross_entropy(x, tg.tensor([1, 2, 3]), ignore_index=2, label_smoothing=0.1).backward()
    assert (x.grad.numpy()[1] == 0).all()
    assert (x.grad.numpy()[[0, 2]] != 0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mean_of_nothing_is_nan_and_has_no_gradient(smoothing: float) -> None:
    x = leaf(np.zeros((2, 3)))
    loss = F.cross_entropy(x, tg.tensor([-100, -100]), label_smoothing=smoothing)
    loss.backward()
    assert np.isnan(loss.item())
    assert (x.grad.numpy() == 0).all()


def test_class_axis_is_1_also_for_pictures_and_0_for_one_example() -> None:
    x, target = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    weight = np.array([1.0, 2.0, 0.5])
    flat, numbers = x.transpose(0, 2, 3, 1).reshape(-1, 3), target.reshape(-1)
    for options in ({}, {"weight": weight}, {"label_smoothing": 0.3, "weight": weight}):
        found = F.cross_entropy(x, target, **options).item()
        assert found == pytest.approx(F.cross_entropy(flat, numbers, **options).item(), rel=1e-12)
        one = F.cross_entropy(flat[0], numbers[0], **options).item()
        assert one == pytest.approx(F.cross_entropy(flat[:1], numbers[:1], **options).item())


def test_hard_probabilities_give_what_class_numbers_give() -> None:
    x, target = rng.normal(size=(5, 4)), rng.integers(0, 4, 5)
    soft, hard = F.cross_entropy(x, np.eye(4)[target]), F.cross_entropy(x, target)
    assert soft.item() == pytest.approx(hard.item(), rel=1e-13)


def test_plain_cross_entropy_is_one_fused_operation() -> None:
    loss = F.cross_entropy(leaf(np.zeros((2, 3))), tg.tensor([0, 1]))
    assert loss.node is not None
    assert len(loss.node.parents) == 2
    assert type(loss.node.parents[0]) is tg.Tensor  # the leaf: nothing between


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 1.0, 1.0]}, {"label_smoothing": 0.5}])
def test_cross_entropy_far_out_is_exact_in_value_and_gradient(dtype: Any, options: Any) -> None:
    options = {k: tg.tensor(v) if isinstance(v, list) else v for k, v in options.items()}
    x = leaf([[-1000.0, 0.0, 1000.0]], dtype)
    loss = F.cross_entropy(x, tg.tensor([0]), **options)
    loss.backward()
    assert loss.dtype == dtype
    smoothing = options.get("label_smoothing", 0.0)
    wanted = np.array([1 - smoothing, 0.0, 0.0]) + smoothing / 3
    assert loss.item() == pytest.approx(wanted @ [2000.0, 1000.0, 0.0], rel=1e-6)
    np.testing.assert_allclose(x.grad.numpy()[0], [0.0, 0.0, 1.0] - wanted, atol=1e-6)


# ------------------------------------------------------------------------ yes or no


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_is_its_definition_in_both_forms(reduction: str) -> None:
    z, t = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))
    p, weight, pos = 1 / (1 + np.exp(-z)), rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, (3, 1))
    losses = -weight * (t * np.log(p) + (1 - t) * np.log(1 - p))
    found = F.binary_cross_entropy(p, t, weight, reduction)
    np.testing.assert_allclose(found.numpy(), REDUCTIONS[reduction](losses), rtol=1e-12)
    found = F.binary_cross_entropy_with_logits(z, t, weight, reduction)
    np.testing.assert_allclose(found.numpy(), REDUCTIONS[reduction](losses), rtol=1e-12)
    losses = -weight * (pos * t * np.log(p) + (1 - t) * np.log(1 - p))
    found = F.binary_cross_entropy_with_logits(z, t, weight, reduction, pos_weight=pos)
    np.testing.assert_allclose(found.numpy(), REDUCTIONS[reduction](losses), rtol=1e-12)


def test_logits_keep_what_a_sigmoid_loses() -> None:
    """A sigmoid rounds 40 to the probability 1: its logarithms know neither loss nor direction."""
    for size in (40.0, 1000.0):
        z = leaf([-size, size], tg.float32)
        sure = F.binary_cross_entropy_with_logits(z, tg.tensor([1.0, 0.0]), reduction="none")
        sure.sum().backward()
        assert sure.tolist() == [size, size]
        assert z.grad.tolist() == [-1.0, 1.0]
        z.grad = None
        lost = F.binary_cross_entropy(tg.sigmoid(z), tg.tensor([1.0, 0.0]), reduction="none")
        lost.sum().backward()
        assert lost.tolist()[1] == 100.0  # of 40, or of 1000
        assert z.grad.tolist()[1] == 0.0


def test_logits_with_a_positive_weight_are_exact_far_out() -> None:
    z = leaf([-1000.0, -1000.0, 1000.0, 1000.0], tg.float32)
    target, pos = tg.tensor([0.0, 1.0, 0.0, 1.0]), tg.tensor(3.0)
    loss = F.binary_cross_entropy_with_logits(z, target, reduction="none", pos_weight=pos)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 3000.0, 1000.0, 0.0]
    assert z.grad.tolist() == [0.0, -3.0, 1.0, 0.0]


def test_probabilities_of_0_and_1_give_at_most_100_and_finite_gradients() -> None:
    for dtype in (tg.float32, tg.float64):
        p = leaf([0.0, 0.0, 1.0, 1.0, 1e-45], dtype)
        target = tg.tensor([0.0, 1.0, 0.0, 1.0, 1.0], dtype=dtype)
        loss = F.binary_cross_entropy(p, target, reduction="none")
        assert loss.tolist() == [0.0, 100.0, 100.0, 0.0, 100.0]
        loss.sum().backward()
        assert np.isfinite(p.grad.numpy()).all()


def test_a_discriminators_losses_stay_finite_where_log_d_is_minus_infinity() -> None:
    scores = leaf([-1000.0, 1000.0], tg.float32)
    real = F.binary_cross_entropy_with_logits(scores, tg.ones(2), reduction="none")
    assert real.tolist() == [1000.0, 0.0]
    assert (F.softplus(-scores).numpy() == real.numpy()).all()
    assert (-F.logsigmoid(scores).numpy() == real.numpy()).all()


# ------------------------------------------------------------------------ distributions


def test_cross_entropy_of_distributions_is_entropy_plus_divergence() -> None:
    logits, p = rng.normal(size=(2, 5, 4))
    p = softmax(p, 1)
    q = F.log_softmax(logits, 1)
    divergence = F.kl_div(q, p, reduction="none").sum(axis=1)
    both = F.entropy(p, axis=1) + divergence
    np.testing.assert_allclose(
        both.numpy(), F.cross_entropy(logits, p, reduction="none").numpy(), rtol=1e-12
    )
    assert (divergence.numpy() > 0).all()
    np.testing.assert_allclose(F.kl_div(np.log(p), p, reduction="none").numpy(), 0, atol=1e-15)


def test_entropy_of_even_odds_is_the_logarithm_of_their_number_on_any_axis() -> None:
    even = tg.full((2, 8, 3), 1 / 8, dtype=tg.float64)
    np.testing.assert_allclose(F.entropy(even, axis=1).numpy(), np.full((2, 3), math.log(8)))
    p = leaf([0.0, 1.0, 0.0])
    assert F.entropy(p).item() == 0
    F.entropy(p).backward()
    assert p.grad.tolist() == [0.0, -1.0, 0.0]


def test_entropy_of_a_softmax_that_underflows_has_a_gradient() -> None:
    z = leaf([-1000.0, 0.0, 0.0], tg.float32)
    F.entropy(F.softmax(z)).backward()
    np.testing.assert_allclose(z.grad.numpy(), [0, 0, 0], atol=1e-7)


def test_nan_is_no_probability_of_zero() -> None:
    with np.errstate(invalid="ignore"):
        divergences = F.kl_div(tg.zeros(3), tg.tensor([math.nan, 0.0, 1.0]), reduction="none")
        entropies = F.entropy(tg.tensor([[math.nan, 0.5], [0.0, 1.0]]))
    assert np.array_equal(divergences.numpy(), [math.nan, 0.0, 0.0], equal_nan=True)
    assert np.array_equal(entropies.numpy(), [math.nan, 0.0], equal_nan=True)


def test_a_mean_is_divided_by_negative_weights_too() -> None:  # PyTorch: −0.5 · 1 / −0.5 = 1
    scores, weight = tg.tensor([-1.0, -2.0]), tg.tensor([-0.5, 1.0])
    for mode in (contextlib.nullcontext(), tg.textbook()):
        with mode:
            assert F.nll_loss(scores, tg.tensor(0), weight).item() == 1.0


def test_kl_div_reductions_and_logarithmic_targets() -> None:
    q, p = softmax(rng.normal(size=(2, 5, 4)), 2)
    terms = p * np.log(p / q)
    for reduction, wanted in [("sum", terms.sum()), ("mean", terms.mean())]:
        assert F.kl_div(np.log(q), p, reduction).item() == pytest.approx(wanted, rel=1e-12)
    batch = F.kl_div(np.log(q), np.log(p), "batchmean", log_target=True).item()
    assert batch == pytest.approx(terms.sum(axis=1).mean(), rel=1e-12)
    impossible = leaf([-math.inf, 0.0])  # ln q of a class that neither has
    loss = F.kl_div(impossible, tg.tensor([0.0, 1.0]), "sum")
    loss.backward()
    assert (loss.item(), impossible.grad.tolist()) == (0.0, [0.0, -1.0])


# ------------------------------------------------------------------------ distances and margins


def test_distances_and_similarities_are_their_definitions() -> None:
    a, b = rng.normal(size=(2, 3, 4))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(F.cosine_similarity(a, b).numpy(), cosine, rtol=1e-12)
    assert F.cosine_similarity(tg.zeros((1, 4)), tg.ones((1, 4))).tolist() == [0.0]
    spread = F.cosine_similarity(tg.tensor([[3.0, 4.0]]), tg.tensor([[1.0]]))
    np.testing.assert_allclose(spread.numpy(), [7 / 50**0.5], rtol=1e-6)
    for p in (1.0, 2.0, 3.0):
        wanted = np.linalg.norm(a - b + 1e-6, ord=p, axis=1)
        np.testing.assert_allclose(F.pairwise_distance(a, b, p).numpy(), wanted, rtol=1e-12)
    assert nn.PairwiseDistance(keepdims=True)(tg.tensor(a), tg.tensor(b)).shape == (3, 1)


def test_equal_vectors_have_a_finite_gradient() -> None:
    a = leaf(np.ones((2, 3)))
    F.pairwise_distance(a, tg.ones((2, 3), dtype=tg.float64)).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.full((2, 3), 1 / math.sqrt(3)), rtol=1e-9)
    z = leaf(np.zeros((2, 3)))
    F.cosine_embedding_loss(z, tg.ones((2, 3), dtype=tg.float64), tg.tensor([1, -1])).backward()
    assert np.isfinite(z.grad.numpy()).all()


def test_margin_losses_are_their_definitions() -> None:
    a, b, c = rng.normal(size=(3, 6, 4))
    sign = np.array([1, 1, 1, -1, -1, -1])

    def positive(x: Any) -> Any:
        return np.maximum(x, 0)

    x, y = rng.uniform(0, 2, (2, 6))
    hinge = F.hinge_embedding_loss(x, sign, 1.5, "none").numpy()
    np.testing.assert_allclose(hinge, np.where(sign > 0, x, positive(1.5 - x)))
    ranking = F.margin_ranking_loss(x, y, sign, 0.3, "none").numpy()
    np.testing.assert_allclose(ranking, positive(0.3 - sign * (x - y)))
    cosine = F.cosine_similarity(a, b).numpy()
    embedded = F.cosine_embedding_loss(a, b, sign, 0.1, "none").numpy()
    wanted = np.where(sign > 0, 1 - cosine, positive(cosine - 0.1))
    np.testing.assert_allclose(embedded, wanted, rtol=1e-9)

    def distance(u: Any, v: Any) -> Any:
        return np.linalg.norm(u - v, axis=1)

    near, far = distance(a, b), distance(a, c)
    triplet = F.triplet_margin_loss(a, b, c, 0.7, eps=0.0, reduction="none").numpy()
    np.testing.assert_allclose(triplet, positive(near - far + 0.7), rtol=1e-12)
    swapped = F.triplet_margin_loss(a, b, c, 0.7, eps=0.0, swap=True, reduction="none").numpy()
    closer = np.minimum(far, distance(b, c))
    np.testing.assert_allclose(swapped, positive(near - closer + 0.7), rtol=1e-12)


# ------------------------------------------------------------------------ all of them

LABELS, SOFT = rng.integers(0, 3, 4), softmax(rng.normal(size=(4, 3)), 1)
SIGNS = np.array([1, -1, 1, -1])
GRADIENTS = [
    lambda x: F.huber_loss(x, SOFT, delta=0.4),
    lambda x: F.gaussian_nll_loss(x, SOFT, tg.exp(x)),
    lambda x: F.poisson_nll_loss(x, SOFT, full=True),
    lambda x: F.cross_entropy(x, LABELS, weight=np.array([1.0, 2.0, 0.5]), label_smoothing=0.1),
    lambda x: F.cross_entropy(x, SOFT),
    lambda x: F.cross_entropy(SOFT, tg.softmax(x, 1)),
    lambda x: F.binary_cross_entropy(tg.sigmoid(x), SOFT, weight=SOFT),
    lambda x: F.binary_cross_entropy_with_logits(x, SOFT, pos_weight=np.array([1.0, 2.0, 0.5])),
    lambda x: F.kl_div(F.log_softmax(x, 1), SOFT, "batchmean"),
    lambda x: F.entropy(tg.softmax(x, 1)).mean(),
    lambda x: F.cosine_embedding_loss(x, SOFT, SIGNS, 0.1),
    lambda x: F.triplet_margin_loss(x, SOFT, -SOFT, 3.0, swap=True),
    lambda x: F.l1_penalty([x, x]) + F.l2_penalty(x),
]


@pytest.mark.parametrize("loss", GRADIENTS)
def test_two_derivatives_are_those_of_differences(loss: Any) -> None:
    assert gradcheck(loss, leaf(np.random.default_rng(7).normal(size=(4, 3))), order=2)


@pytest.mark.parametrize(
    ("layer", "arrays", "function"),
    [
        (nn.MSELoss("sum"), 2, lambda *a: F.mse_loss(*a, reduction="sum")),
        (nn.L1Loss(), 2, F.l1_loss),
        (nn.SmoothL1Loss(beta=0.5), 2, lambda *a: F.smooth_l1_loss(*a, beta=0.5)),
        (nn.HuberLoss(delta=0.5), 2, lambda *a: F.huber_loss(*a, delta=0.5)),
        (nn.GaussianNLLLoss(full=True), 3, lambda *a: F.gaussian_nll_loss(*a, full=True)),
        (nn.PoissonNLLLoss(full=True), 2, lambda *a: F.poisson_nll_loss(*a, full=True)),
        (nn.BCELoss(), 2, F.binary_cross_entropy),
        (nn.BCEWithLogitsLoss(), 2, F.binary_cross_entropy_with_logits),
        (nn.CrossEntropyLoss(), 2, F.cross_entropy),
        (nn.KLDivLoss("batchmean"), 2, lambda *a: F.kl_div(*a, reduction="batchmean")),
        (nn.TripletMarginLoss(swap=True), 3, lambda *a: F.triplet_margin_loss(*a, swap=True)),
        (nn.CosineSimilarity(axis=0), 2, lambda *a: F.cosine_similarity(*a, axis=0)),
    ],
)
def test_a_layer_is_its_function(layer: Any, arrays: int, function: Any) -> None:
    given = [tg.tensor(rng.uniform(0.1, 0.9, (3, 4))) for _ in range(arrays)]
    assert (layer(*given).numpy() == function(*given).numpy()).all()
    assert not layer.state_dict()


def test_weights_are_buffers_that_do_not_learn() -> None:
    weight = tg.tensor([1.0, 2.0], requires_grad=True)
    layer = nn.CrossEntropyLoss(weight)
    assert list(layer.state_dict()) == ["weight"]
    assert not list(layer.parameters())
    scores = leaf([[0.0, 1.0]], tg.float32)
    layer(scores, tg.tensor([1])).backward()
    assert weight.grad is None
    both = nn.BCEWithLogitsLoss(weight, pos_weight=weight)
    assert list(both.state_dict()) == ["weight", "pos_weight"]
    assert nn.NLLLoss(np.ones(2)).to(tg.float64).weight.dtype == tg.float64


def test_a_float32_loss_stays_float32_whatever_the_weights_are() -> None:
    x, weight = tg.ones((2, 3)), np.array([1.0, 2.0, 3.0])
    for options in ({}, {"label_smoothing": 0.1}):
        assert F.cross_entropy(x, tg.tensor([0, 2]), weight, **options).dtype == tg.float32
    assert F.cross_entropy(x, x / 3, weight).dtype == tg.float32
    assert F.gaussian_nll_loss(x, x, 0.5, full=True).dtype == tg.float32
    assert F.poisson_nll_loss(x, x, full=True).dtype == tg.float32
    assert F.cosine_embedding_loss(x, x, tg.tensor([1, -1])).dtype == tg.float32


PAIRWISE = [
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.poisson_nll_loss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.kl_div,
    F.hinge_embedding_loss,
]


@pytest.mark.parametrize("loss", PAIRWISE)
def test_shapes_that_would_broadcast_are_refused(loss: Any) -> None:
    with pytest.raises(ValueError, match=rf"{loss.__name__}: .*\(3,\).*\(3, 1\)"):
        loss(tg.ones(3), tg.ones((3, 1)))


@pytest.mark.parametrize("loss", PAIRWISE)
def test_an_unknown_reduction_is_named(loss: Any) -> None:
    with pytest.raises(ValueError, match=f"{loss.__name__}: reduction is 'average'"):
        loss(tg.ones(3), tg.ones(3), reduction="average")


def test_mistakes_are_named() -> None:
    x, labels = tg.zeros((2, 3)), tg.tensor([0, 1])
    with pytest.raises(ValueError, match=r"expected label_smoothing in \[0, 1\]; got 1.5"):
        F.cross_entropy(x, labels, label_smoothing=1.5)
    with pytest.raises(ValueError, match=r"weight .*\(3,\).* got \(2,\)"):
        F.cross_entropy(x, labels, tg.ones(2))
    with pytest.raises(ValueError, match=r"weight .*\(3,\).* got \(2,\)"):
        F.cross_entropy(x, tg.ones((2, 3)), tg.ones(2))
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3\) and \(2, 4\)"):
        F.cross_entropy(x, tg.ones((2, 4)))
    with pytest.raises(IndexError, match=r"class numbers in \[0, 3\)"):
        F.cross_entropy(x, tg.tensor([0, 3]), label_smoothing=0.1)
    with pytest.raises(TypeError, match=r"class numbers, .* got float32"):
        F.cross_entropy(x, tg.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"expected probabilities in \[0, 1\]; got \[-2.0, 2.0\]"):
        F.binary_cross_entropy(tg.tensor([-2.0, 2.0]), tg.ones(2))
    with pytest.raises(ValueError, match=r"weight \(2, 3\) does not broadcast to \(3,\)"):
        F.binary_cross_entropy(tg.ones(3), tg.ones(3), weight=tg.ones((2, 3)))
    with pytest.raises(ValueError, match=r"a variance is negative: -1\.0"):
        F.gaussian_nll_loss(tg.ones(2), tg.ones(2), tg.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"var of the input's shape \(2, 3\).*got \(3,\)"):
        F.gaussian_nll_loss(x, x, tg.ones(3))
    with pytest.raises(ValueError, match="huber_loss: expected delta > 0; got 0"):
        F.huber_loss(x, x, delta=0)
    with pytest.raises(ValueError, match="smooth_l1_loss: expected beta ≥ 0; got -1"):
        F.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(ValueError, match=r"expected inputs \(N, D\) and a target \(N,\)"):
        F.cosine_embedding_loss(x, x, tg.ones(3))
    with pytest.raises(ValueError, match="input1 and input2 and target must have one shape"):
        F.margin_ranking_loss(tg.ones(2), tg.ones(2), tg.ones(()))
    with pytest.raises(ValueError, match="l2_penalty: there are no parameters"):
        F.l2_penalty([])
    with pytest.raises(TypeError, match=r"l1_penalty: .*`model.parameters\(\)`.* got a Linear"):
        F.l1_penalty(nn.Linear(2, 1))
    with pytest.raises(TypeError, match=r"cosine_similarity: .*`dim` is `axis` here"):
        F.cosine_similarity(x, x, dim=0)
    with pytest.raises(ValueError, match=r"cosine_similarity: .*\(2, 3\), \(2, 4\)"):
        F.cosine_similarity(x, tg.ones((2, 4)))


INF = float("inf")
IMPOSSIBLE = [[-INF, 1.0, 2.0], [-INF, 0.0, 1.0], [-INF, 1.0, 0.0]]  # PyTorch's values below


@pytest.mark.parametrize("mode", [contextlib.nullcontext, tg.textbook])
@pytest.mark.parametrize(
    ("options", "value", "slope"),
    [
        ({}, 1.31326162815094, 0.36552929878234863),
        ({"ignore_index": 0}, 1.31326162815094, 0.36552929878234863),
        ({"reduction": "sum"}, 2.62652325630188, 0.7310585975646973),
        ({"reduction": "none"}, [1.31326162815094, 0.0, 1.31326162815094], 0.7310585975646973),
        ({"weight": [1.0, 2.0, 2.0]}, 1.31326162815094, 0.36552929878234863),
    ],
)
def test_cross_entropy_of_impossible_classes_leaves_out_the_targets_that_do_not_count(
    options, value, slope, mode
):
    x = tg.tensor(IMPOSSIBLE, requires_grad=True)
    target = [1, options.get("ignore_index", -100), 2]
    with mode():
        loss = F.cross_entropy(x, tg.tensor(target), **options)
    loss.sum().backward()
    np.testing.assert_allclose(loss.numpy(), value, rtol=1e-6)
    gradient = [[0.0, -slope, slope], [0.0, 0.0, 0.0], [0.0, slope, -slope]]
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-6)


def test_smoothed_cross_entropy_of_an_ignored_row_is_0_whatever_its_scores():
    x = tg.tensor([[0.0, 0.0], [-INF, 1.0]], requires_grad=True)
    target = tg.tensor([1, -100])
    loss = F.cross_entropy(x, target, label_smoothing=0.1, reduction="none")
    loss.backward(tg.tensor([1.0, INF]))
    np.testing.assert_allclose(loss.numpy(), [np.log(2), 0.0], rtol=1e-6)


@pytest.mark.parametrize("mode", [contextlib.nullcontext, tg.textbook])
def test_nll_loss_of_an_ignored_target_is_0_and_its_gradient_too(mode):
    x = tg.tensor([[-INF, -1.0], [-2.0, -3.0]], requires_grad=True)
    with mode():
        loss = F.nll_loss(x, tg.tensor([0, 1]), ignore_index=0, reduction="none")
    loss.backward(tg.tensor([INF, 1.0]))
    assert loss.tolist() == [0.0, 3.0]
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, -1.0]]
