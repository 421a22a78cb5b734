"""`save` and `load`: nested dicts of Tensors and plain values in one `.safetensors` file.

A file is written under a temporary name in the same folder and then renamed, so the path holds
either the complete old file or the complete new one. The metadata have two entries of this package.
`tinygrad_gm.tree` is the nested dict as JSON, in which each array is replaced by its name: the path
of its keys, joined by "/". `tinygrad_gm.crc32` is a checksum of the tree and of the name, dtype,
shape and bytes of every array, which detects damage. Nothing is unpickled.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np

from . import backend
from .engine.record import Traced
from .tensor import Tensor

PathLike: TypeAlias = str | os.PathLike[str]

_TREE, _CRC = "tinygrad_gm.tree", "tinygrad_gm.crc32"
_LARGEST_HEADER = 100_000_000  # bytes; the limit of the format's other readers
_MOST_AXES = 64  # of a NumPy array
_CODES = {
    **{"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
}
SIZES = {  # bytes of an element, by the codes that a file may contain
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "C64": 8, "BOOL": 1},
    **{f"{kind}{bits}": bits // 8 for kind in "IU" for bits in (8, 16, 32, 64)},
    **{f"F8_{kind}": 1 for kind in ("E4M3", "E5M2", "E8M0", "E4M3FNUZ", "E5M2FNUZ")},
}
_DTYPES = {code: np.dtype(name).newbyteorder("<") for name, code in _CODES.items()} | {
    "BF16": np.dtype("<u2"),  # not in NumPy; widened after reading
    "BOOL": np.dtype("u1"),  # checked after reading
}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, such as a .npz file, or a file of PyTorch, which "
    "`tinygrad-gm convert` reads",
    b"\x93NUMPY": "a .npy file of NumPy",
    b"\x80": "a pickle, which is not supported",
    b"\x89HDF": "an HDF5 file",
}


class CheckpointError(ValueError):
    """A file that is damaged, truncated, or of another kind."""


def save(path: PathLike, state: Mapping[Any, Any]) -> None:
    """Write a dict to a `.safetensors` file, replacing an existing one.

    Args:
        path: path of the file; its folder must exist.
        state: a dict of Tensors, arrays, numbers, strings, None, and lists, tuples and dicts of
            these. The names of a plain state dict are the names in the file, for other programs.

    Raises:
        TypeError: `state` contains another type.
        ValueError: two arrays would have the same name, or the dict contains itself.
        OSError: the file cannot be written; an existing one is unchanged.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> tg.save(path, {"model": {"w": tg.ones(2)}, "step": 3, "betas": (0.9, 0.999)})
    >>> tg.load(path)
    {'model': {'w': tensor([1., 1.], shape=(2,), dtype=float32)}, 'step': 3, 'betas': (0.9, 0.999)}
    """
    if isinstance(path, Mapping):
        raise TypeError("save: the path comes first: tg.save(path, state)")
    if not isinstance(state, Mapping):
        raise TypeError(
            f"save: expected a dict, such as model.state_dict(); got a {type(state).__name__}"
        )
    arrays: dict[str, Any] = {}
    try:
        tree = json.dumps(_encode(state, (), arrays))
    except RecursionError:
        raise ValueError("save: the dict is nested too deeply or contains itself") from None
    contents = {
        name: Content(_CODES[array.dtype.name], array.shape, [array.data])
        for name, array in arrays.items()
    }
    write_arrays(path, {_TREE: tree, _CRC: _checksum(tree, arrays)}, contents)


def load(path: PathLike) -> dict[Any, Any]:
    """Read the dict written by `save`, or a flat dict of Tensors from any `.safetensors` file.

    The Tensors are on the CPU and require no gradient. Half-precision arrays of other programs
    (BF16, F16) are converted to float32, which is exact; float16 arrays of `save` stay float16.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: it is truncated, damaged, or not a `.safetensors` file, or has an
            unsupported dtype, such as F8_E4M3.
    """
    metadata, arrays = _read(path)
    if not {_TREE, _CRC} & set(metadata):
        return {name: Tensor._of(_widened(array)) for name, array in arrays.items()}
    try:
        tree = metadata[_TREE]
        sound = metadata[_CRC] == _checksum(tree, arrays)
    except (KeyError, ValueError) as error:
        raise _damaged(path, "its metadata are incomplete") from error
    if not sound:
        raise _damaged(path, "its contents differ from its checksum")
    try:
        state = _decode(json.loads(tree), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, "its tree does not fit its arrays") from error
    if not isinstance(state, dict):
        raise _damaged(path, "its tree is not a dict")
    return state


class Content(NamedTuple):
    """An array of a `.safetensors` file."""

    code: str  # its dtype, a key of `SIZES`
    shape: tuple[int, ...]
    parts: Iterable[Any]  # its bytes in C order, little-endian, as one or more buffers

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * SIZES[self.code]


def write_arrays(
    path: PathLike, metadata: Mapping[str, str], contents: Mapping[str, Content]
) -> None:
    """Write a `.safetensors` file by `replacing`; the parts of each array are read once, in order.

    Raises:
        ValueError: the names and shapes take more than the format's limit of 100 MB.
        OSError: the file cannot be written; an existing one is unchanged.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    wide_first = sorted(contents, key=lambda name: -SIZES[contents[name].code])  # for alignment
    end = 0
    for name in wide_first:
        code, shape, _ = contents[name]
        start, end = end, end + contents[name].nbytes
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _LARGEST_HEADER:
        raise ValueError(f"names and shapes have {len(text)} bytes; at most {_LARGEST_HEADER}")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in wide_first:
            for part in contents[name].parts:
                file.write(part)


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """A block with a temporary path to write to, which is renamed to `path` at the end.

    The contents are on the disk before the file is renamed, and the name before the block ends.
    After an exception `path` is unchanged. A symbolic link is kept, and its target is replaced; the
    new file has the permissions of the old one. A path that is not a regular file, such as
    `/dev/stdout`, is written to directly.
    """
    target = Path(os.path.realpath(path))
    temporary: Path | None = None
    try:
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.exists() and not target.is_file():
            yield target
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        temporary = _temporary(target)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        _take_over(temporary, target)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def write_file(path: PathLike, content: str | bytes) -> None:
    """Write a file by `replacing`; text in UTF-8, with its line endings."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def append(path: PathLike, file: BinaryIO, line: bytes) -> None:
    """Append a complete line to an unbuffered file, or nothing if an OSError is raised.

    Args:
        path: path of the file, for the message.
        file: the file, opened with mode "ab" and `buffering=0`.
        line: the line, with a line feed at its end.
    """
    start = os.fstat(file.fileno()).st_size
    try:
        rest = memoryview(line)
        while rest:  # a full disk may accept only a part
            rest = rest[file.write(rest) :]
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(file.fileno(), start)
        raise failure(f"cannot write {path}", error) from error


def failure(what: str, error: OSError) -> OSError:
    """An error of the same type, with a message in one line that begins with `what`."""
    return type(error)(f"{what}: {(error.strerror or str(error)).lower()}")


def replaced_by(temporary: str) -> str | None:
    """The name of the file that a temporary file of `replacing` was for; None for other names.

    >>> replaced_by(".curves.png.0123456789abcdef.tmp"), replaced_by(".notes.tmp")
    ('curves.png', None)
    """
    found = re.fullmatch(r"\.(.+)\.[0-9a-f]+\.tmp", temporary)
    return found and found[1]


def _temporary(target: Path) -> Path:
    """Create an empty file with a unique name in the folder of `target`."""
    while True:
        path = target.with_name(f".{target.name[:40]}.{os.urandom(8).hex()}.tmp")
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path


def _take_over(temporary: Path, target: Path) -> None:
    """Give a new file the owner and the permissions of the file that it replaces."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "chown"):
        with suppress(OSError):  # only the superuser may change the owner
            os.chown(temporary, old.st_uid, old.st_gid)
    os.chmod(temporary, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ----------------------------------------------------------------------- the tree as JSON


def _encode(value: Any, path: tuple[str, ...], arrays: dict[str, Any]) -> Any:
    """Convert `value` to JSON, with its arrays moved to `arrays` and replaced by their names."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_encode(entry, (*path, str(i)), arrays) for i, entry in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": _encode(list(value), path, arrays)}
    if isinstance(value, Mapping):
        pairs = [
            (_key(key, path), _encode(entry, (*path, str(key)), arrays))
            for key, entry in value.items()
        ]
        plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs)
        return dict(pairs) if plain else {"$dict": pairs}
    kind = "$tensor" if isinstance(value, Traced) else "$array"
    array = value._data if isinstance(value, Traced) else value
    name = "/".join(path)
    if not hasattr(array, "dtype") or getattr(array.dtype, "name", "") not in _CODES:
        what = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"save: {name!r} has type {what}, which cannot be saved")
    if name in arrays or name == "__metadata__":
        raise ValueError(
            f"save: {name!r} is reserved or occurs twice in the file; rename the entry"
        )
    array = backend.to_device(array, "cpu")
    arrays[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return {kind: name}


def _key(key: Any, path: tuple[str, ...]) -> Any:
    if not isinstance(key, (str, int)):
        place = "/".join(path) or "the dict"
        raise TypeError(f"save: a key of {place} is {key!r}; expected a string or an int")
    return key


def _decode(tree: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(tree, list):
        return [_decode(entry, arrays) for entry in tree]
    if not isinstance(tree, dict):
        return tree
    content: Any
    tag, content = next(iter(tree.items())) if len(tree) == 1 else ("", None)
    if tag == "$tensor":
        return Tensor._of(arrays[content])
    if tag == "$array":
        return arrays[content]
    if tag == "$tuple":
        return tuple(_decode(content, arrays))
    pairs = content if tag == "$dict" else tree.items()
    return {key: _decode(entry, arrays) for key, entry in pairs}


# -------------------------------------------------------------------- checks of the file


def _checksum(tree: str, arrays: Mapping[str, Any]) -> str:
    """CRC-32 of the tree, and of the name, dtype, shape and bytes of each array, sorted by name."""
    crc = zlib.crc32(tree.encode())
    for name, array in sorted(arrays.items()):
        crc = zlib.crc32(f"\0{name}\0{array.dtype.name}\0{list(array.shape)}\0".encode(), crc)
        crc = zlib.crc32(array, crc)
    return f"{crc:08x}"


def _read(path: PathLike) -> tuple[dict[str, str], dict[str, Any]]:
    """Read the metadata and arrays. Memory is allocated after the size of the file is checked."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header, start = _read_header(path, file, size)
            metadata, entries = _checked(path, header, start, size)
            return metadata, {entry.name: _read_array(path, file, entry) for entry in entries}
    except FileNotFoundError:
        raise FileNotFoundError(f"load: {path} does not exist") from None
    except OSError as error:
        raise failure(f"load: cannot read {path}", error) from error


class _Entry(NamedTuple):
    """The entry of an array in the header."""

    name: str
    code: str
    shape: tuple[int, ...]
    start: int
    end: int


def _read_header(path: PathLike, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header, and the position of the data."""
    mark = file.read(8)
    length = int.from_bytes(mark, "little")
    text = file.read(min(length, _LARGEST_HEADER, size))
    for beginning, kind in _FOREIGN.items():
        if mark.startswith(beginning) and not text.startswith(b"{"):
            raise CheckpointError(f"load: {path} is {kind}; expected a .safetensors file")
    if size < 8 or text[:1] not in (b"{", b""):
        raise CheckpointError(f"load: {path} ({size} bytes) is not a .safetensors file")
    if length > _LARGEST_HEADER:
        raise _damaged(
            path, f"its header has {length} bytes; at most {_LARGEST_HEADER} are allowed"
        )
    if len(text) < length:
        raise _cut_off(path, size, 8 + length)
    try:
        return json.loads(text, object_pairs_hook=_without_repetition), 8 + length
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not readable") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return found


def _checked(
    path: PathLike, header: dict[str, Any], begin: int, size: int
) -> tuple[dict[str, str], list[_Entry]]:
    """The metadata and the entries, which must fill the file without gap or overlap."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _damaged(path, "its header is not readable")
    entries, end = [], 0
    for name, fields in header.items():
        try:
            (start, stop), shape = fields["data_offsets"], tuple(fields["shape"])
            entry = _Entry(name, fields["dtype"], shape, start, stop)
            whole = all(type(n) is int and n >= 0 for n in (start, stop, *shape))
            known = entry.code in _DTYPES
        except (TypeError, KeyError, ValueError) as error:
            raise _damaged(path, "its header is not readable") from error
        if not whole or len(shape) > _MOST_AXES:
            raise _damaged(path, f"the shape or the position of {name!r} is invalid")
        if not known:
            raise CheckpointError(
                f"load: {name!r} in {path} has dtype {entry.code}, which is not supported; save it "
                "as float32 with the program that wrote it"
            )
        entries.append(entry)
    entries.sort(key=lambda entry: (entry.start, entry.end))
    for entry in entries:
        expected = math.prod(entry.shape) * _DTYPES[entry.code].itemsize
        if entry.start != end or entry.end - entry.start != expected:
            raise _damaged(path, f"the position of {entry.name!r} does not fit its shape")
        end = entry.end
    if size < begin + end:
        raise _cut_off(path, size, begin + end)
    if size > begin + end:
        raise _damaged(path, f"it has {size - begin - end} extra bytes at its end")
    return metadata, entries


def _read_array(path: PathLike, file: BinaryIO, entry: _Entry) -> Any:
    dtype = _DTYPES[entry.code]
    try:
        array = np.empty(entry.shape, dtype)
    except (ValueError, OverflowError) as error:  # an axis of 0 and one that is too long
        raise _damaged(path, f"{entry.name!r} has an impossible shape") from error
    if array.size and file.readinto(array.data) != array.nbytes:  # type: ignore[attr-defined]
        raise CheckpointError(f"load: {path} was truncated while it was read")
    if entry.code == "BF16":  # the upper half of a float32's bits
        array = array.astype("<u4")
        array <<= 16
        return array.view("<f4")
    if entry.code == "BOOL":
        if (array > 1).any():
            raise _damaged(path, f"{entry.name!r} has bytes that are neither true nor false")
        return array.view(bool)
    return array


def _widened(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _damaged(path: PathLike, how: str) -> CheckpointError:
    return CheckpointError(f"load: {path} is damaged: {how}")


def _cut_off(path: PathLike, size: int, wanted: int) -> CheckpointError:
    return CheckpointError(f"load: {path} is truncated: it has {size} bytes of {wanted}")
