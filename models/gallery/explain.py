"""The page that explains how a network classifies a picture, in one file of HTML."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Tensor, nn, pictures

from .. import explain
from ..classify import Answer, Classifier

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 224  # least width of a picture on which a heat map is drawn
FILTERS, CHANNELS = 64, 8  # largest numbers shown, of the first layer and of each other layer

# From black over violet and orange to pale yellow: lighter is more, in grey as well.
HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))


def page(classifier: Classifier, image: Tensor, answers: Sequence[Answer], title: str) -> str:
    """A page with the answers, saliency, Grad-CAM, the first filters, and activations.

    Args:
        classifier: the network.
        image: (channels, H, W), of `classifier.read`.
        answers: of `classifier.likeliest`; the first one is explained.
        title: the name of the picture.

    Raises:
        ValueError: the network has no convolutions.
    """
    model, best = classifier.model, answers[0]
    first = next(((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
    stages = explain.activations(model, image)
    if first is None or not stages:
        raise ValueError(f"explain: {type(model).__name__} has no convolutions")
    pixels = classifier.pixels(image)
    # A map of one position says nothing about places.
    located = [stage for stage in stages if stage.maps.shape[1:] != (1, 1)] or stages
    last = located[-1]
    cam = explain.grad_cam(model, last.layer, image, best.label)
    slopes = explain.saliency(model, image, best.label)
    return PAGE.substitute(
        title=_text(f"{best.name}: {title}"),
        name=_text(best.name),
        probability=f"{100 * best.probability:.1f} %",
        file=_text(title),
        network=_text(type(model).__name__),
        parameters=f"{sum(p.size for p in model.parameters()):,}",
        answers="".join(map(_answer, answers)),
        image=_figure(pictures.grid(pixels[None], scale=1, gap=0), "The image", IMAGE_TEXT),
        cam=_figure(
            heat_map(pixels, cam), f"Grad-CAM of {_layers(last)}", _cam_text(cam, last.maps)
        ),
        saliency=_figure(shades(slopes), "Saliency", SALIENCY_TEXT),
        first=_text(f"{first[0]}: {_times(first[1].weight.shape)}"),
        filters="".join(_tile(pictures.grid(w[None], scale=1, gap=0)) for w in filters(first[1])),
        stages="".join(map(_stage, stages)),
    )


def targets(images: Sequence[Path], where: Path | None) -> Sequence[Path | None]:
    """The files of the pages of pictures.

    Args:
        images: the files of the pictures.
        where: NAME.html for a single picture, or a folder for NAME.html of each picture, with a
            number if the name is taken by another one; None: no pages.

    Raises:
        ValueError: there are several pictures for one page, or another file is in the way.

    >>> [path.name for path in targets([Path("a/1.png"), Path("b/1.png")], Path("pages"))]
    ['1.html', '1-2.html']
    """
    if where is None:
        return [None] * len(images)
    if where.suffix.lower() in (".html", ".htm"):
        if len(images) > 1:
            raise ValueError(f"{where} is one page for {len(images)} pictures; give a folder")
        return [where]
    if where.is_file():
        raise ValueError(
            f"{where} is a file; give a folder or NAME.html, or name the pictures before --explain"
        )
    found: list[Path] = []
    for image in images:
        names = (image.stem, *(f"{image.stem}-{n}" for n in range(2, len(images) + 2)))
        paths = (where / f"{name}.html" for name in names)
        found.append(next(path for path in paths if path not in found))
    return found


def heat_map(pixels: Tensor, cam: Tensor) -> Image:
    """Draw a map (h, w), at least 0, over an image (channels, H, W) with values in [0, 1]."""
    from PIL import Image

    scale = -(-SIDE // pixels.shape[-1])
    height, width = (scale * n for n in pixels.shape[1:])
    fine = F.interpolate(cam[None, None], (height, width), mode="bilinear")[0, 0].numpy()
    share = _share(fine)[..., None]
    grey = pictures.as_levels(pixels.numpy().mean(axis=0)).repeat(scale, 0).repeat(scale, 1)
    mixed = (1 - 0.7 * share) * 0.75 * grey[..., None] + 0.7 * share * _heat(share[..., 0])
    return Image.fromarray(mixed.round().astype(np.uint8))


def shades(plane: Tensor) -> Image:
    """Draw a map (H, W), at least 0. A hundredth of the pixels may be lighter than the lightest."""
    from PIL import Image

    values = np.nan_to_num(plane.numpy().astype(float))
    return Image.fromarray(_heat(_share(values, np.quantile(values, 0.99))))


def filters(conv: nn.Conv2d) -> Tensor:
    """The windows of a convolution as images (N, 1 or 3, h, w): 0 is a middle grey, and the largest
    absolute weight of each black or white.
    """
    windows = conv.weight.detach()[:FILTERS]
    if windows.shape[1] != 3:
        windows = tg.mean(windows, axis=1, keepdims=True)
    largest = tg.max(tg.abs(windows), axis=(1, 2, 3), keepdims=True)
    return 0.5 + windows / (2 * tg.maximum(largest, 1e-30))


# ------------------------------------------------------------------------------ parts


def _answer(answer: Answer) -> str:
    share = f"{100 * answer.probability:.1f}"
    return (
        f'<li><span>{_text(answer.name)}</span><span>{share} %</span><i style="width:{share}%"></i>'
    )


def _stage(stage: explain.Activation) -> str:
    """The channels that vary most from position to position, with their numbers."""
    maps = stage.maps.numpy()
    spread = np.nan_to_num(maps.std(axis=(1, 2)))
    chosen = np.sort(np.argsort(-spread, kind="stable")[:CHANNELS])
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    grey = (maps - low) / np.maximum(high - low, 1e-30)
    tiles = (
        _tile(pictures.grid(grey[number][None], scale=1, gap=0), str(number)) for number in chosen
    )
    heading = f"{_layers(stage)}: {_times(stage.maps.shape)}"
    return f'<h3>{_text(heading)}</h3>\n<div class="tiles">{"".join(tiles)}</div>\n'


def _layers(stage: explain.Activation) -> str:
    first, last = stage.first, stage.layer
    return last if first == last else f"{first} … {last}"


def _figure(picture: Image, heading: str, text: str) -> str:
    return (
        f"<figure>{_embedded(picture, heading)}<figcaption><b>{_text(heading)}.</b> {text}"
        "</figcaption></figure>\n"
    )


def _tile(picture: Image, number: str = "") -> str:
    caption = f"<figcaption>{number}</figcaption>" if number else ""
    return f"<figure>{_embedded(picture, f'channel {number}' if number else '')}{caption}</figure>"


def _embedded(picture: Image, alt: str) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{_text(alt)}">'


def _text(text: str) -> str:
    """A text as HTML; what UTF-8 does not have, as in some names of files, becomes "?"."""
    return html.escape(text.encode(errors="replace").decode())


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _share(values: NDArray[Any], top: float | None = None) -> NDArray[Any]:
    """Values as fractions of the largest, or of `top`; zeros if all are 0."""
    values = np.nan_to_num(values.astype(float))
    top = values.max() if top is None else top
    return (values / top).clip(0, 1) if top > 0 else np.zeros_like(values)


def _heat(share: NDArray[Any]) -> NDArray[np.uint8]:
    """The colours (h, w, 3) of fractions (h, w)."""
    places = np.linspace(0, 1, len(HEAT))
    levels = [np.interp(share, places, ends) for ends in zip(*HEAT, strict=True)]
    colours: NDArray[np.uint8] = np.stack(levels, axis=-1).round().astype(np.uint8)
    return colours


def _cam_text(cam: Tensor, maps: Tensor) -> str:
    if not tg.any(cam > 0):
        return "Zero everywhere: at no position do the feature maps speak for this class."
    return (
        f"The {len(maps)} feature maps of {_times(maps.shape[1:])} positions, weighted by their "
        "mean gradients; light where they speak for the class."
    )


IMAGE_TEXT = "Resized and cropped, as the network sees it."
SALIENCY_TEXT = (
    "The absolute derivative of the logit of the class with respect to each pixel, the largest of "
    "the channels; light pixels change the logit most."
)

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
  :root { color-scheme: light dark;
          --ink: #222; --soft: #5c5c5c; --paper: #fff; --bar: #0072b2; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8e8e8; --soft: #a8a8a8; --paper: #161616; --bar: #56b4e9; }
  }
  body { font: 17px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
         max-width: 68rem; margin: 2.5rem auto; padding: 0 1.2rem; overflow-wrap: anywhere; }
  h1 { font-size: 1.8rem; line-height: 1.25; margin: 0; }
  h2 { font-size: 1.25rem; margin: 2.5rem 0 .3rem; }
  h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
  p { max-width: 44rem; margin: .2rem 0 1rem; color: var(--soft); }
  img { display: block; width: 100%; image-rendering: pixelated; border-radius: 3px; }
  figure { margin: 0; }
  figcaption { font-size: .85rem; line-height: 1.4; color: var(--soft); margin-top: .35rem; }
  figcaption b { color: var(--ink); }
  ol { list-style: none; margin: 1.2rem 0; padding: 0; max-width: 44rem; }
  li { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; margin: .55rem 0; }
  li i { grid-column: 1 / -1; min-width: 1px; height: .5rem; border-radius: 3px;
         background: var(--bar); }
  .three { display: grid; gap: 1.4rem;
           grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); }
  .tiles { display: grid; gap: .5rem; grid-template-columns: repeat(8, 1fr); }
  .tiles figcaption { text-align: center; margin-top: .1rem; }
  .filters { max-width: 44rem; }
  .sources { margin-top: 2.5rem; font-size: .85rem; }
  @media (max-width: 40rem) { .tiles:not(.filters) { grid-template-columns: repeat(4, 1fr); } }
</style>
<h1>$name, $probability</h1>
<p>$file, classified by $network with $parameters parameters</p>
<ol>
$answers
</ol>
<h2>What speaks for “$name”</h2>
<div class="three">
$image$cam$saliency</div>
<h2>The first filters</h2>
<p>$first. Grey is a weight of 0; each is scaled by its largest weight.</p>
<div class="tiles filters">$filters</div>
<h2>Through the layers</h2>
<p>The output of each stage of the network: channels × height × width. The channels shown are those
that vary most from position to position, each from its smallest value (black) to its largest
(white).</p>
$stages
<p class="sources">Saliency: Simonyan, Vedaldi and Zisserman 2014, “Deep Inside Convolutional
Networks”. Grad-CAM: Selvaraju et al. 2017, “Visual Explanations from Deep Networks via
Gradient-based Localization”. Drawn by tinygrad_gm.</p>
</html>
""")
