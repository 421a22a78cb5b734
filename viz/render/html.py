"""HTML pages made of templates, without a file beside them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def filled(template: Path, parts: Mapping[str, str]) -> str:
    """Return the text of a template with each `{{name}}` replaced by its part.

    Braces in a part are kept, so the text of a user cannot insert another part.
    """
    before, *pieces = template.read_text(encoding="utf-8").split("{{")
    rest = (parts[key] + text for key, text in (piece.split("}}", 1) for piece in pieces))
    return before + "".join(rest)


def script_text(data: Any) -> str:
    """Return JSON that is safe inside a script element.

    >>> from tinygrad_gm.viz.render.html import script_text
    >>> script_text({"name": "</script>"})
    '{"name":"\\\\u003c/script>"}'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def data_uri(content: bytes, kind: str) -> str:
    """Return the address that contains a file, such as an image of kind "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


# A disc, and an arrow that comes back to it: the icon of the pages.
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" '
    'rx="7" fill="#0072B2"/><path d="M7 22C7 9 25 9 25 20" fill="none" stroke="#fff" '
    'stroke-width="3.4"/><path d="M19 17l6 8 5-8z" fill="#F3B54A"/><circle cx="7" cy="23" '
    'r="4" fill="#fff"/></svg>'
)
ICON = data_uri(_ICON.encode(), "image/svg+xml")
