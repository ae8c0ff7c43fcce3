"""Write the students as ONNX files, check them against torch on real inputs, measure size and time.

Writes detector.onnx and landmarker.onnx (float32, one file each) and export.json. Both take `image`,
(N, 3, S, S) float32 RGB in [0, 1]. The detector takes one frame, a square of any multiple of 32, since frames
are seen in two sizes (`students.inference.letterbox.letterboxes`), and gives `boxes_xyxy` (M, 4) in pixels of
it and `scores` (M,), one for each cell of its map, before non-maximum suppression
(`students.inference.boxes`). The landmarker takes N crops and gives `points_unit` (N, K, 2), `confidence`
(N, K) and, where it was trained to tell them, `error_unit` (N, K), the expected distance as a fraction of the
crop's side, and `ear` (N,), the probability that there is one. What a user of the files has to know is in
their metadata.

With --int8 also detector.int8.onnx and landmarker.int8.onnx: the same networks quantised
(`students.onnx_export.quantise`), a third of the size, calibrated on the pictures of the manifests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from configs.command import run_command
from configs.errors import UserError
from configs.files import write_json
from configs.groups import Fixed, Gone, Removed
from configs.provenance import write_provenance

VERSION = 4  # 2: a detector of frames of any size; 3: three letterboxes; 4: a landmarker of many crops
MAX_ONNX_MB = 2.0
MEASURED = "the same for all files, so that export.json compares"


@dataclass(frozen=True)
class Config:
    """Write the students as ONNX files, checked against torch on real inputs, and measure size and time."""

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
    int8: bool = False
    """Also write quantised files, calibrated on these manifests and compared with the float32 ones."""

    GONE: ClassVar[Mapping[str, Gone]] = {
        "landmarks": Removed("student.pt says what its points are: data.prepare --scheme, then train"),
        "check_images": Fixed(16, MEASURED),
        "tolerance_px": Fixed(0.05, MEASURED),
        "tolerance_score": Fixed(0.001, MEASURED),
        "timing_runs": Fixed(100, MEASURED),
    }

    def __post_init__(self) -> None:
        """Raise UserError where there is nothing to export, or nothing to check it on."""
        if self.detector is None and self.landmarker is None:
            raise UserError(
                "Nothing to export: give --detector, --landmarker or both (student.pt of distill.train)."
            )
        for kind, checkpoint, flag, manifest in (
            ("detector", self.detector, "--frames-npy", self.frames_npy),
            ("landmarker", self.landmarker, "--ears-npy", self.ears_npy),
        ):
            if checkpoint is not None and manifest is None:
                raise UserError(f"The exported {kind} is checked on real inputs: give {flag} MANIFEST.npy.")


def main(config: Config) -> Path:
    """Export the given students. Raises UserError when an exported file disagrees with torch, and for ears
    that are cut otherwise, or have other points, than the landmarker's.
    """
    from data.manifest import read_manifest
    from students.inference.onnx_file import int8_file
    from students.models.checkpoint import load_student, student_crops
    from students.onnx_export.check import check, real_inputs
    from students.onnx_export.quantise import export_int8
    from students.onnx_export.timing import size_and_time
    from students.onnx_export.write import export_student

    report = {}
    for kind, checkpoint, manifest_npy in (
        ("detector", config.detector, config.frames_npy),
        ("landmarker", config.landmarker, config.ears_npy),
    ):
        if checkpoint is None:
            continue
        student, crops = load_student(checkpoint, kind), student_crops(checkpoint)
        manifest = read_manifest(manifest_npy)
        if not len(manifest):
            raise UserError(
                f"{manifest_npy}: holds no ear; the exported {kind} is checked on photographs with ears."
            )
        if kind == "landmarker":
            crops.require_same(manifest.crops, f"{checkpoint}", f"{manifest_npy}")
        inputs = real_inputs(student, manifest, crops.margin)
        path = export_student(student, config.output_dir / f"{kind}.onnx", crops)
        report[kind] = {
            **check(student, path, inputs),
            **size_and_time(path, [images[:1] for images in inputs]),
            "parameters": sum(parameter.numel() for parameter in student.parameters()),
        }
        _print_row(kind, report[kind])
        if config.int8:
            int8, report[kind]["int8"] = export_int8(path, kind, manifest)
            report[kind]["int8"] |= size_and_time(int8, [images[:1] for images in inputs])
            _print_int8(kind, int8, report[kind]["int8"])
        elif int8_file(path).exists():
            print(f"note: {int8_file(path)} is of an earlier export; --int8 writes it again.")
    write_json(config.output_dir / "export.json", report)
    write_provenance(config.output_dir, config)
    return config.output_dir


def _print_row(kind: str, row: Mapping[str, Any]) -> None:
    print(
        f"{kind}: {row['onnx_mb']:.2f} MB, {row['ms_1_thread']:.2f} ms on one thread, "
        f"{row['parameters']:,} parameters; torch and ONNX differ by at most "
        f"{row['max_difference_px']:.2g} px, {row['max_difference_score']:.2g} in score"
    )
    if row["onnx_mb"] > MAX_ONNX_MB:
        print(f"warning: {kind}.onnx has {row['onnx_mb']:.2f} MB, the aim is at most {MAX_ONNX_MB:g} MB")


def _print_int8(kind: str, path: Path, row: Mapping[str, Any]) -> None:
    places = "boxes move by {:.2f} % of their diagonal" if kind == "detector" else (
        "points move by {:.2f} % of the diagonal of their extent"
    )  # fmt: skip
    differences = f"{places.format(100 * row['moved'])}, scores by {row['score_difference']:.3f}"
    print(
        f"{path.name}: {row['onnx_mb']:.2f} MB, {row['ms_1_thread']:.2f} ms on one thread; against float32 "
        f"{differences} (means, {row['checked_images']} inputs)"
    )
    if row["quantises_badly"]:
        print(f"warning: this {kind} quantises badly: {differences}. Use {kind}.onnx.")


if __name__ == "__main__":
    run_command(Config, main)
