"""The language models' texts, recipe, exact evaluation, and what the command line writes."""

from __future__ import annotations

import math
import random
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import Generator, data
from tinygrad_gm.app import cli
from tinygrad_gm.models import gpt
from tinygrad_gm.models.parts import language, texts
from tinygrad_gm.nn import functional as F
from tinygrad_gm.training import Run
from tinygrad_gm.training.metrics import read_metrics

WORDS = [f"{a}{b}{c}" for a in "bdk" for b in "aeiou" for c in ("", "n", "la")]
TINY = {"context": 8, "steps": 4, "evaluate_every": 2, "layers": 1, "heads": 1, "width": 8}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words that take the place of the file of names."""
    monkeypatch.setattr(data, "names", lambda: list(WORDS))
    return WORDS


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 3,000 characters of Shakespeare, hardly trained."""
    folder = tmp_path_factory.mktemp("run")
    path = folder / "text.txt"
    path.write_text(data.shakespeare_small()[:3000])
    trained(folder / "tiny", dataset=str(path))
    return folder / "tiny"


def trained(folder: Path, **changes: Any) -> language.LanguageModel:
    config = gpt.Config(**{**TINY, **changes})
    with Run(folder, config) as run:
        gpt.train(config, run)
    return gpt.restore(folder)


# ------------------------------------------------------------------------------ texts


def test_names_are_split_as_by_makemore(names: list[str]) -> None:
    shuffled = list(names)
    random.seed(42)
    random.shuffle(shuffled)
    corpus = texts.load("names")
    assert (corpus.train, corpus.validation, corpus.test) == (
        shuffled[:36],
        shuffled[36:40],
        shuffled[40:],
    )
    assert corpus.boundary == "."
    assert corpus.vocabulary.symbols[0] == "."
    assert corpus.encoded("ban").numpy()[[0, -1]].tolist() == [0, 0]


