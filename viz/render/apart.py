"""Several pictures in one HTML page, each with ids and styles of its own."""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ElementTree

from .engine import SVG, XLINK


def apart(svg: str) -> str:
    """Return an SVG whose ids and styles meet those of no other picture in the same HTML page.

    Ids begin with letters and digits made of the whole text and a hyphen, so equal pictures have
    equal ids. A style sheet speaks only of what is in this picture.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    own = "d" + hashlib.sha256(svg.encode()).hexdigest()[:10]
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, f"{own}-{value}")
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{own}-"))
    for sheet in root.iter(f"{{{SVG}}}style"):
        root.set("id", own)
        sheet.text = re.sub(r"([.\w][^,{}]*)(?=[,{])(?![^{]*\})", rf"#{own} \1", sheet.text or "")
    return ElementTree.tostring(root, encoding="unicode") + "\n"
