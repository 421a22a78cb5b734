"""Damaged checkpoints: each load gives the right data or our own error, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
import zlib

import numpy as np
import pytest
from damage import KINDS

import tinygrad_gm as tg
from tinygrad_gm import nn, optim
from tinygrad_gm.io import CheckpointError

ROUNDS = 200  # of each kind of damage
PARSING = 16  # bytes that Python's texts and objects take for one of the header, at most


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """What a run would save: weights, moments, options, a position, the state of a generator."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(200, 100), nn.Tanh(), nn.Linear(100, 10))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    model(tg.randn((8, 200))).sum().backward()
    optimizer.step()
    own = {"step": 1, "config": {"lr": 0.1}, "generator": tg.Generator(0).get_state()}
    state = {"run": own, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    path = tmp_path_factory.mktemp("good") / "checkpoint.safetensors"
    tg.save(path, state)
    return path.read_bytes(), described(tg.load(path))


def described(value):
    """A state as something that `==` compares to the bit."""
    if isinstance(value, tg.Tensor):
        return ("tensor", value.dtype.name, value.shape, value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: described(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(described, value))
    return value


def in_the_header(damage):
    """The same damage where a few bytes decide everything: the header and the first numbers."""

    def damaged(content, rng):
        end = 8 + int.from_bytes(content[:8], "little")
        return damage(content[:end], rng) + content[end:]

    return damaged


def load(path):
    """What `tg.load` gives, or None for our own error; it takes no more memory than the file."""
    content = path.read_bytes()
    header = min(int.from_bytes(content[:8], "little"), len(content))
    state, words = None, f"load: {path}"
    tracemalloc.start()
    try:
        state = tg.load(path)
    except CheckpointError as error:
        words = str(error)
    finally:
        _, memory = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert str(path) in words
    assert len(words.splitlines()) == 1
    assert memory < len(content) + PARSING * header + 20_000
    return None if state is None else described(state)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", [*KINDS, *map(in_the_header, KINDS)])
def test_a_thousand_damaged_checkpoints_are_refused_or_harmless(tmp_path, checkpoint, kind):
    content, truth = checkpoint
    rng = np.random.default_rng(KINDS.index(kind) if kind in KINDS else len(KINDS))
    path, refused = tmp_path / "checkpoint.safetensors", 0
    for _ in range(ROUNDS):
        path.write_bytes(kind(content, rng))
        found = load(path)
        refused += found is None
        assert found in (None, truth)
    assert refused > ROUNDS // 2


# ------------------------------------------------- damage with a checksum that is right again


def sealed(header, data):
    """A file of this header and these bytes, its checksum made right where that can be done."""
    crc = zlib.crc32(header["__metadata__"]["tinygrad_gm.tree"].encode())
    types = {"F32": "float32", "F64": "float64", "I64": "int64", "U8": "uint8", "F16": "float16"}
    for name, entry in sorted(header.items()):
        if name != "__metadata__":
            dtype = types.get(entry["dtype"], "bool")
            crc = zlib.crc32(f"\0{name}\0{dtype}\0{entry['shape']}\0".encode(), crc)
            start, end = entry["data_offsets"]
            crc = zlib.crc32(data[max(start, 0) : max(end, 0)], crc)
    header["__metadata__"]["tinygrad_gm.crc32"] = f"{crc:08x}"
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def parts(content):
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def test_a_seal_on_an_undamaged_checkpoint_is_accepted(tmp_path, checkpoint):
    content, truth = checkpoint
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(sealed(*parts(content)))
    assert load(path) == truth


def odd_number(rng):
    return int(rng.choice([-1, 0, 1, 2, 7, 2**16, 2**31, 2**62])) * int(rng.choice([1, 1, 1, 2**9]))


def test_entries_that_lie_under_a_right_checksum_never_crash(tmp_path, checkpoint):
    content, truth = checkpoint
    rng, refused = np.random.default_rng(0), 0
    path = tmp_path / "checkpoint.safetensors"
    for _ in range(ROUNDS):
        header, data = parts(content)
        names = [name for name in header if name != "__metadata__"]
        name, other = (names[i] for i in rng.integers(len(names), size=2))
        change = rng.integers(5)
        if change == 0:
            header[name]["dtype"] = str(rng.choice(["F64", "U8", "BOOL", "BF16", "F8_E4M3", "F16"]))
        elif change == 1:
            header[name]["shape"] = [odd_number(rng) for _ in range(rng.integers(4))]
        elif change == 2:
            header[name]["data_offsets"][rng.integers(2)] = odd_number(rng)
        elif change == 3:
            header[name], header[other] = header[other], header[name]
        else:
            del header[name]
        path.write_bytes(sealed(header, data))
        found = load(path)
        refused += found is None
        assert found is None or set(found) == set(truth)
    assert refused > ROUNDS // 2


def test_trees_that_are_torn_under_a_right_checksum_never_crash(tmp_path, checkpoint):
    content, _ = checkpoint
    rng, refused = np.random.default_rng(0), 0
    path = tmp_path / "checkpoint.safetensors"
    for _ in range(ROUNDS):
        header, data = parts(content)
        tree = header["__metadata__"]["tinygrad_gm.tree"]
        start, end = sorted(rng.integers(len(tree), size=2))
        if rng.random() < 0.5:  # a change that often is still JSON
            start = tree.index(str(rng.choice(["$tensor", "$dict", "$tuple", "params", "[", "0"])))
            end = start + int(rng.integers(1, 9))
        piece = rng.choice(["", "[", "{", '"', "0", "null", "[" * 5000, '{"$tensor":', '"$tuple'])
        header["__metadata__"]["tinygrad_gm.tree"] = tree[:start] + str(piece) + tree[end:]
        path.write_bytes(sealed(header, data))
        refused += load(path) is None
    assert refused > ROUNDS // 2
