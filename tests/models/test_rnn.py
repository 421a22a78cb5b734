"""Recurrent language models: the carried state, truncated gradients, makemore's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn
from tinygrad_gm.models import rnn
from tinygrad_gm.models.parts import language, texts
from tinygrad_gm.training import Run, read_checkpoint

CELLS = ("rnn", "gru", "lstm", "makemore-rnn", "makemore-gru")
TEXT = data.shakespeare_small()[:3000]
CORPUS = texts.Corpus(data.Characters(TEXT), None, [TEXT[:2000]], [TEXT[2000:]], [])


def network(cell: str, symbols: int = 7, dropout: float = 0.0) -> rnn.Recurrence:
    tg.manual_seed(0)
    layers = 1 if cell.startswith("makemore") else 2
    config = rnn.Config(cell=cell, width=5, hidden=6, layers=layers, dropout=dropout)
    built = rnn.build(config, symbols)
    for parameter in built.parameters():  # not close to zero, so that the state matters
        parameter.data[...] *= 3
    return built


def symbols(*shape: int) -> Tensor:
    return Generator(1).integers(0, 7, shape)


@pytest.mark.parametrize("cell", CELLS)
def test_chunks_with_the_state_carried_are_one_long_sequence(cell):
    model, text = network(cell), symbols(3, 40)
    whole, last = model.read(text)
    state, parts = None, []
    for begin, end in ((0, 1), (1, 17), (17, 30), (30, 40)):
        logits, state = model.read(text[:, begin:end], state)
        parts.append(logits.numpy())
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole.numpy(), atol=1e-6)
    for carried, wanted in zip(state, last, strict=True):
        np.testing.assert_allclose(carried.numpy(), wanted.numpy(), atol=1e-6)
    alone = model.read(text[:, 30:])[0].numpy()
    assert np.abs(alone - parts[-1]).max() > 1e-3  # without the state it is another text


@pytest.mark.parametrize("cell", CELLS)
def test_the_decoder_continues_the_whole_text(cell):
    model, text = network(cell), symbols(2, 12)
    decode = model.decoder()
    shown = [decode(text[:, :5])] + [decode(text[:, t : t + 1]) for t in range(5, 12)]
    wanted = model(text).numpy()[:, 4:]
    np.testing.assert_allclose(tg.stack(shown, axis=1).numpy(), wanted, atol=1e-6)


def test_an_lstm_reads_by_the_formula_of_its_gates():
    model, text = network("lstm"), symbols(1, 9)
    h, c = np.zeros((2, 6)), np.zeros((2, 6))

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for t in range(9):
        x = model.wte.weight.numpy()[int(text[0, t])].astype(np.float64)
        for k in range(2):
            own = {
                name.removesuffix(f"_l{k}"): p.numpy()
                for name, p in model.recurrent.named_parameters()
                if name.endswith(f"_l{k}")
            }
            gates = own["weight_ih"] @ x + own["bias_ih"] + own["weight_hh"] @ h[k] + own["bias_hh"]
            i, f, g, o = np.split(gates, 4)
            c[k] = sigmoid(f) * c[k] + sigmoid(i) * np.tanh(g)
            x = h[k] = sigmoid(o) * np.tanh(c[k])
    wanted = model.lm_head.weight.numpy() @ x + model.lm_head.bias.numpy()
    np.testing.assert_allclose(model(text)[0, -1].numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_makemores_rnn_and_gru_follow_their_formulas():
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for cell in ("makemore-rnn", "makemore-gru"):
        model, text = network(cell), symbols(1, 6)
        model.start.data[...] = Generator(2).normal((1, 6)).numpy()
        h = model.start.numpy()[0]
        for t in range(6):
            x = model.wte.weight.numpy()[int(text[0, t])]

            def of(layer, x, h):
                return layer.weight.numpy() @ np.concatenate([x, h]) + layer.bias.numpy()

            if cell == "makemore-rnn":
                h = np.tanh(of(model.cell.xh_to_h, x, h))
            else:
                z, r = (sigmoid(of(g, x, h)) for g in (model.cell.xh_to_z, model.cell.xh_to_r))
                h = (1 - z) * h + z * np.tanh(of(model.cell.xh_to_hbar, x, r * h))
        wanted = model.lm_head.weight.numpy() @ h + model.lm_head.bias.numpy()
        np.testing.assert_allclose(model(text)[0, -1].numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("cell", "parameters"), [("rnn", 11_803), ("gru", 28_315)])
def test_the_numbers_of_parameters_are_makemores(cell, parameters):
    config = rnn.Config(cell=f"makemore-{cell}", width=64, hidden=64, layers=1)
    model = rnn.build(config, 27)
    assert sum(p.size for p in model.parameters()) == parameters
    assert {name.partition(".")[0] for name in model.state_dict()} == {
        *("start", "wte", "cell", "lm_head")
    }


def test_lanes_show_each_symbol_once_with_the_one_after_it():
    lanes = rnn.Lanes(tg.arange(24), count=3, length=4)
    chunks = [lanes[k] for k in range(len(lanes))]
    inputs = np.concatenate([x.numpy() for x, _ in chunks], axis=1)
    targets = np.concatenate([y.numpy() for _, y in chunks], axis=1)
    assert (inputs.ravel() == np.arange(21)).all()
    assert (targets == inputs + 1).all()
    with pytest.raises(ValueError, match="3 symbols is too short for 3 lanes"):
        rnn.Lanes(tg.arange(3), count=3, length=4)


def gradients(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.grad.numpy().copy() for name, p in model.named_parameters()}


def trained_gradients(tmp_path, monkeypatch, context: int, steps: int) -> list[dict]:
    """The gradients of each step of `fit`, which changes no weight: its learning rate is 0."""
    config = rnn.Config(
        cell="lstm", width=5, hidden=6, layers=2, context=context, batch_size=2, steps=steps,
        learning_rate=0.0, weight_decay=0.0, clip_norm=0.0,
    )  # fmt: skip
    model = language.LanguageModel(network("lstm", len(CORPUS.vocabulary)), CORPUS.vocabulary)
    found = []
    original = language.optimizer_of

    def watched(model, config):
        optimizer = original(model, config)
        step = optimizer.step
        monkeypatch.setattr(optimizer, "step", lambda: (found.append(gradients(model)), step()))
        return optimizer

    monkeypatch.setattr(language, "optimizer_of", watched)
    with Run(tmp_path, config) as run:
        rnn.fit(model, CORPUS, config, run)
    return found


def test_where_a_chunk_holds_the_text_the_gradient_is_that_of_the_whole(tmp_path, monkeypatch):
    (found,) = trained_gradients(tmp_path, monkeypatch, context=1000, steps=1)
    model = language.LanguageModel(network("lstm", len(CORPUS.vocabulary)), CORPUS.vocabulary)
    ids = CORPUS.encoded(CORPUS.train[0])
    lanes = tg.stack([ids[:999], ids[999:1998]])
    targets = tg.stack([ids[1:1000], ids[1000:1999]])
    language.loss(model(lanes), targets).backward()
    for name, wanted in gradients(model).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_truncated_gradient_is_that_of_weights_used_in_the_last_chunk(tmp_path, monkeypatch):
    _, found = trained_gradients(tmp_path, monkeypatch, context=20, steps=2)
    first, second = (network("lstm", len(CORPUS.vocabulary)) for _ in range(2))
    ids = CORPUS.encoded(CORPUS.train[0])
    lanes = tg.stack([ids[:41], ids[999:1040]])
    # One graph over both chunks, but the weights of the first chunk are other tensors.
    _, state = first.read(lanes[:, :20])
    language.loss(second.read(lanes[:, 20:40], state)[0], lanes[:, 21:]).backward()
    for name, wanted in gradients(second).items():
        np.testing.assert_allclose(
            found[f"network.{name}"], wanted, rtol=1e-4, atol=1e-6, err_msg=name
        )


def test_a_new_pass_over_the_text_begins_without_a_state(tmp_path, monkeypatch):
    found = trained_gradients(tmp_path, monkeypatch, context=500, steps=4)  # two chunks a pass
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[2][name], gradient, rtol=1e-5, atol=1e-7)
    carried = read_checkpoint(tmp_path)["carried"]["state"]
    assert [part.shape for part in carried] == [(2, 2, 6)] * 2


def test_a_restored_model_writes_from_the_state_that_the_first_lane_has_reached(tmp_path):
    config = rnn.Config(
        cell="lstm", width=5, hidden=6, layers=2, context=500, batch_size=2, steps=1
    )
    with Run(tmp_path, config) as run:
        rnn.train(config, run)
    model = rnn.restore(tmp_path)
    h, c = (tg.asarray(part) for part in read_checkpoint(tmp_path)["carried"]["state"])
    prompt = symbols(3, 4)
    wanted, _ = model.network.read(prompt, tuple(tg.repeat(s[:, :1], 3, axis=1) for s in (h, c)))
    found = model.network.decoder()(prompt)
    np.testing.assert_allclose(found.numpy(), wanted.numpy()[:, -1], atol=1e-6)
    assert np.abs(found.numpy() - model(prompt).numpy()[:, -1]).max() > 1e-3


def test_the_validation_loss_is_that_of_one_long_sequence():
    model = language.LanguageModel(
        network("lstm", len(CORPUS.vocabulary), dropout=0.5), CORPUS.vocabulary
    )
    unseen = TEXT * 2  # more than is read at once
    nats, count = rnn.measure(model, CORPUS, [unseen], rnn.Config())
    ids = CORPUS.encoded(unseen)
    model.eval()
    logits = model(ids[None, :-1])[0]
    assert count == len(unseen) - 1
    assert nats == pytest.approx(F.cross_entropy(logits, ids[1:]).item(), rel=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_the_probability_of_a_written_text_is_that_of_the_text_when_read(cell):
    net = network(cell, len(CORPUS.vocabulary))
    model = language.LanguageModel(net, CORPUS.vocabulary)
    text = "".join(language.generate(model, "First", 40, generator=Generator(0)))
    ids = CORPUS.encoded("First" + text)
    decode = net.decoder()
    total, shown = 0.0, decode(ids[None, :5])
    for t in range(5, len(ids)):
        total += F.log_softmax(shown, axis=1)[0, int(ids[t])].item()
        shown = decode(ids[None, t : t + 1])
    read = F.cross_entropy(net(ids[None, :-1])[0, 4:], ids[5:], reduction="sum").item()
    assert len(text) == 40
    assert -total == pytest.approx(read, rel=1e-5)


def test_an_lstm_begins_with_open_forget_gates():
    model = rnn.RecurrentModel(7, "lstm", 5, 400, layers=1)
    bias = (model.recurrent.bias_ih_l0 + model.recurrent.bias_hh_l0).numpy()[400:800]
    assert bias.mean() == pytest.approx(1, abs=0.02)


def test_more_layers_of_makemores_cells_are_refused():
    with pytest.raises(ValueError, match="makemore-gru has one layer"):
        rnn.Config(cell="makemore-gru", layers=2)


def test_the_functions_of_the_study_notes_are_found_here():
    states = rnn.rnn_forward([[1.0], [2.0]], [0.0], [[0.5]], [[0.8]], [0.0])
    first = math.tanh(0.5)
    assert states == pytest.approx([math.tanh(1.0 + 0.8 * first)], abs=1e-4)
    zeros = np.zeros((2, 1))
    outputs, _, _ = rnn.LSTM(1, 2).forward([[1.0], [2.0]], zeros, zeros)
    assert outputs.shape == (2, 2, 1)
