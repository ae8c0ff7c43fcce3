"""Ears without labels, in views drawn anew, with the teacher's predicted points and maps of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from data import crops
from data.dataset import EarCrops
from data.manifest import Manifest
from data.transforms import Geometry, Photometry
from distill.teacher_maps.frozen_teacher import HEATMAPS
from distill.teacher_maps.numbered_crops import PLAIN, NumberedCrops
from distill.teacher_maps.pseudo_labels import trust
from distill.teacher_maps.store import KeptMaps


class TeacherTargets:
    """Crops that are turned and shifted like labelled ones; what was kept of the teacher follows them.

    Points are carried through any warp. A map is not warped here: it comes with the matrix from the view that
    the teacher saw to the one drawn, and `distill.student.alignment.carried_back` reads the student's map
    where the teacher's cells went. A mirrored view gets a map of a mirrored view: a mirrored map would be
    another one.
    """

    def __init__(
        self,
        kept: KeptMaps,
        numbered: NumberedCrops,
        geometry: Geometry,
        photometry: Photometry,
        flip: np.ndarray,
        agreement_limit: float | None,
        with_maps: bool,
    ) -> None:
        """kept: maps of `numbered`; flip: (K,), the points under mirroring; agreement_limit: of
        `distill.teacher_maps.pseudo_labels.trust`, None leaves the predicted points out; with_maps: whether
        the maps are wanted.
        """
        self.kept, self.with_maps, self.trust, manifest = kept, with_maps, None, numbered.manifest
        if agreement_limit is not None:
            plain = {name: values[:, PLAIN] for name, values in kept.predictions.items()}
            manifest = _labelled_by(plain["points_unit"], numbered, kept.view_matrices[:, PLAIN])
            self.trust = trust(plain["confidence"], plain["disagreement"], agreement_limit)
        self.crops: EarCrops = numbered.crops.drawn_as(geometry, photometry, manifest=manifest)
        self.crops.flip_indices = flip

    def __len__(self) -> int:
        """Number of ears."""
        return len(self.crops)

    @property
    def has_targets(self) -> bool:
        """Whether there are targets of the student's own task: predicted points, or heatmaps."""
        return self.trust is not None or (self.with_maps and self.kept.layer == HEATMAPS)

    @property
    def trusted_share(self) -> float | None:
        """Part of the predicted points whose weight is not 0; None without them."""
        return None if self.trust is None else float((self.trust > 0).mean())

    def view(self, row: int, geometry_seed: int, photometry_seed: int) -> dict[str, Tensor]:
        """image (3, S, S) uint8; points_px (K, 2) and trust (K,), 0 for points outside the view; maps
        (C, g, g), and map_matrix (2, 3), px of the view that the teacher saw -> px of this one.
        """
        item = self.crops.view(row, geometry_seed, photometry_seed)
        to_view = item["matrix"].numpy()
        mirrored = crops.mirrors(to_view)
        target = {"image": item["image"]}
        if self.trust is not None:
            weight = self.trust[row][self.crops.flip_indices] if mirrored else self.trust[row]
            seen = item["visibility"] > 0
            target |= {"points_px": item["points_px"], "trust": torch.from_numpy(weight).float() * seen}
        return target | self.map_of(row, to_view, geometry_seed)

    def map_of(self, row: int, to_view: np.ndarray, seed: int) -> dict[str, Tensor]:
        """maps and map_matrix of `view`, for a view of photograph px -> view px; empty without maps.

        seed: chooses where several views were kept.
        """
        if not self.with_maps:
            return {}
        from_photograph, mirrored = self.kept.view_matrices[row], crops.mirrors(to_view)
        alike = [number for number, m in enumerate(from_photograph) if crops.mirrors(m) == mirrored]
        number = alike[seed % len(alike)]
        matrix = crops.compose(to_view, crops.invert(from_photograph[number]))
        maps = np.array(self.kept.read(row, number))
        return {"maps": torch.from_numpy(maps), "map_matrix": torch.from_numpy(matrix)}


def rows_within(part: Manifest, whole: Manifest) -> np.ndarray | None:
    """Rows (N,) of a manifest's ears in another; None where one is not there."""
    row_of = {place: row for row, place in enumerate(_places(whole))}
    wanted = _places(part)
    known = row_of.keys() >= set(wanted)
    return np.array([row_of[key] for key in wanted], dtype=int) if known else None


def _places(manifest: Manifest) -> list[tuple[str, bytes]]:
    """What tells ears apart: photograph and box."""
    boxes = manifest.boxes_xyxy
    return [(str(path), box.tobytes()) for path, box in zip(manifest.image_paths, boxes, strict=True)]


def _labelled_by(points_unit: np.ndarray, numbered: NumberedCrops, matrices: np.ndarray) -> Manifest:
    """The ears with predicted points as their landmarks.

    points_unit: (N, K, 2), unit coordinates of plain crops; matrices: (N, 2, 3), photograph px -> their px.
    """
    points_px = points_unit * numbered.numbering.out_px - 0.5
    pairs = zip(matrices, points_px, strict=True)
    landmarks = np.stack([crops.apply(crops.invert(matrix), points) for matrix, points in pairs])
    return replace(
        numbered.manifest, landmarks=landmarks, visibility=np.full(landmarks.shape[:2], 2, np.uint8)
    )
