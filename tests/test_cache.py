"""distill.cache from end to end with a tiny teacher: views, maps, acceptance, disk, resume."""

import itertools

import numpy as np
import pytest
import torch

from configs.build import configured
from configs.errors import UserError
from data.crops import crop, mirrors
from data.images import read_image
from data.landmarks import load_scheme
from data.manifest import fingerprint, read_manifest
from data.tensors import to_signed
from distill import cache
from distill.cache import Config, main
from distill.teacher_maps import acceptance
from distill.teacher_maps import disk_budget as budget
from distill.teacher_maps.acceptance import acceptance_limit
from distill.teacher_maps.frozen_teacher import FrozenTeacher
from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops, check_pixels, crc32_of
from distill.teacher_maps.pseudo_labels import predict_points, trust
from distill.teacher_maps.store import KeptMaps
from teacher.checkpoint import save_weights
from teacher.models.detector import EarDetector
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import tiny_vae


@pytest.fixture(scope="module")
def ears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ears")
    vae = tiny_vae()
    save_weights(folder / "vae.ckpt", vae, "EarVAE")
    torch.manual_seed(1)
    detector = EarDetector.from_vae(vae, width=16, heatmap_cells=16, stem_channels=8)
    save_weights(folder / "detector.ckpt", detector, "EarDetector")
    draw_ears(folder, "train", photographs=5, seed=0)
    draw_ears(folder, "val", photographs=3, seed=1)
    return folder


def _config(ears, output_dir, **changes):
    values = {
        "checkpoint": ears / "vae.ckpt", "train_npy": ears / "train.npy", "output_dir": output_dir, "grid": 4,
        "views": 4, "num_workers": 0,
    }  # fmt: skip
    return configured(Config, **{**values, **changes})


