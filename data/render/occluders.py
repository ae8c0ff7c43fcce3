"""What covers part of an ear: strands and locks of hair, and earrings."""

import cv2
import numpy as np

from data.render.hair import Hair, draw_strands, hair_texture
from data.render.skin import Light


def hang_hair(rng: np.random.Generator, image: np.ndarray, plane: tuple, hair: Hair, light: Light, scale_px: float,
              to_px, heavy: bool, fade: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Image with loose strands (and a lock when `heavy`) over the ear, and the cover (h, w) they gave.

    `fade` lets the lock end before the border of the image, when the image is a window of a larger one.
    """
    shape = image.shape[:2]
    paths = []
    for _ in range(int(rng.integers(1, 4)) + 2 * heavy):
        paths += _lock(rng, int(rng.integers(2, 7)))
    cover, tone = draw_strands(rng, shape, [to_px(path) for path in paths], .0045 * scale_px * hair.coarseness)
    if heavy:
        x, y = plane
        side = rng.uniform(.05, .4)
        lean = rng.normal(.0, .25)
        lock = _step(-(y - side - (x - .3) * rng.uniform(-.6, 1.0)), -.02, .05) if rng.random() < .6 else \
            _step(-(x - side * .8 - lean * (y - .5)), -.02, .05)
        texture, strands = hair_texture(rng, x, y, hair, light, rng.uniform(1.2, 2.4))
        lock = np.clip(lock + (lock > 0) * (lock < 1) * .4 * strands, 0, 1)
        if fade:
            lock = lock * _vignette(shape)
        soft = cv2.GaussianBlur(lock, (0, 0), .03 * scale_px)
        image = image * (1 - .4 * soft[..., None])
        image = image + (texture - image) * lock[..., None]
    else:
        lock = np.zeros(shape, np.float32)
    colour = (hair.colour * light.colour * 1.2)[None, None] * tone[..., None] + .01
    image = image + (colour - image) * cover[..., None]
    return image, np.maximum(lock, cover)


def _lock(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """A few strands that leave the hair together and part a little: paths (24, 2) in ear heights."""
    t = np.linspace(0, 1, 24)
    root = np.array([rng.uniform(-.1, .75), rng.uniform(-.4, -.05)])
    drift, bend, reach = rng.normal(-.1, .3), rng.normal(0, .3), rng.uniform(.6, 1.9)
    paths = []
    for _ in range(count):
        side = rng.normal(0, .02) + (drift + rng.normal(0, .05)) * t + (bend + rng.normal(0, .08)) * t**2
        paths.append(root + np.column_stack([side, t * reach * rng.uniform(.8, 1.1)]))
    return paths


def wear_glasses(rng: np.random.Generator, image: np.ndarray, scale_px: float, to_px, light: Light) -> np.ndarray:
    """Image with the arm of a pair of glasses, which runs from the face to the root of the helix."""
    drop = rng.normal(0, .03)
    arm = to_px(np.array([(2.6, .05 + drop * 3), (1.6, .08 + drop), (.86, .15), (.70, .165), (.60, .20)]))
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(cover, np.round(arm * 16).astype(np.int32)[None], False, 255,
                  max(int(round(rng.uniform(.02, .07) * scale_px)), 1), cv2.LINE_AA, 4)
    mask = (cover.astype(np.float32) / 255)[..., None]
    shadow = np.roll(cv2.GaussianBlur(mask, (0, 0), .02 * scale_px), int(.03 * scale_px), 0)[..., None]
    colour = rng.choice([rng.uniform(.004, .02, 3), np.array([.16, .07, .03]) * rng.uniform(.3, 1), np.full(3, .35)])
    image = image * (1 - .4 * shadow)
    return image + (colour.astype(np.float32) * light.colour - image) * mask


def hang_earring(rng: np.random.Generator, image: np.ndarray, lobe_px: np.ndarray, scale_px: float,
                 light: Light) -> np.ndarray:
    """Image with a stud, hoop or drop at the lobe."""
    metal = np.array([(.85, .62, .25), (.75, .76, .78), (.6, .6, .62)], np.float32)[rng.integers(3)]
    kind = rng.choice(["stud", "hoop", "drop"])
    fine = 4 * 2**4
    cover = np.zeros(image.shape[:2], np.uint8)
    glint = np.zeros(image.shape[:2], np.uint8)
    centre = lobe_px + rng.normal(0, .008, 2) * scale_px
    radius = rng.uniform(.018, .04) * scale_px

    def circle(mask, at, size, value, thickness):
        cv2.circle(mask, tuple(int(round(v * 16)) for v in at), int(round(max(size, .5) * 16)), value, thickness, cv2.LINE_AA, 4)

    if kind == "stud":
        circle(cover, centre, radius, 255, -1)
    elif kind == "hoop":
        size = rng.uniform(.07, .17) * scale_px
        circle(cover, centre + (0, size), size, 255, max(int(round(.014 * scale_px)), 1))
    else:
        drop = centre + (0, rng.uniform(.08, .2) * scale_px)
        cv2.line(cover, tuple((centre * 16).round().astype(int).tolist()), tuple((drop * 16).round().astype(int).tolist()), 255,
                 max(int(round(.010 * scale_px)), 1), cv2.LINE_AA, 4)
        circle(cover, drop, radius * rng.uniform(1, 1.6), 255, -1)
        centre = drop
    circle(glint, centre - radius * .35, radius * .35, 255, -1)
    shade = rng.uniform(.35, 1) + .5 * np.clip((np.arange(image.shape[0]) - centre[1]) / (-3 * radius), -.6, .9)[:, None, None]
    mask = (cover.astype(np.float32) / 255)[..., None]
    shadow = cv2.GaussianBlur(mask[..., 0], (0, 0), .012 * scale_px)[..., None]
    image = image * (1 - .4 * np.roll(shadow, int(.015 * scale_px), 0))
    image = image + (metal * np.maximum(shade, .08) * light.colour - image) * mask
    return image + (1.2 - image) * (glint.astype(np.float32) / 255)[..., None] * (kind != "hoop")


def _vignette(shape: tuple[int, int]) -> np.ndarray:
    rows = _step(.5 - np.abs(np.linspace(-.5, .5, shape[0], dtype=np.float32)), 0, .2)
    columns = _step(.5 - np.abs(np.linspace(-.5, .5, shape[1], dtype=np.float32)), 0, .2)
    return rows[:, None] * columns


def _step(values, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
