"""COCO: one `.json` with images, annotations (`bbox`: x, y, width, height; maybe `keypoints`), categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import UserError
from configs.files import read_json, write_json
from data.formats.drops import Drops
from data.formats.options import ReadOptions, chosen_categories, locate_image
from data.images import image_size
from data.landmarks import Scheme, load_scheme
from data.manifest import Manifest, sources_of


def read(path: Path, options: ReadOptions, drops: Drops) -> Manifest:
    """Boxes and, where any annotation has them, key points. Images without an ear become empty images.

    Raises UserError for a file of another structure and for key points of differing number.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise UserError(
            f"{path}: not COCO, which is a mapping with 'images', 'annotations' and 'categories'."
        )
    images = {image["id"]: image for image in _records(content, "images", ("id", "file_name"), path)}
    files = {key: _file(image, path, options) for key, image in images.items()}
    names = {
        record["id"]: str(record["name"]) for record in content.get("categories") or [] if "id" in record
    }
    chosen = chosen_categories(names, options.category, path) if names else None
    rows, occupied = [], set()
    for annotation in _records(content, "annotations", ("image_id",), path):
        if chosen is not None and annotation.get("category_id") not in chosen:
            drops.add("annotation of another class", f"annotation {annotation.get('id')} of {path}")
        elif annotation["image_id"] not in images:
            drops.add("annotation of an image not listed", f"annotation {annotation.get('id')} of {path}")
        else:
            occupied.add(annotation["image_id"])
            if annotation.get("iscrowd"):
                drops.add("crowd annotation (several ears in one)", files[annotation["image_id"]])
            elif len(annotation.get("bbox") or ()) != 4:
                drops.add("annotation without a box", files[annotation["image_id"]])
            else:
                rows.append(annotation)
    boxes = _numbers([row["bbox"] for row in rows], (len(rows), 4), path, "bbox")
    boxes[:, 2:] += boxes[:, :2]
    landmarks, visibility = _keypoints(rows, path)
    return Manifest(
        image_paths=np.array([files[row["image_id"]] for row in rows], dtype=str),
        boxes_xyxy=boxes,
        landmarks=landmarks,
        visibility=visibility,
        sources=_sources(rows, images, options.source_key, path),
        empty_images=np.array([file for key, file in files.items() if key not in occupied], dtype=str),
    )


def write(path: Path, manifest: Manifest, scheme: Scheme | None = None) -> Path:
    """One category `ear`; images below the file's folder are named relative to it; scheme names points."""
    folder = path.absolute().parent
    paths = list(dict.fromkeys([*map(str, manifest.image_paths), *map(str, manifest.empty_images)]))
    number_of = {name: number for number, name in enumerate(paths, start=1)}
    images = []
    for name, number in number_of.items():
        height, width = image_size(name)
        file = Path(name)
        shown = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else name
        images.append({"id": number, "file_name": shown, "width": width, "height": height})
    category: dict[str, Any] = {"id": 1, "name": "ear", "supercategory": "person"}
    if manifest.landmarks is not None:
        scheme = scheme or load_scheme()
        count = manifest.landmarks.shape[1]
        named = list(scheme.names) if len(scheme) == count else [f"point {index}" for index in range(count)]
        edges = scheme.edges() if len(scheme) == count else []
        category |= {"keypoints": named, "skeleton": [[start + 1, end + 1] for start, end in edges]}
    annotations = [_annotation(manifest, row, number_of) for row in range(len(manifest))]
    return write_json(path, {"images": images, "annotations": annotations, "categories": [category]})


def _annotation(manifest: Manifest, row: int, number_of: dict[str, int]) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(edge) for edge in manifest.boxes_xyxy[row])
    annotation: dict[str, Any] = {
        "id": row + 1,
        "image_id": number_of[str(manifest.image_paths[row])],
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
    }
    if manifest.sources is not None:
        annotation["source"] = str(sources_of(manifest)[row])
    if manifest.landmarks is not None:
        seen = manifest.visibility[row].astype(int)
        points = np.nan_to_num(manifest.landmarks[row]).astype(float)
        triples = [[x, y, int(v)] for (x, y), v in zip(points.tolist(), seen, strict=True)]
        annotation["keypoints"] = [number for triple in triples for number in triple]
        annotation["num_keypoints"] = int((seen > 0).sum())
    return annotation


def _records(content: dict, name: str, needed: tuple[str, ...], path: Path) -> list[dict[str, Any]]:
    records = content[name]
    if not isinstance(records, list):
        raise UserError(f"{path}: '{name}' must be a list.")
    for number, record in enumerate(records):
        missing = [key for key in needed if not isinstance(record, dict) or key not in record]
        if missing:
            raise UserError(f"{path}: {name}[{number}] has no {missing[0]!r}.")
    return records


def _file(image: dict[str, Any], path: Path, options: ReadOptions) -> str:
    return str(locate_image(str(image["file_name"]), path.absolute().parent, options.image_root))


def _keypoints(rows: list[dict[str, Any]], path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(N, K, 2) px and (N, K); None where no annotation has any. Rows without them are not annotated."""
    lengths = {len(row["keypoints"]): row for row in rows if row.get("keypoints")}
    if not lengths:
        return None, None
    if len(lengths) > 1 or next(iter(lengths)) % 3:
        found = ", ".join(
            f"{length} numbers in annotation {row.get('id')}" for length, row in lengths.items()
        )
        raise UserError(
            f"{path}: keypoints must be x, y, v for the same number of points everywhere, found {found}."
        )
    (length,) = lengths
    nothing = [0] * length
    triples = _numbers(
        [row.get("keypoints") or nothing for row in rows], (len(rows), length), path, "keypoints"
    )
    triples = triples.reshape(len(rows), -1, 3)
    return triples[..., :2], triples[..., 2]


def _numbers(values: list, shape: tuple[int, int], path: Path, name: str) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float32).reshape(shape)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {name} must hold numbers ({error}).") from None


def _sources(rows: list, images: dict, key: str, path: Path) -> np.ndarray | None:
    if not key:
        return None
    found = [row.get(key, images[row["image_id"]].get(key)) for row in rows]
    if None in found:
        raise UserError(f"{path}: no {key!r} in annotation {rows[found.index(None)].get('id')} or its image.")
    return np.array([str(source) for source in found], dtype=str)
