"""Files: what is saved comes back, other programs read it, and damage is noticed."""

from __future__ import annotations

import json
import os
import stat
import zlib
from contextlib import suppress

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
    with pytest.raises(CheckpointError, match=r"state is truncated: it has \d+ bytes of \d+"):
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
        ((2**40).to_bytes(8, "little") + b'{"a":1}', "header has 1099511627776 bytes"),
        ((7).to_bytes(8, "little") + b'{"a":1}', "header is not readable"),
        ((8).to_bytes(8, "little") + b'{"a": "b', "header is not readable"),
        ((2).to_bytes(8, "little") + b"[]", "not a .safetensors file"),
    ],
)
def test_foreign_and_damaged_files_are_told_apart(tmp_path, content, words):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        tg.load(tmp_path / "file")


def write(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype, shape, start, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4", "C64"])
def test_a_dtype_that_is_not_supported_is_named(tmp_path, dtype):
    path = write(tmp_path / "file", {"w": entry(dtype, [2], 0, 2)}, bytes(2))
    with pytest.raises(CheckpointError, match=rf"'w' in .* has dtype {dtype}, which is not"):
        tg.load(path)


def test_bfloat16_of_another_program_becomes_float32_exactly(tmp_path):
    # sign, 8 bits of exponent, 7 of fraction: 1 + 2^-7, -2, the largest, the smallest, inf, nan
    bits = np.array([0x3F81, 0xC000, 0x7F7F, 0x0001, 0xFF80, 0x7FC0], "<u2")
    path = write(tmp_path / "file", {"w": entry("BF16", [2, 3], 0, 12)}, bits.tobytes())
    w = tg.load(path)["w"]
    assert w.dtype == tg.float32
    largest, smallest = (2 - 2.0**-7) * 2.0**127, 2.0**-133
    expected = [[1 + 2.0**-7, -2.0, largest], [smallest, -np.inf, np.nan]]
    assert np.array_equal(w.numpy(), np.array(expected, np.float32), equal_nan=True)


def test_float16_of_another_program_becomes_float32_and_ours_stays(tmp_path):
    values = np.array([1.5, -65504.0, 2.0**-24], np.float16)
    safetensors.numpy.save_file({"w": values}, tmp_path / "other")
    w = tg.load(tmp_path / "other")["w"]
    assert w.dtype == tg.float32
    assert w.tolist() == values.tolist()
    tg.save(tmp_path / "ours", {"w": tg.tensor(values)})
    assert tg.load(tmp_path / "ours")["w"].dtype == tg.float16


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"w": entry("F32", [2], 0, 8)}, bytes(7), r"truncated: it has \d+ bytes of \d+"),
        ({"w": entry("F32", [2], 0, 8)}, bytes(9), "it has 1 extra bytes at its end"),
        ({"w": entry("F32", [3], 0, 8)}, bytes(8), "the position of 'w' does not fit its shape"),
        ({"w": entry("F32", [2], 4, 12)}, bytes(12), "the position of 'w' does not fit its shape"),
        ({"w": entry("F32", [2], 8, 0)}, bytes(8), "the position of 'w' does not fit its shape"),
        ({"w": entry("F32", [-2], 0, 8)}, bytes(8), "the shape or the position of 'w' is invalid"),
        ({"w": entry("F32", [2.0], 0, 8)}, bytes(8), "the shape or the position of 'w' is invalid"),
        (
            {"w": entry("F32", [True], 0, 4)},
            bytes(4),
            "the shape or the position of 'w' is invalid",
        ),
        (
            {"w": entry("U8", [1] * 65, 0, 1)},
            bytes(1),
            "the shape or the position of 'w' is invalid",
        ),
        ({"w": entry("U8", [2**80, 0], 0, 0)}, b"", "'w' has an impossible shape"),
        ({"w": entry("U8", [0, 2**62, 2**62], 0, 0)}, b"", "'w' has an impossible shape"),
        ({"w": entry("F32", [2**60], 0, 2**62)}, b"", "is truncated"),
        ({"w": entry("BOOL", [2], 0, 2)}, b"\1\2", "'w' has bytes that are neither"),
        ({"w": {"dtype": "F32", "shape": [1]}}, bytes(4), "header is not readable"),
        ({"w": entry("F32", 1, 0, 4)}, bytes(4), "header is not readable"),
        ({"w": entry(["F32"], [1], 0, 4)}, bytes(4), "header is not readable"),
        ({"w": [1]}, bytes(4), "header is not readable"),
        ({"__metadata__": {"step": 3}}, b"", "header is not readable"),
        (b'{"w":' * 100_000, b"", "header is not readable"),
        (b'{"w":' + b"[" * 500_000, b"", "header is not readable"),
        (b'{"\xff": 1}', b"", "header is not readable"),
        (
            b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
            b'"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
            bytes(1),
            "header is not readable",
        ),
        (
            {"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)},
            bytes(3),
            "the position of 'b' does not fit its shape",
        ),
        (
            {"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 3, 5)},
            bytes(5),
            "the position of 'b' does not fit its shape",
        ),
    ],
)
def test_a_header_that_does_not_fit_the_file_is_refused(tmp_path, header, data, words):
    with pytest.raises(CheckpointError, match=words):
        tg.load(write(tmp_path / "file", header, data))


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ("[1]", "its tree is not a dict"),
        ('{"a": {"$tensor": "b"}}', "its tree does not fit its arrays"),
        ('{"a": {"$tensor": ["w"]}}', "its tree does not fit its arrays"),
        ('{"a": {"$tuple": 3}}', "its tree does not fit its arrays"),
        ('{"a": {"$dict": [[1, 2, 3]]}}', "its tree does not fit its arrays"),
        ("{", "its tree does not fit its arrays"),
        ("[" * 100_000, "its tree does not fit its arrays"),
        ('{"a":' * 900 + "1" + "}" * 900, None),
        ("\ud800", "its metadata are incomplete"),
    ],
)
def test_a_tree_that_does_not_fit_its_file_is_refused_though_its_checksum_is_right(
    tmp_path, tree, words
):
    text = tree.encode("utf-8", "replace") + b"\0w\0uint8\0[1]\0\1"
    metadata = {"tinygrad_gm.tree": tree, "tinygrad_gm.crc32": f"{zlib.crc32(text):08x}"}
    header = {"__metadata__": metadata, "w": entry("U8", [1], 0, 1)}
    path = write(tmp_path / "file", header, b"\1")
    if words is None:  # as deep as it may be for one Python, and too deep for another
        with suppress(CheckpointError):
            tg.load(path)
        return
    with pytest.raises(CheckpointError, match=words):
        tg.load(path)


