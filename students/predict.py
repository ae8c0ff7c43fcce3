"""Find ears and their points in images, folders, videos or a camera.

Writes overlays/NAME_ears.jpg (or .mp4), predictions.json and, with --coco, coco.json below the output
folder. An input that cannot be read is reported and left out, the rest goes on, and the exit code is 1.
Inputs are never written to.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tyro

from configs.command import run_command
from configs.errors import UserError
from students.inference.inputs import Input
from students.inference.rescoring import EAR_THRESHOLD

if TYPE_CHECKING:
    from students.inference.pipeline import Ear, EarPipeline

JPEG_QUALITY = 92


@dataclass
class Config:
    """Options of students.predict."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Images, folders of images, videos, or camera:0 for the first camera."""
    output_dir: Path = Path("runs/predict")
    """Folder for the results; new or empty, unless --overwrite."""
    run: Path | None = None
    """Folder of a run: its export/detector.onnx and export/landmarker.onnx are used, instead of the models
    that ship with the project.
    """
    detector: Path | None = None
    """ONNX file of the detector, instead of the run's or the shipped one."""
    landmarker: Path | None = None
    """ONNX file of the landmarker, instead of the run's or the shipped one."""
    score_threshold: float = EAR_THRESHOLD
    """Ears with a lower score are dropped, 0 to 1."""
    landmarks: Path | None = None
    """YAML with the curves to draw, if the points are not the 17 of data/landmarks_17.yaml."""
    overlays: bool = True
    """Draw the results."""
    coco: bool = False
    """Also write coco.json, boxes and key points of the images (not of videos) with scores."""
    max_frames: int = 0
    """Stop a video or camera after so many frames; 0: at its end, a camera on Ctrl-C."""
    overwrite: bool = False
    """Replace earlier results in the output folder."""
    threads: int = 0
    """Threads of ONNX Runtime; 0 leaves it the choice."""


def main(config: Config) -> Path:
    """Predict every input. Exits with 1 when some could not be read."""
    from configs.files import write_json
    from data.landmarks import load_scheme
    from students.inference.inputs import find_inputs

    if not 0 <= config.score_threshold <= 1:
        raise UserError(f"score_threshold is {config.score_threshold}, allowed is 0 to 1.")
    inputs = find_inputs(config.inputs, config.output_dir)
    targets = _targets(config, inputs)
    _refuse_to_overwrite(config, inputs, targets)
    pipeline, scheme = _pipeline(config), load_scheme(config.landmarks)
    done: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    for source in inputs:
        try:
            if source.kind == "image":
                done.append(_predict_image(pipeline, source, targets.get(source.name), scheme))
            else:
                done.append(
                    _predict_video(pipeline, source, targets.get(source.name), scheme, config.max_frames)
                )
        except UserError as error:
            print(f"skipped: {error}", file=sys.stderr)
            skipped.append({"path": source.where, "reason": str(error)})
    names = list(pipeline.landmark_names)
    write_json(
        config.output_dir / "predictions.json", {"landmark_names": names, "inputs": done, "skipped": skipped}
    )
    if config.coco:
        write_json(config.output_dir / "coco.json", _coco(done, names, scheme.edges()))
    _print_summary(done, skipped)
    if skipped:
        print(f"result: {config.output_dir}", flush=True)
        sys.exit(1)
    return config.output_dir


def _predict_image(pipeline: EarPipeline, source: Input, target: Path | None, scheme: Any) -> dict[str, Any]:
    from data.images import read_image

    rgb = read_image(source.where)
    ears = pipeline(rgb)
    if target is not None:
        _write_overlay(target, rgb, ears, scheme)
    return _record(source, rgb) | {"ears": _as_plain(ears)}


def _predict_video(
    pipeline: EarPipeline, source: Input, target: Path | None, scheme: Any, max_frames: int
) -> dict[str, Any]:
    """One record for the whole video. Ctrl-C ends a camera and keeps what there is."""
    from students.inference.video import VideoFile, VideoFrames

    frames = VideoFrames(source)
    records: list[dict[str, Any]] = []
    writer = None if target is None else VideoFile(target, frames.frames_per_s)
    shape: dict[str, Any] = {}
    try:
        for index, rgb in enumerate(itertools.islice(frames, max_frames or None)):
            ears = pipeline(rgb)
            shape = shape or _record(source, rgb)
            records.append({"frame": index, "time_s": index / frames.frames_per_s, "ears": _as_plain(ears)})
            if writer is not None:
                from students.inference.overlay import draw_ears

                writer.add(draw_ears(rgb, ears, scheme))
    except KeyboardInterrupt:
        if source.kind != "camera":
            raise
    finally:
        if writer is not None:
            writer.close()
    if not records:
        raise UserError(f"{source.where}: no frame could be read.")
    return shape | {"frames_per_s": frames.frames_per_s, "frames": records}


