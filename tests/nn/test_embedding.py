"""Embeddings, one-hot vectors, bilinear maps, and the map that changes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn

# ------------------------------------------------------------------------- Embedding


def test_an_embedding_looks_up_rows_and_adds_up_their_gradients() -> None:
    layer = nn.Embedding(5, 2)
    words = np.array([[3, 1], [3, 3]])
    out = layer(tg.tensor(words))
    np.testing.assert_array_equal(out.numpy(), layer.weight.numpy()[words])
    out.sum().backward()
    assert layer.weight.grad.numpy()[:, 0].tolist() == [0, 1, 0, 3, 0]


def test_an_embedding_is_a_product_with_one_hot_vectors() -> None:
    layer = nn.Embedding(6, 3, dtype=tg.float64)
    words = np.array([5, 0, 5])
    product = F.one_hot(words, 6).numpy() @ layer.weight.numpy()
    np.testing.assert_array_equal(layer(words).numpy(), product)


@pytest.mark.parametrize("padding_idx", [2, -3])
def test_padding_starts_as_zeros_and_is_not_learned(padding_idx: int) -> None:
    layer = nn.Embedding(5, 3, padding_idx=padding_idx)
    assert layer.padding_idx == 2
    assert not layer.weight.numpy()[2].any()
    layer([2, 1, 2]).sum().backward()
    assert layer.weight.grad.numpy().any(axis=1).tolist() == [False, True, False, False, False]
    layer.weight.data = tg.ones((5, 3))
    layer.reset_parameters()
    assert layer.weight.numpy().any(axis=1).tolist() == [True, True, False, True, True]
    assert repr(layer) == "Embedding(5, 3, padding_idx=2)"


def test_embeddings_are_drawn_from_the_standard_normal_distribution() -> None:
    tg.manual_seed(0)
    weight = nn.Embedding(200, 100).weight.numpy()
    assert abs(weight.mean()) < 4 / math.sqrt(weight.size)
    assert abs(weight.var() - 1) < 4 * math.sqrt(2 / weight.size)


def test_pretrained_vectors_are_kept_frozen_or_learned_further() -> None:
    vectors = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    frozen = nn.Embedding.from_pretrained(vectors)
    assert not frozen.weight.requires_grad
    assert np.shares_memory(frozen.weight.numpy(), vectors.numpy())
    assert (frozen.num_embeddings, frozen.embedding_dim) == (2, 2)
    learned = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=1)
    learned([0, 1]).sum().backward()
    assert learned.weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert learned.weight.tolist() == vectors.tolist()
    assert list(learned.state_dict()) == ["weight"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.Embedding(5, 2)([0, 5]), IndexError, r"row numbers in \[0, 5\); got \[0, 5\]"),
        (lambda: nn.Embedding(5, 2)([-1]), IndexError, r"row numbers in \[0, 5\); got \[-1, -1\]"),
        (
            lambda: nn.Embedding(5, 2)([0.5]),
            TypeError,
            "embedding: expected row numbers, which are integers",
        ),
        (lambda: nn.Embedding(5, 2, 5), ValueError, r"padding_idx is 5.*\[-5, 4\]"),
        (lambda: nn.Embedding.from_pretrained([1.0]), ValueError, r"from_pretrained.*\(1,\)"),
        (lambda: F.one_hot(tg.tensor([0, 3]), 3), IndexError, r"one_hot: .*\[0, 3\); got \[0, 3\]"),
        (lambda: F.one_hot(tg.tensor([0.0])), TypeError, "one_hot: expected integer indices"),
    ],
)
def test_words_that_are_not_there_are_named(call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_one_hot_counts_the_classes_itself() -> None:
    assert F.one_hot([[2], [0]]).tolist() == [[[0, 0, 1]], [[1, 0, 0]]]
    assert F.one_hot(tg.tensor(1), num_classes=4).tolist() == [0, 1, 0, 0]


# ------------------------------------------------------------------------- Bilinear, Identity


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,)])
def test_bilinear_is_a_sum_over_all_pairs(lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    layer = nn.Bilinear(3, 2, 5, dtype=tg.float64)
    x, y = rng.normal(size=(*lead, 3)), rng.normal(size=(*lead, 2))
    weight, bias = layer.weight.numpy(), layer.bias.numpy() if layer.bias is not None else 0
    pairs = x[..., None, :, None] * y[..., None, None, :] * weight
    np.testing.assert_allclose(layer(x, y).numpy(), pairs.sum((-2, -1)) + bias, rtol=1e-12)


def test_bilinear_without_a_bias_is_linear_in_each_input() -> None:
    layer = nn.Bilinear(3, 2, 5, bias=False, dtype=tg.float64)
    x, y = np.ones(3), np.array([1.0, -2.0])
    np.testing.assert_allclose(layer(2 * x, 3 * y).numpy(), 6 * layer(x, y).numpy(), rtol=1e-12)
    assert repr(layer) == "Bilinear(in1_features=3, in2_features=2, out_features=5, bias=False)"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.Bilinear(3, 2, 1)(tg.ones(3), tg.ones(3)), r"bilinear: .*\(3,\), \(3,\)"),
        (lambda: nn.Bilinear(3, 2, 1)(tg.ones((4, 3)), tg.ones(2)), r"\(4, 3\), \(2,\)"),
        (
            lambda: F.bilinear(tg.ones(1), tg.ones(1), tg.ones((2, 1, 1)), tg.ones(1)),
            r"bilinear: expected a bias \(2,\); got \(1,\)",
        ),
        (lambda: nn.Bilinear(0, 2, 1), "Bilinear: in1_features is 0"),
    ],
)
def test_bilinear_names_the_shapes_that_do_not_fit(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_the_identity_gives_its_input_whatever_it_was_made_with() -> None:
    x = tg.ones(3)
    assert nn.Identity(7, anything="else")(x) is x
    assert not list(nn.Identity().parameters())
    assert repr(nn.Identity(7)) == "Identity()"
