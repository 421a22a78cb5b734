"""Losses and penalties; a loss has a `reduction`: "mean" over its elements, "sum", or "none"."""

from __future__ import annotations

from typing import Any

from ...backend import ArrayLike
from ...ops import exp
from ...tensor import Tensor, asarray


def kl_normal(
    mu_p: ArrayLike,
    log_var_p: ArrayLike,
    mu_q: ArrayLike = None,
    log_var_q: ArrayLike = None,
    reduction: str = "mean",
) -> Tensor:
    """KL(p ‖ q) of two normal distributions, elementwise, from their means and log-variances.

    With p = N(μ_p, σ_p²) and q = N(μ_q, σ_q²):

        KL(p ‖ q) = ln(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²) / (2σ_q²) − ½

    The log-variance ln σ² can be any number, so a network may give it.

    Args:
        mu_p, log_var_p: of p, any shapes that broadcast.
        mu_q, log_var_q: of q; None: 0, that is q = N(0, 1), as in a variational autoencoder
            (Kingma & Welling 2014, appendix B).
        reduction: "mean", "sum" or "none". The KL of a vector of independent normals is the sum
            over its axis: `F.kl_normal(mu, log_var, reduction="none").sum(axis=-1)`.

    >>> F.kl_normal(tg.tensor(1.0), tg.tensor(0.0)).item()
    0.5
    """
    mu, log_var = asarray(mu_p), asarray(log_var_p)
    distance = mu if mu_q is None else mu - mu_q
    spread = exp(log_var) + distance * distance
    if log_var_q is not None:
        log_var = log_var - log_var_q
        spread = spread * exp(-asarray(log_var_q))
    return _reduced("kl_normal", (spread - log_var - 1.0) * 0.5, reduction)


def _reduced(name: str, losses: Any, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'{name}: reduction is {reduction!r}; "mean", "sum" or "none" is wanted')
    reduced: Tensor = losses if reduction == "none" else getattr(losses, reduction)()
    return reduced
