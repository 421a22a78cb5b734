"""The checkpoint of a run: whether it is whole, which model it is of, and the model that it holds.

A checksum tells that a file is as it was written, not that it was written by this version or for
this model. So whatever is read here is checked before it is used.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..io import CheckpointError, PathLike, load
from ..nn import Module, no_init
from .folder import CHECKPOINT

C = TypeVar("C")
M = TypeVar("M", bound=Module)
_ABSENT = "absent"


def read_checkpoint(folder: PathLike) -> dict[str, Any]:
    """The checkpoint of a run: for each part its state, and under "run" the rest.

    `read_checkpoint(folder)["run"]` has the "config" as a dict, the name of the "model" (None where
    the config is not that of one of the package's models), the "version" of the package, and the
    "step".

    Raises:
        FileNotFoundError: the folder has no checkpoint.
        CheckpointError: it is damaged, or not that of a run.
    """
    path = Path(folder) / CHECKPOINT
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint in {folder}; train a model there first")
    state = load(path)
    own = state.get("run")
    if not isinstance(own, dict) or "config" not in own:
        raise CheckpointError(f"{path} is not the checkpoint of a run")
    for name, (wanted, fits) in _FACTS.items():
        if name not in own and name not in _REQUIRED:
            own[name] = None
        elif not fits(own.get(name)):
            found = repr(own[name])[:60] if name in own else _ABSENT
            raise CheckpointError(f"{path} is damaged: its {name} is {found}, not {wanted}")
    return state


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_plain_dict(value: Any) -> bool:
    try:
        return isinstance(value, dict) and bool(json.dumps(value))
    except (TypeError, ValueError):
        return False


def _is_name(value: Any) -> bool:
    return value is None or isinstance(value, str)


_FACTS = {
    "config": ("a dict", _is_plain_dict),
    "step": ("a number of steps", _is_count),
    "metrics_bytes": ("a number of bytes", _is_count),
    "loader": ("a dict", _is_plain_dict),
    "generator": ("a dict", _is_plain_dict),
    "model": ("a name", _is_name),  # this and the rest: not in checkpoints of version 0.1.0
    "version": ("a name", _is_name),
    "stands_on": ("a number of steps", lambda value: value is None or _is_count(value)),
}
_REQUIRED = ("config", "step", "metrics_bytes", "loader", "generator")


# ----------------------------------------------------------------------- configs


def model_of(config: Any) -> str | None:
    """The name of the model whose `Config` this is, or is an instance of; None: of none of ours."""
    kind = config if isinstance(config, type) else type(config)
    package, _, name = kind.__module__.rpartition(".")
    return name if package == f"{__name__.partition('.')[0]}.models" else None


def plain(config: Any) -> dict[str, Any]:
    """A config as JSON would give it back; TypeError for values that it cannot hold."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(config or {})))
    except TypeError as error:
        raise TypeError(f"Run: the config must hold plain values: {error}") from error
    return found


def check_same_run(folder: PathLike, own: Mapping[str, Any], config: Any) -> bool:
    """Whether a run goes on with more epochs than it was begun with; ValueError for another run.

    A field that the checkpoint does not have had its default when the run was begun; only the
    number of "epochs" may have grown.
    """
    name, recorded = model_of(config), own["model"]
    if name and recorded and name != recorded:
        raise CheckpointError(f"Run: {folder} holds a run of {recorded}, not of {name}")
    new = plain(config)
    defaults: dict[str, Any] = {}
    if dataclasses.is_dataclass(config):
        known = [f for f in dataclasses.fields(config) if f.default is not dataclasses.MISSING]
        defaults = {field.name: _as_json(field.default) for field in known}
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
            f"Run: the config is not the one that the run in {folder} was begun with{version}: "
            f"{', '.join(changes)}; give the old values, or choose another folder"
        )
    return old.get("epochs") != new.get("epochs")


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _has_grown(old: Any, new: Any) -> bool:
    return type(old) is type(new) is int and old < new


def complaint(field: dataclasses.Field[Any], value: Any) -> str | None:
    """What is wrong with a value for a field of a Config, as the end of a sentence; None: nothing.

    It is of the default's type, one of the field's "choices", and a finite number from its "least"
    (where none is given 1 for whole numbers, 0 for others) to its "most".
    """
    kind = type(field.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        return f"is not of the type {kind.__name__}"
    choices = field.metadata.get("choices")
    if choices and value not in choices:
        return f"is not one of {', '.join(choices)}"
    if kind in (int, float):
        least = field.metadata.get("least", 1 if kind is int else 0)
        most = field.metadata.get("most", 2**53 if kind is int else sys.float_info.max)
        if not least <= value <= most:
            end = f"to {most}" if "most" in field.metadata else "on"
            return f"is not a number from {least} {end}"
    return None


def _config_from(config_class: type[C], values: Mapping[str, Any]) -> C:
    """A Config of recorded values, with the defaults of fields that there were not yet."""
    fields = {field.name: field for field in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    gone = [name for name in values if name not in fields]
    if gone:
        raise ValueError(f"its config has {', '.join(gone)}, and there is no such field (any more)")
    for name, value in values.items():
        if wrong := complaint(fields[name], value):
            raise ValueError(f"its {name}, {value!r}, {wrong}")
    return config_class(**values)


# ----------------------------------------------------------------------- the model


def _load_model(model: Module, state: dict[str, Any]) -> None:
    model.load_state_dict(state["model"])


def restored(
    folder: PathLike,
    config_class: type[C],
    build: Callable[[C], M],
    load: Callable[[M, dict[str, Any]], object] = _load_model,
) -> M:
    """The model of a run's checkpoint.

    Args:
        folder: of the run.
        config_class: the `Config` of the expected model.
        build: the untrained model of a config. It is called twice: at first without memory for the
            weights, to see whether the checkpoint's fit.
        load: loads a checkpoint into such a model; by default the state of its part "model".

    Raises:
        FileNotFoundError: there is no checkpoint.
        CheckpointError: it is damaged, of another model, or does not fit this version of it.
    """
    state = read_checkpoint(folder)
    own, name = state["run"], model_of(config_class)
    if name and own["model"] and own["model"] != name:
        raise CheckpointError(f"restore: {folder} holds a run of {own['model']}, not of {name}")
    try:
        config = _config_from(config_class, own["config"])
        with no_init():
            load(build(config), state)
        model = build(config)
        load(model, state)
        return model
    except Exception as error:
        from ..version import __version__

        made = f", made by version {own['version']}," if own["version"] else ""
        raise CheckpointError(
            f"restore: the checkpoint in {folder}{made} does not fit {name or 'the model'} of "
            f"version {__version__}: {in_one_line(error)}"
        ) from error


def in_one_line(error: BaseException) -> str:
    """What an exception says, or its kind where that would be said too briefly."""
    words = " ".join(str(error).split())
    clear = isinstance(error, (ValueError, RuntimeError, OSError)) and words
    return words if clear else f"{type(error).__name__} {words}".rstrip()
