"""Files: what is saved comes back, other programs read it, and damage is noticed."""

from __future__ import annotations

import json
import os
import stat
import zlib

import numpy as np
import pytest
import safetensors.numpy

import tinygrad_gm as tg
from tinygrad_gm.io import CheckpointError, replacing


def example():
    return {
        "model": {"fc.weight": tg.arange(6.0).reshape(2, 3), "fc.bias": tg.zeros(2)},
        "optimizer": {
            "state": {0: {"step": 3, "moment": tg.ones((2, 3), tg.float64)}, 1: {}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "decay": None}],
        },
        "counts": np.array([[1, 2]], np.int16),
        "flags": [True, "ü", -1, 0.1, float("inf")],
        "$odd": {"$tensor": "not one"},
        "scalar": tg.tensor(2.5),
        "empty": tg.zeros((0, 3)),
        "half": tg.ones(3, tg.float16),
        "mask": tg.tensor([True, False, True]),
        "number": np.float32(0.5),
    }


def same(ours, theirs):
    if isinstance(theirs, np.generic):
        return type(ours) is type(theirs.item()) and ours == theirs
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, (tg.Tensor, np.ndarray)):
        a, b = np.asarray(ours), np.asarray(theirs)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return ours == theirs


def test_a_nested_state_comes_back_with_its_types_order_and_bits(tmp_path):
    tg.save(tmp_path / "state", example())
    assert same(tg.load(tmp_path / "state"), example())


def test_what_is_loaded_is_writable_and_not_tied_to_the_file(tmp_path):
    path = tmp_path / "state"
    tg.save(path, {"w": tg.ones(3)})
    before = path.read_bytes()
    loaded = tg.load(path)["w"]
    loaded[0] = 7.0
    assert path.read_bytes() == before
    assert not loaded.requires_grad


def test_another_reader_finds_a_plain_state_dict_under_its_own_names(tmp_path):
    state = {"fc.weight": tg.arange(6.0).reshape(2, 3), "fc.bias": tg.ones(2, tg.float64)}
    tg.save(tmp_path / "model.safetensors", state)
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert set(arrays) == {"fc.weight", "fc.bias"}
    assert all((arrays[name] == state[name].numpy()).all() for name in state)


def test_nested_names_are_joined_by_slashes_in_the_file(tmp_path):
    tg.save(tmp_path / "state", {"model": {"w": tg.ones(1)}, "all": [{"m": tg.ones(1)}]})
    assert set(safetensors.numpy.load_file(tmp_path / "state")) == {"model/w", "all/0/m"}


def test_a_file_of_another_program_gives_a_flat_dict_of_tensors(tmp_path):
    arrays = {"a/b": np.arange(4.0), "c": np.array([[1, 2]], np.uint8)}
    safetensors.numpy.save_file(arrays, tmp_path / "other", {"format": "pt"})
    loaded = tg.load(tmp_path / "other")
    assert set(loaded) == set(arrays)
    assert all(isinstance(loaded[name], tg.Tensor) for name in arrays)
    assert all((loaded[name].numpy() == arrays[name]).all() for name in arrays)


def test_arrays_in_any_memory_order_and_byte_order_are_saved_by_value(tmp_path):
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    views = {"t": x.T, "step": x[:, ::2, ::-1], "big": x.astype(">f4"), "nhwc": x.swapaxes(0, 2)}
    tg.save(tmp_path / "views", views)
    loaded = tg.load(tmp_path / "views")
    assert all((loaded[name] == views[name]).all() for name in views)


def test_the_checksum_is_the_crc_32_that_the_documentation_describes(tmp_path):
    tg.save(tmp_path / "state", {"b": tg.ones(2), "a": tg.zeros((1, 2), tg.int64)})
    data = (tmp_path / "state").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header["__metadata__"]
    text = metadata["tinygrad_gm.tree"].encode()
    text += b"\0a\0int64\0[1, 2]\0" + np.zeros(2, np.int64).tobytes()
    text += b"\0b\0float32\0[2]\0" + np.ones(2, np.float32).tobytes()
    assert metadata["tinygrad_gm.crc32"] == f"{zlib.crc32(text):08x}"


