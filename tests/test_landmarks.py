"""The landmark scheme: the default's content, mirroring, and what a broken file is told."""

import numpy as np
import pytest
import yaml

from configs.errors import UserError
from data.landmarks import NUM_LANDMARKS, load_scheme


def test_default_scheme_has_seventeen_named_points_on_four_curves():
    scheme = load_scheme()
    assert len(scheme) == NUM_LANDMARKS == 17
    assert scheme.names[3] == "postaurale"
    assert scheme.curves["outer rim"] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert {index for curve in scheme.curves.values() for index in curve} == set(range(17))
    assert scheme.mean_shape_unit.shape == (17, 2)
    np.testing.assert_allclose(scheme.mean_shape_unit[9], (0.33, 0.11))


def test_edges_join_neighbours_of_each_curve_once():
    edges = load_scheme().edges()
    assert len(edges) == len(set(edges)) == 7 + 2 + 3 + 2
    assert (8, 9) in edges
    assert (7, 8) not in edges


def test_mirroring_keeps_indices_and_undoes_itself():
    scheme = load_scheme()
    points = np.random.default_rng(0).uniform(0, 100, (3, 17, 2))
    mirrored = scheme.mirror(points, 100)
    assert mirrored[1, 5, 0] == 99 - points[1, 5, 0]
    np.testing.assert_array_equal(mirrored[..., 1], points[..., 1])
    np.testing.assert_allclose(scheme.mirror(mirrored, 100), points)


def test_a_flip_permutation_swaps_pairs(tmp_path):
    path = tmp_path / "eyes.yaml"
    path.write_text("names: [left, right, nose]\ncurves: {face: [0, 1, 2]}\nflip: [1, 0, 2]\n")
    scheme = load_scheme(path)
    points = np.array([[10.0, 1], [30, 2], [20, 3]])
    np.testing.assert_array_equal(scheme.mirror(points, 41), [[10, 2], [30, 1], [20, 3]])
    assert scheme.mean_shape_unit is None


def test_points_handed_in_stay_as_they_were():
    points = np.ones((17, 2))
    load_scheme().mirror(points, 10)
    assert (points == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": []}, "list of point names"),
        ({"names": ["a"] * 17}, "same name twice"),
        ({"curves": {"rim": [0, 17]}}, r"'rim' must hold indices 0\.\.16"),
        ({"curves": [1, 2]}, "must map a name"),
        ({"flip": [0, 1]}, "each index"),
        ({"flip": [1, 2, 0, *range(3, 17)]}, "undo itself"),
        ({"mean_shape_unit": [[0, 0]]}, "17 pairs"),
        ({"flips": [0]}, "unknown key 'flips'.*Did you mean 'flip'"),
    ],
)
def test_a_scheme_that_contradicts_itself_is_refused(tmp_path, change, message):
    content = {**load_scheme().to_plain(), **change}
    path = tmp_path / "scheme.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=message) as caught:
        load_scheme(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        load_scheme(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("names: [a\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load_scheme(broken)
    broken.write_text("- a\n")
    with pytest.raises(UserError, match="mapping with `names`"):
        load_scheme(broken)
