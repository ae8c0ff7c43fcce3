"""The smallest SAM-VAE that is still one, for tests: 64 px, two blocks, latent 32."""

import torch

TINY_BACKBONE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 16,
    "window_size": 2,
    "global_attn_indexes": [1],
    "output_channels": 16,
    "mlp_ratio": 2.0,
    "input_size": 64,
}
TINY_VAE = {
    "latent_dim": 32,
    "image_size": 64,
    "freeze_layers": 1,
    "backbone_options": TINY_BACKBONE,
    "feature_channels": 16,
    "decoder": "residual",
    "decoder_channels": (32, 32, 16, 16),
}
# settings of teacher.finetune that train a tiny EarDetector in seconds
SMALL_FINETUNING = {
    "epochs": 2,
    "min_steps_per_epoch": 3,
    "num_workers": 0,
    "fusion": {"width": 16, "cells": 16, "stem_channels": 8},
    "warmup_steps": 2,
}


def tiny_vae(seed=0, **changes):
    from teacher.models.vae import EarVAE

    torch.manual_seed(seed)
    return EarVAE(pretrained=False, **{**TINY_VAE, **changes})
