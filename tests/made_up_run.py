"""A run folder as the stages leave it, with made-up contents of known values, for tests of the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import yaml

from data.landmarks import load_scheme
from data.manifest import Manifest, write_manifest
from data.metrics import landmark_report, nme

EARS, FRAMES = 40, 12
MISSED = 4  # ears not found end to end
BOX = np.array([30.0, 20.0, 91.0, 120.0], dtype=np.float32)
FRAME_BOX = np.array([50.0, 60.0, 110.0, 160.0], dtype=np.float32)
MEAN_ERRORS = {"landmarker": 0.03, "landmarker_twin": 0.04, "ear_detector": 0.035}  # NME


def make_run(folder: Path) -> Path:
    """All stages of configs/demo.yaml, each with the files that the report reads."""
    for stage, make in STAGES.items():
        make(folder / stage)
        _json(folder / stage / "stage.json", {"seconds": 61.0, "run": stage})
        record = {
            "command": f"made.up.{stage}",
            "started": "2026-11-21T10:00:00+0000",
            "seed": 0,
            "git_revision": "0123456789abcdef",
            "versions": {"python": "3.11.9", "torch": "2.15.0"},
            "config": {"epochs": 3, "note": f"<b>{stage}</b> & more"},
        }
        (folder / stage / "run.yaml").write_text(yaml.safe_dump(record))
    (folder / "recipe.yaml").write_text("name: made_up\nstages: {data: {command: data.render}}\n")
    return folder


def true_points() -> np.ndarray:
    """(EARS, 17, 2) px: the mean shape in BOX, each ear a little apart from the next."""
    shape = load_scheme().mean_shape_unit
    points = BOX[:2] + shape * (BOX[2:] - BOX[:2])
    return (points + np.random.default_rng(0).normal(0, 2, (EARS, 17, 2))).astype(np.float32)


def diagonals(points: np.ndarray) -> np.ndarray:
    """(N,) of the extent of each ear's points."""
    return np.array([np.linalg.norm(ear.max(axis=0) - ear.min(axis=0)) for ear in points])


def _data(folder: Path) -> None:
    paths = [_picture(folder / "images" / f"ear_{number}.jpg", number) for number in range(EARS)]
    points = true_points()
    ears = Manifest(
        image_paths=np.array(paths),
        boxes_xyxy=np.tile(BOX, (EARS, 1)),
        landmarks=points,
        visibility=np.full((EARS, 17), 2, np.uint8),
    )
    frames = [_picture(folder / "images" / f"frame_{number}.jpg", number, 320) for number in range(FRAMES)]
    scenes = Manifest(
        image_paths=np.array(frames[:-2]),
        boxes_xyxy=np.tile(FRAME_BOX, (FRAMES - 2, 1)),
        empty_images=np.array(frames[-2:]),
    )
    for split in ("train", "val", "test"):
        write_manifest(folder / f"{split}_teacher.npy", ears)
        write_manifest(folder / f"{split}_labelled.npy", ears)
        write_manifest(folder / f"{split}_frames.npy", scenes)
    _picture(folder / "grid.png", 1, 800)
    _picture(folder / "scenes.png", 2, 800)


def _teacher(folder: Path) -> None:
    epochs = np.arange(5.0)
    columns = {"epoch": epochs, "step": 100 * epochs, "lr": 0 * epochs + 3e-4, "train/loss": np.exp(-epochs)}
    columns |= {"train/l1": np.exp(-epochs) / 2, "train/perceptual": 0 * epochs}
    columns |= {"val/psnr": 18 + epochs, "val/ssim": 0.4 + epochs / 20}
    _table(folder / "metrics.csv", columns)
    _json(folder / "metrics.json", {"psnr": 22.0, "ssim": 0.6, "epoch": 4, "epochs": 5})
    _picture(folder / "reconstructions" / "epoch_0004.png", 3, 400)
    (folder / "best.ckpt").write_bytes(bytes(2_500_000))


def _teacher_eval(folder: Path) -> None:
    metrics = {
        "ears": 300,
        "psnr": 22.54321,
        "psnr_interval": [22.1, 22.9],
        "ssim": 0.65,
        "ssim_interval": [0.64, 0.66],
    }
    _json(folder / "metrics.json", metrics)
    _picture(folder / "reconstructions.png", 4, 800)
    _picture(folder / "worst.png", 5, 800)


def _eigenears(folder: Path) -> None:
    shares = [0.3, 0.2, 0.1, 0.05]
    _json(folder / "variance.json", {"ears": 300, "explained": shares, "cumulative": list(np.cumsum(shares))})
    for number in range(1, 5):
        _picture(folder / f"pc_{number}.png", number, 700)


def _ear_detector(folder: Path) -> None:
    epochs = np.arange(4.0)
    columns = {
        "epoch": epochs,
        "step": 50 * epochs,
        "train/loss": 3 - epochs / 2,
        "val/nme": 0.1 / (1 + epochs),
    }
    _table(folder / "metrics.csv", columns | {"val/box_iou": 0.5 + epochs / 10})
    _json(folder / "metrics.json", {"nme": 0.041, "labels": 300})
    _picture(folder / "predictions.png", 6, 800)
    (folder / "best.ckpt").write_bytes(bytes(1_000_000))