def _write_overlay(target: Path, rgb: np.ndarray, ears: list[Ear], scheme: Any) -> None:
    from PIL import Image

    from configs.files import write_atomic
    from students.inference.overlay import draw_ears

    picture = Image.fromarray(draw_ears(rgb, ears, scheme))
    write_atomic(target, lambda temporary: picture.save(temporary, quality=JPEG_QUALITY))


def _record(source: Input, rgb: np.ndarray) -> dict[str, Any]:
    return {"path": source.where, "kind": source.kind, "height": rgb.shape[0], "width": rgb.shape[1]}


def _as_plain(ears: Iterable[Ear]) -> list[dict[str, Any]]:
    """Numbers with 1/100 px and 1/10,000 of score: more would be noise."""
    return [
        {
            "box_xyxy": _rounded(ear.box_xyxy, 2),
            "score": round(ear.score, 4),
            "points_px": [_rounded(point, 2) for point in ear.points_px],
            "point_confidence": _rounded(ear.point_confidence, 4),
        }
        for ear in ears
    ]


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _coco(done: list[dict[str, Any]], names: list[str], edges: list[tuple[int, int]]) -> dict[str, Any]:
    """COCO's data set layout with a score at each annotation; key points all count as visible (2)."""
    images, annotations = [], []
    for record in (record for record in done if record["kind"] == "image"):
        images.append(
            {
                "id": len(images) + 1,
                "file_name": record["path"],
                "height": record["height"],
                "width": record["width"],
            }
        )
        for ear in record["ears"]:
            x1, y1, x2, y2 = ear["box_xyxy"]
            annotations.append({
                "id": len(annotations) + 1, "image_id": len(images), "category_id": 1, "iscrowd": 0,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "area": round((x2 - x1) * (y2 - y1), 2),
                "score": ear["score"], "num_keypoints": len(names),
                "keypoints": [value for x, y in ear["points_px"] for value in (x, y, 2)],
            })  # fmt: skip
    skeleton = [[start + 1, end + 1] for start, end in edges if max(start, end) < len(names)]
    category = {"id": 1, "name": "ear", "keypoints": names, "skeleton": skeleton}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _targets(config: Config, inputs: list[Input]) -> dict[str, Path]:
    """Overlay file of each input, by the input's name."""
    if not config.overlays:
        return {}
    folder = config.output_dir / "overlays"
    return {
        source.name: folder / f"{source.name}_ears{'.jpg' if source.kind == 'image' else '.mp4'}"
        for source in inputs
    }


def _refuse_to_overwrite(config: Config, inputs: list[Input], targets: dict[str, Path]) -> None:
    files = [config.output_dir / "predictions.json", *targets.values()]
    files += [config.output_dir / "coco.json"] if config.coco else []
    sources = {os.path.realpath(source.where) for source in inputs if source.kind != "camera"}
    for path in files:
        if os.path.realpath(path) in sources:
            raise UserError(f"{path} is itself an input: choose another --output-dir.")
    if config.output_dir.is_dir() and any(config.output_dir.iterdir()) and not config.overwrite:
        raise UserError(
            f"{config.output_dir} is not empty: choose another --output-dir, or add --overwrite to replace "
            "earlier results in it."
        )
    if config.output_dir.exists() and not config.output_dir.is_dir():
        raise UserError(f"{config.output_dir} is a file: choose another --output-dir.")


def _pipeline(config: Config) -> EarPipeline:
    from students.inference.pipeline import PRETRAINED, EarPipeline

    options = {"score_threshold": config.score_threshold, "threads": config.threads}
    if config.run is not None and config.detector is None and config.landmarker is None:
        return EarPipeline.from_run(config.run, **options)
    detector, landmarker = PRETRAINED
    if config.run is not None:
        detector, landmarker = (config.run / "export" / path.name for path in PRETRAINED)
    return EarPipeline(config.detector or detector, config.landmarker or landmarker, **options)


def _print_summary(done: list[dict[str, Any]], skipped: list[dict[str, str]]) -> None:
    ears = sum(len(frame["ears"]) for record in done for frame in record.get("frames", [record]))
    frames = sum(len(record.get("frames", [record])) for record in done)
    print(f"{ears} ears in {frames} images or frames of {len(done)} inputs; {len(skipped)} inputs skipped")


if __name__ == "__main__":
    run_command(Config, main)
