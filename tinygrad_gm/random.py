"""Random numbers: a `Generator` with a state that can be saved, and functions. The numbers come
from NumPy's PCG64 on the CPU and are then moved, so a seed gives the same numbers on every device.
All functions here and in `nn` draw from `default_generator()` unless they are given a generator;
`using` replaces it within a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as np

from . import backend
from .backend import Array, ArrayLike
from .creation import Shape, as_shape, place
from .engine.checkpointing import preserved
from .engine.modes import Mode
from .tensor import Tensor, asarray


class Generator:
    """A stream of random numbers.

    Args:
        seed: a whole number ≥ 0, or a sequence of them, such as (seed, epoch, batch number):
            different sequences give independent streams. None: unpredictable.
        device: device of its Tensors; None: the default device.

    >>> first, second = tg.Generator(7), tg.Generator(7)
    >>> bool((first.normal((2, 3)) == second.normal((2, 3))).all())
    True
    """

    def __init__(self, seed: int | Sequence[int] | None = None, device: str | None = None) -> None:
        from numpy.random import PCG64, SeedSequence  # saves 10 ms of `import tinygrad_gm`
        from numpy.random import Generator as Stream

        key: list[Any] = list(seed) if isinstance(seed, Sequence) else [seed]
        try:
            # A spawn key, unlike a list as seed, tells (1,) from (1, 0).
            self._bits = PCG64(SeedSequence(key[0], spawn_key=key[1:]))
        except (TypeError, ValueError, IndexError):
            raise ValueError(
                f"Generator: seed must be an integer ≥ 0 or a sequence of them; got {seed!r}"
            ) from None
        self._stream, self.device = Stream(self._bits), device

    def normal(self, shape: Shape, dtype: Any = None) -> Tensor:
        """Draw from N(0, 1)."""
        return self._floats(self._stream.standard_normal, "normal", shape, dtype)

    def uniform(
        self, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: Any = None
    ) -> Tensor:
        """Draw from the uniform distribution on [low, high); rounding may give `high` itself.

        >>> x = tg.Generator(0).uniform((1000,), -2, 3)
        >>> bool((x >= -2).all()), bool((x < 3).all())
        (True, True)
        """
        drawn = self._floats(self._stream.random, "uniform", shape, dtype)
        if (low, high) != (0.0, 1.0):
            drawn._data *= high - low
            drawn._data += low
        return drawn

    def integers(self, low: int, high: int, shape: Shape) -> Tensor:
        """Draw integers (int64) uniformly from low, …, high − 1.

        >>> tg.Generator(0).integers(5, 6, 3).tolist()
        [5, 5, 5]
        """
        if low >= high:
            raise ValueError(f"integers: expected low < high; got {low} and {high}")
        drawn = self._stream.integers(low, high, as_shape("integers", shape))
        return place(np.asarray(drawn), self.device)

    def permutation(self, n: int) -> Tensor:
        """Return the numbers 0, …, n − 1 (int64) in random order.

        >>> sorted(tg.Generator(0).permutation(4).tolist())
        [0, 1, 2, 3]
        """
        return place(self._stream.permutation(n), self.device)

    def bernoulli(self, p: ArrayLike, shape: Shape | None = None) -> Tensor:
        """Ones with probability p, else zeros, in p's floating dtype (else the default one).

        `shape` is the result's, to which p broadcasts; None: p's own. Raises ValueError for a
        probability outside [0, 1].

        >>> tg.Generator(0).bernoulli([0.0, 1.0]).tolist()
        [0.0, 1.0]
        """
        p = asarray(p)
        chance: Array = backend.to_device(p._data, "cpu")
        if not ((chance >= 0) & (chance <= 1)).all():
            raise ValueError("bernoulli: expected probabilities in [0, 1]")
        dtype = p.dtype if p.dtype.kind == "f" else backend.default_dtype()
        lengths = p.shape if shape is None else as_shape("bernoulli", shape)
        drawn = self._stream.random(lengths, np.float64 if dtype == np.float64 else np.float32)
        ones = np.asarray(drawn < chance)
        if ones.shape != lengths:
            raise ValueError(f"bernoulli: p of shape {p.shape} does not broadcast to {lengths}")
        return place(ones.astype(dtype), self.device)

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the state: a nested dict of ints and strings, which JSON can hold."""
        return dict(self._bits.state)

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state of `get_state`.

        >>> generator = tg.Generator(0)
        >>> state = generator.get_state()
        >>> first = generator.normal(2).tolist()
        >>> generator.set_state(state)
        >>> generator.normal(2).tolist() == first
        True
        """
        try:
            self._bits.state = state  # type: ignore[assignment]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"set_state: this is not a state of a Generator: {error}") from error

    def _floats(self, draw: Any, name: str, shape: Shape, dtype: Any) -> Tensor:
        wanted = np.dtype(dtype or backend.default_dtype())
        if wanted.kind != "f":
            raise TypeError(f"{name}: expected a floating dtype; got {wanted}")
        # NumPy draws float32 and float64; the narrower ones are rounded.
        drawn = draw(as_shape(name, shape), np.float64 if wanted.itemsize == 8 else np.float32)
        return place(np.asarray(drawn, dtype=wanted), self.device)


# ------------------------------------------------------------------- the default generator

_global: Generator | None = None
_current: ContextVar[Generator | None] = ContextVar("generator", default=None)


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it.

    >>> _ = tg.manual_seed(0)
    >>> x = tg.rand(3)
    >>> _ = tg.manual_seed(0)
    >>> bool((tg.rand(3) == x).all())
    True
    """
    generator = default_generator()
    generator.set_state(Generator(seed).get_state())
    return generator


