"""The examples in the documentation, typed in page by page, give what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FRONT = [
    ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")
]


def examples(text: str) -> str:
    """The lines inside ```python fences; all others are blank, so that line numbers stay."""
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = line.startswith("```python")
            line = ""
        lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_give_what_they_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = examples(page.read_text(encoding="utf-8"))
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


def test_the_readmes_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its pieces one after the other; what a comment says is printed, is."""
    monkeypatch.chdir(tmp_path)
    program = examples((ROOT / "README.md").read_text(encoding="utf-8"))
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
    (printed,) = (line.partition("# ")[2] for line in program.splitlines() if "print(" in line)
    assert capsys.readouterr().out.splitlines()[0] == printed
    assert {"runs", "y.svg"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=lambda page: page.stem)
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    files = [link.partition("#")[0] for link in links if "://" not in link]
    assert not [file for file in files if not (page.parent / file).exists()]


def test_there_is_a_page_for_every_part() -> None:
    parts = {
        "tensors",
        "gradients",
        "nn",
        "optim",
        "data",
        "runs",
        "notes-errata",
        "ops",
        "drawing",
        "models",
    }
    assert parts <= {page.stem for page in PAGES}
