"""ONNX files: the same numbers as torch, small, self-describing; refused when they are not the same."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from configs.build import configured
from configs.errors import UserError
from data.crop_settings import CropSettings
from data.landmarks import Scheme, load_scheme
from data.manifest import Manifest, read_manifest, write_manifest
from students.export import Config, main
from students.inference.onnx_file import open_model
from students.inference.pipeline import EarPipeline
from students.models.checkpoint import build_student, save_student
from students.onnx_export import timing
from students.onnx_export.check import check
from students.onnx_export.timing import size_and_time
from students.onnx_export.write import export_student, output_names
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
def test_the_command_exports_checks_and_reports(manifest_npy, tmp_path, monkeypatch, capsys):
    run = tiny_files()
    monkeypatch.setattr(timing, "RUNS", 50)
    config = Config(
        output_dir=tmp_path / "export",
        detector=run / "detector.pt",
        landmarker=run / "landmarker.pt",
        frames_npy=manifest_npy,
        ears_npy=manifest_npy,
        int8=True,
    )
    assert main(config) == tmp_path / "export"
    report = json.loads((tmp_path / "export" / "export.json").read_text())
    said = capsys.readouterr().out
    assert "this detector" not in said
    assert "warning: this landmarker quantises badly: points move by" in said  # its weights are random
    for kind in ("detector", "landmarker"):
        row = report[kind]
        assert (tmp_path / "export" / f"{kind}.onnx").stat().st_size / 1e6 == pytest.approx(row["onnx_mb"])
        assert row["checked_images"] == 3
        assert 0 <= row["max_difference_px"] < 0.05
        assert 0 <= row["max_difference_score"] < 1e-3
        assert 0 < row["ms_1_thread_p10"] <= row["ms_1_thread"] < 1000
        assert row["parameters"] > 10_000
        int8 = row["int8"]
        path = tmp_path / "export" / f"{kind}.int8.onnx"
        assert path.stat().st_size / 1e6 == pytest.approx(int8["onnx_mb"])
        assert int8["onnx_mb"] < row["onnx_mb"]
        assert int8["checked_images"] == 3  # one of the three photographs, in three letterboxes or readings
        assert 0 < int8["moved"] < 0.05 and 0 < int8["score_difference"] < 0.05
        assert f"{kind}.int8.onnx: {int8['onnx_mb']:.2f} MB" in said


@pytest.mark.trains
@pytest.mark.parametrize("student", [tiny_detector, tiny_landmarker])
def test_outputs_equal_those_of_torch(student):
    """By hand, without the helper of the export: the decoded boxes and scores, the points and confidences."""
    student = student()
    kind = "landmarker" if hasattr(student, "num_landmarks") else "detector"
    session, metadata = open_model(tiny_files() / "export" / f"{kind}.onnx", kind, threads=1)
    assert metadata.image_px == student.image_px
    image = torch.rand(1, 3, student.image_px, student.image_px)
    first, second = session.run(output_names(student), {"image": image.numpy()})
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
    assert json.loads(metadata["flip"]) == load_scheme().flip
    assert json.loads(metadata["curves"]) == load_scheme().curves
    assert model.graph.input[0].name == "image"
    assert b"site-packages" not in path.read_bytes()


@pytest.mark.parametrize("kind", ["detector", "landmarker"])
def test_the_default_students_stay_below_two_megabytes(kind, tmp_path, monkeypatch):
    student = build_student(kind).eval()
    path = export_student(student, tmp_path / "student.onnx")
    assert path.stat().st_size <= 2e6
    views = np.random.default_rng(0).random((2, 3, student.image_px, student.image_px), dtype=np.float32)
    assert check(student, path, [views])["checked_images"] == 2
    monkeypatch.setattr(timing, "RUNS", 50)
    assert size_and_time(path, [views[:1]])["image_px"] == student.image_px


def test_a_file_that_differs_from_torch_is_rejected(tmp_path):
    student = build_student("landmarker", {"width": 32, "trunk": "mobilenetv4_conv_small_035"}).eval()
    path = export_student(student, tmp_path / "landmarker.onnx")
    with torch.no_grad():
        student.heatmap.weight.mul_(50)
    views = np.random.default_rng(0).random((2, 3, 128, 128), dtype=np.float32)
    with pytest.raises(UserError, match=r"differs from torch by .* px"):
        check(student, path, [views])
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
    loose = replace(read_manifest(manifest_npy), crops=CropSettings(0.25))
    write_manifest(tmp_path / "loose.npy", loose)
    with pytest.raises(UserError, match=r"landmarker.pt is of crops .* of 0.1, .*loose.npy of 0.25"):
        main(Config(tmp_path, landmarker=run / "landmarker.pt", ears_npy=tmp_path / "loose.npy"))
    with pytest.raises(UserError, match="landmarks is gone: student.pt says what its points are"):
        configured(Config, output_dir=tmp_path, landmarks="two.yaml")
    with pytest.raises(UserError, match="timing_runs is 100 for good now"):
        configured(Config, output_dir=tmp_path, timing_runs=50)


def test_crop_settings_go_from_the_checkpoint_to_the_pipeline(manifest_npy, tmp_path, monkeypatch):
    """Margin, names, flip and curves; a file without curves, of other than 17 points, has none to draw."""
    monkeypatch.setattr(timing, "RUNS", 50)
    crops = CropSettings(0.25, Scheme(("a", "b", "c"), {"all": [0, 1, 2]}, [1, 0, 2]))
    student = build_student("landmarker", {"num_landmarks": 3, "image_px": 64, "width": 32}).eval()
    save_student(tmp_path / "three.pt", student, crops)
    manifest = replace(read_manifest(manifest_npy), crops=crops)
    write_manifest(tmp_path / "three.npy", manifest)
    main(Config(tmp_path / "export", landmarker=tmp_path / "three.pt", ears_npy=tmp_path / "three.npy"))
    path = tmp_path / "export" / "landmarker.onnx"
    pipeline = EarPipeline(tiny_files() / "export" / "detector.onnx", path, threads=1)
    assert (pipeline.landmarker.view.margin, pipeline.landmarker.view.flip) == (0.25, [1, 0, 2])
    assert pipeline.landmark_names == ("a", "b", "c") and pipeline.curves == {"all": [0, 1, 2]}
    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "curves")
    model.metadata_props.remove(entry)
    onnx.save(model, path)
    assert EarPipeline(tiny_files() / "export" / "detector.onnx", path, threads=1).curves == {}


def test_a_file_from_before_curves_has_those_of_the_17_points():
    assert EarPipeline.pretrained(threads=1).curves == load_scheme().curves


def test_a_landmarker_of_unknown_points_has_numbers_for_names(tmp_path):
    """A student.pt of other than 17 points from before it said which."""
    student = build_student("landmarker", {"num_landmarks": 2, "image_px": 64, "width": 32}).eval()
    model = onnx.load(export_student(student, tmp_path / "two.onnx"))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["landmark_names"]) == ["point 0", "point 1"]
    assert not {"flip", "curves"} & set(metadata)
