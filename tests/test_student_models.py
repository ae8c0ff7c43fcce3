"""The two students: shapes, frames of reference, gradients, sizes, checkpoints."""

import math

import pytest
import torch

from configs.errors import UserError
from students.models.checkpoint import build_student, load_student, save_student
from students.models.detector import StudentDetector
from students.models.ear_scores import FIRST_ERROR_UNIT, error_loss
from students.models.landmarker import StudentLandmarker
from students.models.trunk import TRUNKS, Trunk
from teacher.models.cost import parameter_counts
from teacher.models.dense.detector import boxes_from_distances, cell_centres_px
from teacher.models.heatmaps import soft_argmax


@pytest.mark.parametrize("name", TRUNKS)
def test_every_trunk_gives_the_maps_it_promises(name):
    trunk = Trunk(name, strides=(4, 8, 16, 32)).eval()
    maps = trunk(torch.rand(1, 3, 64, 96))
    assert [tuple(feature_map.shape) for feature_map in maps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(trunk.channels, trunk.strides, strict=True)
    ]
    assert all(torch.isfinite(feature_map).all() for feature_map in maps)


def test_the_trunk_drops_what_it_does_not_need():
    """facts.md: 1.26 M parameters with timm's features_only, 0.32 M up to stride 16."""
    assert parameter_counts(Trunk("mobilenetv4_conv_small", strides=(4, 8, 16)))["total"] < 0.33e6


def test_unknown_trunk_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'mobilenetv4_conv_small'"):
        Trunk("mobilenet4_conv_small", strides=(8,))


@pytest.mark.parametrize("kind", ["detector", "landmarker"])
def test_features_are_the_map_that_the_outputs_depend_on(kind):
    torch.manual_seed(0)
    student = build_student(kind).train()
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # ResNet starts its residuals at 0, which hides what they read
    images = torch.rand(2, 3, 128, 128)
    outputs, features = trained_pass(student, images)
    assert features.shape == (2, student.channels, 128 // student.stride, 128 // student.stride)
    output = outputs[0].sum() + outputs[1].sum() if kind == "detector" else outputs.square().sum()
    (gradient,) = torch.autograd.grad(output, features, retain_graph=True)
    assert gradient.abs().amax(dim=(0, 2, 3)).gt(0).all(), "a distilled channel that no output reads"
    output.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in student.parameters())


@pytest.mark.parametrize("kind", ["detector", "landmarker"])
def test_features_equal_those_of_the_joint_pass(kind):
    student = build_student(kind).eval()
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        outputs, features = trained_pass(student, images)
        torch.testing.assert_close(student.features(images), features)
        read = soft_argmax(outputs) if kind == "landmarker" else outputs
        torch.testing.assert_close(student(images), read)


def trained_pass(student, images):
    """What a student gives before anything is read from it, and its features."""
    return (
        student.forward_train(images)[:2]
        if hasattr(student, "heatmap")
        else student.forward_with_features(images)
    )


def test_landmarker_reads_points_from_its_heatmaps():
    student = StudentLandmarker(num_landmarks=5).eval()
    with torch.no_grad():
        points_unit, confidence = student(torch.rand(3, 3, 128, 128))
        assert student.forward_train(torch.rand(1, 3, 128, 128)).heatmaps.shape == (1, 5, 32, 32)
    assert points_unit.shape == (3, 5, 2)
    assert confidence.shape == (3, 5)
    assert ((points_unit > 0) & (points_unit < 1)).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_a_landmarker_with_scores_tells_errors_and_ears():
    student = StudentLandmarker(num_landmarks=5, scores=True).eval()
    with torch.no_grad():
        points_unit, confidence, error_unit, ear = student(torch.rand(3, 3, 128, 128))
    assert (points_unit.shape, confidence.shape, error_unit.shape, ear.shape) == (
        (3, 5, 2),
        (3, 5),
        (3, 5),
        (3,),
    )
    torch.testing.assert_close(error_unit, torch.full((3, 5), FIRST_ERROR_UNIT))
    assert ((ear > 0) & (ear < 1)).all()


def test_expected_errors_leave_the_points_alone_but_ear_or_not_does_not():
    student = StudentLandmarker(num_landmarks=5, scores=True)
    images = torch.rand(2, 3, 64, 64)
    student.forward_train(images).log_error.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in student.pyramid.parameters())
    assert student.scores.error.weight.grad.any()
    student.forward_train(images).ear_logit.sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in student.pyramid.parameters())


def test_scores_are_added_to_a_landmarker_that_has_none_and_stay(tmp_path):
    student = StudentLandmarker(num_landmarks=5).eval()
    before = student(torch.zeros(1, 3, 64, 64))
    student.add_scores()
    after = load_student(save_student(tmp_path / "student.pt", student))(torch.zeros(1, 3, 64, 64))
    assert len(after) == 4
    torch.testing.assert_close(after[:2], before)


