"""DiT against its definition in PyTorch, weight by weight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from golden_dit import GOLDEN, IMAGES, LABELS, PLACES, SIZES, TIMES, golden

import tinygrad_gm as tg
from tinygrad_gm.models.dit import DiT


def modulate(x: Any, shift: Any, scale: Any) -> Any:
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


def modulation(width: int, count: int) -> Any:
    return torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Linear(width, count * width))


def norm(width: int) -> Any:
    return torch.nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)


class Attention(torch.nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        n, length, width = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, length, width))


class Mlp(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        return self.fc2(torch.nn.functional.gelu(self.fc1(x), approximate="tanh"))


class Block(torch.nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attn, self.mlp = Attention(width, heads), Mlp(width)
        self.adaLN_modulation = modulation(width, 6)

    def forward(self, x: Any, c: Any) -> Any:
        parts = self.adaLN_modulation(c).chunk(6, dim=1)
        shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp = parts
        x = x + gate_msa.unsqueeze(1) * self.attn(modulate(self.norm1(x), shift_msa, scale_msa))
        return x + gate_mlp.unsqueeze(1) * self.mlp(modulate(self.norm2(x), shift_mlp, scale_mlp))


class Final(torch.nn.Module):
    def __init__(self, width: int, patch: int, channels: int) -> None:
        super().__init__()
        self.norm_final = norm(width)
        self.linear = torch.nn.Linear(width, patch * patch * channels)
        self.adaLN_modulation = modulation(width, 2)

    def forward(self, x: Any, c: Any) -> Any:
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class Theirs(torch.nn.Module):
    """The network of Peebles and Xie's code, without dropping of labels."""

    def __init__(
        self,
        input_size: int,
        patch_size: int,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        heads: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.patch, self.channels = patch_size, out_channels
        code = torch.tensor(grid_code(width, input_size // patch_size))
        self.pos_embed = torch.nn.Parameter(code.unsqueeze(0), requires_grad=False)
        self.x_embedder = torch.nn.ModuleDict(
            {"proj": torch.nn.Conv2d(in_channels, width, patch_size, patch_size)}
        )
        mlp = (torch.nn.Linear(256, width), torch.nn.SiLU(), torch.nn.Linear(width, width))
        self.t_embedder = torch.nn.ModuleDict({"mlp": torch.nn.Sequential(*mlp)})
        table = torch.nn.Embedding(num_classes + 1, width)
        self.y_embedder = torch.nn.ModuleDict({"embedding_table": table})
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = Final(width, patch_size, out_channels)

    def forward(self, x: Any, t: Any, y: Any) -> Any:
        h = self.x_embedder["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed
        frequencies = torch.exp(-math.log(10000) * torch.arange(128, dtype=x.dtype) / 128)
        args = t[:, None].to(x.dtype) * frequencies[None]
        c = self.t_embedder["mlp"](torch.cat([torch.cos(args), torch.sin(args)], dim=-1))
        c = c + self.y_embedder["embedding_table"](y)
        for block in self.blocks:
            h = block(h, c)
        return self.unpatchify(self.final_layer(h, c))

    def unpatchify(self, x: Any) -> Any:
        side = math.isqrt(x.shape[1])
        x = x.reshape(len(x), side, side, self.patch, self.patch, self.channels)
        x = torch.einsum("nhwpqc->nchpwq", x)
        return x.reshape(len(x), self.channels, side * self.patch, side * self.patch)


def grid_code(width: int, side: int) -> Any:
    """`get_2d_sincos_pos_embed` of the authors' code: the grid has the column first."""
    steps = np.arange(side, dtype=np.float64)
    grid = np.stack(np.meshgrid(steps, steps), axis=0).reshape(2, -1)

    def code(places: Any) -> Any:
        omega = 1.0 / 10000 ** (np.arange(width // 4, dtype=np.float64) / (width / 4.0))
        out = np.einsum("m,d->md", places, omega)
        return np.concatenate([np.sin(out), np.cos(out)], axis=1)

    return np.concatenate([code(grid[0]), code(grid[1])], axis=1)


def with_the_weights_of(ours: DiT, sizes: dict[str, int]) -> Theirs:
    theirs = Theirs(**sizes).double()
    codes = theirs.pos_embed.clone()
    state = {name: torch.tensor(tensor.numpy()) for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict(state)
    np.testing.assert_allclose(theirs.pos_embed.numpy(), codes.numpy(), rtol=0, atol=1e-7)
    return theirs


def test_outputs_and_gradients_are_those_of_the_definition() -> None:
    sizes = {**SIZES, "input_size": 12, "patch_size": 4, "width": 24, "depth": 3, "heads": 3}
    tg.manual_seed(0)
    ours = DiT(**sizes).to(tg.float64)
    for parameter in ours.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * tg.randn(parameter.shape, tg.float64).data
    theirs = with_the_weights_of(ours, sizes)
    x = np.random.default_rng(0).normal(size=(3, 3, 12, 12))
    t, label = [0, 500, 999], [0, 3, 4]
    found = ours(tg.tensor(x), tg.tensor(t), tg.tensor(label))
    wanted = theirs(torch.tensor(x), torch.tensor(t), torch.tensor(label))
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=0, atol=1e-9)
    (found**2).mean().backward()
    (wanted**2).mean().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert gradients.pop("pos_embed") is None
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            want = gradients.pop(name).numpy()
            np.testing.assert_allclose(parameter.grad.numpy(), want, rtol=0, atol=1e-9)
    assert not gradients


def test_the_golden_outputs_are_pytorchs() -> None:
    theirs = with_the_weights_of(golden(), SIZES)
    with torch.no_grad():
        out = theirs(torch.tensor(IMAGES), torch.tensor(TIMES), torch.tensor(LABELS))
    for place, numbers in zip(PLACES, GOLDEN, strict=True):
        np.testing.assert_allclose(out[place][1].numpy(), numbers, rtol=0, atol=1e-6)
