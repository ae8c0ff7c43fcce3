"""Images as bytes to the ranges of numbers that networks take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def planes(rgb: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) uint8 tensor of its own memory."""
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))


def to_signed(images: Tensor) -> Tensor:
    """uint8 images to float in [-1, 1], the range of the teacher; runs on the tensor's device."""
    return images.float() / 127.5 - 1


def to_unit(images: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 to float in [0, 1], the students' range, channels last; on the tensor's device."""
    return images.to(torch.float32, memory_format=torch.channels_last) / 255
