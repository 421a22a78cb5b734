"""Array code without gradient rules: what operations compute with, on NumPy and on CuPy.

Where they were built, `native` has kernels in C for some of it; `use` and `set_num_threads` choose.
"""

from .choosing import get_num_threads, in_use, set_num_threads, use

__all__ = ["get_num_threads", "in_use", "set_num_threads", "use"]
