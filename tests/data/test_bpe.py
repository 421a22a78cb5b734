"""Byte-pair encoding: GPT-2's words and tokens, merges that are the most frequent, no text lost."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gm as tg
from tinygrad_gm import data
from tinygrad_gm.data.bpe import split_words
from tinygrad_gm.data.files import find

GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
FIRST_MERGES = """
Ġ t,Ġ a,h e,i n,r e,o n,Ġt he,e r,Ġ s,a t,Ġ w,Ġ o,e n,Ġ c,i t,i s,a n,o r,e s,Ġ b,e d,Ġ f,in g,Ġ p,\
o u,Ġa n,a l,a r,Ġt o,Ġ m,Ġo f,Ġ in,Ġ d,Ġ h,Ġan d""".strip().split(",")  # of GPT-2, from 256


def random_text(seed: int) -> str:
    """Up to 30 characters: of all of Unicode, of its first pages, or of words' borders."""
    draw = random.Random(seed)
    kinds = (
        lambda: chr(draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)])),
        lambda: chr(draw.randrange(0x3000)),
        lambda: draw.choice([*" '\n\t\xa0\x1c\x85stdmlverLA09²Ⅷé中_-", "'ll", "  ", "\r\n", "😀"]),
        lambda: draw.choice(["<|endoftext|>", "<|", "endoftext", "|>", " the", " "]),
    )
    kind = draw.choice(kinds)
    return "".join(kind() for _ in range(draw.randrange(30)))


@pytest.fixture(scope="module")
def shakespeare() -> data.BPE:
    return data.BPE.train(data.shakespeare_small(), 300)


def written(folder: Path, merges: list[str], **more: int) -> tuple[Path, Path]:
    """Files in GPT-2's form: its 256 bytes, merges and further tokens."""
    letters = [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]
    tokens = [*map(chr, letters), *(merge.replace(" ", "") for merge in merges)]
    vocab, path = folder / "vocab.json", folder / "merges.txt"
    vocab.write_text(json.dumps({token: i for i, token in enumerate(tokens)} | more))
    path.write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return vocab, path


# ------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("Hello world", "Hello| world"),
        ("I'm we'll don't he'd", "I|'m| we|'ll| don|'t| he|'d"),
        ("you've they're it's", "you|'ve| they|'re| it|'s"),
        ("DON'T 'tis o'clock", "DON|'|T| '|tis| o|'|clock"),
        ("can''t", "can|''|t"),
        ("in 1999, 12½% of x²", "in| 1999|,| 12½|%| of| x|²"),
        ("a  b   c", "a| | b|  | c"),
        ("a\n\n b\t", "a|\n\n| b|\t"),
        ("a \n", "a| \n"),
        ("one\xa0two \u3000", "one|\xa0|two| \u3000"),
        ("naïve 中文 Ⅷ ǅ", "naïve| 中文| Ⅷ| ǅ"),
        ("e\u0301t\u200bé", "e|\u0301|t|\u200b|é"),
        ("snake_case -- e.g. 😀!", "snake|_|case| --| e|.|g|.| 😀!"),
        ("a\x1c b", "a|\x1c| b"),
        (" 'tis", " '|tis"),
        ("'s's 's", "'s|'s| '|s"),
    ],
)
def test_words_are_split_as_by_gpt2(text, words):
    assert list(split_words(text)) == (words.split("|") if words else [])


def test_words_are_those_of_the_published_pattern():
    regex = pytest.importorskip("regex")
    texts = [data.shakespeare_small(), *map(random_text, range(3000))]
    for text in texts:
        known = "".join(letter for letter in text if re.match(r"\w|\s|[!-~]", letter))
        assert list(split_words(known)) == regex.findall(GPT2, known)


# ------------------------------------------------------------------------------ tokens


def test_common_words_have_gpt2s_numbers(tmp_path):
    vocabulary = data.BPE.from_files(*written(tmp_path, FIRST_MERGES))
    known = {"!": 0, "A": 32, "a": 64, "\n": 198, " ": 220, "in": 259, "ing": 278, "or": 273}
    known |= {" the": 262, " to": 284, " of": 286, " in": 287, " and": 290}
    for text, number in known.items():
        assert vocabulary.encode(text).tolist() == [number]
        assert vocabulary.tokens[number] == text.encode()
    assert vocabulary.end_of_text is None


@pytest.mark.skipif(
    find("vocab.json") is None or find("merges.txt") is None,
    reason="GPT-2's vocab.json and merges.txt are not in $TINYGRAD_GM_DATA",
)
def test_the_published_files_give_the_published_tokens():
    vocab, merges = find("vocab.json"), find("merges.txt")
    assert vocab
    assert merges
    vocabulary = data.BPE.from_files(vocab, merges)
    assert (len(vocabulary), vocabulary.end_of_text) == (50257, 50256)
    assert vocabulary.encode("Hello world").tolist() == [15496, 995]
    assert vocabulary.encode("Hello, world!").tolist() == [15496, 11, 995, 0]


