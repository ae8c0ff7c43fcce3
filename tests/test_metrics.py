"""Landmark measures against cases computed by hand and a loop written out."""

import json

import numpy as np
import pytest

from data.metrics import error_curve, landmark_report, nme, point_errors

# Three points span a box of 30 x 40: diagonal 50.
SHAPE = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0]])


def ears(offsets: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions off by `offsets` (N, 3) px in x, targets, all visible."""
    target = np.tile(SHAPE, (len(offsets), 1, 1))
    pred = target.copy()
    pred[..., 0] += offsets
    return pred, target, np.full((len(offsets), 3), 2, np.uint8)


def random_ears(count: int = 40, points: int = 17) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 100, (count, points, 2))
    visibility = rng.choice([0, 1, 2], (count, points), p=[0.2, 0.2, 0.6])
    target[visibility == 0] = np.nan
    return np.nan_to_num(target, nan=50) + rng.normal(0, 4, target.shape), target, visibility


def test_by_hand() -> None:
    pred, target, visibility = ears([[5, 0, 0], [5, 10, 15]])
    np.testing.assert_allclose(nme(pred, target, visibility), [0.1 / 3, 0.2])
    visibility[1, 2] = 0  # leaves a box of 30 x 0
    np.testing.assert_allclose(nme(pred, target, visibility), [0.1 / 3, (5 + 10) / 2 / 30])


def test_against_a_loop() -> None:
    pred, target, visibility = random_ears()
    expected = []
    for p, t, v in zip(pred, target, visibility, strict=True):
        xs = [t[k][0] for k in range(17) if v[k] > 0]
        ys = [t[k][1] for k in range(17) if v[k] > 0]
        diagonal = ((max(xs) - min(xs)) ** 2 + (max(ys) - min(ys)) ** 2) ** 0.5
        distances = [((p[k] - t[k]) ** 2).sum() ** 0.5 for k in range(17) if v[k] > 0]
        expected.append(sum(distances) / len(distances) / diagonal)
    np.testing.assert_allclose(nme(pred, target, visibility), expected)
    errors = point_errors(pred, target, visibility)
    assert (np.isnan(errors) == (visibility == 0)).all()


def test_scale_and_place_do_not_matter_and_inputs_are_kept() -> None:
    pred, target, visibility = random_ears()
    kept = pred.copy(), target.copy(), visibility.copy()
    np.testing.assert_allclose(
        nme(pred * 3 + 7, target * 3 + 7, visibility), nme(pred, target, visibility), rtol=1e-9
    )
    for before, after in zip(kept, (pred, target, visibility), strict=True):
        np.testing.assert_array_equal(before, after)


def test_report_by_hand() -> None:
    """NMEs .02, .06, .20, the points' errors all alike within an ear."""
    report = landmark_report(*ears([[1, 1, 1], [3, 3, 3], [10, 10, 10]]), names=("a", "b", "c"))
    assert report["ears"] == 3
    assert report["nme"] == pytest.approx(0.28 / 3)
    assert report["nme_median"] == pytest.approx(0.06)
    assert report["pck_0.02"] == pytest.approx(1 / 3)
    assert report["pck_0.05"] == pytest.approx(1 / 3)
    assert report["pck_0.10"] == pytest.approx(2 / 3)
    assert report["fr"] == pytest.approx(1 / 3)
    assert report["auc"] == pytest.approx((0.8 + 0.4 + 0) / 3)
    assert report["per_landmark"]["nme"] == pytest.approx([0.28 / 3] * 3)
    assert report["per_landmark"]["names"] == ["a", "b", "c"]
    assert report["hidden"] == {"points": 0, "nme": None, "nme_interval": None}
    assert report["visible"]["points"] == 9
    low, high = report["nme_interval"]
    assert 0.0199 <= low < report["nme"] < high <= 0.2001
    json.dumps(report, allow_nan=False)


def test_auc_is_the_area_under_the_curve() -> None:
    """Oracle: numerical integration of a fine error curve."""
    pred, target, visibility = random_ears(300)
    errors = nme(pred, target, visibility)
    fine = np.linspace(0, 0.10, 20_001)
    share = np.array([(errors <= x).mean() for x in fine])
    report = landmark_report(pred, target, visibility, draws=10)
    assert report["auc"] == pytest.approx(np.trapezoid(share, fine) / 0.10, abs=1e-4)
    at, fraction = error_curve(errors)
    np.testing.assert_allclose(fraction, [(errors <= x).mean() for x in at])
    assert report["ced"]["fraction"][-1] == pytest.approx(1 - report["fr"])


def test_hidden_points_are_reported_apart() -> None:
    pred, target, visibility = ears([[5, 0, 0], [5, 10, 0]])
    visibility[:, 0] = 1
    report = landmark_report(pred, target, visibility)
    assert report["hidden"]["points"] == 2
    assert report["hidden"]["nme"] == pytest.approx(0.1)
    assert report["visible"]["nme"] == pytest.approx(0.2 / 4)
    assert report["nme"] == pytest.approx((0.1 + 0.3) / 2 / 3)


def test_missed_ears_fail_but_do_not_enter_the_mean() -> None:
    pred, target, visibility = ears([[1, 1, 1], [1, 1, 1]])
    pred[1] = np.nan
    assert nme(pred, target, visibility)[1] == np.inf
    report = landmark_report(pred, target, visibility)
    assert (report["ears"], report["missed"]) == (2, 1)
    assert report["nme"] == pytest.approx(0.02)
    assert report["fr"] == pytest.approx(0.5)
    assert report["auc"] == pytest.approx(0.4)
    assert report["pck_0.10"] == pytest.approx(0.5)
    assert report["ced"]["fraction"][-1] == pytest.approx(0.5)
    pred[1] = target[1]
    pred[1, 0] = np.nan
    visibility[1, 0] = 0  # nobody asked for that point
    assert landmark_report(pred, target, visibility)["missed"] == 0


def test_nothing_annotated_counts_nowhere() -> None:
    pred, target, visibility = ears([[1, 1, 1], [99, 99, 99], [99, 99, 99]])
    visibility[1] = 0
    visibility[2, 1:] = 0  # one point has no extent
    target[1] = np.nan
    np.testing.assert_allclose(nme(pred, target, visibility), [0.02, np.nan, np.nan])
    report = landmark_report(pred, target, visibility)
    assert (report["ears"], report["skipped"], report["fr"]) == (1, 2, 0)
    assert report["pck_0.02"] == 1
    nothing = landmark_report(pred[:0], target[:0], visibility[:0])
    assert (nothing["ears"], nothing["nme"], nothing["nme_interval"]) == (0, None, None)
    json.dumps(nothing, allow_nan=False)


def test_intervals_are_seeded_and_have_the_right_width() -> None:
    """Oracle: for a mean of many the 95 % interval is 1.96 standard errors to either side."""
    pred, target, visibility = random_ears(600)
    report = landmark_report(pred, target, visibility, seed=3, draws=1500)
    assert report == landmark_report(pred, target, visibility, seed=3, draws=1500)
    errors = nme(pred, target, visibility)
    half = 1.96 * errors.std(ddof=1) / np.sqrt(600)
    low, high = report["nme_interval"]
    assert high - report["nme"] == pytest.approx(half, rel=0.15)
    assert report["nme"] - low == pytest.approx(half, rel=0.15)


def test_shapes_and_nan_targets_are_refused() -> None:
    pred, target, visibility = ears([[1, 1, 1]])
    with pytest.raises(ValueError, match=r"\(N, K, 2\)"):
        nme(pred[:, :2], target, visibility)
    target[0, 0] = np.nan
    with pytest.raises(ValueError, match="annotated target point"):
        nme(pred, target, visibility)
