"""The sections made of pictures: the data, the teacher's reconstructions, the eigenears, the kept maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from configs.errors import UserError
from data.crops import apply, crop, crop_matrix
from data.draw import draw_points, picture_grid
from data.images import read_image
from data.render.factors import largest_share
from distill.report.charts import Chart, share_chart
from distill.report.inputs import Absent, Inputs
from distill.report.photos import TILE_PX, Photo, embed
from distill.report.tables import Cell, Measure, Row, measures_table

GRID_PX = 1200  # width of grids of photographs
WALK_PX = 560  # width of one eigenear's walk
GRID_EARS, GRID_COLUMNS = 24, 8  # of the grid drawn here when the data came without one
SPLITS = ("train", "val", "test")
MANIFESTS = {"teacher": "ears for the teacher", "labelled": "ears with landmarks", "frames": "ears in frames"}
RECONSTRUCTION = (
    Measure("psnr", "PSNR, dB", "{:.2f}", "of pixels in 0 to 1"),
    Measure("ssim", "SSIM", "{:.3f}", "1 for equal pictures"),
    Measure("l1", "mean absolute error", "{:.4f}"),
    Measure(
        "latent_cosine", "cosine of different ears", "{:.3f}", "0: every ear its own latent, 1: all alike"
    ),
)


def data_pictures(inputs: Inputs) -> dict[str, Any]:
    """Counts by split, a grid of ears and one of frames."""
    grid = inputs.picture("data", "grid.png")
    if isinstance(grid, Absent):
        drawn = _drawn_grid(inputs)
        grid = grid if drawn is None else drawn
    frames = inputs.picture("data", "scenes.png")
    return {
        "counts": _counts(inputs),
        "grid": grid if isinstance(grid, Absent) else embed(grid, GRID_PX, 78),
        "frames": None if isinstance(frames, Absent) else embed(frames, GRID_PX, 78),
    }


def teacher_pictures(inputs: Inputs) -> dict[str, Any]:
    """Reconstructions of held-out ears, the worst ones, and their measures."""
    metrics = inputs.json("teacher_eval", "metrics.json")
    reconstructions = inputs.picture("teacher_eval", "reconstructions.png")
    if isinstance(reconstructions, Absent):
        last_epoch = inputs.picture("teacher", "reconstructions/epoch_*.png")
        reconstructions = reconstructions if isinstance(last_epoch, Absent) else last_epoch
    worst = inputs.picture("teacher_eval", "worst.png")
    return {
        "metrics": metrics,
        "rows": measures_table([metrics], RECONSTRUCTION) if metrics else [],
        "ears": metrics.get("ears") if metrics else None,
        "reconstructions": _embedded(reconstructions),
        "worst": _embedded(worst),
    }


def eigenears(inputs: Inputs) -> dict[str, Any]:
    """Each component's walk and its share of the variance."""
    variance = inputs.json("eigenears", "variance.json")
    if isinstance(variance, Absent):
        return {"absent": variance}
    shares = np.array(variance.get("explained", []), dtype=float)
    meanings = variance.get("shares", [{}] * len(shares))
    walks = []
    for number, (share, meaning) in enumerate(zip(shares, meanings, strict=True), start=1):
        picture = inputs.picture("eigenears", f"pc_{number}.png")
        if not isinstance(picture, Absent):
            walks.append(embed(picture, WALK_PX, 82, _component(number, share, meaning)))
    chart = share_chart("variance", shares, "component", "variance explained, %") if len(shares) else ""
    return {"walks": walks, "chart": Chart("Variance explained", chart), "ears": variance.get("ears")}


def _component(number: int, share: float, meaning: dict[str, float]) -> str:
    """Its share of the variance and, of rendered ears, what explains most of it."""
    caption = f"component {number}, {share:.1%} of the variance"
    if not meaning:
        return caption
    group, explained = largest_share(meaning)
    return f"{caption}; {group} explains {explained:.0%} of it"


def detector_pictures(inputs: Inputs) -> dict[str, Any]:
    """What the fine-tuned EarDetector predicts on held-out ears."""
    return {"predictions": _embedded(inputs.picture("ear_detector", "predictions.png"))}


def kept_maps(inputs: Inputs) -> list[dict[str, Any]]:
    """What was kept of the teacher's maps, for the crops and for the frames."""
    found = []
    for stage, what in (("maps", "crops"), ("frame_maps", "ears in frames")):
        index = inputs.json(stage, "index.json")
        if isinstance(index, Absent):
            found.append({"what": what, "absent": index})
            continue
        shape, settings = index.get("shape", []), index.get("settings", {})
        megabytes = sum(shard.get("bytes", 0) for shard in index.get("shards", [])) / 1e6
        found.append(
            {
                "what": what,
                "shape": " x ".join(f"{side:,}" for side in shape),
                "layer": settings.get("layer"),
                "teacher": settings.get("teacher_kind"),
                "megabytes": megabytes,
                "gate": index.get("gate"),
            }
        )
    return found


def _embedded(picture: np.ndarray | Absent) -> Photo | Absent:
    return picture if isinstance(picture, Absent) else embed(picture, GRID_PX + 400, 82)


def _counts(inputs: Inputs) -> list[Row]:
    """Ears by manifest and split; images without an ear under those of frames."""
    rows = []
    for kind, label in MANIFESTS.items():
        cells = []
        for split in SPLITS:
            manifest = inputs.manifest("data", f"{split}_{kind}.npy")
            if isinstance(manifest, Absent):
                cells.append(Cell("–"))
                continue
            images = len(np.unique(manifest.image_paths)) + len(manifest.empty_images)
            small = f"in {images:,} images" + (
                f", {len(manifest.empty_images):,} without" if len(manifest.empty_images) else ""
            )
            cells.append(Cell(f"{len(manifest):,}", small))
        rows.append(Row(label, cells))
    return [row for row in rows if any(cell.text != "–" for cell in row.cells)]


def _drawn_grid(inputs: Inputs) -> np.ndarray | None:
    """(H, W, 3) uint8: crops spread over the training manifest, with their points where there are some."""
    manifest = inputs.manifest("data", "train_labelled.npy") or inputs.manifest("data", "train_teacher.npy")
    if isinstance(manifest, Absent):
        return None
    tiles = []
    for row in np.unique(np.linspace(0, len(manifest) - 1, GRID_EARS).astype(int)):
        matrix = crop_matrix(manifest.boxes_xyxy[row], TILE_PX, manifest.crops.margin)
        try:
            tile = crop(read_image(manifest.image_paths[row]), matrix, TILE_PX)
        except UserError:
            continue
        if manifest.landmarks is not None and len(tiles) % 2:  # every other one shows its labels
            points = apply(matrix, manifest.landmarks[row])
            tile = draw_points(tile, points, manifest.visibility[row], manifest.crops.scheme)
        tiles.append(tile)
    return picture_grid(tiles, GRID_COLUMNS) if tiles else None
