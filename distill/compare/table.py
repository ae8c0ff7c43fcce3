"""The measures of compared teachers, gathered from their stages and written as table and pictures"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.files import write_text
from configs.reading.content import read_json
from distill.compare.stages import TWIN

ENCODER_MAPS = ("backbone", "feat1", "feat2", "feat3")  # those that can be distilled without the decoder
# column -> its heading with unit, and the format of its numbers
COLUMNS = {
    "parameters": ("parameters, M", ".2f"),
    "trainable": ("trainable, M", ".2f"),
    "images_per_s": ("training images/s", ".1f"),
    "peak_mb": ("peak memory, MB", ".0f"),
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "edge": ("edge error", ".4f"),
    "latent_cosine": ("latent cosine", ".3f"),
    "pc1": ("variance in PC 1", ".3f"),
    "pc1_5": ("variance in PC 1-5", ".3f"),
    "probe_map": ("best map", ""),
    "probe_nme": ("its probe's NME", ".4f"),
    "student_nme": ("student's NME", ".4f"),
}


def write_results(output_dir: Path, teachers: Sequence[str]) -> None:
    """`table.csv` (with the probe's NME of every map), `table.md`, `table.png` and `eigenears.png`."""
    from data.draw import write_picture
    from distill.compare.pictures import eigenears_picture, table_picture

    stages = output_dir / "stages"
    rows = {name: gather(stages, name) for name in teachers}
    rows[TWIN] = {"student_nme": student_nme(stages, TWIN)}
    write_text(output_dir / "table.csv", as_csv(rows))
    text = as_markdown(rows)
    write_text(output_dir / "table.md", text)
    print(text)
    write_picture(output_dir / "table.png", table_picture(rows))
    write_picture(output_dir / "eigenears.png", eigenears_picture(stages, teachers))


def gather(stages: Path, name: str) -> dict[str, Any]:
    """One teacher's row: COLUMNS, and `probe_MAP` of each map. Raises UserError for missing stages."""
    cost = read_json(stages / f"{name}_cost" / "metrics.json")
    quality = read_json(stages / f"{name}_eval" / "metrics.json")
    variance = read_json(stages / f"{name}_eigenears" / "variance.json")
    probe = read_json(stages / f"{name}_probe" / "metrics.json")["nme"]
    (batch,) = cost["batches"]
    return {
        "parameters": cost["parameters"]["total"] / 1e6,
        "trainable": cost["parameters"]["trainable"] / 1e6,
        "images_per_s": batch["images_per_s"],
        "peak_mb": batch["peak_mb"],
        **{key: quality[key] for key in ("psnr", "ssim", "edge", "latent_cosine")},
        "pc1": variance["explained"][0],
        "pc1_5": variance["cumulative"][:5][-1],
        "probe_map": best_map(probe),
        "probe_nme": probe[best_map(probe)],
        "student_nme": student_nme(stages, name),
        **{f"probe_{layer}": error for layer, error in probe.items()},
    }


def best_map(probe: Mapping[str, float]) -> str:
    """The encoder's map of the least error of a linear probe: the one to distil."""
    return min((layer for layer in probe if layer in ENCODER_MAPS), key=lambda layer: probe[layer])


def student_nme(stages: Path, name: str) -> float:
    """Mean error on the test ears of a teacher's student."""
    return read_json(stages / f"{name}_score" / "metrics.json")["landmarker"]["nme"]


def as_csv(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a teacher, numbers in full."""
    columns = list(dict.fromkeys((*COLUMNS, *(key for row in rows.values() for key in row))))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["teacher", *columns])
    writer.writerows([name, *(row.get(column, "") for column in columns)] for name, row in rows.items())
    return text.getvalue()


def as_markdown(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """COLUMNS of every row, rounded; what a row has not is left empty."""
    lines = ["| teacher | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, row in rows.items():
        cells = [format(row[key], form) if key in row else "" for key, (_, form) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
