"""The page of a run of `sora`: reconstructions, clips, denoising as a film, and a moved picture."""

from __future__ import annotations

import base64
from pathlib import Path

import tinygrad_gm as tg
from tinygrad_gm import Generator, Tensor, pictures
from tinygrad_gm.io import write_file

from ..sora.autoencoder import REDUCTION, latent_frames
from ..sora.judging import GUIDANCE, continuations
from ..sora.recipe import MOVING, Sora, continued, side, some_clips
from .sheets import pairs

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Clips of sora</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
img{{image-rendering:pixelated;max-width:100%}}</style>
<h1>Clips of sora</h1>
{figures}
</html>
"""


@tg.no_grad()
def write_page(model: Sora, folder: Path) -> None:
    """Write GIFs and `index.html`, which holds them, to a run's folder."""
    config, generator = model.config, Generator(0)
    moving = config.dataset == MOVING
    clips, classes = some_clips(config, 10 if moving else 2)
    count = len(clips)
    films = clips.permute_dims((0, 2, 1, 3, 4))
    remade = model.autoencoder.decode(model.autoencoder.encode(clips))
    guided = f", guided by {GUIDANCE:g} to the class" if moving else ""
    texts = {
        "reconstructions": "Clips, and below each its reconstruction",
        "samples": f"Samples, all classes in turn{guided}" if moving else "Samples",
        "denoising": f"The middle frame of samples, from noise to data{guided}",
        "first_frame": f"Given first frames, and below each a clip that begins with it{guided}",
    }
    guidance = GUIDANCE if moving else 0.0
    labels, given = (tg.arange(count) % 10, classes) if moving else (None, None)
    shown: dict[str, Tensor] = {}
    both = [pairs(a, b, count) for a, b in _frames(films, remade.permute_dims((0, 2, 1, 3, 4)))]
    shown["reconstructions"] = tg.stack(both, axis=1)
    shown["samples"] = continued(model, clips[:, :, :0], config.frames, generator, labels, guidance)
    shown["denoising"] = denoising(model, labels, guidance, count)
    moved = continued(model, clips[:, :, :1], config.frames, generator, given, guidance)
    still = tg.broadcast_to(films[:, :1], moved.shape)
    shown["first_frame"] = tg.stack([pairs(a, b, count) for a, b in _frames(still, moved)], axis=1)
    if not moving:
        texts["continuation"] = "The end of the clip, as drawn, and the last frame repeated"
        shown["continuation"] = tg.stack(continuations(model))
    figures = []
    for name, text in texts.items():
        path = folder / f"{name}.gif"
        pictures.clips(shown[name], columns=3 if name == "continuation" else count, path=path)
        coded = base64.b64encode(path.read_bytes()).decode("ascii")
        figures.append(f'<h2>{text}</h2>\n<img alt="{text}" src="data:image/gif;base64,{coded}">')
    write_file(folder / "index.html", PAGE.format(figures="\n".join(figures)))


def denoising(model: Sora, labels: Tensor | None, guidance: float, count: int) -> Tensor:
    """The prediction of the middle frame after each step: (count, steps, C, H, W)."""
    config, diffusion = model.config, model.diffusion
    place = side(config) // REDUCTION
    nothing = tg.zeros((count, config.latent_channels, 0, place, place))
    length = latent_frames(config.frames, config.time_stride)
    shape = (count, config.latent_channels, length, place, place)
    generator, found = Generator(2), []
    walk = diffusion.walk(
        tg.randn(shape, generator=generator),
        denoise=diffusion.continuing(nothing, labels, guidance, 0),
        sampler="ddim",
        steps=min(25, diffusion.timesteps),
        generator=generator,
    )
    for x, _ in walk:
        frames = model.autoencoder.decode(x * diffusion.spread + diffusion.mean)
        found.append(frames[:, :, config.frames // 2])
    return tg.stack(found, axis=1)


def _frames(above: Tensor, below: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(above[:, t], below[:, t]) for t in range(above.shape[1])]
