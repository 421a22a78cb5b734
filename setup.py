"""The optional native kernels, the one thing for which setup.cfg has no place."""

from glob import glob
from os import environ
from os.path import join

import numpy
from setuptools import Extension, setup

FOLDER = join("tinygrad_gm", "kernels", "native")
FLAGS = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
if "-O" not in environ.get("CFLAGS", ""):
    FLAGS.append("-O3")

setup(
    ext_modules=[
        Extension(
            "tinygrad_gm.kernels.native._native",
            sources=sorted(glob(join(FOLDER, "*.c"))),
            depends=sorted(glob(join(FOLDER, "*.h"))),
            include_dirs=[numpy.get_include()],
            extra_compile_args=[*FLAGS, "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread"],
            optional=True,  # without a compiler the package runs on NumPy alone
        )
    ]
)
