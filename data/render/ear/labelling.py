"""Where a person sets the 17 points on an ear's curves: two habits of labelling one ear."""

from typing import Literal

import numpy as np

from data.render.paint.curves import arc_length, at_fraction

# fractions: at fixed fractions of each curve's length. shape: where the ear's own shape has its extremes, the
# ends of the rims elsewhere. Points 11 and 13, the two notches, are the same.
Habit = Literal["fractions", "shape"]

# Where points 0..7 lie along the outer rim (measured on annotated in-the-wild ears). Point 9 lies at .38 of
# the inner rim there; this template's inner rim starts deeper in the concha, and .42 meets the mean shape.
RIM_FRACTIONS = (0.0, 0.13, 0.24, 0.35, 0.58, 0.74, 0.88, 1.0)
INNER_FRACTIONS = (0.0, 0.42, 1.0)

# Ends of the rims by the other habit: the outer rim starts higher up and ends lower at the lobe (as people's
# does, by 0.06 of the diagonal), the inner rim and the concha end before they fade.
_RIM_ENDS, _INNER_ENDS, _CONCHA_END = (0.035, 0.955), (0.06, 0.93), 0.93


def label_curves(curves: dict[str, np.ndarray], habit: Habit) -> np.ndarray:
    """The 17 landmarks (17, 2) on an ear's curves, each (N, 2) in ear heights, the face to the right."""
    return _by_fractions(curves) if habit == "fractions" else _by_shape(curves)


def _by_fractions(curves: dict[str, np.ndarray]) -> np.ndarray:
    tragus, antitragus = curves["tragus"], curves["antitragus"]
    return np.concatenate(
        [
            at_fraction(curves["rim"], RIM_FRACTIONS),
            at_fraction(curves["inner"], INNER_FRACTIONS),
            tragus[[0, 20, 50]],  # control points: start, apex, notch
            antitragus[[30]],  # apex
            at_fraction(curves["concha"], [0.47, 1.0]),
        ]
    )


def _by_shape(curves: dict[str, np.ndarray]) -> np.ndarray:
    rim, inner, concha = curves["rim"], curves["inner"], curves["concha"]
    tragus, antitragus = curves["tragus"], curves["antitragus"]
    length = arc_length(rim) / arc_length(rim)[-1]
    top, bottom = length[rim[:, 1].argmin()], length[rim[:, 1].argmax()]
    rear = length[rim[:, 0].argmin()]
    tail = at_fraction(inner, _INNER_ENDS[1:])[0]
    # 5 lies half-way in height from the helix tail to the bottom of the lobe, 4 half-way along the rim from 3
    behind = np.flatnonzero((length >= rear) & (length <= bottom))
    height = (tail[1] + rim[:, 1].max()) / 2
    junction = np.interp(height, np.maximum.accumulate(rim[behind, 1]), length[behind])
    middle = (rear + junction) / 2
    start, end = _RIM_ENDS
    return np.concatenate(
        [
            at_fraction(
                rim, [start, top, (top + rear) / 2, rear, middle, junction, bottom, max(end, bottom)]
            ),
            at_fraction(inner, _INNER_ENDS[:1]),
            inner[[inner[:, 1].argmin()]],
            tail[None],
            tragus[[0, tragus[:, 0].argmin(), 50]],
            antitragus[[antitragus[:, 1].argmin()]],
            concha[[concha[:, 0].argmin()]],
            at_fraction(concha, [_CONCHA_END]),
        ]
    )
