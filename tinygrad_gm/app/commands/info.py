"""`tinygrad-gm info`."""

from __future__ import annotations

from pathlib import Path

from ..parser import Parser


def info(argv: list[str]) -> None:
    """Print versions, kernels, devices and layout engines, for bug reports."""
    Parser("info", info.__doc__, "").parse_args(argv)
    import importlib.metadata
    import importlib.util
    import platform
    import shutil

    from ... import __version__
    from ...kernels.choosing import described

    def found(module: str) -> str:
        return "yes" if importlib.util.find_spec(module) else "no"

    print(f"tinygrad_gm  {__version__}, {Path(__file__).parents[2]}")
    print(f"python       {platform.python_version()}, {platform.platform()}")
    for package in ("numpy", "graphviz", "pillow", "tqdm"):
        print(f"{package:12} {importlib.metadata.version(package)}")
    print(f"kernels      {described()}")
    print(f"dot          {shutil.which('dot') or 'no: the built-in layout draws'}")
    print(f"pygraphviz   {found('pygraphviz')}")
    print(f"resvg-py     {found('resvg_py')}")
    print(f"cupy         {found('cupy')}")
