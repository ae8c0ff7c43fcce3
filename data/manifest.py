"""The manifest: one `.npy` file that says which ear lies where in which photograph.

On disk it is a pickled dict (`image_paths`, `bboxes`, optional `landmarks`, `visibility`, `sources`,
`scores`, `empty_image_paths`, `crops`), the layout users already have. A pickle can run any code and touch
any memory, so it is read by code of our own that admits numpy arrays, strings, numbers, lists and dicts, and
nothing else (`data.safe_pickle`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from configs.errors import UserError, did_you_mean
from configs.files import write_atomic
from data.columns import below, numbers, relative_below, strings
from data.crop_settings import CropSettings
from data.safe_pickle import load_object

NOT_ANNOTATED, HIDDEN, VISIBLE = 0, 1, 2  # the visibility of a point, as in COCO

KEYS = ("image_paths", "bboxes", "landmarks", "visibility", "sources", "scores", "empty_image_paths", "crops")


@dataclass(frozen=True)
class Manifest:
    """Ears, one a row, and the images that hold none.

    image_paths: (N,) str. boxes_xyxy: (N, 4) float32 px, edges of the box: a pixel i covers [i, i + 1].
    landmarks: (N, K, 2) float32 px (pixel centres at integers), NaN where not annotated, or None.
    visibility: (N, K) uint8, 0 not annotated, 1 annotated but hidden, 2 visible; None when landmarks is.
    sources: (N,) str, what must not stand on both sides of a split (photograph, identity), or None.
    empty_images: (M,) str, images without an ear, for the detector.
    scores: (N,) float32, 0..1, how sure of each box the detector is that found it; None: people drew them.
    crops: how the ears are cut out and what their points are; a file without it has the project's settings.
    """

    image_paths: np.ndarray
    boxes_xyxy: np.ndarray
    landmarks: np.ndarray | None = None
    visibility: np.ndarray | None = None
    sources: np.ndarray | None = None
    empty_images: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=str))
    scores: np.ndarray | None = None
    crops: CropSettings = field(default_factory=CropSettings)

    def __post_init__(self) -> None:
        """Bring every field to its type and check that the lengths agree. Raises UserError."""
        ears = len(self.image_paths)
        arrays = {
            "image_paths": strings(self.image_paths, "image_paths"),
            "empty_images": strings(self.empty_images, "empty_image_paths"),
            "boxes_xyxy": numbers(self.boxes_xyxy, "bboxes", (ears, 4)),
        }
        if self.landmarks is not None:
            arrays["landmarks"] = numbers(self.landmarks, "landmarks", (ears, None, 2))
            arrays["visibility"] = _visibility(arrays["landmarks"], self.visibility)
            seen = (arrays["visibility"] > 0)[..., None]
            arrays["landmarks"] = np.where(seen, arrays["landmarks"], np.float32(np.nan))
        elif self.visibility is not None:
            raise UserError("The manifest has 'visibility' but no 'landmarks'.")
        if self.sources is not None:
            arrays["sources"] = strings(self.sources, "sources", ears)
        if self.scores is not None:
            arrays["scores"] = numbers(self.scores, "scores", (ears,))
            if not ((arrays["scores"] >= 0) & (arrays["scores"] <= 1)).all():
                raise UserError("scores must hold numbers from 0 to 1.")
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.image_paths)

    def select(self, rows: np.ndarray | Sequence[int], keep_empty_images: bool = False) -> Manifest:
        """The ears at `rows` (indices or a mask), in that order."""
        rows = np.asarray(rows) if len(rows) else np.empty(0, dtype=int)
        picked = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("image_paths", "boxes_xyxy", "landmarks", "visibility", "sources", "scores")
        }
        empty_images = self.empty_images if keep_empty_images else self.empty_images[:0]
        return replace(self, **picked, empty_images=empty_images)


def read_manifest(path: str | os.PathLike, num_landmarks: int | None = None, check: bool = True) -> Manifest:
    """Read a manifest; relative image paths become paths below its folder.

    num_landmarks: when given, the manifest must hold that many points for each ear.
    check: refuse impossible boxes and points, and a manifest without rows. (`data.prepare` reads unchecked
    and drops such rows.)

    Raises UserError naming the file, the row and what is allowed.
    """
    path = Path(path)
    content = load_object(path)
    if not isinstance(content, dict):
        found = type(content).__name__
        raise UserError(f"{path}: holds a {found}, expected a dict with {', '.join(KEYS[:2])}, ...")
    if not all(isinstance(key, str) for key in content):
        raise UserError(f"{path}: its keys must be text, such as {KEYS[0]!r}; found {list(content)[:8]}.")
    for key in KEYS[:2]:
        if key not in content:
            near = did_you_mean(key, map(str, content))
            raise UserError(f"{path}: no key {key!r}; it has {sorted(map(str, content))}.{near}")
    try:
        manifest = _from_dict(content, path.absolute().parent)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: {error}") from None
    if check:
        _check_rows(manifest, path)
    if num_landmarks is not None:
        require_landmarks(manifest, num_landmarks, path)
    return manifest


def write_manifest(path: str | os.PathLike, manifest: Manifest) -> Path:
    """Write atomically. Paths below the manifest's folder are stored relative, so that it can be moved.

    It is a pickle, of strings, numbers and numpy's arrays: users read it with
    `np.load(path, allow_pickle=True).item()`, and numpy hands out a dict from nothing else. (The item of an
    array of records is a tuple, and an `.npz` has no `item`.) `read_manifest` takes it without unpickling.
    """
    path = Path(path)
    folder = path.absolute().parent
    content = {
        "image_paths": relative_below(manifest.image_paths, folder),
        "bboxes": manifest.boxes_xyxy,
        "landmarks": manifest.landmarks,
        "visibility": manifest.visibility,
        "sources": manifest.sources,
        "scores": manifest.scores,
        "empty_image_paths": relative_below(manifest.empty_images, folder),
        "crops": manifest.crops.to_plain(),
    }
    content = {key: value for key, value in content.items() if value is not None}
    boxed = np.empty((), dtype=object)
    boxed[()] = content

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, boxed, allow_pickle=True)

    return write_atomic(path, save)


def join_manifests(manifests: Sequence[Manifest]) -> Manifest:
    """All rows of several manifests. Where only some have landmarks, the others' are not annotated.

    Raises UserError where their numbers of points or their crop settings differ.
    """
    if len(manifests) == 1:
        return manifests[0]
    for number, manifest in enumerate(manifests[1:], start=2):
        manifests[0].crops.require_same(manifest.crops, "the first manifest", f"number {number}")
    counts = {m.landmarks.shape[1] for m in manifests if m.landmarks is not None}
    if len(counts) > 1:
        raise UserError(f"Manifests with {sorted(counts)} landmarks cannot be joined: the counts must agree.")
    points = counts.pop() if counts else None
    filled = [_with_landmarks(m, points) for m in manifests] if points is not None else None
    has_sources = any(m.sources is not None for m in manifests)
    has_scores = any(m.scores is not None for m in manifests)
    return Manifest(
        image_paths=np.concatenate([m.image_paths for m in manifests]),
        boxes_xyxy=np.concatenate([m.boxes_xyxy for m in manifests]),
        landmarks=filled and np.concatenate([landmarks for landmarks, _ in filled]),
        visibility=filled and np.concatenate([visibility for _, visibility in filled]),
        sources=np.concatenate([sources_of(m) for m in manifests]) if has_sources else None,
        scores=np.concatenate([scores_of(m) for m in manifests]) if has_scores else None,
        empty_images=np.concatenate([m.empty_images for m in manifests]),
        crops=manifests[0].crops,
    )


def sources_of(manifest: Manifest) -> np.ndarray:
    """(N,) str: the given sources, or else the photograph each ear was seen in."""
    return manifest.image_paths if manifest.sources is None else manifest.sources


def scores_of(manifest: Manifest) -> np.ndarray:
    """(N,) float32: the given scores, or 1 for boxes that people drew."""
    return np.ones(len(manifest), np.float32) if manifest.scores is None else manifest.scores


def labelled_rows(manifest: Manifest) -> np.ndarray:
    """(N,) bool: the ears with an annotated point; none where the manifest has no landmarks."""
    if manifest.landmarks is None:
        return np.zeros(len(manifest), dtype=bool)
    return (manifest.visibility > NOT_ANNOTATED).any(axis=1)


def require_landmarks(manifest: Manifest, num_landmarks: int, where: str | os.PathLike) -> None:
    """Raise UserError unless the manifest holds `num_landmarks` points for each ear."""
    if manifest.landmarks is None:
        raise UserError(f"{where}: has no landmarks, but {num_landmarks} points an ear are needed here.")
    found = manifest.landmarks.shape[1]
    if found != num_landmarks:
        raise UserError(f"{where}: has {found} points an ear, expected {num_landmarks}.")


def row_faults(manifest: Manifest) -> dict[str, np.ndarray]:
    """What is impossible in a row, whatever its image: reason -> (N,) bool."""
    boxes = manifest.boxes_xyxy
    finite = np.isfinite(boxes).all(axis=1)
    sides = np.where(finite[:, None], boxes[:, 2:] - boxes[:, :2], 1)
    faults = {
        "box with NaN or infinity": ~finite,
        "inverted box (x2 < x1 or y2 < y1)": (sides < 0).any(axis=1),
        "box of zero area": (sides >= 0).all(axis=1) & (sides == 0).any(axis=1),
    }
    if manifest.landmarks is not None:
        unknown = ~np.isfinite(manifest.landmarks).all(axis=2)
        faults["annotated point with NaN or infinity"] = (unknown & (manifest.visibility > 0)).any(axis=1)
        faults["visibility other than 0, 1, 2"] = (manifest.visibility > VISIBLE).any(axis=1)
    return faults


def fingerprint(manifest: Manifest) -> str:
    """Hex digest of which ears a manifest holds, in which order: file names, their sizes, boxes.

    Folders do not count, so that a run folder may be moved. Raises UserError when an image is missing.
    """
    digest = hashlib.sha256(np.ascontiguousarray(manifest.boxes_xyxy).tobytes())
    for path in map(Path, manifest.image_paths):
        try:
            size_bytes = path.stat().st_size
        except OSError:
            raise UserError(f"{path}: no such image.") from None
        digest.update(f"{path.name}\0{size_bytes}\n".encode())
    return digest.hexdigest()


def _check_rows(manifest: Manifest, path: Path) -> None:
    if len(manifest) == 0 and len(manifest.empty_images) == 0:
        raise UserError(f"{path}: holds no ears and no images. Was everything dropped when it was prepared?")
    for reason, bad in row_faults(manifest).items():
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise UserError(
                f"{path}: {reason} in {int(bad.sum())} of {len(manifest)} rows, first row {row} "
                f"({manifest.image_paths[row]}, box {manifest.boxes_xyxy[row].tolist()}). "
                "`python -m data.prepare --input MANIFEST` drops such rows and says which."
            )


def _from_dict(content: dict, folder: Path) -> Manifest:
    return Manifest(
        image_paths=below(strings(content["image_paths"], "image_paths"), folder),
        boxes_xyxy=content["bboxes"],
        landmarks=content.get("landmarks"),
        visibility=content.get("visibility"),
        sources=content.get("sources"),
        scores=content.get("scores"),
        empty_images=below(strings(content.get("empty_image_paths", ()), "empty_image_paths"), folder),
        crops=CropSettings.from_plain(content.get("crops"), "crops"),
    )


def _with_landmarks(manifest: Manifest, points: int) -> tuple[np.ndarray, np.ndarray]:
    if manifest.landmarks is not None:
        return manifest.landmarks, manifest.visibility
    nothing = np.full((len(manifest), points, 2), np.nan, dtype=np.float32)
    return nothing, np.zeros(nothing.shape[:2], dtype=np.uint8)


def _visibility(landmarks: np.ndarray, visibility: object) -> np.ndarray:
    """(N, K) uint8. Without a given one, points that are numbers count as visible, NaN as not annotated."""
    if visibility is None:
        visibility = np.where(np.isfinite(landmarks).all(axis=2), VISIBLE, NOT_ANNOTATED)
    array = numbers(visibility, "visibility", landmarks.shape[:2])
    if not np.isfinite(array).all() or (array < 0).any() or (array != np.floor(array)).any():
        raise UserError("visibility must hold 0 (not annotated), 1 (hidden) or 2 (visible).")
    return array.clip(0, 255).astype(np.uint8)
