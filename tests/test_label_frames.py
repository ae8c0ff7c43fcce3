"""distill.label_frames: boxes that a detector finds, as a manifest."""

import cv2
import numpy as np
import pytest

from configs.errors import UserError
from data.manifest import Manifest, read_manifest, write_manifest
from distill.label_frames import Config, main
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
