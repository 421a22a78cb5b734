"""The optional native kernels, the one thing for which setup.cfg has no place."""

from concurrent.futures import ThreadPoolExecutor
from glob import glob
from os import cpu_count, environ
from os.path import join
from typing import Any

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = join("tinygrad_gm", "kernels", "native")
FLAGS = ["-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
if "-O" not in environ.get("CFLAGS", ""):
    FLAGS.append("-O3")


class BuildAtOnce(build_ext):
    """Compiles as many files at once as there are processors."""

    def build_extension(self, ext: Extension) -> None:
        compile_in_turn = self.compiler.compile

        def compile_at_once(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(cpu_count()) as pool:
                objects = pool.map(lambda source: compile_in_turn([source], **options), sources)
                return [path for paths in objects for path in paths]

        self.compiler.compile = compile_at_once
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildAtOnce},
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
    ],
)
