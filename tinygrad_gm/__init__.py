"""tinygrad_gm: a small reverse-mode autograd engine on NumPy, and the models it carries."""

from .autograd import grad
from .backend import default_dtype, set_default_device, set_default_dtype
from .modes import enable_grad, is_grad_enabled, no_grad, set_grad_enabled, textbook
from .operation import op
from .ops import *  # noqa: F403
from .tensor import Tensor, asarray, stop_gradient, tensor
