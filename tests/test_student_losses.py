"""The students' losses against cases worked out by hand, and a tiny batch learnt by heart."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import box_iou

from students.models.detector import StudentDetector
from students.models.landmarker import StudentLandmarker
from students.models.losses import landmark_loss
from teacher.models.dense.detector import cell_centres_px
from teacher.models.dense.losses import assign, box_distance, detection_loss
from teacher.models.dense.postprocess import detections

STRIDE, MAP_SHAPE = 8, (8, 8)


def _boxes_around_cells(side_px: float) -> torch.Tensor:
    centres = cell_centres_px(MAP_SHAPE, STRIDE)
    return torch.cat((centres - side_px / 2, centres + side_px / 2), dim=1)


def test_an_ear_has_the_four_cells_round_its_centre():
    target = torch.tensor([[10.0, 8.0, 44.0, 50.0]])  # centre (27, 29); cell centres 4, 12, 20, 28, 36, ...
    cells, ears = assign(target, MAP_SHAPE, STRIDE)
    assert sorted(cells.tolist()) == [row * 8 + column for row in (3,) for column in (2, 3)] + [
        row * 8 + column for row in (4,) for column in (2, 3)
    ]
    assert ears.tolist() == [0] * 4


def test_an_ear_smaller_than_a_cell_still_gets_one():
    target = torch.tensor([[17.0, 17.0, 19.0, 19.5]])  # between the centres 12 and 20
    cells, ears = assign(target, MAP_SHAPE, STRIDE)
    assert cells.tolist() == [2 * 8 + 2]
    assert ears.tolist() == [0]


def test_a_contested_cell_goes_to_the_nearer_ear():
    targets = torch.tensor([[4.0, 4.0, 36.0, 36.0], [14.0, 14.0, 38.0, 38.0]])  # centres 20 and 26
    cells, ears = assign(targets, MAP_SHAPE, STRIDE)
    assert len(set(cells.tolist())) == len(cells)
    owner = dict(zip(cells.tolist(), ears.tolist(), strict=True))
    assert owner[2 * 8 + 2] == 0
    assert owner[3 * 8 + 3] == 1


def test_box_distance_by_hand():
    """The same centre, twice as wide: GIoU loss 1/2, and ln 2 of width beyond the smooth part."""
    found, true = torch.tensor([[0.0, 0, 40, 20]]), torch.tensor([[10.0, 0, 30, 20]])
    expected = 2.0 * 0.5 + 0.5 * (math.log(2) - 0.05)
    assert box_distance(found, true).item() == pytest.approx(expected, rel=1e-5)
    assert box_distance(true, true).item() == pytest.approx(0, abs=1e-6)


def test_a_box_round_a_far_smaller_ear_is_pulled_to_it():
    found = torch.tensor([[0.0, 0, 60, 60]], requires_grad=True)
    box_distance(found, torch.tensor([[8.0, 8, 16, 16]])).sum().backward()
    assert found.grad[0, 2:].min() > 0.02


def test_perfect_predictions_cost_nearly_nothing():
    target = torch.tensor([[12.0, 20.0, 28.0, 36.0]])
    boxes = target.expand(1, 64, 4).clone().requires_grad_()
    cells, _ = assign(target, MAP_SHAPE, STRIDE)
    logits = torch.full((1, 64), -20.0)
    logits[0, cells] = 20.0
    loss = detection_loss(logits, boxes, [target], MAP_SHAPE, STRIDE)
    assert loss["loss"].item() < 1e-3


def test_frames_without_ears_push_scores_down_only():
    logits = torch.zeros(2, 64, requires_grad=True)
    boxes = _boxes_around_cells(16.0).expand(2, 64, 4).clone().requires_grad_()
    loss = detection_loss(logits, boxes, [torch.zeros(0, 4)] * 2, MAP_SHAPE, STRIDE)
    loss["loss"].backward()
    assert loss["box"].item() == 0
    assert (logits.grad > 0).all()
    expected = 128 * 0.5**2 * math.log(2)  # normaliser 1 when nothing is positive
    assert loss["score"].item() == pytest.approx(expected, rel=1e-5)


def test_what_may_be_an_ear_or_not_teaches_neither():
    torch.manual_seed(0)
    logits, boxes = torch.zeros(2, 64, requires_grad=True), _boxes_around_cells(20.0).expand(2, 64, 4).clone()
    ear = torch.tensor([[8.0, 8.0, 24.0, 24.0]])
    unsure = torch.tensor([[0.0, 0.0, 32.0, 16.0], [40.0, 40.0, 56.0, 56.0]])
    ears, nothing = [ear, torch.zeros(0, 4)], torch.zeros(0, 4)
    detection_loss(logits, boxes, ears, MAP_SHAPE, STRIDE, [unsure, nothing])["score"].backward()
    in_doubt = torch.zeros(8, 8, dtype=torch.bool)
    in_doubt[:2, :4] = in_doubt[5:7, 5:7] = True  # rows, columns of cells of 8 px
    own = torch.zeros(8, 8, dtype=torch.bool)
    own[1:3, 1:3] = True  # the ear's own cells count, though two of them lie in doubt
    slope = logits.grad[0].reshape(8, 8)
    assert (slope[in_doubt & ~own] == 0).all()
    assert (slope[own] < 0).all()
    assert (slope[~in_doubt & ~own] > 0).all()
    assert (logits.grad[1] > 0).all()


def test_detection_loss_is_normalised_by_positives():
    """The same frame twice costs as much as once."""
    torch.manual_seed(0)
    logits, boxes = torch.randn(1, 64), _boxes_around_cells(20.0)[None]
    target = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    once = detection_loss(logits, boxes, [target], MAP_SHAPE, STRIDE)["loss"]
    twice = detection_loss(logits.repeat(2, 1), boxes.repeat(2, 1, 1), [target] * 2, MAP_SHAPE, STRIDE)[
        "loss"
    ]
    torch.testing.assert_close(once, twice)


def test_landmark_loss_ignores_what_is_not_annotated():
    logits = torch.randn(1, 2, 32, 32, requires_grad=True)
    points_px = torch.tensor([[[63.5, 31.5], [float("nan"), float("nan")]]])
    landmark_loss(logits, points_px, torch.tensor([[2, 0]]), image_px=128).backward()
    assert logits.grad[0, 0].abs().sum() > 0
    assert logits.grad[0, 1].abs().sum() == 0


def test_landmark_loss_is_least_at_the_point():
    """A Gaussian of one cell at the point is the target; its neighbour costs more. Hidden points count."""
    cells = (torch.arange(32) + 0.5) / 32
    point_px = torch.tensor([[[41.5, 77.5]]])
    x_unit, y_unit = (42 / 128, 78 / 128)

    def loss(x: float, y: float, visibility: int = 2) -> float:
        logits = -0.5 * ((cells[None, :] - x) ** 2 + (cells[:, None] - y) ** 2) * 32**2
        return landmark_loss(logits[None, None], point_px, torch.tensor([[visibility]]), image_px=128).item()

    assert loss(x_unit, y_unit) == pytest.approx(0, abs=2e-3)
    assert loss(x_unit + 1 / 32, y_unit) > 0.5
    assert loss(x_unit + 1 / 32, y_unit, visibility=1) == pytest.approx(loss(x_unit + 1 / 32, y_unit))


@pytest.mark.trains
def test_the_landmarker_learns_a_batch_by_heart():
    torch.manual_seed(0)
    images = F.interpolate(torch.rand(4, 3, 8, 8), size=64, mode="bilinear")
    points_px = torch.rand(4, 17, 2) * 48 + 8
    visibility = torch.full((4, 17), 2)
    student = StudentLandmarker(image_px=64, trunk="mobilenetv4_conv_small_035", width=32).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = landmark_loss(student.forward_train(images).heatmaps, points_px, visibility, image_px=64)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]


@pytest.mark.trains
def test_the_detector_learns_two_frames_by_heart():
    """Bright rectangles on noise: found with IoU above 0.5, and nothing else."""
    torch.manual_seed(0)
    targets = [torch.tensor([[20.0, 30.0, 52.0, 80.0]]), torch.zeros(0, 4)]
    images = torch.rand(2, 3, 96, 96) * 0.3
    images[0, :, 30:80, 20:52] += 0.6
    student = StudentDetector(image_px=96, width=32).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=4e-3)
    losses = []
    for _ in range(70):
        logits, boxes = student(images)
        loss = detection_loss(logits, boxes, targets, (12, 12), student.stride)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    (found, _), (none, _) = detections(logits.detach(), boxes.detach(), score_threshold=0.3)
    assert len(none) == 0
    assert len(found) == 1
    assert box_iou(found, targets[0]).item() > 0.5
