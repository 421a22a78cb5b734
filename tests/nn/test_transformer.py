"""The Transformer's layers and stacks against their equations in plain NumPy."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import nn

rng = np.random.default_rng(0)
erf = np.vectorize(math.erf)


def normal(*shape: int) -> Any:
    return rng.normal(size=shape)


def stirred(module: Any) -> Any:
    """The module with other weights than it started from, so that every bias counts."""
    tg.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += tg.randn(parameter.shape, dtype=parameter.dtype) * 0.3
    return module


def encoder_layer(**options: Any) -> Any:
    settings = {"dim_feedforward": 7, "dropout": 0.0, "dtype": tg.float64, **options}
    return stirred(nn.TransformerEncoderLayer(6, 3, **settings))


def decoder_layer(**options: Any) -> Any:
    settings = {"dim_feedforward": 7, "dropout": 0.0, "dtype": tg.float64, **options}
    return stirred(nn.TransformerDecoderLayer(6, 3, **settings))


# ------------------------------------------------------------------ the equations, on (L, E) alone


def attention(layer: Any, x: Any, memory: Any, causal: bool = False) -> Any:
    width, count = layer.embed_dim, layer.num_heads
    w, b = layer.in_proj_weight.numpy(), layer.in_proj_bias.numpy()
    q, k, v = (
        y @ w[i * width : (i + 1) * width].T + b[i * width : (i + 1) * width]
        for i, y in enumerate((x, memory, memory))
    )
    heads = []
    for part in np.split(np.arange(width), count):
        powers = np.exp(q[:, part] @ k[:, part].T / math.sqrt(width // count))
        powers = np.tril(powers) if causal else powers
        heads.append(powers / powers.sum(axis=1, keepdims=True) @ v[:, part])
    out = layer.out_proj
    return np.concatenate(heads, axis=1) @ out.weight.numpy().T + out.bias.numpy()


def norm(layer: Any, x: Any) -> Any:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + layer.eps)
    return scaled * layer.weight.numpy() + layer.bias.numpy()


def perceptron(layer: Any, x: Any, activation: Any) -> Any:
    hidden = activation(x @ layer.linear1.weight.numpy().T + layer.linear1.bias.numpy())
    return hidden @ layer.linear2.weight.numpy().T + layer.linear2.bias.numpy()


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def gelu(x: Any) -> Any:
    return x * (1 + erf(x / math.sqrt(2))) / 2


FUNCTIONS: list[tuple[Any, Any]] = [("relu", relu), ("gelu", gelu), (tg.tanh, np.tanh)]


@pytest.mark.parametrize(("activation", "function"), FUNCTIONS)
def test_an_encoder_layer_is_attention_and_perceptron_with_norms_behind_or_before(
    activation: Any, function: Any
) -> None:
    x = normal(4, 6)
    post = encoder_layer(activation=activation, layer_norm_eps=0.1)
    y = norm(post.norm1, x + attention(post.self_attn, x, x))
    wanted = norm(post.norm2, y + perceptron(post, y, function))
    np.testing.assert_allclose(post(tg.tensor(x)).numpy(), wanted, rtol=1e-10, atol=1e-12)
    pre = encoder_layer(activation=activation, norm_first=True)
    z = norm(pre.norm1, x)
    y = x + attention(pre.self_attn, z, z)
    wanted = y + perceptron(pre, norm(pre.norm2, y), function)
    np.testing.assert_allclose(pre(tg.tensor(x)).numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("activation", "function"), FUNCTIONS)
def test_a_decoder_layer_looks_up_the_memory_in_between(activation: Any, function: Any) -> None:
    x, memory = normal(4, 6), normal(5, 6)
    post = decoder_layer(activation=activation)
    y = norm(post.norm1, x + attention(post.self_attn, x, x, causal=True))
    y = norm(post.norm2, y + attention(post.multihead_attn, y, memory))
    wanted = norm(post.norm3, y + perceptron(post, y, function))
    out = post(tg.tensor(x), tg.tensor(memory), tgt_is_causal=True)
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-10, atol=1e-12)
    pre = decoder_layer(activation=activation, norm_first=True)
    z = norm(pre.norm1, x)
    y = x + attention(pre.self_attn, z, z, causal=True)
    y = y + attention(pre.multihead_attn, norm(pre.norm2, y), memory)
    wanted = y + perceptron(pre, norm(pre.norm3, y), function)
    out = pre(tg.tensor(x), tg.tensor(memory), tgt_is_causal=True)
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
def test_gradients_are_the_central_differences(norm_first: bool) -> None:
    layer = decoder_layer(norm_first=norm_first, activation="gelu")
    x, memory = (tg.tensor(normal(n, 2, 6), requires_grad=True) for n in (3, 4))
    tg.testing.gradcheck(lambda *t: layer(*t[:2], tgt_is_causal=True), [x, memory])
    first = encoder_layer(norm_first=norm_first, activation="gelu")
    tg.testing.gradcheck(lambda y, *_: first(y), [x, first.linear1.weight, first.norm1.weight])


def test_a_stack_applies_its_copies_and_then_its_norm() -> None:
    layer = encoder_layer()
    stack = nn.TransformerEncoder(layer, 3, nn.LayerNorm(6, dtype=tg.float64))
    x = tg.tensor(normal(4, 2, 6))
    np.testing.assert_array_equal(stack(x).numpy(), stack.norm(layer(layer(layer(x)))).numpy())
    own = {id(p) for p in stack.parameters()}
    assert own.isdisjoint(map(id, layer.parameters()))
    assert len(own) == 3 * len(list(layer.parameters())) + 2
    decoder = nn.TransformerDecoder(decoder_layer(), 2)
    assert decoder.norm is None
    y, one = tg.tensor(normal(3, 2, 6)), decoder.layers[0]
    np.testing.assert_array_equal(decoder(y, x).numpy(), one(one(y, x), x).numpy())


# ------------------------------------------------------------------------------- masks


def test_nothing_later_and_nothing_padded_has_any_influence() -> None:
    stack = nn.TransformerEncoder(encoder_layer(), 2)
    x = normal(5, 2, 6)
    padding = np.zeros((2, 5), bool)
    padding[1, 0] = True
    out = stack(x, src_key_padding_mask=padding, is_causal=True).numpy()
    x[3:] = normal(2, 2, 6)
    x[0, 1] = normal(6)
    other = stack(x, src_key_padding_mask=padding, is_causal=True).numpy()
    np.testing.assert_array_equal(other[:3, 0], out[:3, 0])
    np.testing.assert_array_equal(other[1:3, 1], out[1:3, 1])
    assert np.abs(other - out)[3:].min() > 1e-6


def test_the_flag_of_causality_is_the_mask_of_later_positions() -> None:
    model = whole()
    src, tgt = normal(5, 2, 6), normal(4, 2, 6)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    by_mask = model(src, tgt, tgt_mask=mask).numpy()
    by_flag = model(src, tgt, tgt_is_causal=True).numpy()
    np.testing.assert_allclose(by_flag, by_mask, rtol=1e-12)
    both = model(src, tgt, tgt_mask=mask, tgt_is_causal=True).numpy()
    np.testing.assert_allclose(both, by_mask, rtol=1e-12)


def test_memory_that_is_padded_has_no_influence() -> None:
    model = whole()
    src, tgt = normal(5, 2, 6), normal(4, 2, 6)
    padding = np.zeros((2, 5), bool)
    padding[0, 3:] = True
    masks = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    out = model(src, tgt, **masks).numpy()
    alone = model(src[:3, :1], tgt[:, :1]).numpy()
    np.testing.assert_allclose(out[:, :1], alone, rtol=1e-11)


def test_a_sequence_of_padding_only_stays_finite() -> None:
    layer, x = encoder_layer(), tg.tensor(normal(3, 2, 6), requires_grad=True)
    padding = np.array([[True] * 3, [False] * 3])
    out = layer(x, src_key_padding_mask=padding)
    (out * normal(3, 2, 6)).sum().backward()
    assert np.isfinite(out.numpy()).all()
    assert all(np.isfinite(t.grad.numpy()).all() for t in (x, *layer.parameters()))


# ------------------------------------------------------------------------------- step by step


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_decoder_only_stack_with_caches_equals_the_full_pass(
    norm_first: bool, batch_first: bool
) -> None:
    layer = encoder_layer(norm_first=norm_first, batch_first=batch_first)
    stack = nn.TransformerEncoder(layer, 3, nn.LayerNorm(6, dtype=tg.float64))
    stirred(stack)
    x, axis = tg.tensor(normal(2, 6, 6) if batch_first else normal(6, 2, 6)), int(batch_first)
    full = stack(x, is_causal=True)
    for cuts in ([1, 2, 3, 4, 5], [4]):  # one by one; a prompt at once, then the rest
        pieces = x.split(cuts, axis)
        caches = [nn.KeyValueCache() for _ in stack.layers]
        with tg.no_grad():
            steps = [stack(piece, is_causal=True, caches=caches) for piece in pieces]
        together = tg.concat(steps, axis=axis).numpy()
        np.testing.assert_allclose(together, full.numpy(), rtol=1e-10, atol=1e-12)


def test_a_decoder_with_caches_equals_the_full_pass() -> None:
    stack = stirred(nn.TransformerDecoder(decoder_layer(), 2))
    x, memory = tg.tensor(normal(5, 2, 6)), tg.tensor(normal(4, 2, 6))
    full = stack(x, memory, tgt_is_causal=True)
    caches = [nn.KeyValueCache() for _ in stack.layers]
    with tg.no_grad():
        steps = [stack(x[t : t + 1], memory, tgt_is_causal=True, caches=caches) for t in range(5)]
    np.testing.assert_allclose(tg.concat(steps).numpy(), full.numpy(), rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------------------- the whole


def whole(**options: Any) -> Any:
    settings = {"dropout": 0.0, "dtype": tg.float64, **options}
    return stirred(nn.Transformer(6, 3, 2, 2, 7, **settings))


def test_the_base_model_has_44_140_544_parameters() -> None:
    """The body of Vaswani et al.'s, 44,138,496, and PyTorch's two final layer norms."""
    with nn.no_init():
        assert sum(parameter.size for parameter in nn.Transformer().parameters()) == 44_140_544


def test_every_matrix_starts_glorot_uniform() -> None:
    tg.manual_seed(0)
    model = nn.Transformer(32, 4, 1, 1, 64)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            bound = math.sqrt(6 / sum(parameter.shape))
            assert 0.98 * bound < np.abs(parameter.numpy()).max() <= bound, name


def test_layers_of_a_whole_start_from_different_weights() -> None:
    first, second = nn.Transformer(8, 2, 2, 2, 8).encoder.layers
    assert (first.linear1.weight.numpy() != second.linear1.weight.numpy()).all()


def test_encoder_and_decoder_may_be_ones_own() -> None:
    encoder = nn.TransformerEncoder(encoder_layer(), 1)
    model = whole(custom_encoder=encoder)
    assert model.encoder is encoder
    assert model.decoder.norm is not None


def test_the_causal_mask_is_minus_infinity_above_the_diagonal() -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(3, dtype=tg.float64)
    assert mask.tolist() == [[0, -math.inf, -math.inf], [0, 0, -math.inf], [0, 0, 0]]
    assert mask.dtype == tg.float64


def test_without_bias_there_is_none_anywhere() -> None:
    names = nn.Transformer(6, 3, 1, 1, 7, bias=False).state_dict()
    assert not [name for name in names if "bias" in name]


def test_training_draws_from_the_default_generator() -> None:
    model, x = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 3, 7), 2), tg.ones((3, 2, 6))
    outs = []
    for seed in (1, 1, 2):
        tg.manual_seed(seed)
        outs.append(model(x).numpy())
    np.testing.assert_array_equal(outs[0], outs[1])
    assert (outs[0] != outs[2]).any()
    model.eval()
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())


def test_dropout_of_one_leaves_the_input_alone() -> None:
    layer, x = encoder_layer(dropout=1.0, norm_first=True), tg.tensor(normal(3, 2, 6))
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy())


def test_a_copy_computes_the_same_by_itself() -> None:
    model = whole()
    src, tgt = normal(3, 1, 6), normal(2, 1, 6)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin(src, tgt).numpy(), model(src, tgt).numpy())


def test_a_checkpointed_layer_has_the_same_gradients_dropout_included() -> None:
    layer, x = encoder_layer(dropout=0.3), tg.tensor(normal(3, 2, 6), requires_grad=True)
    gradients = []
    for run in (layer, lambda y: tg.checkpoint(layer, y)):
        tg.manual_seed(0)
        gradients.append(tg.grad(run(x).square().sum(), [x, *layer.parameters()]))
    for plain, again in zip(*gradients, strict=True):
        np.testing.assert_allclose(again.numpy(), plain.numpy(), rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------------------- mistakes

MISTAKES: list[tuple[Any, str]] = [
    (lambda: nn.TransformerEncoderLayer(6, 4), "embed_dim 6 must be divisible by num_heads 4"),
    (
        lambda: nn.TransformerDecoderLayer(6, 3, activation="swish"),
        'TransformerDecoderLayer: activation is \'swish\'; expected "relu", "gelu" or a function',
    ),
    (
        lambda: nn.TransformerEncoder(encoder_layer(), 2)(
            tg.ones((3, 1, 6)), caches=[nn.KeyValueCache()]
        ),
        "TransformerEncoder: expected one cache per layer, 2; got 1",
    ),
    (lambda: whole()(tg.ones((3, 2, 6)), tg.ones((4, 1, 6))), "N is 1 and 2"),
    (lambda: whole()(tg.ones((3, 2, 5)), tg.ones((4, 2, 6))), r"\(3, 2, 5\).* 6"),
    (lambda: encoder_layer()(tg.ones((3, 2, 6)), tg.zeros((2, 2))), r"attn_mask is \(2, 2\)"),
]


@pytest.mark.parametrize(("call", "words"), MISTAKES)
def test_mistakes_are_named(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
