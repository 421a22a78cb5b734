"""Small configs of every model, each trained in a second or two: one per kind of data and network.

`tests/test_models.py` trains, stops, resumes, samples and draws each of them.
"""

from __future__ import annotations

from typing import Any

SMALL: dict[str, list[dict[str, Any]]] = {
    "neuron": [{"epochs": 3}],
    "lenet": [
        {"dataset": "digits", "images": 96, "epochs": 2},
        {"dataset": "digits", "images": 96, "epochs": 2, "augment": True},
    ],
    **{
        name: [
            {
                "dataset": "digits",
                "images": 64,
                "batch_size": 32,
                "width": 1 / 16,
                "held_out": 20,
                "epochs": 1,
            }
        ]
        for name in ("alexnet", "vgg", "googlenet", "mobilenet", "efficientnet")
    },
    "resnet": [
        {"dataset": "digits", "images": 96, "batch_size": 32, "width": 0.25, "epochs": 2},
        {
            "dataset": "digits",
            "images": 96,
            "held_out": 50,
            "flip": True,
            "rotation": 10.0,
            "crop": 2,
            "erase": 0.5,
            "label_smoothing": 0.1,
            "optimizer": "adamw",
            "learning_rate": 0.01,
            "ema": 0.0,
            "width": 0.25,
            "batch_size": 32,
            "epochs": 2,
        },
    ],
    "ngram": [
        {"network": "counts", "context": 1},
        {"network": "table", "context": 1, "steps": 4, "evaluate_every": 2},
        {"network": "mlp", "own_blank": True, "hidden": 8, "steps": 4, "evaluate_every": 2},
    ],
    "rnn": [
        {
            "cell": cell,
            "context": 500,
            "batch_size": 100,  # 4 chunks: the fifth step begins a second pass over the text
            "steps": 6,
            "evaluate_every": 3,
            "width": 4,
            "hidden": 8,
            "layers": layers,
            "dropout": dropout,
        }
        for cell, layers, dropout in (
            ("lstm", 2, 0.5),
            ("gru", 1, 0.0),
            ("rnn", 1, 0.0),
            ("makemore-rnn", 1, 0.0),
        )
    ],
    "gpt": [
        {
            "context": 8,
            "steps": 4,
            "evaluate_every": 2,
            "layers": 1,
            "heads": 2,
            "width": 8,
            "dropout": dropout,
        }
        for dropout in (0.0, 0.5)
    ],
    "autoencoder": [
        {"dataset": "digits", "images": 256, "hidden_dim": 16, "epochs": 2},
        {
            "dataset": "digits",
            "images": 256,
            "network": "conv",
            "corruption": 0.3,
            "latent_dim": 3,
            "hidden_dim": 16,
            "epochs": 2,
        },
    ],
    "vae": [
        {"dataset": "digits", "images": 512, "hidden_dim": 16, "latent_dim": 2, "epochs": 2},
        {
            "dataset": "digits",
            "images": 128,
            "network": "conv",
            "batch_size": 64,
            "likelihood": "gaussian",
            "conditional": True,
            "beta": 2.0,
            "warm_up": 3,
            "hidden_dim": 16,
            "epochs": 2,
        },
    ],
    "pixelcnn": [
        {
            "dataset": "digits",
            "images": 64,
            "network": network,
            "conditional": network == "gated",
            "channels": 2,
            "layers": 1,
            "epochs": 2,
            "batch_size": 32,
        }
        for network in ("gated", "masked")
    ],
    "made": [
        {"dataset": "digits", "images": 256, "hidden_dim": 20, "epochs": 2},
        {
            "dataset": "digits",
            "images": 256,
            "hidden_dim": 16,
            "hidden_layers": 2,
            "order": "rows",
            "orders": 3,
            "epochs": 2,
        },
    ],
    "gan": [
        {"dataset": "digits", "loss": "hinge", "conditional": True, "batch_size": 256, "epochs": 2},
        {
            "dataset": "digits",
            "network": "dcgan",
            "channels": 2,
            "spectral_norm": True,
            "batch_size": 512,
            "epochs": 2,
        },
        {
            "dataset": "ring",
            "network": "plane",
            "loss": "wasserstein",
            "penalty": 0.1,
            "critic_steps": 2,
            "batch_size": 16,
            "hidden_dim": 8,
            "epochs": 2,
        },
    ],
    "vqvae": [
        {
            "dataset": "digits",
            "codebook": codebook,
            "codes": 8,
            "code_dim": 4,
            "channels": 2,
            "batch_size": 512,
            "epochs": 2,
            "conditional": codebook == "ema",
            "prior_channels": 4,
            "prior_layers": 1,
            "prior_epochs": 2,
        }
        for codebook in ("ema", "loss")
    ],
    "diffusion": [
        {
            "dataset": "ring",
            "timesteps": 10,
            "width": 8,
            "epochs": 2,
            "batch_size": 4096,
            "sample_every": 50,
        },
        {
            "dataset": "moons",
            "conditional": True,
            "target": "score",
            "loss": "min-snr",
            "schedule": "vdm",
            "timesteps": 10,
            "width": 8,
            "epochs": 2,
            "batch_size": 4096,
            "sample_every": 50,
        },
        {
            "dataset": "digits",
            "conditional": True,
            "target": "v",
            "timesteps": 4,
            "channels": 4,
            "epochs": 2,
            "batch_size": 512,
            "sample_every": 3,
        },
    ],
    "sora": [
        {
            "frames": 5,
            "positions": 9,
            "clips": 8,
            "batch_size": 4,
            "channels": 2,
            "latent_channels": 2,
            "epochs": 2,
            "width": 8,
            "depth": 2,
            "heads": 2,
            "timesteps": 4,
            "transformer_epochs": 2,
            "transformer_batch_size": 4,
        }
    ],
    "diffusion_policy": [
        {
            "width": 8,
            "timesteps": 4,
            "steps": 2,
            "demonstrations": 8,
            "epochs": 2,
            "batch_size": 128,
            "regression_epochs": 2,
            "evaluate_every": 1,
        }
    ],
    "dit": [
        {
            "dataset": "digits",
            "timesteps": 4,
            "patch_size": 7,
            "width": 8,
            "depth": 1,
            "heads": 2,
            "epochs": 2,
            "batch_size": 512,
            "sample_every": 3,
        }
    ],
    "transformer": [
        {
            "task": task,
            "symbols": 3,
            "length": 3,
            "d_model": 8,
            "n_head": 2,
            "hidden_dim": 8,
            "norm_first": task == "copy",
            "tie": task == "reverse",
            "dropout": 0.1,
            "label_smoothing": 0.1,
            "pairs": 64,
            "epochs": 2,
            "batch_size": 32,
        }
        for task in ("copy", "reverse", "dates")
    ],
}
