"""`docs/engine.md`: every line of the tour points at code that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
ROWS = re.findall(r"^\| .* \| (\[.*) \|$", (DOCS / "engine.md").read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_tour_names_code_that_is_there(row: str) -> None:
    link, _, quoted = row.partition("): ")
    source = (DOCS / link.partition("](")[2]).read_text(encoding="utf-8")
    words = re.findall(r"`([^`]+)`", quoted)
    assert words
    assert [word for word in words if word not in source] == []


def test_the_tour_has_rows() -> None:
    assert len(ROWS) > 15