def default_generator() -> Generator:
    """Return the default generator; unpredictable until `manual_seed`."""
    global _global
    if (current := _current.get()) is not None:
        return current
    if _global is None:
        _global = Generator()
    return _global


def using(generator: Generator) -> Mode:
    """Make `generator` the default one inside a `with` block or a decorated function.

    >>> with tg.random.using(tg.Generator(3)):
    ...     x = tg.rand(2)
    >>> bool((x == tg.Generator(3).uniform(2)).all())
    True
    """
    if not isinstance(generator, Generator):
        raise TypeError(f"using: generator must be a tg.Generator, got {generator!r}")
    return Mode(_current, generator)


def _preserve() -> Callable[[], Mode]:
    """For a checkpoint: its second run draws the numbers of the first."""
    generator = default_generator()
    device, state = generator.device, generator.get_state()

    def restore() -> Mode:
        stream = Generator(0, device)
        stream.set_state(state)
        return using(stream)

    return restore


preserved.append(_preserve)


# ------------------------------------------------------------------- functions


def randn(
    shape: Shape,
    dtype: Any = None,
    *rest: NoReturn,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, 1).

    >>> tg.randn((2, 3)).shape
    (2, 3)
    """
    lengths = as_shape("randn", shape, dtype, *rest)
    drawn = (generator or default_generator()).normal(lengths, dtype)
    return _finish(drawn, device, requires_grad)


def rand(
    shape: Shape,
    dtype: Any = None,
    *rest: NoReturn,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the uniform distribution on [0, 1)."""
    lengths = as_shape("rand", shape, dtype, *rest)
    drawn = (generator or default_generator()).uniform(lengths, dtype=dtype)
    return _finish(drawn, device, requires_grad)


