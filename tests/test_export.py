"""ONNX files: the same numbers as torch, small, self-describing; refused when they are not the same."""

import json

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from configs.errors import UserError
from data.landmarks import load_scheme
from data.manifest import Manifest, write_manifest
from students.export import OUTPUTS, Config, check, export_student, main, measure
from students.inference.pipeline import open_model
from students.models.checkpoint import build_student
from tests.tiny_students import rectangle_frame, tiny_detector, tiny_files, tiny_landmarker


@pytest.fixture
def manifest_npy(tmp_path):
    """Three photographs with an ear each."""
    for index in range(3):
        frame = rectangle_frame((30, 20, 54, 60), 90, 120, seed=index)
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    manifest = Manifest(
        image_paths=np.array([str(tmp_path / f"{index}.png") for index in range(3)]),
        boxes_xyxy=np.tile([30, 20, 54, 60], (3, 1)).astype(np.float32),
    )
    return write_manifest(tmp_path / "manifest.npy", manifest)


@pytest.mark.trains
def test_the_command_exports_checks_and_reports(manifest_npy, tmp_path):
    run = tiny_files()
    config = Config(
        output_dir=tmp_path / "export",
        detector=run / "detector.pt",
        landmarker=run / "landmarker.pt",
        frames_npy=manifest_npy,
        ears_npy=manifest_npy,
        timing_runs=50,
    )
    assert main(config) == tmp_path / "export"
    report = json.loads((tmp_path / "export" / "export.json").read_text())
    for kind in ("detector", "landmarker"):
        row = report[kind]
        assert (tmp_path / "export" / f"{kind}.onnx").stat().st_size / 1e6 == pytest.approx(row["onnx_mb"])
        assert row["checked_images"] == 3
        assert 0 <= row["max_difference_px"] < 0.05
        assert 0 <= row["max_difference_score"] < 1e-3
        assert 0 < row["ms_1_thread_p10"] <= row["ms_1_thread"] < 1000
        assert row["parameters"] > 10_000


@pytest.mark.trains
@pytest.mark.parametrize("student", [tiny_detector, tiny_landmarker])
def test_outputs_equal_those_of_torch(student):
    """By hand, without the helper of the export: the decoded boxes and scores, the points and confidences."""
    student = student()
    kind = "landmarker" if hasattr(student, "num_landmarks") else "detector"
    session, metadata = open_model(tiny_files() / "export" / f"{kind}.onnx", kind, threads=1)
    assert int(metadata["image_px"]) == student.image_px
    image = torch.rand(1, 3, student.image_px, student.image_px)
    first, second = session.run(OUTPUTS[kind], {"image": image.numpy()})
    with torch.no_grad():
        outputs = student(image)
    if kind == "detector":
        np.testing.assert_allclose(second, torch.sigmoid(outputs[0])[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(first, outputs[1][0].numpy(), atol=1e-3)
    else:
        np.testing.assert_allclose(first, outputs[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(second, outputs[1].numpy(), atol=1e-5)


def test_the_file_says_what_it_is_and_nothing_about_this_machine():
    path = tiny_files() / "export" / "landmarker.onnx"
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["landmark_names"]) == list(load_scheme().names)
    assert metadata["pinna_kind"] == "landmarker"
    assert float(metadata["margin"]) == pytest.approx(0.10)
    assert model.graph.input[0].name == "image"
    assert b"site-packages" not in path.read_bytes()


@pytest.mark.parametrize("kind", ["detector", "landmarker"])
def test_the_default_students_stay_below_two_megabytes(kind, tmp_path):
    student = build_student(kind).eval()
    path = export_student(student, tmp_path / "student.onnx")
    assert path.stat().st_size <= 2e6
    views = np.random.default_rng(0).random((2, 3, student.image_px, student.image_px), dtype=np.float32)
    assert check(student, path, [views], 0.05, 1e-3)["checked_images"] == 2
    assert measure(path, [views[:1]], 50)["image_px"] == student.image_px


def test_a_file_that_differs_from_torch_is_rejected(tmp_path):
    student = build_student("landmarker", {"width": 32, "trunk": "mobilenetv4_conv_small_035"}).eval()
    path = export_student(student, tmp_path / "landmarker.onnx")
    with torch.no_grad():
        student.heatmap.weight.mul_(50)
    views = np.random.default_rng(0).random((2, 3, 128, 128), dtype=np.float32)
    with pytest.raises(UserError, match=r"differs from torch by .* px"):
        check(student, path, [views], tolerance_px=0.05, tolerance_score=1e-3)
    assert not path.exists()
    assert path.with_suffix(".onnx.rejected").exists()


def test_bad_requests_are_explained(manifest_npy, tmp_path):
    run = tiny_files()
    with pytest.raises(UserError, match="Nothing to export"):
        main(Config(output_dir=tmp_path))
    with pytest.raises(UserError, match="give --frames-npy"):
        main(Config(output_dir=tmp_path, detector=run / "detector.pt"))
    with pytest.raises(UserError, match="holds a detector, but a landmarker"):
        main(Config(output_dir=tmp_path, landmarker=run / "detector.pt", ears_npy=manifest_npy))
    (tmp_path / "two.yaml").write_text("names: [a, b]\ncurves: {}\n")
    config = Config(
        output_dir=tmp_path,
        landmarker=run / "landmarker.pt",
        ears_npy=manifest_npy,
        landmarks=tmp_path / "two.yaml",
    )
    with pytest.raises(UserError, match="names 2 points, the landmarker finds 17"):
        main(config)
