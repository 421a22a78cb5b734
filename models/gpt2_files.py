"""GPT-2 in the files of `transformers`: a folder with `config.json` and `model.safetensors`.

Its linear layers are called Conv1D and hold their weights as (inputs, outputs), so they are
transposed here. nanoGPT's files have the same names, and (outputs, inputs) as in `nn.Linear`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_gm as tg
from tinygrad_gm import Tensor
from tinygrad_gm.io import CheckpointError, Content, PathLike, write_arrays, write_file

CONFIG, WEIGHTS = "config.json", "model.safetensors"
HEAD, EMBEDDING = "lm_head.weight", "transformer.wte.weight"
_LINEAR = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight$")
_MASK = re.compile(r"\.attn\.(masked_)?bias$")  # constants in old files
_SIZES = {
    "vocab_size": "vocab_size",
    "block_size": "n_positions",
    **{name: name for name in ("n_layer", "n_head", "n_embd")},
}
_FIXED: dict[str, tuple[Any, ...]] = {  # options of `transformers`, and the values that GPT-2 has
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}


def read_config(path: Path) -> dict[str, Any]:
    """The arguments of a `GPTConfig` in a `config.json`.

    Raises:
        CheckpointError: it is not that of a GPT-2, or one with options that `GPT` does not have.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sizes = {ours: int(found[theirs]) for ours, theirs in _SIZES.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not the config of a GPT-2: {error!r}") from error
    fixed = {**_FIXED, "n_inner": (None, 4 * sizes["n_embd"])}
    for name, allowed in fixed.items():
        if found.get(name, allowed[0]) not in allowed:
            raise CheckpointError(f"{path}: {name} is {found[name]!r}; expected {allowed[0]!r}")
    return {
        **sizes,
        "dropout": float(found.get("resid_pdrop", 0.1)),
        "tie": bool(found.get("tie_word_embeddings", True)),
        "init_std": float(found.get("initializer_range", 0.02)),
    }


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a file under the names of `GPT`, in the shapes of `nn.Linear`.

    The prefix "transformer." and `lm_head.weight`, if it is that of the embedding, may be missing.
    """
    found = {}
    for name, tensor in tg.load(path).items():
        if not _MASK.search(name):
            known = name.startswith(("transformer.", "lm_head."))
            found[name if known else f"transformer.{name}"] = tensor
    if EMBEDDING in found:
        found.setdefault(HEAD, found[EMBEDDING])
    first = found.get("transformer.h.0.attn.c_attn.weight")
    if first is not None and first.ndim == 2 and first.shape[1] == 3 * first.shape[0]:
        return {name: t.T if _LINEAR.search(name) else t for name, t in found.items()}
    return found


def write(folder: PathLike, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Write a GPT-2: the fields of a `GPTConfig` and a state dict of `GPT`.

    `transformers` always has biases: those of a network without them are written as zeros. A tied
    `lm_head.weight` is left out, as there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {}
    for name, tensor in state.items():
        if name == HEAD and config["tie"]:
            continue
        linear = _LINEAR.search(name)
        contents[name] = _content(tensor.T if linear else tensor)
        bias = f"{name.removesuffix('.weight')}.bias"
        if bias not in state and name.endswith(".weight") and (linear or tensor.ndim == 1):
            contents[bias] = _content(tg.zeros(len(tensor)))
    facts = {
        "architectures": ["GPT2LMHeadModel"],
        **{name: allowed[0] for name, allowed in _FIXED.items()},
        **{theirs: config[ours] for ours, theirs in _SIZES.items()},
        **{f"{part}_pdrop": config["dropout"] for part in ("resid", "embd", "attn")},
        "tie_word_embeddings": config["tie"],
        "initializer_range": config["init_std"],
        "bos_token_id": None,
        "eos_token_id": None,
        "dtype": "float32",
    }
    write_arrays(folder / WEIGHTS, {"format": "pt"}, contents)
    write_file(folder / CONFIG, json.dumps(facts, indent=2) + "\n")


def _content(tensor: Tensor) -> Content:
    array = np.ascontiguousarray(tensor.numpy(), "<f4")
    return Content("F32", array.shape, [array.data])
