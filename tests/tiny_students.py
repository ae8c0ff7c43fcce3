"""Two tiny students as files: the detector knows bright rectangles and was trained once.

`python -m tests.tiny_students` trains it again and writes tests/data/tiny_detector.pt. What a training ends
in hangs on the processor's arithmetic; its weights in a file do not.
"""

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from data.crops import apply_to_boxes
from students.inference.letterbox import letterboxed, letterboxes
from students.models.checkpoint import build_student, load_student, save_student
from students.onnx_export.write import export_student
from teacher.models.dense.losses import detection_loss

DETECTOR = Path(__file__).parent / "data" / "tiny_detector.pt"
DETECTOR_OPTIONS = {"trunk": "mobilenetv4_conv_small_035", "width": 16}  # 0.5 MB in half precision
LANDMARKER_OPTIONS = {"width": 32}
FRAME_PX, CROP_PX = 96, 64
STEPS, BATCH_FRAMES, LR, SURER = 600, 12, 4e-3, 1.5
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
    """Finds bright rectangles, 12 to 44 px wide in 96 px, larger ones in the smaller letterboxes."""
    return load_student(DETECTOR, "detector")


def train_detector(seed: int = 0) -> torch.nn.Module:
    """The weights of `tiny_detector`, trained for about a minute."""
    torch.manual_seed(seed)
    student = build_student("detector", {"image_px": FRAME_PX, **DETECTOR_OPTIONS}).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=LR)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LR, total_steps=STEPS)
    examples = _examples(seed)
    for step in range(STEPS):
        letterbox = letterboxes(FRAME_PX)[step % 3]
        planes, targets = [], []
        for _ in range(BATCH_FRAMES):
            frame, boxes = next(examples)
            seen, matrix = letterboxed(frame, letterbox)
            planes.append(torch.from_numpy(seen))
            targets.append(torch.from_numpy(apply_to_boxes(matrix, boxes)))
        map_shape = (letterbox.side_px // student.stride,) * 2
        loss = detection_loss(*student(torch.stack(planes)), targets, map_shape, student.stride)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 10.0)
        optimizer.step()
        rate.step()
    with torch.no_grad():  # the focal loss leaves scores of 0.2 where it should be sure; this spreads them
        student.score.weight.mul_(SURER)
        student.score.bias.mul_(SURER)
    return student.eval()


def _examples(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of 40 to 192 px a side and their boxes (n, 4) px: one rectangle, two or none."""
    rng = np.random.default_rng(seed)
    for number in range(STEPS * BATCH_FRAMES):
        scale = rng.choice([1, 1, 1, 2])
        height, width = (96, 96) if rng.random() < 0.6 else rng.integers(40, 97, 2)
        frame, boxes = rectangle_frame(None, scale * height, scale * width, seed=number), []
        kind = rng.choice(["empty", "grey", "one", "two"], p=[0.2, 0.05, 0.55, 0.2])
        if kind == "grey":
            frame[:] = rng.integers(0, 130)
        halves = {"one": [(0, width)], "two": [(0, width // 2), (width // 2, width)]}.get(kind, [])
        for left, right in halves:
            w = rng.integers(min(12, right - left - 4), min(72, right - left - 3))
            h = min(height - 4, int(w * rng.uniform(1.0, 1.8)))
            x, y = rng.integers(left, right - w + 1), rng.integers(0, height - h + 1)
            box = scale * np.array([x, y, x + w, y + h])
            frame[box[1] : box[3], box[0] : box[2]] += 150
            boxes.append(box)
        yield frame, np.array(boxes, np.float32).reshape(-1, 4)


@functools.cache
def tiny_landmarker() -> torch.nn.Module:
    """Random weights, batch norms that have seen some noise, 17 points, crops of 64 px."""
    torch.manual_seed(0)
    student = build_student("landmarker", {"image_px": CROP_PX, **LANDMARKER_OPTIONS}).train()
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


if __name__ == "__main__":
    print(save_student(DETECTOR, train_detector().half()))
