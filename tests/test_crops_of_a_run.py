"""Margin and points go from the manifest by way of maps and student to pseudo-labels; two are not mixed."""

from dataclasses import replace

import pytest

from configs.build import configured, with_options
from configs.errors import UserError
from data.crop_settings import CropSettings
from data.dataset import EarCrops
from data.landmarks import load_scheme
from data.manifest import read_manifest, write_manifest
from distill import cache, label, train
from distill.student.fit import first_student
from distill.student.module import training_kind
from distill.teacher_maps.numbered_crops import CropNumbering, NumberedCrops
from distill.teacher_maps.options import PSEUDO_LABELLED
from distill.teacher_maps.store import KeptMaps
from students.models.checkpoint import build_student, save_student, student_crops
from teacher.checkpoint import save_weights
from tests.drawn_ears import draw_ears
from tests.tiny_teacher import tiny_vae

pytestmark = pytest.mark.trains

SETTINGS = CropSettings(0.25, replace(load_scheme(), flip=[1, 0, *range(2, 17)]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """own.npy: ears of the project's own settings; wide.npy: the same ears with SETTINGS; swapped.npy: with
    the scheme of SETTINGS alone. The maps of each.
    """
    folder = tmp_path_factory.mktemp("crops")
    ears = read_manifest(draw_ears(folder, "own", photographs=5, seed=0))
    write_manifest(folder / "wide.npy", replace(ears, crops=SETTINGS))
    teacher = tiny_vae()
    save_weights(folder / "own.ckpt", teacher, "EarVAE")
    teacher.crops = CropSettings(0.25)
    save_weights(folder / "wide.ckpt", teacher, "EarVAE")
    write_manifest(folder / "swapped.npy", replace(ears, crops=CropSettings(scheme=SETTINGS.scheme)))
    for name in ("own", "wide", "swapped"):
        cache.main(keeping(folder, name, f"{name}_maps"))
    return folder


def keeping(folder, manifest, maps):
    values = {"train_npy": folder / f"{manifest}.npy", "output_dir": folder / maps, "num_workers": 0}
    teacher = folder / ("wide.ckpt" if manifest == "wide" else "own.ckpt")
    return configured(cache.Config, checkpoint=teacher, grid=4, views=2, **values)


def training(folder, output_dir, **changes):
    values = {
        "student": "landmarker", "train_npy": folder / "wide.npy", "labelled_npy": folder / "wide.npy",
        "maps": folder / "wide_maps", "output_dir": output_dir, "steps": 1, "rounds": 1, "batch_size": 2,
        "student_options": {"trunk": "mobilenetv4_conv_small_035", "width": 8}, "num_workers": 0,
    }  # fmt: skip
    return configured(train.Config, **{**values, **changes})


def test_they_are_carried_from_stage_to_stage(folder, tmp_path):
    kept = KeptMaps(folder / "wide_maps")
    assert kept.crop_settings == SETTINGS and KeptMaps(folder / "own_maps").crop_settings == CropSettings()
    assert "scheme" not in KeptMaps(folder / "own_maps").settings
    wide = NumberedCrops(read_manifest(folder / "own.npy"), CropNumbering.from_dict(kept.settings["view"]))
    assert wide.crops.margin == 0.25  # as the maps were kept, whatever the manifest has
    student = train.main(training(folder, tmp_path / "student")) / "student.pt"
    assert student_crops(student) == SETTINGS
    made = label.main(label.Config(student, folder / "wide.npy", tmp_path / "labels"))
    labelled = read_manifest(made / PSEUDO_LABELLED)
    assert labelled.crops == SETTINGS
    assert EarCrops(labelled, 64).flip_indices.tolist() == SETTINGS.scheme.flip
    further = training(folder, tmp_path / "further", init_checkpoint=student, distill=False)
    assert student_crops(train.main(further) / "student.pt") == SETTINGS


def test_two_are_refused(folder, tmp_path):
    own = save_student(tmp_path / "own.pt", build_student("landmarker", {"width": 16}))
    assert student_crops(own) == CropSettings()
    config = training(folder, tmp_path / "student")
    for changes, message in (
        (
            {"labelled_npy": folder / "own.npy"},
            r"wide.npy is of crops with a margin of 0.25, \S*own.npy of 0.1",
        ),
        ({"val_npy": folder / "own.npy"}, r"own.npy of 0.1"),
        ({"maps": folder / "own_maps"}, r"own_maps is of crops with a margin of 0.1, train_npy of 0.25"),
        ({"init_checkpoint": own, "student_options": {}}, r"own.pt is of crops with a margin of 0.1"),
    ):
        with pytest.raises(UserError, match=message):
            train.main(with_options(config, **changes))
    with pytest.raises(UserError, match=r"train_npy is of crops with a margin of 0.25, \S*own.ckpt of 0.1"):
        cache.main(with_options(keeping(folder, "wide", "none"), checkpoint=folder / "own.ckpt"))
    with pytest.raises(UserError, match=r"wide.npy is of crops with a margin of 0.25, \S*own.pt of 0.1"):
        label.main(label.Config(own, folder / "wide.npy", tmp_path / "labels"))


def test_maps_of_another_scheme_are_not_resumed(folder):
    for given, there in (("own", "swapped"), ("swapped", "own")):
        with pytest.raises(UserError, match="holds maps of other settings: scheme is"):
            cache.main(keeping(folder, given, f"{there}_maps"))


def test_a_landmarkers_training_is_named_with_its_crops():
    usual = first_student("landmarker", {"image_px": 64, "width": 8}, None, CropSettings())
    assert "crops" not in training_kind(usual, True, 10)  # as in checkpoints of before
    wide = first_student("landmarker", {"image_px": 64, "width": 8}, None, CropSettings(0.25))
    assert training_kind(wide, True, 10)["crops"] == CropSettings(0.25).to_plain()
