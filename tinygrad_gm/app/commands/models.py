"""`tinygrad-gm models`."""

from __future__ import annotations

from ..parser import Parser


def models(argv: list[str]) -> None:
    """List the models."""
    Parser("models", models.__doc__, "").parse_args(argv)
    from ... import models as catalogue

    width = max(map(len, catalogue.NAMES))
    for name in catalogue.NAMES:
        print(f"{name:{width}}  {catalogue.summary(name)}")
