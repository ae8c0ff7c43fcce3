"""What EarDetector is fine-tuned and judged on: views of labelled ears, and backgrounds among them."""

from __future__ import annotations

from typing import Any

import torch

from data.dataset import EarCrops
from data.labels import LabelledEars
from data.manifest import Manifest
from teacher.detector_training.backgrounds import BackgroundCrops

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
    config: Any, labelled: LabelledEars, image_px: int, scheme: Any
) -> tuple[LabelledViews, LabelledViews]:
    """Of the ears to train on, augmented, and of those held out, as they are.

    config: of teacher.finetune. scheme: says which points change places under mirroring.
    """
    from data.transforms import Geometry, Photometry

    photometry = Photometry(config.photometry)
    ears = EarCrops(
        labelled.train,
        image_px,
        geometry=Geometry(config.geometry, image_px),
        photometry=photometry,
        seed=config.seed,
        scheme=scheme,
    )
    passes = max(1, -(-config.min_steps_per_epoch * config.batch_size // len(ears)))
    share = config.background_share if config.ear_weight > 0 else 0.0
    views = round(passes * len(ears) * share / (1 - share))
    backgrounds = _backgrounds(labelled.train, image_px, views, len(scheme), config.seed, photometry)
    train = LabelledViews(ears, backgrounds, passes, views)
    few = round(len(labelled.held_out) * share / (1 - share))
    unseen = _backgrounds(labelled.held_out, image_px, few, len(scheme), config.seed, None)
    val = LabelledViews(EarCrops(labelled.held_out, image_px), unseen, 1, len(unseen))
    if share and not len(backgrounds):
        print("no photograph has room for a window without an ear: ear-or-not is not trained", flush=True)
    return train, val


def _backgrounds(
    manifest: Manifest, image_px: int, views: int, num_landmarks: int, seed: int, photometry: Any
) -> BackgroundCrops:
    room = 2 * (len(manifest) + len(manifest.empty_images))  # windows of one photograph soon look alike
    count = min(views, room, MAX_BACKGROUNDS)
    return BackgroundCrops(manifest, num_landmarks, image_px, count, seed, photometry)
