"""Soft polygons and strokes on a picture of floats: what faces, hands and things are drawn with."""

import cv2
import numpy as np

from data.render.paint.blending import to_fixed


class Brush:
    """Draws on `image` (h, w, 3) float32 in place; all lengths and points (N, 2) are px.

    A colour is what the place becomes, or with `tint` what its colour is multiplied by. A fourth channel of
    the image collects the cover of all that is drawn without `tint`.
    """

    def __init__(self, image: np.ndarray):
        self.image = image

    def fill(
        self,
        polygon: np.ndarray,
        colour,
        soft_px: float = 0.0,
        strength: float = 1.0,
        within: np.ndarray | None = None,
        tint: bool = False,
    ) -> None:
        """A polygon; `within` is a second one that it does not leave."""

        def draw(mask: np.ndarray, corner: np.ndarray) -> np.ndarray:
            cv2.fillPoly(mask, to_fixed(polygon - corner)[None], 255, cv2.LINE_AA, 4)
            if within is not None:
                fence = np.zeros_like(mask)
                cv2.fillPoly(fence, to_fixed(within - corner)[None], 255, cv2.LINE_AA, 4)
                mask = cv2.min(mask, fence)
            return mask

        self._lay(polygon, 1.0, draw, colour, soft_px, strength, tint)

    def stroke(
        self,
        path: np.ndarray,
        colour,
        width_px: float,
        soft_px: float = 0.0,
        strength: float = 1.0,
        tint: bool = False,
    ) -> None:
        """A line of one width; a line thinner than a pixel is drawn fainter instead."""

        def draw(mask: np.ndarray, corner: np.ndarray) -> np.ndarray:
            thick = max(int(round(width_px)), 1)
            cv2.polylines(mask, to_fixed(path - corner)[None], False, 255, thick, cv2.LINE_AA, 4)
            return mask

        self._lay(path, width_px, draw, colour, soft_px, strength * min(width_px, 1.0), tint)

    def disc(self, centre, radii, colour, soft_px: float = 0.0, strength: float = 1.0, **how) -> None:
        """A filled ellipse with radii (x, y)."""
        self.fill(ellipse(centre, radii), colour, soft_px, strength, **how)

    def _lay(self, points, reach_px: float, draw, colour, soft_px, strength, tint) -> None:
        height, width = self.image.shape[:2]
        grow = reach_px + 3 * soft_px + 2
        left, top = np.maximum(np.floor(points.min(axis=0) - grow), 0).astype(int)
        right, bottom = np.minimum(np.ceil(points.max(axis=0) + grow), (width, height)).astype(int)
        if right <= left or bottom <= top:
            return
        mask = draw(np.zeros((bottom - top, right - left), np.uint8), np.array([left, top]))
        if soft_px > 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), soft_px)
        cover = mask[..., None] * np.float32(strength / 255)
        part = self.image[top:bottom, left:right]
        colour = np.broadcast_to(np.asarray(colour, np.float32), 3)
        if part.shape[2] == 4:
            colour = np.append(colour, np.float32(1))
        part += (part * (colour - 1) if tint else colour - part) * cover


def ellipse(centre, radii, turn: float = 0.0, count: int = 28) -> np.ndarray:
    """Outline (count, 2) of an ellipse with radii (x, y), turned by radians."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.column_stack([np.cos(angle), np.sin(angle)]) * radii
    cosine, sine = np.cos(turn), np.sin(turn)
    return points @ np.array([[cosine, sine], [-sine, cosine]]) + centre
