"""MultiheadAttention against its definition, written out one query at a time in plain NumPy."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import nn

rng = np.random.default_rng(0)


def stirred(*arguments: Any, **options: Any) -> Any:
    """An attention layer in float64 whose biases are not 0."""
    tg.manual_seed(0)
    layer = nn.MultiheadAttention(*arguments, **options, dtype=tg.float64)
    for parameter in layer.parameters():
        parameter.data += tg.randn(parameter.shape, dtype=tg.float64) * 0.3
    return layer


def normal(*shape: int) -> Any:
    return rng.normal(size=shape)


def by_hand(layer: Any, query: Any, key: Any, value: Any, may: Any) -> tuple[Any, Any]:
    """Output (L, N, E) and weights (N, h, L, S); may(n, head, i, j): may query i attend to key j?

    Three loops and a softmax, straight from Vaswani et al. 2017, section 3.2.
    """
    width, count = layer.embed_dim, layer.num_heads
    w, b = layer.in_proj_weight.numpy(), layer.in_proj_bias.numpy()
    q, k, v = (
        x @ w[i * width : (i + 1) * width].T + b[i * width : (i + 1) * width]
        for i, x in enumerate((query, key, value))
    )
    size = width // count
    (rows, batch), columns = query.shape[:2], key.shape[0]
    heads, weights = np.zeros(query.shape), np.zeros((batch, count, rows, columns))
    for n in range(batch):
        for head in range(count):
            part = slice(head * size, (head + 1) * size)
            for i in range(rows):
                allowed = [j for j in range(columns) if may(n, head, i, j)]
                scores = [q[i, n, part] @ k[j, n, part] / math.sqrt(size) for j in allowed]
                total = sum(map(math.exp, scores))
                for j, score in zip(allowed, scores, strict=True):
                    weights[n, head, i, j] = math.exp(score) / total
                    heads[i, n, part] += weights[n, head, i, j] * v[j, n, part]
    return heads @ layer.out_proj.weight.numpy().T + layer.out_proj.bias.numpy(), weights


def anything(*place: int) -> bool:
    return True


def check(layer: Any, inputs: Any, may: Any, **options: Any) -> None:
    """With weights and without, output and weights are those by hand."""
    wanted, weights = by_hand(layer, *inputs, may)
    tensors = [tg.tensor(x) for x in inputs]
    out, given = layer(*tensors, average_attn_weights=False, **options)
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(given.numpy(), weights, rtol=1e-11, atol=1e-13)
    fused, nothing = layer(*tensors, need_weights=False, **options)
    np.testing.assert_allclose(fused.numpy(), wanted, rtol=1e-11, atol=1e-13)
    assert nothing is None
    _, mean = layer(*tensors, **options)
    np.testing.assert_allclose(mean.numpy(), weights.mean(1), rtol=1e-11, atol=1e-13)


# ------------------------------------------------------------------------------- what it attends to


def test_cross_attention_reads_a_sequence_of_another_length() -> None:
    for rows, columns in ((3, 5), (5, 3), (1, 4), (4, 1)):
        inputs = normal(rows, 2, 6), normal(columns, 2, 6), normal(columns, 2, 6)
        check(stirred(6, 3), inputs, anything)


def test_self_attention_and_memory_attention_project_together_what_is_one_tensor() -> None:
    layer, x, memory = stirred(6, 3), tg.tensor(normal(4, 2, 6)), tg.tensor(normal(5, 2, 6))
    together, apart = layer(x, x, x)[0], layer(x, x.copy(), x.copy())[0]
    np.testing.assert_allclose(together.numpy(), apart.numpy(), rtol=1e-12)
    together, apart = layer(x, memory, memory)[0], layer(x, memory, memory.copy())[0]
    np.testing.assert_allclose(together.numpy(), apart.numpy(), rtol=1e-12)


def test_true_in_a_mask_of_pairs_means_blocked() -> None:
    blocked = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 0]], bool)
    inputs = normal(3, 2, 4), normal(4, 2, 4), normal(4, 2, 4)
    layer = stirred(4, 2)
    check(layer, inputs, lambda n, h, i, j: not blocked[i, j], attn_mask=tg.tensor(blocked))
    check(layer, inputs, lambda n, h, i, j: not blocked[i, j], attn_mask=blocked.tolist())
    added = np.where(blocked, -np.inf, 0.0)
    check(layer, inputs, lambda n, h, i, j: not blocked[i, j], attn_mask=tg.tensor(added))


def test_the_polarity_is_the_opposite_of_the_functions() -> None:
    layer, x = stirred(4, 1), tg.tensor(normal(3, 1, 4))
    blocked = tg.tensor(np.triu(np.ones((3, 3), bool), 1))
    q, k, v = (
        part[:, 0] for part in F.linear(x, layer.in_proj_weight, layer.in_proj_bias).split(3, -1)
    )
    head = F.scaled_dot_product_attention(q, k, v, ~blocked)
    out = layer(x, x, x, attn_mask=blocked)[0][:, 0]
    np.testing.assert_allclose(out.numpy(), layer.out_proj(head).numpy(), rtol=1e-12)


def test_padding_is_blocked_for_every_query_of_its_sample() -> None:
    padding = np.array([[False, False, True, True], [True, False, False, False]])
    inputs = normal(3, 2, 4), normal(4, 2, 4), normal(4, 2, 4)
    check(
        stirred(4, 2),
        inputs,
        lambda n, h, i, j: not padding[n, j],
        key_padding_mask=tg.tensor(padding),
    )


def test_a_mask_per_head_blocks_in_that_head_of_that_sample() -> None:
    blocked = rng.random((2 * 3, 3, 5)) < 0.4
    inputs = normal(3, 2, 6), normal(5, 2, 6), normal(5, 2, 6)
    check(
        stirred(6, 3),
        inputs,
        lambda n, h, i, j: not blocked[n * 3 + h, i, j],
        attn_mask=tg.tensor(blocked),
    )


def test_a_square_mask_as_long_as_there_are_heads_is_a_mask_of_pairs() -> None:
    """L = S = heads = N: only its rank can say what a mask is."""
    blocked = np.array([[0, 1, 1], [0, 0, 1], [1, 0, 0]], bool)
    inputs = normal(3, 3, 6), normal(3, 3, 6), normal(3, 3, 6)
    layer = stirred(6, 3)
    check(layer, inputs, lambda n, h, i, j: not blocked[i, j], attn_mask=tg.tensor(blocked))
    check(layer, inputs, lambda n, h, i, j: not blocked[n, j], key_padding_mask=tg.tensor(blocked))


def test_causal_attention_sees_nothing_later() -> None:
    inputs = (normal(4, 2, 6),) * 3
    layer = stirred(6, 3)
    check(layer, inputs, lambda n, h, i, j: j <= i, is_causal=True)
    later = np.triu(np.ones((4, 4), bool), 1)
    check(layer, inputs, lambda n, h, i, j: j <= i, attn_mask=tg.tensor(later), is_causal=True)


def test_masks_of_several_kinds_all_block() -> None:
    blocked, padding = rng.random((4, 4)) < 0.3, np.array([[0, 0, 1, 0], [0, 1, 0, 0]], bool)
    check(
        stirred(6, 3),
        (normal(4, 2, 6),) * 3,
        lambda n, h, i, j: j <= i and not blocked[i, j] and not padding[n, j],
        attn_mask=tg.tensor(blocked),
        key_padding_mask=tg.tensor(padding),
        is_causal=True,
    )


def test_numbers_in_a_mask_are_added_and_can_be_learned() -> None:
    layer, x = stirred(4, 2), tg.tensor(normal(3, 2, 4))
    bias = tg.tensor(normal(3, 3), requires_grad=True)
    tg.testing.gradcheck(lambda b: layer(x, x, x, attn_mask=b, need_weights=False)[0], [bias])
    tg.testing.gradcheck(lambda b: layer(x, x, x, attn_mask=b)[0], [bias])


# ------------------------------------------------------------------------------- empty rows


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("kind", ["pairs", "padding"])
def test_a_query_that_may_attend_to_nothing_gets_0_and_zero_gradient(
    need_weights: bool, kind: str
) -> None:
    layer = stirred(4, 2)
    x = tg.tensor(normal(3, 2, 4), requires_grad=True)
    memory = tg.tensor(normal(5, 2, 4), requires_grad=True)
    pairs, padding = np.zeros((3, 5), bool), np.zeros((2, 5), bool)
    pairs[1], padding[1] = True, True
    empty = (1, slice(None)) if kind == "pairs" else (slice(None), 1)
    masks: Any = {"attn_mask": pairs} if kind == "pairs" else {"key_padding_mask": padding}
    out, weights = layer(x, memory, memory, need_weights=need_weights, **masks)
    bias = layer.out_proj.bias.numpy()  # nothing comes from the heads
    np.testing.assert_array_equal(
        out.numpy()[empty], np.broadcast_to(bias, out.numpy()[empty].shape)
    )
    (out * normal(*out.shape)).sum().backward()
    for tensor in (x, memory, *layer.parameters()):
        assert np.isfinite(tensor.grad.numpy()).all()
    assert not x.grad.numpy()[empty].any()
    if kind == "padding":
        assert not memory.grad.numpy()[:, 1].any()
    if need_weights:
        assert not weights.numpy()[(slice(None), 1) if kind == "pairs" else 1].any()


def test_where_there_is_nothing_to_attend_to_every_query_gets_0() -> None:
    layer, x = stirred(4, 2), tg.tensor(normal(3, 2, 4))
    for need_weights in (True, False):
        out, weights = layer(x, x[:0], x[:0], need_weights=need_weights)
        wanted = np.broadcast_to(layer.out_proj.bias.numpy(), (3, 2, 4))
        np.testing.assert_array_equal(out.numpy(), wanted)
        assert weights is None or weights.shape == (2, 3, 0)
        assert layer(x[:0], x, x, need_weights=need_weights)[0].shape == (0, 2, 4)
        assert layer(x[:, :0], x[:, :0], x[:, :0], need_weights=need_weights)[0].shape == (3, 0, 4)


# ------------------------------------------------------------------------------- gradients, layouts


@pytest.mark.parametrize("need_weights", [True, False])
def test_gradients_are_the_central_differences(need_weights: bool) -> None:
    layer = stirred(4, 2, add_bias_kv=True, add_zero_attn=True)
    q, k, v = (tg.tensor(normal(n, 2, 4), requires_grad=True) for n in (3, 4, 4))
    blocked = tg.tensor(rng.random((3, 4)) < 0.3)

    def attend(*inputs: Any) -> Any:
        return layer(*inputs[:3], attn_mask=blocked, need_weights=need_weights)[0]

    tg.testing.gradcheck(attend, [q, k, v, *layer.parameters()])


@pytest.mark.parametrize("options", [{}, {"kdim": 5, "vdim": 2}, {"add_bias_kv": True}])
def test_the_batch_may_come_first_or_be_left_out(options: Any) -> None:
    layer = stirred(4, 2, **options)
    first = stirred(4, 2, **options, batch_first=True)
    first.load_state_dict(layer.state_dict())
    q, k, v = normal(3, 2, 4), normal(5, 2, layer.kdim), normal(5, 2, layer.vdim)
    blocked, padding = rng.random((3, 5)) < 0.3, rng.random((2, 5)) < 0.3
    out, weights = layer(q, k, v, key_padding_mask=padding, attn_mask=blocked)
    turned = (x.swapaxes(0, 1) for x in (q, k, v))
    other, others = first(*turned, key_padding_mask=padding, attn_mask=blocked)
    np.testing.assert_allclose(other.numpy().swapaxes(0, 1), out.numpy(), rtol=1e-12)
    np.testing.assert_allclose(others.numpy(), weights.numpy(), rtol=1e-12)
    for one in (layer, first):
        single, its = one(q[:, 1], k[:, 1], v[:, 1], key_padding_mask=padding[1], attn_mask=blocked)
        np.testing.assert_allclose(single.numpy(), out.numpy()[:, 1], rtol=1e-12)
        np.testing.assert_allclose(its.numpy(), weights.numpy()[1], rtol=1e-12)


def test_a_learned_and_a_zero_key_are_attended_to_whatever_is_blocked() -> None:
    layer = stirred(4, 2, add_bias_kv=True, add_zero_attn=True)
    x = tg.tensor(normal(3, 2, 4))
    _, weights = layer(x, x, x, attn_mask=np.ones((3, 3), bool), average_attn_weights=False)
    assert weights.shape == (2, 2, 3, 5)
    assert not weights.numpy()[..., :3].any()
    q = x.numpy() @ layer.in_proj_weight.numpy()[:4].T + layer.in_proj_bias.numpy()[:4]
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        score = np.exp(q[..., part] @ layer.bias_k.numpy()[0, 0, part] / math.sqrt(2))
        share = score / (score + 1)  # the key of zeros scores 0
        np.testing.assert_allclose(weights.numpy()[:, head, :, 3], share.T, rtol=1e-12)
    causal = layer(x, x, x, is_causal=True, average_attn_weights=False)[1].numpy()
    assert causal[..., 3:].all()
    assert not causal[..., 0, 1:3].any()


def test_float32_stays_float32_under_every_mask() -> None:
    layer, x = nn.MultiheadAttention(4, 2), tg.ones((3, 2, 4))
    for mask in (None, np.zeros((3, 3), bool), np.zeros((3, 3)), tg.zeros((4, 3, 3))):
        for need_weights in (True, False):
            out, weights = layer(x, x, x, attn_mask=mask, need_weights=need_weights)
            assert out.dtype == tg.float32
            assert weights is None or weights.dtype == tg.float32


# ------------------------------------------------------------------------------- dropout


def test_dropout_zeroes_weights_and_keeps_their_expectation() -> None:
    q, k = tg.zeros((1, 4)), tg.zeros((1000, 4))
    tg.manual_seed(0)
    value = tg.ones((1000, 1), dtype=tg.float64)
    outs = [F.scaled_dot_product_attention(q, k, value, None, 0.25).item() for _ in range(20)]
    assert len(set(outs)) > 10
    error = math.sqrt(0.25 / 0.75 / 20000)  # of a mean of 20,000 draws of 0 or 4/3
    assert abs(np.mean(outs) - 1) < 4 * error
    assert F.scaled_dot_product_attention(q, k, value, dropout_p=1.0).item() == 0.0


def test_dropped_weights_are_the_ones_returned() -> None:
    layer = stirred(4, 2, dropout=0.5)
    x = tg.tensor(normal(6, 2, 4))
    tg.manual_seed(1)
    _, dropped = layer(x, x, x, average_attn_weights=False)
    _, whole = layer.eval()(x, x, x, average_attn_weights=False)
    kept = dropped.numpy() != 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_allclose(dropped.numpy()[kept], 2 * whole.numpy()[kept], rtol=1e-12)


def test_the_weights_of_the_fast_way_are_dropped_by_the_same_draws() -> None:
    layer, x = stirred(4, 2, dropout=0.5), tg.tensor(normal(6, 2, 4))
    results = []
    for need_weights in (True, False, False):
        tg.manual_seed(1)
        results.append(layer(x, x, x, need_weights=need_weights)[0].numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)
    np.testing.assert_array_equal(results[1], results[2])  # so a resumed run repeats itself
    evaluated = layer.eval()(x, x, x)[0].numpy()
    np.testing.assert_array_equal(evaluated, layer(x, x, x)[0].numpy())
    assert np.abs(evaluated - results[0]).max() > 1e-3


@pytest.mark.parametrize("need_weights", [True, False])
def test_gradients_under_dropout_are_the_central_differences(need_weights: bool) -> None:
    layer = stirred(4, 2, dropout=0.5)
    x = tg.tensor(normal(3, 2, 4), requires_grad=True)

    def attend(x: Any, *_: Any) -> Any:
        tg.manual_seed(1)
        return layer(x, x, x, is_causal=True, need_weights=need_weights)[0]

    tg.testing.gradcheck(attend, [x, *layer.parameters()])


# ------------------------------------------------------------------------------- the cache


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"add_bias_kv": True}])
def test_step_by_step_with_a_cache_equals_the_full_pass(options: Any, need_weights: bool) -> None:
    layer = stirred(6, 3, **options)
    axis = 1 if layer.batch_first else 0
    x = tg.tensor(normal(2, 7, 6) if layer.batch_first else normal(7, 2, 6))
    full, weights = layer(x, x, x, is_causal=True, need_weights=need_weights)
    for cuts in ([1, 2, 3, 4, 5, 6], [3, 4], [5], []):  # one by one, or in pieces
        cache, outs = nn.KeyValueCache(), []
        with tg.no_grad():
            for piece in x.split(cuts, axis):
                out, last = layer(
                    piece, piece, piece, is_causal=True, need_weights=need_weights, cache=cache
                )
                outs.append(out)
        assert len(cache) == 7
        together = tg.concat(outs, axis=axis).numpy()
        np.testing.assert_allclose(together, full.numpy(), rtol=1e-11, atol=1e-13)
        if need_weights:
            rows = last.shape[1]
            np.testing.assert_allclose(last.numpy(), weights.numpy()[:, -rows:], rtol=1e-11)


def test_masks_of_a_step_count_the_cached_positions() -> None:
    """Samples of unequal length, padded on the left, decoded together."""
    layer, x = stirred(6, 3), tg.tensor(normal(5, 2, 6))
    padding = np.array([[False] * 5, [True, True, False, False, False]])
    blocked = rng.random((5, 5)) < 0.2
    full = layer(x, x, x, key_padding_mask=padding, attn_mask=blocked, is_causal=True)[0]
    cache = nn.KeyValueCache()
    with tg.no_grad():
        for t in range(5):
            out, _ = layer(
                *(x[t : t + 1],) * 3,
                key_padding_mask=padding[:, : t + 1],
                attn_mask=blocked[t : t + 1, : t + 1],
                is_causal=True,
                cache=cache,
            )
            np.testing.assert_allclose(out.numpy()[0], full.numpy()[t], rtol=1e-11, atol=1e-13)


def test_a_cleared_cache_begins_again() -> None:
    layer, x = stirred(4, 2), tg.tensor(normal(1, 1, 4))
    cache = nn.KeyValueCache()
    with tg.no_grad():
        first = layer(x, x, x, cache=cache)[0]
        layer(x, x, x, cache=cache)
        cache.clear()
        assert len(cache) == 0
        np.testing.assert_array_equal(layer(x, x, x, cache=cache)[0].numpy(), first.numpy())


def test_what_a_cache_gave_stays_when_it_grows() -> None:
    cache, kept = nn.KeyValueCache(), []
    for t in range(9):
        new = tg.full((1, 1, 1, 2), float(t))
        kept.append(cache.append(new, -new))
    for t, (keys, values) in enumerate(kept):
        assert keys.numpy()[0, 0, :, 0].tolist() == [*range(t + 1)]
        assert values.numpy()[0, 0, :, 1].tolist() == [-s for s in range(t + 1)]


def test_a_cache_refuses_gradients_and_another_batch() -> None:
    layer, cache = stirred(4, 2), nn.KeyValueCache()
    x = tg.tensor(normal(1, 2, 4))
    with pytest.raises(RuntimeError, match=r"KeyValueCache: .*`with tg.no_grad\(\):"):
        layer(x, x, x, cache=cache)
    assert len(cache) == 0
    with tg.no_grad():
        layer(x, x, x, cache=cache)
        y = x[:, :1]
        with pytest.raises(ValueError, match=r"\(1, 2, 1, 2\).*\(2, 2, 1, 2\).*clear\(\)"):
            layer(y, y, y, cache=cache)
        with pytest.raises(
            ValueError, match=r"attn_mask is \(1, 1\); expected \(L, S\) = \(1, 2\)"
        ):
            layer(x, x, x, attn_mask=tg.zeros((1, 1)), cache=cache)
        assert len(cache) == 1


# ------------------------------------------------------------------------------- the state


def test_parameters_bear_pytorchs_names_and_shapes() -> None:
    def shapes(**options: Any) -> dict[str, Any]:
        layer = nn.MultiheadAttention(6, 2, **options)
        return {name: value.shape for name, value in layer.state_dict().items()}

    out = {"out_proj.weight": (6, 6), "out_proj.bias": (6,)}
    assert shapes() == {"in_proj_weight": (18, 6), "in_proj_bias": (18,), **out}
    assert shapes(bias=False) == {"in_proj_weight": (18, 6), "out_proj.weight": (6, 6)}
    assert shapes(kdim=4, vdim=3, add_bias_kv=True) == {
        "q_proj_weight": (6, 6),
        "k_proj_weight": (6, 4),
        "v_proj_weight": (6, 3),
        "in_proj_bias": (18,),
        "bias_k": (1, 1, 6),
        "bias_v": (1, 1, 6),
        **out,
    }


def test_a_new_layer_has_glorots_weights_and_no_bias() -> None:
    tg.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4)
    bound = math.sqrt(6 / (64 + 3 * 64))
    assert 0.99 * bound < np.abs(layer.in_proj_weight.numpy()).max() <= bound
    assert not layer.in_proj_bias.numpy().any()
    assert not layer.out_proj.bias.numpy().any()
    before = layer.in_proj_weight.numpy().copy()
    layer.reset_parameters()
    assert (layer.in_proj_weight.numpy() != before).any()


def test_a_copy_of_a_layer_is_its_own() -> None:
    layer, x = stirred(4, 2), tg.tensor(normal(3, 1, 4))
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(twin(x, x, x)[0].numpy(), layer(x, x, x)[0].numpy())
    assert {id(p) for p in twin.parameters()}.isdisjoint(map(id, layer.parameters()))


# ------------------------------------------------------------------------------- mistakes

x = tg.ones((3, 2, 4))
MISTAKES: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: nn.MultiheadAttention(6, 4),
        ValueError,
        "embed_dim 6 must be divisible by num_heads 4",
    ),
    (lambda: nn.MultiheadAttention(6, 0), ValueError, "must be divisible by num_heads 0"),
    (lambda: nn.MultiheadAttention(6, 3, dropout=1.5), ValueError, r"\[0, 1\]; got 1.5"),
    (
        lambda: attend(tg.ones((3, 2, 5)), x, x),
        ValueError,
        r"query is \(3, 2, 5\); expected a last axis of 4",
    ),
    (
        lambda: attend(x, tg.ones((3, 2, 1)), x),
        ValueError,
        r"key is \(3, 2, 1\); expected a last axis of 4",
    ),
    (lambda: attend(x[0, 0], x, x), ValueError, r"\(L, N, E\), or \(L, E\).*got \(4,\)"),
    (lambda: attend(x[0], x, x), ValueError, r"got \(2, 4\), \(3, 2, 4\) and"),
    (lambda: attend(x, x, x[:2]), ValueError, r"length and batch; got \(3, 2, 4\).*\(2, 2, 4\)"),
    (lambda: attend(x, x[:, :1], x[:, :1]), ValueError, "N is 2 and 1"),
    (
        lambda: attend(x, x, x, attn_mask=tg.zeros((2, 3))),
        ValueError,
        r"attn_mask is \(2, 3\); expected \(L, S\) = \(3, 3\) or \(N·heads, L, S\) = \(4, 3, 3\)",
    ),
    (
        lambda: attend(x, x, x, attn_mask=tg.zeros((2, 3, 3))),
        ValueError,
        r"is \(2, 3, 3\); expected \(L, S",
    ),
    (lambda: attend(x, x, x, attn_mask=[[1, 0, 0]] * 3), TypeError, "True = blocked.*not int64"),
    (
        lambda: attend(x, x, x, key_padding_mask=tg.zeros((3, 2))),
        ValueError,
        r"key_padding_mask is \(3, 2\); expected \(N, S\) = \(2, 3\)",
    ),
    (
        lambda: attend(x[:, 0], x[:, 0], x[:, 0], key_padding_mask=tg.zeros((1, 3))),
        ValueError,
        r"key_padding_mask is \(1, 3\); expected \(S,\) = \(3,\)",
    ),
]


def attend(*inputs: Any, **options: Any) -> Any:
    return nn.MultiheadAttention(4, 2)(*inputs, **options)


@pytest.mark.parametrize(("call", "kind", "words"), MISTAKES)
def test_mistakes_are_named(call: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=rf"^MultiheadAttention: [^\n]*{words}[^\n]*$"):
        call()
