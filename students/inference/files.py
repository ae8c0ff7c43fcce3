"""An image file or a video through the pipeline: its record for predictions.json, and its overlay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from configs.errors import UserError
from configs.files import write_atomic
from data.images import read_image_and_notes
from students.inference.inputs import Input
from students.inference.overlay import draw_ears
from students.inference.pipeline import EarPipeline
from students.inference.records import ear_records, source_record
from students.inference.tracking.tracker import EarTracker
from students.inference.video import VideoFile, VideoFrames

JPEG_QUALITY = 92
Curves = Mapping[str, Sequence[int]]  # as of `EarPipeline.curves`


def predict_file(
    pipeline: EarPipeline, source: Input, overlay: Path | None, curves: Curves
) -> dict[str, Any]:
    """The record of an input, whatever its kind. overlay: where it is drawn, if it is.

    Raises UserError for a file that cannot be read.
    """
    predict = _predict_image if source.kind == "image" else _predict_video
    return predict(pipeline, source, overlay, curves)


def _predict_image(
    pipeline: EarPipeline, source: Input, overlay: Path | None, curves: Curves
) -> dict[str, Any]:
    rgb, notes = read_image_and_notes(source.where)
    ears = pipeline(rgb)
    if overlay is not None:
        picture = Image.fromarray(draw_ears(rgb, ears, curves))
        write_atomic(overlay, lambda temporary: picture.save(temporary, quality=JPEG_QUALITY))
    return source_record(source.shown, source.kind, rgb) | {"ears": ear_records(ears)} | _noted(notes)


def _predict_video(
    pipeline: EarPipeline, source: Input, overlay: Path | None, curves: Curves
) -> dict[str, Any]:
    """One record for the whole video, its ears followed. Ctrl-C ends a camera or stream, the rest is kept."""
    frames, tracker = VideoFrames(source), EarTracker(pipeline)
    records: list[dict[str, Any]] = []
    writer = None if overlay is None else VideoFile(overlay, frames.frames_per_s)
    about: dict[str, Any] = {}
    is_whole = False
    try:
        for index, (time_s, rgb) in enumerate(frames):
            ears = tracker(rgb, time_s)
            about = about or source_record(source.shown, source.kind, rgb)
            records.append({"frame": index, "time_s": time_s, "ears": ear_records(ears)})
            if writer is not None:
                writer.add(draw_ears(rgb, ears, curves))
        is_whole = True
    except KeyboardInterrupt:
        if not source.endless:
            raise
        is_whole = True
    finally:
        if writer is not None:
            (writer.close if is_whole else writer.discard)()
    if not records:
        raise UserError(f"{source.shown}: no frame could be read.")
    rate = {"frames_per_s": frames.frames_per_s}
    if frames.rate_is_assumed:
        rate["frames_per_s_is_assumed"] = True
    return about | rate | _noted(frames.notes(len(records))) | {"frames": records}


def _noted(notes: list[str]) -> dict[str, list[str]]:
    return {"notes": notes} if notes else {}
