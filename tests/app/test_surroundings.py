"""The command line among other programs: pipes, encodings, signals, little memory; and its help."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tinygrad_gm as tg
from tinygrad_gm import models
from tinygrad_gm.app import cli
from tinygrad_gm.app.parser import Parser

COMMAND = [sys.executable, "-m", "tinygrad_gm"]


def run(*argv: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *argv], capture_output=True, check=False, **options)


@pytest.mark.parametrize("argv", [["models"], ["train", "gan", "--help"]])
def test_a_reader_that_has_gone_ends_the_program_in_silence(argv: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *argv], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in ((0, 141) if "--help" in argv else (141,))  # argparse forgives


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "models"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert b"No space left" in done.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "ascii:strict", "utf-8"])
@pytest.mark.parametrize("argv", [["models"], ["train", "gan", "--help"], ["train", "neuron"]])
def test_every_encoding_shows_what_it_can(encoding: str, argv: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = run(*argv, env={**environment, "PYTHONPATH": os.getcwd()}, cwd=tmp_path)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    words = {"models": b"neuron", "train": b"weight" if argv[-1] == "--help" else b"written to"}
    assert words[argv[0]] in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are bytes")
@pytest.mark.parametrize(
    "argv",
    [
        [b"\xff"],
        [b"train", b"vae\n\xff"],
        [b"train", b"vae", b"--\xff\nx"],
        [b"draw", b"\xed\xa0\x80"],
    ],
)
def test_bytes_and_line_ends_in_an_argument_give_one_line(argv: list[bytes]) -> None:
    done = run(*argv)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert b"Traceback" not in done.stderr


def test_ctrl_c_while_a_command_imports_its_parts_ends_it_in_silence(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "importlib.metadata":
            raise KeyboardInterrupt
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def interrupted_by_numpy(tmp_path: Path) -> dict[str, Any]:
    """An environment in which the import of NumPy is where Ctrl-C is pressed."""
    (tmp_path / "sitecustomize.py").write_text(
        """
import os, signal, sys

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressed())
"""
    )
    paths = os.pathsep.join([str(tmp_path), os.getcwd()])
    return {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": paths}}


unix = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")


@unix
@pytest.mark.parametrize(
    "words",
    [
        ["-m", "tinygrad_gm", "info"],
        ["-mtinygrad_gm", "models"],
        ["-Wignore", "-X", "utf8", "-Bm", "tinygrad_gm", "train", "neuron"],
        ["tinygrad-gm", "info"],
    ],
)
def test_ctrl_c_while_numpy_is_imported_ends_the_command_in_silence(
    words: list[str], interrupted_by_numpy: dict[str, Any], tmp_path: Path
) -> None:
    script = "import sys\nfrom tinygrad_gm.app.cli import main\nsys.exit(main())\n"
    (tmp_path / "tinygrad-gm").write_text(script)  # as an installer writes it
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, check=False, **interrupted_by_numpy
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@unix
@pytest.mark.parametrize(
    "words", [["-c", "import tinygrad_gm"], ["-m", "other", "-m", "tinygrad_gm"]]
)
def test_ctrl_c_while_a_library_is_imported_is_a_keyboard_interrupt(
    words: list[str], interrupted_by_numpy: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text("import tinygrad_gm\n")
    (tmp_path / "other" / "__main__.py").write_text("")
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, check=False, **interrupted_by_numpy
    )
    assert done.stderr.splitlines()[-1] == b"KeyboardInterrupt"


@unix
def test_an_ignored_interrupt_stays_ignored(interrupted_by_numpy: dict[str, Any]) -> None:
    program = "trap '' INT; exec \"$0\" -m tinygrad_gm models"
    done = subprocess.run(
        ["sh", "-c", program, sys.executable],
        capture_output=True,
        check=False,
        **interrupted_by_numpy,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@unix
def test_in_a_command_ctrl_c_is_a_keyboard_interrupt_again(tmp_path: Path) -> None:
    (tmp_path / "tinygrad-gm").write_text(
        """
import os, signal
from tinygrad_gm.app import cli

def pressed(arguments):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("asked to end")
        raise

cli.COMMANDS["info"] = pressed
raise SystemExit(cli.main())
"""
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "tinygrad-gm", "info"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"asked to end\n", b"")


@pytest.mark.parametrize("words", ["", "Unable to allocate 3.64 TiB\nfor an array"])
def test_too_little_memory_is_one_line(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str
) -> None:
    def train(config: Any, run: Any) -> None:
        raise MemoryError(words)

    monkeypatch.setattr(models.load("vae"), "train", train)
    argv = ["train", "vae", "--hidden-dim", "1000000", "--out", str(tmp_path / "run")]
    assert cli.main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    complaint = [line for line in err.splitlines() if line.startswith("tinygrad-gm train: ")]
    assert complaint == ["tinygrad-gm train: " + (
        "Unable to allocate 3.64 TiB for an array" if words else "there is not enough memory"
    )]  # fmt: skip
    assert "Traceback" not in err


def test_the_version_is_printed(capsys: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"tinygrad_gm {tg.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (["train", "vae", "--lr", "0.1"], "--learning-rate"),
        (["train", "vae", "--lr=0.1"], "--learning-rate"),
        (["train", "vqvae", "--plr", "0.1"], "--prior-learning-rate"),
        (["train", "vae", "--epoch", "3"], "--epochs"),
        (["train", "vae", "--hidden", "3"], "--hidden-dim"),
        (["train", "gan", "--no-conditionel"], "--no-conditional"),
        (["sample", "vae", "--cuont", "3"], "--count"),
        (["draw", "vae", "--teme", "dark"], "--theme"),
        (["quickstart", "--output", "x"], "--out"),
    ],
)
def test_an_unknown_flag_is_answered_with_the_nearest(
    capsys: Any, argv: list[str], flag: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert (stop.value.code, out, len(err.splitlines())) == (2, "", 1)
    given = " ".join(argv[1:] if argv[1].startswith("-") else argv[2:])
    assert f"unrecognized arguments: {given}; " in err
    assert f"did you mean {flag}?" in err


def test_a_flag_like_no_other_gets_no_suggestion(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "vae", "--zzz"])
    assert "did you mean" not in capsys.readouterr().err


# ------------------------------------------------------------------------------- help

COMMANDS = [
    [],
    *([name] for name in ("quickstart", "models", "info")),
    *([name] for name in ("train", "sample", "judge", "classify", "draw")),
    *([command, model] for command in ("train", "draw") for model in models.NAMES),
    *(
        [command, model]
        for command in ("sample", "judge")
        for model in models.NAMES
        if any(hasattr(models.load(model), name) for name in (command, "sample", "generate"))
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_is_a_phrase_that_lists_choices_and_default(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsers: list[Any] = []
    parse = Parser.parse_args

    def seen(self: Any, *arguments: Any) -> Any:
        parsers.append(self)
        return parse(self, *arguments)

    monkeypatch.setattr(Parser, "parse_args", seen)
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    for action in parsers[-1]._actions:
        text = action.help or ""
        flag = " ".join(action.option_strings) or action.dest
        assert len(text.split()) >= 3, flag  # a phrase
        assert not re.match(r"(of|which|what|that|how|who|so|in|after|with)\b", text), (flag, text)
        assert not re.search(r"\b(so many|than so|is none|that part|that weight|it is)\b", text), (
            text
        )
        if action.dest != "command":  # they are listed below, each with a line
            assert all(str(choice) in text for choice in action.choices or ()), (flag, text)
        if action.option_strings and action.default not in (None, "==SUPPRESS==", False):
            assert "(default" in text or action.dest == "out", (flag, text)
