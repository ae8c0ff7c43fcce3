"""Lightning wiring of the margin teacher: reconstruction, margin loss, pseudo-classes renewed as it learns"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, Trainer
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from configs.errors import UserError
from data.tensors import to_signed
from teacher.checkpoint import hyper_parameters
from teacher.margin.heads import MetricHead
from teacher.margin.pseudo_classes import clustered_classes, random_classes
from teacher.models.fusion import resize
from teacher.models.margin_teacher import MarginTeacher
from teacher.pictures import spread_targets
from teacher.training.optimizer import ScheduledModule, build_optimizer, parameter_groups
from teacher.vae_training.module import ReconstructionPictures
from teacher.vae_training.quality import reconstruction_quality

COLLAGES = "reconstruction_collages"
CLASSES = "pseudo_classes"  # their name in a checkpoint
READ_BATCH = 64
ZOOM, DIM = 1.15, 0.8  # of the second look at held-out ears


class EarTeacherLightningModule(ScheduledModule):
    """Trains a MarginTeacher on `data.loading.datamodule.EarDataModule` with any `Trainer`.

    The teacher reconstructs the clean view from the augmented one (mean squared error), and its embedding is
    told apart from those of other pseudo-classes (`teacher.margin.heads`). Pseudo-classes are clusters of the
    embeddings of the clean crops, renewed every `renew_epochs`; pseudo_classes="random" draws them once
    instead, to compare with. metric_loss "none" leaves reconstruction alone. The other arguments are those of
    MarginTeacher and MetricHead.
    """

    def __init__(
        self,
        learning_rate: float = 1e-4,
        max_epochs: int = 100,
        weight_decay: float = 0.05,
        warmup_epochs: int = 5,
        reconstruction_weight: float = 1.0,
        metric_weight: float = 0.1,
        metric_loss: str = "arcface",
        num_pseudo_classes: int = 512,
        arcface_margin: float = 0.5,
        arcface_scale: float = 64.0,
        projection_dim: int = 256,
        embedding_dim: int = 768,
        image_size: int = 224,
        pretrained: bool = True,
        pretrained_path: str | None = None,
        backbone_options: dict[str, Any] | None = None,
        decoder_channels: Sequence[int] = (512, 256, 128, 64, 32, 16),
        pseudo_classes: str = "clustered",
        renew_epochs: int = 2,
        num_collage_samples: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if pseudo_classes not in ("clustered", "random"):
            raise UserError(f"pseudo_classes {pseudo_classes!r} is unknown; allowed: clustered, random.")
        self.head = None
        if metric_loss != "none" and metric_weight:
            self.head = MetricHead(
                embedding_dim, projection_dim, num_pseudo_classes, metric_loss, arcface_margin, arcface_scale
            )
        self.model = MarginTeacher(
            embedding_dim, image_size, backbone_options, decoder_channels, pretrained, pretrained_path
        ).to(memory_format=torch.channels_last)
        self.lr, self.max_epochs, self.weight_decay = learning_rate, max_epochs, weight_decay
        self.warmup_epochs, self.image_size, self.seed = warmup_epochs, image_size, seed
        self.reconstruction_weight, self.metric_weight = reconstruction_weight, metric_weight
        self.number_of_classes, self.clusters = num_pseudo_classes, pseudo_classes == "clustered"
        self.renew_epochs, self.num_collage_samples = renew_epochs, num_collage_samples
        self.classes: Tensor | None = None  # (ears,) int64, by row of the training set
        self._looks: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        target = self._seen(batch["target"])
        reconstruction, embeddings, _ = self.model(self._seen(batch["image"]))
        with torch.autocast(self.device.type, enabled=False):
            terms = {"reconstruction": F.mse_loss(reconstruction.float(), target)}
            loss = self.reconstruction_weight * terms["reconstruction"]
        if self.head is not None:
            terms["metric"] = self.head(embeddings, self.classes[batch["index"].cpu()].to(self.device))
            loss = loss + self.metric_weight * terms["metric"]
        epoch_mean = {"on_epoch": True, "on_step": False, "batch_size": len(target), "sync_dist": True}
        self.log_dict({f"train/{name}": value for name, value in terms.items()}, **epoch_mean)
        self.log("train/loss", loss, prog_bar=True, **epoch_mean)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        target = self._seen(batch["target"])
        reconstruction, embeddings, _ = self.model(target)
        with torch.autocast(self.device.type, enabled=False):
            quality = reconstruction_quality(reconstruction.float(), target)
        for name, values in quality.items():
            shown = name in ("psnr", "ssim")
            self.log(f"val/{name}", values.mean(), prog_bar=shown, batch_size=len(target), sync_dist=True)
        self._looks.append((embeddings.float(), self.model.encode(second_look(target))[0].float()))

    def on_validation_epoch_end(self) -> None:
        first, second = (torch.cat(parts) for parts in zip(*self._looks, strict=True))
        self._looks.clear()
        self.log("val/same_ear", same_ear_found(first, second), sync_dist=True)

    def on_train_epoch_start(self) -> None:
        if self.head is None:
            return
        if self.classes is None or (self.clusters and self.current_epoch % self.renew_epochs == 0):
            self._renew()

    @property
    def warmup_steps(self) -> int:
        """The steps of `warmup_epochs`."""
        steps = max(self.trainer.estimated_stepping_batches, 1)
        return round(self.warmup_epochs * steps / max(self.max_epochs, 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = parameter_groups(self, self.weight_decay)
        return build_optimizer(groups, self.lr, self.trainer.precision, one_kernel=False)

    def configure_callbacks(self) -> list[Callback]:
        return [Collages(self.num_collage_samples)] if self.num_collage_samples else []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = hyper_parameters(self.model, "MarginTeacher")
        checkpoint[CLASSES] = self.classes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.classes = checkpoint[CLASSES]

    def _seen(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 -> (B, 3, image_size, image_size) in [-1, 1]."""
        return resize(to_signed(images), self.image_size)

    @torch.no_grad()
    def _renew(self) -> None:
        """New pseudo-classes of the training ears; how much they agree with those before is logged."""
        dataset = self.trainer.train_dataloader.dataset
        self.model.eval()
        embeddings = []
        for start in range(0, len(dataset), READ_BATCH):
            rows = range(start, min(start + READ_BATCH, len(dataset)))
            images = torch.stack([dataset.view(row)["target"] for row in rows])
            embeddings.append(self.model.encode(self._seen(images.to(self.device)))[0].float())
        self.model.train()
        found = torch.cat(embeddings)
        if self.clusters:
            classes = clustered_classes(found.cpu().numpy(), self.number_of_classes, self.seed)
        else:
            classes = random_classes(len(dataset), self.number_of_classes, self.seed)
        if self.classes is not None:
            self.log("train/classes_kept", agreement(self.classes.numpy(), classes), sync_dist=True)
        self.classes = torch.from_numpy(classes)
        self.head.imprint_(found, self.classes.to(self.device))
        weights = self.head.loss.W.detach()
        weights.copy_(self.trainer.strategy.broadcast(weights))  # batch norms differ between processes
        self.optimizers().state.pop(self.head.loss.W, None)  # its moments were those of other classes


