"""distill.label_frames: boxes that a detector finds, as a manifest."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.errors import UserError
from configs.reading.content import read_json
from data.crop_settings import CropSettings
from data.manifest import Manifest, read_manifest, write_manifest
from data.preparation.photographs import photographs_of
from distill.label_frames import Config, main
from distill.student.detector_data import read_pseudo_labelled
from distill.student.options import DistillationOptions
from distill.teacher_maps.options import PSEUDO_LABELLED
from tests.tiny_students import rectangle_frame, tiny_files

pytestmark = pytest.mark.trains

EARS = [(20, 15, 50, 60), None, (40, 30, 66, 70)]


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Bright rectangles for ears in two of three photographs; the boxes of the manifest are far off."""
    folder = tmp_path_factory.mktemp("frames")
    for number, box in enumerate(EARS):
        cv2.imwrite(str(folder / f"{number}.png"), rectangle_frame(box, seed=number))
    off = np.array([[1, 1, 9, 9]] * 2, np.float32)
    paths = np.array([str(folder / f"{number}.png") for number in (0, 2)])
    empty = np.array([str(folder / "1.png")])
    return write_manifest(folder / "frames.npy", Manifest(paths, off, empty_images=empty))


def test_found_boxes_take_the_place_of_those_that_were_there(frames, tmp_path, capsys):
    labelled = read_manifest(main(Config(tiny_files() / "detector.pt", frames, tmp_path)) / PSEUDO_LABELLED)
    assert [path[-5] for path in labelled.image_paths] == ["0", "2"]
    np.testing.assert_allclose(labelled.boxes_xyxy, [EARS[0], EARS[2]], atol=5)
    assert [path[-5] for path in labelled.empty_images] == ["1"]
    assert labelled.scores.shape == (2,) and (labelled.scores > 0.3).all()
    assert "2 boxes in 3 photographs" in capsys.readouterr().out


def test_a_detector_that_finds_nothing_and_a_senseless_score_are_refused(frames, tmp_path):
    with pytest.raises(UserError, match=r"finds no ear with a score of 0.999"):
        main(Config(tiny_files() / "detector.pt", frames, tmp_path, score=0.999))
    with pytest.raises(UserError, match="score=0: a number between 0 and 1"):
        Config(tiny_files() / "detector.pt", frames, tmp_path, score=0)


def test_photographs_come_as_a_folder_a_list_or_a_manifest(frames):
    folder = frames.parent
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "3.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "list.txt").write_text("2.png\n\n3.png\n2.png\n")
    names = [Path(path).name for path in photographs_of(folder)[0]]
    assert names == ["0.png", "1.png", "2.png", "3.png"]
    listed, crops = photographs_of(folder / "list.txt")
    assert listed == [str(folder / "2.png"), str(folder / "images" / "3.png")] and crops == CropSettings()
    assert [Path(path).name for path in photographs_of(frames)[0]] == ["0.png", "2.png", "1.png"]
    (folder / "list.txt").write_text("2.png\nnone.png\n")
    with pytest.raises(UserError, match=r"list.txt: line 2: none.png is neither at"):
        photographs_of(folder / "list.txt")
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match="no image in this folder"):
        photographs_of(folder / "empty")


def test_a_labeller_no_better_than_the_twin_is_not_trained_on(frames, tmp_path, capsys):
    """The twin is the same detector, so the labeller cannot be better; the truth are the boxes it finds."""
    detector = tiny_files() / "detector.pt"
    found = main(Config(detector, frames, tmp_path / "truth")) / PSEUDO_LABELLED
    folder = main(Config(detector, frames, tmp_path / "judged", twin=detector, acceptance_npy=found))
    assert "<= 1.000 of the twin, its boxes are NOT taken" in capsys.readouterr().out
    assert read_json(folder / "acceptance.json")["admitted"] is False
    options = DistillationOptions(pseudo_labelled_npy=folder / PSEUDO_LABELLED)
    assert read_pseudo_labelled(options) is None
    assert "no better than the twin" in capsys.readouterr().out
    with pytest.raises(UserError, match="twin and acceptance_npy go together"):
        Config(detector, frames, twin=detector)
