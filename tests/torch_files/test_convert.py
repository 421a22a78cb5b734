"""`convert`: the tensors of a PyTorch file bit for bit, limits of what is written, refusals."""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import struct
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from torch_archives import archive, arrays, entries, expected, of_pickle, written_by_pytorch

import tinygrad_gm as tg
from tinygrad_gm.app import cli
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.torch_files import convert


def converted(content, tmp_path):
    """Convert a file of this content; return the report and the arrays of the new file."""
    (tmp_path / "in.pth").write_bytes(content)
    report = convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    return report, arrays(tmp_path / "out.safetensors")


# ------------------------------------------------------------- pickles, written by hand


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(shape, strides, *, key="0", kind="FloatStorage", length=6, offset=0, rest=b""):
    """The call that makes a tensor."""
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
    window = number(offset) + numbers(shape) + numbers(strides) + b"\x89N" + rest
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(length) + b"tQ" + window + b"tR"
    )


def named(**values):
    """The pickle of a dict."""
    return b"}(" + b"".join(text(name) + value for name, value in values.items()) + b"u."


SIX = np.arange(6, dtype="<f4").tobytes()


# ------------------------------------------------------------- right files


def test_a_file_of_pytorch_is_converted_bit_for_bit(tmp_path):
    report, found = converted(written_by_pytorch(), tmp_path)
    assert found == expected()
    assert report.tensors == list(expected())
    assert report.nbytes == sum(len(data) for _, _, data in expected().values())
    assert report.left_out == ["options", "epoch", "device", "dtype"]


def test_the_new_file_is_read_here_and_by_others(tmp_path):
    program = named(weight=tensor([2, 3], [3, 1]), bias=tensor([2], [1], offset=4))
    converted(of_pickle(program, **{"0": SIX}), tmp_path)
    path = tmp_path / "out.safetensors"
    for found in (tg.load(path), safetensors.numpy.load_file(path)):
        assert np.asarray(found["weight"]).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert np.asarray(found["bias"]).tolist() == [4, 5]
    header = path.read_bytes()[8:]
    assert json.JSONDecoder().raw_decode(header.decode("latin1"))[0]["__metadata__"] == {
        "format": "pt"
    }


def test_bytes_of_a_big_endian_machine_are_swapped(tmp_path):
    parts = entries(written_by_pytorch())
    parts["byteorder"] = b"big"
    state = pickle_order(parts["data.pkl"])
    for key, unit in state.items():
        parts[f"data/{key}"] = np.frombuffer(parts[f"data/{key}"], f"u{unit}").byteswap().tobytes()
    assert converted(archive(parts), tmp_path)[1] == expected()


def pickle_order(program):
    """The keys of the storages of the example, and the size of the numbers in them."""
    sizes = {"FloatStorage": 4, "LongStorage": 8, "BFloat16Storage": 2, "HalfStorage": 2}
    sizes |= {"UntypedStorage": 1, "DoubleStorage": 8, "ShortStorage": 2, "BoolStorage": 1}
    sizes |= {"ComplexFloatStorage": 4}
    found, kind, memo, last = {}, None, {}, None
    for code, value, _ in pickletools.genops(program):
        if code.name == "BINPUT":
            memo[value] = last
            continue
        last = memo.get(value) if code.name == "BINGET" else value
        if isinstance(last, str) and last.split()[-1:] and last.split()[-1] in sizes:
            kind = sizes[last.split()[-1]]
        elif kind and isinstance(last, str) and last.isdigit():
            found[last], kind = kind, None
    return found


def test_a_missing_byte_order_means_little(tmp_path):
    parts = entries(written_by_pytorch())
    del parts["byteorder"]
    assert converted(archive(parts), tmp_path)[1] == expected()


