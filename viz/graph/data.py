"""A view as JSON and back, with unrounded numbers.

The decimal digits of JSON represent a double exactly; larger arrays are written as bytes.
Infinities and NaN, which JSON lacks, are written as strings.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

import numpy as np

from tinygrad_gm.backend import to_device

from .view import Edge, Group, Operation, Signature, Variable, View

FORMAT, VERSION = "tinygrad_gm drawing", 2
RENAMED = {"slot": "argnum", "kept": "saved"}  # keys of version 1
LISTED = 1000  # up to this size an array is written as numbers, not as bytes

KINDS: dict[str, Any] = {kind.__name__.lower(): kind for kind in (Variable, Operation, Group, Edge)}
TUPLES = ("shape", "path", "kinds", "calls", "shapes")  # fields that are tuples


def dumps(view: View, settings: Mapping[str, str | bool]) -> str:
    """Return a view and its settings as JSON text."""
    data = {"format": FORMAT, "version": VERSION, **settings, "remarks": view.remarks}
    lines = ",\n".join(_text(_part(part)) for part in (*view.nodes, *view.edges))
    return f'{_text(data)[:-1]}, "parts": [\n{lines}\n]}}\n'


def loads(text: str) -> tuple[View, dict[str, Any]]:
    """Return the view and the settings in a JSON text; ValueError if it is not a drawing."""
    try:
        data = json.loads(text, object_hook=_renamed)
        if data.get("format") != FORMAT or data.get("version") not in (1, VERSION):
            raise ValueError(f"its format is {data.get('format')!r} {data.get('version')!r}")
        view = View(remarks=data.pop("remarks"))
        for part in data.pop("parts"):
            made = _whole(part)
            (view.edges if isinstance(made, Edge) else view.nodes).append(made)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"load: not a drawing saved as JSON: {error}") from error
    return view, {name: data[name] for name in data if name not in ("format", "version")}


def _renamed(entries: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(key, key): value for key, value in entries.items()}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _part(part: Any) -> dict[str, Any]:
    """Return the fields of a node or edge that differ from their defaults."""
    found = {"is": type(part).__name__.lower()}
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name == "params":  # they are in the text of the call
            continue
        if field.name == "op":
            value = {"name": value.name, "symbol": value.symbol}
        elif field.name == "dtype":
            value = None if value is None else str(value)
        if value is not field.default and (field.name != "marks" or value):
            found[field.name] = _plain(value)
    return found


def _whole(part: dict[str, Any]) -> Any:
    kind = KINDS[part.pop("is")]
    values = {name: _array(value) for name, value in part.items()}
    for name in TUPLES:
        if name in values:
            values[name] = _tuple(values[name])
    if kind is Operation:
        values |= {"op": Signature(**values["op"]), "params": {}}
    if kind is Variable and values["dtype"] is not None:
        values["dtype"] = np.dtype(values["dtype"])
    return kind(**values)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Convert a value to JSON types; an array becomes an object with "$dtype"."""
    if isinstance(value, (str, bool, int, type(None))):
        return value
    if type(value) is float:  # not a NumPy number
        return value if isfinite(value) else {"$number": str(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    array = np.asarray(to_device(value, "cpu"))
    found = {"$dtype": array.dtype.str, "shape": list(array.shape)}
    if array.size <= LISTED and array.dtype.kind in "biuf":
        return found | {"numbers": [_plain(entry) for entry in array.reshape(-1).tolist()]}
    return found | {"bytes": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()}


def _array(value: Any) -> Any:
    """Invert `_plain`."""
    if isinstance(value, list):
        return [_array(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$number" in value:
        return float(value["$number"])
    if "$dtype" not in value:
        return {name: _array(entry) for name, entry in value.items()}
    dtype = np.dtype(value["$dtype"])
    if "bytes" in value:
        flat = np.frombuffer(base64.b64decode(value["bytes"]), dtype)
    else:
        flat = np.array([_array(number) for number in value["numbers"]], dtype)
    return flat.reshape(value["shape"])
