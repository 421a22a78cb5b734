"""The API reference that pdoc builds: links that work, and signatures as callers see them."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("pdoc", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parents[1]
PAGES = ("tinygrad_gm", "tinygrad_gm.engine")


class Page(HTMLParser):
    """The ids and the links of a page, and its text without tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Every page of the reference, built as `make docs` builds it, but without the source code."""
    folder = tmp_path_factory.mktemp("api")
    command = [sys.executable, "-W", "ignore", "-m", "pdoc", "--no-show-source"]
    command += ["-d", "google", "-t", str(ROOT / "docs" / "reference"), "-o", str(folder), *PAGES]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {path.resolve(): Page(path) for path in folder.rglob("*.html")}


def broken(pages: dict[Path, Page]) -> list[str]:
    """The links to another page or to a place in one that lead nowhere."""
    found = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            ids = pages[target].ids if target in pages else set()
            if not target.exists() or (url.fragment and unquote(url.fragment) not in ids):
                found.append(f"{path.name}: {link}")
    return found


@pytest.mark.slow
def test_every_link_of_the_reference_leads_to_a_place(reference: dict[Path, Page]) -> None:
    assert not broken(reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["nn", "optim", "data", "models", "viz", "training", "engine", "tensor"]
)
def test_the_reference_has_a_page_for_every_part(page: str, reference: dict[Path, Page]) -> None:
    assert f"{page}.html" in {path.name for path in reference}


@pytest.mark.slow
def test_signatures_of_operations_are_those_of_callers(reference: dict[Path, Page]) -> None:
    (page,) = (page for path, page in reference.items() if path.name == "tinygrad_gm.html")
    text = "".join(page.text.split())
    assert "defsoftmax(x:Any,axis:int=-1)->Any:" in text
    assert "Tensor.absolute" not in page.ids


def test_a_link_to_a_missing_place_is_found(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "page.html"
    path.write_text(
        '<a href="#here">1</a> <a id="here" href="other.html">2</a> <a href="#there">3</a>',
        encoding="utf-8",
    )
    assert broken({path: Page(path)}) == ["page.html: other.html", "page.html: #there"]
