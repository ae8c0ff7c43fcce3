"""Photographs inside the page: JPEG data URIs, and crops and frames with what was found drawn on them."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from data.crops import apply, crop, crop_matrix
from data.draw import draw_boxes, draw_points
from data.landmarks import Scheme

TILE_PX = 220  # side of a crop with points; shown smaller
TILE_MARGIN = 0.2  # of the box's longer side: more than the models see, so that points outside still show
FRAME_PX = 420  # longer side of a frame with boxes
MISS_COLOUR = (255, 70, 70)  # from a predicted point to the true one
TRUE_BOX_COLOUR = (255, 255, 255)
FOUND_BOX_COLOUR = (86, 180, 233)


@dataclass(frozen=True)
class Photo:
    """A picture as it stands in the page."""

    uri: str
    width: int
    height: int
    caption: str = ""


def embed(rgb: np.ndarray, max_width: int, quality: int = 80, caption: str = "") -> Photo:
    """(H, W, 3) uint8 RGB as a JPEG inside the page, shrunk to `max_width` px."""
    height, width = rgb.shape[:2]
    if width > max_width:
        height, width = max(1, round(height * max_width / width)), max_width
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, f"a picture of shape {rgb.shape} cannot be encoded"
    uri = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
    return Photo(uri, width, height, caption)


def ear_tile(
    rgb: np.ndarray,
    box_xyxy: np.ndarray,
    predicted_px: np.ndarray,
    true_px: np.ndarray,
    visibility: np.ndarray,
    scheme: Scheme | None,
    caption: str,
) -> Photo:
    """One ear of a photograph (H, W, 3) with the points (K, 2) found, each joined to the true one in red."""
    matrix = crop_matrix(box_xyxy, TILE_PX, TILE_MARGIN)
    found, truth = apply(matrix, predicted_px), apply(matrix, true_px)
    tile = np.ascontiguousarray(crop(rgb, matrix, TILE_PX))
    for point, target in zip(found[visibility > 0], truth[visibility > 0], strict=True):
        ends = [tuple(int(value) for value in np.round(end * 16).clip(-1e5, 1e5)) for end in (point, target)]
        cv2.line(tile, *ends, MISS_COLOUR, 2, cv2.LINE_AA, 4)
    return embed(draw_points(tile, found, scheme=scheme), TILE_PX, caption=caption)


def frame_tile(
    rgb: np.ndarray, found_xyxy: np.ndarray, scores: np.ndarray, true_xyxy: np.ndarray, caption: str
) -> Photo:
    """A frame (H, W, 3), its true boxes (m, 4) in white, the found ones (n, 4) in blue with their scores."""
    scale = FRAME_PX / max(rgb.shape[:2])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    picture = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    picture = draw_boxes(picture, true_xyxy * scale, TRUE_BOX_COLOUR)
    picture = draw_boxes(picture, found_xyxy * scale, FOUND_BOX_COLOUR)
    for box, score in zip(found_xyxy * scale, scores, strict=True):
        place = (int(np.clip(box[0], 0, size[0] - 30)), int(np.clip(box[1] - 4, 10, size[1] - 3)))
        for colour, line in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(
                picture, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, line, cv2.LINE_AA
            )
    return embed(picture, FRAME_PX, caption=caption)
