"""The training of the convolutional classifiers, from `alexnet` to `efficientnet`.

**The loss** is the cross-entropy with *label smoothing* (Szegedy et al. 2016, "Rethinking the
Inception Architecture", section 7): the target of the right class is 1 − ε + ε/K and that of each
other class ε/K, so that no logit has to grow without bound.

    L = −Σ_k q_k ln p_k,   q = (1 − ε)·onehot(y) + ε/K,   p = softmax(logits)

**The optimizer** is SGD with Nesterov momentum (Sutskever et al. 2013, "On the Importance of
Initialization and Momentum", section 2) or AdamW. Weight decay applies to weights only, not to
biases, nor to the scales and shifts of norms (He et al. 2019, "Bag of Tricks", section 3.1). The
learning rate rises in the first epochs, the *warm-up*, and then falls as a half cosine
(`rate_factor`).

**Augmentation.** An image that is flipped, turned, shifted or partly erased has the same label.
Each image is changed at random at each use, so that the network cannot memorise it. The *average*
of the weights over the last steps (`optim.EMA`) is judged rather than those of the last step.

**Settings** are chosen with `held_out`: some training images are then judged instead of the test
images, which do not take part. *Top-k accuracy* is the share of images whose label is among the k
largest logits.

**A pretrained body.** Features that were learned on one data set serve another: with `weights` the
training starts from those of a file or a run, and `freeze` trains only the last layer (Donahue et
al. 2014, "DeCAF: A Deep Convolutional Activation Feature for Generic Visual Recognition").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim
from tinygrad_gm.data import transforms
from tinygrad_gm.nn.module import evaluating
from tinygrad_gm.training import Run, option, read_checkpoint, restored
from tinygrad_gm.training.config import check, config_from

from ..pretrained import architecture, load_pretrained
from . import batches, image_sets
from .convnet import ConvNet
from .optimization import decaying, rate_factor

AUXILIARY = 0.3  # weight of the losses of further heads (Szegedy et al. 2015, section 5)


@dataclass(frozen=True)
class Config:
    """The recipe; each model adds the fields of its network."""

    dataset: str = option("mnist_small", "data set of labelled images", choices=(*image_sets.SETS,))
    images: int = option(60_000, "maximum number of training images")
    held_out: int = option(
        0, "number of training images judged instead of the test images", least=0
    )
    flip: bool = option(False, "flip the training images left and right at random")
    rotation: float = option(0.0, "largest angle of a random rotation, in degrees", most=180)
    crop: int = option(0, "largest random shift, in pixels", least=0)
    erase: float = option(0.0, "probability of erasing a rectangle of an image", most=1)
    label_smoothing: float = option(0.0, "share of a label given to all classes alike", most=1)
    optimizer: str = option("sgd", "optimizer", choices=("sgd", "adamw"))
    learning_rate: float = option(0.1, "learning rate at its peak")
    weight_decay: float = option(5e-4, "weight decay")
    warm_up: int = option(1, "number of epochs in which the learning rate rises", least=0)
    ema: float = option(0.99, "decay rate of the average of the weights; 0: no average", most=1)
    epochs: int = option(5, "number of passes over the training images", least=0)
    batch_size: int = option(128, "number of images per step")
    weights: str = option("", "file or run with weights to start from", path=True)
    freeze: bool = option(False, "train the last layer only; needs weights")
    seed: int = option(0, "seed of the weights and the batches", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.freeze and not self.weights:
            raise ValueError(f"{self.network}: freeze needs the weights of a body (--weights FILE)")
        architecture(self.network)

    @property
    def network(self) -> str:
        """The name of the network, as in `load_pretrained`."""
        raise NotImplementedError

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the network, without those that the data set determines."""
        raise NotImplementedError

    @property
    def facts(self) -> image_sets.Facts:
        """The facts of the data set."""
        return image_sets.SETS[self.dataset]


def build(config: Config) -> ConvNet:
    """The untrained network of a config."""
    facts = config.facts
    build = architecture(config.network)
    return build(num_classes=len(facts.classes), in_channels=facts.channels, **config.options)


def pretrained(config: Config) -> ConvNet:
    """The network with the weights of a file or of another run; errors as in `load_pretrained`."""
    facts = config.facts
    return load_pretrained(
        config.network,
        config.weights,
        num_classes=len(facts.classes),
        in_channels=facts.channels,
        **config.options,
    )


def freeze_body(model: ConvNet) -> None:
    """Exclude all parameters from the training, except those of the last layers."""
    model.requires_grad_(False)
    parts = dict(model.named_modules())
    for path in model.heads:
        parts[path].requires_grad_()


# ------------------------------------------------------------------------------ training


def augmentation(config: Config) -> transforms.Compose:
    """The random changes of training images, which also normalise them."""
    facts, steps = config.facts, list[Callable[[Tensor], Tensor]]()
    if config.rotation:
        steps.append(transforms.RandomRotation(config.rotation, interpolation="bilinear"))
    if config.crop:
        steps.append(transforms.RandomCrop(facts.size, padding=config.crop))
    if config.flip:
        steps.append(transforms.RandomHorizontalFlip())
    steps.append(transforms.Normalize(facts.mean, facts.std))
    if config.erase:
        steps.append(transforms.RandomErasing(config.erase))
    return transforms.Compose(steps)


def optimizer_of(model: nn.Module, config: Config) -> optim.Optimizer:
    """The optimizer of all parameters that are trained; only weights decay."""
    groups = decaying(model, config.weight_decay)
    if config.optimizer == "adamw":
        return optim.AdamW(groups, lr=config.learning_rate)
    return optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True)


