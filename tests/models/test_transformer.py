"""Transformer: reference sizes and names, masks, padding, caches, decoding, translation."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from golden_transformer import GOLDEN, PLACES, SOURCE, TARGET, golden
from reference_keys import reference_keys

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn
from tinygrad_gm.app import cli
from tinygrad_gm.models import transformer
from tinygrad_gm.models.gallery import transformer as gallery
from tinygrad_gm.models.parts import beam_search, sequence_pairs
from tinygrad_gm.models.transformer import (
    Embeddings,
    FeedForward,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    Transformer,
    causal_mask,
    loss,
    padding_mask,
)
from tinygrad_gm.training import Run

SMALL = {"num_layers": 2, "d_model": 8, "n_head": 2, "hidden_dim": 16, "max_len": 40}
NORMS = pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])


def exact(module: Any) -> Any:
    """In float64 and in evaluation mode."""
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        tensor.data = tensor.data.astype(tg.float64)
    return module.eval()


def network(norm_first: bool = False, **options: Any) -> Transformer:
    tg.manual_seed(0)
    model = Transformer(9, 7, **{**SMALL, "norm_first": norm_first, **options})
    for name, parameter in model.named_parameters():  # else a bias or a norm changes nothing
        if parameter.ndim == 1:
            parameter.data += 0.3 * tg.randn(parameter.shape)
        assert name
    return exact(model)


def tokens(count: int, length: int, vocab: int, seed: int = 0) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(seed).integers(1, vocab, (count, length)))


def body(model: Transformer) -> int:
    return sum(p.size for part in (model.encoder, model.decoder) for p in part.parameters())


# ------------------------------------------------------------------------------ sizes and names


@pytest.mark.parametrize(
    ("options", "in_body", "in_all"),
    [
        ({"src_vocab": 11, "tgt_vocab": 11, "num_layers": 2, "norm_first": True}, None, 14_731_787),
        ({"src_vocab": 1, "tgt_vocab": 1}, 44_138_496, None),
        ({"src_vocab": 1, "tgt_vocab": 1, "norm_first": True}, 44_140_544, None),
        ({"src_vocab": 37_000, "tgt_vocab": 37_000, "tie": True}, 44_138_496, 63_082_496),
    ],
    ids=["copy task of The Annotated Transformer", "base", "base, pre-norm", "base, tied"],
)
def test_the_networks_have_as_many_parameters_as_the_references(options, in_body, in_all):
    with nn.no_init():
        model = Transformer(**options, max_len=2)
    assert in_body in (None, body(model))
    assert in_all in (None, sum(p.size for p in model.parameters()))


def test_the_keys_are_those_of_the_annotated_transformer_and_back():
    with nn.no_init():
        model = Transformer(11, 11, num_layers=2, norm_first=True)
    own = model.state_dict()
    theirs = transformer.to_annotated(own)
    found = [(name, t.shape, str(t.dtype)) for name, t in theirs.items()]
    assert found == reference_keys("annotated")
    back = transformer.from_annotated(theirs)
    assert list(back) == list(own)
    assert all(back[name] is own[name] for name in own)


def test_the_keys_of_nn_transformer_are_pytorchs():
    with nn.no_init():
        found = [(name, t.shape, str(t.dtype)) for name, t in nn.Transformer().state_dict().items()]
    assert found == reference_keys("torch_nn_transformer")


def test_the_classes_have_the_names_and_arguments_of_the_notes():
    d_model, query = 512, tg.randn((16, 32, 512))
    attention = MultiHeadAttention(d_model, 8)
    maps = attention.wq, attention.wk, attention.wv, attention.out_linear
    assert [linear.weight.shape for linear in maps] == [(512, 512)] * 4
    assert attention(query, query, query, mask=tg.tril(tg.ones((16, 32, 32)))).shape == query.shape
    norm = LayerNorm(d_model, 1e-12)
    assert (norm.gamma.tolist(), norm.beta.tolist()) == ([1.0] * 512, [0.0] * 512)
    perceptron = FeedForward(d_model, 2048, dropout=0.1)
    assert (perceptron.fc1.weight.shape, perceptron.fc2.weight.shape) == ((2048, 512), (512, 2048))
    assert perceptron(query).shape == norm(query).shape == query.shape
    assert Embeddings(d_model, 11).lut.weight.shape == (11, 512)
    assert PositionalEncoding(d_model, 5000).pe.shape == (1, 5000, 512)


def test_embeddings_are_as_large_as_the_positional_code():
    tg.manual_seed(0)
    assert Embeddings(512, 100)(tg.arange(100)).std().item() == pytest.approx(1, abs=0.02)


def test_an_odd_width_has_one_sine_more_than_cosines():
    code = PositionalEncoding(5, 3)(tg.zeros((1, 3, 5), tg.float64))[0, 2].numpy()
    angles = 2 / 10_000 ** (np.array([0, 2, 4]) / 5)
    expected = [*itertools.chain(*zip(np.sin(angles), np.cos(angles), strict=True))][:5]
    np.testing.assert_allclose(code, expected, atol=1e-7)


def test_positions_can_be_given():
    encoding, x = PositionalEncoding(6, 9), tg.randn((2, 3, 6))
    shifted = encoding(x, positions=tg.tensor([[0, 0, 1], [4, 5, 6]]))
    whole = encoding(tg.zeros((1, 9, 6)))[0]
    np.testing.assert_array_equal(shifted[1].numpy(), (x[1] + whole[4:7]).numpy())
    np.testing.assert_array_equal(shifted[0, 1:].numpy(), (x[0, 1:] + whole[:2]).numpy())
    np.testing.assert_array_equal(encoding(x, start=4)[1].numpy(), shifted[1].numpy())


# ------------------------------------------------------------------------------ attention


def by_hand(attention, query, key, mask):
    """Attention in NumPy, head by head, key = value, mask (N, h, L, S) of booleans."""
    q, k, v = (
        x.numpy() @ linear.weight.numpy().T + linear.bias.numpy()
        for x, linear in (
            (query, attention.wq),
            (key, attention.wk),
            (key, attention.wv),
        )
    )
    width = q.shape[2] // attention.n_head
    out = np.zeros_like(q)
    for n, h, i in np.ndindex(len(q), attention.n_head, q.shape[1]):
        part = slice(h * width, (h + 1) * width)
        open_keys = np.flatnonzero(mask[n, h, i])
        if len(open_keys):
            scores = k[n, open_keys, part] @ q[n, i, part] / math.sqrt(width)
            weights = np.exp(scores) / np.exp(scores).sum()
            out[n, i, part] = weights @ v[n, open_keys, part]
    linear = attention.out_linear
    return out @ linear.weight.numpy().T + linear.bias.numpy()


MASKS = {  # of N = 3 samples, h = 2 heads, L = 2 queries, S = 4 keys
    "none": None,
    "keys": (4,),
    "one query": (1, 4),
    "queries": (2, 4),
    "samples": (3, 2, 4),
    "padding": (3, 1, 4),
    "one sample": (1, 2, 4),
    "heads": (3, 2, 2, 4),
    "padding of heads": (3, 1, 1, 4),
}


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32"])
@pytest.mark.parametrize("name", MASKS)
def test_masks_of_every_rank_block_where_they_are_0(name, dtype):
    tg.manual_seed(0)
    attention = exact(MultiHeadAttention(6, 2))
    query, key = tg.randn((3, 2, 6), tg.float64), tg.randn((3, 4, 6), tg.float64)
    shape, mask, full = MASKS[name], None, np.ones((3, 2, 2, 4), bool)
    if shape is not None:
        drawn = np.random.default_rng(1).random(shape) < 0.5
        mask = tg.tensor(drawn.astype(dtype))
        full = np.broadcast_to(drawn[:, None] if drawn.ndim == 3 else drawn, full.shape)
    expected = by_hand(attention, query, key, full)
    np.testing.assert_allclose(attention(query, key, key, mask).numpy(), expected, atol=1e-12)
    weights = attention.weights(query, key, mask).numpy()
    assert (weights[~full] == 0).all()
    np.testing.assert_allclose(weights.sum(3), full.any(3), atol=1e-12)


def test_as_many_positions_as_heads_do_not_make_a_mask_one_of_heads():
    attention = exact(MultiHeadAttention(6, 3))
    x = tg.randn((2, 3, 6), tg.float64)
    blocked = attention(x, x, x, causal_mask(3))[:, 0]
    alone = attention(x[:, :1], x[:, :1], x[:, :1])[:, 0]
    np.testing.assert_allclose(blocked.numpy(), alone.numpy(), atol=1e-12)


def test_a_query_that_may_attend_to_nothing_gets_0_and_no_gradient():
    attention = MultiHeadAttention(4, 2)
    x = tg.randn((1, 3, 4)).requires_grad_()
    out = attention(x, x, x, tg.zeros((1, 3, 3)))
    np.testing.assert_array_equal(out[0, 0].numpy(), attention.out_linear.bias.numpy())
    out.sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MultiHeadAttention(10, 4), "d_model 10 must be divisible by n_head 4"),
        (
            lambda: MultiHeadAttention(4, 2)(*[tg.zeros((2, 3, 4))] * 3, tg.ones((3, 4))),
            r"the mask is \(3, 4\); expected \(S,\) = \(3,\), \(L, S\) = \(3, 3\), "
            r"\(N, L, S\) = \(2, 3, 3\) or \(N, heads, L, S\) = \(2, 2, 3, 3\)$",
        ),
        (
            lambda: MultiHeadAttention(4, 2)(*[tg.zeros((2, 3, 4))] * 3, tg.ones((1, 1, 1, 1, 3))),
            r"the mask is \(1, 1, 1, 1, 3\)",
        ),
        (
            lambda: MultiHeadAttention(4, 2)(
                *[tg.zeros((2, 3, 4))] * 3, nn.Transformer.generate_square_subsequent_mask(3)
            ),
            "negative numbers",
        ),
        (
            lambda: MultiHeadAttention(4, 2)(tg.zeros((2, 3, 4)), *[tg.zeros((5, 3, 4))] * 2),
            r"got \(2, 3, 4\), \(5, 3, 4\), \(5, 3, 4\)",
        ),
        (lambda: PositionalEncoding(4, 2)(tg.zeros((1, 3, 4))), "positions 0 … 2; there are 2"),
        (lambda: PositionalEncoding(4, 2)(tg.zeros((1, 3, 5))), r"got \(1, 3, 5\)"),
        (lambda: Transformer(5, 6, tie=True, **SMALL), "tie needs one vocabulary; got 5 and 6"),
        (
            lambda: network()(tg.ones((1, 41), tg.int64), tg.ones((1, 3), tg.int64)),
            "41 tokens is longer than max_len 40",
        ),
        (lambda: network()(tg.ones((1, 4)), tg.ones((1, 3))), "integers; got float32"),
    ],
)
def test_a_mistake_is_told_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------ the network


@NORMS
def test_the_logits_of_a_network_of_sines_are_pytorchs(norm_first):
    logits = golden(norm_first)(tg.tensor(SOURCE), tg.tensor(TARGET)).numpy()
    for place, numbers in zip(PLACES, GOLDEN[norm_first], strict=True):
        np.testing.assert_allclose(logits[place], numbers, rtol=0, atol=2e-6)


@NORMS
def test_logits_do_not_depend_on_later_tokens(norm_first):
    model, src = network(norm_first), tokens(2, 6, 9)
    tgt, other = tokens(2, 7, 7, seed=1), tokens(2, 7, 7, seed=2)
    other[:, :4] = tgt[:, :4]
    logits = model(src, tgt)
    assert (logits[:, :4] == model(src, other)[:, :4]).all()
    assert (logits[:, 4:] != model(src, other)[:, 4:]).any()
    np.testing.assert_allclose(
        model(src, tgt[:, :4]).numpy(), logits[:, :4].numpy(), rtol=0, atol=1e-12
    )


@NORMS
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches_equal_single_sequences(norm_first, side):
    model = network(norm_first)
    pairs = [
        (tokens(1, n, 9, seed=n), tokens(1, m, 7, seed=m)) for n, m in ((6, 4), (2, 7), (5, 1))
    ]

    def padded(rows):
        longest = max(row.shape[1] for row in rows)
        sides = [(0, longest - row.shape[1])[:: -1 if side == "left" else 1] for row in rows]
        return tg.concat([tg.pad(r, [(0, 0), s]) for r, s in zip(rows, sides, strict=True)])

    together = model(*(padded(rows) for rows in zip(*pairs, strict=True)))
    for logits, (src, tgt) in zip(together, pairs, strict=True):
        places = slice(-tgt.shape[1], None) if side == "left" else slice(tgt.shape[1])
        alone = model(src, tgt)[0]
        np.testing.assert_allclose(logits[places].numpy(), alone.numpy(), rtol=0, atol=1e-12)


@NORMS
def test_step_by_step_gives_the_logits_of_the_full_pass(norm_first):
    model, src, tgt = network(norm_first), tokens(3, 6, 9), tokens(3, 8, 7)
    src[1, 4:] = 0
    with tg.no_grad():
        whole = model(src, tgt)
        steps = beam_search.Steps(model, src)
        parts = [tgt[:, :3], *(tgt[:, i : i + 1] for i in range(3, 8))]
        found = tg.stack([steps(part) for part in parts], axis=1)
    np.testing.assert_allclose(found.numpy(), whole[:, 2:].numpy(), rtol=0, atol=1e-12)


def test_the_loss_is_the_mean_over_the_tokens_that_are_not_padding():
    model, src, tgt = network(), tokens(2, 5, 9), tokens(2, 4, 7)
    tgt[1, 2:] = 0
    logits = F.log_softmax(model(src, tgt[:, :-1]), axis=2).numpy()
    at = [(0, 0), (0, 1), (0, 2), (1, 0)]
    parts = [-logits[n, i, int(tgt[n, i + 1])] for n, i in at]
    assert loss(model, src, tgt).item() == pytest.approx(np.mean(parts), rel=1e-12)
    uniform = [-logits[n, i].mean() for n, i in at]
    smoothed = 0.9 * np.mean(parts) + 0.1 * np.mean(uniform)
    assert loss(model, src, tgt, 0.1).item() == pytest.approx(smoothed, rel=1e-12)


def test_a_tied_network_has_one_matrix_with_all_gradients():
    model = exact(Transformer(7, 7, **SMALL, tie=True))
    matrix = model.generator.weight
    assert matrix is model.src_embed[0].lut.weight is model.tgt_embed[0].lut.weight
    src, tgt = tg.tensor([[1, 2]]), tg.tensor([[3, 4, 5]])
    loss(model, src, tgt).backward()
    assert (tg.abs(matrix.grad).sum(axis=1) > 0).all()


# ------------------------------------------------------------------------------ decoding


def log_p(model: Transformer, src: tg.Tensor, found: list[int], start: int) -> float:
    """ln p of tokens given a source (S,), teacher-forced."""
    logits = model(src[None], tg.tensor([[start, *found[:-1]]]))
    parts = F.log_softmax(logits[0], axis=1).numpy()
    return float(sum(parts[i, token] for i, token in enumerate(found)))


def best_of_all(model: Transformer, src: tg.Tensor, max_len: int, start: int, end: int):
    """The sequence with the highest ln p of all that end, or that have max_len tokens."""
    whole = np.array([*itertools.product(range(7), repeat=max_len)])
    inputs = np.insert(whole[:, :-1], 0, start, axis=1)
    logits = model(tg.tile(src[None], (len(whole), 1)), tg.tensor(inputs), tgt_mask=causal_mask(3))
    steps = F.log_softmax(logits, axis=2).numpy()
    found = {}
    for row, parts in zip(whole.tolist(), steps, strict=True):
        length = row.index(end) + 1 if end in row else max_len
        found[tuple(row[:length])] = sum(parts[i, row[i]] for i in range(length))
    return list(max(found, key=lambda sequence: found[sequence]))


def peaked(seed: int) -> Transformer:
    """A network whose likeliest sequences differ from the greedy ones."""
    tg.manual_seed(seed)
    model = exact(Transformer(9, 7, **SMALL))
    model.generator.weight.data *= 2.0
    model.generator.bias.data[2] += 2.0  # else hardly any sequence ends
    return model


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_width_1_is_greedy_decoding(seed):
    model, src = peaked(seed), tokens(3, 5, 9, seed=seed)
    rows = beam_search.greedy(model, src, 12, start=1, end=2)
    for row, source in zip(rows.tolist(), src, strict=True):
        expected = row[: row.index(2) + 1] if 2 in row else row
        (found,) = beam_search.beam_search(model, source, 12, start=1, end=2, width=1)
        assert found.tokens == expected


def test_a_sequence_that_has_ended_is_filled_with_the_end():
    model, src = peaked(3), tokens(6, 5, 9)
    rows = beam_search.greedy(model, src, 12, start=1, end=2).tolist()
    ended = [row for row in rows if 2 in row]
    assert ended
    assert all(set(row[row.index(2) :]) == {2} for row in ended)
    for row, source in zip(rows, src, strict=True):  # as alone
        alone = beam_search.greedy(model, source[None], 12, start=1, end=2)[0].tolist()
        assert row[: len(alone)] == alone


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_as_wide_as_the_tree_finds_the_likeliest_sequence(seed):
    model, src = peaked(seed), tokens(1, 5, 9, seed=seed)[0]
    with tg.no_grad():
        expected = best_of_all(model, src, 3, start=1, end=2)
        found = beam_search.beam_search(model, src, 3, start=1, end=2, width=7**3, alpha=0)
    assert found[0].tokens == expected


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_the_score_is_the_teacher_forced_probability_over_the_length_penalty(alpha):
    model, src = peaked(3), tokens(1, 5, 9)[0]
    found = beam_search.beam_search(model, src, 6, start=1, end=2, width=4, alpha=alpha)
    assert len(found) == 4
    assert len({len(each.tokens) for each in found}) > 1
    for each in found:
        expected = log_p(model, src, each.tokens, start=1)
        assert each.log_p == pytest.approx(expected, rel=1e-12)
        penalty = ((5 + len(each.tokens)) / 6) ** alpha
        assert each.score == pytest.approx(expected / penalty, rel=1e-12)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)


def test_a_beam_finds_likelier_sequences_than_greedy_decoding():
    gains = []
    for seed in range(8):
        model, src = peaked(seed), tokens(1, 5, 9, seed=seed)[0]
        narrow, wide = (
            beam_search.beam_search(model, src, 8, start=1, end=2, width=width, alpha=0)[0].log_p
            for width in (1, 16)
        )
        gains.append(wide - narrow)
    assert min(gains) > -1e-9
    assert max(gains) > 0.1


@pytest.mark.parametrize(("width", "alpha"), [(0, 0.6), (2, -1.0), (2, math.nan)])
def test_a_beam_refuses_sizes_that_make_no_sense(width, alpha):
    with pytest.raises(ValueError, match="beam_search: expected width ≥ 1 and alpha ≥ 0"):
        beam_search.beam_search(network(), tokens(1, 3, 9)[0], 5, 1, 2, width, alpha)


def test_masks_of_padding_and_of_the_future():
    assert padding_mask(tg.tensor([[3, 0], [4, 5]])).tolist() == [[[True, False]], [[True, True]]]
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True] * 3]


# ------------------------------------------------------------------------------ the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a model that copies two letters, trained for a moment."""
    folder = tmp_path_factory.mktemp("run")
    sizes = {"symbols": 3, "length": 2, "d_model": 16, "n_head": 2, "hidden_dim": 16}
    config = transformer.Config(task="copy", num_layers=1, pairs=640, epochs=1, **sizes)
    with Run(folder, config) as run:
        transformer.train(config, run)
    return folder


