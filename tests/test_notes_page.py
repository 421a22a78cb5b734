"""The pages' anchors and commands, and what each answer of docs/notes.md points to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tinygrad_gm.app import cli

ROOT = Path(__file__).parents[1]
NOTES = ROOT / "docs" / "notes.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of the headings: lower case, no punctuation, hyphens for spaces."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_anchors_of_a_page_are_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    wrong = [
        f"{file}#{anchor}"
        for file, anchor in links
        if "://" not in file and anchor not in anchors(page.parent / file if file else page)
    ]
    assert not wrong


def answers() -> dict[str, str]:
    """The text below each heading of the third level."""
    parts = re.split(r"^(##+) (.*)\n", NOTES.read_text(encoding="utf-8"), flags=re.M)
    levels, titles, texts = parts[1::3], parts[2::3], parts[3::3]
    return {
        title: text
        for level, title, text in zip(levels, titles, texts, strict=True)
        if level == "###"
    }


def commands(text: str) -> list[str]:
    return re.findall(r"`((?:tinygrad-gm|python) [^`]+)`", text)


@pytest.mark.parametrize("title", answers())
def test_every_answer_has_a_file_a_command_and_a_picture(title: str) -> None:
    text = answers()[title]
    assert re.search(r"\]\([^)]+\.py\)", text)
    assert commands(text)
    assert re.search(r"\(pictures/\w+\.\w+\)|`\w+\.(png|html)`", text)


@pytest.mark.parametrize(
    "command", sorted({command for text in answers().values() for command in commands(text)})
)
def test_the_commands_of_the_notes_have_the_flags_and_values_that_they_use(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parsed with --help at the end, which stops before anything runs; unknown flags are then not
    refused, so they are looked up in the help.
    """
    program, *words = shlex.split(command)
    if program == "python":
        assert all(
            (ROOT / folder / word).exists()
            for folder, word in zip(("", "docs"), words, strict=False)
        )
        return
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, "--help"])
    assert stop.value.code in (0, None), capsys.readouterr().err
    shown = capsys.readouterr().out
    flags = [word for word in words if word.startswith("-")]
    assert [flag for flag in flags if not re.search(rf"{flag}\b", shown)] == []


def test_pictures_of_runs_are_named_in_the_code_that_writes_them() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "models").rglob("*.py"))
    names = re.findall(r"`(\w+\.(?:png|html))`", NOTES.read_text(encoding="utf-8"))
    assert [name for name in names if f'"{name}"' not in code] == []
