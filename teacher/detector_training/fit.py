"""What an EarDetector is fine-tuned with: the model to start from, its ears, its module, its report."""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import DataLoader

from configs.errors import UserError
from configs.files import write_json
from data.crop_settings import CropSettings
from data.draw import write_picture
from data.labels import LabelledEars, choose_labels
from data.landmarks import Scheme
from data.manifest import read_manifest
from teacher.checkpoint import crop_settings, read_checkpoint, require_margin
from teacher.detector_training.data import LabelledViews, labelled_views
from teacher.detector_training.module import Consistency, DetectorLossWeights, EarDetectorModule
from teacher.detector_training.options import FineTuningOptions, LabelOptions, ModelOptions, ViewOptions
from teacher.detector_training.report import detector_report, predict_all, predictions_picture
from teacher.detector_training.unlabelled import WithUnlabelled, with_unlabelled
from teacher.models.detector import EarDetector


def read_ears(train_npy: Path, val_npy: Path | None, labels: float, seed: int) -> LabelledEars:
    """The labelled ears, all with the points of the training manifest.

    Raises UserError for too few ears, or held-out ones that are cut otherwise.
    """
    crops = read_manifest(train_npy).crops
    ears = choose_labels(train_npy, val_npy, labels, crops.num_landmarks, seed)
    ears.held_out.crops.require_same(crops, f"{val_npy}", f"{train_npy}")
    return ears


def build_detector(checkpoint: Path, options: ModelOptions, crops: CropSettings, there: str) -> EarDetector:
    """On the encoder of a trained teacher, or an EarDetector that goes on learning.

    crops: of the ears that it learns from, in the file `there`.
    Raises UserError for a checkpoint of ears that are cut otherwise, or with other points.
    """
    content = read_checkpoint(checkpoint)
    if content["hyper_parameters"]["kind"] == "EarDetector":
        model = _trained_before(checkpoint, options, crops, there)
    else:
        require_margin(crops, crop_settings(content, f"{checkpoint}"), there, f"{checkpoint}")
        build = EarDetector.from_scratch if options.from_scratch else EarDetector.from_vae_checkpoint
        model = build(
            checkpoint,
            num_landmarks=crops.num_landmarks,
            freeze_encoder=options.freeze_encoder,
            width=options.fusion.width,
            heatmap_cells=options.fusion.cells,
            stem_channels=options.fusion.stem_channels,
        )
    model.crops = crops
    return model


def training_ears(
    ears: LabelledEars,
    labels: LabelOptions,
    views: ViewOptions,
    image_px: int,
    least_views: int,
    seed: int,
) -> tuple[LabelledViews | WithUnlabelled, LabelledViews]:
    """To train on, beside ears without labels where there are any, and to validate on.

    least_views: of an epoch.
    """
    train, val = labelled_views(ears, views, image_px, least_views, seed)
    if not labels.has_unlabelled:
        return train, val
    path = labels.pseudo_labelled_npy or labels.unlabelled_npy
    pseudo_labelled = labels.pseudo_labelled_npy is not None
    return with_unlabelled(train, path, pseudo_labelled, views, image_px, seed), val


def detector_module(
    model: EarDetector, options: FineTuningOptions, from_scratch: bool, consistent: bool
) -> EarDetectorModule:
    """The Lightning module of a fine-tuning. consistent: ears without labels take part."""
    return EarDetectorModule(
        model,
        DetectorLossWeights(),
        options.lr,
        1.0 if from_scratch else options.encoder_lr_scale,
        options.warmup_steps,
        options.ema_decay,
        Consistency(flip=tuple(model.crops.scheme.flip)) if consistent else None,
    )


def write_report(output_dir: Path, val_loader: DataLoader, ears: LabelledEars, scheme: Scheme) -> None:
    """`metrics.json` and `predictions.png` of best.ckpt on the held-out ears."""
    model = EarDetector.load_from_checkpoint(output_dir / "best.ckpt")
    report = detector_report(predict_all(model, val_loader), scheme.names)
    report |= {
        "labels": len(ears.train),
        "held_out": len(ears.held_out),
        "held_out_from": ears.held_out_from,
    }
    write_json(output_dir / "metrics.json", report)
    write_picture(output_dir / "predictions.png", predictions_picture(model, val_loader.dataset.ears, scheme))


def _trained_before(checkpoint: Path, options: ModelOptions, crops: CropSettings, there: str) -> EarDetector:
    if options.from_scratch:
        raise UserError(f"{checkpoint}: an EarDetector; from_scratch takes its sizes from an EarVAE.")
    found = EarDetector.load_from_checkpoint(checkpoint)
    if found.hparams["num_landmarks"] != crops.num_landmarks:
        raise UserError(
            f"{checkpoint}: reads {found.hparams['num_landmarks']} points, the ears here have "
            f"{crops.num_landmarks}. Start from an EarVAE instead."
        )
    crops.require_same(found.crops, there, f"{checkpoint}")
    model = EarDetector(**{**found.hparams, "freeze_encoder": options.freeze_encoder})
    model.load_state_dict(found.state_dict())
    return model
