"""What EarDetector is fine-tuned and judged on: views of labelled ears, and backgrounds among them."""

from __future__ import annotations

from typing import Any

import torch

from data.dataset import EarCrops
from data.labels import LabelledEars
from data.manifest import Manifest
from data.transforms import Geometry, Photometry
from teacher.detector_training.backgrounds import BackgroundCrops
from teacher.detector_training.options import ViewOptions

BACKGROUND_SHARE = 0.2  # of the crops in an epoch: enough to tell ears from backgrounds
MAX_BACKGROUNDS = 2000  # cut once and kept in memory, 50 kB each at 128 px


class LabelledViews:
    """`passes` views of every ear, and among them `background_views` crops without an ear.

    Items: image (3, S, S) uint8; points_px (K, 2), visibility (K,), matrix (2, 3) and box_xyxy (4,) as in
    data.dataset.EarCrops; is_ear, 1.0 or 0.0. Keys are (epoch, index) as data.loading.sampler.EpochSampler
    gives them.
    """

    KEPT = ("image", "points_px", "visibility", "matrix", "box_xyxy")

    def __init__(
        self,
        ears: EarCrops,
        backgrounds: BackgroundCrops | None = None,
        passes: int = 1,
        background_views: int = 0,
    ) -> None:
        self.ears, self.backgrounds, self.passes = ears, backgrounds, passes
        self.background_views = background_views if backgrounds else 0

    def __len__(self) -> int:
        """Views an epoch."""
        return self.passes * len(self.ears) + self.background_views

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Another pass over the ears is, for the augmentation, another epoch."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        turn, ear = divmod(index, len(self.ears))
        if turn < self.passes:
            item = self.ears[(epoch * self.passes + turn, ear)]
            return {name: item[name] for name in self.KEPT} | {"is_ear": torch.tensor(1.0)}
        drawn = epoch * self.background_views + index - self.passes * len(self.ears)
        return self.backgrounds.view(drawn % len(self.backgrounds), drawn // len(self.backgrounds))


def labelled_views(
    ears: LabelledEars, views: ViewOptions, image_px: int, least_views: int, seed: int
) -> tuple[LabelledViews, LabelledViews]:
    """Of the ears to train on, augmented, and of those held out, as they are.

    least_views: few ears are drawn several times an epoch until there are so many.
    """
    photometry = Photometry(views.photometry)
    train_ears = EarCrops(
        ears.train,
        image_px,
        geometry=Geometry(views.geometry, image_px),
        photometry=photometry,
        seed=seed,
    )
    passes = max(1, -(-least_views // len(train_ears)))
    background_views = round(passes * len(train_ears) * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE))
    backgrounds = _backgrounds(ears.train, image_px, background_views, seed, photometry)
    train = LabelledViews(train_ears, backgrounds, passes, background_views)
    few = round(len(ears.held_out) * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE))
    unseen = _backgrounds(ears.held_out, image_px, few, seed, None)
    val = LabelledViews(EarCrops(ears.held_out, image_px), unseen, 1, len(unseen))
    if not len(backgrounds):
        print("no photograph has room for a window without an ear: ear-or-not is not trained", flush=True)
    return train, val


def _backgrounds(
    manifest: Manifest, image_px: int, views: int, seed: int, photometry: Any
) -> BackgroundCrops:
    room = 2 * (len(manifest) + len(manifest.empty_images))  # windows of one photograph soon look alike
    count = min(views, room, MAX_BACKGROUNDS)
    return BackgroundCrops(manifest, manifest.crops.num_landmarks, image_px, count, seed, photometry)
