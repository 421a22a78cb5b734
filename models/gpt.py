"""GPT: a Transformer that continues a text (Radford et al. 2018, 2019).

**The network** is GPT-2's. A symbol becomes the sum of two learned vectors, one of the symbol and
one of its place. n blocks then add to this vector what they find in the text so far:

    x ← x + attention(LN₁(x))
    x ← x + W₂ gelu(W₁ LN₂(x)),   W₁: 4 times as wide

LN is a layer norm. It comes before each part ("pre-norm") rather than after the sum as in the
Transformer of Vaswani et al. 2017, so x itself is never normalised, and gradients reach the first
block unchanged. After the last block come a further norm, and W x, the logits of the next symbol.

**Attention** mixes places. Each place asks with a query q; all places offer keys k and values v:

    y_t = Σ_{s≤t} a_ts v_s,   a_t = softmax_s(q_t · k_s/√d)

s ≤ t makes it *causal*: the logits at t depend on symbols up to t only, so one forward pass
predicts every symbol of a text from those before it. Several *heads* do so at once, each with its
own slice of the vectors.

**The embedding and the logits share their weight** (`tie`; Press and Wolf 2017, "Using the Output
Embedding to Improve Language Models"): similar symbols are predicted in similar places.

**The beginning** (2019, section 2.3, and its code): weights are drawn from N(0, 0.02²). The two
matrices per block whose results are added to x start smaller by √(2n), so the sum of 2n terms keeps
its size. 0.02 is about 1/√(3·768), for GPT-2's width; a narrow network learns faster from larger
weights (`init_std`).

**Writing.** The keys and values of earlier places do not change when a symbol is added. A *cache*
keeps them, so a new symbol costs one place rather than all. The places are learned, of which there
are `block_size`. When a text is longer, the model sees its last `block_size` symbols; they all
move by one place with each new symbol, so then nothing can be kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tinygrad_gm as tg
import tinygrad_gm.nn.functional as F
from tinygrad_gm import Generator, Tensor, data, nn
from tinygrad_gm.data.bpe import END_OF_TEXT
from tinygrad_gm.io import CheckpointError
from tinygrad_gm.training import Run, option
from tinygrad_gm.training.folder import CHECKPOINT

from . import gpt2_files
from .parts import decoding, language
from .parts.language import LanguageModel, Network
from .parts.language import generate as generate
from .pretrained import differences

TRAINING_TIME = "about 2 minutes on two cores"


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a network; the defaults are those of the smallest GPT-2, 124,439,808 parameters.

    Args:
        vocab_size: number of different symbols.
        block_size: the context, the largest number of symbols that are seen.
        n_layer: number of blocks.
        n_head: number of heads of each attention; it divides n_embd.
        n_embd: the width.
        dropout: the probability of dropping, in training.
        bias: whether linear layers and norms have a bias.
        tie: whether the logits have the weight of the embedding.
        init_std: standard deviation of the first weights.
    """

    vocab_size: int = 50257
    block_size: int = 1024
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True
    tie: bool = True
    init_std: float = 0.02

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ValueError(f"GPT: n_embd {self.n_embd} must be divisible by n_head {self.n_head}")


class CausalSelfAttention(nn.Module):
    """Multi-head attention of each place to those up to itself, (N, L, n_embd) → (N, L, n_embd)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.n_embd
        self.n_head, self.dropout = config.n_head, config.dropout
        self.c_attn = nn.Linear(width, 3 * width, config.bias)
        self.c_proj = nn.Linear(width, width, config.bias)

    def forward(
        self, x: Tensor, allowed: Tensor | None = None, cache: nn.KeyValueCache | None = None
    ) -> Tensor:
        """Attend to places up to each, or those that are `allowed`, booleans (…, L, S)."""
        count, length, width = x.shape
        q, k, v = (
            part.reshape(count, length, self.n_head, -1).permute_dims((0, 2, 1, 3))
            for part in self.c_attn(x).split(3, -1)
        )
        if cache is not None:
            k, v = cache.append(k, v)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(
            q, k, v, allowed, dropout, is_causal=allowed is None and length > 1
        )
        out = self.c_proj(y.permute_dims((0, 2, 1, 3)).reshape(count, length, width))
        return F.dropout(out, self.dropout, self.training)


class MLP(nn.Module):
    """Two linear layers with a GELU between them, at each place alone."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, config.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))
        return F.dropout(out, self.dropout, self.training)


