"""students.evaluate: known answers in, the right numbers out; bad requests explained."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from configs.build import configured
from configs.errors import UserError
from data.boxes import paired_iou
from data.crop_settings import CropSettings
from data.landmarks import Scheme
from data.manifest import Manifest, write_manifest
from students.evaluate import Config, main
from students.evaluation.box_finders import find_boxes
from students.evaluation.crops import evaluate_crops
from students.evaluation.end_to_end import EndToEnd
from students.evaluation.frame_detections import Frame, frames_of, match
from students.evaluation.markdown_tables import markdown_table
from students.evaluation.point_readers import PointReader
from students.inference.reading import PredictedPoints
from students.inference.rescoring import extent_box
from students.models.checkpoint import save_student
from tests.tiny_students import rectangle_frame, tiny_files, tiny_landmarker

BOXES = np.array([[20, 24, 48, 64], [12, 30, 36, 70], [70, 20, 96, 60]], dtype=np.float32)


@pytest.fixture
def frames_npy(tmp_path):
    """Photograph 0 with one ear, photograph 1 with two, photograph 2 without; 17 points a box, one hidden."""
    first = rectangle_frame(tuple(BOXES[0].astype(int)), 96, 120, seed=1)
    second = rectangle_frame(tuple(BOXES[1].astype(int)), 96, 120, seed=2)
    second[20:60, 70:96] += 150
    for index, image in enumerate((first, second, rectangle_frame(None, 96, 120, seed=3))):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    rng = np.random.default_rng(0)
    corners = BOXES[:, None, :2], BOXES[:, None, 2:]
    visibility = np.full((3, 17), 2, np.uint8)
    visibility[:, 4] = 1
    manifest = Manifest(
        image_paths=np.array([str(tmp_path / f"{index}.png") for index in (0, 1, 1)]),
        boxes_xyxy=BOXES,
        landmarks=(corners[0] + rng.random((3, 17, 2)) * (corners[1] - corners[0])).astype(np.float32),
        visibility=visibility,
        empty_images=np.array([str(tmp_path / "2.png")]),
    )
    return write_manifest(tmp_path / "test_frames.npy", manifest)


def _manifest(frames_npy) -> Manifest:
    from data.manifest import read_manifest

    return read_manifest(frames_npy)


@pytest.mark.trains
def test_the_command_measures_all_that_it_is_given(frames_npy, tmp_path):
    run = tiny_files()
    config = Config(
        output_dir=tmp_path / "out",
        landmarker=run / "landmarker.pt",
        landmarker_twin=run / "landmarker.pt",
        detector=run / "detector.pt",
        ears_npy=frames_npy,
        frames_npy=frames_npy,
    )
    assert main(config) == tmp_path / "out"
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["detector"]["ap50"] > 0.9  # it was trained on such rectangles
    assert (metrics["detector"]["ears"], metrics["detector"]["images"]) == (3, 3)
    assert metrics["landmarker"]["nme"] == metrics["landmarker_twin"]["nme"] > 0.1  # random weights
    assert metrics["landmarker"]["hidden"]["points"] == 3
    chain = metrics["landmarker"]["end_to_end"]
    assert (chain["detector"], chain["ears"], chain["missed"]) == ("detector", 3, 0)
    assert chain["box_iou"] > 0.6
    curves = json.loads((tmp_path / "out" / "curves.json").read_text())
    assert len(curves["detector"]["precision50"]) == 101
    assert len(curves["landmarker"]["ced"]["error"]) == len(curves["landmarker"]["ced"]["fraction"])
    tightness = metrics["landmarker"]["tightness"]
    assert tightness["margins"] == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    assert tightness["nme"][2] == pytest.approx(metrics["landmarker"]["nme"])
    assert len(set(tightness["nme"])) == 6  # each of them from other crops
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "tragus apex" in text
    assert "NME by the border around the box" in text
    assert "landmarker, distilled on detector, distilled" in text
    with np.load(tmp_path / "out" / "per_image.npz") as per_image:
        assert per_image["crops_landmarker_nme"].mean() == pytest.approx(metrics["landmarker"]["nme"])
        assert per_image["crops_image_paths"].shape == (3,)
        assert set(per_image["frames_detector_image"]) >= {0, 1}


def test_points_are_measured_at_the_margin_of_the_training(frames_npy):
    """The tightness has that margin among the others, and the NME is its."""
    loose = CropSettings(0.3)
    reader = PointReader(tiny_landmarker(), 64, is_teacher=False, crops=loose)
    manifest = replace(_manifest(frames_npy), crops=loose)
    metrics, _ = evaluate_crops({"landmarker": reader}, manifest)
    tightness = metrics["landmarker"]["tightness"]
    assert tightness["margins"] == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    assert tightness["nme"][-1] == pytest.approx(metrics["landmarker"]["nme"])
    assert tightness["worst_ratio"] == pytest.approx(max(tightness["nme"]) / tightness["nme"][-1])
    read = reader.read([np.asarray(Image.open(manifest.image_paths[0]))], manifest.boxes_xyxy[:1])
    wide = reader.read([np.asarray(Image.open(manifest.image_paths[0]))], manifest.boxes_xyxy[:1], 0.3)
    np.testing.assert_array_equal(read.points_px, wide.points_px)


class _Oracle(PointReader):
    """Answers with points that lie where they should, moved by `offset_px`."""

    def __init__(self, manifest: Manifest, offset_px: float):
        self._manifest, self._offset_px, self.num_landmarks, self.names = manifest, offset_px, 17, None

    def read(self, photographs, boxes_xyxy, upright=True):
        nearest = [np.abs(self._manifest.boxes_xyxy - box).sum(axis=1).argmin() for box in boxes_xyxy]
        points = self._manifest.landmarks[nearest] + np.array([self._offset_px, 0], dtype=np.float32)
        return PredictedPoints(points, np.ones(points.shape[:2], np.float32))


def test_end_to_end_counts_what_was_missed_and_measures_what_was_found(frames_npy):
    """Found: ears 0 and 2, one false alarm; ear 1 is below the threshold: the root of 0.1 is 0.32. By hand: 3
    px over the diagonal.
    """
    manifest = _manifest(frames_npy)
    frames = frames_of(manifest)
    assert [len(frame.rows) for frame in frames] == [1, 2, 0]
    found = [
        (BOXES[:1] + 1, np.array([0.9])),
        (np.stack([BOXES[2], BOXES[1]]), np.array([0.8, 0.1])),
        (np.array([[0.0, 0, 30, 30]]), np.array([0.7])),
    ]
    chain = EndToEnd("landmarker", "detector", _Oracle(manifest, offset_px=3), manifest, 0.4)
    blank = [np.zeros((96, 120, 3), np.uint8)] * 3
    chain.add(frames, blank, found)
    report = chain.report()
    assert (report["ears"], report["missed"], report["false_alarms"]) == (3, 1, 1)
    assert report["precision"] == report["recall"] == pytest.approx(2 / 3)
    assert report["ap50"] == pytest.approx(2 / 3, abs=0.01)  # both above the false alarm, one never found
    extent = manifest.landmarks.max(axis=1) - manifest.landmarks.min(axis=1)
    expected = 3 / np.linalg.norm(extent, axis=1)
    assert report["nme"] == pytest.approx(expected[[0, 2]].mean(), rel=1e-5)
    assert report["fr"] == pytest.approx(1 / 3)  # the missed one
    per_image = chain.per_image()
    assert per_image["end_to_end_landmarker_nme"][1] == np.inf
    assert per_image["end_to_end_landmarker_box_iou"][2] > 0.7  # its points are at random in it
    assert per_image["end_to_end_landmarker_box_iou"][1] == 0


def test_a_frame_whose_proposals_are_no_ears_may_be_one_itself(frames_npy):
    """The proposal's ear score is 0.5 x 0.9, the frame's 0.71 x 0.9; points that fill the frame fit it, and
    where nothing was proposed it is not asked.
    """
    first = _manifest(frames_npy)
    points = np.random.default_rng(0).uniform(5, 90, (1, 17, 2)).astype(np.float32)
    whole = np.array([[0.0, 0, 96, 96]], np.float32)
    manifest = Manifest(first.image_paths[:1], whole, landmarks=points, visibility=np.ones((1, 17), bool))

    class Sure(_Oracle):
        def read(self, photographs, boxes_xyxy, upright=True):
            read = super().read(photographs, boxes_xyxy)
            return PredictedPoints(read.points_px, 0.9 * read.confidence)

    blank, part = [np.zeros((96, 96, 3), np.uint8)], np.array([[0.0, 0, 40, 90]], np.float32)
    for proposals, recall in (((part, np.array([0.25])), 1), ((part[:0], np.empty(0)), 0)):
        chain = EndToEnd("landmarker", "detector", Sure(manifest, offset_px=0), manifest, 0.5)
        chain.add(frames_of(manifest), blank, [proposals])
        assert chain.report()["recall"] == recall


def test_end_to_end_measures_boxes_where_there_are_no_points(frames_npy):
    manifest = _manifest(frames_npy)
    bare = Manifest(manifest.image_paths, manifest.boxes_xyxy, empty_images=manifest.empty_images)
    chain = EndToEnd("landmarker", "detector", _Oracle(manifest, offset_px=0), bare, 0.4)
    frames = frames_of(bare)
    blank = [np.zeros((96, 120, 3), np.uint8)] * 3
    nothing = (np.empty((0, 4), np.float32), np.empty(0))
    chain.add(frames[:1], blank[:1], [nothing])
    chain.add(frames[1:], blank[1:], [(BOXES[1:], np.array([0.9, 0.8])), nothing])
    report = chain.report()
    assert "nme" not in report
    assert report["recall"] == pytest.approx(2 / 3)
    assert report["false_alarms"] == 0
    assert list(chain.per_image()) == ["end_to_end_landmarker_box_iou"]


@pytest.mark.trains
def test_ears_measured_are_those_of_the_pipeline(frames_npy, tmp_path):
    from students import EarPipeline

    run = tiny_files()
    main(
        Config(
            output_dir=tmp_path / "out",
            landmarker=run / "landmarker.pt",
            detector=run / "detector.pt",
            frames_npy=frames_npy,
        )
    )
    manifest, pipeline = _manifest(frames_npy), EarPipeline.from_run(run, threads=1)
    with np.load(tmp_path / "out" / "per_image.npz") as per_image:
        measured = per_image["end_to_end_landmarker_box_iou"]
    for frame in frames_of(manifest)[:2]:
        ears = pipeline(np.asarray(Image.open(frame.path)))
        boxes = np.array([ear.box_xyxy for ear in ears])
        owner = match(boxes, frame.boxes_xyxy, 0.5)
        assert (owner >= 0).all()
        expected = paired_iou(boxes[owner], frame.boxes_xyxy)
        np.testing.assert_allclose(measured[frame.rows], expected, atol=0.02)


def test_matching_by_hand():
    """The better box takes the ear; its double is nobody's; one far away finds nothing."""
    true = np.array([[0.0, 0, 10, 10], [100, 100, 120, 120]])
    found = np.array([[0.0, 0, 10, 11], [0, 0, 10, 10], [50, 50, 60, 60]])
    assert match(found, true, 0.5).tolist() == [0, -1]
    assert match(found[1:], true, 0.5).tolist() == [0, -1]
    assert match(np.zeros((0, 4)), true, 0.5).tolist() == [-1, -1]
    assert match(found, np.zeros((0, 4)), 0.5).tolist() == []


