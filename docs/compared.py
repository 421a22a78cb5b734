"""Draws the networks of drawing-compared.md with one program; prints a row of its table for each.

python docs/compared.py tinygrad_gm|torchview|torchviz|torchlens

`make compared` runs all four, the last three with PyTorch in an environment of their own.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures" / "compared"


def tinygrad_gm(model: Any, inputs: tuple[Any, ...], **options: Any) -> str:
    """Draw with this library."""
    from tinygrad_gm import viz

    return viz.draw(model, *inputs, **options).svg()


def torchview(model: Any, inputs: tuple[Any, ...]) -> str:
    """Draw with torchview."""
    from torchview import draw_graph

    svg: str = draw_graph(model, input_data=inputs).visual_graph.pipe("svg", encoding="utf-8")
    return svg


def torchviz(model: Any, inputs: tuple[Any, ...]) -> str:
    """Draw with torchviz, which draws the backward graph."""
    from torchviz import make_dot

    drawn = make_dot(model(*inputs).sum(), params=dict(model.named_parameters()))
    svg: str = drawn.pipe("svg", encoding="utf-8")
    return svg


def torchlens(model: Any, inputs: tuple[Any, ...]) -> str:
    """Draw with TorchLens."""
    import torchlens

    with TemporaryDirectory() as folder:
        trace = torchlens.trace(model, inputs)
        trace.draw(vis_outpath=f"{folder}/net", vis_save_only=True, vis_fileformat="svg")
        return Path(folder, "net.svg").read_text(encoding="utf-8")


DRAW: dict[str, Callable[..., str]] = {
    function.__name__: function for function in (tinygrad_gm, torchview, torchviz, torchlens)
}


def main() -> None:
    """Draw each network, save the pictures, and print sizes and times."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.drawn_nets import encoder, nets

    tool = sys.argv[1]
    draw = DRAW[tool]
    lib = importlib.import_module(tool if tool == "tinygrad_gm" else "torch")
    PICTURES.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    for name, make in {**nets(lib), "encoder": lambda: encoder(lib)}.items():
        lib.manual_seed(0)
        model, inputs = make()
        times, svg = [], ""
        for _ in range(3):
            start = time.perf_counter()
            svg = draw(model, inputs)
            times.append(time.perf_counter() - start)
        words = [name, tool, *_extent(svg), f"{min(times):.2f} s"]
        if tool == "tinygrad_gm":
            words += ['detail="shapes":', *_extent(draw(model, inputs, detail="shapes"))]
        print(" | ".join(words))
        if name != "encoder":
            (PICTURES / f"{name}-{tool}.svg").write_text(svg, encoding="utf-8")


def _extent(svg: str) -> tuple[str, str]:
    """Return width × height in points, and the area in thousands of square points."""
    found = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert found
    width, height = map(float, found.groups())
    return f"{width:.0f} × {height:.0f}", f"{width * height / 1000:.0f}"


if __name__ == "__main__":
    main()
