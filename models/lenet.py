"""LeNet-5, a convolutional classifier of digits (LeCun et al. 1998).

**The idea.** A stroke means the same wherever it is written. So the first layers look at the image
through small windows, with the same weights at every place (*convolution*), and after each of them
only the strongest answer of every 2 × 2 places is kept (*pooling*): where exactly it was does not
matter, and the next window sees twice as far. Three fully connected layers judge what was found.

    1×28×28 → conv 5×5, pad 2 → 6×28×28 → pool → 6×14×14 → conv 5×5 → 16×10×10 → pool → 16×5×5
            → 400 → 120 → 84 → 10

61,706 parameters. Of "Gradient-Based Learning Applied to Document Recognition", section II.B, with
what has become usual since: ReLU for tanh, the maximum for the mean in pooling, all 6 planes seen
by all 16, and logits for distances to drawings of the digits.

**The loss** is the cross-entropy, the mean of −ln p(label) with p = softmax(logits). **The recipe**
is Adam under a one-cycle schedule (Smith and Topin 2018, "Super-Convergence"): the learning rate
rises to its peak for the first 30 % of the steps and falls to almost nothing until the last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn, optim, pictures
from tinygrad_gm.training import Run, read_checkpoint

from . import digits

TRAINING_TIME = "about 5 seconds on two cores"


@dataclass(frozen=True)
class Config:
    """The recipe; the defaults are for 10,000 images, of which `mnist_small` holds back 1,000."""

    dataset: str = field(default="mnist_small", metadata={"help": "mnist_small, mnist or digits"})
    images: int = field(default=10_000, metadata={"help": "use no more training images than so"})
    epochs: int = field(default=2, metadata={"help": "passes over the training images"})
    batch_size: int = field(default=32, metadata={"help": "images per step"})
    learning_rate: float = field(default=4e-3, metadata={"help": "of Adam, at its peak"})
    seed: int = field(default=0, metadata={"help": "of the weights and the batches"})


class LeNet5(nn.Module):
    """Images (N, 1, 28, 28) → logits of the ten digits (N, 10).

    >>> model = LeNet5()
    >>> model(tg.zeros((2, 1, 28, 28))).shape, sum(p.size for p in model.parameters())
    ((2, 10), 61706)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.fc1(x.reshape(len(x), -1)))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


def fit(model: nn.Module, split: data.Split, config: Config, run: Run) -> None:
    """Train any classifier of images by the recipe, and measure it after each epoch."""
    loader = data.DataLoader(split.train, config.batch_size, shuffle=True, seed=config.seed)
    optimizer = optim.Adam(model.parameters(), lr=config.learning_rate)
    steps = max(config.epochs, 1) * len(loader)

    def loss(batch: tuple[Tensor, Tensor], _: Generator) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = batch
        logits = model(images)
        return F.cross_entropy(logits, labels), {"accuracy": _share_right(logits, labels)}

    run.fit(
        model,
        optimizer,
        loss,
        loader,
        config.epochs,
        schedule=optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps),
        on_epoch=lambda epoch: {"test_accuracy": accuracy(model, *split.test.tensors)},
    )


@tg.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, 10) of images (N, 1, 28, 28), a thousand at a time; the mode stays as it was."""
    training = model.training
    model.eval()
    logits = [model(part) for part in tg.split(images, range(1000, len(images), 1000))]
    model.train(training)
    return tg.concat(logits)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of the images (N, 1, 28, 28) whose label (N,) gets the largest logit."""
    return float(_share_right(predict(model, images), labels))


def _share_right(logits: Tensor, labels: Tensor) -> Tensor:
    right: Tensor = tg.argmax(logits, axis=1) == labels
    return tg.mean(right)


def train(config: Config, run: Run) -> None:
    """Train a LeNet-5, and write a sheet of the unseen images that it takes for something else."""
    split = digits.load(config.dataset)
    tg.manual_seed(config.seed)
    model = LeNet5()
    first = data.TensorDataset(*split.train[: config.images])
    fit(model, data.Split(first, split.test), config, run)
    images, labels = split.test.tensors
    write_mistakes(model, images, labels, run.folder)


def restore(folder: str | Path) -> LeNet5:
    """The model of a run's checkpoint."""
    model = LeNet5()
    model.load_state_dict(read_checkpoint(folder)["model"])
    return model


def write_mistakes(model: nn.Module, images: Tensor, labels: Tensor, folder: Path) -> None:
    """Up to 50 misread images as `mistakes.png` in a run's folder, if there is one."""
    wrong = images[tg.argmax(predict(model, images), axis=1) != labels][:50]
    if len(wrong):
        pictures.grid(wrong, columns=10, path=folder / "mistakes.png")


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 4 images, and the names of its leaves."""
    tg.manual_seed(config.seed)
    images, labels = data.mnist_small().train[:4]
    model = LeNet5()
    logits = model(images)
    loss = F.cross_entropy(logits, labels)
    named = {"image": images, "label": labels, "logits": logits, "loss": loss}
    return loss, {**named, **dict(model.named_parameters())}