def test_equal_states_make_equal_files(tmp_path):
    tg.save(tmp_path / "one", example())
    tg.save(tmp_path / "two", example())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_every_array_in_the_file_is_aligned_to_its_items(tmp_path):
    tg.save(tmp_path / "state", example())
    data = (tmp_path / "state").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    sizes = {"F64": 8, "F32": 4, "F16": 2, "I16": 2, "BOOL": 1}
    assert length % 8 == 0
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % sizes[entry["dtype"]] == 0


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path):
    state = {"w": tg.randn((4, 5), generator=tg.Generator(0)), "step": 3}
    path = tmp_path / "state"
    tg.save(path, state)
    good = path.read_bytes()
    rng, noticed = np.random.default_rng(0), 0
    for _ in range(1000):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert same(tg.load(path), state)
        except CheckpointError:
            noticed += 1
    assert noticed > 900


def test_a_file_cut_off_at_any_byte_is_refused(tmp_path):
    path = tmp_path / "state"
    tg.save(path, {"w": tg.ones(3), "step": 3})
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            tg.load(path)


def test_a_cut_off_file_is_called_that(tmp_path):
    path = tmp_path / "state"
    tg.save(path, {"w": tg.ones(300)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"state is cut off: it has \d+ bytes of \d+"):
        tg.load(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a .safetensors file"),
        (b"hello, I am a text file and nothing else", "not a .safetensors file"),
        (b"PK\x03\x04" + bytes(40), "zip archive"),
        (b"\x80\x04\x95" + bytes(40), "pickle"),
        (b"\x93NUMPY\x01\x00" + bytes(40), "npy"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
        ((2**40).to_bytes(8, "little") + b'{"a":1}', "header claims 1099511627776 bytes"),
        ((7).to_bytes(8, "little") + b'{"a":1}', "header is not readable"),
        ((8).to_bytes(8, "little") + b'{"a": "b', "header is not readable"),
        ((2).to_bytes(8, "little") + b"[]", "not a .safetensors file"),
    ],
)
def test_foreign_and_damaged_files_are_told_apart(tmp_path, content, words):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        tg.load(tmp_path / "file")


def test_a_dtype_that_numpy_lacks_is_named(tmp_path):
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(4)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"'w' in .* has the dtype BF16"):
        tg.load(tmp_path / "file")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere"):
        tg.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match="cannot read"):
        tg.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot write .*no/state: no such file"):
        tg.save(tmp_path / "no" / "state", {})
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"cannot write .*not a directory"):
        tg.save(tmp_path / "file" / "state", {})


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        (tg.ones(2), TypeError, r"model\.state_dict\(\), not a Tensor"),
        ({"model": {"layer": object()}}, TypeError, "'model/layer' is of the type object"),
        ({"names": np.array(["a"])}, TypeError, "'names' is of the type <U1"),
        ({"z": np.array([1j])}, TypeError, "'z' is of the type complex128"),
        ({"a": {1.5: 2}}, TypeError, r"a key of a is 1\.5"),
        ({"a/b": tg.ones(1), "a": {"b": tg.ones(1)}}, ValueError, "'a/b' is not free"),
        ({"__metadata__": tg.ones(1)}, ValueError, "not free"),
    ],
)
def test_what_cannot_be_saved_is_named_and_leaves_the_older_file(tmp_path, state, error, words):
    path = tmp_path / "state"
    tg.save(path, {"old": tg.ones(1)})
    with pytest.raises(error, match=words):
        tg.save(path, state)
    assert list(tg.load(path)) == ["old"]
    assert os.listdir(tmp_path) == ["state"]


def test_arguments_in_pytorchs_order_get_a_hint(tmp_path):
    with pytest.raises(TypeError, match=r"tg\.save\(path, state\)"):
        tg.save({"w": tg.ones(1)}, tmp_path / "state")


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "state"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["state"]


def test_contents_are_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    events = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, real=real, name=name: (events.append(name), real(*args))
        )
    tg.save(tmp_path / "state", {"w": tg.ones(1)})
    assert events == ["fsync", "replace", "fsync"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_saved_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    tg.save(tmp_path / "state", {})
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "state")]
    assert modes[0] == modes[1]