def test_the_pictures_are_in_the_folder_of_the_run(trained):
    names = {"encoder.png", "decoder.png", "memory.png", "learning.png"}
    assert names <= {path.name for path in trained.iterdir()}


def test_a_text_is_translated_on_the_command_line(trained, capsys):
    assert cli.main(["sample", "transformer", "--out", str(trained), "--prompt", "AB"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    text, arrow, translation = line.partition(" → ")
    assert (text, arrow) == ("AB", " → ")
    assert translation == transformer.restore(trained).translate(["ab"], width=4)[0]


def test_texts_are_drawn_where_there_is_no_prompt(trained, capsys):
    words = ["sample", "transformer", "--out", str(trained), "--count", "3", "--width", "1"]
    lines = []
    for seed in ("0", "0", "1"):
        assert cli.main([*words, "--seed", seed]) == 0
        lines.append(capsys.readouterr().out.splitlines())
    assert [len(each) for each in lines] == [3, 3, 3]
    assert lines[0] == lines[1] != lines[2]
    assert all(re.match("[abc]{2} → ", line) for each in lines for line in each)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prompt", "a?"], "'a?' contains '?'; the model knows the characters 'abc'"),
        (["--prompt", "abc"], "'abc' has 3 characters; the model was trained on texts of 2"),
        (["--width", "0"], "the width is 0; expected at least 1"),
        (["--temperature", "1"], "unrecognized arguments: --temperature 1"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused_in_one_line(trained, capsys, flags, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(["sample", "transformer", "--out", str(trained), *flags])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_the_share_of_exact_translations_is_judged(trained, capsys):
    assert cli.main(["judge", "transformer", "--out", str(trained)]) == 0
    line = capsys.readouterr().out
    share = re.match(r"(\d+\.\d)% of 1,000 held-out sequences are exact$", line)
    model = transformer.restore(trained)
    pairs = sequence_pairs.held_out(model.task, 1000)
    right = [model.translate([pair.source])[0] == pair.target for pair in pairs[:20]]
    assert share
    assert float(share[1]) == pytest.approx(100 * np.mean(right), abs=35)


def test_a_number_of_heads_that_does_not_divide_the_width_is_refused(capsys):
    assert cli.main(["train", "transformer", "--d-model", "10", "--n-head", "4"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "n_head 4 does not divide d_model 10" in line


# ------------------------------------------------------------------------------ the attention


def drawn(weights: tg.Tensor) -> list[int]:
    """The key that each query attends to most."""
    return tg.argmax(weights, axis=-1).tolist()


def test_heads_that_compare_positions_show_the_diagonal_and_the_anti_diagonal():
    attention = exact(MultiHeadAttention(16, 1))
    for linear in (attention.wq, attention.wk):
        linear.weight.data[...] = 3 * tg.eye(16)
        linear.bias.data[...] = 0.0
    code = PositionalEncoding(16, 6)(tg.zeros((1, 6, 16)))
    assert drawn(attention.weights(code, code)[0, 0]) == [0, 1, 2, 3, 4, 5]
    assert drawn(attention.weights(tg.flip(code, axis=1), code)[0, 0]) == [5, 4, 3, 2, 1, 0]


def test_the_attention_of_a_pair_is_that_of_the_forward_pass():
    config = transformer.Config(task="dates", d_model=16, n_head=2, num_layers=3)
    model = transformer.build(config)
    found = gallery.attention(model, sequence_pairs.Pair("4 may 1999", "1999-05-04"))
    shapes = {"encoder": (3, 2, 12, 12), "decoder": (3, 2, 11, 11), "memory": (3, 2, 11, 12)}
    assert {name: weights.shape for name, weights in found.items()} == shapes
    for weights in found.values():
        np.testing.assert_allclose(weights.sum(axis=3).numpy(), 1, atol=1e-6)
    later = np.triu(np.ones((11, 11), bool), 1)
    assert (found["decoder"].numpy()[:, :, later] == 0).all()
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    sheet = gallery.panels(found["memory"], "x" * 11, "y" * 12)
    assert sheet.width > 2 * 12 * gallery.CELL
    assert sheet.height > 3 * 11 * gallery.CELL
