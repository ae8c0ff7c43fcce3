"""An ear dressed: jewellery, earbuds, glasses, hats, masks and fingers laid over it, and what they hide."""

from dataclasses import replace

import numpy as np

from data.manifest import VISIBLE
from data.render.dress.devices import wear_earbud, wear_hearing_aid
from data.render.dress.jewellery import hang_earring, wear_piercings
from data.render.dress.placing import PlacedEar, visible
from data.render.ear.camera import Camera
from data.render.head.glasses import draw_arm
from data.render.head.hands import draw_hand
from data.render.head.head_plan import HeadPlan
from data.render.head.headwear import wear_hat, wear_loops, wear_scarf
from data.render.head.identity import Identity
from data.render.head.outfit import Outfit
from data.render.paint.brush import Brush
from data.render.paint.light import Light

# A scarf hides the ears of a face seen more from the front than this.
_SCARF_FRONT = 0.45


def dress_ear(
    rng: np.random.Generator,
    placed: PlacedEar,
    outfit: Outfit,
    identity: Identity,
    plan: HeadPlan,
    light: Light,
    camera: Camera,
) -> PlacedEar:
    """The placed ear with what its person wears; points under it are no longer seen."""
    image = np.dstack([placed.image, np.zeros(placed.image.shape[:2], np.float32)])
    brush, unit, points = Brush(image), camera.scale, placed.points
    lobe_seen = placed.visibility[6] == VISIBLE
    if identity.earring and lobe_seen:
        hang_earring(rng, brush, 0.3 * points[5] + 0.4 * points[6] + 0.3 * points[7], unit, light)
    if outfit.glasses:
        draw_arm(brush, plan, camera, outfit, light)
    _lay_over(brush, points, outfit, identity, plan, light, camera)
    hidden = visible(image[..., 3], points)
    return replace(
        placed,
        image=np.ascontiguousarray(image[..., :3]),
        visibility=np.minimum(placed.visibility, hidden).astype(np.uint8),
    )


def _lay_over(
    brush: Brush,
    points: np.ndarray,
    outfit: Outfit,
    identity: Identity,
    plan: HeadPlan,
    light: Light,
    camera: Camera,
) -> None:
    rng, unit, plane = outfit.rng(), camera.scale, camera.project_plane
    kind = outfit.over_ear
    concha = 0.65 * points[12] + 0.35 * points[15] + (0, 0.02 * unit)
    down = (points[6] - points[1]) / max(np.hypot(*(points[6] - points[1])), 1e-6)
    if kind == "earbud":
        wear_earbud(rng, brush, unit, concha, light, down)
    elif kind == "hearing_aid":
        wear_hearing_aid(rng, brush, unit, concha, points[0] - down * 0.02 * unit, light)
    elif kind == "piercings":
        wear_piercings(rng, brush, points, unit, light)
    elif kind == "mask":
        wear_loops(rng, brush, unit, plane, light)
    elif kind == "hat":
        wear_hat(rng, brush, unit, *_over_head(plan, camera), outfit.colour, light)
    elif kind == "scarf" and plan.front < _SCARF_FRONT:
        wear_scarf(rng, brush, unit, plane, outfit.colour, light)
    elif kind == "fingers":
        _touch(rng, brush, points, identity, light, unit)


def _over_head(plan: HeadPlan, camera: Camera):
    """Places of a hat to px, stretched so that they span the head; and the ear's x among them."""
    low, high = plan.centre[0] - 1.13 * plan.radii[0], plan.centre[0] + 1.10 * plan.radii[0]

    def to_px(points: np.ndarray) -> np.ndarray:
        across = low + (points[:, 0] + 2.4) / 5.0 * (high - low)
        return camera.offset + np.column_stack([across, points[:, 1] - 0.5]) * camera.scale

    return to_px, float(-2.4 - 5.0 * low / (high - low))


def _touch(rng, brush: Brush, points: np.ndarray, identity: Identity, light: Light, unit: float) -> None:
    """A hand from below or behind, whose fingertips lie on the rim of the ear."""
    length = rng.uniform(2.4, 3.0) * unit
    rim = points[rng.choice([2, 3, 4, 5, 6])]
    middle = points.mean(axis=0)
    outwards = (rim - middle) / max(np.hypot(*(rim - middle)), 1e-6)
    outwards = outwards + (0, 0.6)
    outwards = outwards / np.hypot(*outwards)
    wrist = rim + outwards * length * rng.uniform(0.88, 1.0)
    angle = float(np.arctan2(-outwards[0], outwards[1]))
    draw_hand(rng, brush, wrist, length, angle, identity.skin.albedo, light)
