"""Batches by step: order, reproducibility, and that what is matched belongs together."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from data.crops import apply, crop, crop_matrix
from data.dataset import EarCrops, Frames
from data.images import read_image
from data.manifest import read_manifest
from data.transforms import (
    FrameAugmentation,
    FrameConfig,
    Geometry,
    GeometryConfig,
    Photometry,
    PhotometryConfig,
)
from distill.batches import (
    CropBatches,
    EndlessOrder,
    FrameBatches,
    FrameSource,
    MappedViews,
    RoundSteps,
    crop_windows,
    matched_windows,
    step_loader,
)
from distill.module import align_ears
from distill.predicted import PredictedEars
from distill.views import CropViews, ViewSettings
from tests.drawn_ears import draw_ears

NO_LIGHT = PhotometryConfig(0, 0, 0, 0, 0)


class Kept:
    """Stands in for KeptMaps: the map of a crop in a view names both."""

    def __init__(self):
        self.views, self.predictions = 2, None
        self.settings = {"view": ViewSettings().as_dict()}

    def read(self, row, view):
        return np.full((1, 4, 4), 10 * row + view, np.float16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    draw_ears(folder, "train", photographs=4, seed=0, ears_each=2)
    return folder


@pytest.fixture
def crop_batches(folder):
    manifest = read_manifest(folder / "train.npy")
    photometry = Photometry(PhotometryConfig())
    geometry = Geometry(GeometryConfig(), 64)
    labelled = EarCrops(manifest.select([0, 1, 2]), 64, geometry=geometry, photometry=photometry)
    views = CropViews(manifest, ViewSettings(out_px=64), photometry)
    return CropBatches(labelled, 2, mapped=MappedViews(views, Kept()), mapped_per_batch=3, seed=5)


def test_every_row_comes_once_before_any_comes_again():
    order = EndlessOrder(7, seed=3)
    drawn = [order(position) for position in range(21)]
    rounds = [[row for row, turn in drawn if turn == number] for number in range(3)]
    assert all(sorted(rows) == list(range(7)) for rows in rounds)
    assert rounds[0] != rounds[1]
    assert EndlessOrder(7, seed=3)(12) == drawn[12]  # without having been asked for what comes before


def test_a_step_is_the_same_whoever_makes_it_and_no_two_steps_are(crop_batches):
    alone = [crop_batches[step] for step in range(4)]
    loaded = list(step_loader(crop_batches, steps_per_round=4, first_round=0, num_workers=2))
    for here, there in zip(alone, loaded, strict=True):
        assert set(here) == set(there) == {"image", "points_px", "visibility", "maps"}
        assert all(torch.equal(here[name], there[name]) for name in here)
    for first, second in itertools.combinations(alone, 2):
        assert not torch.equal(first["image"], second["image"])


def test_a_batch_has_labelled_crops_first_and_maps_of_the_others(crop_batches):
    batch = crop_batches[0]
    assert batch["image"].shape == (5, 3, 64, 64)
    assert batch["points_px"].shape == (2, 17, 2)
    clear = CropViews(crop_batches.mapped.views.manifest, ViewSettings(out_px=64), Photometry(NO_LIGHT))
    crop_batches.mapped.views = clear
    for step in range(8):
        batch = crop_batches[step]
        for image, kept in zip(batch["image"][2:], batch["maps"], strict=True):
            row, number = divmod(int(kept[0, 0, 0]), 10)
            assert torch.equal(image, clear.clean(row, number))  # image and map are of one crop and view


def test_all_views_of_a_crop_come_before_one_comes_again(crop_batches):
    drawn = [crop_batches._draw(step, slot) for step in range(16) for slot in range(3)]
    first_two_turns = drawn[: 2 * 8]
    assert len(set(first_two_turns)) == 16
    assert {number for _, number in drawn[:8]} == {0, 1}  # and not all begin with the same view


def predicted_ears(crop_batches, wrong_point=5):
    """A labeller that says the truth, but contradicts its mirror image at one point."""
    manifest = crop_batches.mapped.views.manifest
    matrices = [crop_matrix(box, 64) for box in manifest.boxes_xyxy]
    truth_px = [apply(matrix, points) for matrix, points in zip(matrices, manifest.landmarks, strict=True)]
    points = np.zeros((8, 2, 17, 2), np.float32)
    points[:, 0] = (np.array(truth_px) + 0.5) / 64
    disagreement = np.zeros((8, 2, 17), np.float32)
    disagreement[:, :, wrong_point] = 1.0
    kept = Kept()
    kept.predictions = {
        "points_unit": points,
        "confidence": np.ones((8, 2, 17), np.float32),
        "disagreement": disagreement,
    }
    turned = Geometry(GeometryConfig(rotate_deg=30), 64)
    views, flip = crop_batches.mapped.views, np.arange(17)
    return PredictedEars(kept, views, turned, Photometry(NO_LIGHT), flip, agreement_limit=0.05)


def test_predicted_points_follow_their_ear_through_any_view(crop_batches):
    ears = predicted_ears(crop_batches)
    assert ears.trusted_share == pytest.approx(16 / 17)
    labels = EarCrops(
        crop_batches.mapped.views.manifest, 64, geometry=ears.crops.geometry, photometry=Photometry(NO_LIGHT)
    )
    for row in range(8):
        item, truth = ears.view(row, 10 + row, 0), labels.view(row, 10 + row, 0)
        assert torch.equal(item["image"], truth["image"])
        assert (item["points_px"] - truth["points_px"])[truth["visibility"] > 0].abs().max() < 0.01
        weight = torch.where(truth["visibility"] > 0, 1.0, 0.0)
        weight[5] = 0
        assert torch.equal(item["trust"], weight)


def test_trust_changes_places_with_its_point_under_mirroring(crop_batches):
    ears = predicted_ears(crop_batches)
    ears.crops.flip_indices = np.roll(np.arange(17), 1)  # point k is read from k - 1
    ears.crops.geometry = Geometry(GeometryConfig(flip=1.0, rotate_deg=0, shift=0, box_jitter=0), 64)
    assert ears.view(0, 1, 0)["trust"][6] == 0
    ears.crops.geometry = Geometry(GeometryConfig(flip=0.0, rotate_deg=0, shift=0, box_jitter=0), 64)
    assert ears.view(0, 1, 0)["trust"][5] == 0


def test_labelled_predicted_and_mapped_crops_share_a_batch_in_this_order(crop_batches):
    ears = predicted_ears(crop_batches)
    batch = CropBatches(crop_batches.labelled, 2, ears, 4, crop_batches.mapped, 3, seed=5)[0]
    assert batch["image"].shape == (9, 3, 64, 64)
    assert batch["predicted_px"].shape == (4, 17, 2)
    assert batch["trust"].shape == (4, 17)
    assert len(batch["maps"]) == 3
    alone = CropBatches(crop_batches.labelled, 2, seed=5)[0]
    assert set(alone) == {"image", "points_px", "visibility"}
    assert torch.equal(alone["image"], batch["image"][:2]), "the same labelled views as the twin's first ones"


def test_in_the_last_phase_all_crops_of_a_batch_are_labelled(crop_batches):
    ears = predicted_ears(crop_batches)
    batches = CropBatches(crop_batches.labelled, 2, ears, 1, crop_batches.mapped, 3, seed=5, labelled_from=2)
    rows = []
    draw = batches.labelled.view
    batches.labelled.view = lambda row, *seeds: rows.append(row) or draw(row, *seeds)
    sizes = [len(batches[step]["points_px"]) for step in range(4)]
    assert sizes == [2, 2, 6, 6]
    assert set(batches[2]) == {"image", "points_px", "visibility"}
    assert batches[2]["image"].shape == (6, 3, 64, 64)
    drawn = rows[:16]  # none was left out or came twice where the phases meet
    assert all(sorted(drawn[start : start + 3]) == [0, 1, 2] for start in range(0, 15, 3))


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
    batches.part = dataclasses.replace(batches.part, whole_from=1)
    assert [len(batches[step]["boxes_xyxy"]) for step in range(3)] == [3, 5, 5]
    assert len(batches[1]["image"]) == 5
    alone = FrameBatches(FrameSource(labelled, 3), seed=1)[0]
    assert set(alone) == {"image", "boxes_xyxy"}
