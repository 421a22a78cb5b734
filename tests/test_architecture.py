"""Who may import whom, and how long the engine's first hour may be."""

from __future__ import annotations

from pathlib import Path

import architecture
import pytest


def test_imports_point_down_the_layers() -> None:
    assert architecture.against_the_order(architecture.arrows()) == []


def test_every_module_has_a_layer() -> None:
    homeless = [m for m in architecture.files() if m and not architecture.layer_of(m)]
    assert homeless in ([], ["__main__"])


def test_the_files_of_the_hour_stay_within_their_budget() -> None:
    assert sum(architecture.lines_of_the_hour().values()) <= architecture.BUDGET


def test_the_files_of_the_hour_import_nothing_above_the_engine() -> None:
    known = architecture.files()
    for name in architecture.THE_HOUR:
        module = "engine" if name == "__init__" else f"engine.{name}"
        for target, _ in architecture.imports(module, known[module], known):
            assert target.partition(".")[0] in ("engine", "backend", "hints"), (name, target)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from .tensor import Tensor", True),
        ("def f():\n    from ..tensor import Tensor", True),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..tensor import Tensor",
            False,
        ),
        ("import tinygrad_gm.nn.module", True),
        ("from ..backend import module_of", False),
    ],
)
def test_an_import_against_the_order_is_found(
    source: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "op.py"
    path.write_text(source.replace("from .tensor", "from ..tensor"))
    monkeypatch.setattr(architecture, "ROOT", tmp_path)
    known = {**architecture.files(), "engine.op": path, "tensor": path, "backend": path}
    known |= {"nn.module": path}
    targets = [target for target, _ in architecture.imports("engine.op", path, known)]
    ranks = [architecture.RANKS[architecture.layer_of(target)] for target in targets]
    assert any(rank > architecture.RANKS["engine.op"] for rank in ranks) is found
