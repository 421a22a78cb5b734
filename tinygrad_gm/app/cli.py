"""The command line: `tinygrad-gm COMMAND`, or `python -m tinygrad_gm COMMAND`."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import io
import itertools
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import interrupts
from ..io import CheckpointError, write_file
from .arguments import DRAWN, add_rendering, box
from .arguments import folder as folder_of

PROGRAM = "tinygrad-gm"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 (failure) or 2 (wrong argument or folder)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # cp1252 has no ∂, UTF-8 no lone surrogates
    try:
        interrupts.raise_again()
        try:
            return _command(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()  # here, where a failure can still be reported
    except KeyboardInterrupt:
        return interrupts.EXIT_CODE
    except OSError as error:  # of standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 128 + 13  # the exit code of a program ended by SIGPIPE
        print(f"{PROGRAM}: standard output: {error}", file=sys.stderr)
        return 1


def _command(arguments: list[str]) -> int:
    """Run the command that the first argument names."""
    from .. import __version__

    parser = _Parser(PROGRAM, "An autograd engine to learn from.", "quickstart")
    width = max(map(len, COMMANDS))
    parser.epilog = "commands:\n" + "\n".join(
        f"  {name:{width}}  {(command.__doc__ or '').partition(chr(10))[0]}"
        for name, command in COMMANDS.items()
    )
    parser.epilog += f"\n\nexample: {PROGRAM} train vae --epochs 5"
    parser.add_argument("--version", action="version", version=f"tinygrad_gm {__version__}")
    parser.add_argument(
        "command", metavar="COMMAND", choices=COMMANDS, help="one of the commands below"
    )
    chosen = parser.parse_args(arguments[:1] or ["--help"]).command
    try:
        COMMANDS[chosen](arguments[1:])
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError, ValueError, ArithmeticError, MemoryError) as error:
        complaint = " ".join(str(error).split()) or "there is not enough memory"
        print(f"{PROGRAM} {chosen}: {complaint}", file=sys.stderr)
        return 2 if isinstance(error, CheckpointError) else 1
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one plain line, and whose help ends with an example."""

    def __init__(self, program: str, description: str | None, example: str) -> None:
        super().__init__(
            prog=program,
            description=(description or "").partition("\n")[0],
            epilog=f"example: {program} {example}".rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments; an error for an unknown one names the nearest flag."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = self._nearest(next((word for word in unknown if word.startswith("-")), ""))
            hint = f"; did you mean {near}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known

    def _nearest(self, word: str) -> str | None:
        """The flag with these initials or this beginning, or else the most similar one."""
        word = word.partition("=")[0]
        flags = [flag for action in self._actions for flag in action.option_strings]
        for flag in flags:
            initials = "".join(part[:1] for part in flag.strip("-").split("-"))
            if word.strip("-") and (word.strip("-") == initials or flag.startswith(word)):
                return flag
        return next(iter(difflib.get_close_matches(word, flags, 1)), None)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see --help\n")


def quickstart(argv: list[str]) -> None:
    """Train a VAE on handwritten digits and show the results, in 90 seconds."""
    parser = _Parser(f"{PROGRAM} quickstart", quickstart.__doc__, "--out tour")
    folder = Path("runs/quickstart")
    parser.add_argument(
        "--out", type=folder_of, default=folder, help=f"output folder (default {folder})"
    )
    args = parser.parse_args(argv)
    from . import quickstart as tour

    tour.run(args.out)


def models(argv: list[str]) -> None:
    """List the models."""
    _Parser(f"{PROGRAM} models", models.__doc__, "").parse_args(argv)
    from .. import models as catalogue

    width = max(map(len, catalogue.NAMES))
    for name in catalogue.NAMES:
        print(f"{name:{width}}  {catalogue.summary(name)}")


def train(argv: list[str]) -> None:
    """Train a model; every field of its Config is a flag."""
    name, module, rest = _model("train", argv, "vae --epochs 5")
    parser = _Parser(f"{PROGRAM} train {name}", module.__doc__, "--out runs/first")
    _add_out(parser, name)
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    for field in dataclasses.fields(module.Config):
        _add_field(parser, field)
    args = vars(parser.parse_args(rest))
    folder, resume = args.pop("out"), args.pop("resume")
    from ..training import Run

    config = module.Config(**args)
    command = shlex.join([PROGRAM, "train", *argv, *([] if resume else ["--resume"])])
    with Run(folder, config, resume=resume, command=command) as run:
        module.train(config, run)
    print(f"written to {folder}")


def sample(argv: list[str]) -> None:
    """Draw samples from a trained model: a picture of them, or texts on the terminal."""
    name, module, rest = _model("sample", argv, "vae --count 64")
    if hasattr(module, "generate"):
        _write(name, module, rest)
        return
    film = getattr(module, "film", None)
    args, _, samples, _ = _sampler("sample", argv, count=4 if film else 64)
    from .. import pictures

    began = time.perf_counter()
    drawn = samples(args.count)
    seconds = time.perf_counter() - began
    path = film(args.out, drawn) if film else pictures.sheet_in(args.out, drawn)
    print(f"{args.count} samples in {seconds:.2f} s, written to {path}")


def _write(name: str, module: Any, rest: list[str]) -> None:
    """Write texts of a language model to standard output, piece by piece."""
    parser = _Parser(f"{PROGRAM} sample {name}", sample.__doc__, '--prompt "ROMEO:" --count 3')
    _add_out(parser, name)
    parser.add_argument(
        "--prompt", default="", help="beginning of the text, or a text to translate (default none)"
    )
    offered = {"count", "seed", *inspect.signature(module.generate).parameters}
    for flag, kind, default, text in WRITING:
        if flag.strip("-").replace("-", "_") not in offered:
            continue
        shown = "no limit" if default is None else default
        parser.add_argument(flag, type=kind, default=default, help=f"{text} (default {shown})")
    args = vars(parser.parse_args(rest))
    folder, count, seed = args.pop("out"), args.pop("count"), args.pop("seed")
    if count < 1:
        parser.error(f"--count is {count}; expected at least 1")
    from ..random import Generator

    model, generator = _of_run(name, module, folder, module.restore), Generator(seed)
    several_lines = False
    for number in range(count):
        if number and several_lines:
            print("-" * 40)
        try:
            pieces = module.generate(model, generator=generator, **args)
        except ValueError as error:
            parser.error(str(error))
        try:
            for piece in itertools.chain([args["prompt"]], pieces):
                several_lines |= "\n" in piece
                print(piece, end="", flush=True)
        finally:
            print()


def judge(argv: list[str]) -> None:
    """Measure a trained model: accuracy, perplexity, LeNet distance and purity, or coverage."""
    name, module, rest = _model("judge", argv, "vae --count 5000")
    if hasattr(module, "judge"):
        parser = _Parser(f"{PROGRAM} judge {name}", judge.__doc__, f"--out runs/{name}")
        _add_out(parser, name)
        folder = parser.parse_args(rest).out
        print(_of_run(name, module, folder, module.judge))
        return
    args, config_class, samples, classes = _sampler("judge", argv, count=5000)
    from .. import concat
    from ..models.parts import metrics
    from ..training import read_checkpoint
    from ..training.config import config_from

    parts = [min(500, args.count - done) for done in range(0, args.count, 500)]
    drawn, asked = concat([samples(part) for part in parts]), [classes(part) for part in parts]
    config = config_from(config_class, read_checkpoint(args.out)["run"]["config"])
    print(metrics.report(drawn, config.dataset, None if asked[0] is None else concat(asked)))


def _sampler(
    command: str, argv: list[str], count: int
) -> tuple[Any, Any, Callable[[int], Any], Callable[[int], Any]]:
    """Return the arguments of a sampling command, the model's Config class, a function that draws
    a number of samples, and one that returns the classes asked for, or None.
    """
    name, module, rest = _model(command, argv, f"vae --count {count}")
    parser = _Parser(f"{PROGRAM} {command} {name}", COMMANDS[command].__doc__, "--seed 1")
    _add_out(parser, name)
    parser.add_argument(
        "--count", type=int, default=count, help=f"number of samples (default {count})"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default 0)")
    if not hasattr(module, "sample"):
        parser.error(f"{name} is not a generative model")
    offered = [wish for wish in WISHES if wish in inspect.signature(module.sample).parameters]
    for wish in offered:
        flag, kind, text = WISHES[wish]
        parser.add_argument(flag, dest=wish, type=kind, help=text)
    args = parser.parse_args(rest)
    if args.count < 1:
        parser.error(f"--count is {args.count}; expected at least 1")
    from ..random import Generator

    model = _of_run(name, module, args.out, module.restore)
    wishes = {wish: getattr(args, wish) for wish in offered if getattr(args, wish) is not None}
    generator = Generator(args.seed)

    def samples(count: int) -> Any:
        try:
            return module.sample(model, count, generator, **wishes)
        except ValueError as error:
            parser.error(str(error))

    def classes(count: int) -> Any:
        asked = getattr(module, "asked", None)
        return asked(model, count, wishes.get("label")) if asked else None

    return args, module.Config, samples, classes


def _of_run(name: str, module: Any, folder: Path, restore: Callable[[Path], Any]) -> Any:
    """What a function makes of a run; the error for a missing one says how to train the model."""
    try:
        return restore(folder)
    except FileNotFoundError as error:
        begun = (folder / "checkpoint.safetensors").exists()
        if begun and hasattr(module, "judge"):
            raise  # the data set is missing, not the run
        advice = f"{PROGRAM} train {name} --out {folder}{' --resume' if begun else ''}"
        raise FileNotFoundError(f"{error}: `{advice}` takes {module.TRAINING_TIME}") from None


def classify(argv: list[str]) -> None:
    """Print the five likeliest classes of pictures."""
    from .. import models as catalogue
    from ..models import classify as pictures
    from ..models.gallery import explain
    from ..models.pretrained import ARCHITECTURES

    runs = [name for name in catalogue.NAMES if hasattr(catalogue.load(name).Config, "facts")]
    parser = _Parser(
        f"{PROGRAM} classify", classify.__doc__, "resnet50 cat.jpg --weights resnet50.safetensors"
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"model of a run: {', '.join(runs)}; or network of --weights: "
        f"{', '.join(ARCHITECTURES)}",
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="file of a picture")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--out", type=folder_of, help="folder of the run (default runs/MODEL)")
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
        classifier = _of_run(
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


# Flags of the sampling of a language model, which its `generate` has as parameters.
WRITING: tuple[tuple[str, Callable[[str], Any], float | None, str], ...] = (
    ("--length", int, 500, "largest number of characters"),
    ("--temperature", float, 1.0, "factor of the randomness; 0: always the likeliest character"),
    ("--top-k", int, None, "draw from this number of the likeliest characters"),
    ("--top-p", float, None, "draw from the likeliest characters of this total probability"),
    ("--width", int, 4, "number of hypotheses of the beam search; 1: greedy"),
    ("--count", int, 1, "number of texts"),
    ("--seed", int, 0, "seed of the random choices"),
)
# Flags for optional parameters of a model's `sample`.
WISHES = {
    "label": ("--class", int, "draw this class only"),
    "sampler": ("--sampler", str, "sampler: ancestral, ddim, euler, heun or euler-maruyama"),
    "steps": ("--steps", int, "number of steps of the sampler"),
    "eta": ("--eta", float, "η of DDIM, from 0 (no noise) to 1 (ancestral sampling)"),
    "guidance": ("--guidance", float, "weight of classifier-free guidance (default 0)"),
    "frames": ("--frames", int, "number of frames of a clip (default: as in training)"),
    "image": ("--image", Path, "file of the first frame of a clip"),
}


def convert(argv: list[str]) -> None:
    """Convert weights saved by PyTorch to .safetensors; no code of the file is run."""
    parser = _Parser(f"{PROGRAM} convert", convert.__doc__, "resnet18.pth resnet18.safetensors")
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
    from ..torch_files import convert as write

    report = write(args.source, args.target)
    print(f"written to {args.target}: {len(report.tensors)} tensors, {report.nbytes:,} bytes")
    if report.left_out:
        named = [f"{name:.60}" for name in report.left_out[:5]]
        more = ["…"] if len(report.left_out) > 5 else []
        print(f"left out, not tensors: {', '.join(named + more)}")


def draw(argv: list[str]) -> None:
    """Draw the training graph of a model, or with --steps its gradients step by step."""
    name, module, rest = _model("draw", argv, "neuron")
    parser = _Parser(f"{PROGRAM} draw {name}", draw.__doc__, f"--out {name}.svg")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        help="output file: .svg, .png, .pdf, .html (to explore), .json or .gv; with --steps .html, "
        ".gif, .png or .svg, numbered, or a folder for .svg "
        f"(default {name}.svg or {name}.html)",
    )
    parser.add_argument(
        "--depth", type=int, help="depth of the modules drawn as one node (1: direct submodules)"
    )
    parser.add_argument(
        "--steps",
        action="store_true",
        help="draw the forward pass, the backward pass and the update step by step",
    )
    _add_choice(parser, "theme", "colours of the drawing", ("light", "dark", "print"))
    for name_of, text, choices in DRAWN:
        parser.add_argument(
            f"--{name_of}", choices=choices, help=f"{text} (default: the first that fits)"
        )
    fits = "WIDTHxHEIGHT in pixels that the drawing fits, or none (default 1600x900)"
    parser.add_argument("--fit", type=box, default=(1600, 900), help=fits)
    add_rendering(parser, ENGINES)
    args = parser.parse_args(rest)
    path = args.out or Path(f"{name}.html" if args.steps else f"{name}.svg")
    if args.steps and not (args.depth is args.engine is None):
        parser.error("--depth and --engine cannot be combined with --steps")
    if args.scale is not None and path.suffix.lower() != ".png":
        parser.error(f"--scale is for a .png, not {path}")
    if args.steps and path.suffix.lower() not in (".html", ".gif", ".png", ".svg", ""):
        parser.error(f"--steps writes .html, .gif, .png, .svg or a folder, not {path}")
    if path.suffix.lower() == ".gif" and not args.steps:
        parser.error("a .gif shows the steps; it needs --steps")
    from .. import viz

    loss, leaves = module.example(module.Config())
    look = {"names": leaves, "theme": args.theme}
    try:
        if args.steps:
            film = viz.steps(loss, direction=args.direction or "LR", **look)
            path = film.save(path, args.scale)
        else:
            shown = {name: getattr(args, name) for name in ("fit", "detail", "direction", "depth")}
            viz.draw(loss, engine=args.engine, **shown, **look).save(path, args.scale)
    except viz.MissingEngine as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"written to {path}")


