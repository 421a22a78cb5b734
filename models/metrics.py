"""How good a generative model is, in numbers."""

from __future__ import annotations

import math

import tinygrad_gm as tg
from tinygrad_gm import Tensor


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """The bound of Burda et al. 2016 ("Importance Weighted Autoencoders", eq. 8), for each image.

        L_k = E [ln (1/k) Σ_i w_i],  w_i = p(x|z_i) p(z_i) / q(z_i|x),  z_i ~ q(z|x)

    L_1 is the ELBO; L_k grows with k, towards ln p(x). Large N need not be held at once: the images
    do not depend on each other.

    Args:
        log_weights: ln w_i, (k, N): k draws of the code for each of N images.

    Returns:
        One draw of L_k for each image, in nats, (N,).

    >>> importance_weighted_bound(tg.log(tg.tensor([[1.0, 8.0], [3.0, 8.0]]))).exp()
    tensor([2., 8.])
    """
    if log_weights.ndim != 2 or not len(log_weights):
        raise ValueError(
            f"importance_weighted_bound: log_weights of shape (k, N) are wanted, not "
            f"{log_weights.shape}"
        )
    bound: Tensor = tg.logsumexp(log_weights, axis=0) - math.log(len(log_weights))
    return bound