def test_the_error_loss_is_least_at_the_mean_distance():
    """By hand: log 0.5 + 0.25 / 0.5 for one of two points; the other does not count."""
    log_error = torch.tensor([[0.5, 0.1]]).log()
    counts = torch.tensor([[True, False]])
    loss = error_loss(log_error, torch.tensor([[0.25, 9.0]]), counts)
    assert loss.item() == pytest.approx(math.log(0.5) + 0.5)
    distances = torch.tensor([[0.1, 0.2, 0.6]])
    losses = [
        error_loss(torch.full((1, 3), math.log(e)), distances, counts.new_ones(1, 3)) for e in (0.2, 0.3, 0.4)
    ]
    assert losses[1] < min(losses[0], losses[2])


def test_detector_starts_sure_of_no_ear_and_with_middling_boxes():
    logits, boxes = StudentDetector().eval()(torch.rand(1, 3, 320, 320))
    assert logits.shape == (1, 1600)
    assert boxes.shape == (1, 1600, 4)
    assert torch.sigmoid(logits).max() < 0.05
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides > 30).all()
    assert (sides < 70).all()


def test_boxes_are_measured_from_the_centres_of_their_cells():
    """A 2 x 3 map of stride 8, row by row; cell (1, 2) covers x 16..24, y 8..16."""
    centres = cell_centres_px((2, 3), stride=8)
    assert centres.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]
    distances_px = torch.tensor([4.0, 8.0, 16.0, 2.0])
    boxes = boxes_from_distances((distances_px / 8).log().expand(1, 6, 4), (2, 3), stride=8)
    torch.testing.assert_close(boxes[0, 5], torch.tensor([16.0, 4.0, 36.0, 14.0]))


def test_boxes_are_fine_and_never_empty_in_bfloat16():
    logs = torch.full((1, 1600, 4), -20.0, dtype=torch.bfloat16)
    logs[0, 1599] = torch.tensor([0.5, 0.25, 0.125, 0.0])
    boxes = boxes_from_distances(logs, (40, 40), stride=8)
    assert boxes.dtype == torch.float32
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    expected = [316 - 8 * 1.6487, 316 - 8 * 1.2840, 316 + 8 * 1.1331, 316 + 8]
    torch.testing.assert_close(boxes[0, 1599], torch.tensor(expected), atol=1e-3, rtol=0)


def test_a_shifted_frame_gives_shifted_boxes():
    """A whole step of the deepest stride, far from the borders: the same scores, 32 px further on."""
    torch.manual_seed(0)
    student = StudentDetector().eval().double()
    with torch.no_grad():
        student.box.weight.mul_(50)
        student.score.weight.mul_(50)
    texture = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    canvas = torch.full((2, 3, 1024, 1024), 0.45, dtype=torch.float64)
    canvas[0, :, 480:544, 448:512] = texture
    canvas[1, :, 480:544, 480:544] = texture
    with torch.no_grad():
        logits, boxes = student(canvas)
    logits, boxes = logits.view(2, 128, 128), boxes.view(2, 128, 128, 4)
    here, there = (0, slice(60, 68), slice(56, 64)), (1, slice(60, 68), slice(60, 68))
    assert logits[here].std() > 10 * 1e-3  # else the next line would prove nothing
    torch.testing.assert_close(logits[here], logits[there], atol=1e-3, rtol=0)
    shift = torch.tensor([32.0, 0, 32, 0], dtype=torch.float64)
    torch.testing.assert_close(boxes[here] + shift, boxes[there], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", ["detector", "landmarker"])
def test_a_saved_student_comes_back_the_same(kind, tmp_path):
    options = {"width": 32, "trunk": "mobilenetv4_conv_small_035"}
    student = build_student(kind, options).eval()
    path = save_student(tmp_path / "student.pt", student)
    again = load_student(path, kind)
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        for before, after in zip(student(images), again(images), strict=True):
            torch.testing.assert_close(before, after, rtol=0, atol=0)
    content = torch.load(path, weights_only=True)
    assert set(content) == {"kind", "model", "state_dict"}
    assert set(content["state_dict"]) == set(student.state_dict())


def test_wrong_checkpoints_are_refused(tmp_path):
    path = save_student(tmp_path / "student.pt", build_student("detector", {"width": 32}))
    with pytest.raises(UserError, match="holds a detector, but a landmarker is wanted"):
        load_student(path, "landmarker")
    with pytest.raises(UserError, match="no such file"):
        load_student(tmp_path / "nothing.pt")
    (tmp_path / "text.pt").write_text("no weights here")
    with pytest.raises(UserError, match="no checkpoint"):
        load_student(tmp_path / "text.pt")
    whole = path.read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="no checkpoint"):
        load_student(tmp_path / "cut.pt")
    torch.save({"hyper_parameters": {"kind": "EarVAE"}, "state_dict": {}}, tmp_path / "teacher.ckpt")
    with pytest.raises(UserError, match="not a student"):
        load_student(tmp_path / "teacher.ckpt")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = save_student(tmp_path / "student.pt", build_student("landmarker", {"width": 32}))
    content = torch.load(path, weights_only=True)
    torch.save({**content, "model": {**content["model"], "width": 48}}, path)
    with pytest.raises(UserError, match="do not fit"):
        load_student(path)


def test_unknown_kind_and_option_are_named():
    with pytest.raises(UserError, match="Did you mean 'landmarker'"):
        build_student("landmaker")
    with pytest.raises(UserError, match="Did you mean 'width'"):
        build_student("detector", {"widht": 3})
