"""Random numbers: distributions against their moments, seeds, states, and wrong arguments."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm.random import using

N = 200_000  # standard errors below are 1/√N = 0.0022 times the deviation


def test_normal_draws_have_the_moments_of_a_normal_distribution():
    x = tg.Generator(0).normal((N,)).numpy().astype(np.float64)
    assert abs(x.mean()) < 0.01
    assert abs(x.var() - 1) < 0.02
    assert abs((x**4).mean() - 3) < 0.1


def test_uniform_draws_fill_their_interval_evenly():
    x = tg.Generator(0).uniform((N,), -1, 3).numpy()
    counts, _ = np.histogram(x, bins=8, range=(-1, 3))
    assert counts.sum() == N
    assert abs(counts / N - 1 / 8).max() < 0.004


def test_integers_take_every_value_but_the_upper_bound():
    x = tg.Generator(0).integers(-2, 3, (1000,))
    assert x.dtype == tg.int64
    assert sorted(set(x.tolist())) == [-2, -1, 0, 1, 2]


def test_a_permutation_holds_each_number_once_and_every_order_occurs():
    generator = tg.Generator(0)
    orders = {tuple(generator.permutation(3).tolist()) for _ in range(200)}
    assert len(orders) == 6
    assert all(sorted(order) == [0, 1, 2] for order in orders)


def test_bernoulli_draws_ones_with_the_given_frequency():
    p = tg.tensor([0.0, 0.2, 1.0])
    drawn = tg.Generator(0).bernoulli(p, (N, 3))
    assert set(np.unique(drawn.numpy())) == {0.0, 1.0}
    assert abs(drawn.numpy().mean(0) - p.numpy()).max() < 0.005


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64])
def test_floating_draws_have_the_dtype_asked_for(dtype):
    generator = tg.Generator(0)
    assert generator.normal(3, dtype).dtype == dtype
    assert generator.uniform(3, dtype=dtype).dtype == dtype
    assert generator.bernoulli(tg.full((3,), 0.5, dtype)).dtype == dtype
    assert tg.rand_like(tg.zeros(3, dtype)).dtype == dtype
    assert tg.randn_like(tg.zeros((2, 3), dtype)).shape == (2, 3)


def test_draws_without_a_dtype_follow_the_default_dtype():
    assert tg.randn(()).dtype == tg.float32
    tg.set_default_dtype(tg.float64)
    try:
        assert tg.rand(2).dtype == tg.float64
        assert tg.bernoulli(1).dtype == tg.float64
    finally:
        tg.set_default_dtype(tg.float32)


def test_the_numbers_are_those_of_numpys_pcg64():
    ours = tg.Generator(42).normal((5,), tg.float64).numpy()
    assert (ours == np.random.default_rng(42).standard_normal(5)).all()


def test_a_seed_of_several_numbers_is_a_stream_of_its_own():
    seeds = [0, 1, (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 1, 0), (2**32, 0), (0, 2**32)]
    draws = {tuple(tg.Generator(seed).uniform(2, dtype=tg.float64).tolist()) for seed in seeds}
    assert len(draws) == len(seeds)


def test_a_state_survives_json_and_goes_on_where_it_was():
    generator = tg.Generator(3)
    generator.uniform(7)  # an odd number of 32-bit draws leaves half a word behind
    state = json.loads(json.dumps(generator.get_state()))
    wanted = generator.uniform(9).tolist()
    other = tg.Generator(4)
    other.set_state(state)
    assert other.uniform(9).tolist() == wanted


def test_manual_seed_repeats_everything_that_is_given_no_generator():
    def draws():
        tg.manual_seed(5)
        tensors = tg.randn(2), tg.rand(2), tg.randint(100, (2,)), tg.randperm(5)
        return [t.tolist() for t in (*tensors, tg.bernoulli(tg.full((9,), 0.5)))]

    assert draws() == draws()
    held = tg.default_generator()
    tg.manual_seed(5)
    assert held is tg.default_generator()
    assert tg.randn(2).tolist() == draws()[0]


def test_two_processes_without_a_seed_draw_different_numbers():
    code = "import tinygrad_gm as tg; print(tg.rand((4,)).tolist())"
    first, second = (subprocess.check_output([sys.executable, "-c", code]) for _ in range(2))
    assert first != second


def test_using_puts_a_generator_in_the_place_of_the_default_one_and_takes_it_away_again():
    tg.manual_seed(1)
    wanted = tg.rand(4).tolist()
    tg.manual_seed(1)
    first = tg.rand(2).tolist()
    with using(tg.Generator(9)):
        inside = tg.rand(2).tolist()
        with using(tg.Generator(9)):
            assert tg.rand(2).tolist() == inside
        inside += tg.rand(2).tolist()
    assert inside == tg.Generator(9).uniform(4).tolist()
    assert first + tg.rand(2).tolist() == wanted


def test_a_generator_keyword_leaves_the_default_generator_alone():
    state = tg.default_generator().get_state()
    for draw in (tg.randn, tg.rand):
        assert (
            draw(3, generator=tg.Generator(1)).tolist()
            == draw(3, generator=tg.Generator(1)).tolist()
        )
    tg.randint(0, 9, 3, generator=tg.Generator(1))
    tg.randperm(3, generator=tg.Generator(1))
    tg.bernoulli(0.5, generator=tg.Generator(1))
    tg.randn_like(tg.zeros(2), generator=tg.Generator(1))
    assert tg.default_generator().get_state() == state


def test_a_drawn_leaf_can_require_a_gradient():
    x = tg.randn((2, 2), requires_grad=True)
    (x * x).sum().backward()
    assert (x.grad.numpy() == 2 * x.numpy()).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tg.randn(2, 3), TypeError, r"randn\(\(2, 3\)\)"),
        (lambda: tg.rand(2, 3, 4), TypeError, r"rand\(\(2, 3, 4\)\)"),
        (lambda: tg.randn("ab"), TypeError, "a tuple of ints; got 'ab'"),
        (lambda: tg.randn((2, -1)), ValueError, "negative size"),
        (lambda: tg.rand(2, tg.int64), TypeError, "expected a floating dtype; got int64"),
        (lambda: tg.randint(5), TypeError, "the shape is missing"),
        (lambda: tg.randint(5, 5, 2), ValueError, r"expected low < high; got 5 and 5"),
        (lambda: tg.bernoulli(tg.tensor([0.5, 1.5])), ValueError, r"in \[0, 1\]"),
        (lambda: tg.bernoulli(tg.nan), ValueError, r"in \[0, 1\]"),
        (lambda: tg.Generator(0).bernoulli(tg.zeros(3), 2), ValueError, "broadcast"),
        (lambda: tg.Generator(-1), ValueError, "seed must be an integer"),
        (lambda: tg.Generator("seven"), ValueError, "seed must be an integer"),
        (lambda: tg.Generator(0).set_state({}), ValueError, "not a state of a Generator"),
    ],
)
def test_wrong_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ------------------------------------------------------------------- classes


def test_classes_are_drawn_with_their_probabilities():
    p = np.array([0.1, 0.0, 0.6, 0.3])
    for options in ({"probs": p * 7}, {"logits": np.log(p, where=p > 0, out=np.full(4, -np.inf))}):
        drawn = tg.random.categorical(**options, size=(N,), generator=tg.Generator(0))
        assert drawn.dtype == tg.int64
        rates = np.bincount(drawn.numpy(), minlength=4) / N
        assert abs(rates - p).max() < 4 * np.sqrt(0.25 / N)
        assert rates[1] == 0


def test_each_row_is_a_distribution_and_size_comes_first():
    p = tg.tensor([[[0.0, 1.0]], [[1.0, 0.0]], [[0.5, 0.5]]])
    drawn = tg.random.categorical(probs=p, size=(1000,), generator=tg.Generator(1)).numpy()
    assert drawn.shape == (1000, 3, 1)
    assert (drawn[:, 0] == 1).all()
    assert (drawn[:, 1] == 0).all()
    assert abs(drawn[:, 2].mean() - 0.5) < 0.07
    assert tg.random.categorical(logits=tg.zeros((3, 1, 2))).shape == (3, 1)


def test_draws_without_replacement_are_those_of_an_urn():
    p, generator = np.array([0.5, 0.3, 0.2]), tg.Generator(0)
    drawn = tg.random.multinomial(np.tile(p, (N, 1)), 2, generator=generator).numpy()
    assert (drawn[:, 0] != drawn[:, 1]).all()
    for first in range(3):
        assert abs((drawn[:, 0] == first).mean() - p[first]) < 0.005
        for second in {0, 1, 2} - {first}:
            wanted = p[first] * p[second] / (1 - p[first])
            assert abs(((drawn[:, 0] == first) & (drawn[:, 1] == second)).mean() - wanted) < 0.005


def test_draws_with_replacement_repeat_and_have_their_shape():
    drawn = tg.random.multinomial(tg.tensor([[1.0, 0.0], [1.0, 1.0]]), 5, replacement=True)
    assert drawn.shape == (2, 5)
    assert drawn[0].tolist() == [0] * 5
    assert tg.random.multinomial([0.0, 2.0]).tolist() == [1]


def test_the_same_seed_draws_the_same_classes():
    tg.manual_seed(3)
    first = tg.random.categorical(logits=tg.zeros(10), size=20).tolist()
    tg.manual_seed(3)
    assert tg.random.categorical(logits=tg.zeros(10), size=20).tolist() == first


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (
            lambda: tg.random.categorical(),
            TypeError,
            "categorical: expected either logits or probs",
        ),
        (lambda: tg.random.categorical([0.0], [1.0]), TypeError, "categorical: expected either"),
        (
            lambda: tg.random.categorical(probs=[0.5, -0.5]),
            ValueError,
            "categorical: expected finite prob",
        ),
        (
            lambda: tg.random.categorical(probs=[0.0, 0.0]),
            ValueError,
            "categorical: expected finite prob",
        ),
        (
            lambda: tg.random.categorical(logits=[-np.inf]),
            ValueError,
            "categorical: expected finite prob",
        ),
        (
            lambda: tg.random.categorical(logits=[0.0, np.nan]),
            ValueError,
            "categorical: expected finite prob",
        ),
        (
            lambda: tg.random.categorical(probs=1.0),
            ValueError,
            "categorical: expected at least one class",
        ),
        (lambda: tg.random.multinomial([1.0, 0.0], 2), ValueError, "multinomial: 2 draws .* 1 c"),
    ],
)
def test_what_is_no_distribution_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
