"""What the network predicts: five targets, their conversions, and the weights of their losses.

**One plane.** In x_t = α x_0 + σ ε, with α² + σ² = 1, there are two unknowns, the data x_0 and the
noise ε, and one equation. A second combination y = a x_0 + b ε determines both. So a network
can predict any of

    target      y                       a     b      source
    x0          x_0                     1     0      Ho et al. 2020, section 3.2
    noise       ε                       0     1      Ho et al. 2020, eq. 14
    score       ∇ ln q(x_t|x_0)         0    −1/σ    Song and Ermon 2019, eq. 5
    v           α ε − σ x_0            −σ     α      Salimans and Ho 2022, appendix D
    velocity    ε − x_0                −1     1      Lipman et al. 2023, eq. 23, from x_0 to ε

and the others follow from y and x_t, by solving the two equations:

    x_0 = (b x_t − σ y)/d,   ε = (α y − a x_t)/d,   d = α b − σ a

The best prediction of y is its mean given x_t. All five are linear in each other for a given x_t,
hence so are their means. For the score, that mean is the gradient of ln q(x_t), and the row for x_0
becomes *Tweedie's formula*, E[x_0|x_t] = (x_t + σ² ∇ ln q(x_t))/α.

**Velocity.** Flow matching moves on a straight line (1 − τ) x_0 + τ ε with the velocity ε − x_0.
The point x_t/(α + σ) is on this line, at τ = σ/(α + σ): both processes are the same, apart from a
scale of x_t and the pace of the time.

**They differ in how errors count.** An error δ of y is an error −σ δ/d of x_0. So the squared error
of x_0 with the weight w is that of y with the weight w (σ/d)². The bound on ln p is, in the errors
of x_0, a sum with the weights ½ (SNR_{t−1} − SNR_t) (see `bound`); with "simple" the squared error
of y itself is averaged. "min-snr" (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR
Weighting Strategy", section 3.4) has the weight min(SNR_t, 5) for errors of x_0: neither does the
noise of nearly clean data dominate, nor do large errors at high noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_gm as tg
from tinygrad_gm import Tensor

from .process import Process

# the direction (a, b) of each target, from α and σ
TARGETS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "noise": lambda alpha, sigma: (0.0, 1.0),
    "x0": lambda alpha, sigma: (1.0, 0.0),
    "v": lambda alpha, sigma: (-sigma, alpha),
    "score": lambda alpha, sigma: (0.0, -1.0 / sigma),
    "velocity": lambda alpha, sigma: (-1.0, 1.0),
}
LOSSES = ("simple", "min-snr", "bound")
SNR_LIMIT = 5.0  # γ of Hang et al.


def target(name: str, x0: Tensor, noise: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """The target y of x_0 and ε.

    >>> x0, noise = tg.tensor([3.0]), tg.tensor([1.0])
    >>> [target(name, x0, noise, 0.6, 0.8).item() for name in ("x0", "score", "velocity")]
    [3.0, -1.25, -2.0]
    """
    a, b = TARGETS[name](alpha, sigma)
    y: Tensor = a * x0 + b * noise
    return y


def to_x0(name: str, y: Tensor, x_t: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """x_0 from a target y and x_t."""
    a, b = TARGETS[name](alpha, sigma)
    x0: Tensor = (b * x_t - sigma * y) / (alpha * b - sigma * a)
    return x0


def to_noise(name: str, y: Tensor, x_t: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """ε from a target y and x_t."""
    a, b = TARGETS[name](alpha, sigma)
    noise: Tensor = (alpha * y - a * x_t) / (alpha * b - sigma * a)
    return noise


def convert(y: Tensor, source: str, wanted: str, x_t: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """The target `wanted` from the target `source`.

    >>> x_t = 0.6 * tg.tensor([3.0]) + 0.8 * tg.tensor([1.0])
    >>> convert(tg.tensor([1.0]), "noise", "v", x_t, 0.6, 0.8).round(4).item()
    -1.7999999523162842
    """
    x0, noise = (find(source, y, x_t, alpha, sigma) for find in (to_x0, to_noise))
    return target(wanted, x0, noise, alpha, sigma)


def weights(process: Process, name: str, loss: str = "simple") -> Tensor:
    """The weight of the squared error of a target at each step, (T,), float64.

    Args:
        process: the schedule.
        name: the target.
        loss: "simple", weight 1, but σ² for the score, whose size is 1/σ (Song and Ermon 2019,
            section 4.2); "min-snr"; or "bound". The mean over t of the last one, times the error
            summed over all numbers of x, is the part of the bound in nats that depends on the
            network. Its weight for t = 1 is 0, since the decoder has no parameters.

    Raises ValueError for another target or loss.

    >>> f"{weights(Process(1000, 'cosine'), 'noise', 'bound')[-1].item() / 1000:.0f}"
    '500'
    """
    check(name, loss)
    sigma = tg.sqrt(1 - process.alphas_cumprod)
    if loss == "simple":
        return sigma**2 if name == "score" else tg.ones_like(sigma)
    snr = process.snr()
    if loss == "min-snr":
        of_x0 = tg.minimum(snr, SNR_LIMIT)
    else:
        of_x0 = process.timesteps * (tg.concat([snr[:1], snr[:-1]]) - snr) / 2
    alpha = tg.sqrt(process.alphas_cumprod)
    a, b = TARGETS[name](alpha, sigma)
    found: Tensor = of_x0 * (sigma / (alpha * b - sigma * a)) ** 2
    return found


def check(name: str, loss: str = "simple") -> None:
    """Raise ValueError for an unknown target or loss.

    >>> check("noice")
    Traceback (most recent call last):
        ...
    ValueError: diffusion: the target must be noise, x0, v, score, velocity, not 'noice'
    """
    for kind, value, known in (("target", name, TARGETS), ("loss", loss, LOSSES)):
        if value not in known:
            raise ValueError(f"diffusion: the {kind} must be {', '.join(known)}, not {value!r}")
