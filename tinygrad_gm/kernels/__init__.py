"""Array code without gradient rules: what operations compute with, on NumPy and on CuPy."""