class Collages(ReconstructionPictures):
    """After each epoch `reconstruction_collages/epoch_XXXX.png` of held-out crops, in the run's folder."""

    def __init__(self, count: int) -> None:
        self.count = count

    def on_train_epoch_end(self, trainer: Trainer, pl_module: EarTeacherLightningModule) -> None:
        self.folder = Path(trainer.default_root_dir) / COLLAGES
        images = spread_targets(trainer.val_dataloaders.dataset, self.count)
        self.images = resize(images.float(), pl_module.image_size)
        super().on_train_epoch_end(trainer, pl_module)


def second_look(images: Tensor) -> Tensor:
    """(B, 3, S, S) in [-1, 1] nearer and darker, the same way every time."""
    side = images.shape[-1]
    border = round(side * (1 - 1 / ZOOM) / 2)
    near = resize(images[..., border : side - border, border : side - border], side)
    return (near + 1) * DIM - 1


def same_ear_found(first: Tensor, second: Tensor) -> float:
    """Share of ears whose second look is nearer, by cosine, to their own first than to any other's.

    first, second: (N, D), row by row of the same ears.
    """
    cosines = F.normalize(second, dim=1) @ F.normalize(first, dim=1).T
    return float((cosines.argmax(dim=1) == torch.arange(len(first), device=first.device)).float().mean())


def agreement(before: np.ndarray, after: np.ndarray) -> float:
    """Adjusted Rand index of two divisions of the same ears: 1 the same, 0 as by chance."""
    return float(adjusted_rand_score(before, after))
