"""Every model on a GPU: a step of its training, and samples, as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from devices import same

import tinygrad_gm as tg
from tinygrad_gm import Generator, nn, optim
from tinygrad_gm.models import (
    autoencoder,
    diffusion,
    diffusion_policy,
    dit,
    gan,
    gpt,
    lenet,
    made,
    neuron,
    pixelcnn,
    sora,
    transformer,
    vae,
    vqvae,
)
from tinygrad_gm.models.diffusion_policy import obstacle, recipe
from tinygrad_gm.models.efficientnet import B0
from tinygrad_gm.models.mobilenet import V1, V2
from tinygrad_gm.models.parts import (
    beam_search,
    classifier,
    language,
    points2d,
    sequence_pairs,
    texts,
)
from tinygrad_gm.models.pretrained import architecture
from tinygrad_gm.nn import functional as F


def pictures(count: int) -> tg.Tensor:
    """Images (count, 1, 28, 28) on the default device, the same on each."""
    shades = tg.arange(count * 784, dtype=tg.float32) % 97 / 96
    return shades.reshape(count, 1, 28, 28)


def stepped(model: nn.Module, loss: Callable[[], tg.Tensor]) -> list[tg.Tensor]:
    """The losses of two steps of gradient descent.

    Not of Adam: where a gradient is 0 but for rounding, it would divide rounding by rounding.
    """
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(2):
        total = loss()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total)
    return losses


def of_neuron() -> list[Any]:
    found = neuron.train_neuron([[1.0, 2.0], [2.0, 1.0]], [0.0, 1.0], [0.1, -0.2], 0.1, 0.1, 3)
    return [tg.tensor(found[0]), tg.tensor(found[2])]


def of_lenet() -> list[Any]:
    model, images, labels = lenet.LeNet5(), pictures(4), tg.tensor([1, 2, 3, 4])
    losses = stepped(model, lambda: F.cross_entropy(model(images), labels))
    return [*losses, lenet.predict(model, images)]


def of_classifier(name: str, **options: Any) -> list[Any]:
    """In float64: the norms of few pixels multiply rounding by much."""
    model = architecture(name)(num_classes=10, in_channels=1, width=1 / 16, **options)
    model.to(tg.float64)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, labels = pictures(8).astype(tg.float64), tg.arange(8)

    losses = stepped(model, lambda: classifier.loss(model, images, labels, 0.1)[0])
    logits = classifier.predict(model, images)
    return [*losses, logits, classifier.in_top(logits, labels, 5)]


def of_autoencoder(network: str) -> list[Any]:
    model = autoencoder.Autoencoder(latent_dim=2, hidden_dim=8, network=network)
    losses = stepped(model, lambda: autoencoder.loss(model, pictures(4), Generator(1), 0.3))
    return [*losses, autoencoder.encode(model, pictures(4))]


def of_vae(network: str, likelihood: str, conditional: bool) -> list[Any]:
    config = vae.Config(
        network=network,
        likelihood=likelihood,
        conditional=conditional,
        hidden_dim=8,
        latent_dim=2,
    )
    model, labels = vae.build(config), tg.tensor([1, 2, 3]) if conditional else None
    losses = stepped(model, lambda: vae.loss(model, pictures(3), Generator(1), labels)[0])
    return [*losses, vae.sample(model, 3, Generator(2))]


def of_vqvae(codebook: str) -> list[Any]:
    config = vqvae.Config(
        codebook=codebook, codes=8, code_dim=4, channels=2, prior_channels=4, prior_layers=1
    )
    model, prior = vqvae.build(config), vqvae.build_prior(config)
    losses = stepped(model, lambda: vqvae.loss(model, pictures(3), Generator(1))[0])
    codes, labels = model.encode(pictures(3)), tg.arange(3)
    losses += stepped(prior, lambda: vqvae.nats(prior, codes, labels))
    both = vqvae.TwoStages(model.eval(), prior.eval())
    return [*losses, vqvae.sample(both, 2, Generator(2), label=1)]


def of_pixelcnn(network: str) -> list[Any]:
    model = pixelcnn.build(pixelcnn.Config(network=network, channels=2, layers=1))
    images = pixelcnn.binarise(pictures(2), Generator(1))
    losses = stepped(model, lambda: pixelcnn.negative_log_likelihood(model, images).mean())
    return [*losses, pixelcnn.draw(model, 2, (4, 4), Generator(2))]


def of_made() -> list[Any]:
    model = made.MADE(784, (12, 10), orders=2, shuffle=True)
    x = made.binarise(pictures(3), Generator(1))
    losses = stepped(model, lambda: made.negative_log_likelihood(model, x).mean())
    return [*losses, made.sample(model, 3, Generator(2))]


def of_gan(**options: Any) -> list[Any]:
    config = gan.Config(channels=2, hidden_dim=8, **options)
    model = gan.GAN(config)
    players = [optim.Adam(p.parameters(), 1e-3) for p in (model.discriminator, model.generator)]
    found = []
    points = points2d.Draws("ring", 4).batch(range(4))[0].to(tg.zeros(1).device)
    data = points if config.network == "plane" else pictures(4)
    real, labels, generator = model.inside(data), tg.arange(4), Generator(1)
    for _ in range(2):
        judged = gan.discriminator_step(model, players[0], real, labels, generator, config)
        drawn = gan.generator_step(model, players[1], labels, generator, config)
        found += [*judged.values(), *drawn.values()]
    return [*found, gan.sample(model, 3, Generator(2))]


def of_diffusion(dataset: str) -> list[Any]:
    config = diffusion.Config(dataset=dataset, timesteps=4, width=8, channels=8)
    model = diffusion.build(config)
    x = tg.arange(6.0).reshape(3, 2) / 6 if dataset == "ring" else pictures(3)

    def loss() -> tg.Tensor:
        with tg.random.using(Generator(1)):
            return diffusion.loss(model, x)

    losses = stepped(model, loss)
    return [*losses, *(diffusion.sample(model, 2, Generator(2), steps=s) for s in (None, 2))]


def of_sora() -> list[Any]:
    """Steps of both stages, and a clip that begins with two known frames."""
    sizes = {"channels": 2, "width": 8, "depth": 2, "heads": 2, "timesteps": 4}
    config = sora.Config(frames=9, positions=9, time_stride=2, **sizes)
    first, second = sora.build(config), sora.build_diffusion(config)
    clips = tg.arange(2 * 9 * 1024, dtype=tg.float32).reshape(2, 1, 9, 32, 32) % 97 / 96
    labels = tg.arange(2)

    def loss(of: Callable[[], tg.Tensor]) -> Callable[[], tg.Tensor]:
        def found() -> tg.Tensor:
            with tg.random.using(Generator(1)):
                return of()

        return found

    losses = stepped(first, loss(lambda: sora.autoencoder.loss(first, clips)[0]))
    with tg.no_grad():
        z = first.encode(clips)
    second.measure(z)
    losses += stepped(second, loss(lambda: second.loss(z, labels)))
    drawn = second.draw(z[:, :, :2], 5, 3, Generator(2), labels=labels, guidance=1.0, steps=2)
    return [*losses, z, drawn]


def of_dit() -> list[Any]:
    config = dit.Config(timesteps=4, patch_size=7, width=8, depth=1, heads=2)
    model, labels = dit.build(config), tg.tensor([0, 3, 9])

    def loss() -> tg.Tensor:
        with tg.random.using(Generator(1)):
            return dit.loss(model, pictures(3), labels)

    return [*stepped(model, loss), dit.sample(model, 2, Generator(2), label=3, guidance=2.0)]


def of_policy(kind: str) -> list[Any]:
    config = diffusion_policy.Config(width=8, timesteps=4, steps=2)
    build = {"diffusion": diffusion_policy.build, "regression": recipe.build_regression}[kind]
    episodes = obstacle.demonstrations(2)
    model = build(config)
    model.fit(episodes)
    rows = recipe.training_set(episodes)[:8]
    observed, actions = (part.to(tg.zeros(1).device) for part in rows)

    def loss() -> tg.Tensor:
        with tg.random.using(Generator(1)):
            return model.loss(observed, actions)

    losses = stepped(model, loss)
    plans = model.planned(observed.numpy(), Generator(2))
    return [*losses, model.plan(observed, Generator(2)), tg.tensor(plans.tolist())]


def of_gpt() -> list[Any]:
    corpus = texts.load("shakespeare_small")
    network = gpt.build(gpt.Config(context=8, layers=1, heads=2, width=8), len(corpus.vocabulary))
    model = language.LanguageModel(network, corpus.vocabulary)
    inputs, targets = corpus.examples(8).batch(range(4))
    losses = stepped(model, lambda: language.loss(model(inputs), targets))
    mask = tg.arange(8) >= tg.arange(4)[:, None]
    limits = {"top_k": 20, "top_p": 0.9, "generator": Generator(2)}
    written = network.generate(inputs[:, :3], 9, mask=mask[:, :3], stop=1, **limits)
    text = "".join(language.generate(model, "It", 12, **limits))
    return [*losses, network(inputs, mask), written, corpus.vocabulary.encode(text)]


def of_transformer(task: str) -> list[Any]:
    """With the tokens that decoding finds, greedily and by a beam."""
    config = transformer.Config(task=task, length=4, d_model=8, n_head=2, hidden_dim=8)
    model = transformer.build(config)
    with tg.random.using(Generator(1)):
        pairs = sequence_pairs.Draws(model.task, 4).batch(range(4))
    src, tgt = (tokens.to(tg.zeros(1).device) for tokens in pairs)
    losses = stepped(model, lambda: transformer.loss(model.network, src, tgt, 0.1))
    model.eval()
    ends = 6, sequence_pairs.START, sequence_pairs.END
    beam = beam_search.beam_search(model.network, src[0], *ends)
    scores = tg.tensor([hypothesis.score for hypothesis in beam])
    return [*losses, beam_search.greedy(model.network, src, *ends), scores]


MODELS: dict[str, Callable[[], list[Any]]] = {
    "neuron": of_neuron,
    "lenet": of_lenet,
    "alexnet": lambda: of_classifier("alexnet", stride=1),
    "vgg11_bn": lambda: of_classifier("vgg11_bn", stages=(1, 1, 1)),
    "googlenet": lambda: of_classifier("googlenet"),
    **{
        name: lambda name=name: of_classifier(name) for name in ("resnet18", "resnet50", "resnet20")
    },
    "mobilenet_v1": lambda: of_classifier("mobilenet_v1", stages=V1[:3]),
    "mobilenet_v2": lambda: of_classifier("mobilenet_v2", stages=V2[:3]),
    "efficientnet_b0": lambda: of_classifier("efficientnet_b0", stages=B0[:3]),
    **{f"transformer-{task}": lambda t=task: of_transformer(t) for task in ("reverse", "dates")},
    **{f"autoencoder-{n}": lambda n=n: of_autoencoder(n) for n in ("fc", "conv")},
    "vae": lambda: of_vae("fc", "bernoulli", False),
    "vae-conv": lambda: of_vae("conv", "gaussian", True),
    **{f"vqvae-{how}": lambda how=how: of_vqvae(how) for how in ("ema", "loss")},
    **{f"pixelcnn-{n}": lambda n=n: of_pixelcnn(n) for n in ("gated", "masked")},
    "made": of_made,
    "gan": lambda: of_gan(loss="hinge", conditional=True),
    "gan-dcgan": lambda: of_gan(network="dcgan", loss="least-squares"),
    "gan-spectral": lambda: of_gan(network="dcgan", spectral_norm=True),
    "gan-plane": lambda: of_gan(
        dataset="ring", network="plane", loss="wasserstein", penalty=0.1, latent_dim=2
    ),
    "gpt": of_gpt,
    **{f"policy-{k}": lambda k=k: of_policy(k) for k in ("diffusion", "regression")},
    "sora": of_sora,
    "dit": of_dit,
    **{f"diffusion-{d}": lambda d=d: of_diffusion(d) for d in ("ring", "digits")},
}


@pytest.mark.sweep
@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_and_draws_as_on_the_cpu(name: str, default_device: str) -> None:
    results = []
    for place in (default_device, "cpu"):
        tg.set_default_device(place)
        tg.manual_seed(0)
        results.append(MODELS[name]())
        assert {tensor.device for tensor in results[-1]} == {place}
    for found, wanted in zip(*results, strict=True):
        same(found, wanted, 1e-4)
