"""The teacher's training step: the usual recipe at 1024 px, and what makes it cheap, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.vgg import cfgs, make_layers

from distill.bench.apart import device_name, timed
from teacher.models.backbones.sam import SamBackbone
from teacher.models.vae import EarVAE
from teacher.vae_training.losses import LossWeights
from teacher.vae_training.module import EarVAEModule
from teacher.vae_training.perceptual import PerceptualDistance

IMAGE_PX = 128
NOT_LOGGED = 1  # number of a batch that logs nothing, there being no trainer to log to


@dataclass(frozen=True)
class Step:
    """How a step is done. blocks: of SAM base, 12 in full; frozen: so many of them, the first.

    plain: transformers' own forward pass and an optimizer that is not fused. prefix: tokens of the frozen
    blocks are given.
    """

    input_px: int = 256
    bf16: bool = True
    plain: bool = False
    prefix: bool = False
    checkpointing: bool = False
    batch_size: int = 1
    blocks: int = 12
    frozen: int = 6


class PlainSam(SamBackbone):
    """SAM as transformers runs it."""

    def forward(self, images: Tensor) -> Tensor:
        images = torch.nn.functional.interpolate(images, size=(self.input_size,) * 2, mode="bilinear")
        return self.vision_encoder(images * self._gain + self._offset).last_hidden_state


def step_rate(step: Step, repeats: int, least_s: float = 0, warm_up: int = 1) -> dict[str, Any]:
    """Images a second of a whole training step: all seven losses, backward pass, clipping, optimizer.

    Repeated so often, and for at least so many seconds, after so many steps that do not count.
    """
    device = device_name()
    model = build_vae(step).to(device)
    with torch.device(device):
        perceptual = PerceptualDistance(make_layers(cfgs["D"]))  # VGG16 without its classifier
    module = EarVAEModule(model, LossWeights(), lr=1e-4, perceptual=perceptual)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=not step.plain)
    images = torch.randint(0, 256, (step.batch_size, 3, IMAGE_PX, IMAGE_PX), dtype=torch.uint8, device=device)
    batch = {"image": images, "target": images}
    if step.prefix:
        with torch.no_grad():
            batch["tokens"] = model.encoder.backbone.begin(images / 127.5 - 1).half()[:, None]

    def train() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=step.bf16):
            loss = module.training_step(batch, NOT_LOGGED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    return {"per_second": step.batch_size / timed(train, repeats, warm_up, least_s)}


def sam_flops(step: Step, repeats: int, least_s: float = 0) -> dict[str, Any]:
    """Operations a second of SAM alone, forward and backward, counted by torch; repeated likewise."""
    device = device_name()
    backbone = build_vae(step).encoder.backbone.to(device)
    images = torch.rand(step.batch_size, 3, IMAGE_PX, IMAGE_PX, device=device) * 2 - 1

    def train() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=step.bf16):
            loss = backbone(images).float().square().mean()
        loss.backward()

    with FlopCounterMode(display=False) as counter:
        train()
    flops = counter.get_total_flops()
    return {"per_second": flops / timed(train, repeats, least_s=least_s), "step_flops": flops}


def build_vae(step: Step) -> EarVAE:
    """SAM base (of `step.blocks` blocks) in an EarVAE with random weights."""
    options = {"input_size": step.input_px, "num_hidden_layers": step.blocks}
    model = EarVAE(pretrained=False, freeze_layers=step.frozen, backbone_options=options)
    backbone = model.encoder.backbone
    backbone.checkpointing = step.checkpointing
    if step.prefix:
        backbone.freeze(step.frozen, positions=True)
    if step.plain:
        model.encoder.backbone = PlainSam(**backbone.options)
        model.encoder.backbone.freeze(step.frozen)
    return model
