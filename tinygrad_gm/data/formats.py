"""Readers of the file formats of data sets: IDX, CIFAR's binary records, `.npz`.

A truncated, damaged or wrong file raises a ValueError that names it.
"""

from __future__ import annotations

import gzip
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_CIFAR_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes


def read_idx(path: Path) -> Any:
    """Read the array in an IDX file, plain or compressed with gzip (LeCun, Cortes, Burges: MNIST).

    The file is two zero bytes, a code for the dtype, the number of axes, their lengths as
    big-endian 32-bit numbers, and the entries in row-major order.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_DTYPES:
        raise ValueError(f"{path} is not an IDX file: its first bytes are {content[:4]!r}")
    if content[3] > 64:
        raise ValueError(
            f"{path} is damaged: its header has {content[3]} axes; NumPy's arrays have at most 64"
        )
    dtype, start = np.dtype(_IDX_DTYPES[content[2]]), 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    wanted = start + math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise ValueError(
            f"{path} is damaged: it has {len(content)} bytes; the shape in its header, {shape}, "
            f"needs {wanted}"
        )
    with _naming(path):
        return np.frombuffer(content[start:], dtype).reshape(shape)


def read_cifar(path: Path) -> tuple[Any, Any, Any, Any]:
    """CIFAR-10's training images and labels, and its test images and labels.

    Args:
        path: path of the archive `cifar-10-binary.tar.gz`, or of `data_batch_1.bin` in a folder
            with the other five files.

    Returns:
        Images of shape (N, 3, 32, 32) and labels of shape (N,), both uint8.
    """
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    if path.suffix == ".gz":
        contents = _members(path)
    else:
        beside = [path.with_name(name) for name in names]
        contents = {file.name: file.read_bytes() for file in beside if file.is_file()}
    if absent := [name for name in names if name not in contents]:
        place = path if path.suffix == ".gz" else path.parent
        raise ValueError(f"{place} is not the complete CIFAR-10: missing {', '.join(absent)}")
    parts = [_cifar_records(contents[name], f"{name} of {path}") for name in names]
    train = np.concatenate(parts[:-1])
    return *_cifar_arrays(train), *_cifar_arrays(parts[-1])


def read_npz(path: Path, shapes: Mapping[str, tuple[int | None, ...]]) -> list[Any]:
    """Read arrays by name from an `.npz` file; None in a shape matches any length."""
    content = path.read_bytes()
    with _naming(path):
        if not content.startswith(b"PK"):  # `np.load` accepts other files, too
            raise ValueError("it is not a zip archive")
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in shapes if name in arrays}
    for name, shape in shapes.items():
        if name not in found:
            raise ValueError(f"{path} has no array {name!r}")
        lengths = found[name].shape
        if len(lengths) != len(shape) or any(
            wanted not in (None, length) for length, wanted in zip(lengths, shape, strict=True)
        ):
            wanted = str(shape).replace("None", "N")
            raise ValueError(f"{path}: {name!r} has the shape {lengths}; expected {wanted}")
        if found[name].dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name!r} holds {found[name].dtype}, not numbers")
    return list(found.values())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Convert errors of NumPy, gzip, tar and zip into one that names the file."""
    bad = (ValueError, LookupError, EOFError, OSError, RuntimeError)
    try:
        yield
    except (*bad, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged, or of another kind: {error}") from error


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    with _naming(path):
        return gzip.decompress(content) if path.suffix == ".gz" else content


def _members(path: Path) -> dict[str, bytes]:
    """The contents of the files in a `.tar.gz`, by their names without folders."""
    content = _content(path)  # read completely: gzip's checksum is at the end
    with _naming(path), tarfile.open(fileobj=BytesIO(content), mode="r:") as archive:
        files = {Path(m.name).name: archive.extractfile(m) for m in archive if m.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def _cifar_records(content: bytes, name: str) -> Any:
    if not content or len(content) % _CIFAR_RECORD:
        raise ValueError(
            f"{name} is damaged: its size, {len(content)} bytes, is not a multiple of the record "
            f"size, {_CIFAR_RECORD}"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD)


def _cifar_arrays(records: Any) -> tuple[Any, Any]:
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