def test_a_text_is_split_after_nine_tenths(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("".join(map(chr, range(200, 300))), encoding="utf-8")
    corpus = texts.load(str(path))
    assert [len(corpus.train[0]), len(corpus.validation[0]), corpus.test] == [90, 10, []]
    assert corpus.boundary is None
    assert len(corpus.vocabulary) == 100


@pytest.mark.parametrize("context", [1, 7, 10, 50])
def test_blocks_predict_each_symbol_of_a_text_exactly_once(context: int) -> None:
    text = "the quick brown fox jumps"
    corpus = texts.Corpus(data.Characters(text), None, [text], [], [])
    inputs, targets = (t.numpy() for t in corpus.blocks([text], context).tensors)
    real = targets != texts.IGNORED
    symbols = corpus.encoded(text).numpy()
    assert inputs.shape == targets.shape == (-(-24 // context), context)
    assert (targets[real] == symbols[1:]).all()
    assert (inputs[real] == symbols[:-1]).all()


def test_windows_are_drawn_from_the_whole_text() -> None:
    windows = texts.Windows(tg.arange(30), 5)
    loader = data.DataLoader(texts.Draws(windows, 2000), 100, seed=1)
    starts = np.concatenate([inputs[:, 0].numpy() for inputs, _ in loader])
    counts = np.bincount(starts, minlength=25)
    assert counts.shape == (25,)
    assert counts.min() > 40  # of 80 ± 9
    for inputs, targets in loader:
        assert (targets == inputs + 1).all()
        assert (inputs[:, 1:] == targets[:, :-1]).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"abc", "has 3 characters; expected at least 20"),
        (b"\xff" * 50, "is not text in UTF-8"),
        (b"ab" * 20, "a context of 64 symbols needs a longer text"),
    ],
)
def test_a_file_that_is_no_text_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    argv = ["train", "gpt", "--dataset", str(path), "--out", str(tmp_path / "run")]
    assert cli.main(argv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_name_longer_than_the_context_is_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with its boundaries needs a context of 4 symbols, not 3"):
        trained(tmp_path, dataset="names", context=3)


# ------------------------------------------------------------------------------ the recipe


def test_the_learning_rate_rises_and_falls_to_its_least(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefgh" * 50)
    shape = {"steps": 12, "evaluate_every": 12, "warm_up": 4}
    trained(tmp_path, dataset=str(path), learning_rate=0.1, least_rate=0.2, **shape)
    rates = [line["lr"] for line in read_metrics(tmp_path) if "lr" in line]
    cosine = [0.02 + 0.08 * (1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, *cosine])


def test_matrices_decay_and_the_gradient_is_clipped(tmp_path: Path) -> None:
    model = gpt.build(gpt.Config(bias=True), 27)
    decayed, free = language.optimizer_of(model, gpt.Config()).param_groups
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in free["params"]} == {1}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert decayed["betas"] == (0.9, 0.99)


def test_the_evaluation_is_the_mean_over_all_symbols(tmp_path: Path, names: list[str]) -> None:
    model = trained(tmp_path, dataset="names")
    corpus = texts.load("names")
    nats, count = 0.0, 0
    for word in corpus.validation:
        symbols = corpus.encoded(word)
        logits = model(symbols[None, :-1])[0]
        log_p = F.log_softmax(logits.astype(tg.float64), axis=-1).numpy()
        nats -= log_p[np.arange(len(log_p)), symbols.numpy()[1:]].sum()
        count += len(log_p)
    found = language.evaluate(model.train(), corpus.blocks(corpus.validation, 8))
    assert found == pytest.approx(nats / count, rel=1e-6)
    assert model.training
    last = [line for line in read_metrics(tmp_path) if "validation_loss" in line][-1]
    assert last["validation_loss"] == pytest.approx(found, rel=1e-6)


def test_judge_says_the_loss_in_three_figures_of_each_part(
    tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained(tmp_path, dataset="names")
    assert cli.main(["judge", "gpt", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    corpus = texts.load("names")
    for line, name in zip(lines, ("validation", "test"), strict=True):
        part = getattr(corpus, name)
        nats = language.evaluate(model, corpus.blocks(part, 8))
        assert f"loss {nats:.4f} nats, perplexity {math.exp(nats):.3f}, " in line
        assert f"{nats / math.log(2):.3f} bits per character" in line
        assert f"on {sum(len(word) + 1 for word in part)} {name} characters of names" in line


def test_a_training_learns_a_text_that_repeats(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefgh" * 50)
    model = trained(
        tmp_path / "run",
        dataset=str(path),
        steps=150,
        evaluate_every=75,
        warm_up=10,
        learning_rate=1e-2,
        width=16,
    )
    text = "".join(language.generate(model, "abc", 20, temperature=0))
    assert text == ("abcdefgh" * 3)[3:23]
    path.unlink()  # the checkpoint has the vocabulary
    assert gpt.restore(tmp_path / "run").vocabulary.symbols == "abcdefgh"


# ------------------------------------------------------------------------------ samples


def test_names_end_by_themselves_and_are_written_one_a_line(
    tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path, dataset="names", steps=200, evaluate_every=200, learning_rate=1e-2)
    assert cli.main(["sample", "gpt", "--out", str(tmp_path), "--count", "9", "--prompt", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert all(line[0] == "b" and "." not in line and len(line) < 100 for line in lines)


def test_the_end_of_a_prompt_longer_than_the_context_decides(tiny_run: Path) -> None:
    model = gpt.restore(tiny_run)
    first, second = (
        "".join(language.generate(model, prompt, 15, generator=Generator(0)))
        for prompt in ("What is it? ROMEO:\n", "Then so be it: O ROMEO:\n")
    )
    assert first == second


def test_texts_are_written_piece_by_piece_and_an_interrupt_ends_them_politely(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @wraps(gpt.generate)  # whose parameters are the flags
    def pieces(*args: Any, **keywords: Any) -> Any:
        yield "I am"
        assert capsys.readouterr().out == "ROMEO: I am"  # before the next piece is computed
        raise KeyboardInterrupt

    monkeypatch.setattr(gpt, "generate", pieces)
    argv = ["sample", "gpt", "--out", str(tiny_run), "--prompt", "ROMEO: ", "--length", "9"]
    assert cli.main(argv) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("\n", "")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prompt", "ROMÉO"], "'É' is not in the vocabulary"),
        (["--temperature", "-1"], "temperature is -1.0"),
        (["--temperature", "nan"], "temperature is nan"),
        (["--top-k", "0"], "top_k is 0"),
        (["--top-p", "0"], "top_p is 0"),
        (["--length", "-1"], "length is -1"),
        (["--count", "0"], "--count is 0"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_a_wrong_wish_is_refused_in_one_line(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    try:
        code = cli.main(["sample", "gpt", "--out", str(tiny_run), *flags])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code in (1, 2)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--temperature", "0"],
        ["--top-k", "1000"],
        ["--top-p", "1"],
        ["--length", "0", "--prompt", "Ay"],
        ["--count", "2", "--top-k", "5", "--top-p", "0.5"],
    ],
)
def test_unusual_wishes_that_make_sense_are_granted(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    argv = ["sample", "gpt", "--out", str(tiny_run), "--length", "20", *flags]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out


def test_a_prompt_with_the_boundary_is_refused(tmp_path: Path, names: list[str]) -> None:
    model = trained(tmp_path, dataset="names")
    with pytest.raises(ValueError, match=r"the prompt contains '\.', which ends a text"):
        language.generate(model, "an.")


def test_a_gpt_2_in_a_folder_writes_with_its_byte_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocabulary = data.BPE.train("über die Brücke über den Fluß " * 3, 8)
    tg.manual_seed(0)
    gpt.GPT(gpt.GPTConfig(len(vocabulary), 16, 1, 1, 8)).save_pretrained(tmp_path)
    vocabulary.save(tmp_path / "vocab.json", tmp_path / "merges.txt")
    model = gpt.restore(tmp_path)
    assert model.boundary == "<|endoftext|>"
    pieces = [*language.generate(model, "die", 30, generator=Generator(0))]
    symbols = model.network.generate(
        vocabulary.encode("<|endoftext|>die")[None], 30, generator=Generator(0)
    )
    text, _, _ = vocabulary.decode(symbols[0, -30:]).partition("<|endoftext|>")
    assert "".join(pieces) == text
    assert cli.main(["sample", "gpt", "--out", str(tmp_path), "--length", "5"]) == 0
    assert capsys.readouterr().out


def test_bytes_of_one_character_are_one_piece() -> None:
    vocabulary = data.BPE.train("", 0)
    numbers = vocabulary.encode("aß€😀")
    assert [*language._pieces(vocabulary, iter(numbers))] == ["a", "ß", "€", "😀"]
    assert "".join(language._pieces(vocabulary, iter(numbers[:-1]))) == "aß€\ufffd"


def test_a_run_of_another_model_is_refused(tmp_path: Path) -> None:
    from tinygrad_gm.io import CheckpointError
    from tinygrad_gm.models import lenet

    config = lenet.Config(dataset="digits", images=32, epochs=0)
    with Run(tmp_path, config) as run:
        lenet.train(config, run)
    with pytest.raises(CheckpointError, match="holds a run of lenet, not of gpt"):
        gpt.restore(tmp_path)
