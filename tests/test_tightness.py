"""students.evaluation.box_tightness against a case by hand."""

import numpy as np
import pytest

from students.evaluation.box_tightness import tightness_report

TARGET = np.array([[[0.0, 0.0], [30.0, 40.0]]] * 2)  # diagonal 50 px
SEEN = np.full((2, 2), 2)


def test_the_worst_margin_over_that_of_the_training():
    """All points 1, 2 and 5 px off: .02, .04 and .1 of the diagonal."""
    read = {0.0: TARGET + [5.0, 0.0], 0.1: TARGET + [2.0, 0.0], 0.25: TARGET + [0.0, 1.0]}
    report = tightness_report(read, TARGET, SEEN)
    assert report["margins"] == [0.0, 0.1, 0.25]
    assert report["nme"] == pytest.approx([0.1, 0.04, 0.02])
    assert report["worst_ratio"] == pytest.approx(2.5)


def test_a_missed_ear_is_left_out():
    read = {0.0: TARGET + [np.array([[5.0, 0.0]]), np.array([[np.nan, 0.0]])], 0.1: TARGET + [2.5, 0.0]}
    assert tightness_report(read, TARGET, SEEN)["worst_ratio"] == pytest.approx(2.0)
    nothing = tightness_report({0.1: TARGET * np.nan}, TARGET, SEEN)
    assert (nothing["nme"], nothing["worst_ratio"]) == ([None], None)
