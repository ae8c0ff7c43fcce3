"""Write the students as ONNX files, check them against torch on real inputs, measure size and time.

Writes detector.onnx and landmarker.onnx (float32, one file each, batch 1) and export.json. Both take
`image`, (1, 3, S, S) float32 RGB in [0, 1]. The detector gives `boxes_xyxy` (M, 4) in pixels of its input
and `scores` (M,), one for each cell of its map, before non-maximum suppression (`students.inference.boxes`),
and takes squares of any multiple of 32, since a frame is seen in two sizes
(`students.inference.letterbox.frame_views`); the landmarker gives `points_unit` (1, K, 2) and `confidence`
(1, K). What a user of the files has to know is in their metadata.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.command import run_command
from configs.errors import UserError

if TYPE_CHECKING:
    import torch

    from data.landmarks import Scheme
    from students.inference.letterbox import FrameView

VERSION = 3  # 2: a detector of frames of any size; what mirroring does to points; 3: three views
MAX_ONNX_MB = 2.0
OUTPUTS = {"detector": ["boxes_xyxy", "scores"], "landmarker": ["points_unit", "confidence"]}
WARM_UP_RUNS = 20
BLOCKS = 5


@dataclass
class Config:
    """Options of students.export."""

    output_dir: Path
    """Folder for detector.onnx, landmarker.onnx and export.json."""
    detector: Path | None = None
    """student.pt of a detector."""
    landmarker: Path | None = None
    """student.pt of a landmarker."""
    frames_npy: Path | None = None
    """Manifest of frames on which the detector's ONNX file must agree with torch."""
    ears_npy: Path | None = None
    """Manifest of ears on which the landmarker's ONNX file must agree with torch."""
    landmarks: Path | None = None
    """YAML with names of the points, if they are not the 17 of data/landmarks_17.yaml."""
    check_images: int = 16
    """How many images of each manifest are compared."""
    tolerance_px: float = 0.05
    """Largest difference of a box or point from torch's, pixels of the model's input."""
    tolerance_score: float = 0.001
    """Largest difference of a score or confidence from torch's."""
    timing_runs: int = 100
    """Runs on one thread in each of five blocks; the median of the quickest block is reported."""


def main(config: Config) -> Path:
    """Export the given students. Raises UserError when an exported file disagrees with torch."""
    from configs.files import write_json
    from configs.provenance import write_provenance
    from students.inference.letterbox import FrameView, frame_views
    from students.models.checkpoint import load_student

    students = [
        ("detector", config.detector, config.frames_npy),
        ("landmarker", config.landmarker, config.ears_npy),
    ]
    if all(checkpoint is None for _, checkpoint, _ in students):
        raise UserError(
            "Nothing to export: give --detector, --landmarker or both (student.pt of distill.train)."
        )
    if config.check_images < 1 or config.timing_runs < 50:
        raise UserError("check_images must be at least 1 and timing_runs at least 50.")
    report = {}
    for kind, checkpoint, manifest_path in students:
        if checkpoint is None:
            continue
        if manifest_path is None:
            flag = "--frames-npy" if kind == "detector" else "--ears-npy"
            raise UserError(f"The exported {kind} is checked on real inputs: give {flag} MANIFEST.npy.")
        student = load_student(checkpoint, kind)
        seen = frame_views(student.image_px) if kind == "detector" else (FrameView(student.image_px),)
        views = [real_views(kind, manifest_path, view, config.check_images) for view in seen]
        path = config.output_dir / f"{kind}.onnx"
        export_student(student, path, landmark_scheme(student, config.landmarks))
        report[kind] = {
            **check(student, path, views, config.tolerance_px, config.tolerance_score),
            **measure(path, [view[:1] for view in views], config.timing_runs),
            "parameters": sum(parameter.numel() for parameter in student.parameters()),
        }
        _print_row(kind, report[kind])
    write_json(config.output_dir / "export.json", report)
    write_provenance(config.output_dir, config)
    return config.output_dir


