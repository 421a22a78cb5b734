"""Sora's principle at toy size: a Transformer that denoises space-time patches of latents.

"Video generation models as world simulators" (OpenAI 2024) names the parts, not their sizes: a
network compresses a video in space and time; its latents are cut into patches, which are the tokens
of a diffusion Transformer; an image is a video of one frame.

    autoencoder   a causal video autoencoder, clips ↔ latents
    latte         the Transformer, with attention in space and in time in turn
    latents       the diffusion of latents, of which the first frames may be known
    recipe        both trainings, and the drawing of clips
    judging       motion and digits of clips

Films are (N, T, C, H, W), as `data.moving_mnist` and `sample` return them; the networks have the
channels before the frames, as convolutions do.
"""

from .autoencoder import CausalConv3d as CausalConv3d
from .autoencoder import VideoAutoencoder as VideoAutoencoder
from .judging import judge as judge
from .latents import LatentDiffusion as LatentDiffusion
from .latte import Latte as Latte
from .latte import Latte_S_2 as Latte_S_2
from .recipe import TRAINING_TIME as TRAINING_TIME
from .recipe import Config as Config
from .recipe import Sora as Sora
from .recipe import build as build
from .recipe import build_diffusion as build_diffusion
from .recipe import continued as continued
from .recipe import example as example
from .recipe import restore as restore
from .recipe import sample as sample
from .recipe import train as train
