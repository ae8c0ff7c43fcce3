"""Lightning wiring of the SAM-VAE's training: batches to losses, logs, optimizer. The maths is in
`losses`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from data.tensors import to_signed
from teacher.checkpoint import hyper_parameters
from teacher.models.vae import EarVAE
from teacher.pictures import pairs_grid, to_pixels, write_picture
from teacher.training.callbacks import MinutesBudget
from teacher.vae_training.correspondence import Correspondence
from teacher.vae_training.frozen_prefix import joined_tokens
from teacher.vae_training.losses import LossWeights, loss_terms, total_loss
from teacher.vae_training.quality import reconstruction_quality

LOGGED_EVERY = 10  # batches: the rest of an epoch's steps log nothing and wait for nothing


class EarVAEModule(LightningModule):
    """Trains `model` to reconstruct the view before photometry (`target`) from the view after it (`image`).

    perceptual: (reconstruction, target) -> scalar; it is neither trained nor kept in checkpoints.
    correspondence: the terms between two views, for batches of `data.loading.pairs.PairedCrops`; trained, but
    no part of the model.
    """

    def __init__(
        self,
        model: EarVAE,
        weights: LossWeights,
        lr: float,
        weight_decay: float = 0.05,
        warmup_steps: int = 500,
        perceptual: nn.Module | Callable[[Tensor, Tensor], Tensor] | None = None,
        correspondence: Correspondence | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # a third faster on CPUs, same result
        self.weights = weights
        self.lr, self.weight_decay, self.warmup_steps = lr, weight_decay, warmup_steps
        self.correspondence = correspondence
        self._perceptual = (perceptual,)  # a tuple hides it from the state dict

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        images, target = to_signed(batch["image"]), to_signed(batch["target"])
        pairs = self.correspondence is not None
        views = torch.cat((images, to_signed(batch["second"]))) if pairs else images
        tokens = joined_tokens(batch["tokens"], views) if "tokens" in batch else None
        features = self.model.feature_maps(views, tokens)
        reconstruction, mu, logvar = self.model.reconstruct(features["feat3"][: len(images)])
        perceptual = in_precision_of_now(self._perceptual[0], self.device.type)
        with torch.autocast(self.device.type, enabled=False):  # SSIM and KL lose their digits in 16 bit
            terms = loss_terms(
                reconstruction.float(), target, mu.float(), logvar.float(), self.weights, perceptual
            )
            if pairs:
                terms |= self.correspondence(features, batch["to_second"], images.shape[-1])
            loss = total_loss(terms, self.weights)
        if batch_index % LOGGED_EVERY == 0:
            epoch_mean = {"on_epoch": True, "on_step": False, "batch_size": len(images), "sync_dist": True}
            self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, **epoch_mean)
            self.log("train/loss", loss.detach(), prog_bar=True, **epoch_mean)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        target = to_signed(batch["target"])
        reconstruction, mu, logvar = self.model(target)
        with torch.autocast(self.device.type, enabled=False):  # in 16 bit SSIM reads 0.1 too low
            quality = reconstruction_quality(reconstruction.float(), target)
        quality["kl"] = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).float()
        for name, values in quality.items():
            shown = name in ("psnr", "ssim")
            self.log(f"val/{name}", values.mean(), prog_bar=shown, batch_size=len(target), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [self.model] if self.correspondence is None else [self.model, self.correspondence]
        groups = parameter_groups(nn.ModuleList(trained), self.weight_decay)
        return adamw(groups, self.lr, self.trainer.precision)

    def on_fit_start(self) -> None:
        if isinstance(self._perceptual[0], nn.Module):
            self._perceptual[0].to(self.device)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        # Not a Lightning scheduler: with a budget of minutes the number of steps is not known beforehand.
        rate = self.lr * schedule(self._progress(), self.global_step, self.warmup_steps)
        for group in self.optimizers().param_groups:
            group["lr"] = rate
        if batch_index % LOGGED_EVERY == 0:
            self.log("lr", rate, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = hyper_parameters(self.model, "EarVAE")

    def _progress(self) -> float:
        """Of the training, 0 to 1: by steps or by the budget of minutes, whichever is further."""
        by_steps = self.global_step / max(self.trainer.estimated_stepping_batches, 1)
        budgets = [
            callback.fraction for callback in self.trainer.callbacks if isinstance(callback, MinutesBudget)
        ]
        return max([by_steps, *budgets])


def schedule(progress: float, step: int, warmup_steps: int, floor: float = 0.01) -> float:
    """Factor of the learning rate: linear over `warmup_steps`, times a cosine from 1 to `floor` over
    progress 0 to 1.

    Loshchilov & Hutter, ICLR 2017, without restarts.
    """
    warm = min(1.0, (step + 1) / max(warmup_steps, 1))
    return warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def in_precision_of_now(function: Callable | None, device_type: str) -> Callable | None:
    """`function` to be called under the autocast that holds now, wherever it is called."""
    if function is None or not torch.is_autocast_enabled(device_type):
        return function
    dtype = torch.get_autocast_dtype(device_type)

    def called(*arguments: Tensor) -> Tensor:
        with torch.autocast(device_type, dtype=dtype):
            return function(*arguments)

    return called


def adamw(groups: list[dict[str, Any]], lr: float, precision: str) -> torch.optim.AdamW:
    """AdamW whose step is one kernel, except under 16-mixed, where it would unscale by itself and Lightning
    could not clip.
    """
    optimizer = torch.optim.AdamW(groups, lr=lr, fused=precision != "16-mixed")
    # Nothing is scaled in bf16, but Lightning clips under no mixed precision if the step could unscale.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters; only matrices and kernels decay, not biases, norms and position tables."""
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decays = [p for name, p in trainable if p.ndim >= 2 and "pos" not in name.rpartition(".")[2]]
    rest = [p for name, p in trainable if p.ndim < 2 or "pos" in name.rpartition(".")[2]]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


class ReconstructionPictures(Callback):
    """After each epoch `folder/epoch_XXXX.png` of the same held-out crops (originals above,
    reconstructions below).
    """

    def __init__(self, folder: Any, images: Tensor) -> None:
        """images: (n, 3, H, W) uint8."""
        self.folder, self.images = folder, images

    def on_train_epoch_end(self, trainer: Trainer, pl_module: EarVAEModule) -> None:
        if not trainer.is_global_zero:
            return
        was_training = pl_module.model.training
        pl_module.model.eval()
        with torch.no_grad():
            target = to_signed(self.images.to(pl_module.device))
            picture = pairs_grid(to_pixels(target), to_pixels(pl_module.model(target)[0]))
        pl_module.model.train(was_training)
        write_picture(self.folder / f"epoch_{trainer.current_epoch:04d}.png", picture)
        writer = getattr(trainer.logger, "experiment", None)
        if hasattr(writer, "add_image"):  # TensorBoard's
            writer.add_image("reconstructions", picture, trainer.global_step, dataformats="HWC")
