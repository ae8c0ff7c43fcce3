"""EarPipeline on ONNX files: places in the photograph's pixels, any size, clear errors, no torch."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from configs.errors import UserError
from data.boxes import box_iou
from data.crops import GREY, crop_matrix, invert
from students import EarPipeline
from students.inference.letterbox import ear_crop, points_in_frame
from students.inference.overlay import draw_ears, smooth
from students.inference.pipeline import PRETRAINED, Ear
from students.inference.rescoring import refined_box
from students.models.checkpoint import load_student
from tests.tiny_students import CROP_PX, FRAME_PX, rectangle_frame, tiny_files, tiny_landmarker


@pytest.fixture(scope="module")
def pipeline():
    return EarPipeline.from_run(tiny_files(), threads=1)


@pytest.mark.trains
@pytest.mark.parametrize(
    ("height", "width", "scale"), [(96, 96, 1), (192, 192, 2), (240, 384, 4), (576, 200, 6)]
)
def test_boxes_come_back_in_pixels_of_the_photograph(pipeline, height, width, scale):
    """The same rectangle, drawn `scale` times as large: letterboxing must shrink it back and undo that."""
    box = tuple(int(v) * scale for v in (12, 30, 32, 62))
    found = pipeline.boxes(rectangle_frame(box, height, width))
    assert found.shape == (1, 5)
    assert found.dtype == np.float32
    assert box_iou(found[:, :4], np.array([box]))[0, 0] > 0.7


@pytest.mark.trains
def test_two_ears_and_none(pipeline):
    frame = rectangle_frame((8, 8, 30, 44), 96, 96)
    frame[50:86, 60:84] += 150
    ears = pipeline(frame)
    assert len(ears) == 2
    assert ears[0].score >= ears[1].score
    expected = np.array([[8, 8, 30, 44], [60, 50, 84, 86]])
    overlap = box_iou(np.stack([ear.box_xyxy for ear in ears]), expected)
    assert sorted(overlap.argmax(axis=1).tolist()) == [0, 1]
    assert pipeline(np.full((96, 96, 3), GREY, np.uint8)) == []  # as grey as the borders: no rectangle there
    assert pipeline.boxes(rectangle_frame(None)).shape == (0, 5)


@pytest.mark.trains
def test_the_call_is_boxes_and_landmarks_together(pipeline):
    frame = rectangle_frame((30, 20, 66, 76), 100, 140)
    (ear,) = pipeline(frame)
    (*box, score), *_ = pipeline.boxes(frame)
    np.testing.assert_array_equal(pipeline.landmarks(frame, box), ear.points_px)
    np.testing.assert_allclose(ear.box_xyxy, refined_box(box, ear.points_px, frame.shape), atol=1e-4)
    assert ear.score == pytest.approx(np.sqrt(score) * ear.point_confidence.mean(), rel=1e-5)
    assert ear.points_px.shape == (17, 2)
    assert ear.point_confidence.shape == (17,)
    assert len(pipeline.landmark_names) == 17
    assert isinstance(ear.score, float)


@pytest.mark.trains
def test_landmarks_equal_those_of_torch(pipeline):
    frame, box = rectangle_frame((20, 20, 44, 60), 200, 140), np.array([15.0, 10, 55, 80])

    def read(box, mirrored=False):
        crop, matrix = ear_crop(frame, box, CROP_PX)
        images = torch.from_numpy(crop[None])
        with torch.no_grad():
            points_unit = tiny_landmarker()(images.flip(-1) if mirrored else images)[0][0].numpy()
        if mirrored:
            points_unit = [1, 0] + [-1, 1] * points_unit
        return points_in_frame(points_unit, matrix, CROP_PX)

    first = read(box)
    x1, y1, x2, y2 = first[:, 0].min(), first[:, 1].min(), first[:, 0].max(), first[:, 1].max()
    second = np.array([x1, y1, x2, y2]) + 0.5
    plain, mirrored = read(second), read(second, mirrored=True)
    np.testing.assert_allclose(pipeline.landmarks(frame, box), (plain + mirrored) / 2, atol=0.01)
    assert np.abs(plain - first).max() > 1
    assert np.abs(plain - mirrored).max() > 1


@pytest.mark.trains
def test_points_move_with_the_ear(pipeline):
    """A photograph moved by whole pixels, its box with it: the crop and so the points are the same, moved."""
    small = rectangle_frame((20, 20, 44, 60), 80, 80)
    large = np.full((160, 200, 3), 114, np.uint8)
    large[37:117, 91:171] = small
    box = np.array([16.0, 14, 50, 66])
    moved = pipeline.landmarks(large, box + np.tile([91, 37], 2))
    # random weights make much of a box that moved by a thousandth of a pixel
    np.testing.assert_allclose(moved, pipeline.landmarks(small, box) + [91, 37], atol=0.5)


def test_unit_points_land_on_the_pixels_of_the_window():
    """Unit 0 and 1 are the outer edges of the window: half a pixel beyond its outermost centres."""
    box = np.array([10.0, 20, 50, 60])  # window 6 .. 54, 16 .. 64 on the scale of edges
    matrix = crop_matrix(box, 64)
    points = points_in_frame(np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]), matrix, 64)
    np.testing.assert_allclose(points, [[5.5, 15.5], [29.5, 39.5], [53.5, 63.5]], atol=1e-4)
    assert invert(matrix).shape == (2, 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (5, 2, 3), (4000, 3000, 3)])
def test_any_size_goes_in(pipeline, shape):
    frame = np.zeros(shape, np.uint8)
    assert pipeline.boxes(frame).shape[1] == 5
    assert all(isinstance(ear, Ear) for ear in pipeline(frame))
    points = pipeline.landmarks(frame, np.array([0, 0, shape[1], shape[0]]))
    assert np.isfinite(points).all()


@pytest.mark.trains
def test_inputs_are_left_alone_and_may_be_views(pipeline):
    frame = rectangle_frame((20, 20, 44, 60))
    frame.setflags(write=False)
    backwards = frame[:, :, ::-1][::-1]
    np.testing.assert_array_equal(pipeline.boxes(backwards), pipeline.boxes(np.ascontiguousarray(backwards)))
    assert len(pipeline(frame)) == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"\(H, W, 3\), RGB; found uint8 of shape \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"found uint8 of shape \(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), "An image is uint8, 0 to 255; found float32"),
        (np.zeros((0, 8, 3), np.uint8), "empty"),
        (np.zeros((1, 40_000, 3), np.uint8), "too large, at most 32,766 px a side"),
        ("photo.jpg", "found str"),
        (None, "found NoneType"),
    ],
)
def test_what_is_no_image_is_refused(pipeline, image, message):
    for method in (pipeline, pipeline.boxes, lambda rgb: pipeline.landmarks(rgb, [0, 0, 4, 4])):
        with pytest.raises(UserError, match=message):
            method(image)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10, 10, 5, 20], "inverted"),
        ([10, 10, 10, 20], "empty"),
        ([1, 2, 3], "four finite numbers"),
        ([1, 2, 3, float("nan")], "four finite numbers"),
        ("1 2 3 4", "four numbers"),
        ([200, 200, 300, 300], "outside the image of 96 x 96 px"),
    ],
)
def test_what_is_no_box_is_refused(pipeline, box, message):
    with pytest.raises(UserError, match=message):
        pipeline.landmarks(rectangle_frame(None), box)


def test_the_shipped_weights_to_go_on_from_are_those_that_predict_uses():
    from data.render.scene.scene import render_scene
    from students.evaluation.box_finders import find_boxes
    from students.evaluation.point_readers import load_point_reader

    scene = render_scene(4)  # two ears
    pipeline = EarPipeline.pretrained(threads=1)
    found = pipeline.boxes(scene.image, 0.2)
    assert len(found) >= 1
    detector = load_student(PRETRAINED[0].with_suffix(".pt"), "detector")
    boxes, scores = find_boxes(detector, [scene.image])[0]
    assert np.allclose(found, np.column_stack((boxes, scores))[: len(found)], atol=0.01)
    reader = load_point_reader(PRETRAINED[1].with_suffix(".pt"), is_teacher=False)
    read = reader.read([scene.image], scene.boxes_xyxy[:1]).points_px[0]
    assert np.allclose(pipeline.landmarks(scene.image, scene.boxes_xyxy[0]), read, atol=0.05)


def test_missing_and_foreign_files_are_explained(tmp_path):
    export = tiny_files() / "export"
    with pytest.raises(UserError, match=r"detector.onnx and .*landmarker.onnx missing .*not a folder"):
        EarPipeline.from_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such file"):
        EarPipeline(tmp_path / "a.onnx", export / "landmarker.onnx")
    with pytest.raises(UserError, match="a landmarker is wanted here, found detector"):
        EarPipeline(export / "detector.onnx", export / "detector.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(UserError, match="not an ONNX model"):
        EarPipeline(tmp_path / "text.onnx", export / "landmarker.onnx")


def test_the_pipeline_needs_no_torch():
    """Prediction on a phone or a server should not carry 700 MB of it."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib, pathlib, students\n"
        "for path in (pathlib.Path(students.__file__).parent / 'inference').glob('*.py'):\n"
        "    importlib.import_module(f'students.inference.{path.stem}')\n"
        "import numpy as np; from students import EarPipeline\n"
        f"pipeline = EarPipeline.from_run({str(tiny_files())!r}, threads=1, score_threshold=0.0)\n"
        "print(len(pipeline(np.zeros((50, 60, 3), np.uint8))) > 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == "True", result.stderr


