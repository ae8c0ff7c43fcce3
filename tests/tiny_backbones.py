"""The smallest networks of every family, for tests: 64 px, a few thousand to a million parameters."""

from tests.tiny_teacher import TINY_BACKBONE

_VIT = {"embed_dim": 32, "depth": 2, "num_heads": 2}
_CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}


def _vit(patch):
    return {"input_size": 4 * patch, "sizes": dict(_VIT)}


def _convnext():
    return {"input_size": 64, "sizes": dict(_CONVNEXT)}


# name -> options of its builder
TINY_BACKBONES = {
    **dict.fromkeys(("sam", "sam_large", "sam_huge", "medsam"), TINY_BACKBONE),
    "mae": _vit(16),
    "mae_large": _vit(16),
    "mae_huge": _vit(14),
    "dinov2": _vit(14),
    "biomedclip": _vit(16),
    **{name: _convnext() for name in ("convnextv2_tiny", "convnextv2", "convnextv2_large", "convnext_tiny")},
    "resnet50": {"network": "test_resnet", "input_size": 64},
    "efficientnet_b3": {"network": "test_efficientnet", "input_size": 64},
    **{
        f"efficientnet_lite{number}": {"network": "test_efficientnet", "input_size": 64}
        for number in (0, 1, 2)
    },
    "mobilenetv3": {"network": "mobilenetv3_small_050", "input_size": 64},
}

# name -> backbone_options of teacher.train, for what is made of several
TINY_SEVERAL = {
    "ensemble": {"members": {name: TINY_BACKBONES[name] for name in ("mae", "convnextv2")}},
    "hybrid": {"members": {name: TINY_BACKBONES[name] for name in ("sam", "resnet50")}},
    "staged": {
        "first_options": TINY_BACKBONES["mobilenetv3"],
        "then_options": TINY_BACKBONES["sam"],
        "first_share": 0.5,
    },
}

# settings of teacher.margin
TINY_MARGIN = {
    "pretrained": False,
    "backbone_options": {"sizes": _CONVNEXT},
    "decoder_channels": (16, 16, 16, 16, 8, 8),
    "embedding_dim": 32,
    "projection_dim": 16,
    "image_size": 64,
    "num_pseudo_classes": 4,
    "batch_size": 3,
    "warmup_epochs": 0,
    "num_workers": 0,
}
