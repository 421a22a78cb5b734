"""Files that replace others: at once, through links, with their permissions, or not at all."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import contextmanager

import pytest

import tinygrad_gm as tg
from tinygrad_gm import pictures, viz
from tinygrad_gm.io import replacing, write_file

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links, modes and limits are POSIX's")


def drawing():
    x = tg.tensor(3.0, requires_grad=True, name="x")
    return viz.draw(x * x, engine="builtin", fit=None)


WRITERS = {
    "checkpoint.safetensors": lambda path: tg.save(path, {"x": tg.ones(2000)}),
    "text.txt": lambda path: write_file(path, "ä\n" * 3000),
    "sheet.png": lambda path: pictures.grid(tg.Generator(0).uniform((9, 20, 20)), path=path),
    "cloud.png": lambda path: pictures.scatter({"x": [[1.0, 2.0]]}, path=path),
    "curves.png": lambda path: pictures.curves({"x": [1.0, 2.0]}, path=path),
    "graph.svg": lambda path: drawing().save(path),
    "graph.json": lambda path: drawing().save(path),
    "graph.gv": lambda path: drawing().save(path),
    "steps.html": lambda path: viz.steps(tg.tensor(3.0, requires_grad=True) ** 2).html(path),
}


@contextmanager
def full_disk(bytes_free):
    """A limit on the size of files: writes beyond it are cut short, then refused."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@POSIX
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_whole_and_names_the_new_one(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with full_disk(100), pytest.raises(OSError, match=f"cannot write .*{name.partition('.')[0]}"):
        WRITERS[name](path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


@POSIX
@pytest.mark.parametrize("name", WRITERS)
def test_a_symbolic_link_is_followed_and_stays(tmp_path, name):
    target, link = tmp_path / "disk" / f"target.{name}", tmp_path / name
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(os.path.join("disk", target.name))
    WRITERS[name](link)
    assert link.is_symlink()
    assert len(target.read_bytes()) > 3
    assert os.listdir(target.parent) == [target.name]


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
@pytest.mark.parametrize("name", WRITERS)
def test_the_mode_of_the_old_file_is_kept(tmp_path, name, mode):
    path = tmp_path / name
    path.write_bytes(b"old")
    path.chmod(mode)
    WRITERS[name](path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert len(path.read_bytes()) > 3


@POSIX
def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


@POSIX
def test_a_link_to_itself_is_refused_by_name(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match=r"cannot write .*link: too many levels of symbolic links"):
        write_file(tmp_path / "link", "new")


@POSIX
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_file(path, "new")
    assert os.read(reader, 100) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anything"
)
def test_a_write_protected_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match=r"cannot write .*file: permission denied"):
        write_file(path, "new")
    assert path.read_text() == "old"


def test_writers_at_the_same_time_do_not_share_a_temporary_file(tmp_path):
    path, meeting = tmp_path / "file", threading.Barrier(4)
    temporaries, failures = [], []

    def write(letter):
        try:
            with replacing(path) as temporary:
                temporaries.append(temporary)
                meeting.wait()
                temporary.write_text(letter * 1000)
                meeting.wait()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(temporaries)) == 4
    assert path.read_text() in {letter * 1000 for letter in "abcd"}
    assert os.listdir(tmp_path) == ["file"]


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("x" * 250)
    write_file(path, "new")
    assert path.read_text() == "new"


def test_line_ends_are_written_as_they_are(tmp_path):
    write_file(tmp_path / "file", "a\nb\r\n")
    assert (tmp_path / "file").read_bytes() == b"a\nb\r\n"


def test_a_picture_of_an_unknown_kind_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"a\.xyz: unknown file extension '\.xyz'"):
        pictures.grid(tg.zeros((1, 2, 2)), path=tmp_path / "a.xyz")
    assert os.listdir(tmp_path) == []