def _ear(box: tuple[float, ...]) -> Ear:
    rng = np.random.default_rng(0)
    x1, y1, x2, y2 = box
    points = rng.uniform((x1, y1), (x2, y2), (17, 2)).astype(np.float32)
    return Ear(np.array(box, np.float32), 0.9, points, rng.random(17).astype(np.float32))


@pytest.mark.parametrize(("side", "expected"), [(1, 640), (100, 700), (639, 1278), (640, 640), (2000, 2000)])
def test_overlays_enlarge_small_photographs_only(side, expected):
    frame = np.full((side, max(1, side // 2), 3), 90, np.uint8)
    before = frame.copy()
    drawn = draw_ears(frame, [_ear((0.2 * side, 0.2 * side, 0.4 * side, 0.6 * side))])
    assert drawn.shape[0] == expected
    assert (drawn != 90).any()
    np.testing.assert_array_equal(frame, before)


def test_an_overlay_draws_at_the_points():
    """One point in the middle of a photograph enlarged sevenfold: ink there, the far corner untouched."""
    ear = Ear(
        np.array([10, 10, 90, 90], np.float32), 0.5, np.full((17, 2), 50, np.float32), np.ones(17, np.float32)
    )
    drawn = draw_ears(np.zeros((100, 100, 3), np.uint8), [ear])
    centre = 50 * 7 + 3
    assert drawn[centre, centre].max() > 100
    assert drawn[600:, 600:].max() < 60 or drawn[650:, 650:].max() == 0


def test_points_far_outside_and_ears_without_size_do_not_break_an_overlay():
    far = Ear(
        np.array([0, 0, 0, 0], np.float32), 0.1, np.full((17, 2), -500, np.float32), np.zeros(17, np.float32)
    )
    nan = Ear(
        np.array([5, 5, 9, 9], np.float32),
        0.1,
        np.full((17, 2), np.nan, np.float32),
        np.zeros(17, np.float32),
    )
    assert draw_ears(np.zeros((50, 40, 3), np.uint8), [far, nan]).shape == (650, 520, 3)


def test_smooth_curves_pass_through_their_points():
    points = np.array([[0.0, 0], [10, 5], [20, -5], [30, 0]])
    curve = smooth(points)
    for point in points:
        assert np.linalg.norm(curve - point, axis=1).min() < 1e-9
    np.testing.assert_array_equal(smooth(points[:2]), points[:2])


@pytest.mark.trains
def test_an_ear_that_fills_the_photograph_is_found_in_the_smaller_letterbox(pipeline):
    """The tiny detector knows rectangles of up to 44 px wide in 96 px; this one has 70, and 47 in 64 px."""
    from students.inference.letterbox import Letterbox, letterboxes

    assert letterboxes(320) == (Letterbox(320), Letterbox(160), Letterbox(160, 0.6, 0.35))
    assert letterboxes(FRAME_PX) == (Letterbox(96), Letterbox(64), Letterbox(64, 0.6, 0.35))
    box = (10, 8, 80, 92)
    found = pipeline.boxes(rectangle_frame(box))
    assert box_iou(found[:1, :4], np.array([box]))[0, 0] > 0.5


def test_in_the_bordered_letterbox_large_boxes_alone_count():
    """60 px of 100 are the frame's: a side of 30 there is half of the frame's, one of 15 a quarter."""
    from students.inference.letterbox import Letterbox, found_in_frame, letterboxed

    letterbox = Letterbox(100, frame_share=0.6, min_box=0.35)
    planes, matrix = letterboxed(np.zeros((200, 400, 3), np.uint8), letterbox)
    seen = planes.max(axis=0) == 0  # the border is grey
    assert seen.any(axis=0).nonzero()[0][[0, -1]].tolist() == [20, 79]
    boxes = np.array([[20, 35, 50, 50], [60, 40, 75, 50]], np.float32)
    boxes, scores = found_in_frame(boxes, np.array([0.3, 0.9]), matrix, letterbox, (200, 400, 3))
    np.testing.assert_allclose(boxes, [[0, 0, 200, 100]], atol=0.01)
    assert scores.tolist() == [0.3]


def test_an_ear_is_found_in_a_photograph_cut_close_to_it():
    """With the students that ship: at the ear's own box, and with a tenth of it around."""
    from data.render.scene.photograph import render_ear

    shipped = EarPipeline.pretrained(threads=1)
    found = []
    for identity in range(900_000, 900_010):
        ear = render_ear(identity, 0, 192)
        x1, y1, x2, y2 = ear.box_xyxy
        for border in (0, 0.1 * max(x2 - x1, y2 - y1)):
            left, top = max(0, round(x1 - border)), max(0, round(y1 - border))
            cut = np.ascontiguousarray(ear.image[top : round(y2 + border), left : round(x2 + border)])
            boxes = np.array([ear.box_xyxy for ear in shipped(cut)[:1]]).reshape(-1, 4)
            true = np.array([[x1 - left, y1 - top, x2 - left, y2 - top]])
            found.append(box_iou(boxes, true).max(initial=0) > 0.5)
    assert np.mean(found) >= 0.9


def test_a_photograph_cut_close_to_no_ear_shows_none():
    """Noise, a flat colour, a gradient; of the students that ship: the tiny ones see a bordered frame as one
    of their rectangles.
    """
    shipped = EarPipeline.pretrained(threads=1)
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    skin = np.full((90, 60, 3), (200, 150, 130), np.uint8)
    shade = np.linspace(60, 220, 90)[:, None, None].repeat(60, 1).repeat(3, 2).astype(np.uint8)
    assert [shipped(picture) for picture in (noise, skin, shade)] == [[], [], []]


def test_a_detector_of_one_size_is_refused(tmp_path):
    import onnx

    model = onnx.load(tiny_files() / "export" / "detector.onnx")
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = FRAME_PX
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(UserError, match=r"takes squares of 96 px alone.*Export its student.pt again"):
        EarPipeline(tmp_path / "old.onnx", tiny_files() / "export" / "landmarker.onnx")