def randint(
    low: int,
    high: Any = None,
    shape: Shape | None = None,
    *,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Draw integers (int64) from low, …, high − 1: `randint(low, high, shape)`.

    `randint(high, shape)` draws from 0, …, high − 1.

    >>> tg.randint(0, 10, (2, 3)).shape, tg.randint(10, (2, 3)).shape
    ((2, 3), (2, 3))
    """
    if shape is None:
        low, high, shape = 0, low, high
    if shape is None:
        raise TypeError("randint: the shape is missing: randint(low, high, shape)")
    drawn = (generator or default_generator()).integers(low, high, shape)
    return _finish(drawn, device, False)


def randperm(n: int, *, device: str | None = None, generator: Generator | None = None) -> Tensor:
    """Return the numbers 0, …, n − 1 (int64) in random order."""
    return _finish((generator or default_generator()).permutation(n), device, False)


def bernoulli(p: ArrayLike, *, generator: Generator | None = None) -> Tensor:
    """Draw 1 with each probability in p, else 0, in p's dtype.

    >>> tg.bernoulli(tg.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    return (generator or default_generator()).bernoulli(p)


def categorical(
    logits: ArrayLike = None,
    probs: ArrayLike = None,
    size: Shape | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Draw class indices (int64) from the distributions along the last axis.

    Args:
        logits: (…, K), from which softmax gives the probabilities; −inf excludes a class.
        probs: instead of logits: (…, K), numbers ≥ 0, which need not sum to 1.
        size: shape of independent draws from each distribution; None: one draw.
        generator: random generator; None: the default generator.

    Returns:
        (…), or (*size, …).

    Raises:
        TypeError: both or neither of logits and probs.
        ValueError: invalid distribution: a negative number, NaN, or no class with a probability >
            0.

    >>> tg.random.categorical(probs=[0.0, 1.0, 0.0], size=4).tolist()
    [1, 1, 1, 1]
    >>> tg.random.categorical(logits=tg.zeros((2, 5))).shape
    (2,)
    """
    if (logits is None) == (probs is None):
        raise TypeError("categorical: expected either logits or probs, not both or neither")
    given = asarray(probs if logits is None else logits)
    p = given.detach().numpy().astype(np.float64)
    if logits is not None:
        p = _from_logits(p)
    _check_distributions("categorical", p)
    sums = p.cumsum(axis=-1)
    sums /= sums[..., -1:]
    lead = () if size is None else as_shape("categorical", size)
    u = _uniform(generator, (*lead, *p.shape[:-1]))
    if p.ndim == 1:
        drawn = np.searchsorted(sums, u, side="right")
    else:
        drawn = (u[..., None] >= sums).sum(axis=-1)
    return asarray(drawn.astype(np.int64), device=given.device)


def multinomial(
    probs: ArrayLike,
    n: int = 1,
    replacement: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draw n class indices (int64) from each distribution: (…, K) gives (…, n).

    Args:
        probs: (…, K), numbers ≥ 0, which need not sum to 1.
        n: number of draws from each.
        replacement: whether a class may be drawn again.
        generator: random generator; None: the default generator.

    Raises:
        ValueError: invalid distribution, or, without replacement, fewer than n classes with a
            probability > 0.

    >>> sorted(tg.random.multinomial([0.2, 0.3, 0.0, 0.5], 3).tolist())
    [0, 1, 3]
    """
    given = asarray(probs)
    p = given.detach().numpy().astype(np.float64)
    _check_distributions("multinomial", p)
    if replacement:
        drawn = categorical(probs=p, size=n, generator=generator).numpy()
        return asarray(np.moveaxis(drawn, 0, -1), device=given.device)
    least = (p > 0).sum(axis=-1).min(initial=p.shape[-1])
    if not 0 <= n <= least:
        raise ValueError(
            f"multinomial: {n} draws without replacement, but only {least} classes of a "
            "distribution have a probability > 0"
        )
    # the order in which exponential clocks of rates p ring is that of draws without replacement
    with np.errstate(divide="ignore"):
        times = -np.log1p(-_uniform(generator, p.shape)) / p
    times = np.where(p > 0, times, np.inf)
    drawn = np.argsort(times, axis=-1, kind="stable")[..., :n]
    return asarray(drawn.astype(np.int64), device=given.device)


def _uniform(generator: Generator | None, shape: tuple[int, ...]) -> Any:
    return (generator or default_generator()).uniform(shape, dtype=np.float64).numpy()


def _from_logits(logits: Any) -> Any:
    """Probabilities up to a factor; NaN where there is no finite logit."""
    with np.errstate(invalid="ignore"):
        return np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))


def _check_distributions(name: str, p: Any) -> None:
    if not p.ndim or not p.shape[-1]:
        raise ValueError(f"{name}: expected at least one class along the last axis; got {p.shape}")
    if not (np.isfinite(p).all() and (p >= 0).all() and (p.sum(axis=-1) > 0).all()):
        raise ValueError(
            f"{name}: expected finite probabilities ≥ 0, at least one > 0 in each distribution"
        )


def randn_like(
    x: ArrayLike,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(0, 1) in the shape, dtype and device of `x`."""
    x = asarray(x)
    drawn = (generator or default_generator()).normal(x.shape, dtype or x.dtype)
    return _finish(drawn, device or x.device, requires_grad)


def rand_like(
    x: ArrayLike,
    dtype: Any = None,
    *,
    device: str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from the uniform distribution on [0, 1) in the shape, dtype and device of `x`."""
    x = asarray(x)
    drawn = (generator or default_generator()).uniform(x.shape, dtype=dtype or x.dtype)
    return _finish(drawn, device or x.device, requires_grad)


def _finish(drawn: Tensor, device: str | None, requires_grad: bool) -> Tensor:
    return (drawn if device is None else drawn.to(device)).requires_grad_(requires_grad)