def test_lists_tuples_and_dicts_give_dotted_names(tmp_path):
    one = tensor([1], [1])
    inner = b"}" + text("w") + one + b"s"
    program = named(
        a=b"](" + one + inner + b"e", b=one + b"\x85", c=b"K\x01", d=b"](K\x01e", e=b"}"
    )
    report, found = converted(of_pickle(program, **{"0": SIX}), tmp_path)
    assert list(report.tensors) == ["a.0", "a.1.w", "b.0"]
    assert set(found) == set(report.tensors)
    assert report.left_out == ["d", "c"]


def test_integers_are_keys_too(tmp_path):
    program = b"}(K\x07" + tensor([1], [1]) + b"u."
    assert converted(of_pickle(program, **{"0": SIX}), tmp_path)[0].tensors == ["7"]


def test_every_window_on_a_storage_is_copied_as_numpy_sees_it(tmp_path):
    rng = np.random.default_rng(0)
    memory = rng.integers(0, 2**32, 4000, np.uint32)
    windows = {}
    for count in range(200):
        shape = tuple(rng.integers(1, 7, rng.integers(0, 5)).tolist())
        strides = tuple(int(rng.choice([0, 1, 2, 5, 30, 100])) for _ in shape)
        windows[f"w{count}"] = shape, strides, int(rng.integers(0, 900))
    program = named(**{n: tensor(s, t, offset=o, length=4000) for n, (s, t, o) in windows.items()})
    _, found = converted(of_pickle(program, **{"0": memory.tobytes()}), tmp_path)
    for name, (shape, strides, offset) in windows.items():
        places = np.full(shape, offset)
        for axis, stride in enumerate(strides):
            steps = stride * np.arange(shape[axis])
            places = places + steps.reshape(-1, *[1] * (len(shape) - axis - 1))
        assert found[name] == ("F32", shape, memory[places].tobytes())


def test_large_tensors_that_are_not_contiguous_are_copied_in_parts(tmp_path):
    memory = np.arange(300 * 700, dtype="<f4")
    program = named(w=tensor([700, 300], [1, 700], length=memory.size))
    _, found = converted(of_pickle(program, **{"0": memory.tobytes()}), tmp_path)
    assert found["w"] == ("F32", (700, 300), memory.reshape(300, 700).T.tobytes())


# ------------------------------------------------------------- limits