@pytest.mark.trains
def test_boxes_found_are_those_of_the_pipeline(frames_npy):
    """What is measured is what is used: torch in the evaluation, ONNX in the pipeline."""
    from data.boxes import EVALUATION_SCORE
    from students import EarPipeline
    from students.models.checkpoint import load_student

    pipeline = EarPipeline.from_run(tiny_files(), threads=1)
    image = rectangle_frame((60, 40, 110, 130), 200, 260)
    ((boxes, scores),) = find_boxes(load_student(tiny_files() / "detector.pt", "detector"), [image])
    expected = pipeline.boxes(image, EVALUATION_SCORE)
    np.testing.assert_allclose(np.column_stack([boxes, scores]), expected, atol=2e-3)


@pytest.mark.trains
def test_points_read_are_those_of_the_pipeline():
    from students import EarPipeline

    image, box = rectangle_frame((60, 40, 110, 130), 200, 260), np.array([55.0, 35, 115, 140])
    reader = PointReader(tiny_landmarker(), 64, is_teacher=False)
    reading = reader.read([image, image], [box, box])
    expected = EarPipeline.from_run(tiny_files(), threads=1).landmarks(image, box)
    np.testing.assert_allclose(reading.points_px, [expected, expected], atol=0.1)


class _Corners(torch.nn.Module):
    """Stands for an EarDetector: box the inner half of the crop, points its centre, range checked."""

    hparams = {"num_landmarks": 17}  # noqa: RUF012

    def read(self, images):
        from types import SimpleNamespace

        assert images.min() >= -1
        assert images.min() < 0
        count = len(images)
        return SimpleNamespace(
            points_unit=torch.full((count, 17, 2), 0.5),
            confidence=torch.ones(count, 17),
            edges_unit=torch.tensor([0.25, 0.25, 0.75, 0.75]).expand(count, 4),
        )


