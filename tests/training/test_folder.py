"""The folder of a run: whose it is, one process at a time, and what a killed one leaves."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinygrad_gm.app import cli
from tinygrad_gm.training import Run, folder
from tinygrad_gm.training.folder import LOCK
from tinygrad_gm.training.metrics import read_metrics

HOLDER = """
import sys
from tinygrad_gm.training import Run

run = Run(sys.argv[1], {"lr": 0.1}, resume=True)
run.log({"step": 1, "loss": 0.5})
print("locked", flush=True)
sys.stdin.readline()
run.close()
print("free", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder `tmp_path / "run"` until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_process_in_a_folder_is_refused_and_told_who_has_it(tmp_path, holder, resume):
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(BlockingIOError, match=rf"in use by process {holder.pid} on \S+; wait"):
        Run(tmp_path / "run", {"lr": 0.1}, resume=resume)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_the_second_process_gets_one_line_on_the_command_line(tmp_path, holder, capsys):
    folder = tmp_path / "run"
    assert cli.main(["train", "neuron", "--out", str(folder), "--resume"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"in use by process {holder.pid}" in line
    assert read_metrics(folder) == [{"step": 1, "loss": 0.5}]


def test_a_closed_run_gives_the_folder_free(tmp_path, holder):
    holder.stdin.write("close\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "free\n"
    with Run(tmp_path / "run", {"lr": 0.1}) as run:
        run.log({"step": 1, "loss": 0.25})
    assert read_metrics(tmp_path / "run") == [{"step": 1, "loss": 0.25}]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_the_lock_of_a_killed_process_holds_no_longer(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / "run" / LOCK).read_text())["pid"] == holder.pid
    with Run(tmp_path / "run", {"lr": 0.1}) as run:
        run.log({"step": 1, "loss": 0.25})


def test_of_many_processes_that_begin_at_once_one_trains(tmp_path):
    script = HOLDER.replace('print("locked"', 'print("got it"')
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes, text=True) for _ in range(4)]
    said = [process.stdout.readline() for process in processes]  # "" from those that have failed
    assert sorted(said) == ["", "", "", "got it\n"]
    for process in processes:
        _, err = process.communicate("\n\n")
        assert (process.returncode == 0) == ("BlockingIOError: Run: " not in err)
    assert len(read_metrics(tmp_path / "run")) == 1


def test_two_runs_of_one_process_do_not_share_a_folder(tmp_path):
    first = Run(tmp_path)
    with pytest.raises(BlockingIOError, match=rf"in use by process {os.getpid()}"):
        Run(tmp_path)
    first.close()
    second = Run(tmp_path)
    with pytest.raises(BlockingIOError):
        first.log({"loss": 1.0})
    second.log({"loss": 2.0})
    second.close()
    with pytest.raises(ValueError, match="has been changed since this run was closed"):
        first.log({"loss": 1.0})
    assert read_metrics(tmp_path) == [{"loss": 2.0}]


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock(handle, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(RuntimeWarning, match=r"cannot be locked \(no locks available\)"):
        run = Run(tmp_path)
    run.close()


class Locks:
    """A stand-in for `msvcrt`: exclusive locks of bytes, by open file, as Windows has them."""

    LK_UNLCK, LK_LOCK, LK_NBLCK = 0, 1, 2

    def __init__(self, failure: int = 0) -> None:
        self.failure, self.owners = failure, {}

    def locking(self, handle: int, mode: int, count: int) -> None:
        place = os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR)
        assert place[1] >= os.fstat(handle).st_size  # what is locked cannot be read by others
        assert (mode in (self.LK_UNLCK, self.LK_NBLCK), count) == (True, 1)
        if self.failure:
            raise OSError(self.failure, os.strerror(self.failure))
        owner = self.owners.get(place)
        if mode == self.LK_UNLCK:
            assert owner == handle
            del self.owners[place]
        elif owner is not None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        else:
            self.owners[place] = handle


@pytest.fixture
def windows(monkeypatch):
    """Locks as on Windows: call it with the errno of a failure to get a file system without."""

    def install(failure: int = 0) -> Locks:
        locks = Locks(failure)
        monkeypatch.setattr(folder, "sys", SimpleNamespace(platform="win32"))
        monkeypatch.setitem(sys.modules, "msvcrt", locks)
        return locks

    return install


def test_the_lock_of_windows_keeps_a_second_run_out_until_the_first_is_closed(tmp_path, windows):
    locks = windows()
    first = Run(tmp_path)
    with pytest.raises(BlockingIOError, match=rf"in use by process {os.getpid()} on \S+; wait"):
        Run(tmp_path)
    assert len(locks.owners) == 1
    first.close()
    assert locks.owners == {}
    with Run(tmp_path) as second:
        second.log({"loss": 1.0})
    assert locks.owners == {}


def test_a_deadlock_that_windows_reports_is_a_folder_in_use(tmp_path, windows):
    windows(errno.EDEADLK)
    with pytest.raises(BlockingIOError, match="in use by another process"):
        Run(tmp_path)


def test_a_file_system_of_windows_without_locks_is_a_warning(tmp_path, windows):
    windows(errno.EINVAL)
    with pytest.warns(RuntimeWarning, match=r"cannot be locked \(invalid argument\)"):
        run = Run(tmp_path)
    run.close()


# ------------------------------------------------------------------- whose folder it is


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "log.jsonl", "samples"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_other_peoples_files_is_refused_and_left_alone(tmp_path, name, resume):
    (tmp_path / name).write_text('{"mine": true}')
    (tmp_path / ".x.tmp").write_text("mine too")
    with pytest.raises(FileExistsError, match=rf"not the folder of a run.*: {name}; choose"):
        Run(tmp_path, {"lr": 0.1}, resume=resume)
    assert (tmp_path / name).read_text() == '{"mine": true}'
    assert sorted(os.listdir(tmp_path)) == [".x.tmp", name]


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_another_programs_checkpoint_is_refused_and_left_alone(tmp_path, resume):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="not the checkpoint of a run"):
        Run(tmp_path, resume=resume)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "config.json"]