def lesson(argv: list[str]) -> None:
    """Train what a question of the study notes compares, and draw the answer."""
    from ..models import lessons

    parser = _Parser(f"{PROGRAM} lesson", lesson.__doc__, "overfitting")
    parser.add_argument(
        "lesson", metavar="LESSON", choices=lessons.NAMES, help=f"one of {', '.join(lessons.NAMES)}"
    )
    parser.add_argument(
        "--out", type=folder_of, help="folder of the runs and the picture (default runs/LESSON)"
    )
    args = parser.parse_args(argv)
    folder = args.out or Path("runs") / args.lesson
    folder.mkdir(parents=True, exist_ok=True)
    print(lessons.load(args.lesson).answer(folder))
    print(f"written to {folder / args.lesson}.png")


def info(argv: list[str]) -> None:
    """Print versions, kernels, devices and layout engines, for bug reports."""
    _Parser(f"{PROGRAM} info", info.__doc__, "").parse_args(argv)
    import importlib.metadata
    import importlib.util
    import platform
    import shutil

    from .. import __version__
    from ..kernels.choosing import described

    def found(module: str) -> str:
        return "yes" if importlib.util.find_spec(module) else "no"

    print(f"tinygrad_gm  {__version__}, {Path(__file__).parent}")
    print(f"python       {platform.python_version()}, {platform.platform()}")
    for package in ("numpy", "graphviz", "pillow", "tqdm"):
        print(f"{package:12} {importlib.metadata.version(package)}")
    print(f"kernels      {described()}")
    print(f"dot          {shutil.which('dot') or 'no: the built-in layout draws'}")
    print(f"pygraphviz   {found('pygraphviz')}")
    print(f"resvg-py     {found('resvg_py')}")
    print(f"cupy         {found('cupy')}")


