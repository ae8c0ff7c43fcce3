"""Batches by step: order, reproducibility, and that what is matched belongs together."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from data.crops import apply, crop, crop_matrix, mirrors
from data.dataset import EarCrops, Frames
from data.images import read_image
from data.loading.steps import RoundSteps, step_loader
from data.manifest import read_manifest
from data.transforms import FrameAugmentation, Geometry, Photometry
from distill.student.alignment import align_ears, carried_back
from distill.student.batches import (
    CropBatches,
    EndlessOrder,
    FrameBatches,
    FrameSource,
    crop_windows,
    matched_windows,
)
from distill.student.plan import BatchMix
from distill.student.teacher_targets import TeacherTargets
from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops
from tests.drawn_ears import draw_ears

NO_LIGHT = PhotometryConfig(0, 0, 0, 0, 0)


class Kept:
    """Stands in for KeptMaps: the map of a crop in a view names both."""

    def __init__(self):
        self.views, self.predictions = 2, None
        self.settings = {"view": CropNumbering().as_dict()}
        self.view_matrices = None

    def read(self, row, view):
        return np.full((1, 4, 4), 10 * row + view, np.float16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    draw_ears(folder, "train", photographs=4, seed=0, ears_each=2)
    return folder


@pytest.fixture
def ears(folder):
    """All ears of the folder in views of 64 px, as the teacher saw them."""
    return NumberedCrops(read_manifest(folder / "train.npy"), CropNumbering(out_px=64))


@pytest.fixture
def labelled(ears):
    geometry, photometry = Geometry(GeometryConfig(), 64), Photometry(PhotometryConfig())
    return EarCrops(ears.manifest.select([0, 1, 2]), 64, geometry=geometry, photometry=photometry)


def targets_of(ears, geometry, wrong_point=5, with_maps=True):
    """A teacher whose points are the truth, but contradict the mirror image at one point."""
    truth_px = [apply(ears.seen(row, 0)[1], points) for row, points in enumerate(ears.manifest.landmarks)]
    points = np.zeros((8, 2, 17, 2), np.float32)
    points[:, 0] = (np.array(truth_px) + 0.5) / 64
    disagreement = np.zeros((8, 2, 17), np.float32)
    disagreement[:, :, wrong_point] = 1.0
    kept = Kept()
    kept.view_matrices = np.array([[ears.seen(row, number)[1] for number in (0, 1)] for row in range(8)])
    kept.predictions = {
        "points_unit": points,
        "confidence": np.ones((8, 2, 17), np.float32),
        "disagreement": disagreement,
    }
    flip, light = np.arange(17), Photometry(NO_LIGHT)
    return TeacherTargets(kept, ears, Geometry(geometry, 64), light, flip, 0.05, with_maps)


@pytest.fixture
def crop_batches(ears, labelled):
    return CropBatches(labelled, BatchMix(2, 3), targets_of(ears, GeometryConfig()), seed=5)


def test_every_row_comes_once_before_any_comes_again():
    order = EndlessOrder(7, seed=3)
    drawn = [order(position) for position in range(21)]
    rounds = [[row for row, turn in drawn if turn == number] for number in range(3)]
    assert all(sorted(rows) == list(range(7)) for rows in rounds)
    assert rounds[0] != rounds[1]
    assert EndlessOrder(7, seed=3)(12) == drawn[12]  # without having been asked for what comes before


def test_two_processes_together_see_the_batch_of_one(crop_batches):
    for step in range(3):
        whole, shares = crop_batches[step], [crop_batches.share(rank, 2)[step] for rank in range(2)]
        assert [len(share["points_px"]) for share in shares] == [1, 1]
        assert [len(share["maps"]) for share in shares] == [3, 2]
        sums = [sorted(image.sum().item() for image in batch["image"]) for batch in (whole, *shares)]
        assert sums[0] == sorted(sums[1] + sums[2])


def test_a_step_is_the_same_whoever_makes_it_and_no_two_steps_are(crop_batches):
    alone = [crop_batches[step] for step in range(4)]
    loaded = list(step_loader(crop_batches, steps_per_round=4, first_round=0, num_workers=2))
    for here, there in zip(alone, loaded, strict=True):
        assert set(here) == set(there) > {"image", "points_px", "visibility", "maps"}
        assert all(torch.equal(here[name], there[name]) for name in here)
    for first, second in itertools.combinations(alone, 2):
        assert not torch.equal(first["image"], second["image"])


def test_labelled_crops_stand_first_and_are_the_twins(crop_batches, labelled):
    batch = crop_batches[0]
    assert {name: tuple(values.shape) for name, values in batch.items()} == {
        "image": (5, 3, 64, 64), "points_px": (2, 17, 2), "visibility": (2, 17), "predicted_px": (3, 17, 2),
        "trust": (3, 17), "maps": (5, 1, 4, 4), "map_matrix": (5, 2, 3),
    }  # fmt: skip
    alone = CropBatches(labelled, BatchMix(2, 0), seed=5)[0]
    assert set(alone) == {"image", "points_px", "visibility"}
    assert torch.equal(alone["image"], batch["image"][:2])


def test_labelled_ears_whose_maps_were_kept_come_with_them(ears, labelled):
    back_to_front = dataclasses.replace(ears.manifest.select([5, 2]), sources=None)
    plain = EarCrops(back_to_front, 64, geometry=labelled.geometry, photometry=Photometry(NO_LIGHT))
    batch = CropBatches(plain, BatchMix(2, 3), targets_of(ears, GeometryConfig()), seed=5)[0]
    assert len(batch["maps"]) == 5
    assert {int(kept[0, 0, 0]) // 10 for kept in batch["maps"][:2]} == {2, 5}
    for image, kept, matrix in zip(batch["image"], batch["maps"], batch["map_matrix"], strict=True):
        row, number = divmod(int(kept[0, 0, 0]), 10)
        back, seen = carried_back(image[None].float(), matrix[None], image_px=64, grid=64)
        assert ((back[0] - ears.clean(row, number).float()).abs() * seen[0]).sum() / seen.sum() / 3 < 4
    moved = dataclasses.replace(back_to_front, boxes_xyxy=back_to_front.boxes_xyxy + 1)
    others = EarCrops(moved, 64, geometry=labelled.geometry, photometry=labelled.photometry)
    assert (
        len(CropBatches(others, BatchMix(2, 3), targets_of(ears, GeometryConfig()), seed=5)[0]["maps"]) == 3
    )


def test_a_map_comes_with_its_ear_and_the_way_from_the_view_it_is_of(ears):
    targets = targets_of(ears, GeometryConfig(rotate_deg=20))
    sides = set()
    for row, seed in itertools.product(range(8), range(4)):
        item = targets.view(row, seed, 0)
        kept_row, number = divmod(int(item["maps"][0, 0, 0]), 10)
        to_view = targets.crops.view(row, seed)["matrix"].numpy()
        assert kept_row == row
        assert number == mirrors(to_view)  # view 1 is the mirrored one
        assert not mirrors(item["map_matrix"].numpy())
        there = apply(item["map_matrix"].numpy(), apply(ears.seen(row, number)[1], np.array([[20.0, 30]])))
        assert there == pytest.approx(apply(to_view, np.array([[20.0, 30]])), abs=1e-3)
        sides.add(number)
    assert sides == {0, 1}


def test_a_student_read_where_the_teachers_cells_went_sees_what_the_teacher_saw(ears):
    """With pixels as the student's map it has to give the teacher's view back, whatever the warp."""
    targets = targets_of(ears, GeometryConfig(rotate_deg=30, shift=0.1, scale=0.2))
    for row in range(8):
        item = targets.view(row, 3 + row, 0)
        number = int(item["maps"][0, 0, 0]) % 10
        pixels, matrices = item["image"][None].float(), item["map_matrix"][None]
        back, seen = carried_back(pixels, matrices, image_px=64, grid=64)
        wanted = ears.clean(row, number).float()
        error = (back[0] - wanted).abs() * seen[0]
        assert error.sum() / seen.sum() / 3 < 4
        assert ((back[0] - wanted.flip(-1)).abs() * seen[0]).sum() / seen.sum() / 3 > 8
        assert 0.5 < seen.mean() < 1


def test_cells_beyond_the_students_view_are_not_seen():
    right = torch.tensor([[[1.0, 0, 16], [0, 1, 0]]])  # a quarter of the teacher's view lies beyond the edge
    _, seen = carried_back(torch.zeros(1, 2, 8, 8), right, image_px=64, grid=8)
    assert seen[0, 0].sum(dim=0).tolist() == [8, 8, 8, 8, 8, 8, 0, 0]


def test_predicted_points_follow_their_ear_through_any_view(ears):
    targets = targets_of(ears, GeometryConfig(rotate_deg=30), with_maps=False)
    assert targets.trusted_share == pytest.approx(16 / 17)
    labels = EarCrops(ears.manifest, 64, geometry=targets.crops.geometry, photometry=Photometry(NO_LIGHT))
    for row in range(8):
        item, truth = targets.view(row, 10 + row, 0), labels.view(row, 10 + row, 0)
        assert set(item) == {"image", "points_px", "trust"}
        assert torch.equal(item["image"], truth["image"])
        assert (item["points_px"] - truth["points_px"])[truth["visibility"] > 0].abs().max() < 0.01
        weight = torch.where(truth["visibility"] > 0, 1.0, 0.0)
        weight[5] = 0
        assert torch.equal(item["trust"], weight)


def test_trust_changes_places_with_its_point_under_mirroring(ears):
    still = {"rotate_deg": 0, "shift": 0, "box_jitter": 0}
    for flip, expected in ((1.0, 6), (0.0, 5)):
        targets = targets_of(ears, GeometryConfig(flip=flip, **still))
        targets.crops.flip_indices = np.roll(np.arange(17), 1)  # point k is read from k - 1
        assert targets.view(0, 1, 0)["trust"][expected] == 0


def test_no_labelled_ear_is_left_out_or_comes_twice_from_one_step_to_the_next(ears, labelled):
    batches = CropBatches(labelled, BatchMix(2, 4), targets_of(ears, GeometryConfig()), seed=5)
    rows = []
    draw = batches.labelled.view
    batches.labelled.view = lambda row, *seeds: rows.append(row) or draw(row, *seeds)
    assert [len(batches[step]["points_px"]) for step in range(6)] == [2] * 6
    assert all(sorted(rows[start : start + 3]) == [0, 1, 2] for start in range(0, 12, 3))


def test_rounds_go_on_where_a_resumed_training_begins():
    steps = RoundSteps(5, first_round=2)
    assert list(steps) == [10, 11, 12, 13, 14]
    steps.set_epoch(3)
    assert list(steps) == [15, 16, 17, 18, 19]
    assert len(steps) == 5


def test_windows_are_those_that_crops_are_cut_from():
    box = np.array([30.0, 20, 70, 110])
    window = crop_windows(box[None], margin=0.1)[0]
    matrix = crop_matrix(box, 128, margin=0.1)
    for corner, edge in ((window[:2], 0), (window[2:], 128)):
        # Edges lie half a pixel beyond the outermost centres.
        assert matrix[:, :2] @ (corner - 0.5) + matrix[:, 2] + 0.5 == pytest.approx([edge, edge], abs=1e-3)


def test_the_aligned_ear_of_a_moved_frame_is_the_teachers_crop(folder):
    """With the frame's pixels as the student's map, RoI-align has to give the crop that the teacher saw."""
    manifest = read_manifest(folder / "train.npy")
    augmentation = FrameAugmentation(FrameConfig(focus=0, scale_min=0.8, scale_max=1.2), 320, NO_LIGHT)
    frames, compared = Frames(manifest, 320, augmentation), {False: 0, True: 0}
    for turn, index in itertools.product(range(6), range(4)):
        item = frames[turn, index]
        rows, windows = matched_windows(item, manifest, Kept())
        rois = torch.cat((torch.zeros(len(rows), 1), windows), dim=1)
        aligned = align_ears(item["image"][None].float(), rois, stride=1, grid=32)
        for row, ear in zip(rows, aligned, strict=True):
            matrix = crop_matrix(manifest.boxes_xyxy[row], 128)
            plain = crop(read_image(manifest.image_paths[row]), matrix, 128)
            wanted = plain[:, ::-1] if item["flipped"] else plain
            pooled = wanted.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
            error = np.abs(ear.numpy() - pooled).mean()
            assert error < 3
            assert error < 0.4 * np.abs(ear.numpy() - pooled[:, :, ::-1]).mean()
            compared[bool(item["flipped"])] += 1
    assert min(compared.values()) >= 5


def test_ears_that_leave_the_frame_or_are_tiny_are_not_matched(folder):
    manifest = read_manifest(folder / "train.npy")
    item = Frames(manifest, 320)[0]
    rows, _ = matched_windows(item, manifest, Kept())
    assert rows == [0, 1]

    def moved(scale, shift):
        matrix = item["matrix"].clone() * scale
        matrix[0, 2] += shift
        return matched_windows(item | {"matrix": matrix}, manifest, Kept())[0]

    assert moved(1.0, -150.0) == [1]  # the left ear is cut
    assert moved(1.0, 150.0) == [0]
    assert moved(0.1, 0.0) == []


def test_frames_bring_boxes_of_the_labelled_and_maps_of_all(folder):
    manifest = read_manifest(folder / "train.npy")
    whole = FrameConfig(chips=0, focus=0, scale_min=0.9, scale_max=1.0, shift=0.0)
    augmentation = FrameAugmentation(whole, 320, NO_LIGHT)
    chosen, rest = np.array([0, 1, 4, 5]), np.array([2, 3, 6, 7])
    labelled = Frames(manifest.select(chosen, keep_empty_images=True), 320, augmentation)
    unlabelled = Frames(manifest.select(rest), 320, augmentation)
    batches = FrameBatches(
        FrameSource(labelled, 3, Kept(), chosen), FrameSource(unlabelled, 2, Kept(), rest), seed=1
    )
    batch = batches[0]
    assert batch["image"].shape == (5, 3, 320, 320)
    assert sorted(len(boxes) for boxes in batch["boxes_xyxy"]) == [0, 2, 2]  # all three, one without an ear
    assert len(batch["rois"]) == len(batch["maps"]) == 8
    for roi, kept in zip(batch["rois"], batch["maps"], strict=True):
        row, view = divmod(int(kept[0, 0, 0]), 10)
        assert row in (chosen if roi[0] < 3 else rest)
        assert view in (0, 1)
    assert [len(batches[step]["boxes_xyxy"]) for step in range(3)] == [3, 3, 3]
    alone = FrameBatches(FrameSource(labelled, 3), seed=1)[0]
    assert set(alone) == {"image", "boxes_xyxy"}
    others = FrameSource(unlabelled, 2, ignored_below=0.5)
    batch = FrameBatches(FrameSource(labelled, 3), others, seed=1)[0]
    assert set(batch) == {"image", "boxes_xyxy", "pseudo_boxes_xyxy", "ignored_boxes_xyxy"}
    assert [len(boxes) for boxes in batch["pseudo_boxes_xyxy"]] == [2, 2]  # people's boxes count in full
    assert len(batch["boxes_xyxy"]) == 3


def test_boxes_of_low_score_are_ignored(tmp_path):
    draw_ears(tmp_path, "frames", photographs=1, seed=0, ears_each=2)
    manifest = read_manifest(tmp_path / "frames.npy")
    manifest = dataclasses.replace(manifest, scores=np.array([0.4, 0.6], np.float32))
    manifest = dataclasses.replace(manifest, empty_images=manifest.empty_images[:0])
    whole = FrameConfig(chips=0, focus=0, scale_min=0.9, scale_max=1.0, shift=0.0, flip=0)
    frames = Frames(manifest, 320, FrameAugmentation(whole, 320, NO_LIGHT))
    source = FrameSource(frames, 2, ignored_below=0.5)
    batch = FrameBatches(FrameSource(frames, 2), source, seed=1)[0]
    for labels, pseudo, ignored in zip(
        batch["boxes_xyxy"], batch["pseudo_boxes_xyxy"], batch["ignored_boxes_xyxy"], strict=True
    ):
        assert (len(labels), len(pseudo), len(ignored)) == (2, 1, 1)
        assert (pseudo[0, 0] > ignored[0, 0]) == (manifest.boxes_xyxy[1, 0] > manifest.boxes_xyxy[0, 0])
    one = FrameSource(
        Frames(manifest.select([0]), 320, FrameAugmentation(whole, 320, NO_LIGHT)), 2, ignored_below=0.5
    )
    batch = FrameBatches(FrameSource(frames, 2), one, seed=1)[0]
    assert [len(boxes) for boxes in batch["pseudo_boxes_xyxy"] + batch["ignored_boxes_xyxy"]] == [0, 0, 1, 1]
