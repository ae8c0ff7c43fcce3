"""Average precision and recall of boxes as COCO measures them, through faster-coco-eval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

MAX_DETECTIONS = (1, 10, 100)


def coco_ap(
    found: Sequence[tuple[np.ndarray, np.ndarray]], true_boxes_xyxy: Sequence[np.ndarray]
) -> dict[str, Any]:
    """One class, one entry an image, images without ears included.

    found: boxes_xyxy (n, 4) px and scores (n,); true_boxes_xyxy: (m, 4) px. Pixels of the photograph.
    Returns ap (mean over IoU .50:.05:.95), ap50, ap75, ap_small/medium/large (None without such ears),
    recall (at most 100 boxes an image, mean over the same IoUs), recall50, ears, images; and precision50,
    precision75: the precision at recalls 0, .01 .. 1, to draw. Lin et al., Microsoft COCO, ECCV 2014;
    cocodataset.org/#detection-eval. Raises ValueError for lists of other lengths, and where no image has an
    ear.
    """
    if len(found) != len(true_boxes_xyxy):
        raise ValueError(f"{len(found)} images of detections, {len(true_boxes_xyxy)} of true boxes")
    ears = sum(len(boxes) for boxes in true_boxes_xyxy)
    if ears == 0:
        raise ValueError("no ear in any image: average precision is not defined")
    evaluation = _evaluate(found, true_boxes_xyxy)
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]  # (IoU, recall level); -1 where undefined
    recall = evaluation.eval["recall"][:, 0, 0, -1]
    ap, ap50, ap75, small, medium, large = (_defined(value) for value in evaluation.stats[:6])
    return {
        "ap": ap,
        "ap50": ap50,
        "ap75": ap75,
        "ap_small": small,
        "ap_medium": medium,
        "ap_large": large,
        "recall": float(recall.mean()),
        "recall50": float(recall[0]),
        "ears": ears,
        "images": len(found),
        "precision50": [float(value) for value in precision[0]],
        "precision75": [float(value) for value in precision[5]],
    }


def _evaluate(found: Sequence[tuple[np.ndarray, np.ndarray]], true_boxes_xyxy: Sequence[np.ndarray]) -> Any:
    truth = COCO(_annotations(true_boxes_xyxy))
    predictions = (
        truth.loadRes(_results(found)) if any(len(boxes) for boxes, _ in found) else COCO(_annotations([]))
    )
    evaluation = COCOeval_faster(truth, predictions, iouType="bbox", print_function=lambda *_: None)
    evaluation.params.maxDets = list(MAX_DETECTIONS)
    evaluation.params.imgIds = list(range(len(found)))
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _annotations(boxes_of_images: Sequence[np.ndarray]) -> dict[str, Any]:
    annotations = []
    for image, boxes in enumerate(boxes_of_images):
        for box in boxes:
            x, y, width, height = _xywh(box)
            annotations.append(
                {
                    "id": len(annotations) + 1,  # COCO's matcher takes id 0 for "no match"
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    images = [{"id": image} for image in range(len(boxes_of_images))]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ear"}]}


def _results(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": 1, "bbox": list(_xywh(box)), "score": float(score)}
        for image, (boxes, scores) in enumerate(found)
        for box, score in zip(boxes, scores, strict=True)
    ]


def _xywh(box_xyxy: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    return x1, y1, x2 - x1, y2 - y1


def _defined(value: float) -> float | None:
    return None if value < 0 else float(value)
