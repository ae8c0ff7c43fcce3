"""Two tiny students as files, made once a test run: the detector knows bright rectangles."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from students.models.checkpoint import build_student, save_student
from students.models.losses import detection_loss
from students.onnx_export.write import export_student

OPTIONS = {"width": 32}
FRAME_PX, CROP_PX = 96, 64
_FOLDER = tempfile.TemporaryDirectory(prefix="pinna_tiny_")  # until the tests end


def rectangle_frame(
    box_xyxy: tuple[int, int, int, int] | None, height: int = 96, width: int = 96, seed: int = 0
) -> np.ndarray:
    """(H, W, 3) uint8: dark noise, and what the tiny detector takes for an ear in `box_xyxy`."""
    frame = np.random.default_rng(seed).uniform(0, 70, (height, width, 3))
    if box_xyxy is not None:
        x1, y1, x2, y2 = box_xyxy
        frame[y1:y2, x1:x2] += 150
    return frame.astype(np.uint8)


@functools.cache
def tiny_detector() -> torch.nn.Module:
    """Trained for seconds on bright rectangles, 12 to 44 px wide, in frames of 96 px; some are empty."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    student = build_student("detector", {"image_px": FRAME_PX, **OPTIONS}).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=4e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=250)
    for step in range(250):
        frames, targets = [], []
        for index in range(6):
            x, y, w, h = (int(v) for v in rng.integers((4, 4, 12, 20), (48, 38, 44, 54)))
            box = None if index == 0 else (x, y, x + w, y + h)
            frames.append(rectangle_frame(box, seed=6 * step + index))
            targets.append(torch.tensor([box] if box else []).float().reshape(-1, 4))
        images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
        loss = detection_loss(*student(images), targets, (12, 12), student.stride)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return student.eval()


@functools.cache
def tiny_landmarker() -> torch.nn.Module:
    """Random weights, batch norms that have seen some noise, 17 points, crops of 64 px."""
    torch.manual_seed(0)
    student = build_student("landmarker", {"image_px": CROP_PX, **OPTIONS}).train()
    with torch.no_grad():
        student.heatmap.weight.mul_(20)  # peaks, where random weights give flat maps
        for _ in range(20):
            student.forward_train(torch.rand(8, 3, CROP_PX, CROP_PX))
    return student.eval()


@functools.cache
def tiny_files() -> Path:
    """Folder laid out like a run: export/{detector,landmarker}.onnx; and {detector,landmarker}.pt."""
    folder = Path(_FOLDER.name)
    for name, student in (("detector", tiny_detector()), ("landmarker", tiny_landmarker())):
        save_student(folder / f"{name}.pt", student)
        export_student(student, folder / "export" / f"{name}.onnx")
    return folder