ENGINES = ("dot", "pygraphviz", "builtin")
COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "quickstart": quickstart,
    "models": models,
    "train": train,
    "sample": sample,
    "judge": judge,
    "classify": classify,
    "convert": convert,
    "draw": draw,
    "lesson": lesson,
    "info": info,
}


def _model(command: str, argv: list[str], example: str) -> tuple[str, Any, list[str]]:
    """The name and the module of a command's model, and the arguments after it."""
    from .. import models as catalogue

    parser = _Parser(f"{PROGRAM} {command}", COMMANDS[command].__doc__, example)
    parser.add_argument("model", metavar="MODEL", help=f"model: {', '.join(catalogue.NAMES)}")
    name = parser.parse_args(argv[:1] or ["--help"]).model
    try:
        return name, catalogue.load(name), argv[1:]
    except ValueError as error:
        parser.error(str(error))


def _add_field(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    """Add a flag for a field of a Config: on or off, one of its choices, or a value of its type."""
    flag = f"--{field.name.replace('_', '-')}"
    choices, path = field.metadata.get("choices"), field.metadata.get("path")
    listed = f": {', '.join(choices)}{' or a path' if path else ''}" if choices else ""
    default = "none" if field.default == "" else field.default
    text = f"{field.metadata['help']}{listed} (default {default})"
    if isinstance(field.default, bool):
        parser.add_argument(
            flag, action=argparse.BooleanOptionalAction, default=field.default, help=text
        )
        return
    parser.add_argument(
        flag,
        type=_checked(field),
        default=field.default,
        choices=None if path else choices,
        metavar=type(field.default).__name__.upper(),
        help=text,
    )


def _checked(field: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """A function that converts and checks an argument for a field; the parser checks choices."""
    from ..training.config import complaint

    kind: Any = type(field.default)

    def value(word: str) -> Any:
        found = kind(word)
        if kind is not str and (wrong := complaint(field, found)):
            raise argparse.ArgumentTypeError(f"{word} {wrong}")
        known = word in ("", *field.metadata.get("choices", ()))
        if field.metadata.get("path") and not known and not Path(word).exists():
            raise argparse.ArgumentTypeError(f"there is no file or folder {word!r}")
        return found

    value.__name__ = kind.__name__  # argparse's "invalid int value"
    return value


def _numbers(word: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(map(float, word.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a list such as 0.5,0.5,0.5") from None


def _add_choice(parser: _Parser, name: str, text: str, choices: tuple[str, ...]) -> None:
    """Add a flag with choices, of which the first is the default."""
    text = f"{text}: {', '.join(choices)} (default {choices[0]})"
    parser.add_argument(f"--{name}", default=choices[0], choices=choices, help=text)


def _add_out(parser: _Parser, name: str) -> None:
    folder = Path("runs") / name
    text = f"folder of the run (default {folder})"
    parser.add_argument("--out", type=folder_of, default=folder, help=text)