def _maps(folder: Path) -> None:
    gate = {"nme": 0.03, "ears": 50, "limit": 0.05, "limit_from": "gate_nme", "admitted": True}
    settings = {"layer": "feat1", "grid": 16, "teacher_kind": "EarVAE"}
    shards = [{"file": "shard_00000.npy", "bytes": 4_000_000}]
    _json(
        folder / "index.json",
        {"shape": [300, 4, 96, 16, 16], "settings": settings, "shards": shards, "gate": gate},
    )


def _student(measure: str, best: float) -> callable:
    def make(folder: Path) -> None:
        steps = np.arange(1.0, 7.0)
        values = best * (1 + 1 / steps) if measure == "nme" else best * (1 - 0.5 / steps)
        columns = {"epoch": steps - 1, "step": 100 * steps, f"val/{measure}": values, "train/loss": 1 / steps}
        _table(folder / "metrics.csv", columns | {"train/label": 1 / steps})
        facts = {"labels": 300, "held_out": 40, "steps": 600, "images": 38400, "distill": True}
        _json(folder / "metrics.json", {measure: best, **facts})

    return make


def _evaluate(folder: Path) -> None:
    """Every point of ear i lies error * (0.5 + i / (EARS - 1)) diagonals to the right of the true one."""
    images = folder.parent.absolute() / "data" / "images"
    points, visibility = true_points(), np.full((EARS, 17), 2, np.uint8)
    arrays = {
        "crops_image_paths": np.array([str(images / f"ear_{number}.jpg") for number in range(EARS)]),
        "crops_boxes_xyxy": np.tile(BOX, (EARS, 1)),
        "crops_landmarks": points,
        "crops_visibility": visibility,
        "frames_image_paths": np.array([str(images / f"frame_{number}.jpg") for number in range(FRAMES)]),
    }
    metrics: dict = {"settings": {"score_threshold": 0.5, "box_threshold": 0.5, "match_iou": 0.5}}
    curves: dict = {}
    for model, error in MEAN_ERRORS.items():
        shift = np.zeros((EARS, 1, 2))
        shift[:, 0, 0] = error * np.linspace(0.5, 1.5, EARS) * diagonals(points)
        found = (points + shift).astype(np.float32)
        arrays[f"crops_{model}_points_px"] = found
        arrays[f"crops_{model}_nme"] = nme(found, points, visibility)
        found_or_not = np.where(np.arange(EARS)[:, None, None] < MISSED, np.nan, found)
        arrays[f"end_to_end_{model}_nme"] = nme(found_or_not, points, visibility)
        metrics[model] = landmark_report(found, points, visibility, draws=50)
        chain = landmark_report(found_or_not, points, visibility, draws=50)
        metrics[model]["end_to_end"] = {"detector": "detector", "false_alarms": 2, "box_iou": 0.8, **chain}
        curves[model] = {"ced": metrics[model].pop("ced")}
    for model, ap50 in (("detector", 0.95), ("detector_twin", 0.9)):
        metrics[model] = {"ap": ap50 - 0.3, "ap50": ap50, "ap75": ap50 - 0.2, "ap_small": None}
        metrics[model] |= {"recall50": 0.97, "images": FRAMES, "ears": FRAMES - 2, "threshold_precision": 0.9}
        recall = np.linspace(0, 1, 101)
        curves[model] = {"precision50": list(1 - recall**8 / 2), "precision75": list(1 - recall**4 / 2)}
        offsets = np.linspace(0, 60, FRAMES)[:, None] * [1, 0, 1, 0]
        arrays[f"frames_{model}_image"] = np.arange(FRAMES)
        arrays[f"frames_{model}_boxes_xyxy"] = (FRAME_BOX + offsets).astype(np.float32)
        arrays[f"frames_{model}_scores"] = np.linspace(0.95, 0.5, FRAMES).astype(np.float32)
    _json(folder / "metrics.json", metrics)
    _json(folder / "curves.json", curves)
    np.savez_compressed(folder / "per_image.npz", **arrays)


def _export(folder: Path) -> None:
    row = {"max_difference_px": 1e-4, "max_difference_score": 1e-6, "checked_images": 16, "timing_runs": 100}
    row |= {
        "onnx_mb": 1.25,
        "ms_1_thread": 4.5,
        "ms_1_thread_p10": 4.25,
        "image_px": 320,
        "parameters": 312345,
    }
    _json(
        folder / "export.json", {"detector": row, "landmarker": row | {"onnx_mb": 0.75, "ms_1_thread": 1.5}}
    )


STAGES = {
    "data": _data,
    "teacher": _teacher,
    "teacher_eval": _teacher_eval,
    "eigenears": _eigenears,
    "ear_detector": _ear_detector,
    "maps": _maps,
    "frame_maps": _maps,
    "landmarker": _student("nme", 0.031),
    "landmarker_twin": _student("nme", 0.041),
    "detector": _student("ap50", 0.94),
    "detector_twin": _student("ap50", 0.91),
    "evaluate": _evaluate,
    "export": _export,
}


def _picture(path: Path, seed: int, side_px: int = 128) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(60, 200, (6, 6, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(small, (side_px, side_px), interpolation=cv2.INTER_CUBIC))
    return str(path)


def _json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _table(path: Path, columns: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
