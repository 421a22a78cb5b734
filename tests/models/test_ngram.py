"""n-grams: counts against a dictionary, gradients against frequencies, probabilities of texts."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from needs import needs_names

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, data, optim
from tinygrad_gm.models import ngram
from tinygrad_gm.models.parts import language, texts

TEXT = data.shakespeare_small()[:4000]
CORPUS = texts.Corpus(data.Characters(TEXT), None, [TEXT[:3000]], [TEXT[3000:]], [])
WORDS = texts.Corpus(data.Characters(".abc"), ".", ["ab", "cab", "a"], ["bb"], [])


def counted(context: int, alpha: float, corpus: texts.Corpus = CORPUS) -> ngram.Counts:
    model = ngram.Counts(len(corpus.vocabulary), context, alpha)
    model.count(*ngram.pairs(model, corpus, corpus.train))
    return model


@pytest.mark.parametrize("context", [0, 1, 2, 3])
def test_the_loss_of_counting_is_that_of_a_dictionary(context):
    train, unseen = CORPUS.train[0], CORPUS.validation[0]
    start = max(context, 1)
    grams = Counter((train[t - context : t], train[t]) for t in range(start, len(train)))
    before = Counter(train[t - context : t] for t in range(start, len(train)))
    symbols = len(set(TEXT))
    nats = []
    for t in range(start, len(unseen)):
        seen = unseen[t - context : t]
        p = (grams[seen, unseen[t]] + 0.5) / (before[seen] + 0.5 * symbols)
        nats.append(-math.log(p))
    seen, following = ngram.pairs(counted(context, 0.5), CORPUS, CORPUS.validation)
    loss = ngram.mean_loss(counted(context, 0.5), seen, following)
    assert len(following) == len(nats)
    assert loss == pytest.approx(sum(nats) / len(nats), rel=1e-6)


@pytest.mark.parametrize("context", [0, 1, 2])
def test_the_probabilities_after_a_context_sum_to_one(context):
    model = counted(context, 0.01)
    symbols = len(CORPUS.vocabulary)
    contexts = Generator(0).integers(0, symbols, (200, context))
    p = tg.exp(model.following(contexts)).numpy()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_after_an_unseen_context_all_characters_are_equally_likely(alpha):
    model = counted(2, alpha, WORDS)
    seen = WORDS.vocabulary.encode("cc")[None]
    p = F.softmax(model.following(seen), axis=1)
    np.testing.assert_allclose(p.numpy(), 0.25, rtol=1e-6)


def test_a_word_begins_after_boundaries_and_ends_with_one():
    seen, following = ngram.pairs(counted(2, 1.0, WORDS), WORDS, ["ab"])
    assert [WORDS.vocabulary.decode(row) for row in seen] == ["..", ".a", "ab"]
    assert WORDS.vocabulary.decode(following) == "ab."


def test_without_smoothing_the_loss_is_the_conditional_entropy_of_the_text():
    text = TEXT[:3000]
    of_pairs, of_first = Counter(pairwise(text)), Counter(text[:-1])
    entropy = -sum(n * math.log(n / of_first[a]) for (a, _), n in of_pairs.items()) / (
        len(text) - 1
    )
    model = counted(1, 0.0)
    loss = ngram.mean_loss(model, *ngram.pairs(model, CORPUS, CORPUS.train))
    assert loss == pytest.approx(entropy, rel=1e-6)


def test_the_gradient_of_a_table_of_logits_is_zero_at_the_frequencies():
    counts, table = counted(1, 0.0), ngram.Table(len(CORPUS.vocabulary), 1)
    seen, following = ngram.pairs(table, CORPUS, CORPUS.train)
    rows, n = counts.rows.numpy(), counts.counts.numpy()[:-1]
    with np.errstate(divide="ignore"):
        table.logits.data[rows] = np.maximum(np.log(n / n.sum(axis=1, keepdims=True)), -50)
    F.cross_entropy(table.following(seen), following).backward()
    assert np.abs(table.logits.grad.numpy()).max() < 1e-7


def test_a_table_trained_by_gradient_reaches_the_loss_of_counting():
    counts, table = counted(1, 0.0, WORDS), ngram.Table(len(WORDS.vocabulary), 1)
    seen, following = ngram.pairs(table, WORDS, WORDS.train)
    optimizer = optim.Adam(table.parameters(), lr=0.1)
    for _ in range(300):
        loss = F.cross_entropy(table.following(seen), following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(ngram.mean_loss(counts, seen, following), abs=0.005)


def test_the_mlp_is_bengios_formula():
    tg.manual_seed(0)
    model = ngram.MLP(5, context=3, width=2, hidden=4, own_blank=True)
    text = np.array([1, 4, 0, 3])
    c, (w, b), (u, d) = (
        model.wte.weight.numpy(),
        *((m.weight.numpy(), m.bias.numpy()) for m in (model.mlp[0], model.mlp[2])),
    )
    padded = [5, 5, *text]
    for t in range(4):
        x = np.concatenate([c[padded[t + k]] for k in range(3)])
        wanted = u @ np.tanh(w @ x + b) + d
        np.testing.assert_allclose(model(tg.asarray(text)[None])[0, t].numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (ngram.Table(27, 1), 729),
        (ngram.MLP(27, 3, 10, 200), 11_897),
        (ngram.MLP(27, 16, 64, 64, own_blank=True), 69_147),
    ],
)
def test_the_numbers_of_parameters_are_makemores(model, parameters):
    assert sum(p.size for p in model.parameters()) == parameters


@pytest.mark.parametrize("context", [0, 1, 3])
def test_the_probability_of_a_written_text_is_that_of_the_text_when_read(context):
    network = counted(context, 0.01)
    model = language.LanguageModel(network, CORPUS.vocabulary)
    text = "".join(language.generate(model, "F", 50, generator=Generator(0)))
    read = CORPUS.vocabulary.encode("F" + text)
    log_p = network(read[None, :-1])[0].numpy()
    decode, total = network.decoder(), 0.0
    for t in range(len(text)):
        shown = decode(read[None, t : t + 1])
        total += F.log_softmax(shown, axis=1)[0, read[t + 1].item()].item()
    assert total == pytest.approx(log_p[np.arange(50), read[1:].numpy()].sum(), rel=1e-5)


def test_a_network_without_a_context_is_refused():
    with pytest.raises(ValueError, match="mlp needs a context of at least 1"):
        ngram.Config(network="mlp", context=0)


def test_contexts_that_cannot_be_numbered_are_refused():
    with pytest.raises(ValueError, match="contexts of 11 of 65 characters are too many"):
        ngram.numbers(tg.zeros((1, 11), dtype=tg.int64), 65)


@needs_names
def test_the_bigram_of_all_names_has_the_loss_of_makemore():
    corpus = texts.load("names")
    everything = [*corpus.train, *corpus.validation, *corpus.test]
    model = ngram.Counts(27, 1, alpha=0.0)
    seen, following = ngram.pairs(model, corpus, everything)
    model.count(seen, following)
    assert len(following) == 228_146
    assert round(ngram.mean_loss(model, seen, following), 3) == 2.454