def test_merges_and_tokens_of_shakespeare_are_those_of_hugging_face(shakespeare):
    """`tokenizers` 0.23.3: ByteLevelBPETokenizer, trained with min_frequency=2."""
    made = [shakespeare.tokens[number].decode() for number in range(256, 556)]
    assert made[:10] == [" t", "he", "ou", " a", " s", " w", "re", "ha", " the", "in"]
    assert made[10:20] == [" m", "nd", " b", "er", "it", "is", "or", "on", "ll", "es"]
    assert made[-5:] == ["ople", "man", " people", " sir", "res"]
    numbers = shakespeare.encode("First Citizen:\nWe'll speak, thou art naïve.")
    expected = [429, 364, 488, 25, 198, 489, 478, 428, 374, 74, 11, 392, 259, 81, 83, 282, 64]
    assert numbers.tolist() == [*expected, 127, 107, 290, 13]
    assert (numbers.dtype, len(shakespeare), shakespeare.end_of_text) == (tg.int64, 557, 556)


def test_tokens_are_those_of_tiktoken(shakespeare):
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {token: i for i, token in enumerate(shakespeare.tokens[:-1])}
    special = {"<|endoftext|>": shakespeare.end_of_text}
    theirs = tiktoken.Encoding(
        "shakespeare", pat_str=GPT2, mergeable_ranks=ranks, special_tokens=special
    )
    text = data.shakespeare_small()
    assert shakespeare.encode(text).tolist() == theirs.encode(text)


@pytest.mark.parametrize("seed", range(10))
def test_training_joins_the_most_frequent_pair_and_of_those_the_lowest(seed):
    text = "".join(random.Random(seed).choices("aab ", k=300))
    words = [[*word.encode()] for word in split_words(text)]
    numbers = {byte: data.BPE.train("", 0).encode(chr(byte)).item() for byte in b"ab "}
    words = [[numbers[byte] for byte in word] for word in words]
    joined = []
    for number in range(256, 276):  # by counting everything again for each merge
        counts = Counter(pair for word in words for pair in pairwise(word))
        most = max(counts.values(), default=0)
        if most < 2:
            break
        best = min(pair for pair, count in counts.items() if count == most)
        joined.append(best)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [number]
                i += 1
    vocabulary = data.BPE.train(text, 20)
    tokens = vocabulary.tokens
    assert tokens[256:-1] == [tokens[left] + tokens[right] for left, right in joined]
    assert vocabulary.encode(text).tolist() == [number for word in words for number in word]


def test_training_stops_when_no_pair_occurs_twice():
    assert data.BPE.train("ab abc", 100).tokens[256:] == [b"ab", b"<|endoftext|>"]
    assert len(data.BPE.train("", 5)) == len(data.BPE.train("aaaa", 0)) == 257


def test_the_end_of_a_text_is_one_token_and_separates_documents():
    vocabulary = data.BPE.train("ab<|endoftext|>ab<|endoftext|>endoftext", 50)
    assert b"ab" in vocabulary.tokens
    assert vocabulary.end_of_text == len(vocabulary) - 1
    numbers = vocabulary.encode("ab<|endoftext|>ab")
    assert numbers.tolist() == [256, vocabulary.end_of_text, 256]
    assert vocabulary.decode(numbers) == "ab<|endoftext|>ab"


def test_without_a_special_token_its_name_is_text(tmp_path):
    vocabulary = data.BPE.from_files(*written(tmp_path, FIRST_MERGES))
    numbers = vocabulary.encode("<|endoftext|>")
    assert len(numbers) > 10
    assert vocabulary.decode(numbers) == "<|endoftext|>"


# ------------------------------------------------------------------------------ no text is lost


def test_any_text_is_encoded_and_decoded_without_loss(shakespeare):
    for seed in range(10_000):
        text = random_text(seed)
        assert shakespeare.decode(shakespeare.encode(text)) == text


def test_every_character_is_encoded_and_decoded_without_loss(shakespeare):
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)[::17]
    assert shakespeare.decode(shakespeare.encode(text)) == text


def test_a_part_of_a_character_is_decoded_as_the_replacement_character(shakespeare):
    numbers = shakespeare.encode("a😀")
    assert [shakespeare.decode(numbers[:n]) for n in (1, 2, 5)] == ["a", "a\ufffd", "a😀"]
    assert shakespeare.decode(np.arange(256)).count("\ufffd") > 100


@pytest.mark.parametrize("use", [data.BPE.train("", 0).encode, lambda t: data.BPE.train(t, 2)])
def test_a_surrogate_is_refused_in_one_line(use):
    with pytest.raises(ValueError, match=r"'\\ud83d' at position 1 is a surrogate, which UTF-8"):
        use("a\ud83d\ude00")


