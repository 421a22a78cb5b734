"""Diffusion Policy (Chi et al. 2023, "Diffusion Policy: Visuomotor Policy Learning via Action
Diffusion"): a robot's actions are denoised, given what it observes.

**Cloning behaviour** is learning from demonstrations, pairs of an observation o and the action a
of an expert. Regression minimises ‖a − f(o)‖², whose minimum is the mean E[a|o]. If experts pass an
obstacle left or right, the mean leads into the obstacle: p(a|o) has two *modes*, and their mean is
far from all demonstrations. So the policy has to be a model of p(a|o) from which actions are drawn.

**Diffusion** (see `diffusion`) is such a model. A draw is a whole sequence A of T_p actions, so
that all steps of a plan belong to the same mode:

    x_t = √ᾱ_t A + √(1 − ᾱ_t) ε,   L = ‖ε − ε_θ(x_t, t, O)‖²              (eq. 5)

The last T_o observations O are a condition, not a part of x: they are coded once a plan, and the
network does not have to predict them.

**Receding horizon** (section 2.3). The policy observes O, plans T_p steps, executes T_a of them,
and plans again. A long plan is consistent; a short execution reacts to what happened. A plan begins
with the first of the T_o observations, so A[T_o − 1 : T_o − 1 + T_a] is executed.

**Speed.** Training uses T = 100 steps of the cosine schedule. DDIM plans in 10 (section 4.3), each
of which is one pass through the network.

    windows     demonstrations as windows of T_p steps; their scale
    network     ConditionalUnet1D
    policy      the diffusion policy, and regression as the baseline
    control     rollouts with a receding horizon, scores, baselines without training
    obstacle    a point that has to pass an obstacle, with generated demonstrations
    push_t      Push-T, with the physics of gym-pusht
    recipe      the training, its judgement, and sampled rollouts
"""

from .network import ConditionalUnet1D as ConditionalUnet1D
from .policy import DiffusionPolicy as DiffusionPolicy
from .policy import RegressionPolicy as RegressionPolicy
from .recipe import TRAINING_TIME as TRAINING_TIME
from .recipe import Config as Config
from .recipe import Trained as Trained
from .recipe import build as build
from .recipe import evaluate as evaluate
from .recipe import example as example
from .recipe import film as film
from .recipe import judge as judge
from .recipe import restore as restore
from .recipe import sample as sample
from .recipe import train as train
