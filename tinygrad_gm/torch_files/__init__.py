"""`convert`: the tensors of a file by `torch.save`, in a `.safetensors` file, bit for bit.

A file of PyTorch (since 1.6) is a zip archive of uncompressed entries in one folder:

    data.pkl       a pickle of what was saved, without the elements of the tensors
    data/0 …       the elements: one entry per storage, as plain bytes
    byteorder      "little" or "big"; little where it is missing

In the pickle a storage is a persistent identifier: ("storage", its type, its key, a device, its
number of elements). A tensor is a call, with a storage, an offset, a shape and strides: a window on
the storage. Tensors that share memory share a storage.

- `pickle_machine.py`: what a pickle is, and an interpreter of pickles that runs no code.
- `tensors.py`: the names that a pickle may use here.
- `archive.py`: the archive, and the elements of the tensors.

Sizes are checked before elements are read. A storage has the size that the pickle states, a tensor
is within its storage, and storages do not overlap. They are read one at a time, so memory stays
within the size of the file. A tensor of strides 0 may have more elements than its storage, and many
tensors may share one: at most 16 times the size of the file and 16 MiB are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..io import CheckpointError, PathLike, failure, write_arrays
from .archive import Archive
from .pickle_machine import ForbiddenNameError, Pairs
from .tensors import StoredTensor

_MOST_LEVELS = 100  # of nested dicts and lists


class Report(NamedTuple):
    """What `convert` has done."""

    tensors: list[str]  # their names in the new file
    nbytes: int  # their size
    left_out: list[str]  # names of values that are not tensors


def convert(source: PathLike, target: PathLike) -> Report:
    """Write the tensors of a file by `torch.save` to a `.safetensors` file.

    No code of the file is run. Keys of nested dicts, and positions in lists and tuples, are joined
    by dots: {"model": {"w": …}} gives "model.w". A tensor that was saved without a dict is
    named "tensor". Tensors that share memory are written separately. Values that are not tensors,
    such as the number of an epoch or the options of an optimizer, are left out and reported.

    Args:
        source: path of a file of PyTorch 1.6 or newer: state dicts, or dicts and lists of them.
        target: path of the new file, which is replaced if it exists.

    Raises:
        CheckpointError: `source` is damaged or of another kind, contains objects other than tensors
            and plain values (the error names their type), or a tensor that `.safetensors` cannot
            hold, such as a quantised or a sparse one.
        OSError: a file cannot be read or written; an existing `target` is unchanged.

    >>> tg.torch_files.convert("resnet18.pth", "resnet18.safetensors")     # doctest: +SKIP
    """
    try:
        with open(source, "rb") as file:
            archive = Archive(file)
            names = _Names(16 * archive.entry("data.pkl").file_size)
            left_out = names.collect(archive.unpickled(), "", 0)
            if not names.tensors:
                raise ValueError("it contains no tensor")
            contents = archive.contents(names.tensors)
            write_arrays(target, {"format": "pt"}, contents)
    except OSError as error:
        if error.errno is None:
            raise  # of the target: its message says so
        raise failure(f"cannot read {source}", error) from None
    except ForbiddenNameError as error:
        advice = "no code of a file is run; with PyTorch, save a state dict"
        raise CheckpointError(f"cannot convert {source}: {error} ({advice})") from None
    except ValueError as error:
        raise CheckpointError(f"cannot convert {source}: {error}") from None
    nbytes = sum(content.nbytes for content in contents.values())
    return Report(list(names.tensors), nbytes, left_out)


class _Names:
    """The tensors in nested dicts and lists, by their dotted names.

    `budget` is the number of characters in all names, and of entries, that are looked at: a few
    bytes of a pickle can build a dict that contains itself, or dicts of the same dict.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.tensors: dict[str, StoredTensor] = {}

    def collect(self, value: Any, name: str, level: int) -> list[str]:
        """Collect the tensors in a value; return the names of the values that are left out."""
        if isinstance(value, StoredTensor):
            name = name or "tensor"
            if name in self.tensors or name == "__metadata__":
                raise ValueError(f"the name {name!r:.100} is reserved or occurs twice")
            self.tensors[name] = value
            return []
        if level == _MOST_LEVELS:
            raise ValueError(f"its dicts and lists are nested in more than {_MOST_LEVELS} levels")
        self.spend(len(value) if isinstance(value, (Pairs, list, tuple)) else 0)
        before, left_out, plain = len(self.tensors), [], []
        for key, entry in _entries(value):
            if isinstance(entry, (Pairs, list, tuple, StoredTensor)):
                left_out += self.collect(entry, self.joined(name, key), level + 1)
            else:
                plain.append(key)
        if len(self.tensors) == before:
            return [name] if value else []
        return left_out + [self.joined(name, key) for key in plain]

    def joined(self, name: str, key: Any) -> str:
        if type(key) not in (str, int):
            place = f"{name!r:.100}" if name else "its dict"
            raise ValueError(f"a key of {place} is a {type(key).__name__}, not a string")
        full = f"{name}.{key}" if name else str(key)
        self.spend(len(full) + 1)
        return full

    def spend(self, amount: int) -> None:
        self.budget -= amount
        if self.budget < 0:
            raise ValueError("its dicts contain themselves, or their names are too long")


def _entries(value: Any) -> Iterable[tuple[Any, Any]]:
    """The keys and values of a dict, or the positions and values of a list or tuple."""
    if isinstance(value, Pairs):
        return value
    return enumerate(value) if isinstance(value, (list, tuple)) else ()