def test_files_with_other_names_may_lie_in_the_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("warm-up helps")
    (tmp_path / ".x.tmp").write_text("mine")
    (tmp_path / ".notes.txt.1234.tmp").write_text("an editor's")
    with Run(tmp_path) as run:
        run.log({"loss": 1.0})
    kept = {"notes.txt", ".x.tmp", ".notes.txt.1234.tmp"}
    assert kept < set(os.listdir(tmp_path))


def test_a_run_without_a_checkpoint_may_begin_again(tmp_path):
    for loss in (1.0, 2.0):
        with Run(tmp_path) as run:
            run.log({"loss": loss})
    assert read_metrics(tmp_path) == [{"loss": 2.0}]


def test_a_run_of_the_first_version_that_was_killed_before_its_checkpoint_may_begin_again(tmp_path):
    line = {"event": "start", "step": 0, "time": "2026-01-01T00:00:00+0000", "seconds": 0.1}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "config.json").write_text("{}\n")
    Run(tmp_path, resume=True).close()


def test_only_the_temporary_files_of_runs_are_removed(tmp_path):
    with Run(tmp_path) as run:
        run.log({"loss": 1.0})
    samples = tmp_path / "samples"
    samples.mkdir()
    ours = [
        tmp_path / ".checkpoint.safetensors.0123456789abcdef.tmp",
        tmp_path / ".curves.png.4711.tmp",
        samples / ".step-000500.png.0123456789abcdef.tmp",
    ]
    theirs = [tmp_path / ".x.tmp", tmp_path / ".curves.png.tmp", samples / ".x.abc.tmp"]
    for path in (*ours, *theirs):
        path.write_text("")
    Run(tmp_path).close()
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in theirs)


@pytest.mark.parametrize(
    "argv", [["train", "neuron"], ["sample", "vae"], ["judge", "vae"], ["quickstart"]]
)
def test_an_empty_name_of_a_folder_is_refused(tmp_path, monkeypatch, capsys, argv):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main([*argv, "--out", ""])
    assert stop.value.code == 2
    assert "--out: the name of the folder is empty" in capsys.readouterr().err
    with pytest.raises(ValueError, match="the name of the folder is empty"):
        Run("")
    assert os.listdir(tmp_path) == []
