"""distill.study.efficiency on curves by hand."""

import numpy as np
import pytest

from distill.study.efficiency import falling_curve, label_efficiency, labels_to_reach

LABELS = [25, 100, 400]
ERRORS = [0.08, 0.04, 0.02]  # halves with four times the labels: error = .4 / sqrt(labels)


@pytest.mark.parametrize(
    ("error", "labels", "bound"),
    [
        (0.04, 100, "="),
        (0.4 / np.sqrt(50), 50, "="),  # between two points, on the straight line of the logarithms
        (0.4 / np.sqrt(300), 300, "="),
        (0.08, 25, "="),
        (0.09, 25, "<="),
        (0.02, 400, "="),
        (0.019, 400, ">="),
    ],
)
def test_labels_to_reach(error, labels, bound):
    found = labels_to_reach(LABELS, ERRORS, error)
    assert found[0] == pytest.approx(labels)
    assert found[1] == bound


def test_a_curve_that_rises_by_noise_is_levelled():
    """Two neighbours in the wrong order become their geometric mean."""
    np.testing.assert_allclose(falling_curve([0.08, 0.02, 0.08, 0.01]), [0.08, 0.04, 0.04, 0.01])
    assert labels_to_reach([25, 50, 100, 200], [0.08, 0.02, 0.08, 0.01], 0.04)[0] == pytest.approx(50)


def test_what_labels_are_worth():
    """With 100 labels the arm reaches what the baseline reaches with 200; drawn anew, 100 to beyond 400."""
    drawn = np.tile(ERRORS, (3, 1))
    own_drawn = np.array([0.04, 0.4 / np.sqrt(200), 0.01])
    result = label_efficiency(LABELS, ERRORS, drawn, 100, 0.4 / np.sqrt(200), own_drawn)
    assert (result["labels"], result["times"]) == pytest.approx((200, 2))
    assert result["bound"] == "="
    assert result["interval"][0] == {"times": pytest.approx(1), "bound": "="}
    assert result["interval"][1] == {"times": pytest.approx(4), "bound": ">="}
