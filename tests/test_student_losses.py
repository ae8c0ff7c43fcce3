"""The students' losses against cases worked out by hand, and a tiny batch learnt by heart."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import box_iou

from students.boxes import detections
from students.detector import StudentDetector, cell_centres_px
from students.landmarker import StudentLandmarker
from students.losses import assign, detection_loss, landmark_loss, quality_focal_loss

STRIDE, MAP_SHAPE = 8, (8, 8)


def _boxes_around_cells(side_px: float) -> torch.Tensor:
    centres = cell_centres_px(MAP_SHAPE, STRIDE)
    return torch.cat((centres - side_px / 2, centres + side_px / 2), dim=1)


def test_quality_focal_loss_by_hand():
    """GFL eq. 2: |y - s|^2 * -((1 - y) log(1 - s) + y log s), s = sigmoid(0) = 1/2, y = .8."""
    loss = quality_focal_loss(torch.zeros(1), torch.tensor([0.8]))
    assert loss.item() == pytest.approx(0.3**2 * math.log(2), rel=1e-5)
    exact = torch.tensor([0.3, 0.9])
    assert quality_focal_loss(torch.logit(exact), exact).abs().max() < 1e-8


def test_quality_focal_loss_passes_gradcheck():
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 0.2, 0.5, 0.9, 1, 0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: quality_focal_loss(x, targets), (logits,))


def test_assignment_against_a_loop():
    """The definition written out: cells inside, the 10 best by score * IoU^6, scaled to the best IoU."""
    torch.manual_seed(1)
    logits = torch.randn(64)
    boxes = _boxes_around_cells(26.0) + torch.randn(64, 4)
    target = torch.tensor([[10.0, 8.0, 44.0, 50.0]])
    cells, ears, scores = assign(logits, boxes, target, MAP_SHAPE, STRIDE)
    iou = box_iou(target, boxes)[0]
    alignments = {}
    for cell, (x, y) in enumerate(cell_centres_px(MAP_SHAPE, STRIDE).tolist()):
        if 10 < x < 44 and 8 < y < 50:
            alignments[cell] = torch.sigmoid(logits[cell]).item() * iou[cell].item() ** 6
    best = sorted(alignments, key=alignments.get, reverse=True)[:10]
    scale = max(iou[cell].item() for cell in best) / max(alignments[cell] for cell in best)
    assert sorted(cells.tolist()) == sorted(best)
    assert ears.tolist() == [0] * 10
    expected = [alignments[cell] * scale for cell in cells.tolist()]
    torch.testing.assert_close(scores, torch.tensor(expected), atol=1e-5, rtol=1e-4)


def test_an_ear_smaller_than_a_cell_still_gets_one():
    target = torch.tensor([[17.0, 17.0, 19.0, 19.5]])  # between the centres 12 and 20
    cells, ears, scores = assign(torch.zeros(64), _boxes_around_cells(8.0), target, MAP_SHAPE, STRIDE)
    assert cells.tolist() == [2 * 8 + 2]
    assert ears.tolist() == [0]
    assert scores[0] > 0


def test_a_contested_cell_goes_to_the_ear_it_overlaps_more():
    boxes = _boxes_around_cells(16.0)
    targets = torch.tensor([[4.0, 4.0, 36.0, 36.0], [18.0, 18.0, 34.0, 34.0]])
    cells, ears, _ = assign(torch.zeros(64), boxes, targets, MAP_SHAPE, STRIDE)
    assert len(set(cells.tolist())) == len(cells)
    assert set(ears.tolist()) == {0, 1}
    # Centre (28, 28) lies in both; its box 20..36 shares 14 * 14 px with the small ear.
    assert dict(zip(cells.tolist(), ears.tolist(), strict=True))[3 * 8 + 3] == 1


def test_perfect_predictions_cost_nearly_nothing():
    target = torch.tensor([[12.0, 20.0, 28.0, 36.0]])
    boxes = target.expand(1, 64, 4).clone().requires_grad_()
    cells, _, scores = assign(torch.full((64,), 9.0), boxes[0].detach(), target, MAP_SHAPE, STRIDE)
    logits = torch.full((1, 64), -20.0)
    logits[0, cells] = 20.0
    assert scores.min() > 0.99  # every chosen box is the ear itself
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


def test_the_landmarker_learns_a_batch_by_heart():
    torch.manual_seed(0)
    images = F.interpolate(torch.rand(4, 3, 8, 8), size=64, mode="bilinear")
    points_px = torch.rand(4, 17, 2) * 48 + 8
    visibility = torch.full((4, 17), 2)
    student = StudentLandmarker(image_px=64, trunk="mobilenetv4_conv_small_035", width=32).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = landmark_loss(student.forward_train(images), points_px, visibility, image_px=64)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]


def test_the_detector_learns_two_frames_by_heart():
    """Bright rectangles on noise: found with IoU above 0.5, and nothing else."""
    torch.manual_seed(0)
    targets = [torch.tensor([[20.0, 30.0, 52.0, 80.0]]), torch.zeros(0, 4)]
    images = torch.rand(2, 3, 96, 96) * 0.3
    images[0, :, 30:80, 20:52] += 0.6
    student = StudentDetector(image_px=96, trunk="mobilenetv4_conv_small_035", width=32).train()
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