def export_student(student: torch.nn.Module, path: Path, scheme: Scheme | None = None) -> Path:
    """Write one student as a single ONNX file, atomically. scheme: of a landmarker's points, if known."""
    import onnx
    import torch

    from configs.files import write_atomic
    from data.crops import MARGIN
    from data.images import GREY
    from students.models.checkpoint import kind_of

    kind = kind_of(student)
    example = torch.rand(1, 3, student.image_px, student.image_px)
    any_size = None
    if kind == "detector":
        side = 32 * torch.export.Dim("side_32", min=1, max=1024)
        any_size = {"image": {2: side, 3: side}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecations
        program = torch.onnx.export(
            exportable(student), (example,), input_names=["image"], output_names=OUTPUTS[kind],
            dynamo=True, external_data=False, verbose=False, dynamic_shapes=any_size,
        )  # fmt: skip
    model = program.model_proto
    _drop_traces(model)
    metadata = {"pinna_kind": kind, "image_px": str(student.image_px), "input": "RGB, 0..1, (1, 3, S, S)"}
    if kind == "detector":
        metadata |= {
            "preprocessing": f"letterbox, centred, on grey {GREY}",
            "boxes": "xyxy pixels of the input",
        }
    else:
        names = _numbers(student) if scheme is None else scheme.names
        metadata |= {"margin": str(MARGIN), "landmark_names": json.dumps(list(names))}
        metadata |= {} if scheme is None else {"flip": json.dumps(list(scheme.flip))}
        metadata |= {"preprocessing": "square window: longer side of the box times 1 + 2 * margin"}
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return write_atomic(path, lambda temporary: onnx.save(model, temporary))


def exportable(student: torch.nn.Module) -> torch.nn.Module:
    """The student in eval mode with the outputs of its ONNX file: one frame's boxes and scores in 0..1."""
    import torch

    from students.models.checkpoint import kind_of

    class SingleFrame(torch.nn.Module):
        def __init__(self, detector: torch.nn.Module):
            super().__init__()
            self.detector = detector

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, boxes_xyxy = self.detector(image)
            return boxes_xyxy.squeeze(0), torch.sigmoid(logits).squeeze(0)

    return (SingleFrame(student) if kind_of(student) == "detector" else student).eval()


def check(
    student: torch.nn.Module,
    path: Path,
    views: Sequence[np.ndarray],
    tolerance_px: float,
    tolerance_score: float,
) -> dict[str, Any]:
    """Largest differences between torch and the ONNX file, in pixels and in score, on views (N, 3, S, S) of
    one size or several.

    Raises UserError beyond the tolerances; the file stays for inspection, named .rejected.
    """
    import torch

    from students.inference.pipeline import open_model
    from students.models.checkpoint import kind_of

    kind = kind_of(student)
    session, _ = open_model(path, kind, threads=1)
    model = exportable(student)
    pixels_per_unit = 1.0 if kind == "detector" else float(student.image_px)
    difference_px = difference_score = 0.0
    for view in (view for of_a_size in views for view in of_a_size):
        with torch.no_grad():
            places, scores = (output.numpy() for output in model(torch.from_numpy(view[None])))
        onnx_places, onnx_scores = session.run(OUTPUTS[kind], {"image": view[None]})
        difference_px = max(difference_px, float(np.abs(places - onnx_places).max()) * pixels_per_unit)
        difference_score = max(difference_score, float(np.abs(scores - onnx_scores).max()))
    images = len(views[0])
    # Written so that NaN fails too.
    if not (difference_px <= tolerance_px and difference_score <= tolerance_score):
        rejected = path.replace(path.with_suffix(".onnx.rejected"))
        raise UserError(
            f"The exported {kind} differs from torch by {difference_px:.3g} px and {difference_score:.3g} in "
            f"score on {images} images; allowed are {tolerance_px:g} px and {tolerance_score:g}. "
            f"The file is kept as {rejected}."
        )
    return {
        "max_difference_px": difference_px,
        "max_difference_score": difference_score,
        "checked_images": images,
    }


def measure(path: Path, views: Sequence[np.ndarray], runs: int) -> dict[str, Any]:
    """Size in MB (10^6 bytes) and milliseconds an image on one thread: median, and 10th percentile.

    views: of one image, (1, 3, S, S), in each size that is run; the first is the model's own.

    Of the quickest of several blocks of `runs`: what else the machine does can only make a block slower.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    seconds = []
    for _ in range(WARM_UP_RUNS + BLOCKS * runs):
        start_s = time.perf_counter()
        for view in views:
            session.run(None, {"image": view})
        seconds.append(time.perf_counter() - start_s)
    blocks = 1000 * np.array(seconds[WARM_UP_RUNS:]).reshape(BLOCKS, runs)
    milliseconds = min(blocks, key=np.median)
    return {
        "onnx_mb": path.stat().st_size / 1e6,
        "ms_1_thread": float(np.median(milliseconds)),
        "ms_1_thread_p10": float(np.percentile(milliseconds, 10)),
        "timing_runs": runs,
        "image_px": views[0].shape[-1],
    }


def real_views(kind: str, manifest_path: Path, seen: FrameView, count: int) -> np.ndarray:
    """(N, 3, S, S) float32, what the model sees of up to `count` rows spread over the manifest."""
    from data.images import read_image
    from data.manifest import read_manifest
    from students.inference.letterbox import ear_view, frame_view

    manifest = read_manifest(manifest_path)
    rows = np.unique(np.linspace(0, len(manifest) - 1, min(count, len(manifest))).astype(int))
    views = []
    for row in rows:
        rgb = read_image(manifest.image_paths[row])
        if kind == "detector":
            view, _ = frame_view(rgb, seen)
        else:
            view, _ = ear_view(rgb, manifest.boxes_xyxy[row], seen.side_px)
        views.append(view)
    return np.stack(views)


def landmark_scheme(student: torch.nn.Module, path: Path | None) -> Scheme | None:
    """What a landmarker's points are; None for a detector, and where nothing is known of them.

    path: a scheme file; without one, the project's 17 points, if there are 17. UserError when the number of
    those in the file does not fit.
    """
    from data.landmarks import load_scheme

    if not hasattr(student, "num_landmarks"):
        return None
    scheme = load_scheme(path)
    if len(scheme) == student.num_landmarks:
        return scheme
    if path is None:
        return None
    raise UserError(f"{path} names {len(scheme)} points, the landmarker finds {student.num_landmarks}.")


def _numbers(student: torch.nn.Module) -> list[str]:
    return [f"point {index}" for index in range(student.num_landmarks)]


def _drop_traces(model: Any) -> None:
    """The exporter stores Python stack traces at every node: 150 kB of paths that no runtime reads."""
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]


def _print_row(kind: str, row: dict[str, Any]) -> None:
    print(
        f"{kind}: {row['onnx_mb']:.2f} MB, {row['ms_1_thread']:.2f} ms on one thread, "
        f"{row['parameters']:,} parameters; torch and ONNX differ by at most "
        f"{row['max_difference_px']:.2g} px, {row['max_difference_score']:.2g} in score"
    )
    if row["onnx_mb"] > MAX_ONNX_MB:
        print(f"warning: {kind}.onnx has {row['onnx_mb']:.2f} MB, the aim is at most {MAX_ONNX_MB:g} MB")


if __name__ == "__main__":
    run_command(Config, main)
