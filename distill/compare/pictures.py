"""The comparison as pictures: bars for each measure, and the first eigenears of all teachers"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DRAWN = {
    "images_per_s": "training images/s",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "pc1_5": "variance in PC 1-5",
    "probe_nme": "linear probe of the best map, NME",
    "student_nme": "distilled student, NME",
}
COMPONENTS = (1, 2)  # of the eigenears, drawn of each teacher
WIDTH_PX, LABEL_PX = 560, 22


def table_picture(rows: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """(H, W, 3) uint8: a panel of bars for each of DRAWN; what a row has not is left empty."""
    names = list(rows)[::-1]  # the first on top
    figure = Figure(figsize=(11, 1.2 + 0.55 * len(names)), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, (key, heading) in zip(figure.subplots(2, 3, sharey=True).flat, DRAWN.items(), strict=True):
        values = [rows[name].get(key, float("nan")) for name in names]
        bars = axes.barh(names, values)
        numbers = [f"{value:.3g}" if value == value else "" for value in values]
        axes.bar_label(bars, numbers, fontsize=8, padding=3)
        axes.set_title(heading, fontsize=10)
        axes.margins(x=0.22)  # room for the numbers behind the bars
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def eigenears_picture(stages: Path, teachers: Sequence[str]) -> np.ndarray:
    """(H, W, 3) uint8: a row a teacher, its name above the walks along its first components."""
    bands = []
    for name in teachers:
        label = np.full((LABEL_PX, WIDTH_PX * len(COMPONENTS), 3), 255, np.uint8)
        cv2.putText(label, name, (4, LABEL_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        walks = [cv2.imread(str(stages / f"{name}_eigenears" / f"pc_{k}.png"))[..., ::-1] for k in COMPONENTS]
        height = round(WIDTH_PX * walks[0].shape[0] / walks[0].shape[1])
        sized = [cv2.resize(walk, (WIDTH_PX, height), interpolation=cv2.INTER_AREA) for walk in walks]
        bands += [label, np.hstack(sized)]
    return np.vstack(bands)
