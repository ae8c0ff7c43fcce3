"""Words and single large letters, whose bows look a little like ears."""

import cv2
import numpy as np

from data.render.paint.colours import place, some_colour

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&@?"
_ROUND = "CGOSQDPBR0369@&ec?"


def draw_text(rng: np.random.Generator, image: np.ndarray) -> None:
    """One to five lines of letters, in place."""
    centre, size = place(rng, image, 0.015, 0.12)
    for line in range(int(rng.integers(1, 6))):
        word = "".join(rng.choice(list(_LETTERS), int(rng.integers(3, 14))))
        _write(rng, image, word, centre + (0, 1.7 * size * line), size)


def draw_letter(rng: np.random.Generator, image: np.ndarray) -> None:
    """One large round letter, in place."""
    centre, size = place(rng, image, 0.06, 0.4)
    _write(rng, image, str(rng.choice(list(_ROUND))), centre, size)


def _write(rng: np.random.Generator, image: np.ndarray, word: str, at: np.ndarray, size: float) -> None:
    font = _FONTS[rng.integers(len(_FONTS))]
    scale, thick = max(size / 22, 0.2), max(int(size * rng.uniform(0.08, 0.25)), 1)
    origin = tuple(int(value) for value in at)
    cv2.putText(image, word, origin, font, scale, some_colour(rng), thick, cv2.LINE_AA)
