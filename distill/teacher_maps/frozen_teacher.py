"""A teacher that stays in eval mode, is never trained, and cannot slip into a student's checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from configs.errors import UserError, did_you_mean
from data.crop_settings import CropSettings
from distill.teacher_maps.resize import resize_map
from students.models.checkpoint import load_student
from teacher.checkpoint import read_checkpoint
from teacher.models.heatmaps import spatial_softmax
from teacher.models.registry import load_model
from teacher.training.precision import has_bfloat16

ENCODER_LAYERS = ("backbone", "feat1", "feat2", "feat3")
DECODER_PREFIX = "dec"
HEATMAPS = "heatmaps"


class FrozenTeacher(nn.Module):
    """A model in eval mode for good, whose maps are read by name.

    The model is held outside of torch's register of submodules. So it has no parameters an optimizer could be
    given, no keys in anybody's state dict, and neither `train()` nor `requires_grad_()` of a module above
    reaches it; `.to()` does. Calls run without gradients.

    teacher: an EarVAE, EarDetector or FrameTeacher; it is put into eval mode and its parameters out of
    training, here and for good. image_px: side of the crops it takes; others are resized to it; None: any.
    bf16: compute in bfloat16 where that is safe (autocast) and the processor has it.
    Raises UserError where a layer is asked for that it has not.
    """

    def __init__(self, teacher: nn.Module, image_px: int | None = None, bf16: bool = False) -> None:
        super().__init__()
        teacher.eval().requires_grad_(False)
        object.__setattr__(self, "_teacher", teacher)
        self.image_px, self.bf16 = image_px, bf16
        super().train(False)

    @classmethod
    def load(cls, checkpoint: str | Path, kind: str | None = None, bf16: bool = False) -> "FrozenTeacher":
        """The model of a teacher's checkpoint; kind: as of `teacher.models.registry.load_model`.

        Raises UserError for a file that is missing, truncated or of another kind.
        """
        kind = kind or read_checkpoint(checkpoint)["hyper_parameters"]["kind"]
        model = load_model(checkpoint, kind)
        if kind == "FrameTeacher":
            image_px = None  # crops of any size: it was trained on chips of frames
        else:
            image_px = model.image_size if kind == "EarDetector" else model.hparams["image_size"]
        return cls(model, image_px, bf16)

    @classmethod
    def load_landmarker(cls, path: str | Path) -> "FrozenTeacher":
        """A student's landmarker, read as an EarDetector is; it has no maps to give.

        Raises UserError for a file that is missing or of another student.
        """
        student = load_student(path, "landmarker")
        return cls(LandmarkerReader(student), student.image_px)

    @property
    def kind(self) -> str:
        """EarVAE or EarDetector."""
        return type(self._teacher).__name__

    @property
    def crops(self) -> CropSettings:
        """How the ears that an EarVAE or EarDetector was trained on were cut."""
        return self._teacher.crops

    def train(self, mode: bool = True) -> "FrozenTeacher":
        """Stays in eval mode, whatever `mode` is: batch norms must not move with the student's crops."""
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> "FrozenTeacher":
        self._teacher._apply(fn)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        """What the teacher itself returns. images: (B, 3, H, W) in [-1, 1]."""
        with self._precision(images):
            return self._teacher(self._resized(images))

    @torch.no_grad()
    def read(self, images: Tensor) -> Any:
        """`EarDetector.read` of the teacher. images: (B, 3, H, W) in [-1, 1]."""
        with self._precision(images):
            return self._teacher.read(self._resized(images))

    @torch.no_grad()
    def maps(self, images: Tensor, layers: str, grid: int) -> Tensor:
        """The named maps, pooled (area) to one grid and concatenated along channels.

        images: (B, 3, H, W) in [-1, 1]; layers: names joined by `+`, such as `feat1`, `dec16+dec32`, or
        `fused`.
        Returns (B, C, grid, grid).
        """
        names = layer_names(layers)
        with self._precision(images):
            return _joined(self._features(self._resized(images), names), names, grid)

    @torch.no_grad()
    def maps_and_reading(self, images: Tensor, layers: str, grid: int) -> tuple[Tensor, Any]:
        """What `maps` and `read` return, of an EarDetector in one pass."""
        names = layer_names(layers)
        with self._precision(images):
            features = self._features(self._resized(images), names)
            return _joined(features, names, grid), self._teacher.read_maps(features)

    def _features(self, images: Tensor, names: list[str]) -> dict[str, Tensor]:
        """The teacher's maps, and the decoder's if one is named."""
        features = dict(self._teacher.feature_maps(images))
        if any(name.startswith(DECODER_PREFIX) and name not in features for name in names):
            features |= self._decoder_maps(features["feat3"])
        if HEATMAPS in names:
            features[HEATMAPS] = self._heatmaps(features)
        return features

    def _heatmaps(self, features: Mapping[str, Tensor]) -> Tensor:
        """Where in the crop each point may be: (B, K, cells, cells), each map summing to 1."""
        if self.kind != "EarDetector":
            raise UserError(f"layer {HEATMAPS!r}: {self.kind} reads no points; give an EarDetector.")
        logits, margin = self._teacher.read_maps(features).point_heatmaps, self._teacher.margin_cells
        return spatial_softmax(logits[..., margin:-margin, margin:-margin] if margin else logits)

    def _resized(self, images: Tensor) -> Tensor:
        if self.image_px is None or images.shape[-1] == self.image_px:
            return images
        size = (self.image_px, self.image_px)
        antialias = images.shape[-1] > self.image_px
        return F.interpolate(images, size=size, mode="bilinear", antialias=antialias)

    def _precision(self, images: Tensor) -> torch.autocast:
        device = images.device.type
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16 and has_bfloat16(device))

    def _decoder_maps(self, feat3: Tensor) -> Mapping[str, Tensor]:
        decoder = getattr(self._teacher, "decoder", None)
        if decoder is None:
            raise UserError(
                "this teacher has no decoder, so no dec8, dec16, ... maps. Give the EarVAE's checkpoint, or "
                f"take a layer of {', '.join(ENCODER_LAYERS)}."
            )
        mu, _ = self._teacher.encoder.latent(feat3)
        return decoder.features(mu)


class LandmarkerReading(NamedTuple):
    """Points in unit crop coordinates: the fields of `teacher.models.detector.DetectorOutput` that labelling
    needs.
    """

    points_unit: Tensor  # (B, K, 2)
    confidence: Tensor  # (B, K), 0..1


class LandmarkerReader(nn.Module):
    """A student's landmarker that is read as an EarDetector is: images in [-1, 1], not [0, 1]."""

    def __init__(self, landmarker: nn.Module) -> None:
        super().__init__()
        self.landmarker = landmarker

    def read(self, images: Tensor) -> LandmarkerReading:
        """images: (B, 3, H, W) in [-1, 1]."""
        return LandmarkerReading(*self.landmarker((images + 1) / 2)[:2])


def _joined(features: Mapping[str, Tensor], names: list[str], grid: int) -> Tensor:
    for name in names:
        if name not in features:
            raise UserError(
                f"layer {name!r} is not a map of this teacher; it has {', '.join(features)}."
                f"{did_you_mean(name, features)}"
            )
    return torch.cat([resize_map(features[name].float(), grid) for name in names], dim=1)


def layer_names(layers: str) -> list[str]:
    """`"feat1+dec16"` -> `["feat1", "dec16"]`. Raises UserError for an empty or doubled name."""
    names = [name.strip() for name in layers.split("+")]
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f"layer is {layers!r}; name one map, or several different ones joined by '+'.")
    return names
