"""Data sets, and the loader that iterates over them in batches, with PyTorch's names."""

from . import transforms
from .bpe import BPE
from .bundled import Split, digits, mnist_small, shakespeare_small
from .datasaurus import datasaurus
from .dataset import Dataset, Subset, TensorDataset, Transformed, collate, random_split
from .files import cache_folder
from .image_files import read_image
from .images import cifar10, mnist
from .loader import DataLoader
from .moving_mnist import moving_mnist
from .push_t import Demonstrations, push_t
from .text import Characters, names, shakespeare
from .toys import Mixture, gaussians_grid, gaussians_ring, moons, swiss_roll
from .videos import video

__all__ = [
    "BPE",
    "Characters",
    "DataLoader",
    "Dataset",
    "Demonstrations",
    "Mixture",
    "Split",
    "Subset",
    "TensorDataset",
    "Transformed",
    "cache_folder",
    "cifar10",
    "collate",
    "datasaurus",
    "digits",
    "gaussians_grid",
    "gaussians_ring",
    "mnist",
    "mnist_small",
    "moons",
    "moving_mnist",
    "names",
    "push_t",
    "random_split",
    "read_image",
    "shakespeare",
    "shakespeare_small",
    "swiss_roll",
    "transforms",
    "video",
]
