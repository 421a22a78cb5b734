"""GPT: its sizes and names, what it may see, the cache, padding, generation, files of GPT-2."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_keys import reference_keys

import tinygrad_gm as tg
from tinygrad_gm import Generator, nn
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.models.gpt import GPT, GPTConfig
from tinygrad_gm.models.parts import decoding
from tinygrad_gm.nn import functional as F

BABY = GPTConfig(65, block_size=256, n_layer=6, n_head=6, n_embd=384, bias=False)
SMALL = GPTConfig(11, block_size=8, n_layer=2, n_head=2, n_embd=8)
NAMES = GPTConfig(27, block_size=16, n_layer=4, n_head=4, n_embd=64, tie=False)
COUNTS = {
    "GPT-2": (GPTConfig(), 124_439_808),
    "nanoGPT's baby": (BABY, 10_745_088),
    "names": (NAMES, 204_544),
    "shakespeare": (GPTConfig(65, 64, 4, 4, 128, bias=False), 804_096),
}
KEYS = {"gpt2": GPTConfig(), "nanogpt_char": BABY}
TEXT = [1, 2, 3, 5, 8, 1, 4, 9]
# Of PyTorch 2.13 in float64, with the weights of `golden`: the logits at places 0, 3 and 7 of TEXT.
GOLDEN = {
    0: "-0.64668 -0.189803 1.299511 0.360754 -0.171042 -0.379221 -0.125237 -0.028862 0.093997 "
    "-0.199724 -0.572749",
    3: "-0.419025 -0.132558 1.47402 0.468529 -0.321651 -0.298811 -0.081695 0.370088 -0.055504 "
    "-0.326735 -0.328856",
    7: "-0.395952 -0.263284 1.284745 0.535075 -0.055757 -0.455503 -0.007205 -0.052192 0.001766 "
    "-0.339819 -0.630247",
}


def random_gpt(config: GPTConfig = SMALL, scale: float = 20.0) -> GPT:
    """A network whose logits differ much more than at the beginning of a training."""
    tg.manual_seed(0)
    model = GPT(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data * scale
    return model.eval()


def texts(*shape: int) -> tg.Tensor:
    return tg.randint(0, 11, shape, generator=Generator(3))


def golden() -> GPT:
    """The network whose weights are ½ sin k², k = 1, 2, …, over all parameters in their order."""
    model, k = GPT(SMALL), 1
    for parameter in model.parameters():
        numbers = np.arange(k, k + parameter.size, dtype=np.float64)
        parameter.copy_(tg.asarray(np.sin(numbers**2) / 2).reshape(parameter.shape))
        k += parameter.size
    return model.eval()


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_the_parameters_of_its_reference(name: str) -> None:
    config, count = COUNTS[name]
    with nn.no_init():
        model = GPT(config)
    assert sum(parameter.size for parameter in model.parameters()) == count


@pytest.mark.parametrize("name", KEYS)
def test_the_state_dict_has_the_names_and_shapes_of_the_reference(name: str) -> None:
    with nn.no_init():
        state = GPT(KEYS[name]).state_dict()
    found = [(key, tensor.shape, str(tensor.dtype)) for key, tensor in state.items()]
    linear = re.compile(r"c_\w+\.weight$") if name == "gpt2" else re.compile("$^")
    expected = [
        (key, shape[::-1] if linear.search(key) else shape, dtype)
        for key, shape, dtype in reference_keys(name)
    ]
    assert found == expected


def test_the_logits_of_a_network_of_sines_are_those_of_pytorch() -> None:
    logits = golden()(tg.tensor([TEXT]))[0].numpy()
    for place, numbers in GOLDEN.items():
        np.testing.assert_allclose(logits[place], [*map(float, numbers.split())], atol=3e-6)


@pytest.mark.parametrize("std", [0.02, 0.07])
def test_the_weights_begin_as_in_gpt_2(std: float) -> None:
    tg.manual_seed(0)
    model = GPT(GPTConfig(200, 100, n_layer=8, n_head=2, n_embd=64, init_std=std))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == (0.0 if name.endswith("bias") else 1.0)).all()
        else:
            wanted = std / 4 if name.endswith("c_proj.weight") else std
            assert parameter.std().item() == pytest.approx(wanted, rel=0.05)


def test_a_tied_weight_is_one_parameter_with_both_gradients() -> None:
    tied, apart = random_gpt(), GPT(GPTConfig(11, 8, 2, 2, 8, tie=False)).eval()
    apart.load_state_dict(tied.state_dict())
    for model in (tied, apart):
        F.cross_entropy(model(tg.tensor([TEXT]))[0], tg.tensor(TEXT)).backward()
    assert tied.lm_head.weight is tied.transformer.wte.weight
    both = apart.lm_head.weight.grad + apart.transformer.wte.weight.grad
    np.testing.assert_allclose(tied.lm_head.weight.grad.numpy(), both.numpy(), rtol=1e-4, atol=1e-6)


def test_a_symbol_has_no_influence_on_the_logits_before_it() -> None:
    model, first, second = random_gpt(), texts(3, 8), texts(3, 8)
    second[:, 5] = (first[:, 5] + 1) % 11
    second[:, :5] = first[:, :5]
    a, b = model(first), model(second)
    assert (a[:, :5] == b[:, :5]).all()
    assert (a[:, 5] != b[:, 5]).any()
    shorter = model(first[:, :5])
    np.testing.assert_allclose(shorter.numpy(), a[:, :5].numpy(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("pieces", [(1,) * 8, (3, 1, 4), (8,), (1, 7)])
def test_a_cache_gives_the_logits_of_the_whole_text(pieces: tuple[int, ...]) -> None:
    model, ids = random_gpt(), texts(3, 8)
    cache, found, start = [nn.KeyValueCache() for _ in range(2)], [], 0
    with tg.no_grad():
        for length in pieces:
            found.append(model(ids[:, start : start + length], cache=cache))
            start += length
        expected = model(ids)
    np.testing.assert_allclose(tg.concat(found, axis=1).numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("cached", [False, True])
def test_texts_filled_on_their_left_have_the_logits_of_each_alone(cached: bool) -> None:
    model, ids = random_gpt(), texts(3, 8)
    lengths = (8, 5, 1)
    mask = tg.arange(8) >= 8 - tg.tensor(lengths)[:, None]
    with tg.no_grad():
        if cached:
            cache = [nn.KeyValueCache() for _ in range(2)]
            parts = [model(ids[:, :6], mask[:, :6], cache), model(ids[:, 6:], mask, cache)]
            found = tg.concat(parts, axis=1)
        else:
            found = model(ids, mask)
        for row, length in enumerate(lengths):
            alone = model(ids[row : row + 1, 8 - length :])[0]
            np.testing.assert_allclose(found[row, 8 - length :].numpy(), alone.numpy(), atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    model = random_gpt(GPTConfig(11, 8, 2, 2, 8, dropout=0.5))
    ids = texts(2, 8)
    assert (model(ids) == random_gpt()(ids)).all()
    model.train()
    assert (model(ids) != model(ids)).any()


# ------------------------------------------------------------------------------ generation


@pytest.mark.parametrize("prompt", [1, 6, 8, 12])
def test_greedy_generation_takes_the_likeliest_symbol_after_the_last_eight(prompt: int) -> None:
    model, ids = random_gpt(), texts(3, prompt)
    found = model.generate(ids, 10, temperature=0)
    for _ in range(10):
        likeliest = tg.argmax(model(ids[:, -8:])[:, -1], axis=-1)
        ids = tg.concat([ids, likeliest[:, None]], axis=1)
    assert (found == ids).all()


@pytest.mark.parametrize("length", [2, 12])
def test_texts_filled_on_their_left_are_continued_as_each_alone(length: int) -> None:
    model, ids = random_gpt(), texts(2, 4)
    mask = tg.tensor([[True] * 4, [False, False, True, True]])
    found = model.generate(ids, length, temperature=0, mask=mask)
    for row, start in ((0, 0), (1, 2)):
        # Up to the context; beyond it the filled text keeps two symbols fewer.
        count = min(length, 4)
        alone = model.generate(ids[row : row + 1, start:], count, temperature=0)
        assert found[row, start : 4 + count].tolist() == alone[0].tolist()
    assert found.shape == (2, 4 + length)


def test_a_row_that_has_stopped_is_filled_and_generation_ends_with_the_last_row() -> None:
    model, ids = random_gpt(), texts(3, 2)
    free = model.generate(ids, 20, temperature=1.0, generator=Generator(1))
    stop = free[0, 4].item()
    found = model.generate(ids, 20, temperature=1.0, generator=Generator(1), stop=stop)
    rows = found[:, 2:].tolist()
    ends = [row.index(stop) if stop in row else 20 for row in rows]
    assert len(rows[0]) == min(max(ends) + 1, 20)
    for row, end in zip(rows, ends, strict=True):
        assert set(row[end:]) <= {stop}
    assert rows[0][: ends[0]] == free[0, 2 : 2 + ends[0]].tolist()


def test_the_probability_of_a_sampled_text_is_the_teacher_forced_one() -> None:
    model, ids, drawn = random_gpt(scale=8.0), texts(4, 2), []
    decoder = model.decoder()

    def noted(new: tg.Tensor) -> tg.Tensor:
        drawn.append(decoder(new))
        return drawn[-1]

    symbols = tg.stack([*decoding.symbols(noted, ids, 6, generator=Generator(5))], axis=1)
    log_q = F.log_softmax(tg.stack(drawn, axis=1), axis=-1)
    sampled = tg.take_along_axis(log_q, symbols[:, :, None], axis=-1).sum(axis=(1, 2))
    whole = tg.concat([ids, symbols], axis=1)
    log_p = F.log_softmax(model(whole)[:, 1:-1], axis=-1)
    forced = tg.take_along_axis(log_p, whole[:, 2:, None], axis=-1).sum(axis=(1, 2))
    np.testing.assert_allclose(sampled.numpy(), forced.numpy(), rtol=1e-5)


def test_generation_leaves_the_mode_as_it_was() -> None:
    model = random_gpt().train()
    model.generate(texts(1, 2), 1)
    assert model.training


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m(texts(1, 9)), "GPT: 9 symbols are more than the block_size 8"),
        (lambda m: m(texts(2, 3), tg.ones((2, 4), dtype=tg.bool)), r"GPT: mask is \(2, 4\)"),
        (lambda m: m.generate(texts(1, 0), 3), r"at least one symbol; got \(1, 0\)"),
        (lambda m: m.generate(texts(1, 3), 3, temperature=-1), "temperature is -1"),
        (lambda m: GPTConfig(n_embd=10, n_head=3), "n_embd 10 must be divisible by n_head 3"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(random_gpt())


# ------------------------------------------------------------------------------ files


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_network_is_written_and_read_back(tmp_path: Path, tie: bool, bias: bool) -> None:
    model, ids = random_gpt(GPTConfig(11, 8, 2, 2, 8, bias=bias, tie=tie)), texts(2, 8)
    model.save_pretrained(tmp_path / "new")
    again = GPT.from_pretrained(tmp_path / "new")
    assert again.config == GPTConfig(11, 8, 2, 2, 8, tie=tie)
    assert not again.training
    np.testing.assert_allclose(again(ids).numpy(), model(ids).numpy(), atol=1e-6)


def test_the_file_has_the_names_and_shapes_of_transformers(tmp_path: Path) -> None:
    random_gpt(GPTConfig(11, 8, 2, 2, 8, bias=False)).save_pretrained(tmp_path)
    found = {name: tensor.shape for name, tensor in tg.load(tmp_path / "model.safetensors").items()}
    of_two_layers = [
        key for key, _, _ in reference_keys("gpt2") if re.search(r"h\.[01]\.|\.w[tp]e|ln_f", key)
    ]
    assert sorted(found) == sorted(of_two_layers)
    assert found["transformer.h.0.attn.c_attn.weight"] == (8, 24)
    assert found["transformer.h.1.mlp.c_proj.weight"] == (32, 8)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "gpt2"
    assert config["n_positions"] == 8


def test_a_published_file_has_no_prefix_no_head_and_masks(tmp_path: Path) -> None:
    model, ids = random_gpt(), texts(2, 8)
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    published = {
        name.removeprefix("transformer."): tensor for name, tensor in tg.load(path).items()
    }
    for layer in range(2):
        published[f"h.{layer}.attn.bias"] = tg.tril(tg.ones((1, 1, 8, 8)))
    tg.save(path, published)
    assert (GPT.from_pretrained(tmp_path)(ids) == model(ids)).all()


def test_a_file_of_nanogpt_is_not_transposed(tmp_path: Path) -> None:
    config = GPTConfig(11, 8, 2, 2, 8, bias=False)
    model, path = random_gpt(config), tmp_path / "ckpt.safetensors"
    tg.save(path, model.state_dict())
    assert (GPT.from_pretrained(path, config)(texts(2, 8)) == model(texts(2, 8))).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation_function": "relu"}, "activation_function is 'relu'; expected 'gelu_new'"),
        ({"n_inner": 7}, "n_inner is 7"),
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"n_embd": 16}, r"transformer.wte.weight is \(11, 8\), not \(11, 16\).*and \d+ more"),
        ({"n_layer": 3}, "transformer.h.2.ln_1.weight is missing"),
        ({"n_layer": None}, "not the config of a GPT-2"),
        ({"tie_word_embeddings": True}, "lm_head.weight is not tied to the embedding"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    random_gpt(GPTConfig(11, 8, 2, 2, 8, tie=False)).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=words) as refused:
        GPT.from_pretrained(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        GPT.from_pretrained(tmp_path)


def test_the_loss_of_an_untrained_network_is_that_of_a_guess() -> None:
    tg.manual_seed(0)
    model, ids = GPT(NAMES), tg.randint(0, 27, (64, 17))
    loss = F.cross_entropy(model(ids[:, :-1]).reshape(-1, 27), ids[:, 1:].reshape(-1))
    assert loss.item() == pytest.approx(math.log(27), abs=0.05)
