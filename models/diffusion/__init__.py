"""Denoising diffusion (Ho, Jain and Abbeel 2020, "Denoising Diffusion Probabilistic Models").

**Noising.** In T steps the data x_0 are gradually replaced by noise:

    q(x_t|x_{t−1}) = N(√α_t x_{t−1}, β_t I),  α_t = 1 − β_t        (eq. 2)

Any x_t can be drawn directly. Let ᾱ_t = α_1 ⋯ α_t, and let x_{t−1} be √ᾱ_{t−1} x_0 plus normal
noise of variance 1 − ᾱ_{t−1}, which holds for t = 1 with ᾱ_0 = 1. The next step multiplies both by
√α_t and adds normal noise; the sum of the noises is normal, with the variance
α_t (1 − ᾱ_{t−1}) + β_t = 1 − ᾱ_t. Hence for every t, with ε ~ N(0, I),

    x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε                                  (eq. 4)

**The reverse step, given x_0.** By Bayes' rule q(x_{t−1}|x_t, x_0) is q(x_t|x_{t−1}) times
q(x_{t−1}|x_0), up to a constant. Both are squares of x_{t−1} in an exponent: the precisions add up,
1/β̃_t = α_t/β_t + 1/(1 − ᾱ_{t−1}), and completing the square gives N(μ̃_t, β̃_t I) with

    μ̃_t = (√ᾱ_{t−1} β_t x_0 + √α_t (1 − ᾱ_{t−1}) x_t) / (1 − ᾱ_t)
    β̃_t = β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t)                            (eqs. 6 and 7)

**The bound.** The model starts with p(x_T) = N(0, I) and goes back by p(x_{t−1}|x_t) =
N(μ(x_t, t), β̃_t I). As in a variational autoencoder with a fixed encoder q, Jensen's inequality
bounds −ln p(x_0) by a sum with one term per step, the divergence of two normals of equal variance,
‖μ̃_t − μ‖² / (2 β̃_t) (eq. 5). With x_0 from eq. 4, μ̃_t is (x_t − β_t ε / √(1 − ᾱ_t)) / √α_t
(eq. 11). So a network with the input x_t has to predict only ε, and a term is

    β_t² / (2 β̃_t α_t (1 − ᾱ_t)) · ‖ε − ε_θ(x_t, t)‖²              (eq. 12, with β̃_t for its σ_t²)

For t = 1 that is not defined, since β̃_1 = 0: `bound` has a decoder for the last step.

**The loss** is this without the weight, the mean squared error of the noise at a random t (eq. 14).
In the linear schedule the weight is largest at small t, where there is hardly any noise and little
to learn; without it the network learns the steps that determine the content of the image. At any
t, the best prediction is the mean of ε given x_t, which is −√(1 − ᾱ_t) times the gradient of
ln q(x_t): learning to denoise is learning the score. A network can as well predict x_0, the score
or a mixture of data and noise: `targets`.

**Sampling** goes from noise to data, by one of five `samplers`; `guidance` draws a class, or
completes an image of which a part is known.

    process     schedules, x_t given x_0, x_s given x_t and x_0
    targets     what the network predicts, and the weights of its errors
    model       DiffusionModel: the loss, and sampling
    samplers    ancestral, DDIM, Euler, Heun, Euler-Maruyama
    guidance    classifier guidance, classifier-free guidance, inpainting
    bound       the bound in nats, or in bits per pixel
    training    the training of any network
    recipe      the networks for points and images, and their samples

After Luo 2022, "Understanding Diffusion Models: A Unified Perspective".
"""

from .model import DiffusionModel as DiffusionModel
from .process import SCHEDULES as SCHEDULES
from .process import Process as Process
from .recipe import TRAINING_TIME as TRAINING_TIME
from .recipe import Config as Config
from .recipe import asked as asked
from .recipe import build as build
from .recipe import example as example
from .recipe import guided_by_lenet as guided_by_lenet
from .recipe import inpaint as inpaint
from .recipe import restore as restore
from .recipe import sample as sample
from .recipe import train as train
from .samplers import SAMPLERS as SAMPLERS
from .targets import TARGETS as TARGETS
from .training import as_images as as_images
from .training import centred as centred
from .training import evaluate as evaluate
from .training import loss as loss