def test_the_teacher_is_read_in_its_own_range_and_frame():
    """Box 20..60 x 30..70 has the window 16..64 x 26..74, of which 28..52 x 38..62 is the inner half."""
    image = rectangle_frame(None, 100, 100)
    reading = PointReader(_Corners(), 64, is_teacher=True).read([image], [np.array([20.0, 30, 60, 70])])
    np.testing.assert_allclose(reading.boxes_xyxy, [[28, 38, 52, 62]], atol=1e-3)
    np.testing.assert_allclose(reading.points_px[0, 0], [39.5, 49.5], atol=1e-3)


SWAPPED = Scheme(("a", "b", "c"), {}, [1, 0, 2])


class _Spread(torch.nn.Module):
    """Three points and the edges of a box where they are whatever the crop shows, mirrored or not."""

    hparams = {"num_landmarks": 3}  # noqa: RUF012

    def read(self, images):
        from types import SimpleNamespace

        return SimpleNamespace(
            points_unit=torch.tensor([[0.2, 0.2], [0.7, 0.8], [0.4, 0.5]]).expand(len(images), 3, 2),
            confidence=torch.tensor([0.2, 0.4, 0.6]).expand(len(images), 3),
            edges_unit=torch.tensor([0.1, 0.2, 0.8, 0.9]).expand(len(images), 4),
        )


