"""A page in headless Chromium, without network: what a script finds in it, and its complaints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
AXE = Path(__file__).parent.parent / "build" / "axe" / "axe.min.js"  # made by `make axe`

# Layout shifts and errors of the page, and of the script that looks at it.
BEFORE = """<script>
var shifts = 0, errors = [], moved = [];
new PerformanceObserver(list => list.getEntries().forEach(entry => {
  shifts += entry.value;
  moved.push(...entry.sources.map(({node}) => node && `${node.nodeName}.${node.className}`));
})).observe({type: "layout-shift", buffered: true});
addEventListener("error", event => errors.push(event.message));
</script>"""
AFTER = """<script>
setTimeout(async () => {
  const key = (name, target = document.body) => target.dispatchEvent(
    new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
  const size = e => parseFloat(getComputedStyle(e).fontSize) * (e.getScreenCTM?.().a ?? 1);
  const texts = () => [...document.querySelectorAll("body *")].filter(e => {
    const words = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const {top, left, width, height} = e.getBoundingClientRect();
    return words && width > 1 && height > 1 && top < innerHeight && left < innerWidth
      && !/^(script|style|title|noscript)$/i.test(e.tagName)
      && getComputedStyle(e).visibility === "visible";
  });
  const small = () => texts().filter(e => size(e) < 10.99).map(e => e.outerHTML);
  const faults = async () => !window.axe ? [] : (await axe.run()).violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => `${id}: ${nodes.map(node => node.html.slice(0, 200))}`);
  const loaded = shifts; // what the script changes does not count
  let found = null;
  try { found = await (async () => { %s })(); } catch (error) { errors.push(String(error)); }
  const wide = document.documentElement.scrollWidth - innerWidth;
  parent.postMessage(JSON.stringify({found, shifts: loaded, errors, wide, moved}), "*");
}, 50);
</script>"""
FRAME = """<!DOCTYPE html><body style="margin:0"><iframe src="%s"
style="border:0;width:%dpx;height:%dpx"></iframe><script>
addEventListener("message", event => { document.body.dataset.found = event.data; });
</script>"""


def ask(page: Path, script: str, width: int = 1440, height: int = 900) -> Any:
    """Run the body of a JavaScript function in a page; return what it returns.

    It has `key(name, target)`, which presses a key; `texts()`, the elements with a text in the
    first screen; `small()`, those below 11 pixels; and `await faults()`, what axe-core, if it is
    there, calls a serious fault. The page may complain about nothing, be no wider than the window,
    and not shift.
    """
    assert CHROMIUM is not None
    probed, frame = (page.with_name(f"{part}-{page.name}") for part in ("probed", "frame"))
    axe = f"<script>{AXE.read_text()}</script>" if AXE.exists() else ""
    html = page.read_text().replace("<head>", "<head>" + BEFORE + axe, 1)
    start, end = html.rsplit("</body>", 1)
    probed.write_text(start + AFTER % script + "</body>" + end)
    frame.write_text(FRAME % (probed.name, width, height))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"]
    command += [f"--window-size={max(width, 600)},{height}", "--virtual-time-budget=5000"]
    done = subprocess.run([*command, frame.as_uri()], capture_output=True, timeout=240, check=True)
    complaints = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    assert complaints == []
    answer = re.search(r'data-found="([^"]*)"', done.stdout.decode())
    assert answer is not None, "the page has not answered"
    result = json.loads(unescape(answer[1]))
    assert result["errors"] == []
    assert result["wide"] <= 0
    assert result["shifts"] < 0.01, result["moved"]
    return result["found"]
