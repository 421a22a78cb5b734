"""The checkpoint of a run: reading it with checks, and restoring its model.

A checksum shows that a file is complete, not that it was written by this version or for this model.
So all contents are checked before use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..io import CheckpointError, PathLike, load
from ..nn import Module, no_init
from .config import C, config_from, model_of
from .folder import CHECKPOINT

M = TypeVar("M", bound=Module)


class Stateful(Protocol):
    """A part of a checkpoint: a model, an optimizer, a schedule, an average of weights."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state to continue from."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Continue from a state."""


def read_checkpoint(folder: PathLike) -> dict[str, Any]:
    """Read the checkpoint of a run: the state of each part, and an entry "run".

    The entry "run" has the "config" as a dict, the name of the "model" (None if the config is not
    that of a model of this package), the "version" of the package, and the "step".

    Raises:
        FileNotFoundError: the folder has no checkpoint.
        CheckpointError: it is damaged, or not the checkpoint of a run.
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
            found = repr(own[name])[:60] if name in own else "absent"
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


def _load_model(model: Module, state: dict[str, Any]) -> None:
    model.load_state_dict(state["model"])


def restored(
    folder: PathLike,
    config_class: type[C],
    build: Callable[[C], M],
    load: Callable[[M, dict[str, Any]], object] = _load_model,
) -> M:
    """Restore the model of a run's checkpoint.

    Args:
        folder: folder of the run.
        config_class: the `Config` of the expected model.
        build: function that returns the untrained model of a config. It is called twice, first
            without memory for the weights, to check that those of the checkpoint fit.
        load: function that loads a checkpoint into the model; by default its part "model".

    Raises:
        FileNotFoundError: there is no checkpoint.
        CheckpointError: it is damaged, of another model, or does not fit this version of it.
    """
    state = read_checkpoint(folder)
    own, name = state["run"], model_of(config_class)
    if name and own["model"] and own["model"] != name:
        raise CheckpointError(f"restore: {folder} holds a run of {own['model']}, not of {name}")
    try:
        config = config_from(config_class, own["config"])
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
    """The message of an exception in one line, with its type if the message alone is unclear."""
    words = " ".join(str(error).split())
    clear = isinstance(error, (ValueError, RuntimeError, OSError)) and words
    return words if clear else f"{type(error).__name__} {words}".rstrip()