def test_a_file_that_lost_one_of_our_two_entries_is_not_taken_for_a_foreign_one(tmp_path):
    tg.save(tmp_path / "state", {"w": tg.ones(1)})
    good = (tmp_path / "state").read_bytes()
    for name in (b"tinygrad_gm.tree", b"tinygrad_gm.crc32"):
        (tmp_path / "state").write_bytes(good.replace(name, name[:-1] + b"X"))
        with pytest.raises(CheckpointError, match="its metadata are incomplete"):
            tg.load(tmp_path / "state")


def test_a_state_that_contains_itself_is_refused(tmp_path):
    state = {}
    state["state"] = state
    with pytest.raises(ValueError, match="contains itself"):
        tg.save(tmp_path / "state", state)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.* does not exist"):
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
        (tg.ones(2), TypeError, r"model\.state_dict\(\); got a Tensor"),
        ({"model": {"layer": object()}}, TypeError, "'model/layer' has type object"),
        ({"names": np.array(["a"])}, TypeError, "'names' has type <U1"),
        ({"z": np.array([1j])}, TypeError, "'z' has type complex128"),
        ({"a": {1.5: 2}}, TypeError, r"a key of a is 1\.5"),
        (
            {"a/b": tg.ones(1), "a": {"b": tg.ones(1)}},
            ValueError,
            "'a/b' is reserved or occurs twice",
        ),
        ({"__metadata__": tg.ones(1)}, ValueError, "'__metadata__' is reserved"),
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
