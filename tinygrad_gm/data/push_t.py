"""Push-T: human demonstrations of pushing a T-shaped block onto its target."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..tensor import Tensor, asarray
from .files import find, missing
from .formats import read_npz


class Demonstrations(NamedTuple):
    """Concatenated episodes, one row per step; lengths in pixels of a 512 × 512 board.

    Attributes:
        state: (steps, 5): the agent's x and y, the block's x and y, the block's angle in radians.
        action: (steps, 2): x and y of the agent's target.
        keypoint: (steps, 9, 2): nine points of the block.
        episode_ends: (episodes,) int64: episode i has the rows from `episode_ends[i - 1]` (0 for
            the first) up to, not including, `episode_ends[i]`.
    """

    state: Tensor
    action: Tensor
    keypoint: Tensor
    episode_ends: Tensor


def push_t() -> Demonstrations:
    """206 demonstrations, 25,650 steps at 10 Hz (Chi et al. 2023, "Diffusion Policy").

    They are read from `pusht_lowdim.npz`. The original, a zip archive of zarr arrays, is neither
    read nor downloaded.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is damaged.

    >>> tg.data.push_t().state.shape                                       # doctest: +SKIP
    (25650, 5)
    """
    name = "pusht_lowdim.npz"
    path = find(name)
    if path is None:
        raise missing(
            name,
            "cannot be downloaded: the public original is a zip archive of zarr arrays; an .npz "
            "file of `state`, `action`, `keypoint` and `episode_ends` is needed",
        )
    shapes: dict[str, tuple[int | None, ...]] = {
        "state": (None, 5),
        "action": (None, 2),
        "keypoint": (None, 9, 2),
        "episode_ends": (None,),
    }
    *steps, ends = read_npz(path, shapes)
    if ends.dtype.kind not in "iu":
        raise ValueError(f"{path} is damaged: 'episode_ends' are {ends.dtype}, not integers")
    ends = ends.astype(np.int64)
    lengths = {len(array) for array in steps}
    if len(lengths) != 1 or not ends.size or (np.diff(ends, prepend=0) <= 0).any():
        raise ValueError(f"{path} is damaged: its arrays differ in length, or episodes are empty")
    if ends[-1] not in lengths:
        raise ValueError(
            f"{path} is damaged: the last episode ends at {ends[-1]} of {lengths.pop()} steps"
        )
    state, action, keypoint = (asarray(array.astype(np.float32)) for array in steps)
    return Demonstrations(state, action, keypoint, asarray(ends))