def loss(
    model: nn.Module, images: Tensor, labels: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The loss of normalised images (N, C, H, W) with labels (N,), and the logits (N, K).

    If a network also returns the logits of further heads, their losses have a weight of 0.3.
    """
    found = model(images)
    logits, *others = found if isinstance(found, tuple) else (found,)
    total = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    for other in others:
        more = F.cross_entropy(other, labels, label_smoothing=label_smoothing)
        total = total + AUXILIARY * more
    return total, logits


def fit(model: ConvNet, split: data.Split, config: Config, run: Run) -> ConvNet:
    """Train a network by the recipe, measure its accuracy after each epoch, and return the network
    that is measured: with averaged weights if there is an average.

    Raises:
        ValueError: a label is not a class of the network.
    """
    for part in split:
        check_labels(part.tensors[1], model.num_classes)
    training = data.Transformed(split.train, augmentation(config))
    loader = data.DataLoader(
        training,
        config.batch_size,
        shuffle=True,
        drop_last=len(training) > config.batch_size,  # batch norm cannot train on one image
        seed=config.seed,
        prefetch=2,
    )
    optimizer, steps = optimizer_of(model, config), config.epochs * len(loader)
    schedule = optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, config.warm_up * len(loader), steps)
    )
    ema = optim.EMA(model, config.ema, warmup=True) if config.ema else None
    measured = model if ema is None else ema.model
    images, labels = split.test.tensors
    images = config.facts.normalised(images)
    judged_on = "validation" if config.held_out else "test"

    def step(batch: tuple[Tensor, Tensor], _: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        if config.freeze:
            model.eval()  # the statistics of the body's norms are frozen, too
        total, logits = loss(model, *batch, config.label_smoothing)
        return total, {"top1": tg.mean(in_top(logits, batch[1], 1))}

    def on_epoch(_: int) -> dict[str, float]:
        found = accuracy(predict(measured, images), labels)
        return {f"{judged_on}_{name}": value for name, value in found.items()}

    run.fit(
        model,
        optimizer,
        step,
        loader,
        config.epochs,
        schedule=schedule,
        ema=ema,
        on_epoch=on_epoch,
    )
    return measured  # type: ignore[return-value]


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise ValueError if a label is not one of the classes 0 … num_classes − 1.

    >>> check_labels(tg.tensor([0, 10]), 10)
    Traceback (most recent call last):
        ...
    ValueError: the labels are 0 … 10; the network has the classes 0 … 9
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"the labels are {low} … {high}; the network has the classes 0 … {num_classes - 1}"
        )


# ------------------------------------------------------------------------------ accuracy


@tg.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, K) of normalised images (N, C, H, W), in evaluation mode."""
    with evaluating(model):
        return batches.concatenated(model, images)


def in_top(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the label of each image is among its k largest logits, bool (N,).

    >>> in_top(tg.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), tg.tensor([1, 2]), 2).tolist()
    [True, False]
    """
    largest = tg.topk(logits, min(k, logits.shape[1]), axis=1)[1]
    found: Tensor = tg.any(largest == labels[:, None], axis=1)
    return found


def accuracy(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The cross-entropy "loss", "top1" and "top5" of logits (N, K) with labels (N,)."""
    return {
        "loss": float(F.cross_entropy(logits, labels)),
        **{f"top{k}": float(tg.mean(in_top(logits, labels, k))) for k in (1, 5)},
    }


# ------------------------------------------------------------------------------ commands


def train(config: Config, run: Run) -> None:
    """Train a network, and draw its confusion matrix and its most confident mistakes."""
    from ..gallery import classifier as gallery

    split = image_sets.load(config.dataset, config.images, config.held_out)
    tg.manual_seed(config.seed)
    resumed = run.checkpoint.exists()  # and has the weights
    model = pretrained(config) if config.weights and not resumed else build(config)
    if config.freeze:
        freeze_body(model)
    measured = fit(model, split, config, run)
    images, labels = split.test.tensors
    with run.drawing():
        logits = predict(measured, config.facts.normalised(images))
        gallery.write_pictures(images, labels, logits, config.facts.classes, run.folder)


def restore(config_class: type[Config], folder: str | Path) -> ConvNet:
    """Return the trained network of a run, with the averaged weights if there is an average."""

    def load(model: ConvNet, state: dict[str, Any]) -> None:
        model.load_state_dict(state["ema"]["model"] if "ema" in state else state["model"])

    return restored(folder, config_class, build, load).eval()


def judge(config_class: type[Config], folder: str | Path) -> str:
    """Describe the accuracy of a run's network on the test images, in one line."""
    return judged(restore(config_class, folder), config_class, folder)


def judged(model: nn.Module, config_class: type[Any], folder: str | Path) -> str:
    """The same for a model that is restored, of a Config with a "dataset" and `facts`."""
    config = config_from(config_class, read_checkpoint(folder)["run"]["config"])
    images, labels = image_sets.load(config.dataset).test.tensors
    found = accuracy(predict(model, config.facts.normalised(images)), labels)
    return (
        f"top-1 {found['top1']:.2%}, top-5 {found['top5']:.2%}, cross-entropy {found['loss']:.3f} "
        f"on the {len(images):,} test images of {config.dataset}"
    )


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained network on 4 random images, and named tensors of its graph."""
    tg.manual_seed(config.seed)
    facts, model = config.facts, build(config)
    images, labels = tg.rand((4, facts.channels, facts.size, facts.size)), tg.arange(4)
    total, logits = loss(model, images, labels, config.label_smoothing)
    named = {"images": images, "labels": labels, "logits": logits, "loss": total}
    return total, {**named, **dict(model.named_parameters())}
