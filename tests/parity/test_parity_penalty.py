"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017): a second derivative through a critic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as torch_functional
from differing import TOLERANCE

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F

SHAPES = [(8, 3, 4, 4), (8,), (8, 8, 8), (8, 8, 8), (6, 8, 3, 3), (6,), (1, 6 * 8 * 8), (1,)]


def critic(f: Any, x: Any, weights: list[Any]) -> Any:
    """Conv2d → LeakyReLU → LayerNorm → Conv2d → Linear, in either library."""
    w1, b1, scale, shift, w2, b2, w3, b3 = weights
    h = f.leaky_relu(f.conv2d(x, w1, b1, stride=2, padding=1), 0.2)
    h = f.layer_norm(h, tuple(h.shape[1:]), scale, shift)
    h = f.conv2d(h, w2, b2, padding=1)
    return f.linear(h.reshape(h.shape[0], -1), w3, b3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_penaltys_parameter_gradient_equals_pytorchs(dtype: str) -> None:
    rng = np.random.default_rng(0)
    weights = [(rng.normal(size=s) / np.sqrt(np.prod(s[1:]))).astype(dtype) for s in SHAPES]
    x = rng.normal(size=(4, 3, 16, 16)).astype(dtype)

    ours, images = [tg.tensor(w, requires_grad=True) for w in weights], tg.tensor(x)
    images.requires_grad_()
    scores = critic(F, images, ours)
    (slope,) = tg.grad(scores.sum(), images, create_graph=True)
    norms = tg.norm(slope.reshape(4, -1), axis=1)
    (10 * (norms - 1).square().mean() + scores.mean()).backward()

    theirs = [torch.tensor(w, requires_grad=True) for w in weights]
    torch_images = torch.tensor(x, requires_grad=True)
    scores = critic(torch_functional, torch_images, theirs)
    (slope,) = torch.autograd.grad(scores.sum(), torch_images, create_graph=True)
    norms = slope.reshape(4, -1).norm(dim=1)
    (10 * (norms - 1).square().mean() + scores.mean()).backward()

    for mine, other in zip(ours, theirs, strict=True):
        expected = other.grad.numpy()
        error = np.abs(mine.grad.numpy() - expected).max()
        assert error <= TOLERANCE[dtype] * np.abs(expected).max(), mine.shape