class Block(nn.Module):
    """Attention and MLP, each after a norm and added to x."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, allowed: Tensor | None, cache: nn.KeyValueCache | None) -> Tensor:
        x = x + self.attn(self.ln_1(x), allowed, cache)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Transformer(nn.Module):
    """Symbols (N, L) → vectors (N, L, n_embd): all of a GPT except the logits."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        cache: Sequence[nn.KeyValueCache] | None = None,
    ) -> Tensor:
        past = 0 if cache is None else len(cache[0])
        length, block_size = ids.shape[1], self.wpe.num_embeddings
        if past + length > block_size:
            raise ValueError(
                f"GPT: {past + length} symbols are more than the block_size {block_size}"
            )
        place, allowed = tg.arange(past, past + length, device=ids.device), None
        if mask is not None or (past and length > 1):
            allowed = tg.arange(past + length, device=ids.device) <= place[:, None]
        if mask is not None:
            if mask.shape != (len(ids), past + length):
                raise ValueError(
                    f"GPT: mask is {mask.shape}; expected {(len(ids), past + length)}, a truth "
                    "value for each symbol, also for those in the cache"
                )
            allowed = allowed & mask[:, None, None, :]
            place = tg.maximum(tg.cumulative_sum(mask.astype(tg.int64), axis=1) - 1, 0)[:, past:]
        x = F.dropout(self.wte(ids) + self.wpe(place), self.dropout, self.training)
        caches = [None] * len(self.h) if cache is None else cache
        for block, own in zip(self.h, caches, strict=True):
            x = block(x, allowed, own)
        out: Tensor = self.ln_f(x)
        return out


class GPT(Network):
    """GPT-2 of any size; the names of its parameters are those of `transformers` and nanoGPT.

    >>> config = GPTConfig(65, block_size=64, n_layer=4, n_head=4, n_embd=128, bias=False)
    >>> model = GPT(config)
    >>> sum(p.size for p in model.parameters())
    804096
    >>> model(tg.zeros((2, 10), dtype=tg.int64)).shape
    (2, 10, 65)
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = Transformer(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tie:
            self.lm_head.weight = self.transformer.wte.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights from N(0, init_std²), or smaller where they are added; biases are 0."""
        std = self.config.init_std
        added = std / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=added if name.endswith("c_proj.weight") else std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    @classmethod
    def from_pretrained(cls, path: str | Path, config: GPTConfig | None = None) -> GPT:
        """A network with the weights of a file of `transformers` or nanoGPT, in evaluation mode.

        Args:
            path: a folder with `config.json` and `model.safetensors`, or the file of weights.
            config: its config; None: `config.json` in the same folder has it.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: the weights do not fit, or are not those of a GPT-2; the message names
                the first three differences.
        """
        path = Path(path)
        file = path / gpt2_files.WEIGHTS if path.is_dir() else path
        if config is None:
            facts = gpt2_files.read_config(file.with_name(gpt2_files.CONFIG))
            config = GPTConfig(**facts)
        state = gpt2_files.read_weights(file)
        with nn.no_init():
            model = cls(config)
        problems = differences(model, state)
        if not problems and config.tie:
            head, embedding = (state[n] for n in (gpt2_files.HEAD, gpt2_files.EMBEDDING))
            if not bool((head == embedding).all()):
                problems = [f"{gpt2_files.HEAD} is not tied to the embedding"]
        if problems:
            more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
            raise CheckpointError(f"from_pretrained: {file}: {'; '.join(problems[:3])}{more}")
        model.load_state_dict(state)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the network to a folder, from which `GPT2LMHeadModel` of `transformers` reads."""
        gpt2_files.write(folder, asdict(self.config), self.state_dict())

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        cache: Sequence[nn.KeyValueCache] | None = None,
    ) -> Tensor:
        """Compute the logits of the next symbol at each place.

        Args:
            ids: integers (N, L).
            mask: booleans (N, S), True = a real symbol, for shorter texts that are filled on their
                left; None: all are real. S counts the symbols in the cache, too.
            cache: one cache for each block, with the symbols before `ids`.

        Returns:
            (N, L, vocab_size).

        Raises:
            ValueError: more symbols than `block_size`, or a mask of another shape.
        """
        logits: Tensor = self.lm_head(self.transformer(ids, mask, cache))
        return logits

    def decoder(self, mask: Tensor | None = None) -> decoding.Decoder:
        """A function of a prompt (N, L), then of each chosen symbol (N, 1): logits (N, vocab_size)
        of the next symbol. It sees the last `block_size` symbols.

        Args:
            mask: for the prompt, as in `forward`.
        """
        cache = [nn.KeyValueCache() for _ in self.transformer.h]
        most = self.config.block_size
        seen: Tensor | None = None

        def step(ids: Tensor) -> Tensor:
            nonlocal seen, mask
            if seen is not None and mask is not None:
                new = tg.ones(ids.shape, dtype=tg.bool, device=ids.device)
                mask = tg.concat([mask, new], axis=1)
            seen = ids if seen is None else tg.concat([seen, ids], axis=1)
            if seen.shape[1] <= most:
                x = self.transformer(ids, mask, cache)
            else:
                seen, mask = seen[:, -most:], mask if mask is None else mask[:, -most:]
                x = self.transformer(seen, mask)
            logits: Tensor = self.lm_head(x[:, -1])
            return logits

        return step

    def generate(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: Generator | None = None,
        stop: int | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Continue the texts `ids` (N, L), and return them with their continuation.

        Args:
            ids: integers, L ≥ 1.
            max_new_tokens: largest number of further symbols.
            temperature, top_k, top_p, generator: as for `decoding.choose`; temperature 0 is greedy.
            stop: a symbol after which a row is filled with it; the end when all rows have one.
            mask: booleans (N, L), True = a real symbol, for texts that are filled on their left.

        >>> model = GPT(GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=1, n_embd=4))
        >>> model.generate(tg.tensor([[1, 2, 3]]), 10, temperature=0).shape
        (1, 13)
        """
        limits = temperature, top_k, top_p, generator, stop
        training = self.training
        self.eval()
        try:
            drawn = [*decoding.symbols(self.decoder(mask), ids, max_new_tokens, *limits)]
        finally:
            self.train(training)
        return tg.concat([ids, *(symbol[:, None] for symbol in drawn)], axis=1)


