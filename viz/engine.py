"""The programs that make pictures: Graphviz's `dot` from DOT text, resvg a PNG from SVG."""

from __future__ import annotations

import shutil
import subprocess
import warnings

TIMEOUT = 30.0  # seconds
RESOLUTION = 144  # dots per inch of a PNG


def run_dot(source: str, kind: str) -> bytes:
    """What `dot -T<kind>` makes of a DOT text; RuntimeError where there is none, or it fails."""
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            f"a {kind.upper()} needs Graphviz's `dot` program: install graphviz with apt, brew, "
            "winget or conda"
        )
    command = [program, f"-T{kind}", *([f"-Gdpi={RESOLUTION}"] if kind == "png" else [])]
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, timeout=TIMEOUT, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"dot did not finish within {TIMEOUT:.0f} s") from error
    except subprocess.CalledProcessError as error:
        complaint = error.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise RuntimeError(f"dot failed: {complaint or error}") from error
    return done.stdout


def try_dot(source: str, kind: str) -> bytes | None:
    """As `run_dot`, but None where there is no `dot`, and with a warning where it fails."""
    if shutil.which("dot") is None:
        return None
    try:
        return run_dot(source, kind)
    except (OSError, RuntimeError) as error:
        warnings.warn(f"{error}; drawn with the built-in layout instead", stacklevel=3)
        return None


def inline(svg: str) -> str:
    """An SVG without its prologue, never wider than what it is put into."""
    svg = svg[svg.index("<svg") :]
    return svg.replace("<svg", '<svg style="max-width:100%;height:auto"', 1)


def rasterize(svg: str) -> bytes:
    """The PNG of an SVG, by resvg; RuntimeError where that is not installed."""
    try:
        import resvg_py
    except ImportError as error:
        raise RuntimeError(
            "a PNG needs Graphviz's `dot` program, or resvg: pip install 'tinygrad_gm[render]'"
        ) from error
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, dpi=96, zoom=RESOLUTION / 96))
