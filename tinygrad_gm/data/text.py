"""Texts for character models, and the vocabulary that maps characters to integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..backend import ArrayLike
from ..creation import place
from ..io import PathLike
from ..tensor import Tensor, asarray
from .files import RemoteFile, fetch

_NAMES = RemoteFile(
    "names.txt",
    "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    (
        "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
        "https://raw.githubusercontent.com/karpathy/makemore/988aa59/names.txt",
    ),
)
_SHAKESPEARE = RemoteFile(
    "tinyshakespeare.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "https://raw.githubusercontent.com/jcjohnson/torch-rnn/master/data/tiny-shakespeare.txt",
    ),
)


def names() -> list[str]:
    """32,033 first names in lower case, the most common first (US SSA; Karpathy's makemore).

    Read from `names.txt`, which is downloaded (228 kB) if missing; FileNotFoundError if that fails.

    >>> tg.data.names()[:3]                                                # doctest: +SKIP
    ['emma', 'olivia', 'ava']
    """
    return read_text(fetch(_NAMES)).split()


def shakespeare() -> str:
    """1,115,394 characters from Shakespeare's plays, 65 different ones (Karpathy's char-rnn).

    Read from `tinyshakespeare.txt`, which is downloaded (1.1 MB) if missing; FileNotFoundError if
    that fails. Usually the first 90 % are used for training.

    >>> tg.data.shakespeare()[:14]                                         # doctest: +SKIP
    'First Citizen:'
    """
    return read_text(fetch(_SHAKESPEARE))


class Characters:
    """The vocabulary of a text: its different characters, numbered in order of their code points.

    Args:
        text: a text that contains every character of the vocabulary.

    Attributes:
        symbols: the characters; character i is `symbols[i]`.

    >>> vocabulary = tg.data.Characters("hello")
    >>> vocabulary.symbols, len(vocabulary)
    ('ehlo', 4)
    >>> numbers = vocabulary.encode("hole")
    >>> numbers.tolist(), vocabulary.decode(numbers)
    ([1, 3, 2, 0], 'hole')
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("Characters: expected a text of at least one character")
        self.symbols = "".join(sorted(set(text)))
        self._codes = _codes(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Tensor:
        """Convert a text to integers: int64 of shape (len(text),).

        Raises ValueError for a character that is not in the vocabulary.
        """
        if unknown := sorted(set(text) - set(self.symbols)):
            raise ValueError(f"encode: {unknown[0]!r} is not in the vocabulary {self.symbols!r}")
        return place(np.searchsorted(self._codes, _codes(text)).astype(np.int64))

    def decode(self, numbers: ArrayLike) -> str:
        """Convert integers (one axis) back to a text."""
        return "".join(self.symbols[number] for number in decodable(numbers, len(self)))


def decodable(numbers: ArrayLike, size: int) -> list[int]:
    """The integers to decode with a vocabulary of a size; ValueError unless they are one row."""
    row = asarray(numbers).numpy()
    if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
        raise ValueError(
            f"decode: expected integers of shape (T,); got {row.dtype} of shape {row.shape}; "
            "decode one row at a time"
        )
    if row.size and not 0 <= row.min() <= row.max() < size:
        raise ValueError(f"decode: the numbers must lie in 0 … {size - 1}")
    found: list[int] = row.tolist()
    return found


def read_text(path: PathLike) -> str:
    """Read a UTF-8 file, without a byte order mark."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from None


def _codes(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
