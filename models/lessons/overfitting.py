"""What helps against overfitting?

LeNet-5 has 61,706 weights. It memorises 500 images: their error falls to 0, that of other images
does not. The remedies, each alone and all together, for the same number of steps:

- *Augmentation*: each image is rotated, shifted and scaled a little at random at each use. The flip
  that is usual for photographs would make another sign of a digit.
- *L2 regularisation*: the loss has the further term λ/2 · ‖w‖². Its gradient λw lets the weights
  decay (Krogh and Hertz 1991, "A Simple Weight Decay Can Improve Generalization").
- *Dropout*: each input of the last two layers is 0 with probability ½ at each step, so no unit can
  rely on a particular other one (Srivastava et al. 2014, "Dropout", section 1).
"""

from __future__ import annotations

from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import data, nn, pictures

from ..lenet import LeNet5, augmentation
from ..parts import image_sets
from .measuring import fit

REMEDIES: dict[str, tuple[str, ...]] = {
    "none": (),
    "augmentation": ("augmentation",),
    "L2": ("L2",),
    "Dropout": ("Dropout",),
    "all": ("augmentation", "L2", "Dropout"),
}


def answer(
    folder: Path,
    *,
    dataset: str = "mnist",
    images: int = 500,
    held_out: int = 0,
    judged: int = 2_000,
    epochs: int = 60,
    l2: float = 1e-3,
) -> str:
    """Compare the training and test errors of LeNet-5 with each remedy.

    With `held_out`, that number of other training images is judged instead of the test images.
    """
    train, test = image_sets.load(dataset, images, held_out)
    parts = {"training": train, "test": data.TensorDataset(*test[:judged])}
    found = {}
    for name, remedies in REMEDIES.items():
        tg.manual_seed(0)
        found[name] = fit(
            folder / name,
            with_dropout(LeNet5()) if "Dropout" in remedies else LeNet5(),
            data.Transformed(train, augmentation) if "augmentation" in remedies else train,
            parts,
            epochs=epochs,
            batch_size=32,
            learning_rate=0.02,
            weight_decay=l2 if "L2" in remedies else 0.0,
        )
    drawn = range(epochs // 4, epochs)  # before, all errors are large
    panels = [
        pictures.curves(
            {
                name: ([epoch + 1 for epoch in drawn], [curves[part][epoch] for epoch in drawn])
                for name, curves in found.items()
            },
            title=f"LeNet-5 on {images} images",
            x_label="epoch",
            y_label=f"{part} error in %",
            size=(480, 400),
        )
        for part in parts
    ]
    pictures.panels(panels, columns=2, path=folder / "overfitting.png")
    last = max(epochs // 10, 1)
    return "\n".join(
        f"{name}: training error {sum(curves['training'][-last:]) / last:.2f} %, "
        f"test error {sum(curves['test'][-last:]) / last:.2f} %"
        for name, curves in found.items()
    )


def with_dropout(model: LeNet5) -> LeNet5:
    """Set each input of the last two layers to 0 with probability ½, in training."""
    for name in ("fc2", "fc3"):
        setattr(model, name, nn.Sequential(nn.Dropout(0.5), getattr(model, name)))
    return model
