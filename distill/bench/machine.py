"""The machine's own limits, to judge rates by."""

from __future__ import annotations

import os
from typing import Any

from configs.provenance import processor
from distill.bench.apart import device_name, timed


def limits(side: int, repeats: int) -> dict[str, Any]:
    """Names, cores, and the rate of a (side x side) matrix product in 32 and 16 bit, operations a second."""
    import torch

    device = device_name()
    found: dict[str, Any] = {"device": _device_text(device), "cores": os.cpu_count()}
    found |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        found[f"matmul_{name}_flops"] = 2 * side**3 / timed(lambda a=left, b=right: a @ b, repeats, warm_up=2)
    return found


def _device_text(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else processor()
