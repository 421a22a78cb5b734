"""Byte-level byte-pair encoding: the tokens of GPT-2, read from its files or learned from a text.

A text is cut into words, and each word into the bytes of its UTF-8 encoding. Merges then join
neighbouring tokens, the first merge first, until none applies (Sennrich et al. 2016, "Neural
Machine Translation of Rare Words with Subword Units"). Every byte is a token, so every text can be
encoded (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2).
"""

from __future__ import annotations

import heapq
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from ..backend import ArrayLike
from ..creation import place
from ..io import PathLike, replacing
from ..tensor import Tensor
from .text import decodable, read_text

END_OF_TEXT = "<|endoftext|>"

Pair: TypeAlias = tuple[int, int]  # two neighbouring tokens, by their numbers

# ------------------------------------------------------------------------------ words

# Unicode's White_Space; Python's \s has U+001C to U+001F too.
_SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


class _Kinds(dict[int, str]):
    """Each character's kind, for `str.translate`: "A" for letters, "0" for numbers, a line break
    for spaces, "!" for others. The characters that GPT-2's pattern names stand for themselves.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character in "' sdmtlver":
            kind = character
        elif character in _SPACES:
            kind = "\n"
        else:
            kind = {"L": "A", "N": "0"}.get(unicodedata.category(character)[0], "!")
        self[code] = kind
        return kind


_KINDS = _Kinds()
# GPT-2's '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ for kinds
_WORD = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[Asdmtlver]+| ?0+| ?['!]+|\s+(?!\S)|\s+")


def split_words(text: str) -> Iterator[str]:
    """Cut a text into GPT-2's words: contractions, and runs of letters, numbers, other characters
    and spaces, each with the space before it. Joined, they are the text.

    Letters and numbers are Unicode's categories L and N, in the version that Python has.

    >>> list(split_words("We're 21,  she said."))
    ['We', "'re", ' 21', ',', ' ', ' she', ' said', '.']
    """
    for match in _WORD.finditer(text.translate(_KINDS)):
        yield text[match.start() : match.end()]


# ------------------------------------------------------------------------------ bytes in files

# GPT-2's files write a token as text: one visible character per byte, a space as Ġ.
_VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_OTHERS = sorted({*range(256)} - {*_VISIBLE})
_LETTERS = {byte: chr(byte) for byte in _VISIBLE} | {
    byte: chr(256 + i) for i, byte in enumerate(_OTHERS)
}  # in the order of GPT-2's first 256 tokens
_BYTES = {letter: byte for byte, letter in _LETTERS.items()}


class BPE:
    """A vocabulary of byte sequences, and the merges that build them.

    `BPE.train(text, merges)` learns one, `BPE.from_files(vocab, merges)` reads one. Like
    `Characters`, it encodes a text as integers and decodes them.

    The text `<|endoftext|>` is encoded as the special token of that name, if there is one.

    Args:
        numbers: number of each token, 0 … len − 1, the tokens written as in GPT-2's `vocab.json`.
        merges: pairs of tokens to join, the first one first.

    Attributes:
        tokens: the bytes of each token.
        end_of_text: number of `<|endoftext|>`; None: there is no such token.

    Raises ValueError if a byte has no token, or a merge names or makes a token that is missing.

    >>> vocabulary = tg.data.BPE.train("low lower lowest slow slower", merges=4)
    >>> numbers = vocabulary.encode("slowest")
    >>> [vocabulary.tokens[number] for number in numbers.tolist()]
    [b's', b'lowe', b's', b't']
    >>> vocabulary.decode(numbers), len(vocabulary)
    ('slowest', 261)
    """

    def __init__(self, numbers: dict[str, int], merges: list[tuple[str, str]]) -> None:
        self._written = sorted(numbers, key=numbers.__getitem__)
        if [numbers[token] for token in self._written] != [*range(len(numbers))]:
            raise ValueError(f"BPE: the {len(numbers)} tokens are not numbered from 0 without gaps")
        for byte, letter in _LETTERS.items():
            if letter not in numbers:
                raise ValueError(f"BPE: the byte {byte} has no token {letter!r}")
        self._byte_numbers = [numbers[_LETTERS[byte]] for byte in range(256)]
        self._merges: dict[Pair, tuple[int, int]] = {}  # pair → its rank, and the joined token
        for left, right in merges:
            for token in (left, right, left + right):
                if token not in numbers:
                    raise ValueError(f"BPE: the merge {left} {right} needs the token {token!r}")
            pair = numbers[left], numbers[right]
            if pair in self._merges:
                raise ValueError(f"BPE: the merge {left} {right} is listed twice")
            self._merges[pair] = len(self._merges), numbers[left + right]
        self.tokens = [_bytes(token) for token in self._written]
        self.end_of_text = numbers.get(END_OF_TEXT)
        self._words: dict[str, list[int]] = {}  # each word that has been encoded

    @classmethod
    def train(cls, text: str, merges: int) -> BPE:
        """Learn merges from a text.

        Each merge joins the most frequent pair of neighbouring tokens within words; among equally
        frequent pairs, the one with the lowest number on the left, then on the right. A pair must
        occur twice, so a short text may give fewer merges. The numbers are GPT-2's: first the
        bytes, then the merges, then `<|endoftext|>`, which in the text separates documents.

        Raises ValueError if `merges` is negative, and for a text that `encode` refuses.
        """
        if merges < 0:
            raise ValueError(f"BPE.train: merges is {merges}; it must be at least 0")
        _check_unicode("BPE.train", text)
        frequencies = Counter(
            word for document in text.split(END_OF_TEXT) for word in split_words(document)
        )
        byte_numbers = {byte: number for number, byte in enumerate(_LETTERS)}
        words = [[byte_numbers[byte] for byte in word.encode()] for word in frequencies]
        written, pairs = [*_LETTERS.values()], []
        for left, right in _most_frequent_pairs(words, [*frequencies.values()], merges):
            pairs.append((written[left], written[right]))
            written.append(written[left] + written[right])
        return cls({token: i for i, token in enumerate([*written, END_OF_TEXT])}, pairs)

    @classmethod
    def from_files(cls, vocab: PathLike, merges: PathLike) -> BPE:
        """Read a vocabulary in the form of GPT-2's.

        Args:
            vocab: path of `vocab.json`, the number of each token.
            merges: path of `merges.txt`, a merge per line after the line `#version: 0.2`.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or they do not fit together.
        """
        numbers, pairs = _read_vocabulary(vocab), _read_merges(merges)
        try:
            return cls(numbers, pairs)
        except ValueError as error:
            raise ValueError(f"{vocab} and {merges} are no vocabulary: {error}") from None

    def save(self, vocab: PathLike, merges: PathLike) -> None:
        """Write the two files that `from_files` reads, replacing existing ones."""
        numbers = {token: number for number, token in enumerate(self._written)}
        lines = [f"{self._written[left]} {self._written[right]}\n" for left, right in self._merges]
        contents = {vocab: json.dumps(numbers), merges: "".join(["#version: 0.2\n", *lines])}
        for path, content in contents.items():
            with replacing(path) as temporary, open(temporary, "wb") as file:
                file.write(content.encode())

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> Tensor:
        """Convert a text to tokens: int64 of shape (T,).

        Raises ValueError for a surrogate, a code point that is no character.
        """
        _check_unicode("encode", text)
        special = self.end_of_text
        numbers: list[int] = []
        for i, document in enumerate([text] if special is None else text.split(END_OF_TEXT)):
            if i and special is not None:
                numbers.append(special)
            for word in split_words(document):
                numbers += self._words.get(word) or self._encode_word(word)
        return place(np.array(numbers, np.int64))

    def decode(self, numbers: ArrayLike) -> str:
        """Convert tokens (one axis) back to a text. Bytes that are not UTF-8, such as those of a
        part of a character, become � (U+FFFD).
        """
        found = b"".join(self.tokens[number] for number in decodable(numbers, len(self)))
        return found.decode(errors="replace")

    def _encode_word(self, word: str) -> list[int]:
        numbers = [self._byte_numbers[byte] for byte in word.encode()]
        last = len(self._merges), 0
        while len(numbers) > 1:
            pair = min(pairwise(numbers), key=lambda pair: self._merges.get(pair, last))
            if pair not in self._merges:
                break
            numbers = _join(numbers, pair, self._merges[pair][1])
        self._words[word] = numbers
        return numbers


def _most_frequent_pairs(
    words: list[list[int]], frequencies: list[int], most: int
) -> Iterator[Pair]:
    """The pairs to join, each as token 256, 257, …; the words are changed.

    A merge changes few words, so the counts of the pairs are kept, and the heap gets an entry for
    each new count. An entry whose count is no longer right is skipped.
    """
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)  # words that have, or had, the pair
    for i, word in enumerate(words):
        for pair in pairwise(word):
            counts[pair] += frequencies[i]
            places[pair].add(i)
    heap = [(-count, pair) for pair, count in counts.items() if count > 1]
    heapq.heapify(heap)
    made = 0
    while heap and made < most:
        negative, pair = heapq.heappop(heap)
        if counts[pair] != -negative:
            continue
        yield pair
        changed = set()
        for i in places.pop(pair):
            before, words[i] = words[i], _join(words[i], pair, 256 + made)
            for old in pairwise(before):
                counts[old] -= frequencies[i]
                changed.add(old)
            for new in pairwise(words[i]):
                counts[new] += frequencies[i]
                places[new].add(i)
                changed.add(new)
        for other in changed:
            if counts[other] > 1:
                heapq.heappush(heap, (-counts[other], other))
        made += 1


def _join(numbers: list[int], pair: Pair, joined: int) -> list[int]:
    """Replace each occurrence of a pair, from the left."""
    found: list[int] = []
    for number in numbers:
        if found and (found[-1], number) == pair:
            found[-1] = joined
        else:
            found.append(number)
    return found


def _bytes(token: str) -> bytes:
    """The bytes of a token that is written with a character per byte."""
    if unknown := [letter for letter in token if letter not in _BYTES]:
        raise ValueError(f"BPE: {unknown[0]!r} in the token {token!r} stands for no byte")
    return bytes(_BYTES[letter] for letter in token)


def _check_unicode(operation: str, text: str) -> None:
    """Raise ValueError if a text has a surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{operation}: {text[error.start]!r} at position {error.start} is a surrogate, which "
            "UTF-8 cannot encode"
        ) from None


def _read_vocabulary(path: PathLike) -> dict[str, int]:
    try:
        numbers = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(numbers, dict) or any(type(number) is not int for number in numbers.values()):
        raise ValueError(f"{path} is not a JSON object with an integer for each token")
    return numbers


def _read_merges(path: PathLike) -> list[tuple[str, str]]:
    pairs = []
    for i, line in enumerate(read_text(path).split("\n"), 1):
        if line and not (i == 1 and line.startswith("#version")):
            left, _, right = line.partition(" ")
            if not (left and right) or " " in right:
                raise ValueError(f"{path}, line {i}: expected two tokens; got {line!r}")
            pairs.append((left, right))
    return pairs
