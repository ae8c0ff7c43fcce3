"""Predictions as plain values for JSON: the project's own layout, and COCO's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from students.inference.pipeline import Ear
from students.inference.tracking.tracker import TrackedEar

COCO_VISIBLE = 2


def source_record(shown: str, kind: str, rgb: np.ndarray) -> dict[str, Any]:
    """An input, by its name and kind, and the size of its picture or frames (H, W, 3)."""
    return {"path": shown, "kind": kind, "height": rgb.shape[0], "width": rgb.shape[1]}


def ear_records(ears: Iterable[Ear]) -> list[dict[str, Any]]:
    """Numbers with 1/100 px and 1/10,000 of score: more would be noise. With the identity of tracked ears."""
    return [
        {
            "box_xyxy": _rounded(ear.box_xyxy, 2),
            "score": round(ear.score, 4),
            "points_px": [_rounded(point, 2) for point in ear.points_px],
            "point_confidence": _rounded(ear.point_confidence, 4),
        }
        | ({"identity": ear.identity} if isinstance(ear, TrackedEar) else {})
        for ear in ears
    ]


def coco_layout(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], curves: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    """COCO's data set layout with a score at each annotation, of those records that are images.

    Key points all count as visible. names: of the points; curves: name -> indices, the category's skeleton.
    """
    images, annotations = [], []
    for record in (record for record in records if record["kind"] == "image"):
        size = {"height": record["height"], "width": record["width"]}
        images.append({"id": len(images) + 1, "file_name": record["path"], **size})
        for ear in record["ears"]:
            x1, y1, x2, y2 = ear["box_xyxy"]
            annotations.append({
                "id": len(annotations) + 1, "image_id": len(images), "category_id": 1, "iscrowd": 0,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "area": round((x2 - x1) * (y2 - y1), 2),
                "score": ear["score"], "num_keypoints": len(names),
                "keypoints": [value for x, y in ear["points_px"] for value in (x, y, COCO_VISIBLE)],
            })  # fmt: skip
    edges = dict.fromkeys(pair for curve in curves.values() for pair in zip(curve, curve[1:]))
    skeleton = [[start + 1, end + 1] for start, end in edges]  # COCO counts from 1
    category = {"id": 1, "name": "ear", "keypoints": list(names), "skeleton": skeleton}
    return {"images": images, "annotations": annotations, "categories": [category]}


def summary(records: Sequence[Mapping[str, Any]], skipped: int) -> str:
    """How many ears, images and inputs there were, a line."""
    frames = [frame for record in records for frame in record.get("frames", [record])]
    ears = sum(len(frame["ears"]) for frame in frames)
    return f"{ears} ears in {len(frames)} images or frames of {len(records)} inputs; {skipped} inputs skipped"


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
