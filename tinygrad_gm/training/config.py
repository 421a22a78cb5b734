"""The Config of a model: a dataclass whose fields are flags of the command line, and whose values a
checkpoint records.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..io import CheckpointError

C = TypeVar("C")
V = TypeVar("V", bool, int, float, str)
_ABSENT = "absent"


def option(
    default: V,
    text: str,
    *,
    choices: Sequence[V] = (),
    least: float | None = None,
    most: float | None = None,
    path: bool = False,
) -> V:
    """A field of a Config: a flag with a default and a help text.

    Args:
        default: the default; the type of a value is that of the default.
        text: the help text, a whole phrase.
        choices: the allowed values; with `path` those that are not paths.
        least: the smallest allowed number; None: 1 for an int, 0 for a float.
        most: the largest allowed number; None: no limit.
        path: whether a word is the path of a file or folder, which a flag must name.

    >>> from dataclasses import dataclass
    >>> from tinygrad_gm.training import option
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     epochs: int = option(20, "number of passes over the training images", least=0)
    >>> Config()
    Config(epochs=20)
    """
    limits = {"choices": choices or None, "least": least, "most": most, "path": path or None}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    found: V = dataclasses.field(default=default, metadata={"help": text, **given})
    return found


def complaint(field: dataclasses.Field[Any], value: Any) -> str | None:
    """Describe what is wrong with a value for a field; None: nothing. The fields' limits are those
    of `option`, and a number must be finite.
    """
    kind = type(field.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        return f"is not of type {kind.__name__}"
    choices = field.metadata.get("choices")
    if choices and value not in choices and not field.metadata.get("path"):
        return f"is not one of {', '.join(map(str, choices))}"
    if kind in (int, float):
        least = field.metadata.get("least", 1 if kind is int else 0)
        most = field.metadata.get("most", 2**53 if kind is int else sys.float_info.max)
        if not least <= value <= most:
            limit = f"from {least} to {most}" if "most" in field.metadata else f"≥ {least}"
            return f"is not a number {limit}"
    return None


def check(config: Any) -> None:
    """Raise ValueError, naming the model, if a value of a Config is not allowed."""
    for field in dataclasses.fields(config):
        if wrong := complaint(field, value := getattr(config, field.name)):
            raise ValueError(f"{model_of(config)}: {field.name} {value!r} {wrong}")


def model_of(config: Any) -> str | None:
    """The name of the model of a `Config`, a class or an instance; None: not one of ours."""
    kind = config if isinstance(config, type) else type(config)
    package, models, name, *_ = *kind.__module__.split("."), "", "", ""
    return name if (package, models) == (__name__.partition(".")[0], "models") else None


# ----------------------------------------------------------------------- recorded values


def plain(config: Any) -> dict[str, Any]:
    """Convert a config to a dict, with the values as JSON returns them; TypeError for values that
    JSON cannot hold.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(config or {})))
    except TypeError as error:
        raise TypeError(f"Run: the config must contain plain values only: {error}") from error
    return found


def config_from(config_class: type[C], values: Mapping[str, Any]) -> C:
    """Return a Config with recorded values, and the defaults of fields added since."""
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    gone = [name for name in values if name not in fields]
    if gone:
        raise ValueError(f"its config has unknown fields: {', '.join(gone)}")
    for name, value in values.items():
        if wrong := complaint(fields[name], value):
            raise ValueError(f"its {name} {value!r} {wrong}")
    return config_class(**values)


def check_same_run(folder: str | Path, own: Mapping[str, Any], config: Any) -> bool:
    """Check that a run may continue with a config; return whether its "epochs" have grown.

    A field missing in the checkpoint had its default when the run was started. Raises
    CheckpointError for another model, ValueError for another change.
    """
    name, recorded = model_of(config), own["model"]
    if name and recorded and name != recorded:
        raise CheckpointError(f"Run: {folder} holds a run of {recorded}, not of {name}")
    new, defaults = plain(config), dict[str, Any]()
    if dataclasses.is_dataclass(config):
        known = [f for f in dataclasses.fields(config) if f.default is not dataclasses.MISSING]
        defaults = json.loads(json.dumps({field.name: field.default for field in known}))
    old = {**{name: defaults[name] for name in new if name in defaults}, **own["config"]}
    changes = [
        f"{name} was {old.get(name, _ABSENT)!r} and is {new.get(name, _ABSENT)!r}"
        for name in {**old, **new}
        if old.get(name, dataclasses.MISSING) != new.get(name, dataclasses.MISSING)
        and not (name == "epochs" and _has_grown(old.get(name), new.get(name)))
    ]
    if changes:
        version = f" (saved by version {own['version']})" if own["version"] else ""
        raise ValueError(
            f"Run: the run in {folder} was started with another config{version}: "
            f"{', '.join(changes)}; use the old values, or choose another folder"
        )
    return old.get("epochs") != new.get("epochs")


def _has_grown(old: Any, new: Any) -> bool:
    return type(old) is type(new) is int and old < new
