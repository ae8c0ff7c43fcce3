"""Lightning wiring of the SAM-VAE's training: batches to losses, logs, optimizer. The maths is in
`losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from data.draw import write_picture
from data.tensors import to_signed
from teacher.checkpoint import hyper_parameters
from teacher.models.vae import EarVAE
from teacher.pictures import pairs_grid, to_pixels
from teacher.training.optimizer import ScheduledModule, build_optimizer, parameter_groups
from teacher.training.options import LOGGED_EVERY
from teacher.vae_training.correspondence import Correspondence
from teacher.vae_training.frozen_features import joined_tokens
from teacher.vae_training.losses import LossWeights, loss_terms, total_loss
from teacher.vae_training.quality import reconstruction_quality


class EarVAEModule(ScheduledModule):
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
        warmup_steps: int = 500,
        perceptual: nn.Module | Callable[[Tensor, Tensor], Tensor] | None = None,
        correspondence: Correspondence | None = None,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # a third faster on CPUs, same result
        self.weights = weights
        self.lr, self.warmup_steps = lr, warmup_steps
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
        return build_optimizer(parameter_groups(nn.ModuleList(trained)), self.lr, self.trainer.precision)

    def on_fit_start(self) -> None:
        if isinstance(self._perceptual[0], nn.Module):
            self._perceptual[0].to(self.device)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        rate = self.set_learning_rate()
        if batch_index % LOGGED_EVERY == 0:
            self.log("lr", rate, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = hyper_parameters(self.model, "EarVAE")


def in_precision_of_now(function: Callable | None, device_type: str) -> Callable | None:
    """`function` to be called under the autocast that holds now, wherever it is called."""
    if function is None or not torch.is_autocast_enabled(device_type):
        return function
    dtype = torch.get_autocast_dtype(device_type)

    def called(*arguments: Tensor) -> Tensor:
        with torch.autocast(device_type, dtype=dtype):
            return function(*arguments)

    return called


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
