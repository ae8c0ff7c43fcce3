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
    lean = rng.normal(-.05, .25)
    root = rng.uniform(.1, .7)
    for _ in range(int(rng.integers(3, 9)) + 14 * heavy):
        start = np.array([root + rng.normal(0, .12), rng.uniform(-.45, -.05)])
        t = np.linspace(0, 1, 24)
        drift, bend, wave = lean + rng.normal(0, .08), rng.normal(0, .12), rng.normal(0, .012)
        across = start[0] + drift * t + bend * t**2 + wave * np.sin(7 * t + rng.uniform(0, 6))
        paths.append(to_px(np.column_stack([across, start[1] + t * rng.uniform(.7, 1.9)])))
    cover, tone = draw_strands(rng, shape, paths, .005 * scale_px * hair.coarseness)
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
