"""data.crop_settings: one value for margin and points, carried by manifests, that no stage mixes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from configs.errors import UserError
from data.crop_settings import CropSettings
from data.crops import MARGIN
from data.landmarks import Scheme, load_scheme
from data.manifest import Manifest, join_manifests, read_manifest, write_manifest

THREE = Scheme(("a", "b", "c"), {"all": [0, 1, 2]}, [1, 0, 2])


def ears(**changes):
    return Manifest(np.array(["a.png"]), np.array([[1, 2, 30, 40]]), **changes)


def test_the_projects_own_settings_need_no_word_in_a_file(tmp_path):
    assert CropSettings() == CropSettings(MARGIN, load_scheme())
    assert CropSettings().to_plain() is None and CropSettings.from_plain(None, "x") == CropSettings()
    path = write_manifest(tmp_path / "ears.npy", ears())
    assert "crops" not in np.load(path, allow_pickle=True).item()
    assert read_manifest(path).crops == CropSettings()


def test_others_come_back_from_the_manifest_and_its_parts(tmp_path):
    settings = CropSettings(0.25, THREE)
    landmarks = np.ones((1, 3, 2))
    manifest = read_manifest(write_manifest(tmp_path / "ears.npy", ears(crops=settings, landmarks=landmarks)))
    assert manifest.crops == settings and manifest.crops.num_landmarks == 3
    assert manifest.crops.scheme.curves == {"all": [0, 1, 2]}
    assert manifest.select([0]).crops == join_manifests([manifest, manifest]).crops == settings


def test_two_are_never_mixed():
    loose, other = CropSettings(0.25), CropSettings(scheme=THREE)
    loose.require_same(CropSettings(0.25), "a.npy", "b.npy")
    with pytest.raises(UserError, match=r"a.npy is of crops with a margin of 0.25, b.npy of 0.1: .*--margin"):
        loose.require_same(CropSettings(), "a.npy", "b.npy")
    with pytest.raises(UserError, match=r"a has 3 points \(a, b, c; .*b has 17 points .*--scheme"):
        other.require_same(CropSettings(), "a", "b")
    with pytest.raises(UserError, match="the first manifest is of crops .* 0.1, number 2 of 0.25"):
        join_manifests([ears(), ears(crops=loose)])
    swapped = replace(load_scheme(), flip=[1, 0, *range(2, 17)])
    with pytest.raises(UserError, match="one run has one set of points"):
        CropSettings().require_same(CropSettings(scheme=swapped), "a", "b")


@pytest.mark.parametrize(
    ("crops", "complaint"),
    [
        ({"margin": -0.1, "scheme": THREE.to_plain()}, "margin=-0.1: a number from 0"),
        ({"margin": float("nan"), "scheme": THREE.to_plain()}, "margin=nan"),
        ({"margin": "wide"}, "have no margin"),
        ({"margin": 0.1}, "a mapping with `names`"),
        ({"margin": 0.1, "scheme": {"names": ["a"], "flip": [3]}}, "`flip` must hold"),
        ([0.1], "have no margin"),
    ],
)
def test_a_manifest_with_broken_settings_is_refused(tmp_path, crops, complaint):
    path = tmp_path / "ears.npy"
    boxed = np.empty((), dtype=object)
    boxed[()] = {"image_paths": np.array(["a.png"]), "bboxes": np.ones((1, 4)), "crops": crops}
    np.save(path, boxed, allow_pickle=True)
    with pytest.raises(UserError, match=f"ears.npy: .*{complaint}"):
        read_manifest(path)
