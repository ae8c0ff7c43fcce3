"""What the savings cost in PSNR: a small teacher trained with each, on as many images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.reading.content import read_json
from distill.bench.commands import run_here

# Each is the one before and one saving more. A crop of 64 px is what 128 px are to SAM base.
_BF16 = {"input_size": 128, "precision": "bf16-mixed"}
SWITCHES: dict[str, dict[str, Any]] = {
    "enlarged 8 times, fp32": {"input_size": 512},
    "native resolution": {"input_size": 128},
    "bf16": _BF16,
    "four views": {**_BF16, "train_views": 4},
    "prefix kept": {**_BF16, "train_views": 4, "prefix_dir": "prefix"},
}
SIZES: dict[str, Any] = {
    "latent_dim": 128,
    "image_size": 64,
    "pretrained": False,
    "freeze_layers": 1,
    "feature_channels": 64,
    "decoder": "residual",
    "decoder_channels": (96, 64, 48, 32),
    "backbone_options": {
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "window_size": 14,
        "global_attn_indexes": [2],
        "output_channels": 64,
        "mlp_ratio": 2.0,
    },
}


def psnr(switch: str, data: Path, folder: Path, epochs: int, seed: int) -> dict[str, Any]:
    """PSNR of a training with one of SWITCHES, dB, on held-out ears."""
    options = SIZES | SWITCHES[switch]
    options["backbone_options"] = SIZES["backbone_options"] | {"input_size": options.pop("input_size")}
    if "prefix_dir" in options:
        options["prefix_dir"] = folder / options["prefix_dir"]
    trained = run_here(
        "teacher.train",
        train_npy=data / "train_teacher.npy",
        val_npy=data / "val_teacher.npy",
        output_dir=folder,
        perceptual_weight=0,
        epochs=epochs,
        batch_size=16,
        lr=1e-3,
        warmup_steps=20,
        seed=seed,
        **options,
    )
    return {"psnr": read_json(trained / "metrics.json")["psnr"]}
