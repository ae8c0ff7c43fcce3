"""Find ears and their points in images, folders, videos or a camera.

Writes overlays/NAME_ears.jpg (or .mp4), predictions.json and, with --coco, coco.json below the output
folder. An input that cannot be read is reported and left out, the rest goes on, and the exit code is 1.
Files of a folder that are neither images nor videos are counted and named. Inputs are never written to.
Ctrl-C ends a camera or a stream. predictions.json is saved as it goes: the same command goes on where it was
cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tyro

from configs.command import run_command
from configs.errors import UserError, WriteError
from configs.files import write_json
from configs.groups import Gone, Removed, Renamed
from configs.provenance import plain
from students.inference.rescoring import EAR_THRESHOLD

SHOWN_FILES = 5  # of those passed over; predictions.json names them all


@dataclass(frozen=True)
class Config:
    """Find ears and their points in images, folders, videos or a camera."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Images, videos, folders of both, streams (rtsp://..., http://...), or camera:0 for the first camera."""
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
    scheme: Path | None = None
    """YAML with the curves to draw, for a landmarker of other points than the 17 whose file has none."""
    overlays: bool = True
    """Draw the results."""
    coco: bool = False
    """Also write coco.json, boxes and key points of the images (not of videos) with scores."""
    overwrite: bool = False
    """Replace earlier results in the output folder."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "landmarks": Renamed("scheme"),
        "max_frames": Removed(
            "a video is predicted to its end, a camera until Ctrl-C; cut a long one first", was=0
        ),
        "threads": Removed("ONNX Runtime chooses; students.EarPipeline takes threads=1", was=0),
    }

    def __post_init__(self) -> None:
        """Raise UserError for a threshold outside 0 to 1."""
        if not 0 <= self.score_threshold <= 1:
            raise UserError(f"score_threshold is {self.score_threshold}, allowed is 0 to 1.")


def main(config: Config) -> Path:
    """Predict every input. Exits with 1 when some could not be read."""
    from students.inference.files import predict_file
    from students.inference.inputs import find_inputs, passed_over
    from students.inference.outputs import Outputs
    from students.inference.pipeline import open_pipeline
    from students.inference.progress import Progress
    from students.inference.records import coco_layout, summary

    outputs = Outputs(config.output_dir, config.overlays, config.coco)
    inputs = find_inputs(config.inputs, config.output_dir)
    models = [path for path in (config.detector, config.landmarker) if path is not None]
    models += config.run.glob("export/*.onnx") if config.run is not None else ()
    progress = Progress(outputs.predictions_json, _made_with(plain(config), models))
    outputs.require_free(inputs, config.overwrite or progress.goes_on)
    pipeline = open_pipeline(config.run, config.detector, config.landmarker, config.score_threshold)
    curves = pipeline.curves if config.scheme is None else pipeline.curves_of_scheme(config.scheme)
    names, records, skipped = list(pipeline.landmark_names), progress.records, progress.skipped
    progress.passed_over = [str(path) for path in passed_over(config.inputs, config.output_dir)]
    try:
        for source in progress.begin(inputs, names):
            try:
                record = predict_file(pipeline, source, outputs.overlay(source), curves)
            except WriteError:
                raise
            except UserError as error:
                print(f"skipped: {error}", file=sys.stderr)
                skipped.append({"path": source.shown, "reason": str(error)})
                continue
            progress.add(record)
            for note in record.get("notes", ()):
                print(f"note: {source.shown}: {note}", file=sys.stderr)
    except BaseException:
        progress.interrupted()
        raise
    if outputs.coco_json is not None:
        write_json(outputs.coco_json, coco_layout(records, names, curves))
    progress.finish()
    if others := progress.passed_over:
        shown = ", ".join(others[:SHOWN_FILES]) + (", ..." if len(others) > SHOWN_FILES else "")
        print(f"passed over: {len(others)} files that are neither images nor videos: {shown}")
    print(summary(records, len(skipped)))
    if skipped:
        print(f"result: {config.output_dir}", flush=True)
        sys.exit(1)
    return config.output_dir


def _made_with(settings: dict[str, Any], models: list[Path]) -> dict[str, Any]:
    """What a prediction depends on: settings, and size and time of change of the models' files."""
    stats = [(str(path), path.stat()) for path in sorted(models) if path.is_file()]
    left_out = ("inputs", "overwrite")
    return {key: value for key, value in settings.items() if key not in left_out} | {
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    }


if __name__ == "__main__":
    run_command(Config, main)
