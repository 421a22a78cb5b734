"""`tinygrad-gm judge MODEL`."""

from __future__ import annotations

from ..parser import Parser, add_out
from .of_model import model_of, of_run, sampler_of


def judge(argv: list[str]) -> None:
    """Measure a trained model: accuracy, perplexity, LeNet distance and purity, or coverage."""
    name, module, rest = model_of(judge, argv, "vae --count 5000")
    if hasattr(module, "judge"):
        parser = Parser(f"judge {name}", judge.__doc__, f"--out runs/{name}")
        add_out(parser, name)
        folder = parser.parse_args(rest).out
        print(of_run(name, module, folder, module.judge))
        return
    args, config_class, samples, classes = sampler_of(judge, argv, count=5000)
    from ... import concat
    from ...models.parts import metrics
    from ...training import read_checkpoint
    from ...training.config import config_from

    parts = [min(500, args.count - done) for done in range(0, args.count, 500)]
    drawn, asked = concat([samples(part) for part in parts]), [classes(part) for part in parts]
    config = config_from(config_class, read_checkpoint(args.out)["run"]["config"])
    print(metrics.report(drawn, config.dataset, None if asked[0] is None else concat(asked)))
