"""The tiny detector that other tests read from: sure of its rectangles and of nothing else."""

import numpy as np
import pytest

from data.boxes import box_iou
from data.crops import GREY
from students.evaluation.box_finders import find_boxes
from tests.tiny_students import rectangle_frame, tiny_detector, train_detector

pytestmark = pytest.mark.trains

# boxes, height, width: of the frames that other tests show it
RECTANGLES = [
    ([(20, 15, 50, 60)], 96, 96),
    ([(40, 30, 66, 70)], 96, 96),
    ([(50, 20, 80, 60)], 96, 96),
    ([(20, 20, 44, 60)], 96, 96),
    ([(8, 8, 30, 44), (60, 50, 84, 86)], 96, 96),
    ([(12, 30, 36, 70), (70, 20, 96, 60)], 96, 120),
    ([(20, 24, 48, 64)], 96, 120),
    ([(44, 24, 72, 64)], 96, 128),
    ([(30, 20, 54, 60)], 90, 120),
    ([(30, 20, 66, 76)], 100, 140),
    ([(60, 40, 110, 130)], 200, 260),
    *[
        ([(12 * scale, 30 * scale, 32 * scale, 62 * scale)], height, width)
        for height, width, scale in ((96, 96, 1), (192, 192, 2), (240, 384, 4), (576, 200, 6))
    ],
    ([], 96, 96),
    ([], 96, 120),
]


def margins(detector):
    """The lowest score of a rectangle, the highest of anything else, the lowest IoU of a rectangle's box."""
    own, other, overlaps = [], [0.0], []
    pictures = [(np.full((96, 96, 3), GREY, np.uint8), [])]
    for seed, (boxes, height, width) in enumerate(RECTANGLES):
        frame = rectangle_frame(None, height, width, seed)
        for x1, y1, x2, y2 in boxes:
            frame[y1:y2, x1:x2] += 150
        pictures.append((frame, boxes))
    for frame, true in pictures:
        ((found, scores),) = find_boxes(detector, [frame])
        overlap = box_iou(found, np.array(true, np.float32).reshape(-1, 4))
        owners = [int(np.where(overlap[:, ear] > 0.5, scores, -1).argmax()) for ear in range(len(true))]
        own += [scores[owner] for owner in owners]
        overlaps += [overlap[owner, ear] for ear, owner in enumerate(owners)]
        other += np.delete(scores, owners).tolist()
    return min(own), max(other), min(overlaps)


def test_the_detector_in_the_file_is_far_from_every_threshold():
    """Thresholds elsewhere: 0.3 and 0.5 of the score, 0.5 and 0.7 of the IoU."""
    own, other, overlap = margins(tiny_detector())
    assert own > 0.8 and other < 0.2 and overlap > 0.75


@pytest.mark.slow
def test_the_recipe_still_gives_such_a_detector():
    """Of another seed than the file's, as another processor's arithmetic would give another detector."""
    own, other, overlap = margins(train_detector(seed=1))
    assert own > 0.6 and other < 0.3 and overlap > 0.6
