"""`tinygrad-gm convert IN.pth OUT.safetensors`."""

from __future__ import annotations

from pathlib import Path

from ..parser import Parser


def convert(argv: list[str]) -> None:
    """Convert weights saved by PyTorch to .safetensors; no code of the file is run."""
    parser = Parser("convert", convert.__doc__, "resnet18.pth resnet18.safetensors")
    parser.add_argument(
        "source",
        metavar="IN.pth",
        type=Path,
        help="file written by torch.save (PyTorch 1.6 or newer)",
    )
    parser.add_argument(
        "target", metavar="OUT.safetensors", type=Path, help="output file, replaced if it exists"
    )
    args = parser.parse_args(argv)
    if args.source.exists() and args.target.exists() and args.source.samefile(args.target):
        parser.error("the output file is the input file")
    from ...torch_files import convert as write

    report = write(args.source, args.target)
    print(f"written to {args.target}: {len(report.tensors)} tensors, {report.nbytes:,} bytes")
    if report.left_out:
        named = [f"{name:.60}" for name in report.left_out[:5]]
        more = ["…"] if len(report.left_out) > 5 else []
        print(f"left out, not tensors: {', '.join(named + more)}")
