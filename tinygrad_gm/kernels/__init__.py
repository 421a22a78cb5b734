"""Array code without gradient rules: what operations compute with, on NumPy and on CuPy.

Where they were built, `native` has kernels in C for some of it; `use` and `set_num_threads` choose.
"""

from .choosing import available, in_use, num_threads, set_num_threads, use

__all__ = ["available", "in_use", "num_threads", "set_num_threads", "use"]