def test_a_mirrored_reading_is_turned_back_and_its_points_change_places():
    """Points 0 and 1 swap in a mirror. By hand: the mean of plain and mirrored x is (0.2 + 1 - 0.7) / 2."""
    image, box = rectangle_frame(None, 100, 100), np.array([20.0, 20, 80, 80])
    reader = PointReader(_Spread(), 64, is_teacher=True, crops=CropSettings(scheme=SWAPPED))
    reading = reader.read([image], [box])
    first = PointReader(_Spread(), 64, is_teacher=True, looks="one").read([image], [box])
    window = extent_box(first.points_px[0], box)
    side = 1.2 * (window[2:] - window[:2]).max()
    unit = (reading.points_px[0] + 0.5 - (window[:2] + window[2:]) / 2) / side + 0.5
    np.testing.assert_allclose(unit, [[0.25, 0.5], [0.75, 0.5], [0.5, 0.5]], atol=1e-4)
    np.testing.assert_allclose(reading.confidence[0], [0.3, 0.3, 0.6], atol=1e-6)
    edges = (reading.boxes_xyxy[0] - np.tile((window[:2] + window[2:]) / 2, 2)) / side + 0.5
    np.testing.assert_allclose(edges, [0.15, 0.2, 0.85, 0.9], atol=1e-4)


