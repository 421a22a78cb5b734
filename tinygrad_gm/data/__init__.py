"""Data sets, and the loader that hands them out in batches. Names and arguments are PyTorch's."""

from .bundled import Split, digits, mnist_small
from .dataset import Dataset, Subset, TensorDataset, collate, random_split
from .loader import DataLoader

__all__ = [
    "DataLoader",
    "Dataset",
    "Split",
    "Subset",
    "TensorDataset",
    "collate",
    "digits",
    "mnist_small",
    "random_split",
]
