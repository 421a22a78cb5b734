"""From DOT or a figure to a picture: Graphviz's `dot` where it is installed, else our own layout."""

from __future__ import annotations

import shutil
import subprocess
import warnings

TIMEOUT = 30.0  # seconds
RESOLUTION = 144  # dots per inch of a PNG


def run_dot(source: str, kind: str) -> bytes | None:
    """What `dot -T<kind>` makes of a DOT text; None without `dot`, or (with a warning) if it fails."""
    program = shutil.which("dot")
    if program is None:
        return None
    command = [program, f"-T{kind}", *([f"-Gdpi={RESOLUTION}"] if kind == "png" else [])]
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, timeout=TIMEOUT, check=True
        )
    except subprocess.TimeoutExpired:
        problem = f"needed more than {TIMEOUT:.0f} s"
    except (OSError, subprocess.CalledProcessError) as error:
        complaint = getattr(error, "stderr", b"").decode(errors="replace").strip()
        problem = f"failed: {complaint.partition(chr(10))[0] or error}"
    else:
        return done.stdout
    warnings.warn(f"dot {problem}; the built-in layout is used", stacklevel=4)
    return None


def inline(svg: str) -> str:
    """An SVG without its prologue, no wider than what it is put into."""
    svg = svg[svg.index("<svg") :]
    return svg.replace("<svg", '<svg style="max-width:100%;height:auto"', 1)


def rasterize(svg: str) -> bytes:
    """A PNG of an SVG by resvg; RuntimeError where it is not installed."""
    try:
        import resvg_py
    except ImportError as error:
        raise RuntimeError(
            "a PNG needs Graphviz's `dot` program or resvg: pip install 'tinygrad_gm[render]'"
        ) from error
    picture = resvg_py.svg_to_bytes(svg_string=svg, dpi=96, zoom=RESOLUTION / 96)
    return bytes(picture)
