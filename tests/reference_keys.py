"""The state dicts of torchvision's, timm's and diffusers' networks: names, shapes and dtypes.

A line of `tests/models/keys/NAME.txt` is the name of a tensor of float32 and its shape, or the path
of a batch norm and its number of channels: "bn1 norm 64".
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "models" / "keys"
OF_A_NORM = ("weight", "bias", "running_mean", "running_var")

Entry = tuple[str, tuple[int, ...], str]


def reference_keys(name: str) -> list[Entry]:
    """The name, the shape and the dtype of every tensor, in the reference's order."""
    found: list[Entry] = []
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        key, *sizes = line.split(" ")
        if sizes[0] != "norm":
            found.append((key, tuple(map(int, sizes)), "float32"))
            continue
        found += [(f"{key}.{part}", (int(sizes[1]),), "float32") for part in OF_A_NORM]
        found.append((f"{key}.num_batches_tracked", (), "int64"))
    return found
