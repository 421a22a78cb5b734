"""`tinygrad-gm classify MODEL IMAGE …`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...io import write_file
from ..parser import Parser, folder_path
from .of_model import of_run


def classify(argv: list[str]) -> None:
    """Print the five likeliest classes of pictures."""
    from ... import models as catalogue
    from ...models import classify as pictures
    from ...models.gallery import explain
    from ...models.pretrained import ARCHITECTURES

    runs = [name for name in catalogue.NAMES if hasattr(catalogue.load(name).Config, "facts")]
    parser = Parser("classify", classify.__doc__, "resnet50 cat.jpg --weights resnet50.safetensors")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"model of a run: {', '.join(runs)}; or network of --weights: "
        f"{', '.join(ARCHITECTURES)}",
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="file of a picture")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--out", type=folder_path, help="folder of the run (default runs/MODEL)")
    source.add_argument("--weights", type=Path, help="file of weights, .safetensors")
    parser.add_argument(
        "--classes", type=Path, help="file with the names of the classes, one a line"
    )
    parser.add_argument(
        "--invert", action="store_true", help="exchange light and dark, for dark digits on paper"
    )
    parser.add_argument(
        "--explain",
        type=Path,
        nargs="?",
        const=Path("explained"),
        metavar="PATH",
        help="also write a page for each picture that shows what its likeliest class rests on: a "
        "folder, or NAME.html for one picture (default explained)",
    )
    sizes = {"resize_size": "length of the shorter side", "crop_size": "size of the central part"}
    for field, text in sizes.items():
        parser.add_argument(
            f"--{field.replace('_', '-')}",
            type=int,
            help=f"{text}, in pixels, for --weights (default: as published)",
        )
    numbers = {"mean": "mean of each channel", "std": "standard deviation of each channel"}
    for field, text in numbers.items():
        parser.add_argument(
            f"--{field}",
            type=_numbers,
            metavar="R,G,B",
            help=f"{text}, for --weights (default: ImageNet's)",
        )
    args = parser.parse_args(argv)
    fields = (*sizes, *numbers)
    given = {name: found for name in fields if (found := getattr(args, name)) is not None}
    try:
        targets = explain.targets(args.images, args.explain)
    except ValueError as error:
        parser.error(str(error))
    names = pictures.read_classes(args.classes) if args.classes else None
    if args.weights:
        classifier = pictures.of_weights(args.model, args.weights, names, **given)
    elif args.model not in runs:
        known = args.model in ARCHITECTURES
        parser.error(
            f"{args.model} needs --weights FILE"
            if known
            else f"there is no classifier {args.model!r}, only {', '.join(runs)}"
        )
    elif given:
        parser.error(f"--{next(iter(given)).replace('_', '-')} is for --weights; a run has its own")
    else:
        module, folder = catalogue.load(args.model), args.out or Path("runs") / args.model
        classifier = of_run(
            args.model, module, folder, lambda path: pictures.of_run(module, path, names)
        )
    for path, target in zip(args.images, targets, strict=True):
        image = classifier.read(path, invert=args.invert)
        answers = classifier.likeliest(image)
        print(path)
        for _, name, probability in answers:
            print(f"  {probability:6.1%}  {name}")
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, explain.page(classifier, image, answers, str(path)))
            print(f"  explained in {target}")


def _numbers(word: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(map(float, word.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a list such as 0.5,0.5,0.5") from None
