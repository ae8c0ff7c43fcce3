"""Boxes rescored by the landmarks: scores and boxes by hand; it pays on rendered scenes."""

import numpy as np
import pytest

from data.boxes import paired_iou
from students.inference.rescoring import (
    EAR_THRESHOLD,
    ear_score,
    extent_box,
    frame_proposal,
    proposal_threshold,
    refined_box,
    rescore_and_suppress,
)

FRAME = (200, 300, 3)


def points_over(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Two points whose extent is that box: pixel i covers [i, i + 1]."""
    return np.array([[x1 - 0.5, y1 - 0.5], [x2 - 0.5, y2 - 0.5]], dtype=np.float32)


def test_an_ear_is_not_read_again_where_its_points_lie_elsewhere():
    box = np.array([10.0, 10, 50, 90])
    points = points_over(12, 12, 48, 86)
    assert extent_box(points, box).tolist() == [12, 12, 48, 86]
    assert extent_box(points + 30, box) is None
    assert extent_box(points[:1].repeat(2, axis=0), box) is None


def test_scores_by_hand():
    np.testing.assert_allclose(ear_score(np.array([0.25, 0.81]), np.array([0.8, 0.3])), [0.4, 0.27])


def test_no_box_below_the_proposals_threshold_can_become_an_ear():
    least = proposal_threshold(0.45)
    sure = np.ones(1)
    assert ear_score(np.array([least]), sure)[0] == pytest.approx(0.45)
    assert ear_score(np.array([least - 0.01]), sure)[0] < 0.45


def test_a_box_moves_towards_the_extent_of_its_points_and_a_little_beyond():
    """Extent 20..60 x 40..120 plus 2.5 % a side is 19..61 x 38..122; seven tenths of it, three of the box."""
    box = refined_box(np.array([10.0, 30, 60, 140], np.float32), points_over(20, 40, 60, 120), FRAME)
    np.testing.assert_allclose(box, [16.3, 35.6, 60.7, 127.4], atol=1e-4)
    assert box.dtype == np.float32


def test_a_box_stays_where_the_points_do_not_fit_it():
    box = np.array([10.0, 30, 60, 140], np.float32)
    np.testing.assert_array_equal(refined_box(box, points_over(150, 40, 190, 120), FRAME), box)


def test_a_refined_box_ends_at_the_edge_of_the_photograph():
    box = refined_box(np.array([260.0, 0, 300, 90], np.float32), points_over(262, -12, 320, 90), FRAME)
    assert box[1] == 0
    assert box[2] == 300


def test_two_proposals_that_turn_out_to_be_one_ear_are_one():
    """Their boxes overlap by a third, so the detector kept both; their points lie in the same place."""
    boxes = np.array([[20, 40, 60, 80], [20, 60, 60, 100], [200, 40, 240, 120]], np.float32)
    points = np.stack(
        [points_over(20, 42, 60, 98), points_over(20, 42, 60, 98), points_over(200, 40, 240, 120)]
    )
    sureness = np.array([0.6, 0.9, 0.8])
    found, scores, rows = rescore_and_suppress(boxes, np.array([0.64, 0.64, 0.49]), points, sureness, FRAME)
    assert rows.tolist() == [1, 2]
    np.testing.assert_allclose(scores, [0.72, 0.56])
    assert found.shape == (2, 4)


def test_an_ear_inside_an_ear_is_none():
    """The smaller box, a quarter of the larger, lies in it; the points of each fit their own box."""
    boxes = np.array([[20, 20, 60, 100], [30, 30, 50, 70]], np.float32)
    points = np.stack([points_over(20, 20, 60, 100), points_over(30, 30, 50, 70)])
    _, _, rows = rescore_and_suppress(boxes, np.array([0.5, 0.6]), points, np.array([0.8, 0.7]), FRAME)
    assert rows.tolist() == [0]


def test_the_frame_itself_is_an_ear_where_its_points_fit_it_and_are_sure_by_seven_tenths():
    box, score = frame_proposal(FRAME)
    assert box.tolist() == [[0, 0, 300, 200]]
    for sure, is_ear in ((0.69, False), (0.71, True)):
        points = points_over(10, 10, 290, 190)[None]
        _, scores, _ = rescore_and_suppress(box, score, points, np.array([sure]), FRAME, must_overlap=True)
        assert (scores >= EAR_THRESHOLD).tolist() == [is_ear]
    small = points_over(10, 10, 60, 80)[None]
    assert len(rescore_and_suppress(box, score, small, np.ones(1), FRAME, must_overlap=True)[0]) == 0


def test_no_proposals_give_no_ears():
    found, scores, rows = rescore_and_suppress(
        np.empty((0, 4)), np.empty(0), np.empty((0, 17, 2)), np.empty(0), FRAME
    )
    assert (found.shape, len(scores), len(rows)) == ((0, 4), 0, 0)


def test_the_shipped_students_draw_closer_boxes_together_than_the_detector_alone():
    from data.render.scene.scene import render_scene
    from students import EarPipeline
    from students.evaluation.frame_detections import match

    pipeline = EarPipeline.pretrained(threads=1)
    alone, together = [], []
    for seed in range(12):
        scene = render_scene(seed)
        true = scene.boxes_xyxy
        boxes = pipeline.boxes(scene.image)[:, :4]
        ears = np.array([ear.box_xyxy for ear in pipeline(scene.image)]).reshape(-1, 4)
        for found, overlaps in ((boxes, alone), (ears, together)):
            owner = match(found, true, 0.5)
            overlaps += paired_iou(found[owner[owner >= 0]], true[owner >= 0]).tolist()
    assert len(together) >= 10
    assert np.mean(together) > np.mean(alone) + 0.02
