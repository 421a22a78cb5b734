"""Training: a `Run` is a folder in which a model is trained, stopped and resumed, bit for bit."""

from .config import option as option
from .run import DivergenceError as DivergenceError
from .run import Run as Run
from .state import read_checkpoint as read_checkpoint
from .state import restored as restored

__all__ = ["DivergenceError", "Run", "option", "read_checkpoint", "restored"]