def test_numbers_outside_the_vocabulary_are_refused(shakespeare):
    with pytest.raises(ValueError, match=r"decode: the numbers must lie in 0 … 556"):
        shakespeare.decode([557])
    with pytest.raises(ValueError, match=r"got float32 of shape \(2,\); decode one row"):
        shakespeare.decode(tg.zeros(2))
    assert shakespeare.decode([]) == ""
    assert shakespeare.encode("").shape == (0,)


# ------------------------------------------------------------------------------ files


def test_saved_files_are_read_again(tmp_path, shakespeare):
    paths = tmp_path / "vocab.json", tmp_path / "merges.txt"
    shakespeare.save(*paths)
    again = data.BPE.from_files(*paths)
    assert again.tokens == shakespeare.tokens
    text = data.shakespeare_small()[:5000] + "<|endoftext|>é"
    assert again.encode(text).tolist() == shakespeare.encode(text).tolist()
    again.save(tmp_path / "v", tmp_path / "m")
    assert [(tmp_path / name).read_bytes() for name in "vm"] == [p.read_bytes() for p in paths]


def test_saved_files_have_gpt2s_form(tmp_path):
    data.BPE.train("the the", 3).save(tmp_path / "v", tmp_path / "m")
    assert (tmp_path / "m").read_text(encoding="utf-8") == "#version: 0.2\nh e\nt he\n"
    numbers = json.loads((tmp_path / "v").read_text())
    assert [*numbers.items()][:2] == [("!", 0), ('"', 1)]
    assert (numbers["Ċ"], numbers["Ġ"], numbers["he"]) == (198, 220, 256)
    assert numbers["<|endoftext|>"] == 258


def test_numbers_of_tokens_may_have_any_order(tmp_path):
    vocab, merges = written(tmp_path, ["h e", "t he"])
    numbers = json.loads(vocab.read_text())
    vocab.write_text(json.dumps({token: 257 - number for token, number in numbers.items()}))
    vocabulary = data.BPE.from_files(vocab, merges)
    assert vocabulary.encode("the").tolist() == [0]
    assert vocabulary.decode(vocabulary.encode("hé")) == "hé"


def test_windows_line_breaks_and_a_missing_version_are_read(tmp_path):
    vocab, merges = written(tmp_path, ["h e", "t he"])
    merges.write_bytes(b"h e\r\nt he\r\n")
    assert data.BPE.from_files(vocab, merges).encode("the").tolist() == [257]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", b"", r"vocab\.json is not JSON: Expecting value"),
        ("vocab.json", b"[" * 100_000, r"vocab\.json is not JSON"),
        ("vocab.json", b"\xff", r"vocab\.json is not text in UTF-8"),
        ("vocab.json", b"[1, 2]", r"vocab\.json is not a JSON object with an integer"),
        ("vocab.json", b'{"a": "b"}', r"vocab\.json is not a JSON object with an integer"),
        ("vocab.json", b'{"a": true}', r"vocab\.json is not a JSON object with an integer"),
        ("vocab.json", b'{"a": 0, "b": 2}', r"the 2 tokens are not numbered from 0 without gaps"),
        ("vocab.json", b'{"a": 0, "b": 0}', r"the 2 tokens are not numbered from 0 without gaps"),
        ("vocab.json", b'{"!": 0}', r"BPE: the byte 34 has no token '\"'"),
        ("merges.txt", b"\xff", r"merges\.txt is not text in UTF-8"),
        ("merges.txt", b"#version: 0.2\nhe", r"merges\.txt, line 2: expected two tokens; got 'he'"),
        ("merges.txt", b"h e t", r"merges\.txt, line 1: expected two tokens; got 'h e t'"),
        ("merges.txt", b" he", r"merges\.txt, line 1: expected two tokens; got ' he'"),
        ("merges.txt", b"h e\nx y", r"the merge x y needs the token 'xy'"),
        ("merges.txt", b"the h", r"the merge the h needs the token 'the'"),
        ("merges.txt", b"h e\nh e", r"the merge h e is listed twice"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, name, content, message):
    paths = written(tmp_path, ["h e"])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        data.BPE.from_files(*paths)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_a_token_of_characters_that_are_no_bytes_is_refused(tmp_path):
    paths = written(tmp_path, [], **{"中": 256})
    with pytest.raises(ValueError, match=r"'中' in the token '中' stands for no byte"):
        data.BPE.from_files(*paths)


def test_a_missing_file_and_a_negative_number_of_merges_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        data.BPE.from_files(tmp_path / "nothing.json", tmp_path / "nothing.txt")
    with pytest.raises(ValueError, match=r"BPE\.train: merges is -1; it must be at least 0"):
        data.BPE.train("a", -1)
