"""distill.study.score: a cell says what the evaluation says, and holds what the analysis draws from."""

import numpy as np
import pytest
import torch
from PIL import Image

from configs.errors import UserError
from configs.files import write_json
from configs.reading.content import read_json
from data.manifest import Manifest, write_manifest
from distill.study import score
from distill.study.average_precision import BoxesFound
from distill.study.score import Config, main
from students import evaluate
from students.models.checkpoint import save_student
from teacher.checkpoint import save_weights
from teacher.models.detector import EarDetector
from tests.drawn_ears import draw_ears
from tests.tiny_students import rectangle_frame, tiny_detector, tiny_landmarker
from tests.tiny_teacher import tiny_vae

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders as trainings leave them, and test ears."""
    folder = tmp_path_factory.mktemp("trained")
    draw_ears(folder, "test", photographs=3, seed=0, ears_each=2)
    for name, student in (("detector", tiny_detector()), ("landmarker", tiny_landmarker())):
        save_student(folder / name / "student.pt", student)
        write_json(folder / name / "metrics.json", {"labels": 7, "empty_frames": 2, "steps": 10, "nme": 0.1})
        record = {
            "command": "distill.train",
            "version": 1,
            "settings": {"steps": 10},
            "inputs": {},
            "upstream": {},
            "seconds": 12.5,
            "run": "a",
            "finished": "2026-11-28T00:00:00+0000",
        }
        write_json(folder / name / "stage.json", record)
    detector = EarDetector.from_vae(tiny_vae(), width=16, heatmap_cells=16, stem_channels=8)
    save_weights(folder / "ear_detector" / "best.ckpt", detector, "EarDetector")
    write_json(folder / "ear_detector" / "metrics.json", {"labels": 5})
    return folder


@pytest.fixture(scope="module")
def rectangles_npy(tmp_path_factory):
    """Photographs of what the tiny detector knows: three bright rectangles, and a photograph without."""
    folder = tmp_path_factory.mktemp("rectangles")
    boxes = [(20, 24, 48, 64), (12, 30, 36, 70), (50, 20, 80, 60)]
    for index, box in enumerate([*boxes, None]):
        Image.fromarray(rectangle_frame(box, seed=index)).save(folder / f"{index}.png")
    paths = np.array([str(folder / f"{index}.png") for index in range(4)])
    manifest = Manifest(paths[:3], np.array(boxes, np.float32), empty_images=paths[3:])
    return write_manifest(folder / "test.npy", manifest)


def scored(trained, output_dir, model, test_npy=None, **values):
    test_npy = test_npy or trained / "test.npy"
    config = Config(model, trained / model, test_npy, output_dir, **values)
    return read_json(main(config) / "cell.json")


def test_a_landmarker(trained, tmp_path, capsys):
    cell = scored(trained, tmp_path, "landmarker")
    assert cell["model"] == "landmarker"
    assert "landmarker, 7 labels: nme" in capsys.readouterr().out
    checked = evaluate.Config(
        tmp_path / "checked", landmarker=trained / "landmarker/student.pt", ears_npy=trained / "test.npy"
    )
    expected = read_json(evaluate.main(checked) / "metrics.json")["landmarker"]
    assert cell["headline"]["nme"] == pytest.approx(expected["nme"])
    assert cell["points"]["nme"] == pytest.approx(expected["per_landmark"]["nme"])
    assert cell["points"]["names"] == expected["per_landmark"]["names"]
    assert cell["tightness"] == expected["tightness"]
    per_image = cell["per_image"]
    assert len(per_image["nme"]) == len(per_image["paths"]) == 6
    assert np.mean(per_image["nme"]) == pytest.approx(cell["headline"]["nme"], abs=1e-5)
    np.testing.assert_allclose(np.mean(per_image["point_errors"], axis=1), per_image["nme"], atol=1e-5)
    assert (cell["labels"], cell["seconds"], cell["settings"]) == (7, 12.5, {"steps": 10})
    assert cell["training"] == {"labels": 7, "empty_frames": 2, "steps": 10}
    assert cell["parameters"] == sum(p.numel() for p in tiny_landmarker().parameters())


def test_a_detector(trained, rectangles_npy, tmp_path):
    cell = scored(trained, tmp_path, "detector", rectangles_npy)
    found = cell["per_image"]
    assert sum(found["ears"]) == 3
    assert len(found["ears"]) == 4  # a photograph without an ear among them
    again = BoxesFound(found["scores"], found["matched"], found["ears"]).ap(np.ones(4))
    assert again == pytest.approx(cell["headline"]["ap"], abs=1e-6)
    assert cell["headline"]["ap50"] > 0.9


def test_an_ear_detector(trained, tmp_path):
    cell = scored(trained, tmp_path, "ear_detector")
    assert 0 < cell["headline"]["nme"] < 2
    assert cell["tightness"] is None
    assert cell["seconds"] is None  # made by hand, not by the pipeline
    assert cell["multiply_adds"] > 0


def test_an_ear_without_a_finite_prediction_counts_as_a_whole_diagonal(trained, tmp_path, monkeypatch):
    from students.evaluation.point_readers import PointReader

    original = PointReader.read

    def broken(self, photographs, boxes_xyxy, margin=0.1):
        reading = original(self, photographs, boxes_xyxy, margin)
        reading.points_px[0, 3] = np.nan
        return reading

    monkeypatch.setattr(PointReader, "read", broken)
    cell = scored(trained, tmp_path, "landmarker")
    assert cell["missed"] == 1
    assert cell["per_image"]["nme"][0] == 1.0
    assert cell["headline"]["nme"] == pytest.approx(np.mean(cell["per_image"]["nme"]), abs=1e-5)


def test_multiply_adds_by_hand():
    """3 to 4 channels, 3 x 3, on 8 x 8 places."""
    size = score._size(torch.nn.Conv2d(3, 4, 3, padding=1), 8)
    assert size == {"parameters": 3 * 4 * 9 + 4, "multiply_adds": 3 * 4 * 9 * 64}


def test_test_sets_that_do_not_fit(trained, tmp_path):
    boxes_only = Manifest(np.array([str(trained / "test_0.png")]), np.array([[0, 0, 9, 9]], np.float32))
    path = write_manifest(tmp_path / "boxes.npy", boxes_only)
    with pytest.raises(UserError, match="has no 17 points an ear to score on"):
        main(Config("landmarker", trained / "landmarker", path, tmp_path / "out"))