@pytest.fixture(scope="module", autouse=True)
def several_shards():
    """Five ears make three shards, and no shard ends with a batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "CROPS_A_SHARD", 2)
        patch.setattr(cache, "BATCH_SIZE", 3)
        yield


@pytest.fixture(scope="module")
def kept_folder(ears, tmp_path_factory):
    return main(_config(ears, tmp_path_factory.mktemp("maps")))


def test_rebuilt_views_are_the_teachers_byte_for_byte_and_maps_are_of_them(ears, kept_folder):
    kept = KeptMaps(kept_folder)
    kept.verify()
    assert (kept.crops, kept.views, kept.grid) == (5, 4, 4)
    settings = CropNumbering.from_dict(kept.settings["view"])
    views = NumberedCrops(read_manifest(ears / "train.npy"), settings)  # rebuilt from what is on disk
    check_pixels(kept, views)
    teacher = FrozenTeacher.load(ears / "vae.ckpt")
    seen = set()
    for row in range(5):
        for number in range(4):
            view = views.clean(row, number)
            assert crc32_of(view) == kept.view_crc32[row, number]
            live = teacher.maps(to_signed(view[None]), "feat1", 4)[0]
            read = torch.from_numpy(kept.read(row, number).astype(np.float32))
            cosine = torch.nn.functional.cosine_similarity(live, read, dim=0)
            assert cosine.min() >= 0.999
            seen.add(crc32_of(view))
    assert len(seen) == 20  # no two views are alike


def test_view_one_is_the_mirrored_plain_view_and_its_map_is_not_a_mirrored_map(ears, kept_folder):
    views = NumberedCrops(read_manifest(ears / "train.npy"), CropNumbering())
    assert torch.equal(views.clean(2, 1), views.clean(2, 0).flip(-1))
    kept = KeptMaps(kept_folder)
    assert not np.allclose(kept.read(2, 1), kept.read(2, 0)[..., ::-1], atol=1e-2)


def test_each_views_matrix_leads_from_the_photograph_to_it(ears, kept_folder):
    manifest, kept = read_manifest(ears / "train.npy"), KeptMaps(kept_folder)
    views = NumberedCrops(manifest, CropNumbering())
    for row, number in itertools.product(range(5), range(4)):
        photograph = read_image(manifest.image_paths[row])
        rebuilt = crop(photograph, kept.view_matrices[row, number], 128).astype(float)
        view = views.clean(row, number).permute(1, 2, 0).numpy()
        assert np.abs(rebuilt - view)[16:-16, 16:-16].mean() < 2.5  # drawn views are sampled twice
        assert np.abs(rebuilt[:, ::-1] - view)[16:-16, 16:-16].mean() > 5
    assert mirrors(kept.view_matrices[0, 1])
    assert not mirrors(kept.view_matrices[0, 0])


def test_an_exchanged_photograph_and_another_manifest_are_noticed(ears, kept_folder, tmp_path):
    kept = KeptMaps(kept_folder)
    other = NumberedCrops(read_manifest(ears / "train.npy"), CropNumbering(seed=1))
    with pytest.raises(UserError, match="not what the teacher saw"):
        check_pixels(kept, other)
    train, val = read_manifest(ears / "train.npy"), read_manifest(ears / "val.npy")
    kept.require({"manifest_sha256": fingerprint(train)}, "train")
    with pytest.raises(UserError, match="manifest_sha256"):
        kept.require({"manifest_sha256": fingerprint(val)}, "val")
    with pytest.raises(UserError, match="manifest_sha256"):
        kept.require({"manifest_sha256": fingerprint(train.select([1, 0, 2, 3, 4]))}, "reordered")


def test_finished_shards_are_kept_and_other_settings_refused(ears, tmp_path, capsys):
    folder = main(_config(ears, tmp_path / "maps"))
    whole = {path.name: path.read_bytes() for path in folder.glob("shard_*.npy")}
    written = (folder / "shard_00000.npy").stat().st_mtime_ns
    (folder / "shard_00001.json").unlink()  # killed while this shard was written
    (folder / "index.json").unlink()
    main(_config(ears, folder))
    assert "resuming: 2 of 3 shards" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in folder.glob("shard_*.npy")} == whole
    assert (folder / "shard_00000.npy").stat().st_mtime_ns == written
    with pytest.raises(UserError, match="layer is 'feat1' there and 'feat2' now"):
        main(_config(ears, folder, layer="feat2"))
    main(_config(ears, folder, layer="feat2", resume=""))
    assert KeptMaps(folder).layer == "feat2"


def test_a_dry_run_prints_bytes_and_minutes_and_writes_nothing(ears, tmp_path, capsys):
    assert main(_config(ears, tmp_path / "maps", layer="feat1+dec8", dry_run=True)) is None
    out = capsys.readouterr().out
    assert "disk needed" in out
    assert "5 crops x 4 views x 48 channels x 4 x 4 cells" in out  # 16 of feat1 and 32 of dec8
    assert "minutes" in out
    assert not (tmp_path / "maps").exists()


def test_a_budget_of_bytes_chooses_the_grid(ears, tmp_path, capsys):
    whole = 5 * 4 * 16 * 8 * 8 * 2  # crops, views, channels, cells, bytes
    assert budget.fitting_grid(5, 4, 16, 8, max_gb=0) == 8
    assert budget.fitting_grid(5, 4, 16, 8, max_gb=1.03 * whole / 1e9) == 8
    assert budget.fitting_grid(5, 4, 16, 8, max_gb=whole / 1e9) == 4
    with pytest.raises(UserError, match="on a grid of 4 already"):
        budget.fitting_grid(5, 4, 16, 8, max_gb=0.2 * whole / 1e9)
    config = _config(ears, tmp_path / "maps", max_gb=0.5 * whole / 1e9, grid=8)
    folder = main(config)
    assert "4 x 4 cells, pooled from 8 to fit --max-gb" in capsys.readouterr().out
    kept = KeptMaps(folder)
    assert kept.grid == kept.settings["grid"] == 4
    assert sum(path.stat().st_size for path in folder.glob("shard_*.npy")) < 0.5 * whole
    main(config)
    assert "resuming: 3 of 3 shards" in capsys.readouterr().out


def test_a_disk_without_room_is_refused_before_anything_is_written(ears, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "bytes_free", lambda folder: 1000)
    with pytest.raises(UserError, match=r"bytes are needed for the maps, 1,000 are free"):
        main(_config(ears, tmp_path / "maps"))
    assert not list(tmp_path.rglob("shard_*"))


def test_predictions_are_kept_only_of_a_labeller_that_passes(ears, tmp_path, capsys, monkeypatch):
    with_labeller = {"ear_detector": ears / "detector.ckpt", "acceptance_npy": ears / "val.npy"}
    monkeypatch.setattr(acceptance, "ACCEPTANCE_NME", 1e-6)
    folder = main(_config(ears, tmp_path / "shut", **with_labeller))
    assert "NOT kept" in capsys.readouterr().out
    shut = KeptMaps(folder)
    assert shut.predictions is None
    assert shut.index["gate"]["admitted"] is False
    monkeypatch.setattr(acceptance, "ACCEPTANCE_NME", 10.0)
    folder = main(_config(ears, tmp_path / "open", **with_labeller))
    assert "of the points count" in capsys.readouterr().out
    kept = KeptMaps(folder)
    assert kept.index["gate"]["admitted"] is True
    assert kept.predictions["points_unit"].shape == (5, 4, 17, 2)
    assert kept.predictions["confidence"].shape == (5, 4, 17)
    views = NumberedCrops(read_manifest(ears / "train.npy"), CropNumbering())
    labeller = FrozenTeacher.load(ears / "detector.ckpt")
    images = to_signed(torch.stack([views.clean(3, 2), views.clean(3, 2).flip(-1)]))
    direct, mirrored = labeller.read(images).points_unit
    back = torch.stack((1 - mirrored[:, 0], mirrored[:, 1]), dim=1)
    assert np.allclose(kept.predictions["points_unit"][3, 2], (direct + back) / 2, atol=1e-5)
    assert np.allclose(kept.predictions["disagreement"][3, 2], (direct - back).norm(dim=1), atol=1e-5)
    with pytest.raises(UserError, match="acceptance_npy"):
        main(_config(ears, tmp_path / "none", ear_detector=ears / "detector.ckpt"))


@pytest.mark.parametrize(("teacher", "views"), [("vae", 1), ("detector", 2), ("detector", 3), ("vae", 4)])
def test_each_view_is_read_with_its_mirror_image(ears, tmp_path, teacher, views, monkeypatch):
    """However little is computed twice, it is what reading every view and its mirror image gives."""
    monkeypatch.setattr(acceptance, "ACCEPTANCE_NME", 10.0)
    config = _config(
        ears, tmp_path / "maps", acceptance_npy=ears / "val.npy", ear_detector=ears / "detector.ckpt",
        checkpoint=ears / f"{teacher}.ckpt", views=views,
    )  # fmt: skip
    kept = KeptMaps(main(config))
    numbered = NumberedCrops(read_manifest(ears / "train.npy"), CropNumbering())
    labeller, flip = FrozenTeacher.load(ears / "detector.ckpt"), load_scheme(None).flip
    for row, number in itertools.product(range(5), range(views)):
        image = to_signed(numbered.clean(row, number)[None])
        expected = predict_points(labeller, image, flip)
        for name, values in expected._asdict().items():
            found = kept.predictions[name][row, number]
            np.testing.assert_allclose(found, values[0].numpy(), atol=1e-4, err_msg=f"{name} of {number}")


def test_a_labeller_worse_than_the_twin_is_not_admitted(tmp_path, monkeypatch):
    twin = tmp_path / "metrics.json"
    twin.write_text('{"nme": 0.03}')
    assert acceptance_limit(None) == (0.05, "gate_nme")
    assert acceptance_limit(twin) == (0.03, str(twin))
    monkeypatch.setattr(acceptance, "ACCEPTANCE_NME", 0.02)
    assert acceptance_limit(twin) == (0.02, "gate_nme")
    twin.write_text('{"ap50": 0.9}')
    with pytest.raises(UserError, match="no `nme`"):
        acceptance_limit(twin)


def test_trust_falls_with_disagreement():
    confidence = np.array([1.0, 1.0, 0.5, 0.8])
    disagreement = np.array([0.0, 0.025, 0.0, 0.2])
    assert trust(confidence, disagreement, 0.05) == pytest.approx([1, 0.5, 0.5, 0])


def test_an_ear_detectors_fused_map_can_be_kept(ears, tmp_path):
    folder = main(_config(ears, tmp_path, layer="fused", checkpoint=ears / "detector.ckpt"))
    assert KeptMaps(folder).channels == 16
    assert KeptMaps(folder).settings["teacher_kind"] == "EarDetector"
