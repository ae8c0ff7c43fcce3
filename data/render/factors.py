"""Of which numbers a rendered ear was made: anatomy, pose, light, skin. `SPLIT_factors.npz` holds them.

They are in the picture's own directions: mirrored where the picture is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import UserError
from configs.files import write_atomic
from data.manifest import Manifest
from data.render.ear.camera import Camera
from data.render.head.identity import Identity
from data.render.paint.light import Light

GROUPS = ("anatomy", "pose", "light", "skin")


@dataclass(frozen=True)
class Factors:
    """groups: of each of GROUPS (N, D) float32, numbers of which each ear was made; image_paths: (N,) str."""

    image_paths: np.ndarray
    groups: Mapping[str, np.ndarray]


def factors_of(identity: Identity, light: Light, camera: Camera, mirrored: bool) -> dict[str, np.ndarray]:
    """Of each group of GROUPS a vector (D,) float32.

    anatomy: the points in ear heights and the strength of each fold; pose: which side, and the camera's
    rotation; light: direction, colour (logarithm), ambient share, hardness, light from behind; skin: albedo
    (logarithm), depth, redness, texture, gloss, freckles.
    """
    side = -1.0 if mirrored else 1.0
    mirror = np.array([side, 1.0, 1.0])
    anatomy, skin = identity.anatomy, identity.skin
    groups = {
        "anatomy": [*anatomy.landmarks.ravel(), *anatomy.folds.values()],
        "pose": [side, *(mirror[:, None] * camera.rotation).ravel()],
        "light": [
            *(mirror * light.direction),
            *np.log(light.colour),
            light.ambient,
            light.hardness,
            light.behind,
        ],
        "skin": [
            *np.log(skin.albedo),
            skin.depth,
            skin.redness,
            skin.texture,
            skin.gloss,
            skin.freckles,
        ],
    }
    return {name: np.array(values, np.float32) for name, values in groups.items()}


def largest_share(shares: Mapping[str, float]) -> tuple[str, float]:
    """Of the shares of a variance that GROUPS explain, the largest one's group and value."""
    group = max(GROUPS, key=shares.__getitem__)
    return group, shares[group]


def write_factors(path: Path, factors: Factors) -> Path:
    """As NPZ: image_paths and one array a group."""
    content = {"image_paths": np.asarray(factors.image_paths, dtype=str), **factors.groups}
    return write_atomic(path, lambda temporary: np.savez_compressed(temporary, **content))


def read_factors(path: Path, manifest: Manifest) -> Factors:
    """The factors of the manifest's ears, in its order.

    Raises UserError for a file that is none of data.render's, and for an ear that is not in it.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            paths = [str(name) for name in stored["image_paths"]]
            groups = {name: np.asarray(stored[name], np.float32) for name in GROUPS}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(
            f"{path} holds no factors of rendered ears ({error}); give a SPLIT_factors.npz of data.render"
        ) from error
    if any(values.ndim != 2 or len(values) != len(paths) for values in groups.values()):
        raise UserError(f"{path} is damaged: its groups are not one row an ear; run data.render again")
    # the folder may have been moved since, the files' names not
    rows = {Path(name).name: row for row, name in enumerate(paths)}
    wanted = [Path(str(name)).name for name in manifest.image_paths]
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise UserError(f"{path} says nothing of {missing[0]} ({len(missing)} of {len(wanted)} ears missing)")
    order = [rows[name] for name in wanted]
    return Factors(manifest.image_paths, {name: values[order] for name, values in groups.items()})
