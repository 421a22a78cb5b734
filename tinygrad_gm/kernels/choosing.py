"""Which kernels compute, NumPy's or the native ones, and on how many threads."""

from __future__ import annotations

import os

from . import native

CHOICES = ("numpy", "native")


class use:  # noqa: N801 (a function to its callers)
    """Compute with the native kernels or with NumPy alone: from now on, or in a `with` block.

    The results of both agree to rounding. At the start the native kernels are used where they were
    built, unless the environment variable `TINYGRAD_GM_KERNELS` says `numpy`.

    Args:
        kernels: "native" or "numpy".

    Raises:
        RuntimeError: "native", and they were not built.
        ValueError: another name.

    >>> with tg.kernels.use("numpy"):
    ...     tg.kernels.in_use()
    'numpy'
    """

    def __init__(self, kernels: str) -> None:
        self._before = in_use()
        _switch(kernels)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _switch(self._before)


def available() -> tuple[str, ...]:
    """The kernels that `use` can choose from: "numpy", and "native" where it was built."""
    return CHOICES[:1] if native.missing else CHOICES


def in_use() -> str:
    """The kernels that compute at present: "native" or "numpy"."""
    return "native" if not native.missing and native.is_enabled() else "numpy"


def set_num_threads(count: int) -> None:
    """Set on how many threads the native kernels compute; a result does not depend on it.

    At the start it is `OMP_NUM_THREADS`, else `OPENBLAS_NUM_THREADS`, else the number of processors
    that the program may use; on Windows it is 1. The threads of NumPy's own functions are not
    affected.

    Raises:
        ValueError: count is less than 1.
    """
    if native.missing:
        if count < 1:
            raise ValueError(f"set_num_threads: {count} is not a number of threads")
    else:
        native.set_num_threads(count)


def num_threads() -> int:
    """Return on how many threads the native kernels compute; 1 if they were not built."""
    return 1 if native.missing else native.get_num_threads()


def described() -> str:
    """The kernels in use in a few words, for `tinygrad-gm info`."""
    if native.missing:
        return f"numpy (the native ones were not built: {native.missing})"
    if in_use() == "numpy":
        return "numpy (the native ones are switched off)"
    return f"native ({native.target()}), threads: {num_threads()}"


def _switch(kernels: str) -> None:
    if kernels not in CHOICES:
        raise ValueError(f'kernels: {kernels!r} is unknown; use "native" or "numpy"')
    if not native.missing:
        native.enable(kernels == "native")
    elif kernels == "native":
        raise RuntimeError(
            f"kernels: the native ones were not built ({native.missing}); reinstall tinygrad_gm "
            'with a C compiler, or use "numpy"'
        )


def _first_number_of_threads() -> int:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        first = os.environ.get(name, "").partition(",")[0].strip()  # "4,2": of nested regions
        if first.isdecimal() and int(first) > 0:
            return int(first)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if not native.missing:
    native.set_num_threads(_first_number_of_threads())
    if "TINYGRAD_GM_KERNELS_TARGET" in os.environ:
        native.set_target(os.environ["TINYGRAD_GM_KERNELS_TARGET"])
if "TINYGRAD_GM_KERNELS" in os.environ:
    _switch(os.environ["TINYGRAD_GM_KERNELS"])
