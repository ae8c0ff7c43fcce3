"""Whether a processor computes in bfloat16 by itself: elsewhere that is ten times slower, not faster."""

from __future__ import annotations

import functools

import torch


@functools.cache
def has_bfloat16(device_type: str) -> bool:
    """Whether bfloat16 is worth computing in. device_type: cpu, cuda, ...; a CPU needs AVX-512 or better."""
    return device_type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def usable_precision(precision: str) -> str:
    """The precision, as Lightning names it; `32` instead, and said, for bfloat16 on a CPU that has none."""
    if not precision.startswith("bf16") or torch.cuda.is_available() or has_bfloat16("cpu"):
        return precision
    print(f"precision: this processor has no bfloat16 arithmetic, so 32 instead of {precision}", flush=True)
    return "32"
