"""How well an EarDetector reads held-out crops: predictions in pixels, errors, a picture to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.boxes import iou
from data.draw import draw_boxes, draw_points
from data.manifest import HIDDEN, VISIBLE
from data.metrics import landmark_report, nme
from data.tensors import to_signed
from teacher.detector_training.losses import edges_in_view
from teacher.models.detector import EarDetector
from teacher.pictures import pairs_grid

PICTURED_EARS = 24
PICTURE_GROW = 2  # pixels of the picture to one of the crop


def read_batch(model: EarDetector, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the model reads from a batch, and the truth beside it, all in pixels of the view.

    Points have their pixel centres at integers; edges (left, top, right, bottom) are those of pixels.
    """
    reading = model.read(to_signed(batch["image"]))
    view_px = batch["image"].shape[-1]
    return {
        "points_px": reading.points_unit * view_px - 0.5,
        "confidence": reading.confidence,
        "visible": reading.visibility_logits.float().sigmoid(),
        "edges_px": reading.edges_unit * view_px,
        "ear": reading.ear_logits.float().sigmoid(),
        "true_points_px": batch["points_px"],
        "visibility": batch["visibility"],
        "true_edges_px": edges_in_view(batch["box_xyxy"], batch["matrix"], view_px) * view_px,
        "is_ear": batch["is_ear"],
    }


def predict_all(model: EarDetector, batches: Iterable[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    """`read_batch` over all batches, joined; the model is read in eval mode, on its own device."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.no_grad():
        parts = [
            read_batch(model, {name: values.to(device) for name, values in batch.items()})
            for batch in batches
        ]
    model.train(was_training)
    return {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}


def held_out_errors(predictions: dict[str, np.ndarray]) -> dict[str, float]:
    """`nme` over the ears (fraction of the box diagonal), `box_iou` of their boxes, `ear_accuracy`.

    `ear_accuracy` is the mean of the accuracies on ears and on backgrounds, absent where there are none.
    """
    ears = predictions["is_ear"] > 0.5
    errors = nme(
        predictions["points_px"][ears], predictions["true_points_px"][ears], predictions["visibility"][ears]
    )
    measures = {
        "nme": float(np.nanmean(errors)),
        "box_iou": float(iou(predictions["edges_px"][ears], predictions["true_edges_px"][ears]).mean()),
    }
    if not ears.all():
        found = predictions["ear"] > 0.5
        measures["ear_accuracy"] = float((found[ears].mean() + (~found[~ears]).mean()) / 2)
    return measures


def detector_report(predictions: dict[str, np.ndarray], names: Sequence[str] | None = None) -> dict[str, Any]:
    """JSON-able: data.metrics.landmark_report on the ears, box, ear-or-not, and what confidence is worth."""
    ears = predictions["is_ear"] > 0.5
    points, truth = predictions["points_px"][ears], predictions["true_points_px"][ears]
    visibility = predictions["visibility"][ears]
    report = landmark_report(points, truth, visibility, names)
    report |= {name: value for name, value in held_out_errors(predictions).items() if name != "nme"}
    seen = visibility > 0
    distance = np.linalg.norm(points - np.nan_to_num(truth), axis=-1)[seen]
    report["confidence_rank_correlation"] = rank_correlation(predictions["confidence"][ears][seen], -distance)
    hidden = seen & (visibility == HIDDEN)
    if hidden.any() and (visibility == VISIBLE).any():
        said = predictions["visible"][ears] > 0.5
        report["visibility_accuracy"] = float(
            (said[visibility == VISIBLE].mean() + (~said[visibility == HIDDEN]).mean()) / 2
        )
    return report


def predictions_picture(model: EarDetector, ears: Any, scheme: Any) -> np.ndarray:
    """Held-out ears, spread over the set, twice: true points above, read ones below; (H, W, 3) uint8 RGB.

    ears: data.dataset.EarCrops. scheme: the curves to draw. Points read as hidden are hollow.
    """
    rows = np.unique(np.linspace(0, len(ears) - 1, PICTURED_EARS).round().astype(int))
    items = [{**ears[int(row)], "is_ear": 1.0} for row in rows]
    found = predict_all(model, [torch.utils.data.default_collate(items)])
    true_pictures, read_pictures = [], []
    for row, item in enumerate(items):
        image = item["image"].permute(1, 2, 0).numpy()
        read_visibility = np.where(found["visible"][row] > 0.5, VISIBLE, HIDDEN)
        drawn = draw_points(
            image, found["true_points_px"][row], found["visibility"][row], scheme, grow=PICTURE_GROW
        )
        true_pictures.append(draw_boxes(drawn, found["true_edges_px"][row] * PICTURE_GROW))
        drawn = draw_points(image, found["points_px"][row], read_visibility, scheme, grow=PICTURE_GROW)
        read_pictures.append(draw_boxes(drawn, found["edges_px"][row] * PICTURE_GROW))
    return pairs_grid(np.stack(true_pictures), np.stack(read_pictures), columns=8)


def rank_correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Spearman's, -1..1: 1 when the most confident points are the nearest ones. 0 where one does not vary."""
    ranks = [np.argsort(np.argsort(array)).astype(float) for array in (values, others)]
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])
