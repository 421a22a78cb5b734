"""The folder of a run: marked as such, and written to by one process at a time."""

from __future__ import annotations

import errno
import json
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from ..io import failure, replaced_by

CHECKPOINT = "checkpoint.safetensors"
LOCK = ".tinygrad_gm.lock"
NAMES = (
    *(CHECKPOINT, "config.json", "metrics.jsonl", "log.jsonl"),
    *("curves.png", "samples", "samples.gif"),
)
_FAR = 1 << 20  # on Windows a locked byte cannot be read by others: lock one after the text


def claim(folder: Path) -> Lock:
    """Create a run's folder if necessary, and lock it.

    Raises:
        FileExistsError: it has files with names of a run's files that no run has written.
        BlockingIOError: another run has locked it.
        OSError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(f"Run: cannot make the folder {folder}", error) from error
    # In this order: another process may be starting, and writes its lock file first.
    foreign = [name for name in NAMES if os.path.lexists(folder / name)]
    known = CHECKPOINT in foreign or (folder / LOCK).exists() or _is_logged(folder)
    if foreign and not known:
        raise FileExistsError(
            f"Run: {folder} is not the folder of a run, but has files with the names of a run's "
            f"files: {', '.join(foreign)}; choose another folder"
        )
    return Lock(folder)


def _is_logged(folder: Path) -> bool:
    """Whether the folder has the log of a run of version 0.1.0, which wrote no lock file."""
    try:
        with open(folder / "log.jsonl", encoding="utf-8") as file:
            return {"event", "step", "time"} <= set(json.loads(file.readline()))
    except (OSError, ValueError, TypeError):
        return False


class Lock:
    """An exclusive lock of a run's folder, held until `release`. The operating system releases it
    when the process ends for any reason. The lock file remains until there is a checkpoint, to mark
    the folder as a run's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / LOCK
        self._handle: int | None = None
        self.acquire()

    @property
    def is_held(self) -> bool:
        """Whether the folder is locked by this lock."""
        return self._handle is not None

    def acquire(self) -> None:
        """Lock the folder, if this is not done; BlockingIOError where another run has locked it."""
        while self._handle is None:
            try:
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise failure(f"Run: cannot write {self._path}", error) from error
            try:
                self._check_free(handle)
                if self._is_file(handle):
                    self._handle = handle
            finally:
                if self._handle is None:
                    os.close(handle)

    def _check_free(self, handle: int) -> None:
        from socket import gethostname

        if not _try_lock(handle, self._path):
            raise BlockingIOError(
                f"Run: {self._folder} is in use by {_holder(handle)}; wait until it ends, or "
                "choose another folder"
            )
        with suppress(OSError):  # a full disk: the lock is held anyway
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, json.dumps({"pid": os.getpid(), "host": gethostname()}).encode())

    def _is_file(self, handle: int) -> bool:
        """Whether the open file still exists under its name: its last owner may have removed it."""
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            if (self._folder / CHECKPOINT).exists():
                with suppress(OSError):  # Windows cannot remove an open file
                    self._path.unlink()
            _unlock(handle)
            os.close(handle)

    def __del__(self) -> None:
        if self._handle is not None:
            self.release()


def _try_lock(handle: int, path: Path) -> bool:
    """Lock an open file; return False if another handle has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        reason = (error.strerror or str(error)).lower()
        warnings.warn(
            f"Run: {path} cannot be locked ({reason}); use this folder in one process only",
            RuntimeWarning,
            stacklevel=6,
        )
    return True


def _unlock(handle: int) -> None:
    """On Windows, release the lock of an open file: closing it would release it some time later."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _FAR, os.SEEK_SET)
        with suppress(OSError):  # there was no lock, on a file system without locks
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)


def _holder(handle: int) -> str:
    """Describe the process that wrote a lock file."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found = json.loads(os.read(handle, 1000))
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a run that was killed while writing."""
    for place in (folder, folder / "samples"):
        for path in place.glob(".*.tmp"):
            name = replaced_by(path.name) or ""
            if name in NAMES if place == folder else name.startswith("step-"):
                path.unlink()
