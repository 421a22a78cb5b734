"""Locate the files of a data set: in the user's folder, in the cache, or by download. A file is
searched for in `$TINYGRAD_GM_DATA`, then in `cache_folder()`, and otherwise downloaded into the
latter. It appears there only when it is complete and has the expected checksum.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..io import replacing


class RemoteFile(NamedTuple):
    """A file that can be downloaded: its name, checksum and URLs."""

    name: str
    sha256: str
    urls: tuple[str, ...]


def cache_folder() -> Path:
    """The folder of downloaded files: `~/.cache/tinygrad_gm` by default. It is in `$XDG_CACHE_HOME`
    if that is set, in `~/Library/Caches` on macOS, and in `%LOCALAPPDATA%` on Windows.
    """
    home = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}.get(sys.platform, "~/.cache")
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or home).expanduser() / "tinygrad_gm"


def find(*names: str) -> Path | None:
    """Return the first existing file, relative to `$TINYGRAD_GM_DATA` or else to the cache, or
    None. Raises NotADirectoryError if the variable is set, but not to a folder.
    """
    paths = (folder / name for folder in _folders() for name in names)
    return next((path for path in paths if path.is_file()), None)


def fetch(file: RemoteFile, *others: str) -> Path:
    """Return the path of a file, or of an existing alternative, downloading it if there is neither.
    Raises FileNotFoundError if the download fails; the message says where to put the file manually.
    """
    return find(file.name, *others) or _download(file)


def missing(name: str, why: str) -> FileNotFoundError:
    """The error for a file that is missing and cannot be downloaded because of `why`."""
    folders = " nor in ".join(map(str, _folders()))
    return FileNotFoundError(
        f"{name} is not in {folders}, and {why}. Put the file into {cache_folder()}, or set "
        "TINYGRAD_GM_DATA to its folder"
    )


class _RefusedError(Exception):
    """A failed download; not an OSError, which here concerns the local disk."""


def _folders() -> list[Path]:
    chosen = os.environ.get("TINYGRAD_GM_DATA")
    if not chosen:
        return [cache_folder()]
    if not (folder := Path(chosen).expanduser()).is_dir():
        raise NotADirectoryError(f"TINYGRAD_GM_DATA is {chosen!r}, which is not a folder")
    return [folder, cache_folder()]


def _download(file: RemoteFile) -> Path:
    path = cache_folder() / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    refusals = []
    for url in file.urls:
        print(f"downloading {url} to {path}", file=sys.stderr)
        try:
            _store(url, path, file.sha256)
        except _RefusedError as refusal:
            refusals.append(f"{url}: {refusal}")
        else:
            return path
    raise missing(file.name, f"could not be downloaded ({'; '.join(refusals)})")


def _store(url: str, path: Path, sha256: str) -> None:
    from hashlib import sha256 as new_digest

    digest = new_digest()
    with replacing(path) as temporary, open(temporary, "wb") as target:
        for block in _blocks(url, path.name):
            digest.update(block)
            target.write(block)
        if (found := digest.hexdigest()) != sha256:
            raise _RefusedError(f"its SHA-256 is {found}; expected {sha256}")


def _blocks(url: str, name: str) -> Iterator[bytes]:
    """The blocks of a download, with a progress bar on a terminal."""
    from http.client import HTTPException
    from urllib.request import urlopen

    from tqdm import tqdm

    try:
        with urlopen(url, timeout=30) as answer:
            total = int(answer.headers.get("Content-Length", 0)) or None
            bar = tqdm(desc=name, total=total, unit="B", unit_scale=True, disable=None)
            with bar:
                while block := answer.read(1 << 16):
                    bar.update(len(block))
                    yield block
    except (OSError, HTTPException, ValueError) as error:
        raise _RefusedError(
            str(getattr(error, "reason", None) or error or type(error).__name__)
        ) from error
