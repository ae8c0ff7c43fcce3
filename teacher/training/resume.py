"""Going on from a training checkpoint: which one, and only with what it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import UserError

if TYPE_CHECKING:
    from data.manifest import Manifest

TRAINED_ON = "trained_on"  # the key in a checkpoint

Manifests = Path | Sequence[Path] | None


def trained_on(
    manifests: Mapping[str, Manifests], seed: int, lr: float, batch_size: int, labels: int | None = None
) -> dict[str, Any]:
    """What a training is trained on, as plain values that its checkpoints keep and a resume must agree with.

    manifests: by the option that names them; None is left out. labels: ears or frames whose labels are used,
    where not all are. Each manifest counts with its content, not its place, so that a folder may be moved.
    """
    from data.manifest import read_manifest

    files = {}
    for option, paths in manifests.items():
        listed = [] if paths is None else [paths] if isinstance(paths, Path) else list(paths)
        for path in listed:
            manifest = read_manifest(path)
            about = {"path": str(path), "ears": len(manifest), "sha256": _digest(manifest)}
            files.setdefault(option, []).append(about)
    named = {"seed": seed, "lr": float(lr), "batch_size": batch_size}
    return {"manifests": files} | ({} if labels is None else {"labels": labels}) | named


def find_resume(resume: str, output_dir: Path, wanted: Mapping[str, Any]) -> Path | None:
    """The checkpoint to go on from: "" none, "auto" `output_dir/last.ckpt` if there, else that path.

    wanted: of `trained_on`. Raises UserError when a path is given that is no training checkpoint, and, naming
    what differs, for a checkpoint that was trained on something else. One from before this was kept is taken,
    and it is said that nothing can be compared.
    """
    if not resume:
        return None
    path = Path(output_dir) / "last.ckpt" if resume == "auto" else Path(resume)
    if resume == "auto" and not path.is_file():
        return None
    from teacher.checkpoint import read_torch

    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint. Give last.ckpt of an earlier training, or auto.")
    content = read_torch(path)
    if "optimizer_states" not in content:
        raise UserError(
            f"{path}: holds weights only, nothing to resume a training from. Resume from last.ckpt, "
            "or start a new training from these weights."
        )
    found = content.get(TRAINED_ON)
    if found is None:
        print(
            f"{path}: is from before checkpoints kept what they were trained on (labels, data, seed, lr, "
            "batch size); that these are the same cannot be checked",
            flush=True,
        )
    elif differ := differences(found, wanted):
        raise UserError(
            f"{path}: was trained on something else: {'; '.join(differ)}. Go on with the same, or leave out "
            "--resume and train anew in another output folder."
        )
    return path


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs between a checkpoint's values and those wanted now, as `labels 24 -> 5`."""
    listed = []
    for key in dict.fromkeys([*found, *wanted]):
        old, new = found.get(key), wanted.get(key)
        if key == "manifests":
            listed += _other_manifests(old or {}, new or {})
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            listed += [f"{key}.{line}" for line in differences(old, new)]
        elif old != new:
            listed.append(f"{key} {_shown(old)} -> {_shown(new)}")
    return listed


def _other_manifests(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    listed = []
    for option in dict.fromkeys([*found, *wanted]):
        old, new = found.get(option, []), wanted.get(option, [])
        if [one["sha256"] for one in old] != [one["sha256"] for one in new]:
            before, after = (
                ", ".join(f"{one['path']} ({one['ears']} ears)" for one in side) or "none"
                for side in (old, new)
            )
            changed = f"{before}, whose content has changed" if before == after else f"{before} -> {after}"
            listed.append(f"{option} {changed}")
    return listed


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _digest(manifest: Manifest) -> str:
    """Of its ears (`data.manifest.fingerprint`), their points, and the images without."""
    import numpy as np

    from data.manifest import fingerprint

    digest = hashlib.sha256(fingerprint(manifest).encode())
    if manifest.landmarks is not None:
        known = (manifest.visibility > 0)[..., None]
        digest.update(np.where(known, manifest.landmarks, 0).astype("<f4").tobytes())
        digest.update(manifest.visibility.tobytes())
    for path in manifest.empty_images.tolist():
        digest.update(f"{Path(path).name}\n".encode())
    return digest.hexdigest()
