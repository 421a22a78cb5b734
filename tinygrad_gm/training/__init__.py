"""Training: a `Run` is a folder in which a model is trained, stopped and resumed, bit for bit."""

from .run import DivergenceError as DivergenceError
from .run import Run as Run
from .state import read_checkpoint as read_checkpoint

__all__ = ["DivergenceError", "Run", "read_checkpoint"]
