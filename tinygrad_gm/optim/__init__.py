"""Optimizers: they move parameters against their gradients. Names and formulas are PyTorch's.

optimizer = optim.Adam(model.parameters(), lr=1e-3)
for x, y in batches:
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""

from .adam import Adam
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
