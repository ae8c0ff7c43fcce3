"""Datasets and loaders: no view twice, points on their features, each photograph decoded once."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import data.dataset
import data.loading.cache
from configs.errors import UserError
from data import crops
from data.augmentation import FrameConfig, GeometryConfig, PhotometryConfig
from data.dataset import EarCrops, Frames, Photographs, collate_frames, sample_seed
from data.labels import choose_labelled
from data.landmarks import Scheme
from data.loading.cache import PixelCache
from data.loading.datamodule import EarDataModule, ear_loader
from data.loading.sampler import EpochSampler
from data.manifest import Manifest, read_manifest, write_manifest
from data.transforms import FrameAugmentation, Geometry, Photometry

SMALL = 48


def ears(folder: Path, photographs: int = 4, landmarks: bool = True) -> Manifest:
    """Two ears a photograph of 160 x 120, a bright dot under point 0 of each; one photograph without ears."""
    rng = np.random.default_rng(0)
    paths, boxes, points = [], [], []
    for number in range(photographs):
        image = cv2.GaussianBlur(rng.integers(0, 160, (120, 160, 3), dtype=np.uint8), (0, 0), 2)
        for left in (20, 90):
            x, y = left + rng.uniform(15, 30), rng.uniform(50, 70)
            rows, columns = np.mgrid[:120, :160]
            dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)[..., None]
            image = np.clip(image + 250 * dot, 0, 255).astype(np.uint8)
            paths.append(str(folder / f"{number}.png"))
            boxes.append([left, 30, left + 45, 95])
            points.append([[x, y], [left, 30], [np.nan, np.nan]])
        cv2.imwrite(paths[-1], image[..., ::-1])
    cv2.imwrite(str(folder / "empty.png"), np.full((50, 70, 3), 40, np.uint8))
    return Manifest(
        np.array(paths),
        np.array(boxes),
        np.array(points) if landmarks else None,
        empty_images=np.array([str(folder / "empty.png")]),
    )


def augmented(manifest: Manifest, **options: object) -> EarCrops:
    geometry = Geometry(GeometryConfig(), SMALL)
    return EarCrops(manifest, SMALL, geometry=geometry, photometry=Photometry(PhotometryConfig()), **options)


def brightest(image: torch.Tensor) -> np.ndarray:
    weight = np.maximum(image.numpy().min(axis=0).astype(np.float64) - 150, 0) ** 2
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def test_a_plain_item_is_the_crop(tmp_path: Path) -> None:
    manifest = ears(tmp_path)
    item = EarCrops(manifest, SMALL)[3]
    photograph = cv2.imread(manifest.image_paths[3])[..., ::-1]
    expected = crops.crop(photograph, crops.crop_matrix(manifest.boxes_xyxy[3], SMALL), SMALL)
    np.testing.assert_array_equal(item["image"].numpy(), expected.transpose(2, 0, 1))
    assert torch.equal(item["image"], item["target"])
    assert item["index"] == 3
    assert item["visibility"].tolist() == [2, 2, 0]
    assert item["points_px"][2].tolist() == [0, 0]
    np.testing.assert_array_equal(item["box_xyxy"], manifest.boxes_xyxy[3])
    np.testing.assert_allclose(brightest(item["image"]), item["points_px"][0], atol=0.5)


@pytest.mark.parametrize("epoch", range(6))
def test_points_follow_the_augmented_view(tmp_path: Path, epoch: int) -> None:
    manifest = ears(tmp_path)
    dataset = augmented(manifest)
    for index in range(len(dataset)):
        item = dataset[epoch, index]
        np.testing.assert_allclose(brightest(item["target"]), item["points_px"][0], atol=0.5)
        through = crops.apply(item["matrix"].numpy(), manifest.landmarks[index, 0])
        np.testing.assert_allclose(item["points_px"][0], through, atol=1e-3)


def test_without_landmarks_there_are_none(tmp_path: Path) -> None:
    assert "points_px" not in EarCrops(ears(tmp_path, 1, landmarks=False), SMALL)[0]


def test_points_moved_out_of_view_are_not_asked_for(tmp_path: Path) -> None:
    manifest = ears(tmp_path, 1)
    zoomed = GeometryConfig(flip=0, rotate_deg=0, shift=0, scale=0.85, box_jitter=0)
    dataset = EarCrops(manifest, SMALL, geometry=Geometry(zoomed, SMALL))
    views = [dataset[epoch, 0] for epoch in range(30)]
    outside = [not ((v["points_px"][1] >= -0.5) & (v["points_px"][1] <= SMALL - 0.5)).all() for v in views]
    assert any(outside)
    assert [view["visibility"][1].item() == 0 for view in views] == outside


def test_flip_indices_of_a_scheme_swap_with_the_mirror(tmp_path: Path) -> None:
    manifest = ears(tmp_path, 1)
    scheme = Scheme(("a", "b", "c"), {}, [1, 0, 2])
    mirror = Geometry(GeometryConfig(flip=1, rotate_deg=0, shift=0, scale=0, box_jitter=0), SMALL)
    kept = EarCrops(manifest, SMALL, geometry=mirror)[0]["points_px"]
    swapped = EarCrops(manifest, SMALL, geometry=mirror, scheme=scheme)[0]["points_px"]
    assert torch.equal(kept[[1, 0, 2]], swapped)


def test_a_view_can_be_made_again_from_its_seeds(tmp_path: Path) -> None:
    dataset = augmented(ears(tmp_path), seed=9)
    item = dataset[4, 2]
    again = dataset.view(2, sample_seed(9, 4, 2, "geometry"), sample_seed(9, 4, 2, "light"))
    assert torch.equal(item["image"], again["image"])
    clean = dataset.view(2, sample_seed(9, 4, 2, "geometry"))
    assert torch.equal(clean["image"], item["target"])


def test_each_photograph_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter = Counter()
    read = data.dataset.read_image
    monkeypatch.setattr(data.dataset, "read_image", lambda path: decoded.update([path]) or read(path))
    dataset = augmented(ears(tmp_path))
    for epoch in range(3):
        for index in range(len(dataset)):
            dataset[epoch, index]
    assert len(decoded) == 4
    assert set(decoded.values()) == {1}


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_and_epochs_never_repeat_a_view(tmp_path: Path, context: str) -> None:
    """Real, persistent workers; the views must also be those of a loader without workers."""
    manifest = ears(tmp_path)
    options = {"batch_size": 2, "collate_fn": _images_and_indices}
    dataset = augmented(manifest, ram_limit_mb=0, cache_dir=tmp_path / "cache")
    loader = DataLoader(
        dataset,
        sampler=EpochSampler(dataset, seed=1),
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=context,
        **options,
    )
    epochs = [_collect(loader) for _ in range(3)]
    views = [view for epoch in epochs for view in epoch.values()]
    assert len(views) == 24
    assert len(set(views)) == 24
    assert list(epochs[0]) != list(epochs[1])  # the order too
    alone = augmented(manifest)
    single = DataLoader(alone, sampler=EpochSampler(alone, seed=1), num_workers=0, **options)
    assert [_collect(single) for _ in range(3)] == epochs


def _images_and_indices(items: list[dict]) -> list[tuple[int, bytes]]:
    return [(item["index"], item["image"].numpy().tobytes()) for item in items]


def _collect(loader: DataLoader) -> dict[int, bytes]:
    return dict(pair for batch in loader for pair in batch)


def test_a_resumed_training_goes_on_with_its_epoch() -> None:
    sampler = EpochSampler(range(10), seed=3)
    first, second = list(sampler), list(sampler)
    resumed = EpochSampler(range(10), seed=3)
    resumed.set_epoch(1)
    assert list(resumed) == second
    assert {epoch for epoch, _ in first} == {0}
    assert sorted(index for _, index in second) == list(range(10))


def test_the_cache_in_a_file_goes_with_its_maker(tmp_path: Path) -> None:
    cache = PixelCache(3, 8, tmp_path)
    assert cache.get(1) is None
    cache.put(1, np.full((8, 8, 3), 7, np.uint8))
    assert (cache.get(1) == 7).all()
    assert cache.get(0) is None
    assert len(list(tmp_path.iterdir())) == 1
    del cache
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data.loading.cache.os, "posix_fallocate", full)
    with pytest.raises(UserError, match="disk is full"):
        augmented(ears(tmp_path), cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    manifest = Manifest(np.array([str(tmp_path / "gone.jpg")]), np.array([[0, 0, 9, 9]]))
    with pytest.raises(UserError, match=r"gone\.jpg: no such image"):
        EarCrops(manifest)[0]


def test_frames_hold_all_their_ears_or_none(tmp_path: Path) -> None:
    manifest = ears(tmp_path)
    frames = Frames(manifest, 64)
    assert len(frames) == 5
    item = frames[1]
    assert item["rows"].tolist() == [2, 3]
    expected = manifest.boxes_xyxy[2:4] * 0.4 + [
        0,
        8,
        0,
        8,
    ]  # 160 x 120 to 64 x 48 with 8 px of grey above and below
    np.testing.assert_allclose(item["boxes_xyxy"], expected, atol=1e-3)
    assert (item["image"][:, :7] == crops.GREY).all()
    empty = frames[4]
    assert empty["path"].endswith("empty.png")
    assert empty["boxes_xyxy"].shape == (0, 4)
    batch = collate_frames([item, empty])
    assert batch["image"].shape == (2, 3, 64, 64)
    assert [len(boxes) for boxes in batch["boxes_xyxy"]] == [2, 0]


def test_augmented_frames_have_an_exact_matrix(tmp_path: Path) -> None:
    manifest = ears(tmp_path)
    for size_px in (64, 160):  # kept frames shrunk, and not
        frames = Frames(
            manifest, size_px, FrameAugmentation(FrameConfig(focus=0, scale_min=0.8, scale_max=1.2), size_px)
        )
        seen = set()
        for epoch in range(8):
            item = frames[epoch, 0]
            seen.add(item["image"].numpy().tobytes())
            assert item["flipped"] == (np.linalg.det(item["matrix"][:, :2]) < 0)
            if len(item["rows"]):
                boxes = crops.apply_to_boxes(item["matrix"].numpy(), manifest.boxes_xyxy[item["rows"]])
                np.testing.assert_allclose(item["boxes_xyxy"], boxes.clip(0, size_px), atol=0.01)
            weight = np.maximum(item["image"].numpy().min(axis=0).astype(float) - 150, 0)
            for row in item["rows"]:
                x, y = crops.apply(item["matrix"].numpy(), manifest.landmarks[row, 0])
                if 3 < x < size_px - 4 and 3 < y < size_px - 4 and size_px == 160:
                    near = weight[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
                    assert near.sum() > 0.4 * max(weight.sum() / 2, 1)
        assert len(seen) == 8


def test_the_data_module_serves_both_sides(tmp_path: Path) -> None:
    manifest = ears(tmp_path)
    train = write_manifest(tmp_path / "train.npy", manifest)
    val = write_manifest(tmp_path / "val.npy", manifest.select([0, 1, 2]))
    module = EarDataModule(
        [train, train],
        val,
        4,
        0,
        SMALL,
        geometry=GeometryConfig(),
        photometry=PhotometryConfig(),
        num_landmarks=3,
    )
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert len(batches) == 4
    assert batches[0]["image"].shape == (4, 3, SMALL, SMALL)
    assert batches[0]["image"].dtype == torch.uint8
    assert batches[0]["points_px"].shape == (4, 3, 2)
    (one,) = module.val_dataloader()
    assert one["index"].tolist() == [0, 1, 2]
    assert torch.equal(one["image"], one["target"])


def test_the_data_module_says_what_is_wrong(tmp_path: Path) -> None:
    manifest = ears(tmp_path)
    train = write_manifest(tmp_path / "train.npy", manifest)
    with pytest.raises(UserError, match=r"train\.npy: has 3 points an ear, expected 17"):
        EarDataModule(train, train, num_landmarks=17).setup()
    bare = write_manifest(tmp_path / "bare.npy", manifest.select([], keep_empty_images=True))
    with pytest.raises(UserError, match=r"bare\.npy: holds 1 images but no ear"):
        EarDataModule(bare, train).setup()
    with pytest.raises(UserError, match=r"500 ears asked for, the training manifest has 8"):
        EarDataModule(train, train, labels=500).setup()


def test_labels_are_nested_repeatable_and_only_labelled(tmp_path: Path) -> None:
    visibility = np.zeros((200, 3), np.uint8)
    visibility[::2] = 2
    manifest = Manifest(
        np.array(["a.png"] * 200), np.tile([0, 0, 5, 5], (200, 1)), np.ones((200, 3, 2)), visibility
    )
    fifty, sixty = choose_labelled(manifest, 50, seed=1), choose_labelled(manifest, 60, seed=1)
    assert fifty.tolist() == sixty[:50].tolist()
    assert (fifty % 2 == 0).all()
    assert len(set(fifty)) == 50
    assert choose_labelled(manifest, 0.5, seed=1).tolist() == fifty.tolist()
    assert choose_labelled(manifest, 50, seed=2).tolist() != fifty.tolist()
    assert len(choose_labelled(manifest, 1, seed=1)) == 1
    assert len(choose_labelled(manifest, 1.0, seed=1)) == 100
    for wrong in (0, 101, 0.0, 1.5, -3):
        with pytest.raises(UserError, match="labels:"):
            choose_labelled(manifest, wrong, seed=1)


def test_a_loader_for_validation_keeps_every_row(tmp_path: Path) -> None:
    dataset = EarCrops(ears(tmp_path), SMALL)
    batches = list(ear_loader(dataset, 3, 0, 0, train=False))
    assert [len(batch["index"]) for batch in batches] == [3, 3, 2]


def test_every_public_name_of_the_package_resolves() -> None:
    assert all(getattr(data, name) is not None for name in data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Manifesto'"):
        data.Manifesto  # noqa: B018


def test_two_views_of_an_ear_are_tied_by_their_warp(rendered):
    from data.augmentation import PhotometryConfig
    from data.loading.pairs import PairedCrops
    from data.transforms import Photometry

    manifest = read_manifest(rendered / "train_labelled.npy")
    first = EarCrops(manifest, 64, geometry=Geometry(GeometryConfig(rotate_deg=5), 64))
    moved = Geometry(GeometryConfig(rotate_deg=30, scale=0.2), 64)
    pairs = PairedCrops(first, moved, Photometry(PhotometryConfig()))
    assert len(pairs) == len(manifest)
    item = pairs[(3, 5)]
    alone, other = first[(3, 5)], pairs[(4, 5)]
    assert torch.equal(item["image"], alone["image"])
    assert not torch.equal(item["to_second"], other["to_second"])
    second_px = crops.apply(item["to_second"].numpy(), item["points_px"].numpy())
    shown = item["visibility"].numpy() > 0
    expected = crops.apply(pairs._second[(3, 5)]["matrix"].numpy(), manifest.landmarks[5])
    assert np.abs(second_px - expected)[shown].max() < 0.02


def test_a_photographs_ears_are_found_as_by_a_loop():
    """Rows by photograph, in whatever order they come."""
    rng = np.random.default_rng(0)
    paths = np.array([f"{number}.jpg" for number in rng.integers(0, 7, 40)])
    manifest = Manifest(paths, np.tile([0, 0, 9, 9], (40, 1)))
    found = Photographs(manifest)
    names = found.paths(manifest)
    assert sorted(names) == sorted(set(paths))
    for row, path in enumerate(paths):
        assert names[found.number[row]] == path
        assert found.rows(found.number[row]).tolist() == [r for r in range(40) if paths[r] == path]
    assert len(found.rows(len(names))) == 0
    assert Photographs(manifest.select([])).paths(manifest.select([])) == []