BILLION = [2**15, 2**15]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (named(w=tensor([7], [1])), "element 6 of a storage of 6 elements"),
        (named(w=tensor([2, 2], [5, 1])), "element 6 of a storage"),
        (named(w=tensor([1], [1], offset=6)), "element 6 of a storage"),
        (named(w=tensor([1], [1], offset=-1)), "shape or the strides of a tensor are invalid"),
        (named(w=tensor([-1], [1])), "invalid"),
        (named(w=tensor([2], [-1])), "invalid"),
        (named(w=tensor([2, 3], [1])), "shape and the strides of a tensor do not fit"),
        (named(w=tensor([1] * 65, [1] * 65)), "do not fit"),
        (named(w=tensor([2**40, 0], [2**40, 1], length=7)), "storage '0' is shorter"),
        (named(w=tensor([1], [1], length=2**62)), "storage '0' is shorter than it says"),
        (named(w=tensor([1], [1], kind="DoubleStorage")), "storage '0' is shorter"),
        (named(w=tensor([1], [1], length=-1)), "storage '0' is shorter"),
        (named(w=tensor([1], [1], key="1")), "no entry 'data/1'"),
        (named(w=tensor([1], [1], key="../data.pkl")), "no entry"),
        (named(w=tensor(BILLION, [0, 0])), r"would take 4294967296 bytes; at most \d+"),
        (named(**{f"w{i}": tensor([2**10] * 2, [0, 0]) for i in range(9)}), "would take 377"),
        (named(w=tensor([1], [1], kind="float32")), "description of a storage is damaged"),
        (named(w=tensor([1], [1], rest=b"}" + text("neg") + b"\x88s")), "lazy conjugate"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "description of a tensor is damaged"),
        (b"ctorch._utils\n_rebuild_tensor_v3\n)R.", "description of a tensor is damaged"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n)R.", "description of a tensor is damaged"),
        (b"ctorch._utils\n_rebuild_parameter\n)R.", "no arguments"),
        (b"NQ.", "description of a storage is damaged"),
        (named(__metadata__=tensor([1], [1])), "name '__metadata__' is reserved"),
        (
            named(**{"a.b": tensor([1], [1]), "a": b"}" + text("b") + tensor([1], [1]) + b"s"}),
            "twice",
        ),
        (b"}N" + tensor([1], [1]) + b"s.", "a key of its dict is a NoneType"),
        (b"}" + text("a") + b"}\x88" + tensor([1], [1]) + b"ss.", "of 'a' is a bool"),
        (named(n=b"K\x01"), "no tensor"),
        (b"K\x01.", "no tensor"),
        (b"N" * 2**24 + b".", r"pickle has 16777217 bytes; at most 16777216 are read"),
        (b"]" * 200 + text("x" * 5000) + b"a" * 200 + b".", "nested in more than 100 levels"),
        (b"]q\x00h\x00a.", "nested in more than|contain themselves"),
    ],
)
def test_what_lies_or_explodes_is_refused_and_nothing_is_written(tmp_path, program, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        converted(of_pickle(program, **{"0": SIX}), tmp_path)
    assert str(tmp_path / "in.pth") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.pth"]


@pytest.mark.parametrize(("keys", "leaf"), [(("a", "b"), tensor([1], [1])), (("", ""), b"K\x01")])
def test_dicts_of_the_same_dict_do_not_explode(tmp_path, keys, leaf):
    first, second = map(text, keys)
    program = b"}" + text("w") + leaf + b"sq\x00"
    for level in range(1, 60):  # each names the one before twice: 2^59 names
        inner = b"h" + bytes([level - 1])
        program += b"0}(" + first + inner + second + inner + b"uq" + bytes([level])
    with pytest.raises(CheckpointError, match="contain themselves, or their names are too long"):
        converted(of_pickle(program + b".", **{"0": SIX}), tmp_path)


def test_a_long_list_that_is_used_over_and_over_takes_no_quadratic_time(tmp_path):
    program = b"](" + b"N" * 1000 + b"eq\x00" + b"0](" + b"h\x00" * 1000 + b"e."
    with pytest.raises(CheckpointError, match="contain themselves, or their names are too long"):
        converted(of_pickle(program), tmp_path)
    program = b"cargparse\nNamespace\n(" + b"N" * 1000 + b"tR."
    with pytest.raises(CheckpointError, match=r"arguments of argparse\.Namespace are not a short"):
        converted(of_pickle(program), tmp_path)


def test_calls_in_calls_do_not_overflow_the_stack(tmp_path):
    inner = b"ctorch._tensor\n_rebuild_from_type_v2\n"
    nested = b"".join(b"(" + inner + b"N" for _ in range(5000)) + b")" + b"Nt" * 5000
    with pytest.raises(CheckpointError):
        converted(of_pickle(inner + nested + b"R."), tmp_path)


def test_storages_that_overlap_in_the_file_are_refused(tmp_path):
    """Many entries that claim the same bytes would make a small file take long to read."""
    program = named(**{f"w{i}": tensor([1], [1], key=str(i), length=25000) for i in range(8)})
    content = of_pickle(program, **{str(i): bytes(100_000 if i == 0 else 4) for i in range(8)})
    (tmp_path / "in.pth").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "in.pth") as made:
        infos = {info.filename: info for info in made.infolist()}
    first = infos["archive/data/0"]
    for i in range(1, 8):  # change the directory: sizes, checksum and offset are those of data/0
        name = f"archive/data/{i}".encode()
        place = content.rindex(name) - 46
        fields = struct.pack("<III", first.CRC, first.compress_size, first.file_size)
        content = content[: place + 16] + fields + content[place + 28 :]
        content = (
            content[: place + 42] + struct.pack("<I", first.header_offset) + content[place + 46 :]
        )
    with pytest.raises(CheckpointError, match="entries overlap"):
        converted(content, tmp_path)