# ------------------------------------------------------------------------------ the recipe


@dataclass(frozen=True)
class Config(language.Config):
    """The recipe of nanoGPT for a CPU: 804,096 parameters for Shakespeare's 65 characters."""

    layers: int = option(4, "number of blocks", most=1000)
    heads: int = option(4, "number of heads of each attention")
    width: int = option(128, "width of the network, a multiple of the number of heads")
    bias: bool = option(False, "give linear layers and norms a bias")
    tie: bool = option(True, "let the logits have the weight of the embedding")
    dropout: float = option(0.0, "probability of dropping, in training", most=1)
    init_std: float = option(0.02, "standard deviation of the first weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"gpt: width {self.width} must be divisible by heads {self.heads}")


def build(config: Config, vocab_size: int) -> GPT:
    """The untrained network of a config."""
    sizes = config.context, config.layers, config.heads, config.width
    choices = config.dropout, config.bias, config.tie, config.init_std
    return GPT(GPTConfig(vocab_size, *sizes, *choices))


def train(config: Config, run: Run) -> None:
    """Train on a text; validation loss and samples after each interval."""
    language.train(config, run, build)


def restore(folder: str | Path) -> LanguageModel:
    """Return the trained model of a run; or the GPT-2 in a folder with the files of `transformers`,
    `vocab.json` and `merges.txt` among them.
    """
    folder = Path(folder)
    if (folder / CHECKPOINT).exists() or not (folder / gpt2_files.WEIGHTS).exists():
        return language.restore(Config, folder, build)
    vocabulary = data.BPE.from_files(folder / "vocab.json", folder / "merges.txt")
    boundary = END_OF_TEXT if vocabulary.end_of_text is not None else None
    return LanguageModel(GPT.from_pretrained(folder), vocabulary, boundary).eval()


def judge(folder: str | Path) -> str:
    """Describe the loss of a run's model on all validation texts."""
    return language.judge(Config, folder, build)


def example(config: Config) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an untrained model on 2 random sequences, and named tensors of its graph."""
    return language.example(config, build)
