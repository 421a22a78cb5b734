"""The package as it is imported from a checkout: one engine, with its models and drawings."""

from __future__ import annotations

import importlib
import subprocess
import sys
from configparser import ConfigParser
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

import tinygrad_gm as tg

CHECKOUT = Path(tg.__file__).parent.parent
BESIDE = sorted({path.stem for path in CHECKOUT.iterdir()})


@pytest.mark.parametrize("name", ["models", "viz"])
def test_models_and_viz_are_the_checkouts_own(name: str) -> None:
    module = importlib.import_module(f"tinygrad_gm.{name}")
    assert Path(module.__file__ or "").parent == CHECKOUT / name
    assert module.__name__ == f"tinygrad_gm.{name}"
    assert getattr(tg, name) is module


def test_their_data_is_found_as_a_resource() -> None:
    assert "<script>" in (files("tinygrad_gm.viz.film") / "steps.html").read_text()
    assert list((files("tinygrad_gm.models") / "weights").iterdir())


@pytest.mark.parametrize("name", [name for name in BESIDE if name.isidentifier()])
def test_nothing_else_in_the_checkout_is_a_part_of_the_package(name: str) -> None:
    reachable = find_spec(f"tinygrad_gm.{name}") is not None
    inside = (CHECKOUT / "tinygrad_gm" / name).exists()
    assert reachable == (inside or name in ("models", "viz"))


def test_every_folder_of_code_is_listed_as_a_package() -> None:
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    above = {"tinygrad_gm": (), "models": ("tinygrad_gm",), "viz": ("tinygrad_gm",)}
    found = [
        ".".join((*prefix, *path.parent.relative_to(CHECKOUT).parts))
        for folder, prefix in above.items()
        for path in (CHECKOUT / folder).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(found)


def test_a_second_engine_cannot_be_imported() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tinygrad_gm\.tinygrad_gm"):
        importlib.import_module("tinygrad_gm.tinygrad_gm")


def test_a_checkout_on_the_path_is_enough(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import tinygrad_gm as tg; "
        "from tinygrad_gm.models.vae import Config; print(tg.__file__, tg.viz.__file__)"
    )
    command = [sys.executable, "-I", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    engine, viz = done.stdout.split()
    assert Path(engine).parent.parent == Path(viz).parent.parent == CHECKOUT