# ------------------------------------------------------------- files of other kinds


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a zip archive"),
        (b"hello", "not a zip archive"),
        (written_by_pytorch()[:-30], "not a zip archive, or a truncated one"),
        (pickle.dumps({"a": 1}), r"pickle, as PyTorch wrote before version 1\.6"),
        (bytes(257) + b"ustar" + bytes(900), "tar archive"),
        (b"\x08" + bytes(7) + b'{"a":{}}', "a .safetensors file already"),
        (archive({"weights.npy": b""}), "zip archive, but not one of PyTorch"),
        (
            archive({"data.pkl": b"N.", "constants.pkl": b"N.", "code/__torch__.py": b""}),
            "TorchScript archive",
        ),
        (archive({"data.pkl": b"N." * 100}, zipfile.ZIP_DEFLATED), "compressed or encrypted"),
        (archive({"data.pkl": b"N.", "byteorder": b"middle"}), "neither little nor big"),
    ],
)
def test_other_files_are_told_apart(tmp_path, content, words):
    with pytest.raises(CheckpointError, match=words):
        converted(content, tmp_path)


def test_our_reader_of_safetensors_names_the_command_for_files_of_pytorch(tmp_path):
    (tmp_path / "in.pth").write_bytes(written_by_pytorch())
    with pytest.raises(CheckpointError, match="file of PyTorch, which `tinygrad-gm convert` reads"):
        tg.load(tmp_path / "in.pth")


# ------------------------------------------------------------- the command


def run(capsys, *argv):
    try:
        code = cli.main(["convert", *map(str, argv)])
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


def test_the_command_says_what_it_wrote_and_what_it_left_out(capsys, tmp_path):
    (tmp_path / "in.pth").write_bytes(written_by_pytorch())
    code, out, err = run(capsys, tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.endswith("out.safetensors: 15 tensors, 260 bytes")
    assert second == "left out, not tensors: options, epoch, device, dtype"
    assert arrays(tmp_path / "out.safetensors") == expected()


def test_the_command_refuses_an_attack_with_its_name_and_writes_nothing(capsys, tmp_path):
    content = of_pickle(b"cposix\nsystem\n" + text(f"touch {tmp_path}/called") + b"\x85R.")
    (tmp_path / "in.pth").write_bytes(content)
    code, out, err = run(capsys, tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert (code, out) == (2, "")
    assert "it asks for posix.system" in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.pth"]


def test_the_command_imports_no_module_that_a_file_names(capsys, tmp_path):
    (tmp_path / "in.pth").write_bytes(of_pickle(b"cantigravity\ngeohash\n)R."))
    assert run(capsys, tmp_path / "in.pth", tmp_path / "out.safetensors")[0] == 2
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["missing.pth", "out.safetensors"], 1, "cannot read missing.pth: no such file"),
        ([".", "out.safetensors"], 1, r"cannot read \.: is a directory"),
        (["in.pth", "folder/out.safetensors"], 1, "cannot write folder/out.safetensors: no such"),
        (["in.pth", "in.pth"], 2, "the output file is the input file"),
        (["in.pth"], 2, "required: OUT.safetensors"),
    ],
)
def test_other_failures_are_one_line(capsys, tmp_path, monkeypatch, argv, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.pth").write_bytes(written_by_pytorch())
    found, out, err = run(capsys, *argv)
    assert (found, out, len(err.splitlines())) == (code, "", 1)
    assert re.search(words, err)
    assert (tmp_path / "in.pth").read_bytes() == written_by_pytorch()


def test_an_old_output_file_is_kept_if_the_input_is_damaged_in_its_last_storage(tmp_path):
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"old")
    program = named(a=tensor([1], [1]), b=tensor([6], [1], key="1"))
    content = bytearray(of_pickle(program, **{"0": SIX, "1": SIX[::-1]}))
    content[content.index(SIX[::-1]) + 3] ^= 1
    (tmp_path / "in.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="'data/1' differs from its checksum"):
        convert(tmp_path / "in.pth", target)
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"in.pth", "out.safetensors"}
