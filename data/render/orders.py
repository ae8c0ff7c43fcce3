"""Which pictures to render: each with a seed of its own, so that it does not depend on any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.errors import UserError
from data.render.ear.labelling import Habit
from data.render.scene.yaw import YawRange

SPLITS = ("train", "val", "test")
PHOTOS_PER_IDENTITY = 3  # of each ear, in other light and pose
# Splits take their identities and scenes from ranges of seeds that cannot meet.
_SPLIT_SEEDS = 100_000_000

Kind = Literal["ear", "scene"]


@dataclass(frozen=True)
class SizeOptions:
    """How large the pictures are."""

    image_px: int = 192
    """Side of an ear photograph in pixels, 64 to 1024; the ear takes about half of it."""
    scene_px: tuple[int, int] = (480, 640)
    """Height and width of a scene in pixels, 96 to 4096 each."""

    def __post_init__(self) -> None:
        """Raises UserError for sizes that cannot be rendered."""
        if not 64 <= self.image_px <= 1024:
            raise UserError(f"image_px is {self.image_px}; give a whole number from 64 to 1024")
        if not all(96 <= side <= 4096 for side in self.scene_px):
            raise UserError(f"scene_px is {tuple(self.scene_px)}; give height and width from 96 to 4096")

    def shape(self, kind: Kind) -> tuple[int, int]:
        """Height and width of a picture of that kind, px."""
        return (self.image_px, self.image_px) if kind == "ear" else tuple(self.scene_px)


@dataclass(frozen=True)
class Order:
    """One picture to render.

    seed: of the identity or scene; photo: which photograph of the ear, from 0. path: of the image file;
    source: what must not stand on both sides of a split.
    """

    kind: Kind
    split: str
    seed: int
    photo: int
    shape_px: tuple[int, int]
    path: Path
    source: str
    yaws: YawRange
    habit: Habit


def plan_orders(
    kind: Kind,
    split: str,
    count: int,
    images_dir: Path,
    sizes: SizeOptions,
    yaws: YawRange,
    habit: Habit,
    seed: int,
) -> Sequence[Order]:
    """`count` pictures of one split, to be written into `images_dir`/ears or /scenes."""
    orders, photos = [], PHOTOS_PER_IDENTITY if kind == "ear" else 1
    for number in range(count):
        identity, photo = divmod(number, photos)
        name = f"{split}_{identity:05d}" + (f"_{photo}" if kind == "ear" else "")
        orders.append(
            Order(
                kind,
                split,
                identity_seed(seed, split, identity),
                photo,
                sizes.shape(kind),
                images_dir / f"{kind}s" / f"{name}.jpg",
                f"{'identity' if kind == 'ear' else 'scene'}_{split}_{identity:05d}",
                yaws,
                habit,
            )
        )
    return orders


def identity_seed(seed: int, split: str, number: int) -> int:
    """Seed of an identity; two splits never share one."""
    return (seed * len(SPLITS) + SPLITS.index(split)) * _SPLIT_SEEDS + number
