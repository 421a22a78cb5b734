"""Mutated PyTorch files: each gives the right tensors or one error, in bounded memory."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from damage import KINDS as KINDS_OF_DAMAGE
from torch_archives import archive, arrays, entries, expected, written_by_pytorch

from tinygrad_gm.io import CheckpointError
from tinygrad_gm.torch_files import convert

PADDING = 40_000  # bytes of a storage, so that damage in elements occurs too
OBJECTS = 60_000  # bytes of Python's objects for the pickle and the directory of the example


def example() -> bytes:
    """The file of PyTorch, with a larger storage at the end of one of its entries."""
    parts = entries(written_by_pytorch())
    noise = np.random.default_rng(0).integers(0, 256, PADDING, np.uint8).tobytes()
    return archive({**parts, "data/0": parts["data/0"] + noise})


def an_odd_byte(content, rng):
    """A byte that often means something in a pickle or in a header."""
    place = int(rng.integers(len(content)))
    return (
        content[:place]
        + bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF, *b"(]}ch0bRQt."])])
        + content[place + 1 :]
    )


KINDS = (*KINDS_OF_DAMAGE, an_odd_byte)


def anywhere(damage, content, rng):
    """Damage in the file, of which most is in the storage."""
    return damage(content, rng)


def in_the_directory(damage, content, rng):
    """Damage in what follows the storages: the last entries and the directory of the archive."""
    start = content.rindex(b"PK\x01\x02", 0, content.index(b"PK\x01\x02") + 4)
    return content[:start] + damage(content[start:], rng)


def in_the_pickle(damage, content, rng):
    """Damage in the pickle, with checksums that are right again."""
    parts = entries(content)
    return archive({**parts, "data.pkl": damage(parts["data.pkl"], rng)})


def outcome(content, folder):
    """The arrays, or None for our error; no more memory is used than the file has."""
    source, target = folder / "in.pth", folder / "out.safetensors"
    target.unlink(missing_ok=True)
    source.write_bytes(content)
    words, done = str(source), False
    tracemalloc.start()
    try:
        convert(source, target)
        done = True
    except CheckpointError as error:
        words = str(error)
    finally:
        _, memory = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert str(source) in words
    assert len(words.splitlines()) == 1
    assert len(words) < len(str(source)) + 400
    assert memory < len(content) + OBJECTS
    assert done == target.exists()
    assert len(list(folder.iterdir())) == 1 + done
    return arrays(target) if done else None


def mutated(count, place, tmp_path):
    """Convert files with seeded damage; return the number refused, and of all."""
    content, refused = example(), 0
    for kind, damage in enumerate(KINDS):
        rng = np.random.default_rng(kind)
        for _ in range(count):
            found = outcome(place(damage, content, rng), tmp_path)
            refused += found is None
            if place is not in_the_pickle:  # where another pickle is as right as the first
                assert found in (None, expected())
    return refused, count * len(KINDS)


PLACES = [anywhere, in_the_directory, in_the_pickle]


@pytest.mark.parametrize("place", PLACES)
def test_mutated_files_give_the_right_tensors_or_one_error(tmp_path, place):
    refused, count = mutated(10, place, tmp_path)
    assert refused > count // 4


@pytest.mark.slow
def test_a_thousand_mutated_files_give_the_right_tensors_or_one_error(tmp_path):
    found = [mutated(50, place, tmp_path) for place in PLACES]
    assert sum(count for _, count in found) > 1000
    assert all(refused > count // 4 for refused, count in found)


def test_the_undamaged_example_is_converted(tmp_path):
    assert outcome(example(), tmp_path) == expected()


def test_no_pickle_is_loaded_by_python(tmp_path, monkeypatch):
    def forbidden(*arguments, **options):
        raise AssertionError("Python's unpickler was used")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    assert outcome(example(), tmp_path) == expected()


def test_a_large_file_of_many_small_storages_takes_the_memory_of_one(tmp_path):
    parts = entries(written_by_pytorch())
    big = bytes(3_000_000)
    content = archive({**parts, "data/0": parts["data/0"] + big, "data/2": parts["data/2"] + big})
    (tmp_path / "in.pth").write_bytes(content)
    tracemalloc.start()
    convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    _, memory = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert memory < 3_200_000
    assert arrays(tmp_path / "out.safetensors") == expected()