def test_bad_requests_are_explained(frames_npy, tmp_path):
    run = tiny_files()

    def refused(message, **options):
        with pytest.raises(UserError, match=message):
            main(Config(output_dir=tmp_path / "out", **options))

    refused("Nothing to evaluate", frames_npy=frames_npy)
    refused("No test set", detector=run / "detector.pt")
    refused("score_threshold is 3", detector=run / "detector.pt", score_threshold=3)
    refused("do not fit the test sets", landmarker=run / "landmarker.pt", frames_npy=frames_npy)
    refused("holds a landmarker, but a detector", detector=run / "landmarker.pt", frames_npy=frames_npy)
    whole = _manifest(frames_npy)
    bare = Manifest(image_paths=whole.image_paths, boxes_xyxy=whole.boxes_xyxy)
    write_manifest(tmp_path / "bare.npy", bare)
    refused("has no landmarks", landmarker=run / "landmarker.pt", ears_npy=tmp_path / "bare.npy")
    five = Manifest(
        image_paths=whole.image_paths, boxes_xyxy=whole.boxes_xyxy, landmarks=whole.landmarks[:, :5],
        visibility=whole.visibility[:, :5],
    )  # fmt: skip
    write_manifest(tmp_path / "five.npy", five)
    refused("has 5 points an ear, the landmarker reads 17", landmarker=run / "landmarker.pt",
            ears_npy=tmp_path / "five.npy")  # fmt: skip
    loose = replace(whole, crops=CropSettings(0.2))
    write_manifest(tmp_path / "loose.npy", loose)
    for option in ("ears_npy", "frames_npy"):
        models = {"landmarker": run / "landmarker.pt", "detector": run / "detector.pt"}
        refused("loose.npy is of crops with a margin of 0.2, the landmarker of 0.1",
                **models, **{option: tmp_path / "loose.npy"})  # fmt: skip
    with pytest.raises(UserError, match="landmarks is gone: the manifests say what the points are"):
        configured(Config, output_dir=tmp_path, landmarks="two.yaml")
    with pytest.raises(UserError, match="match_iou is 0.5 for good now"):
        configured(Config, output_dir=tmp_path, match_iou=0.6)
    save_student(tmp_path / "detector.pt", _detector())
    empty = Manifest(
        image_paths=np.empty(0, str), boxes_xyxy=np.empty((0, 4), np.float32), empty_images=whole.empty_images
    )
    write_manifest(tmp_path / "empty.npy", empty)
    with pytest.raises(UserError):
        main(
            Config(output_dir=tmp_path, detector=tmp_path / "detector.pt", frames_npy=tmp_path / "empty.npy")
        )


def _detector():
    from tests.tiny_students import tiny_detector

    return tiny_detector()


def test_frames_keep_the_order_and_the_empty_ones():
    manifest = Manifest(
        image_paths=np.array(["b", "a", "b"]), boxes_xyxy=np.ones((3, 4), np.float32),
        empty_images=np.array(["c"]),
    )  # fmt: skip
    frames = frames_of(manifest)
    assert [frame.path for frame in frames] == ["b", "a", "c"]
    assert [frame.rows.tolist() for frame in frames] == [[0, 2], [1], []]
    assert isinstance(frames[2], Frame)
    assert frames[2].boxes_xyxy.shape == (0, 4)


def test_tables_are_markdown_that_reads_as_text():
    text = markdown_table(("model", "NME"), [("a", "0.1"), ("longer", "0.23")])
    assert text.splitlines() == [
        "| model  |  NME |",
        "| :----- | ---: |",
        "| a      |  0.1 |",
        "| longer | 0.23 |",
    ]
