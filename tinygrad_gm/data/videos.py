"""`video`: clips from files, as the arrays that video models expect."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..io import PathLike, failure
from ..tensor import Tensor, asarray
from .image_files import DAMAGE


def video(path: PathLike) -> Tensor:
    """Read a video: an array in a `.npy` file, the only array of a `.npz` file, or a `.gif` film.

    Args:
        path: path of the file. An array has the shape (T, H, W), (T, H, W, C) or (T, C, H, W), with
            one or three channels C; bytes are levels from 0 to 255, floats intensities in [0, 1].

    Returns:
        (T, C, H, W), float32 in [0, 1]. A film has three channels, or one if all its pixels are
        grey.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is of another kind, damaged, or holds no video.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "clip.npy")
    >>> np.save(path, np.full((5, 8, 6, 3), 255, np.uint8))
    >>> clip = tg.data.video(path)
    >>> clip.shape, clip.max().item()
    ((5, 3, 8, 6), 1.0)
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".npy", ".npz", ".gif"):
        raise ValueError(f"video: {path} is not a .npy, .npz or .gif file")
    array = _film(path) if suffix == ".gif" else _array(path)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[-1] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not array.size:
        raise ValueError(
            f"video: {path} holds an array of shape {array.shape}; expected (T, H, W), "
            "(T, H, W, C) or (T, C, H, W) with 1 or 3 channels"
        )
    if array.dtype == np.uint8:
        return asarray(np.ascontiguousarray(array) / np.float32(255))
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"video: {path} holds {array.dtype}; expected bytes, or floats in [0, 1]")
    return asarray(np.ascontiguousarray(array, np.float32))


def _array(path: PathLike) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if len(found.files) == 1:
                return found[found.files[0]]
            names = ", ".join(found.files) or "none"
    except OSError as error:
        if error.errno is not None:
            raise failure(f"cannot read {path}", error) from None
        raise ValueError(f"cannot read {path}: the file is damaged: {error}") from None
    except Exception as error:  # NumPy, zipfile and zlib raise many kinds for damaged files
        raise ValueError(f"cannot read {path}: the file is damaged: {error}") from None
    raise ValueError(f"video: {path} must hold one array; it has {names}")


def _film(path: PathLike) -> Any:
    """The frames of a film, (T, H, W, C) in bytes."""
    from PIL import Image, ImageSequence

    try:
        with warnings.catch_warnings(), Image.open(path) as film:
            warnings.simplefilter("ignore")
            frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise failure(f"cannot read {path}", error) from None
        raise ValueError(f"cannot read {path}: the film is truncated or damaged") from None
    colours = np.stack(frames)
    return colours[..., :1] if (colours == colours[..., :1]).all() else colours
